/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_conn.c - conns over loopback, and peers that misbehave. */
#include "conn_world.h"

#include <gnutls/gnutls.h>
#include <sys/resource.h>

/* A listener, and what each test mostly waits for. */
static struct owner server, client;
static struct conn_listener *listener;
static struct sockaddr_in address;

static bool both_up(void *arg)
{
	(void)arg;
	return server.ups > 0 && client.ups > 0;
}

static bool is_down(void *arg)
{
	return ((struct owner *)arg)->downs > 0;
}

static bool is_up(void *arg)
{
	return ((struct owner *)arg)->ups > 0;
}

static bool has_frame(void *arg)
{
	return ((struct owner *)arg)->frames > 0;
}

static bool has_room_call(void *arg)
{
	return ((struct owner *)arg)->rooms > 0;
}

static bool log_says_refused(void *arg)
{
	(void)arg;
	return strstr(log_text, "refused a connection") != NULL;
}

static int set_up_both(void **state)
{
	memset(&server, 0, sizeof(server));
	memset(&client, 0, sizeof(client));
	listener = NULL;
	return set_up(state);
}

static void start_listener(void)
{
	struct conn_params p = params_of(&server);

	listener = listen_at(&p, &address);
}

static void start_both(void)
{
	struct conn_params p = params_of(&client);

	start_listener();
	connect_to(&p, &address);
}

static void stop_both(void)
{
	conn_close(client.c);
	conn_close(server.c);
	conn_listener_close(listener);
}

/* A raw peer of the listener whose handshake is done. */
static void start_raw(struct raw *r)
{
	start_listener();
	raw_connect(r, &address);
	raw_tls(r, TLS_CLIENT);
	pumped = r;
	run_until(is_up, &server);
	assert_int_equal(r->handshake_rc, 0);
	pumped = NULL;
}

static void stop_raw(struct raw *r)
{
	raw_close(r);
	conn_close(server.c);
	conn_listener_close(listener);
}

static void send_ack(struct conn *c, uint64_t epoch)
{
	struct wire_ack m = { .epoch = epoch, .chain = 7 };
	uint8_t frame[WIRE_SMALL_MAX];

	in_call = true;
	assert_int_equal(conn_send(c, frame, wire_put_ack(frame, &m)), 0);
	in_call = false;
}

/* ---- what should work ---- */

static void frames_pass_both_ways(void **state)
{
	struct wire_ack m;

	(void)state;
	start_both();
	run_until(both_up, NULL);
	send_ack(client.c, 1);
	send_ack(server.c, 2);
	run_until(has_frame, &server);
	run_until(has_frame, &client);
	assert_int_equal(server.last_type, WIRE_ACK);
	assert_int_equal(wire_get_ack(server.last, server.last_bytes, &m), 0);
	assert_int_equal(m.epoch, 1);
	assert_int_equal(wire_get_ack(client.last, client.last_bytes, &m), 0);
	assert_int_equal(m.epoch, 2);
	assert_non_null(strstr(conn_peer_str(client.c), "127.0.0.1:"));
	stop_both();
	settle();
	assert_int_equal(client.downs + server.downs, 0);
}

static void sending_before_up_is_refused(void **state)
{
	uint8_t frame[WIRE_SMALL_MAX];
	struct wire_progress m = { 1 };
	size_t cap;

	(void)state;
	start_both();
	assert_int_equal(conn_send(client.c, frame,
				   wire_put_progress(frame, &m)), -ENOTCONN);
	assert_null(conn_reserve(client.c, 1, &cap));
	stop_both();
}

static bool all_arrived(void *arg)
{
	(void)arg;
	return server.expect == client.to_send &&
	       client.expect == server.to_send;
}

static void big_streams_cross_in_order(void **state)
{
	struct conn_stats s;

	(void)state;
	client.to_send = 160;
	server.to_send = 120;
	start_both();
	run_until(all_arrived, NULL);
	assert_int_equal(server.frames, 160);
	assert_int_equal(client.frames, 120);
	assert_true(client.rooms > 0);
	conn_stats(client.c, &s);
	assert_true(s.sent_bytes > server.bytes);
	assert_true(s.received_bytes > client.bytes);
	stop_both();
}

