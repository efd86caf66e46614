/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_world.c - random numbers, clocks, messages; see ticket_world.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ticket_world.h"

#define MESSAGES 512

struct world world;

static struct message pool[MESSAGES];
static uint16_t unused[MESSAGES];
static unsigned int unused_n;

/* A binary heap, by time, then by age. */
static struct entry {
	uint64_t at;
	uint32_t age;
	uint16_t slot;
} heap[MESSAGES];
static unsigned int heap_n;
static uint32_t next_age;

/* ---- random ---- */

static uint64_t rnd64(void)
{
	uint64_t x = world.rng += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t rnd(uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rnd64() * n) >> 64);
}

uint64_t rnd_in(uint64_t low, uint64_t high)
{
	return low + rnd(high - low + 1);
}

bool permille(unsigned int n)
{
	return n != 0 && rnd(1000) < n;
}

/* ---- telling ---- */

const char *party_name(unsigned int p)
{
	static const char *const names[PARTIES] = { "a",  "b",	"f",  "w1",
						    "w2", "w3", "w4", "w5" };

	return names[p];
}

const char *ticket_str(const struct ticket *t)
{
	static char buf[4][TICKET_STR_MAX + 32];
	static unsigned int next;
	char word[TICKET_STR_MAX];
	char *out = buf[next++ % 4];

	snprintf(out, sizeof(buf[0]), "%s/%" PRIu64,
		 ticket_to_str(t, word, sizeof(word)), t->generation);
	return out;
}

