/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.c - see conn.h.
 *
 *   CONNECTING --TCP is up--> HANDSHAKE --key proved--> UP
 *        '------------------------'---------------------'--> DEAD
 *
 * Everything begins in one of three loop callbacks: on_fd(), on_timer() and
 * on_kick().  Each holds the conn (hold/let_go) while owner's callbacks run, so
 * that conn_close() from inside one frees it only when the last has returned.
 *
 * What no poll would tell (bytes that TLS holds, a wish for room()) comes back
 * through a kick: a timer of 0 ns.  It is no qb_loop job, because qb_loop may
 * sleep up to 50 ms before it runs a job when there is nothing else to do.
 */
#include "conn_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util.h"

#define PRIORITY QB_LOOP_MED

static int32_t on_fd(int32_t fd, int32_t revents, void *data);
static void on_timer(void *data);
static void on_kick(void *data);

/* ---- life and death ---- */

static void conn_free(struct conn *c)
{
	ring_free(&c->out);
	free(c->in);
	free(c);
}

static void hold(struct conn *c)
{
	c->holds++;
}

static void let_go(struct conn *c)
{
	if (--c->holds == 0 && c->state == DEAD)
		conn_free(c);
}

/* Give everything back but the memory; no event comes from here on. */
void conn_tear_down(struct conn *c)
{
	c->state = DEAD;
	if (c->timer != 0)
		qb_loop_timer_del(c->loop, c->timer);
	if (c->kick != 0)
		qb_loop_timer_del(c->loop, c->kick);
	c->timer = c->kick = 0;
	if (c->events != 0)
		qb_loop_poll_del(c->loop, c->fd);
	tls_destroy(c->tls);
	c->tls = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* The end, found out in the loop.  The caller holds the conn. */
void conn_end(struct conn *c, int rc, const char *what)
{
	struct conn_listener *listener = c->listener;
	char why[CONN_WHY_MAX];

	assert(c->holds > 0 && c->state != DEAD);
	snprintf(why, sizeof(why), "%s: %s", c->peer, what);
	c->listener = NULL;
	conn_tear_down(c);
	if (listener != NULL)
		conn_listener_drop(listener, c, why);
	else
		c->ops->down(c->ctx, c, rc, why);
}

void conn_kick(struct conn *c)
{
	if (c->kick == 0 && c->state != DEAD)
		qb_loop_timer_add(c->loop, PRIORITY, 0, c, on_kick, &c->kick);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void arm_timer(struct conn *c)
{
	uint64_t now = now_mono_ns();
	uint64_t timeout = c->timeout_ms * NS_PER_MS;
	uint64_t due = c->began_ns + timeout;

	if (c->state == UP)
		due = sooner(c->received_ns + timeout,
			     c->probed_ns + c->heartbeat_ms * NS_PER_MS);
	qb_loop_timer_add(c->loop, PRIORITY, due > now ? due - now : 0, c,
			  on_timer, &c->timer);
}

/* What the state wants to hear from the poll. */
void conn_poll(struct conn *c)
{
	int events = POLLIN;

	if (c->state == DEAD)
		return;
	if (c->state == CONNECTING)
		events = POLLOUT;
	else if (c->state == HANDSHAKE)
		events = tls_wants_write(c->tls) ? POLLOUT : POLLIN;
	else if (c->out.used > 0 && c->send_rc == 0)
		events = POLLIN | POLLOUT;
	if (events == c->events)
		return;
	qb_loop_poll_mod(c->loop, PRIORITY, c->fd, events, c, on_fd);
	c->events = events;
}

/* ---- coming up ---- */

static void come_up(struct conn *c)
{
	struct conn_listener *listener = c->listener;
	int rc;

	rc = ring_init(&c->out, CONN_QUEUE_MAX);
	c->in = malloc(CONN_FRAME_MAX);
	if (rc < 0 || c->in == NULL) {
		conn_end(c, rc < 0 ? rc : -ENOMEM, "no memory for the queues");
		return;
	}
	c->listener = NULL;
	if (listener != NULL)
		conn_listener_drop(listener, c, NULL);
	c->state = UP;
	c->received_ns = now_mono_ns();
	conn_send_probe(c);
	if (c->timer != 0)
		qb_loop_timer_del(c->loop, c->timer);
	arm_timer(c);
	if (tls_pending(c->tls))
		conn_kick(c);
	conn_poll(c);
	c->ops->up(c->ctx, c);
}

static void shake_hands(struct conn *c)
{
	char why[CONN_WHY_MAX];
	int rc = tls_handshake(c->tls, why, sizeof(why));

	if (rc == 0)
		come_up(c);
	else if (rc == -EAGAIN)
		conn_poll(c);
	else
		conn_end(c, rc, why);
}

static void finish_connect(struct conn *c)
{
	int r = 0;
	socklen_t bytes = sizeof(r);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &r, &bytes) < 0)
		r = errno;
	if (r != 0) {
		conn_end(c, -r, strerror(r));
		return;
	}
	c->state = HANDSHAKE;
	shake_hands(c);
}