static bool raw_has_all(void *arg)
{
	return client.sent == client.to_send &&
	       conn_unsent_bytes(client.c) == 0 &&
	       ((struct raw *)arg)->bytes > 0;
}

/* A raw TLS server whose receive buffer is small. */
static int raw_listen(struct sockaddr_in *a, int rcvbuf)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int mss = 1400;

	*a = loopback(0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf,
				    sizeof(rcvbuf)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss,
				    sizeof(mss)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	*a = bound_to(fd);
	return fd;
}

static void raw_accept(struct raw *r, int listen_fd)
{
	memset(r, 0, sizeof(*r));
	r->fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(r->fd >= 0);
	r->handshake_rc = -EAGAIN;
}

static void start_client_to_raw(struct raw *r, int rcvbuf)
{
	struct conn_params p = params_of(&client);
	int fd = raw_listen(&address, rcvbuf);

	connect_to(&p, &address);
	raw_accept(r, fd);
	close(fd);
	raw_tls(r, TLS_SERVER);
	pumped = r;
	run_until(is_up, &client);
	pumped = NULL;
}

static void big_stream_passes_a_tiny_socket_buffer(void **state)
{
	struct conn_stats s;
	struct raw r;

	(void)state;
	client.to_send = 60;
	start_client_to_raw(&r, 8192);
	raw_start_reading(&r);
	run_until(raw_has_all, &r);
	raw_read(&r);
	conn_stats(client.c, &s);
	assert_true(r.bytes == s.sent_bytes);
	assert_int_equal(client.downs, 0);
	conn_close(client.c);
	raw_close(&r);
}

static void queue_is_bounded_and_room_comes(void **state)
{
	static uint8_t frame[WIRE_HEADER_BYTES + 65536];
	size_t queued = 0, cap;
	struct raw r;

	(void)state;
	start_client_to_raw(&r, 65536);
	wire_put_header(frame, WIRE_PAGES, 65536);
	in_call = true;
	while (conn_send(client.c, frame, sizeof(frame)) == 0)
		queued += sizeof(frame);
	assert_int_equal(conn_send(client.c, frame, sizeof(frame)), -EAGAIN);
	assert_true(queued <= CONN_QUEUE_MAX);
	assert_true(queued > CONN_QUEUE_MAX - 2 * sizeof(frame));
	assert_null(conn_reserve(client.c, sizeof(frame), &cap));
	assert_true(conn_unsent_bytes(client.c) >= queued);
	in_call = false;
	settle(); /* nobody reads: there is no room */
	assert_int_equal(client.rooms, 0);
	raw_start_reading(&r);
	run_until(has_room_call, &client);
	settle();
	assert_int_equal(client.rooms, 1);
	conn_close(client.c);
	raw_close(&r);
}

static void wanted_room_comes_from_the_loop(void **state)
{
	(void)state;
	start_both();
	run_until(both_up, NULL);
	settle(); /* nothing is left to be sent: no other event comes */
	in_call = true;
	conn_want_room(client.c);
	conn_want_room(client.c);
	in_call = false;
	run_until(has_room_call, &client);
	settle();
	assert_int_equal(client.rooms, 1);
	stop_both();
}

static bool has_many_heartbeats(void *arg)
{
	struct conn_stats s;

	(void)arg;
	if (client.c == NULL || server.c == NULL)
		return true;
	conn_stats(server.c, &s);
	return s.received_bytes >= 40 * 24;
}

static void heartbeats_keep_an_idle_connection(void **state)
{
	struct conn_params ps = params_of(&server), pc = params_of(&client);
	struct conn_stats s;

	(void)state;
	ps.heartbeat_ms = pc.heartbeat_ms = scaled(20);
	ps.timeout_ms = pc.timeout_ms = scaled(250); /* over before 40 heartbeats */
	listener = listen_at(&ps, &address);
	connect_to(&pc, &address);
	run_until(both_up, NULL);
	run_until(has_many_heartbeats, NULL);
	assert_int_equal(client.downs + server.downs, 0);
	assert_int_equal(client.frames + server.frames, 0);
	conn_stats(client.c, &s);
	assert_true(s.rtt_us > 0);
	stop_both();
}

