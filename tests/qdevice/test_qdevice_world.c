/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many nodes with fence/qdevice_core.c, many witnesses with
 * fence/vote_lease.c, and between them a network that loses, delays and
 * doubles; memberships that come and go, each node noticing at another time;
 * daemons that freeze and crash, witnesses that restart, clocks that drift.
 *
 *  safety    never do two nodes count the device's vote in rings that exclude
 *            each other
 *  progress  when it is quiet, one partition gets the vote, also with a
 *            minority of the witnesses dead; and after healing all have it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qdevice_core.h"
#include "ticket_register.h"

#define NODES 4
#define WITNESSES 5
#define STEP_MS 5
#define ROUNDS 200	/* worlds */
#define STORM_MS 40000u /* how long each is troubled */
#define QUIET_MS 40000u
#define LEASE_MAX_MS 8000
#define MESSAGES 512

static const struct qdevice_timing timing = {
	.vote_timeout_ms = 2000,
	.ring_wait_ms = 2500,
	.lease_ms = 4000,
	.bid_ms = 1000,
	.interval_ms = 400,
};
#define REQUEST_TIMEOUT_MS 500

struct node {
	struct qdevice_core core;
	struct qdevice_ring ring; /* corosync's */
	int group;		  /* that the ring was made of */
	uint64_t notice_at;	  /* the next ring */
	uint64_t frozen_until, counted_until; /* true time */
	bool restarted;
	int drift; /* per mille */
	uint64_t asked_at[WITNESSES], asked_id[WITNESSES];
};

struct message {
	bool used, answer;
	uint64_t at;
	unsigned int node, witness;
	uint64_t core; /* which life of the daemon */
	uint64_t id;
	struct vote_request request;
	struct vote_answer reply;
};

static struct node node[NODES];
static uint64_t lives[NODES];
static struct vote_lease lease[WITNESSES];
static int drift[WITNESSES];
static bool dead[WITNESSES];
static struct message message[MESSAGES];
static int group[NODES];
static unsigned int nodes, witnesses, loss;
static bool storm;
static uint64_t t, seq;
static uint64_t rnd;

static uint32_t chance(uint32_t below)
{
	rnd ^= rnd << 13;
	rnd ^= rnd >> 7;
	rnd ^= rnd << 17;
	return (uint32_t)((rnd >> 20) % below);
}

/* A clock that is fast or slow. */
static uint64_t clock_of(int permille)
{
	return 1000000 + t + (uint64_t)((int64_t)t * permille / 1000);
}

static struct message *post(uint64_t at)
{
	for (unsigned int i = 0; i < MESSAGES; i++) {
		if (!message[i].used) {
			memset(&message[i], 0, sizeof(message[i]));
			message[i].used = true;
			message[i].at = at;
			return &message[i];
		}
	}
	fail_msg("too many messages");
	return NULL;
}

static uint64_t delay(void)
{
	return t + (storm && chance(20) == 0 ? chance(3000) : chance(30));
}

static void ask(unsigned int n, const struct qdevice_action *a)
{
	struct node *x = &node[n];

	x->asked_at[a->witness] = t;
	x->asked_id[a->witness] = a->id;
	for (int copies = chance(10) == 0 ? 2 : 1; copies > 0; copies--) {
		struct message *m;

		if (chance(100) < loss)
			continue;
		m = post(delay());
		m->node = n;
		m->witness = a->witness;
		m->core = lives[n];
		m->id = a->id;
		strcpy(m->request.cluster, "lab");
		m->request.nodeid = n + 1;
		m->request.ring_nodeid = x->core.ring.nodeid;
		m->request.ring_seq = x->core.ring.seq;
		m->request.members = x->core.ring.members;
		m->request.lease_ms = a->lease_ms;
	}
}

static void vote(unsigned int n, bool cast)
{
	struct node *x = &node[n];
	bool taken = x->core.ring.seq == x->ring.seq &&
		     x->core.ring.nodeid == x->ring.nodeid;

	if (taken)
		x->counted_until =
			!cast ? 0
			      : t + (uint64_t)timing.vote_timeout_ms * 1000 /
					    (uint64_t)(1000 + x->drift);
	qdevice_core_polled(&x->core, cast, taken, clock_of(x->drift));
}

