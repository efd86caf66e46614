/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn_world.h - a loop with conns in it, and a raw peer to misbehave.
 *
 * Nothing waits for a time: run_until() turns the loop until a condition holds,
 * and fails the test after DEADLINE_S.
 */
#ifndef REMUS_CONN_WORLD_H
#define REMUS_CONN_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <qb/qblog.h>
#include <qb/qbloop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"
#include "util.h"

/* Under valgrind, on a busy machine, a TLS handshake takes a while. */
static inline uint32_t scaled(uint32_t n)
{
	return getenv("REMUS_VALGRIND") != NULL ? n * 20 : n;
}

#define DEADLINE_S scaled(60)
#define FRAME_BYTES_MAX (WIRE_PAYLOAD_MAX + WIRE_HEADER_BYTES)

static const uint8_t key[32] = { 1, 2, 3, [31] = 4 };
static const uint8_t other_key[32] = { 1, 2, 3, [31] = 5 };

static qb_loop_t *loop;
static bool in_call; /* a callback must never come while this is set */
static char log_text[65536];

/* ---- one side: an owner of conns ---- */

enum { CLOSE_NEVER = 0, CLOSE_IN_UP, CLOSE_IN_FRAME, CLOSE_IN_ROOM };

struct owner {
	struct conn *c; /* the newest that came up */
	int ups, downs, rooms, frames;
	int down_rc;
	char why[512];
	unsigned int last_type;
	uint8_t last[WIRE_SMALL_MAX];
	size_t last_bytes;
	uint64_t bytes;
	uint64_t expect; /* next number in the stream of pump() */
	int close_when;
	bool closed;
	/* pump(): frames still to send */
	uint64_t to_send, sent;
	void (*on_frame)(struct owner *o, struct conn *c, unsigned int type);
};

static void assert_may_call(struct owner *o)
{
	assert_false(in_call);
	assert_false(o->closed);
}

static void close_now(struct owner *o, struct conn *c)
{
	in_call = true;
	conn_close(c);
	in_call = false;
	o->closed = true;
	o->c = NULL;
}

/* PAGES frames of growing and shrinking size, filled with their number. */
static void pump(struct owner *o, struct conn *c)
{
	while (o->sent < o->to_send) {
		size_t len = 8 + (size_t)(o->sent * 7919 % 200000);
		size_t cap;
		uint8_t *at;

		if (o->sent % 16 == 0)
			len = WIRE_PAYLOAD_MAX;
		in_call = true;
		at = conn_reserve(c, WIRE_HEADER_BYTES + len, &cap);
		if (at != NULL) {
			assert_true(cap >= WIRE_HEADER_BYTES + len);
			wire_put_header(at, WIRE_PAGES, len);
			memset(at + WIRE_HEADER_BYTES, (int)(o->sent & 0xff),
			       len);
			memcpy(at + WIRE_HEADER_BYTES, &o->sent,
			       sizeof(o->sent));
			conn_commit(c, WIRE_HEADER_BYTES + len);
		}
		in_call = false;
		if (at == NULL)
			return;
		o->sent++;
	}
}

static void owner_up(void *ctx, struct conn *c)
{
	struct owner *o = ctx;

	assert_false(in_call);
	o->ups++;
	o->c = c;
	o->closed = false;
	if (o->close_when == CLOSE_IN_UP)
		close_now(o, c);
	else
		pump(o, c);
}

static void owner_frame(void *ctx, struct conn *c, unsigned int type,
			const uint8_t *payload, size_t len)
{
	struct owner *o = ctx;

	assert_may_call(o);
	o->frames++;
	o->bytes += len;
	o->last_type = type;
	o->last_bytes = len < sizeof(o->last) ? len : sizeof(o->last);
	memcpy(o->last, payload, o->last_bytes);
	if (type == WIRE_PAGES) {
		uint64_t number;

		memcpy(&number, payload, sizeof(number));
		assert_true(number == o->expect);
		o->expect++;
		for (size_t i = 8; i < len; i += len / 8 + 1)
			assert_int_equal(payload[i], (uint8_t)number);
	}
	if (o->on_frame != NULL)
		o->on_frame(o, c, type);
	if (o->close_when == CLOSE_IN_FRAME)
		close_now(o, c);
}