static bool echo_arrived(void *arg)
{
	struct raw *r = arg;

	return r->tail_bytes >= 24 && r->tail[r->tail_bytes - 8] == 0x39;
}

static void a_probe_is_answered_and_an_answer_is_not(void **state)
{
	struct wire_heartbeat probe = { .sent_ns = 0x39 };
	struct wire_heartbeat answer = { .echo_ns = 1 };
	uint8_t frame[WIRE_SMALL_MAX];
	uint64_t bytes;
	struct raw r;

	(void)state;
	start_raw(&r);
	raw_start_reading(&r);
	raw_send(&r, frame, wire_put_heartbeat(frame, &probe));
	run_until(echo_arrived, &r);
	bytes = r.bytes;
	raw_send(&r, frame, wire_put_heartbeat(frame, &answer));
	settle();
	assert_true(r.bytes == bytes);
	assert_int_equal(server.frames + server.downs, 0);
	stop_raw(&r);
}

/* ---- who is not let in ---- */

static void wrong_key_is_refused(void **state)
{
	struct conn_params p = params_of(&client);

	(void)state;
	start_listener();
	p.psk = other_key;
	connect_to(&p, &address);
	run_until(is_down, &client);
	run_until(log_says_refused, NULL);
	assert_int_equal(client.down_rc, -EACCES);
	assert_non_null(strstr(client.why, "key"));
	assert_non_null(strstr(log_text, "another key"));
	assert_int_equal(client.ups + server.ups + server.downs, 0);
	stop_both();
}

static void wrong_identity_is_refused(void **state)
{
	struct conn_params p = params_of(&client);

	(void)state;
	start_listener();
	p.psk_identity = "web";
	connect_to(&p, &address);
	run_until(is_down, &client);
	run_until(log_says_refused, NULL);
	assert_int_equal(client.down_rc, -EACCES); /* as with a wrong key */
	assert_non_null(strstr(log_text, "another VM than \"db\""));
	assert_int_equal(client.ups + server.ups + server.downs, 0);
	stop_both();
}

