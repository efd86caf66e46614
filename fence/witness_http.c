/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_http.c - see witness_http.h.
 *
 * libmicrohttpd has an epoll descriptor of its own, which the loop watches;
 * MHD_run() then does what is there to be done, without waiting.  Its time-out
 * is one of inactivity, which a byte a second satisfies; so we keep a deadline
 * for each connection, and shut its socket down, which MHD takes for its end.
 */
#include <config.h>

#include "witness_http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config_value.h"
#include "util.h"

#define HEAD_BYTES_MAX 8192
#define TLS_FILE_MAX 65536

struct listener {
	struct http *http;
	struct MHD_Daemon *mhd;
	int epoll_fd;
	qb_loop_timer_handle timer;
	bool timer_armed;
};

struct client {
	struct client *next;
	int fd;
	uint64_t deadline_ms;
	bool cut;
};

struct http {
	struct witness *w;
	qb_loop_t *loop;
	struct listener listener[WITNESS_LISTEN_MAX];
	unsigned int listeners;
	struct client *clients;
	char *tls_certificate, *tls_key; /* their text; NULL: no TLS */
};

/* One request, from its head on. */
struct request {
	struct witness_auth auth;
	char *body;
	size_t bytes, announced;
	bool over; /* answered already */
};

static struct witness_now now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct witness_now){
		.boot_ms = now_boot_ms(),
		.wall_ms = (uint64_t)ts.tv_sec * 1000 +
			   (uint64_t)ts.tv_nsec / 1000000,
	};
}

/* ---- connections ---- */

static void on_connection(void *cls, struct MHD_Connection *conn,
			  void **socket_ctx,
			  enum MHD_ConnectionNotificationCode code)
{
	struct client **at, *c;
	struct http *h = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(
			conn, MHD_CONNECTION_INFO_CONNECTION_FD);

		*socket_ctx = c = calloc(1, sizeof(*c));
		if (c == NULL)
			return; /* it has MHD's time-out */
		c->fd = info->connect_fd;
		c->deadline_ms = now().boot_ms + HTTP_REQUEST_MS;
		c->next = h->clients;
		h->clients = c;
		return;
	}
	for (at = &h->clients; (c = *at) != NULL; at = &c->next) {
		if (c == *socket_ctx) {
			*at = c->next;
			free(c);
			break;
		}
	}
	*socket_ctx = NULL;
}

void http_tick(struct http *h, uint64_t boot_ms)
{
	for (struct client *c = h->clients; c != NULL; c = c->next) {
		if (!c->cut && boot_ms >= c->deadline_ms) {
			c->cut = true;
			shutdown(c->fd, SHUT_RDWR);
		}
	}
}

static void set_deadline(struct MHD_Connection *conn, uint32_t ms)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *c = info == NULL ? NULL : info->socket_context;

	if (c != NULL)
		c->deadline_ms = now().boot_ms + ms;
}

/* ---- requests ---- */

static void on_completed(void *cls __attribute__((unused)),
			 struct MHD_Connection *conn, void **ctx,
			 enum MHD_RequestTerminationCode code)
{
	struct request *r = *ctx;

	if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		set_deadline(conn, HTTP_IDLE_MS);
	if (r != NULL)
		free(r->body);
	free(r);
	*ctx = NULL;
}

static enum MHD_Result send_reply(struct MHD_Connection *conn,
				  struct witness_reply *reply, bool close_it)
{
	struct MHD_Response *resp;
	enum MHD_Result r = MHD_NO;

	if (reply->body == NULL)
		return MHD_NO; /* out of memory: the connection ends */
	resp = MHD_create_response_from_buffer(strlen(reply->body), reply->body,
					       MHD_RESPMEM_MUST_FREE);
	if (resp == NULL) {
		free(reply->body);
		return MHD_NO;
	}
	MHD_add_response_header(resp, "Content-Type", "application/json");
	if (reply->auth[0] != '\0')
		MHD_add_response_header(resp, WITNESS_AUTH_HEADER,
					reply->auth);
	if (close_it)
		MHD_add_response_header(resp, "Connection", "close");
	r = MHD_queue_response(conn, reply->status, resp);
	MHD_destroy_response(resp);
	return r;
}

static enum MHD_Result refuse(struct MHD_Connection *conn, struct request *r,
			      unsigned int status, const char *why)
{
	struct witness_reply reply;

	r->over = true;
	witness_refusal(&reply, status, why);
	return send_reply(conn, &reply, true);
}

