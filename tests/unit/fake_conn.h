/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_conn.h - what sender.c needs of conn.h and loop.h, without sockets and
 * without a loop: a queue of frames that the test takes out, with as little
 * room as the test wants, "soon" when the test says so, and what other threads
 * have to say when the test listens.
 *
 * A place that conn_reserve() gives out is a block of memory of its own, so
 * that a write behind its end is found.
 */
#ifndef FAKE_CONN_H
#define FAKE_CONN_H

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "loop.h"

struct conn {
	uint8_t queue[2 << 20];
	size_t used, max;     /* bytes; max may be below what is used */
	uint8_t *reserved;
	size_t reserved_cap;
	bool room_wanted;
	bool refuse_sends;    /* conn_send() has no room */
	bool down;	      /* like a conn that is not up */
	unsigned int refused; /* so often there was no room */
	void (*on_reserve)(void *ctx);
	void *ctx;
};

static inline size_t fake_room(const struct conn *c)
{
	return c->used < c->max ? c->max - c->used : 0;
}

uint8_t *conn_reserve(struct conn *c, size_t min_bytes, size_t *cap)
{
	assert(c->reserved == NULL);
	*cap = 0;
	if (c->down)
		return NULL;
	if (fake_room(c) < min_bytes) {
		c->room_wanted = true;
		c->refused++;
		return NULL;
	}
	if (c->on_reserve != NULL)
		c->on_reserve(c->ctx);
	*cap = c->reserved_cap = fake_room(c);
	c->reserved = malloc(*cap);
	assert(c->reserved != NULL);
	return c->reserved;
}

size_t conn_unsent_bytes(struct conn *c)
{
	return c->used;
}

void conn_commit(struct conn *c, size_t bytes)
{
	assert(c->reserved != NULL && bytes <= c->reserved_cap);
	memcpy(c->queue + c->used, c->reserved, bytes);
	c->used += bytes;
	free(c->reserved);
	c->reserved = NULL;
}

int conn_send(struct conn *c, const void *frame, size_t bytes)
{
	assert(c->reserved == NULL);
	if (c->down)
		return -ENOTCONN;
	if (c->refuse_sends || fake_room(c) < bytes) {
		c->room_wanted = true;
		c->refused++;
		return -EAGAIN;
	}
	memcpy(c->queue + c->used, frame, bytes);
	c->used += bytes;
	return 0;
}

void conn_want_room(struct conn *c)
{
	c->room_wanted = true;
}

/* The first frame of the queue; false when there is none. */
static inline bool fake_peek(const struct conn *c, struct wire_header *h,
			     const uint8_t **payload)
{
	if (c->used == 0)
		return false;
	assert(c->used >= WIRE_HEADER_BYTES);
	if (wire_get_header(c->queue, h) < 0)
		abort();
	assert(c->used >= WIRE_HEADER_BYTES + h->payload_bytes);
	*payload = c->queue + WIRE_HEADER_BYTES;
	return true;
}

static inline void fake_pop(struct conn *c)
{
	struct wire_header h;
	const uint8_t *payload;
	size_t n;

	if (!fake_peek(c, &h, &payload))
		return;
	n = WIRE_HEADER_BYTES + h.payload_bytes;
	c->used -= n;
	memmove(c->queue, c->queue + n, c->used);
}

/* ---- loop.h: due until run ---- */

static struct loop_soon *fake_due;
static int fake_soon_rc; /* what loop_soon() says */

void loop_soon_init(struct loop_soon *s, qb_loop_t *loop,
		    void (*fn)(void *data), void *data)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->fn = fn;
	s->data = data;
}

int loop_soon(struct loop_soon *s)
{
	if (fake_soon_rc < 0)
		return fake_soon_rc;
	assert(fake_due == NULL || fake_due == s);
	fake_due = s;
	return 0;
}

void loop_soon_cancel(struct loop_soon *s)
{
	if (fake_due == s)
		fake_due = NULL;
}

/* ---- qb/qbloop.h: the one descriptor that is polled ---- */

static struct {
	bool added;
	int32_t fd;
	qb_loop_poll_dispatch_fn fn;
	void *data;
} fake_poll;

int32_t qb_loop_poll_add(qb_loop_t *loop, enum qb_loop_priority priority,
			 int32_t fd, int32_t events, void *data,
			 qb_loop_poll_dispatch_fn fn)
{
	(void)loop;
	(void)priority;
	assert(!fake_poll.added && events == POLLIN);
	fake_poll.added = true;
	fake_poll.fd = fd;
	fake_poll.fn = fn;
	fake_poll.data = data;
	return 0;
}

int32_t qb_loop_poll_del(qb_loop_t *loop, int32_t fd)
{
	(void)loop;
	assert(fake_poll.added && fd == fake_poll.fd);
	fake_poll.added = false;
	return 0;
}

/* One turn of the loop, which waits for so long when nothing is due; false when
 * nothing was. */
static inline bool fake_turn_ms(int ms)
{
	struct loop_soon *s = fake_due;
	struct pollfd p = { .fd = fake_poll.fd, .events = POLLIN };

	fake_due = NULL;
	if (s != NULL)
		s->fn(s->data);
	if (fake_poll.added && poll(&p, 1, s != NULL ? 0 : ms) > 0) {
		fake_poll.fn(fake_poll.fd, p.revents, fake_poll.data);
		return true;
	}
	return s != NULL;
}

static inline bool fake_turn(void)
{
	return fake_turn_ms(0);
}

#endif