static void owner_room(void *ctx, struct conn *c)
{
	struct owner *o = ctx;
	size_t cap;

	assert_may_call(o);
	o->rooms++;
	assert_non_null(conn_reserve(c, FRAME_BYTES_MAX, &cap));
	conn_commit(c, 0);
	if (o->close_when == CLOSE_IN_ROOM)
		close_now(o, c);
	else
		pump(o, c);
}

static void owner_down(void *ctx, struct conn *c, int rc, const char *why)
{
	struct owner *o = ctx;

	(void)c;
	assert_may_call(o);
	o->downs++;
	o->down_rc = rc;
	o->c = NULL;
	snprintf(o->why, sizeof(o->why), "%s", why);
	assert_true(rc < 0);
	assert_null(strchr(why, '\n'));
	assert_non_null(strstr(why, "127.0.0.1:"));
}

static const struct conn_ops owner_ops = {
	.up = owner_up,
	.frame = owner_frame,
	.room = owner_room,
	.down = owner_down,
};

static struct conn_params params_of(struct owner *o)
{
	struct conn_params p = {
		.loop = loop,
		.psk_identity = "db",
		.psk = key,
		.psk_bytes = sizeof(key),
		/* beyond the deadline: no heartbeat helps a test along */
		.heartbeat_ms = 200000,
		.timeout_ms = 400000,
		.ops = &owner_ops,
		.ctx = o,
	};
	return p;
}

/* ---- addresses ---- */

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static struct sockaddr_in bound_to(int fd)
{
	struct sockaddr_in a;
	socklen_t bytes = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &bytes), 0);
	return a;
}

static struct sockaddr_in free_address(void)
{
	struct sockaddr_in a = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	a = bound_to(fd);
	close(fd);
	return a;
}

static struct conn_listener *listen_at(const struct conn_params *p,
				       struct sockaddr_in *a)
{
	struct conn_listener *l = NULL;
	char err[256];

	*a = free_address();
	assert_int_equal(conn_listen(&l, p, (struct sockaddr *)a, sizeof(*a),
				     err, sizeof(err)), 0);
	return l;
}

static void connect_to(const struct conn_params *p, struct sockaddr_in *a)
{
	struct conn *c = NULL;
	char err[256];

	in_call = true;
	assert_int_equal(conn_connect(&c, p, (struct sockaddr *)a, sizeof(*a),
				      err, sizeof(err)), 0);
	in_call = false;
	assert_non_null(c);
	((struct owner *)p->ctx)->c = c;
}

/* ---- a raw peer: TCP, and TLS when asked, by hand ---- */

struct raw {
	int fd;
	struct tls *tls;
	int handshake_rc;
	bool reading; /* take what comes, in a poll callback */
	bool ended;
	ssize_t end_rc;
	uint64_t bytes;
	uint8_t tail[4096]; /* the last bytes received */
	size_t tail_bytes;
};

static void raw_connect(struct raw *r, const struct sockaddr_in *a)
{
	memset(r, 0, sizeof(*r));
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(r->fd >= 0);
	assert_int_equal(connect(r->fd, (const struct sockaddr *)a, sizeof(*a)),
			 0);
	assert_int_equal(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
	r->handshake_rc = -EAGAIN;
}

static void raw_tls(struct raw *r, enum tls_side side)
{
	char err[256];

	assert_int_equal(tls_create(&r->tls, side, r->fd, "db", key,
				    sizeof(key), err, sizeof(err)), 0);
}

static void raw_read(struct raw *r)
{
	char err[256];

	while (!r->ended) {
		uint8_t buf[16384];
		ssize_t n = tls_recv(r->tls, buf, sizeof(buf), err,
				     sizeof(err));

		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			r->ended = true;
			r->end_rc = n;
			return;
		}
		r->bytes += (uint64_t)n;
		r->tail_bytes = (size_t)n < sizeof(r->tail) ? (size_t)n :
							      sizeof(r->tail);
		memcpy(r->tail, buf + n - r->tail_bytes, r->tail_bytes);
	}
}