static void pump(unsigned int n)
{
	struct node *x = &node[n];

	if (x->frozen_until > t)
		return;
	for (int turns = 0;; turns++) {
		struct qdevice_action a =
			qdevice_core_next(&x->core, clock_of(x->drift));

		assert_true(turns < 50);
		if (a.what == QDEVICE_NOTHING)
			return;
		if (a.what == QDEVICE_ASK)
			ask(n, &a);
		else
			vote(n, a.cast);
	}
}

/* The client's own time-out. */
static void time_out(unsigned int n)
{
	struct qdevice_answer none = { .rc = -ETIMEDOUT, .why = "silence" };
	struct node *x = &node[n];

	for (unsigned int w = 0; w < witnesses; w++) {
		if (x->asked_id[w] == 0 ||
		    t < x->asked_at[w] + REQUEST_TIMEOUT_MS)
			continue;
		qdevice_core_answer(&x->core, w, x->asked_id[w], &none,
				    clock_of(x->drift));
		x->asked_id[w] = 0;
	}
}

static void deliver(struct message *m)
{
	struct node *x = &node[m->node];
	struct qdevice_answer a = { 0 };

	if (!m->answer) {
		struct message *r;

		if (dead[m->witness])
			return;
		assert_true(vote_request_ok(&m->request));
		r = post(delay());
		r->answer = true;
		r->node = m->node;
		r->witness = m->witness;
		r->core = m->core;
		r->id = m->id;
		vote_lease_on(&lease[m->witness], &m->request, NULL,
			      clock_of(drift[m->witness]), &r->reply);
		return;
	}
	if (m->core != lives[m->node])
		return;
	a.granted = m->reply.granted;
	a.lease_ms = m->reply.lease_ms;
	a.wait_ms = m->reply.wait_ms;
	a.why = m->reply.why;
	if (x->asked_id[m->witness] == m->id)
		x->asked_id[m->witness] = 0;
	qdevice_core_answer(&x->core, m->witness, m->id, &a,
			    clock_of(x->drift));
}

static void deliver_all(void)
{
	for (unsigned int i = 0; i < MESSAGES; i++) {
		struct message m;

		if (!message[i].used || message[i].at > t ||
		    (message[i].answer &&
		     node[message[i].node].frozen_until > t))
			continue;
		m = message[i]; /* its place may be taken */
		message[i].used = false;
		deliver(&m);
	}
}

/* Node n finds itself together with those who belong to its group now. */
static void form_ring(unsigned int n)
{
	struct node *x = &node[n];

	memset(&x->ring, 0, sizeof(x->ring));
	for (unsigned int i = 0; i < nodes; i++) {
		if (group[i] == group[n])
			x->ring.members.id[x->ring.members.count++] = i + 1;
	}
	x->ring.nodeid = x->ring.members.id[0];
	x->ring.seq = seq;
	x->group = group[n];
	x->counted_until = 0; /* corosync waits for the next poll */
}

static void regroup(unsigned int parts)
{
	seq += 4;
	for (unsigned int i = 0; i < nodes; i++) {
		group[i] = (int)chance(parts);
		node[i].notice_at = t + chance(1500);
	}
}

static void start(unsigned int n)
{
	struct node *x = &node[n];

	lives[n]++;
	qdevice_core_init(&x->core, &timing, witnesses,
			  rnd + n * 977 + 13 * lives[n]);
	memset(x->asked_id, 0, sizeof(x->asked_id));
	x->restarted = true;
}

static void trouble(void)
{
	unsigned int n = chance(nodes), w = chance(witnesses);

	switch (chance(8)) {
	case 0:
	case 1: regroup(2); break;
	case 2: regroup(3); break;
	case 3: regroup(1); break;
	case 4: node[n].frozen_until = t + chance(9000); break;
	case 5: start(n); break;
	case 6: vote_lease_init(&lease[w], LEASE_MAX_MS,
				clock_of(drift[w])); break;
	case 7: dead[w] = !dead[w]; break;
	}
}

static bool counts(unsigned int n)
{
	return node[n].counted_until > t;
}

