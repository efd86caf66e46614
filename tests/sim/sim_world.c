/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_world.c - random numbers, the virtual clock and event queue, and qb_loop
 * on top of it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "sim.h"
#include "util.h"

struct event {
	uint64_t at, seq;
	uint64_t id; /* stays when a frozen node makes it late */
	struct node *node;
	unsigned int life;
	world_fn fn;		/* NULL: cancelled */
	void (*qb_fn)(void *);	/* set: a timer or job of the daemon's */
	void *data;
	uint64_t arg;
	bool job;
};

struct world world;

static struct {
	struct event *v;
	size_t n, cap;
	uint64_t seq;
} heap;

/* ---- random numbers ---- */

uint64_t mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t rnd64(void)
{
	world.rng += 0x9e3779b97f4a7c15u;
	return mix64(world.rng);
}

uint64_t rnd(uint64_t n)
{
	return n == 0 ? 0 : rnd64() % n;
}

uint64_t rnd_in(uint64_t low, uint64_t high)
{
	return low + rnd(high - low + 1);
}

bool one_in(uint64_t n)
{
	return n != 0 && rnd(n) == 0;
}

uint64_t rnd_delay(uint64_t mean_ns)
{
	if (one_in(200))
		return rnd(mean_ns * 400 + 1);
	return rnd(2 * mean_ns + 1);
}

/* ---- the queue ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void swap(size_t i, size_t j)
{
	struct event e = heap.v[i];

	heap.v[i] = heap.v[j];
	heap.v[j] = e;
}

static struct event *push(uint64_t delay_ns, struct node *n)
{
	size_t i = heap.n;
	struct event e = { .at = world.now + delay_ns, .node = n,
			   .life = n == NULL ? 0 : n->life };

	if (heap.n == heap.cap) {
		heap.cap = heap.cap == 0 ? 256 : heap.cap * 2;
		heap.v = realloc(heap.v, heap.cap * sizeof(*heap.v));
		if (heap.v == NULL)
			abort();
	}
	e.seq = e.id = ++heap.seq;
	heap.v[heap.n++] = e;
	for (; i > 0 && before(&heap.v[i], &heap.v[(i - 1) / 2]);
	     i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
	return &heap.v[i];
}

static struct event pop(void)
{
	struct event e = heap.v[0];
	size_t i = 0;

	heap.v[0] = heap.v[--heap.n];
	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= heap.n)
			return e;
		if (c + 1 < heap.n && before(&heap.v[c + 1], &heap.v[c]))
			c++;
		if (!before(&heap.v[c], &heap.v[i]))
			return e;
		swap(i, c);
		i = c;
	}
}

uint64_t world_at(uint64_t delay_ns, struct node *n, world_fn fn, void *data,
		  uint64_t arg)
{
	struct event *e = push(delay_ns, n);

	e->fn = fn;
	e->data = data;
	e->arg = arg;
	return e->id;
}

static void call_qb(void *data, uint64_t arg)
{
	(void)data;
	(void)arg; /* world_step() knows */
}

static void run(const struct event *e)
{
	if (e->qb_fn == NULL) {
		e->fn(e->data, e->arg);
		return;
	}
	e->node->jobs--;
	e->qb_fn(e->data);
}

bool world_step(void)
{
	struct event e;

	if (heap.n == 0)
		return false;
	e = pop();
	world.now = e.at;
	if (e.fn == NULL)
		return true;
	if (e.node != NULL &&
	    (e.node->life != e.life || e.node->vm == NULL))
		return true;
	if (e.node != NULL && frozen(e.node)) {
		struct event *again = push(e.node->frozen_until - world.now,
					   e.node);

		e.at = again->at;
		e.seq = again->seq;
		*again = e;
		return true;
	}
	world.n->events++;
	run(&e);
	nodes_reap();
	return true;
}

void world_clear(void)
{
	heap.n = 0;
}

/* ---- qb_loop, as far as the daemon uses it ---- */

static int add(qb_loop_t *loop, uint64_t delay_ns, bool job, void *data,
	       void (*fn)(void *), uint64_t *id)
{
	struct node *n = node_of_loop(loop);
	struct event *e;

	if (!effect(n)) {
		*id = 0;
		return 0;
	}
	e = push(delay_ns, n);
	e->fn = call_qb;
	e->qb_fn = fn;
	e->data = data;
	e->job = job;
	*id = e->id;
	n->jobs++;
	return 0;
}

int32_t qb_loop_timer_add(qb_loop_t *l, enum qb_loop_priority p,
			  uint64_t nsec_duration, void *data,
			  qb_loop_timer_dispatch_fn dispatch_fn,
			  qb_loop_timer_handle *timer_handle_out)
{
	(void)p;
	/* A timer is never early, and late by what else there is to do. */
	return add(l, nsec_duration + rnd_delay(world.k.job_ns), false, data,
		   dispatch_fn, timer_handle_out);
}

