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

#include "conn.h"
#include "sim.h"

struct packet {
	struct packet *next;
	uint64_t arrives;
	size_t bytes; /* 0: the end of the connection */
	int rc;
	uint8_t data[];
};

struct fifo {
	struct packet *head, **tail;
};

enum end_state { END_NEW = 0, END_UP, END_CLOSED };

struct conn {
	struct link *link;
	struct conn *peer;
	struct node *node;
	unsigned int life;
	enum end_state state;
	struct conn_params p;
	struct fifo queue;  /* in our memory and the kernel's */
	struct fifo flying; /* from us, not arrived yet */
	size_t queued;
	bool sending, landing; /* an event is under way for it */
	bool wants_room, farewell;
	uint64_t heard_at, awake_at, last_arrival;
	uint8_t *reserved;
	size_t reserved_bytes;
};

/* Kept until the schedule ends, so that a call on a closed conn is found. */
struct link {
	struct link *next;
	struct conn end[2]; /* client, server */
	bool begun;
};

struct conn_listener {
	struct node *node;
	struct conn_params p;
};

static struct {
	struct link *links;
	struct conn_listener *listener[2];
	bool cut[2]; /* what comes from that node */
} net;

static void pump_queue(struct conn *c);
static void pump_flying(struct conn *c);

/* ---- queues of packets ---- */

static void fifo_init(struct fifo *f)
{
	f->head = NULL;
	f->tail = &f->head;
}

static void fifo_put(struct fifo *f, struct packet *p)
{
	p->next = NULL;
	*f->tail = p;
	f->tail = &p->next;
}

static struct packet *fifo_take(struct fifo *f)
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

static struct packet *packet_new(const void *data, size_t bytes, int rc)
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

static void offer_room(struct conn *c)
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

static void pump_queue(struct conn *c)
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

/* ---- sending ---- */

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
	return world.now - c->awake_at >= (uint64_t)c->p.timeout_ms * MS;
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