static bool in_ring_of(unsigned int n, unsigned int other)
{
	const struct vote_set *s = &node[other].ring.members;

	for (unsigned int i = 0; i < s->count; i++) {
		if (s->id[i] == n + 1)
			return true;
	}
	return false;
}

static void check_safety(uint64_t seed)
{
	for (unsigned int a = 0; a < nodes; a++) {
		for (unsigned int b = a + 1; b < nodes; b++) {
			if (counts(a) && counts(b) && !in_ring_of(a, b) &&
			    !in_ring_of(b, a))
				fail_msg("seed %llu, %llu ms: nodes %u and %u "
					 "both have the vote",
					 (unsigned long long)seed,
					 (unsigned long long)t, a + 1, b + 1);
		}
	}
}

static void step(uint64_t seed)
{
	t += STEP_MS;
	deliver_all();
	for (unsigned int n = 0; n < nodes; n++) {
		struct node *x = &node[n];

		if (x->notice_at != 0 && t >= x->notice_at) {
			x->notice_at = 0;
			form_ring(n);
			x->restarted = true;
		}
		if (x->frozen_until > t)
			continue;
		if (x->restarted)
			qdevice_core_ring(&x->core, &x->ring,
					  clock_of(x->drift));
		x->restarted = false;
		time_out(n);
		pump(n);
	}
	check_safety(seed);
}

static void world(uint64_t seed)
{
	rnd = seed * 2654435761u + 1;
	t = 0;
	seq = 4;
	storm = true;
	loss = chance(3) * 10;
	nodes = 2 + chance(NODES - 1);
	witnesses = 1 + chance(WITNESSES);
	memset(node, 0, sizeof(node));
	memset(message, 0, sizeof(message));
	memset(dead, 0, sizeof(dead));
	memset(group, 0, sizeof(group));
	for (unsigned int w = 0; w < witnesses; w++) {
		drift[w] = (int)chance(9) - 4;
		vote_lease_init(&lease[w], LEASE_MAX_MS, clock_of(drift[w]));
	}
	for (unsigned int n = 0; n < nodes; n++) {
		node[n].drift = (int)chance(9) - 4;
		form_ring(n);
		start(n);
	}
}

static void quiet(uint64_t seed, uint64_t ms)
{
	uint64_t end = t + ms;

	loss = 0;
	storm = false;
	for (unsigned int n = 0; n < nodes; n++)
		node[n].frozen_until = 0;
	while (t < end)
		step(seed);
}

static unsigned int voters(void)
{
	unsigned int sum = 0;

	for (unsigned int n = 0; n < nodes; n++)
		sum += counts(n);
	return sum;
}

static unsigned int size_of(int g)
{
	unsigned int sum = 0;

	for (unsigned int n = 0; n < nodes; n++)
		sum += group[n] == g;
	return sum;
}

static void storms_never_give_two_partitions_the_vote(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
		unsigned int of = 0;

		world(seed);
		while (t < STORM_MS) {
			if (chance(100) == 0)
				trouble();
			step(seed);
		}
		/* A stable cut, and a minority of the witnesses dead. */
		for (unsigned int w = 0; w < witnesses; w++)
			dead[w] = w < (witnesses - 1) / 2;
		regroup(2);
		quiet(seed, QUIET_MS);
		for (unsigned int n = 0; n < nodes; n++) {
			if (counts(n))
				of = size_of(group[n]);
		}
		if (voters() == 0 || voters() != of)
			fail_msg("seed %llu: %u of %u have the vote",
				 (unsigned long long)seed, voters(), of);
		regroup(1);
		quiet(seed, QUIET_MS);
		if (voters() != nodes)
			fail_msg("seed %llu: healed, %u of %u have the vote",
				 (unsigned long long)seed, voters(), nodes);
	}
}

static void a_majority_of_dead_witnesses_gives_no_vote(void **state)
{
	(void)state;
	world(7);
	quiet(7, QUIET_MS);
	assert_int_equal(voters(), nodes);
	for (unsigned int w = 0; w < witnesses; w++)
		dead[w] = w < ticket_majority(witnesses);
	quiet(7, QUIET_MS);
	assert_int_equal(voters(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storms_never_give_two_partitions_the_vote),
		cmocka_unit_test(a_majority_of_dead_witnesses_gives_no_vote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