static int32_t raw_readable(int32_t fd, int32_t revents, void *data)
{
	struct raw *r = data;

	(void)fd;
	(void)revents;
	raw_read(r);
	if (r->ended)
		qb_loop_poll_del(loop, fd);
	return 0;
}

static void raw_start_reading(struct raw *r)
{
	r->reading = true;
	assert_int_equal(qb_loop_poll_add(loop, QB_LOOP_MED, r->fd, POLLIN, r,
					  raw_readable), 0);
}

static void raw_send(struct raw *r, const void *data, size_t bytes)
{
	char err[256] = "";

	assert_int_equal(tls_send(r->tls, data, bytes, err, sizeof(err)),
			 bytes);
}

static void raw_close(struct raw *r)
{
	if (r->reading && !r->ended)
		qb_loop_poll_del(loop, r->fd);
	tls_destroy(r->tls);
	close(r->fd);
}

/* ---- turning the loop ---- */

static struct raw *pumped; /* its handshake goes on while the loop turns */

static struct {
	bool (*holds)(void *);
	void *arg;
	uint64_t began_ns;
	bool held;
} until;

static void on_tick(void *data)
{
	qb_loop_timer_handle h;
	char err[256];

	(void)data;
	if (pumped != NULL && pumped->handshake_rc == -EAGAIN)
		pumped->handshake_rc = tls_handshake(pumped->tls, err,
						     sizeof(err));
	until.held = until.holds(until.arg);
	if (until.held ||
	    now_mono_ns() - until.began_ns > (uint64_t)DEADLINE_S * 1000000000u) {
		qb_loop_stop(loop);
		return;
	}
	qb_loop_timer_add(loop, QB_LOOP_LOW, 1000000, NULL, on_tick, &h);
}

static bool turn_until(bool (*holds)(void *), void *arg)
{
	qb_loop_timer_handle h;

	until.holds = holds;
	until.arg = arg;
	until.began_ns = now_mono_ns();
	qb_loop_timer_add(loop, QB_LOOP_LOW, 0, NULL, on_tick, &h);
	qb_loop_run(loop);
	return until.held;
}

#define run_until(holds, arg) assert_true(turn_until(holds, arg))

/* Let every event that is due happen: `turns` ticks. */
static bool ticks_are_over(void *arg)
{
	int *left = arg;

	return (*left)-- <= 0;
}

static void settle(void)
{
	int turns = 20;

	run_until(ticks_are_over, &turns);
}

static void keep_log(int32_t target, struct qb_log_callsite *cs,
		     struct timespec *stamp, const char *msg)
{
	size_t used = strlen(log_text);

	(void)target;
	(void)cs;
	(void)stamp;
	snprintf(log_text + used, sizeof(log_text) - used, "%s\n", msg);
}

static int set_up(void **state)
{
	(void)state;
	log_text[0] = '\0';
	in_call = false;
	pumped = NULL;
	loop = qb_loop_create();
	return loop == NULL;
}

static int take_down(void **state)
{
	(void)state;
	qb_loop_destroy(loop);
	return 0;
}

static void open_log(void)
{
	int32_t t;

	qb_log_init("test_conn", LOG_USER, LOG_EMERG);
	qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
	t = qb_log_custom_open(keep_log, NULL, NULL, NULL);
	qb_log_filter_ctl(t, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*",
			  LOG_INFO);
	qb_log_ctl(t, QB_LOG_CONF_ENABLED, QB_TRUE);
}

#endif