static bool socket_ended(void *arg)
{
	struct raw *r = arg;
	uint8_t buf[4096];
	ssize_t n = recv(r->fd, buf, sizeof(buf), MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void plaintext_garbage_is_refused(void **state)
{
	static const char *const greetings[] = {
		"GET /0123456789 HTTP/1.0\r\n\r\n",
		"\x10\0\0\0\x0c\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00xxxxxxxxxxxxxxxxxx",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
		struct raw r;

		log_text[0] = '\0';
		start_listener();
		raw_connect(&r, &address);
		assert_true(send(r.fd, greetings[i], 28, 0) > 0);
		run_until(socket_ended, &r);
		run_until(log_says_refused, NULL);
		raw_close(&r);
		conn_listener_close(listener);
	}
	assert_int_equal(server.ups + server.downs, 0);
}

static gnutls_session_t other_session; /* a TLS client with ways of its own */
static int other_rc;

static bool other_is_done(void *arg)
{
	(void)arg;
	other_rc = gnutls_handshake(other_session);
	return other_rc == 0 || gnutls_error_is_fatal(other_rc);
}

static void connect_with_priority(const char *priority)
{
	gnutls_psk_client_credentials_t cred;
	gnutls_datum_t k = { (unsigned char *)(uintptr_t)key, sizeof(key) };
	struct raw r;

	start_listener();
	raw_connect(&r, &address);
	assert_int_equal(gnutls_init(&other_session,
				     GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(other_session, priority,
						    NULL), 0);
	gnutls_psk_allocate_client_credentials(&cred);
	gnutls_psk_set_client_credentials(cred, "db", &k, GNUTLS_PSK_KEY_RAW);
	gnutls_credentials_set(other_session, GNUTLS_CRD_PSK, cred);
	gnutls_transport_set_int(other_session, r.fd);
	run_until(other_is_done, NULL);
	gnutls_deinit(other_session);
	gnutls_psk_free_client_credentials(cred);
	raw_close(&r);
	if (other_rc < 0) {
		run_until(log_says_refused, NULL);
		assert_int_equal(server.ups + server.downs, 0);
	}
	conn_close(server.c);
	conn_listener_close(listener);
}

static void tls12_client_is_refused(void **state)
{
	(void)state;
	connect_with_priority("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL"
			      ":+ECDHE-PSK:+DHE-PSK:+PSK");
	assert_true(other_rc < 0);
}

static void psk_without_diffie_hellman_is_refused(void **state)
{
	(void)state;
	connect_with_priority("NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+PSK");
	assert_true(other_rc < 0);
}

/* The same client with what is allowed: the two tests above fail for the
 * reason that they name. */
static void tls13_psk_of_another_client_is_taken(void **state)
{
	(void)state;
	connect_with_priority("NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL"
			      ":+ECDHE-PSK");
	assert_int_equal(other_rc, 0);
}

static void a_client_that_stalls_in_the_handshake_is_dropped(void **state)
{
	struct conn_params p = params_of(&server);
	struct raw r;

	(void)state;
	p.timeout_ms = scaled(100);
	listener = listen_at(&p, &address);
	raw_connect(&r, &address);
	run_until(socket_ended, &r);
	run_until(log_says_refused, NULL);
	assert_int_equal(server.ups + server.downs, 0);
	raw_close(&r);
	conn_listener_close(listener);
}

static void a_server_that_stalls_in_the_handshake_is_given_up(void **state)
{
	struct conn_params p = params_of(&client);
	int fd = raw_listen(&address, 65536);

	(void)state;
	p.timeout_ms = scaled(100);
	connect_to(&p, &address);
	run_until(is_down, &client);
	assert_int_equal(client.down_rc, -ETIMEDOUT);
	assert_non_null(strstr(client.why, "handshake"));
	assert_int_equal(client.ups, 0);
	close(fd);
}

static void handshakes_at_a_time_are_bounded(void **state)
{
	struct conn_params p = params_of(&client);
	struct raw stalled[CONN_PENDING_MAX], extra;

	(void)state;
	start_listener();
	for (size_t i = 0; i < CONN_PENDING_MAX; i++)
		raw_connect(&stalled[i], &address);
	settle();
	raw_connect(&extra, &address);
	run_until(socket_ended, &extra);
	assert_non_null(strstr(log_text, "too many"));
	raw_close(&stalled[3]); /* makes a place */
	settle();
	connect_to(&p, &address);
	run_until(both_up, NULL);
	for (size_t i = 0; i < CONN_PENDING_MAX; i++) {
		if (i != 3)
			raw_close(&stalled[i]);
	}
	raw_close(&extra);
	stop_both();
}

static void without_descriptors_a_connection_is_turned_away(void **state)
{
	struct conn_params p = params_of(&client);
	struct rlimit was, none;
	struct raw r;
	int fd;

	(void)state;
	start_listener();
	raw_connect(&r, &address);
	fd = dup(0); /* the lowest free one: make it the limit */
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_until(socket_ended, &r);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_non_null(strstr(log_text, "no file descriptors left"));
	connect_to(&p, &address); /* and it goes on after that */
	run_until(both_up, NULL);
	raw_close(&r);
	stop_both();
}

static void closing_a_listener_drops_its_handshakes(void **state)
{
	struct raw r;

	(void)state;
	start_listener();
	raw_connect(&r, &address);
	settle();
	conn_listener_close(listener);
	run_until(socket_ended, &r);
	raw_close(&r);
}

static void a_used_address_is_named(void **state)
{
	struct conn_params p = params_of(&server);
	struct conn_listener *second;
	char err[256] = "";

	(void)state;
	start_listener();
	assert_int_equal(conn_listen(&second, &p, (struct sockaddr *)&address,
				     sizeof(address), err, sizeof(err)),
			 -EADDRINUSE);
	assert_non_null(strstr(err, "127.0.0.1:"));
	assert_null(second);
	conn_listener_close(listener);
}

static void connect_refused_is_told(void **state)
{
	struct conn_params p = params_of(&client);
	struct sockaddr_in a = free_address();
	char err[256] = "";
	struct conn *c;
	int rc;

	(void)state;
	rc = conn_connect(&c, &p, (struct sockaddr *)&a, sizeof(a), err,
			  sizeof(err));
	if (rc == 0) {
		run_until(is_down, &client);
		rc = client.down_rc;
	} else {
		assert_non_null(strstr(err, "127.0.0.1:"));
	}
	assert_int_equal(rc, -ECONNREFUSED);
	assert_int_equal(client.ups, 0);
}

/* ---- peers that have the key and misbehave ---- */

/* A raw peer, heard by one that gives up after timeout_ms, scaled. */
static void start_impatient(struct raw *r, unsigned int timeout_ms)
{
	struct conn_params p = params_of(&server);

	p.timeout_ms = scaled(timeout_ms);
	p.heartbeat_ms = scaled(50);
	listener = listen_at(&p, &address);
	raw_connect(r, &address);
	raw_tls(r, TLS_CLIENT);
	pumped = r;
	run_until(is_up, &server);
}

static void a_silent_peer_is_down(void **state)
{
	struct raw r;

	(void)state;
	start_impatient(&r, 300);
	run_until(is_down, &server);
	assert_int_equal(server.down_rc, -ETIMEDOUT);
	assert_non_null(strstr(server.why, "silent"));
	stop_raw(&r);
}

static bool has_frame_or_is_down(void *arg)
{
	return has_frame(arg) || is_down(arg);
}

/* Stopped and gone on, say: the time-out is over, the bytes are there. */
static void what_came_while_we_slept_counts(void **state)
{
	uint8_t frame[WIRE_SMALL_MAX];
	struct wire_ack m = { .epoch = 3 };
	struct raw r;

	(void)state;
	start_impatient(&r, 400);
	raw_send(&r, frame, wire_put_ack(frame, &m));
	usleep(scaled(500) * 1000);
	run_until(has_frame_or_is_down, &server);
	assert_int_equal(server.frames, 1);
	stop_raw(&r);
}

static bool is_known_to_have_slept(void *arg)
{
	return conn_awake_until(((struct owner *)arg)->c) == 0;
}

static bool has_two_frames(void *arg)
{
	return ((struct owner *)arg)->frames == 2;
}

/* What is read later may have waited in the socket since before: being awake
 * again makes nothing new. */
static void who_slept_once_has_overslept_for_good(void **state)
{
	uint8_t frame[WIRE_SMALL_MAX];
	struct wire_ack m = { .epoch = 3 };
	struct raw r;

	(void)state;
	start_impatient(&r, 400);
	assert_false(conn_overslept(server.c));
	assert_true(conn_awake_until(server.c) > now_boot_ns());
	raw_send(&r, frame, wire_put_ack(frame, &m));
	usleep(scaled(500) * 1000);
	assert_true(conn_overslept(server.c));
	run_until(is_known_to_have_slept, &server);
	raw_send(&r, frame, wire_put_ack(frame, &m));
	run_until(has_two_frames, &server);
	assert_true(conn_overslept(server.c));
	assert_int_equal(conn_awake_until(server.c), 0);
	stop_raw(&r);
}

static bool raw_ended(void *arg)
{
	return ((struct raw *)arg)->ended;
}

static void a_malformed_frame_ends_it_with_a_reason(void **state)
{
	static const uint8_t bad[][WIRE_HEADER_BYTES] = {
		{ 16, 0, 0, 0, 99, 0, 0, 0 },	     /* unknown type */
		{ 1, 0, 16, 0, WIRE_PAGES, 0, 0, 0 }, /* 1 MiB + 1 */
		{ 16, 0, 0, 0, WIRE_ACK, 1, 0, 0 },  /* a flag */
		{ 0, 0, 0, 0, WIRE_PAGES, 0, 0, 0 }, /* empty */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct wire_refuse m;
		size_t skip = WIRE_HEADER_BYTES;
		struct raw r;

		if (i > 0)
			set_up_both(state);
		start_raw(&r);
		raw_send(&r, bad[i], sizeof(bad[i]));
		run_until(is_down, &server);
		assert_int_equal(server.down_rc, -EBADMSG);
		assert_int_equal(server.frames, 0);
		raw_start_reading(&r);
		run_until(raw_ended, &r);
		assert_int_equal(r.end_rc, 0); /* an orderly end of TLS */
		/* a probe may precede the refusal in the same record */
		if (r.tail[4] == WIRE_HEARTBEAT)
			skip += 24;
		assert_int_equal(r.tail[skip - 4], WIRE_REFUSE);
		assert_int_equal(wire_get_refuse(r.tail + skip,
						 r.tail_bytes - skip, &m), 0);
		assert_int_equal(m.code, WIRE_REFUSE_PROTOCOL);
		stop_raw(&r);
		if (i + 1 < ARRAY_LEN(bad))
			take_down(state);
	}
}

static void bytes_forged_into_the_session_end_it(void **state)
{
	static const uint8_t forged[5 + 40] = { 23, 3, 3, 0, 40, 1, 2, 3 };
	struct raw r;

	(void)state;
	start_raw(&r);
	assert_int_equal(send(r.fd, forged, sizeof(forged), 0),
			 sizeof(forged));
	run_until(is_down, &server);
	assert_int_equal(server.down_rc, -EPROTO);
	assert_int_equal(server.frames, 0);
	stop_raw(&r);
}

static void half_closed_is_down(void **state)
{
	struct raw r;

	(void)state;
	start_raw(&r);
	assert_int_equal(shutdown(r.fd, SHUT_WR), 0);
	run_until(is_down, &server);
	assert_int_equal(server.down_rc, -ECONNRESET);
	stop_raw(&r);
}

static void an_orderly_end_comes_after_the_frames_before_it(void **state)
{
	uint8_t frame[WIRE_SMALL_MAX];
	struct wire_ack m = { .epoch = 3 };
	struct raw r;

	(void)state;
	start_raw(&r);
	raw_send(&r, frame, wire_put_ack(frame, &m));
	tls_bye(r.tls);
	run_until(is_down, &server);
	assert_int_equal(server.frames, 1);
	assert_int_equal(server.down_rc, -ESHUTDOWN);
	stop_raw(&r);
}

static void a_frame_cut_by_the_end_is_dropped(void **state)
{
	uint8_t frame[WIRE_SMALL_MAX];
	struct wire_ack m = { .epoch = 3 };
	struct raw r;

	(void)state;
	start_raw(&r);
	raw_send(&r, frame, wire_put_ack(frame, &m) - 1);
	tls_bye(r.tls);
	run_until(is_down, &server);
	assert_int_equal(server.frames, 0);
	assert_int_equal(server.down_rc, -ECONNRESET);
	assert_non_null(strstr(server.why, "middle of a frame"));
	stop_raw(&r);
}

static bool has_three_frames(void *arg)
{
	return ((struct owner *)arg)->frames == 3;
}

static void frames_come_whole_however_they_are_cut(void **state)
{
	uint8_t frames[3 * WIRE_SMALL_MAX];
	struct wire_ack m = { .epoch = 3 };
	size_t bytes = 0;
	struct raw r;

	(void)state;
	for (int i = 0; i < 3; i++)
		bytes += wire_put_ack(frames + bytes, &m);
	start_raw(&r);
	for (size_t i = 0; i < bytes; i++) {
		raw_send(&r, frames + i, 1);
		if (i % 5 == 0) {
			int one = 1;

			run_until(ticks_are_over, &one);
		}
	}
	run_until(has_three_frames, &server);
	raw_send(&r, frames, bytes); /* and all in one record */
	settle();
	assert_int_equal(server.frames, 6);
	stop_raw(&r);
}

/* ---- closing ---- */

static void close_in_up(void **state)
{
	(void)state;
	client.close_when = CLOSE_IN_UP;
	start_both();
	run_until(is_up, &client);
	run_until(is_down, &server);
	assert_int_equal(client.downs + client.frames, 0);
	stop_both();
}

static void close_in_frame_stops_the_frames_behind_it(void **state)
{
	uint8_t frames[2 * WIRE_SMALL_MAX];
	struct wire_ack m = { .epoch = 3 };
	size_t bytes;
	struct raw r;

	(void)state;
	bytes = wire_put_ack(frames, &m);
	bytes += wire_put_ack(frames + bytes, &m);
	server.close_when = CLOSE_IN_FRAME;
	start_raw(&r);
	raw_send(&r, frames, bytes);
	raw_start_reading(&r);
	run_until(raw_ended, &r);
	settle();
	assert_int_equal(server.frames, 1);
	assert_int_equal(server.downs, 0);
	stop_raw(&r);
}

static void close_in_room(void **state)
{
	(void)state;
	client.close_when = CLOSE_IN_ROOM;
	start_both();
	run_until(both_up, NULL);
	conn_want_room(client.c);
	run_until(is_down, &server);
	assert_int_equal(client.rooms, 1);
	assert_int_equal(client.downs, 0);
	stop_both();
}

static void close_sends_what_is_queued(void **state)
{
	(void)state;
	start_both();
	run_until(both_up, NULL);
	send_ack(client.c, 1);
	send_ack(client.c, 2);
	close_now(&client, client.c);
	run_until(is_down, &server);
	assert_int_equal(server.frames, 2);
	assert_int_equal(server.down_rc, -ESHUTDOWN);
	stop_both();
}

static void refuse_and_close(struct owner *o, struct conn *c, unsigned int type)
{
	struct wire_refuse m = { .code = WIRE_REFUSE_DIGEST };
	uint8_t frame[WIRE_SMALL_MAX];

	(void)type;
	assert_int_equal(conn_send(c, frame, wire_put_refuse(frame, &m)), 0);
	close_now(o, c);
}

/* The reason must not be lost to the reset that unread bytes bring about. */
static void a_refusal_gets_through_while_the_peer_sends(void **state)
{
	for (int i = 0; i < 10; i++) {
		if (i > 0)
			set_up_both(state);
		client.to_send = 1000000;
		server.on_frame = refuse_and_close;
		start_both();
		run_until(is_down, &client);
		assert_int_equal(client.frames, 1);
		assert_int_equal(client.last_type, WIRE_REFUSE);
		stop_both();
		if (i < 9)
			take_down(state);
	}
}

static void close_the_other(struct owner *o, struct conn *c, unsigned int type)
{
	(void)o;
	(void)c;
	(void)type;
	close_now(&client, client.c);
}

static void one_conn_may_close_another(void **state)
{
	(void)state;
	server.on_frame = close_the_other;
	start_both();
	run_until(both_up, NULL);
	send_ack(server.c, 5); /* so that both have an event in one turn */
	send_ack(client.c, 6);
	run_until(is_down, &server);
	assert_int_equal(client.downs, 0);
	stop_both();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_both, take_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_pass_both_ways),
		TEST(sending_before_up_is_refused),
		TEST(big_streams_cross_in_order),
		TEST(big_stream_passes_a_tiny_socket_buffer),
		TEST(queue_is_bounded_and_room_comes),
		TEST(wanted_room_comes_from_the_loop),
		TEST(heartbeats_keep_an_idle_connection),
		TEST(a_probe_is_answered_and_an_answer_is_not),
		TEST(wrong_key_is_refused),
		TEST(wrong_identity_is_refused),
		TEST(plaintext_garbage_is_refused),
		TEST(tls12_client_is_refused),
		TEST(psk_without_diffie_hellman_is_refused),
		TEST(tls13_psk_of_another_client_is_taken),
		TEST(a_client_that_stalls_in_the_handshake_is_dropped),
		TEST(a_server_that_stalls_in_the_handshake_is_given_up),
		TEST(handshakes_at_a_time_are_bounded),
		TEST(without_descriptors_a_connection_is_turned_away),
		TEST(closing_a_listener_drops_its_handshakes),
		TEST(a_used_address_is_named),
		TEST(connect_refused_is_told),
		TEST(a_silent_peer_is_down),
		TEST(what_came_while_we_slept_counts),
		TEST(who_slept_once_has_overslept_for_good),
		TEST(a_malformed_frame_ends_it_with_a_reason),
		TEST(bytes_forged_into_the_session_end_it),
		TEST(half_closed_is_down),
		TEST(an_orderly_end_comes_after_the_frames_before_it),
		TEST(a_frame_cut_by_the_end_is_dropped),
		TEST(frames_come_whole_however_they_are_cut),
		TEST(close_in_up),
		TEST(close_in_frame_stops_the_frames_behind_it),
		TEST(close_in_room),
		TEST(close_sends_what_is_queued),
		TEST(a_refusal_gets_through_while_the_peer_sends),
		TEST(one_conn_may_close_another),
	};

	int failed;

	open_log();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	qb_log_fini();
	return failed;
}