/* -1: not announced, or not as a number that anybody would mean. */
static int64_t body_bytes(struct MHD_Connection *conn)
{
	const char *text = MHD_lookup_connection_value(
		conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t v;

	if (text == NULL || parse_uint(text, 0, INT64_MAX, &v) < 0 ||
	    MHD_lookup_connection_value(conn, MHD_HEADER_KIND,
					MHD_HTTP_HEADER_TRANSFER_ENCODING) !=
		    NULL)
		return -1;
	return (int64_t)v;
}

static enum MHD_Result on_head(struct http *h, struct MHD_Connection *conn,
			       const char *method, const char *path, void **ctx)
{
	struct request *r = calloc(1, sizeof(*r));
	int64_t announced = body_bytes(conn);
	const char *why = "";
	unsigned int status;

	if (r == NULL)
		return MHD_NO;
	*ctx = r;
	status = witness_head(h->w, method, path, announced,
			      MHD_lookup_connection_value(conn, MHD_HEADER_KIND,
							  WITNESS_AUTH_HEADER),
			      now(), &r->auth, &why);
	if (status != 0)
		return refuse(conn, r, status, why);
	r->announced = (size_t)announced;
	r->body = malloc(r->announced + 1);
	return r->body == NULL ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn,
				  const char *path, const char *method,
				  const char *version __attribute__((unused)),
				  const char *data, size_t *bytes, void **ctx)
{
	struct request *r = *ctx;
	struct http *h = cls;
	struct witness_reply reply;

	if (r == NULL)
		return on_head(h, conn, method, path, ctx);
	if (*bytes > 0) {
		if (!r->over && *bytes > r->announced - r->bytes)
			return MHD_NO;
		if (!r->over) {
			memcpy(r->body + r->bytes, data, *bytes);
			r->bytes += *bytes;
		}
		*bytes = 0;
		return MHD_YES;
	}
	if (r->over)
		return MHD_YES;
	r->over = true;
	witness_request(h->w, path, &r->auth, r->body, r->bytes, now(),
			&reply);
	return send_reply(conn, &reply, reply.status == 401);
}

/* ---- the loop ---- */

static void on_timer(void *data);

static void run(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(l->mhd);
	if (l->timer_armed)
		qb_loop_timer_del(l->http->loop, l->timer);
	l->timer_armed = false;
	if (MHD_get_timeout(l->mhd, &ms) == MHD_YES)
		l->timer_armed = qb_loop_timer_add(
					 l->http->loop, QB_LOOP_MED,
					 ms * QB_TIME_NS_IN_MSEC, l, on_timer,
					 &l->timer) == 0;
}

static void on_timer(void *data)
{
	struct listener *l = data;

	l->timer_armed = false;
	run(l);
}

static int32_t on_epoll(int32_t fd __attribute__((unused)),
			int32_t revents __attribute__((unused)), void *data)
{
	run(data);
	return 0;
}

/* ---- setting up ---- */

static int listen_on(const struct vm_node *n, char *err, size_t err_bytes)
{
	int fd, rc, on = 1;

	fd = socket(n->addr.ss_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (n->addr.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&n->addr, n->addr_bytes) < 0 ||
	    listen(fd, 128) < 0)
		goto fail;
	return fd;
fail:
	rc = -errno;
	if (fd >= 0)
		close(fd);
	return set_err(err, err_bytes, rc, "cannot listen on %s: %s",
		       n->address, strerror(-rc));
}

static struct MHD_Daemon *start_mhd(struct http *h, int fd)
{
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, h->tls_certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, h->tls_key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0,
		  (char *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	bool with_tls = h->tls_certificate != NULL;

	return MHD_start_daemon(
		MHD_USE_EPOLL |
			(with_tls ? MHD_USE_TLS : 0),
		0, NULL, NULL, on_request, h, MHD_OPTION_ARRAY,
		with_tls ? tls : none, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, HTTP_PER_ADDRESS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_MS / 1000 + 1,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_END);
}

static int add_listener(struct http *h, const struct vm_node *n, char *err,
			size_t err_bytes)
{
	struct listener *l = &h->listener[h->listeners];
	int fd = listen_on(n, err, err_bytes);

	if (fd < 0)
		return fd;
	l->http = h;
	l->mhd = start_mhd(h, fd);
	if (l->mhd == NULL) {
		close(fd);
		return set_err(err, err_bytes, -EIO,
			       "cannot serve on %s%s", n->address,
			       h->tls_certificate != NULL
				       ? ": certificate and key are no pair, "
					 "or no TLS in libmicrohttpd"
				       : "");
	}
	h->listeners++;
	l->epoll_fd = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD)
			      ->epoll_fd;
	if (qb_loop_poll_add(h->loop, QB_LOOP_MED, l->epoll_fd, POLLIN, l,
			     on_epoll) < 0)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	run(l);
	return 0;
}

static int read_text(char **out, const char *path, char *err, size_t err_bytes)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	*out = f == NULL ? NULL : calloc(1, TLS_FILE_MAX + 1);
	if (*out != NULL)
		n = fread(*out, 1, TLS_FILE_MAX, f);
	if (f != NULL)
		fclose(f);
	if (n == 0)
		return set_err(err, err_bytes, -EINVAL, "%s: cannot read it",
			       path);
	return 0;
}

int http_new(struct http **out, const struct witness_config *c,
	     struct witness *w, qb_loop_t *loop, char *err, size_t err_bytes)
{
	struct http *h = calloc(1, sizeof(*h));
	int rc = 0;

	*out = NULL;
	if (h == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	h->w = w;
	h->loop = loop;
	if (c->tls_certificate != NULL) {
		rc = read_text(&h->tls_certificate, c->tls_certificate, err,
			       err_bytes);
		if (rc == 0)
			rc = read_text(&h->tls_key, c->tls_key, err, err_bytes);
	}
	for (unsigned int i = 0; i < c->listens && rc == 0; i++)
		rc = add_listener(h, &c->listen[i], err, err_bytes);
	if (rc < 0)
		http_free(h);
	else
		*out = h;
	return rc;
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	for (unsigned int i = 0; i < h->listeners; i++) {
		struct listener *l = &h->listener[i];

		qb_loop_poll_del(h->loop, l->epoll_fd);
		if (l->timer_armed)
			qb_loop_timer_del(h->loop, l->timer);
		MHD_stop_daemon(l->mhd); /* tells on_connection() of each */
	}
	if (h->tls_key != NULL)
		explicit_bzero(h->tls_key, TLS_FILE_MAX);
	free(h->tls_certificate);
	free(h->tls_key);
	free(h);
}
