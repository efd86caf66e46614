/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim_net.c - conn.h, as a network in memory.
 *
 * A connection is two ends.  Each end has a queue; frames leave it at the speed
 * of the link, and arrive in order.  A cut holds back what leaves and what is
 * under way, as TCP does; an end that hears nothing for its time-out goes down,
 * and what was not delivered by then is lost.  So an end always sees the
 * beginning of what the other one sent, of any length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_net.h"

static struct {
	struct link *links;
	struct conn_listener *listener[2];
	bool cut[2]; /* what comes from that node */
} net;

static void pump_flying(struct conn *c);

/* ---- queues of packets ---- */

void fifo_init(struct fifo *f)
{
	f->head = NULL;
	f->tail = &f->head;
}

void fifo_put(struct fifo *f, struct packet *p)
{
	p->next = NULL;
	*f->tail = p;
	f->tail = &p->next;
}

struct packet *fifo_take(struct fifo *f)
{
	struct packet *p = f->head;

	f->head = p->next;
	if (f->head == NULL)
		f->tail = &f->head;
	return p;
}

static void fifo_clear(struct fifo *f)
{
	while (f->head != NULL)
		free(fifo_take(f));
}

struct packet *packet_new(const void *data, size_t bytes, int rc)
{
	struct packet *p = calloc(1, sizeof(*p) + bytes);

	if (p == NULL)
		abort();
	p->bytes = bytes;
	p->rc = rc;
	if (bytes > 0)
		memcpy(p->data, data, bytes);
	return p;
}

/* ---- who can hear whom ---- */

static bool alive(const struct conn *c)
{
	return c->node->vm != NULL && c->node->life == c->life &&
	       !c->node->crashed;
}

/* Nothing comes from this end, not even a heartbeat. */
static bool silent(const struct conn *c)
{
	return net.cut[c->node->id] ||
	       (!alive(c) && !c->farewell) ||
	       (alive(c) && frozen(c->node));
}

/* What was not sent is lost, and the other end will be told. */
static void reset_end(struct conn *c)
{
	c->state = END_CLOSED;
	fifo_clear(&c->queue);
	c->queued = 0;
	fifo_put(&c->queue, packet_new(NULL, 0, -ECONNRESET));
	c->farewell = true;
	pump_queue(c);
}

static void end_down(struct conn *c, int rc, const char *why)
{
	if (c->state == END_CLOSED)
		return;
	say("%s: connection down: %s", c->node->name, why);
	reset_end(c);
	c->p.ops->down(c->p.ctx, c, rc, why);
}

static void watch(void *data, uint64_t arg)
{
	struct conn *c = data;
	uint64_t limit = (uint64_t)c->p.timeout_ms * MS;

	(void)arg;
	if (c->state != END_UP)
		return;
	c->awake_at = world.now;
	if (!silent(c->peer))
		c->heard_at = world.now;
	if (world.now - c->heard_at >= limit) {
		end_down(c, -ETIMEDOUT, "silence");
		return;
	}
	world_at(limit / 4 + rnd(limit / 8), c->node, watch, c, 0);
}

static void end_up(struct conn *c)
{
	c->state = END_UP;
	c->heard_at = world.now;
	watch(c, 0);
	c->p.ops->up(c->p.ctx, c);
}

/* ---- frames on their way ---- */

static void give_room(void *data, uint64_t arg)
{
	struct conn *c = data;

	(void)arg;
	if (c->state != END_UP || !c->wants_room ||
	    c->queued > world.k.conn_queue / 2)
		return;
	c->wants_room = false;
	c->p.ops->room(c->p.ctx, c);
}

void offer_room(struct conn *c)
{
	if (c->wants_room && c->queued <= world.k.conn_queue / 2)
		world_at(rnd_delay(world.k.job_ns), c->node, give_room, c, 0);
}

static void sent(void *data, uint64_t arg)
{
	struct conn *c = data;
	struct packet *p;

	(void)arg;
	c->sending = false;
	if (c->queue.head == NULL || net.cut[c->node->id])
		return;
	p = fifo_take(&c->queue);
	c->queued -= p->bytes;
	p->arrives = world.now + rnd_delay(world.k.latency_ns);
	if (p->arrives < c->last_arrival)
		p->arrives = c->last_arrival;
	c->last_arrival = p->arrives;
	fifo_put(&c->flying, p);
	pump_flying(c);
	pump_queue(c);
	if (c->state == END_UP && alive(c))
		offer_room(c);
}

void pump_queue(struct conn *c)
{
	uint64_t ns = 0;

	if (c->sending || c->queue.head == NULL || net.cut[c->node->id])
		return;
	if (world.k.bytes_per_sec != 0)
		ns = (uint64_t)c->queue.head->bytes * SEC /
		     world.k.bytes_per_sec;
	c->sending = true;
	world_at(ns, NULL, sent, c, 0);
}

static void deliver(struct conn *to, struct packet *p)
{
	struct wire_header h;

	if (p->bytes == 0) {
		end_down(to, p->rc, "closed by the peer");
		return;
	}
	if (wire_get_header(p->data, &h) < 0 ||
	    h.payload_bytes != p->bytes - WIRE_HEADER_BYTES) {
		violate("wire: a malformed frame was sent");
		return;
	}
	to->p.ops->frame(to->p.ctx, to, h.type, p->data + WIRE_HEADER_BYTES,
			 h.payload_bytes);
}

/* Runs in the life of the receiving node. */
static void landed(void *data, uint64_t arg)
{
	struct conn *c = data;
	struct packet *p;

	(void)arg;
	c->landing = false;
	if (c->flying.head == NULL || net.cut[c->node->id] ||
	    c->peer->state != END_UP)
		return;
	p = fifo_take(&c->flying);
	deliver(c->peer, p);
	free(p);
	pump_flying(c);
}