/* ---- the loop's callbacks ---- */

static int32_t on_fd(int32_t fd, int32_t revents, void *data)
{
	struct conn *c = data;

	(void)fd;
	hold(c);
	switch (c->state) {
	case CONNECTING:
		finish_connect(c);
		break;
	case HANDSHAKE:
		shake_hands(c);
		break;
	case UP:
		if ((revents & POLLOUT) != 0)
			conn_send_some(c);
		if (c->state == UP && (revents & ~POLLOUT) != 0)
			conn_receive_some(c);
		break;
	case DEAD:
		break;
	}
	let_go(c);
	return 0;
}

static void on_kick(void *data)
{
	struct conn *c = data;

	c->kick = 0;
	hold(c);
	if (c->state == UP)
		conn_receive_some(c);
	conn_offer_room(c);
	let_go(c);
}

static void check_silence(struct conn *c)
{
	char why[64];

	/* We may have been stopped ourselves; what came meanwhile counts. */
	if (now_mono_ns() - c->received_ns >= c->timeout_ms * NS_PER_MS)
		conn_receive_some(c);
	if (c->state != UP ||
	    now_mono_ns() - c->received_ns < c->timeout_ms * NS_PER_MS)
		return;
	snprintf(why, sizeof(why), "silent for %" PRIu32 " ms", c->timeout_ms);
	conn_end(c, -ETIMEDOUT, why);
}

static void on_timer(void *data)
{
	struct conn *c = data;
	uint64_t age = now_mono_ns() - c->began_ns;

	c->timer = 0;
	hold(c);
	if (c->state == UP)
		check_silence(c);
	else if (age >= c->timeout_ms * NS_PER_MS)
		conn_end(c, -ETIMEDOUT, c->state == CONNECTING ?
					   "no answer to connect" :
					   "no answer in the TLS handshake");
	if (c->state == UP &&
	    now_mono_ns() - c->probed_ns >= c->heartbeat_ms * NS_PER_MS)
		conn_send_probe(c);
	if (c->state != DEAD)
		arm_timer(c);
	let_go(c);
}

/* ---- making one ---- */

void conn_addr_to_str(char out[CONN_PEER_MAX], const struct sockaddr *addr,
		      socklen_t addr_bytes)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getnameinfo(addr, addr_bytes, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(out, CONN_PEER_MAX, "?");
	else if (addr->sa_family == AF_INET6)
		snprintf(out, CONN_PEER_MAX, "[%.60s]:%.8s", host, port);
	else
		snprintf(out, CONN_PEER_MAX, "%.60s:%.8s", host, port);
}