void say_(const char *fmt, ...)
{
	va_list ap;

	printf("%10.3f ", (double)world.now / 1000);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void violate(const char *fmt, ...)
{
	va_list ap;

	if (world.violation[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(world.violation, sizeof(world.violation), fmt, ap);
	va_end(ap);
	say("VIOLATED: %s", world.violation);
}

/* ---- clocks ---- */

static uint32_t new_rate(void)
{
	const uint32_t most = TICKET_DRIFT_PERMILLE * 1000;

	/* Often as wrong as they may be. */
	switch (rnd(4)) {
	case 0: return 1000000 - most;
	case 1: return 1000000 + most;
	default: return (uint32_t)rnd_in(1000000 - most, 1000000 + most);
	}
}

static uint64_t clock_us(const struct sim_clock *c)
{
	return c->start_us +
	       (world.now - c->since_us) * (uint64_t)c->rate_ppm / 1000000;
}

void clock_boot(struct sim_clock *c)
{
	c->since_us = world.now;
	c->start_us = rnd_in(1000000, 100000000);
	c->rate_ppm = new_rate();
}

void clock_rate(struct sim_clock *c)
{
	uint64_t us = clock_us(c);

	c->start_us = us;
	c->since_us = world.now;
	c->rate_ppm = new_rate();
}

uint64_t clock_ms(const struct sim_clock *c)
{
	return clock_us(c) / 1000;
}

uint64_t clock_when(const struct sim_clock *c, uint64_t ms)
{
	uint64_t us = ms * 1000;

	if (ms > UINT64_MAX / 2000)
		return NEVER;
	if (us <= c->start_us)
		return c->since_us;
	return c->since_us +
	       ((us - c->start_us) * 1000000 + c->rate_ppm - 1) / c->rate_ppm;
}

bool party_runs(unsigned int p)
{
	return world.party[p].up && world.party[p].frozen_until <= world.now;
}

void party_freeze(unsigned int p, uint64_t us)
{
	world.party[p].frozen_until = world.now + us;
	world.n->freezes++;
	say("%s is frozen for %" PRIu64 " ms", party_name(p), us / MS);
}

/* ---- messages ---- */

static bool sooner(const struct entry *a, const struct entry *b)
{
	return a->at != b->at ? a->at < b->at : a->age < b->age;
}

static void heap_push(uint64_t at, uint16_t slot)
{
	struct entry e = { at, next_age++, slot };
	unsigned int i = heap_n++;

	for (; i > 0 && sooner(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = e;
}

static struct entry heap_pop(void)
{
	struct entry top = heap[0], last = heap[--heap_n];
	unsigned int i = 0, child;

	while ((child = 2 * i + 1) < heap_n) {
		if (child + 1 < heap_n && sooner(&heap[child + 1],
						 &heap[child]))
			child++;
		if (!sooner(&heap[child], &last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return top;
}

static uint16_t slot_of(const struct message *m)
{
	return (uint16_t)(m - pool);
}

static void message_free(uint16_t slot)
{
	unused[unused_n++] = slot;
}

struct message *message_new(enum kind kind, unsigned int from, unsigned int to)
{
	static struct message nowhere;
	struct message *m = &nowhere;

	/* Full: the network loses it. */
	if (unused_n > 0)
		m = &pool[unused[--unused_n]];
	m->kind = kind;
	m->from = (uint8_t)from;
	m->to = (uint8_t)to;
	m->life = world.party[to].life;
	m->null = false;
	return m;
}

void message_at(struct message *m, uint64_t at)
{
	if (m >= pool && m < pool + MESSAGES)
		heap_push(at, slot_of(m));
}

static uint64_t delay(void)
{
	if (!world.faults)
		return rnd_in(1 * MS, 4 * MS);
	if (permille(world.k.late))
		return rnd_in(0, 2000 * MS);
	return rnd_in(MS / 2, world.k.delay_us);
}

static bool arrives(const struct message *m)
{
	if (world.cut[m->from][m->to])
		return false;
	return !world.faults || !permille(world.k.loss);
}

void message_send(struct message *m)
{
	struct message *twin;

	if (m < pool || m >= pool + MESSAGES)
		return;
	if (world.faults && unused_n > 0 && permille(world.k.doubled)) {
		twin = &pool[unused[--unused_n]];
		*twin = *m;
		message_at(twin, world.now + delay());
	}
	if (arrives(m)) {
		message_at(m, world.now + delay());
		return;
	}
	/* Not reached; now and then that is noticed. */
	if (m->kind == TO_WITNESS && rnd(100) < world.k.null_answers) {
		unsigned int asker = m->from;

		m->kind = FROM_WITNESS;
		m->from = m->to;
		m->to = (uint8_t)asker;
		m->life = world.party[asker].life;
		m->null = true;
		message_at(m, world.now + delay());
		return;
	}
	message_free(slot_of(m));
}

static void deliver(const struct message *m)
{
	switch (m->kind) {
	case TO_WITNESS:
		witness_on(m);
		break;
	case WITNESS_RESTART:
		witness_start(m->to);
		break;
	case FROM_WITNESS:
		if (m->life != world.party[m->to].life)
			break; /* the connection ended with its process */
		if (m->to == FENCER)
			fencer_on(m);
		else
			node_on(&nodes[m->to], m);
		break;
	case EPOCH:
	case ACK:
		if (m->life == world.party[m->to].life)
			node_on(&nodes[m->to], m);
		break;
	}
}

static void next_message(void)
{
	struct entry e = heap_pop();
	struct message *m = &pool[e.slot];
	struct party *p = &world.party[m->to];

	if (m->kind != WITNESS_RESTART && !p->up) {
		message_free(e.slot);
		return;
	}
	if (p->frozen_until > world.now) { /* read when it thaws */
		heap_push(p->frozen_until, e.slot);
		return;
	}
	deliver(m);
	message_free(e.slot);
}

/* ---- the next event ---- */

bool world_step(uint64_t until)
{
	uint64_t at = heap_n > 0 ? heap[0].at : NEVER, t;
	unsigned int who = 0;

	for (unsigned int i = 0; i < NODES; i++)
		if ((t = node_timer(&nodes[i])) < at) {
			at = t;
			who = 1 + i;
		}
	if ((t = fencer_timer()) < at) {
		at = t;
		who = 3;
	}
	if ((t = cluster_timer()) < at) {
		at = t;
		who = 4;
	}
	if (at >= until) {
		world.now = until;
		return false;
	}
	if (at > world.now)
		world.now = at;
	switch (who) {
	case 0: next_message(); break;
	case 3: fencer_run(); break;
	case 4: cluster_run(); break;
	default: node_run(&nodes[who - 1]); break;
	}
	world.n->events++;
	outside_check();
	return true;
}

static void draw_knobs(struct knobs *k)
{
	static const unsigned int numbers[] = { 3, 3, 3, 3, 3, 3, 5, 5, 1 };

	k->witnesses = numbers[rnd(9)];
	k->lease_ms = (uint32_t)rnd_in(500, 700);
	k->lease_max_ms = k->lease_ms + (uint32_t)rnd(200);
	k->answer_ms = (uint32_t)rnd_in(40, 200);
	k->tick_us = rnd_in(20, 60) * MS;
	k->ack_timeout_us = rnd_in(80, 250) * MS;
	k->delay_us = rnd_in(2, 20) * MS;
	k->faults_us = rnd_in(1000, 3500) * MS;
	k->chaos_us = rnd_in(40, 300) * MS;
	k->loss = (unsigned int)(rnd(3) == 0 ? 0 : rnd(200));
	k->doubled = (unsigned int)(rnd(2) == 0 ? 0 : rnd(150));
	k->late = (unsigned int)(rnd(2) == 0 ? 0 : rnd(60));
	k->null_answers = (unsigned int)rnd(101);
	k->blind = (unsigned int)(rnd(2) == 0 ? 100 : rnd(101));
}

void world_reset(uint64_t seed, struct counts *n)
{
	bool verbose = world.verbose;

	memset(&world, 0, sizeof(world));
	world.verbose = verbose;
	world.seed = seed;
	world.rng = seed * 0x2545f4914f6cdd1du + 1;
	world.n = n;
	world.faults = true;
	draw_knobs(&world.k);
	heap_n = 0;
	next_age = 0;
	unused_n = 0;
	for (unsigned int i = 0; i < MESSAGES; i++)
		unused[unused_n++] = (uint16_t)(MESSAGES - 1 - i);
	for (unsigned int i = 0; i < PARTIES; i++) {
		world.party[i].up = true;
		world.party[i].life = 1;
		clock_boot(&world.party[i].clock);
	}
}