static void pump_flying(struct conn *c)
{
	struct conn *to = c->peer;
	uint64_t at;

	if (c->landing || c->flying.head == NULL || net.cut[c->node->id] ||
	    to->state != END_UP || !alive(to))
		return;
	at = c->flying.head->arrives;
	c->landing = true;
	world_at(at > world.now ? at - world.now : 0, to->node, landed, c, 0);
}

/* ---- connecting ---- */

static void init_end(struct link *l, int i, struct node *n,
		     const struct conn_params *p)
{
	struct conn *c = &l->end[i];

	memset(c, 0, sizeof(*c));
	c->link = l;
	c->peer = &l->end[!i];
	c->node = n;
	c->life = n->life;
	if (p != NULL)
		c->p = *p;
	fifo_init(&c->queue);
	fifo_init(&c->flying);
}

static void server_up(void *data, uint64_t arg)
{
	struct conn *c = data;

	(void)arg;
	if (net.listener[c->node->id] == NULL || c->state != END_NEW)
		return;
	end_up(c);
	if (c->state == END_UP)
		pump_flying(c->peer);
}

static void try_connect(void *data, uint64_t began)
{
	struct conn *c = data;
	struct node *to = other(c->node);
	struct conn_listener *l = net.listener[to->id];

	if (c->state != END_NEW)
		return;
	if (world.now - began >= (uint64_t)c->p.timeout_ms * MS) {
		end_down(c, -ETIMEDOUT, "cannot connect: time-out");
		return;
	}
	if (net.cut[0] || net.cut[1] || frozen(to) ||
	    (to->vm == NULL && to->host_crash)) {
		world_at(rnd_in(5 * MS, 50 * MS), c->node, try_connect, c,
			 began);
		return;
	}
	if (to->vm == NULL || l == NULL) {
		end_down(c, -ECONNREFUSED, "cannot connect: refused");
		return;
	}
	init_end(c->link, 1, to, &l->p);
	world_at(rnd_delay(world.k.latency_ns), to, server_up, c->peer, 0);
	end_up(c);
}

int conn_connect(struct conn **out, const struct conn_params *p,
		 const struct sockaddr *addr, socklen_t addr_bytes, char *err,
		 size_t err_bytes)
{
	struct node *n = node_of_loop(p->loop);
	struct link *l = calloc(1, sizeof(*l));

	(void)addr;
	(void)addr_bytes;
	(void)err;
	(void)err_bytes;
	if (l == NULL)
		abort();
	l->next = net.links;
	net.links = l;
	init_end(l, 0, n, p);
	init_end(l, 1, other(n), NULL); /* until somebody answers */
	*out = &l->end[0];
	if (effect(n))
		world_at(rnd_delay(2 * world.k.latency_ns), n, try_connect,
			 *out, world.now);
	return 0;
}

int conn_listen(struct conn_listener **out, const struct conn_params *p,
		const struct sockaddr *addr, socklen_t addr_bytes, char *err,
		size_t err_bytes)
{
	struct node *n = node_of_loop(p->loop);
	struct conn_listener *l = calloc(1, sizeof(*l));

	(void)addr;
	(void)addr_bytes;
	(void)err;
	(void)err_bytes;
	if (l == NULL)
		abort();
	l->node = n;
	l->p = *p;
	net.listener[n->id] = l;
	*out = l;
	return 0;
}

void conn_listener_close(struct conn_listener *l)
{
	net.listener[l->node->id] = NULL;
	free(l);
}

/* ---- what the world does to it ---- */

void net_cut(bool from_a, bool from_b)
{
	bool healed[2] = { net.cut[0] && !from_a, net.cut[1] && !from_b };

	if (net.cut[0] != from_a || net.cut[1] != from_b)
		say("network: from a %s, from b %s", from_a ? "cut" : "whole",
		    from_b ? "cut" : "whole");
	net.cut[0] = from_a;
	net.cut[1] = from_b;
	for (struct link *l = net.links; l != NULL; l = l->next)
		for (int i = 0; i < 2; i++)
			if (healed[l->end[i].node->id]) {
				pump_queue(&l->end[i]);
				pump_flying(&l->end[i]);
			}
}

bool net_is_cut(void)
{
	return net.cut[0] || net.cut[1];
}

/* Called when the node's life ends: its kernel says so, or died too. */
void net_node_gone(struct node *n)
{
	for (struct link *l = net.links; l != NULL; l = l->next)
		for (int i = 0; i < 2; i++) {
			struct conn *c = &l->end[i];

			if (c->node != n || c->life != n->life ||
			    c->p.ops == NULL || c->farewell)
				continue;
			if (!n->host_crash) {
				reset_end(c);
				continue;
			}
			c->state = END_CLOSED;
			fifo_clear(&c->queue);
			c->queued = 0;
		}
}

unsigned int net_open_ends(const struct node *n)
{
	unsigned int count = net.listener[n->id] != NULL;

	for (struct link *l = net.links; l != NULL; l = l->next)
		for (int i = 0; i < 2; i++)
			count += l->end[i].node == n &&
				 l->end[i].life == n->life &&
				 l->end[i].state == END_UP;
	return count;
}

void net_clear(void)
{
	while (net.links != NULL) {
		struct link *l = net.links;

		net.links = l->next;
		for (int i = 0; i < 2; i++) {
			fifo_clear(&l->end[i].queue);
			fifo_clear(&l->end[i].flying);
			free(l->end[i].reserved);
		}
		free(l);
	}
}

void net_reset(void)
{
	net_clear();
	net.cut[0] = net.cut[1] = false;
}