/* Best effort: without these the conn is slower, or finds out later. */
static void set_options(int fd, uint32_t timeout_ms)
{
	int on = 1;
	unsigned int ms = timeout_ms;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* Takes `fd`, also on failure. */
static int conn_new(struct conn **out, const struct conn_params *p, int fd,
		    enum tls_side side, const char *peer, char *err,
		    size_t err_bytes)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (c == NULL) {
		close(fd);
		return set_err(err, err_bytes, -ENOMEM, "%s: out of memory",
			       peer);
	}
	c->state = side == TLS_CLIENT ? CONNECTING : HANDSHAKE;
	c->loop = p->loop;
	c->fd = fd;
	c->ops = p->ops;
	c->ctx = p->ctx;
	c->heartbeat_ms = p->heartbeat_ms;
	c->timeout_ms = p->timeout_ms;
	c->began_ns = now_mono_ns();
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	set_options(fd, p->timeout_ms);
	rc = tls_create(&c->tls, side, fd, p->psk_identity, p->psk,
			p->psk_bytes, err, err_bytes);
	if (rc == 0) {
		int events = side == TLS_CLIENT ? POLLOUT : POLLIN;

		rc = qb_loop_poll_add(c->loop, PRIORITY, fd, events, c, on_fd);
		if (rc < 0)
			set_err(err, err_bytes, rc, "%s: cannot poll: %s", peer,
				strerror(-rc));
		else
			c->events = events;
	}
	if (rc < 0) {
		conn_tear_down(c);
		conn_free(c);
		return rc;
	}
	arm_timer(c);
	*out = c;
	return 0;
}

int conn_accepted(struct conn **out, const struct conn_params *p, int fd,
		  const char *peer, struct conn_listener *listener, char *err,
		  size_t err_bytes)
{
	int rc = conn_new(out, p, fd, TLS_SERVER, peer, err, err_bytes);

	if (rc == 0)
		(*out)->listener = listener;
	return rc;
}

int conn_connect(struct conn **out, const struct conn_params *p,
		 const struct sockaddr *addr, socklen_t addr_bytes, char *err,
		 size_t err_bytes)
{
	char peer[CONN_PEER_MAX];
	int fd, rc;

	*out = NULL;
	conn_addr_to_str(peer, addr, addr_bytes);
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0 || (connect(fd, addr, addr_bytes) < 0 &&
		       errno != EINPROGRESS)) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return set_err(err, err_bytes, rc, "%s: %s", peer,
			       strerror(-rc));
	}
	return conn_new(out, p, fd, TLS_CLIENT, peer, err, err_bytes);
}

/* ---- the owner's calls ---- */

uint8_t *conn_reserve(struct conn *c, size_t min_bytes, size_t *cap)
{
	assert(min_bytes <= CONN_FRAME_MAX);
	*cap = 0;
	if (c->state != UP)
		return NULL;
	if (ring_room(&c->out) < min_bytes) {
		c->room_wanted = true;
		return NULL;
	}
	*cap = ring_room(&c->out);
	return ring_tail(&c->out);
}

void conn_commit(struct conn *c, size_t bytes)
{
	if (c->state != UP || bytes == 0)
		return;
	ring_produce(&c->out, bytes);
	conn_poll(c);
}

int conn_send(struct conn *c, const void *frame, size_t bytes)
{
	size_t cap;
	uint8_t *at;

	if (c->state != UP)
		return -ENOTCONN;
	at = conn_reserve(c, bytes, &cap);
	if (at == NULL)
		return -EAGAIN;
	memcpy(at, frame, bytes);
	conn_commit(c, bytes);
	return 0;
}

void conn_want_room(struct conn *c)
{
	if (c->state != UP)
		return;
	c->room_wanted = true;
	if (c->out.used <= CONN_QUEUE_MAX / 2)
		conn_kick(c);
}

size_t conn_unsent_bytes(struct conn *c)
{
	int kernel = 0;

	if (c->fd < 0 || ioctl(c->fd, SIOCOUTQ, &kernel) < 0 || kernel < 0)
		kernel = 0;
	return c->out.used + (size_t)kernel;
}

bool conn_overslept(const struct conn *c)
{
	return now_boot_ns() >= conn_awake_until(c);
}

uint64_t conn_awake_until(const struct conn *c)
{
	return c->slept ? 0 : c->awake_boot_ns + c->timeout_ms * NS_PER_MS;
}

void conn_stats(const struct conn *c, struct conn_stats *out)
{
	*out = c->stats;
}

const char *conn_peer_str(const struct conn *c)
{
	return c->peer;
}

void conn_close(struct conn *c)
{
	if (c == NULL || c->state == DEAD)
		return;
	hold(c);
	conn_close_gently(c);
	let_go(c);
}