int32_t qb_loop_job_add(qb_loop_t *l, enum qb_loop_priority p, void *data,
			qb_loop_job_dispatch_fn dispatch_fn)
{
	struct node *n = node_of_loop(l);
	uint64_t at = world.now + rnd_delay(world.k.job_ns), unused;

	(void)p;
	if (at < n->last_job_at)
		at = n->last_job_at;
	n->last_job_at = at;
	return add(l, at - world.now, true, data, dispatch_fn, &unused);
}

static void cancel(struct event *e)
{
	e->fn = NULL;
	e->node->jobs--;
}

int32_t qb_loop_timer_del(qb_loop_t *l, qb_loop_timer_handle th)
{
	(void)l;
	for (size_t i = 0; i < heap.n; i++)
		if (heap.v[i].id == th && heap.v[i].fn != NULL) {
			cancel(&heap.v[i]);
			return 0;
		}
	return -ENOENT;
}

int32_t qb_loop_job_del(qb_loop_t *l, enum qb_loop_priority p, void *data,
			qb_loop_job_dispatch_fn dispatch_fn)
{
	struct node *n = node_of_loop(l);

	(void)p;
	for (size_t i = 0; i < heap.n; i++) {
		struct event *e = &heap.v[i];

		if (e->fn != NULL && e->job && e->node == n &&
		    e->life == n->life && e->data == data &&
		    e->qb_fn == dispatch_fn) {
			cancel(e);
			return 0;
		}
	}
	return -ENOENT;
}

void qb_loop_stop(qb_loop_t *l)
{
	struct node *n = node_of_loop(l);

	if (effect(n))
		n->stopped = true;
}

/* ---- what else is not the daemon's own (--wrap) ---- */

uint64_t __wrap_now_mono_ns(void);
uint64_t __wrap_now_boot_ns(void);
ssize_t __wrap_getrandom(void *buf, size_t bytes, unsigned int flags);

uint64_t __wrap_now_mono_ns(void)
{
	return world.now;
}

uint64_t __wrap_now_boot_ns(void)
{
	return world.now;
}

ssize_t __wrap_getrandom(void *buf, size_t bytes, unsigned int flags)
{
	uint8_t *p = buf;

	(void)flags;
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)rnd64();
	return (ssize_t)bytes;
}

/* ---- a schedule ---- */

static void draw_knobs(struct knobs *k)
{
	static const uint64_t speeds[] = { 0, 0, 2000000, 20000000, 500000 };

	k->npages = rnd_in(16, one_in(4) ? 512 : 96);
	k->interval_ms = (uint32_t)rnd_in(VM_INTERVAL_MS_MIN, 40);
	k->max_in_flight = (uint32_t)rnd_in(1, one_in(3) ? 16 : 4);
	k->capture_bytes = one_in(4) ? rnd(8) * 4096 : 512 * 4096;
	k->cache_bytes = one_in(3) ? rnd_in(8, 64) * 4096 : 1024 * 4096;
	k->gate_queue_bytes = one_in(5) ? 16384 : 1 << 20;
	k->compression = (enum compression)(rnd(8) / 2);
	k->link_timeout_ms = (uint32_t)rnd_in(200, 1500);
	k->latency_ns = one_in(4) ? rnd(20 * MS) : rnd(MS);
	k->job_ns = one_in(3) ? 0 : rnd(one_in(4) ? 5 * MS : MS / 20);
	if (one_in(12))
		k->job_ns = rnd(60 * MS); /* an arbiter that is far away */
	k->driver_ns = one_in(4) ? rnd(10 * MS) : rnd(MS);
	k->burst_ns = rnd_in(MS / 2, 8 * MS);
	k->bytes_per_sec = speeds[rnd(ARRAY_LEN(speeds))];
	k->conn_queue = one_in(3) ? rnd_in(32, 96) << 10 : 4 << 20;
	k->pages_per_burst = (unsigned int)rnd_in(1, one_in(5) ? 40 : 6);
	k->false_dirty = one_in(3) ? (unsigned int)rnd(12) : 0;
	k->driver_fails = one_in(3) ? (unsigned int)rnd_in(20, 400) : 0;
	k->disk_fails = one_in(5) ? (unsigned int)rnd_in(3, 20) : 0;
}

void world_reset(uint64_t seed, struct counts *n)
{
	bool verbose = world.verbose;

	memset(&world, 0, sizeof(world));
	world.verbose = verbose;
	world.seed = seed;
	world.n = n;
	world.now = SEC;
	world.rng = mix64(seed);
	world.faults = true;
	draw_knobs(&world.k);
	heap.n = 0;
}

void violate(const char *fmt, ...)
{
	va_list ap;

	if (world.violation[0] != '\0')
		return; /* the first one is the cause */
	va_start(ap, fmt);
	vsnprintf(world.violation, sizeof(world.violation), fmt, ap);
	va_end(ap);
	say("VIOLATION %s", world.violation);
}

void say(const char *fmt, ...)
{
	va_list ap;

	if (!world.verbose)
		return;
	fprintf(stderr, "%12.6f ", (double)world.now / 1e9);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
