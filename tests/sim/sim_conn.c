/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_conn.c - what the daemon calls of conn.h on a connection that it has;
 * sim_net.c carries it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_net.h"

static bool usable(const struct conn *c, const char *what)
{
	if (c->state != END_CLOSED)
		return true;
	violate("conn: %s on a connection that is over", what);
	return false;
}

static void note_begin(struct conn *c, const uint8_t *frame, size_t bytes)
{
	struct wire_begin b;

	if (frame[4] != WIRE_BEGIN)
		return;
	world.n->epochs++;
	if (c->link->begun ||
	    wire_get_begin(frame + WIRE_HEADER_BYTES,
			   bytes - WIRE_HEADER_BYTES, &b) < 0)
		return;
	c->link->begun = true;
	if ((b.flags & WIRE_BEGIN_DIRECT) != 0)
		world.n->full++;
	else
		world.n->partial++;
}

static void note_refusal(struct conn *c, const uint8_t *frame, size_t bytes)
{
	struct wire_refuse r;

	if (frame[4] != WIRE_REFUSE ||
	    wire_get_refuse(frame + WIRE_HEADER_BYTES,
			    bytes - WIRE_HEADER_BYTES, &r) < 0)
		return;
	say("%s: refuses: %s", c->node->name, r.text);
	/* Nothing here corrupts a byte: the two daemons broke the rule. */
	if (r.code == WIRE_REFUSE_DIGEST)
		violate("S5: %s found a wrong digest", c->node->name);
	if (r.code == WIRE_REFUSE_PROTOCOL)
		violate("protocol: %s refused: %s", c->node->name, r.text);
}

static void enqueue(struct conn *c, const uint8_t *data, size_t bytes)
{
	while (bytes > 0) {
		struct wire_header h;
		size_t n;

		if (wire_get_header(data, &h) < 0 ||
		    WIRE_HEADER_BYTES + h.payload_bytes > bytes) {
			violate("wire: a malformed frame was queued");
			return;
		}
		n = WIRE_HEADER_BYTES + h.payload_bytes;
		note_begin(c, data, n);
		note_refusal(c, data, n);
		fifo_put(&c->queue, packet_new(data, n, 0));
		c->queued += n;
		data += n;
		bytes -= n;
	}
	pump_queue(c);
}

int conn_send(struct conn *c, const void *frame, size_t bytes)
{
	if (!effect(c->node))
		return 0;
	if (!usable(c, "conn_send") || c->state != END_UP)
		return -ENOTCONN;
	if (c->queued + bytes > world.k.conn_queue) {
		c->wants_room = true;
		return -EAGAIN;
	}
	enqueue(c, frame, bytes);
	return 0;
}

uint8_t *conn_reserve(struct conn *c, size_t min_bytes, size_t *cap)
{
	size_t room;

	if (!usable(c, "conn_reserve") || c->state != END_UP)
		return NULL;
	room = world.k.conn_queue - c->queued;
	if (room < min_bytes) {
		c->wants_room = true;
		offer_room(c); /* as when it empties inside this call */
		return NULL;
	}
	if (c->reserved_bytes < room) {
		free(c->reserved);
		c->reserved = malloc(room);
		c->reserved_bytes = room;
		if (c->reserved == NULL)
			abort();
	}
	*cap = room;
	return c->reserved;
}

void conn_commit(struct conn *c, size_t bytes)
{
	if (!effect(c->node) || !usable(c, "conn_commit") || bytes == 0)
		return;
	enqueue(c, c->reserved, bytes);
}

void conn_want_room(struct conn *c)
{
	c->wants_room = true;
	offer_room(c);
}

size_t conn_unsent_bytes(struct conn *c)
{
	return c->queued;
}

bool conn_overslept(const struct conn *c)
{
	return world.now >= conn_awake_until(c);
}

uint64_t conn_awake_until(const struct conn *c)
{
	return c->awake_at + (uint64_t)c->p.timeout_ms * MS;
}

void conn_stats(const struct conn *c, struct conn_stats *out)
{
	(void)c;
	memset(out, 0, sizeof(*out));
}

const char *conn_peer_str(const struct conn *c)
{
	return c->peer->node->name;
}

/* The kernel has taken some of what was queued; then comes the end. */
static void farewell(struct conn *c, int rc)
{
	size_t keep = one_in(3) ? rnd(4) : SIZE_MAX;
	struct fifo all = c->queue;

	if (all.head == NULL)
		all.tail = &all.head;
	fifo_init(&c->queue);
	while (all.head != NULL) {
		struct packet *p = fifo_take(&all);

		if (keep == 0) {
			free(p);
			continue;
		}
		keep -= keep != SIZE_MAX;
		fifo_put(&c->queue, p);
	}
	fifo_put(&c->queue, packet_new(NULL, 0, rc));
	c->farewell = true;
	pump_queue(c);
}

void conn_close(struct conn *c)
{
	if (c == NULL || !usable(c, "conn_close"))
		return;
	if (c->node->crashed) {
		c->state = END_CLOSED;
		return;
	}
	if (c->state == END_UP)
		farewell(c, -ESHUTDOWN);
	c->state = END_CLOSED;
}
