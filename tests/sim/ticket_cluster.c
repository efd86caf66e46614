/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_cluster.c - what goes wrong, and a cluster that decides at random
 * while it does, and sensibly afterwards.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ticket_world.h"

#define STEP (150 * MS) /* of a sensible cluster */

static uint64_t next_at;

static struct {
	struct asker asker;
	unsigned int target;
	bool waiting; /* decided; leases of the target run */
	uint64_t quiet_ms, generation;
} fencer;

/* ---- who fences: a process of its own for each target ---- */

static void fencer_end(void)
{
	if (fencer.asker.proposer != NULL)
		asker_close(&fencer.asker);
	fencer.waiting = false;
	world.party[FENCER].life++;
}

static void fence_from(const char *name, unsigned int target)
{
	struct ticket_request r = { .purpose = TICKET_FOR_FENCE };
	const struct node *peer = &nodes[!target];

	if (fencer.asker.proposer != NULL || !party_runs(FENCER))
		return;
	asker_open(&fencer.asker, FENCER, name);
	strcpy(r.target, party_name(target));
	if (peer->role == BACKUP || peer->role == TAKING ||
	    (world.faults && rnd(8) == 0))
		strcpy(r.peer, party_name(!target));
	r.give_up_ms = (uint32_t)rnd_in(500, 2000);
	fencer.target = target;
	asker_start(&fencer.asker, &r);
}

static void fence(unsigned int target)
{
	fence_from(rnd(2) == 0 ? "f" : party_name(!target), target);
}

static uint64_t fencer_now(void)
{
	return clock_ms(&world.party[FENCER].clock);
}

static void fencer_outcome(const struct ticket_outcome *o)
{
	if (o->rc != 0) {
		fencer_end();
		return;
	}
	/* Each of two nodes may fence the other. */
	if (world.faults && rnd(4) == 0) {
		unsigned int target = fencer.target;

		fencer_end();
		fence_from(party_name(target), !target);
		return;
	}
	fencer.waiting = true;
	fencer.generation = o->value.generation;
	fencer.quiet_ms = broken == FENCE_NO_WAIT ? 0 : o->quiet_at_ms;
	fencer.asker.wake = clock_when(&world.party[FENCER].clock,
				       fencer.quiet_ms);
}

uint64_t fencer_timer(void)
{
	uint64_t at = fencer.asker.wake;

	if (fencer.asker.proposer == NULL)
		return NEVER;
	return at > world.party[FENCER].frozen_until ?
		       at :
		       world.party[FENCER].frozen_until;
}

void fencer_run(void)
{
	struct ticket_outcome o;

	if (!fencer.waiting) {
		if (asker_tick(&fencer.asker, &o))
			fencer_outcome(&o);
	} else if (fencer_now() >= fencer.quiet_ms) {
		outside_fenced(fencer.target, fencer.generation);
		fencer_end();
	} else {
		fencer.asker.wake = clock_when(&world.party[FENCER].clock,
					       fencer.quiet_ms);
	}
}

void fencer_on(const struct message *m)
{
	struct ticket_outcome o;

	if (fencer.asker.proposer == NULL || fencer.waiting)
		return;
	if (asker_answer(&fencer.asker, m, &o))
		fencer_outcome(&o);
}

/* ---- faults ---- */

static unsigned int any_party(void)
{
	return (unsigned int)rnd(WITNESS0 + world.k.witnesses);
}

static unsigned int any_witness(void)
{
	return WITNESS0 + (unsigned int)rnd(world.k.witnesses);
}

static void cut_one(void)
{
	unsigned int a = any_party(), b = any_party();
	bool to = rnd(2) != 0;

	world.cut[a][b] = to;
	if (rnd(3) != 0)
		world.cut[b][a] = to;
	say("%s - %s: %s", party_name(a), party_name(b), to ? "cut" : "mended");
}

static void cut_off(unsigned int p)
{
	for (unsigned int i = 0; i < PARTIES; i++)
		world.cut[p][i] = world.cut[i][p] = true;
	say("%s is cut off", party_name(p));
}

static void mend_all(void)
{
	memset(world.cut, 0, sizeof(world.cut));
	say("all cuts are mended");
}

static uint64_t freeze_us(void)
{
	return rnd_in(5, rnd(2) == 0 ? 200 : 1500) * MS;
}

static void fault(void)
{
	unsigned int p;

	switch (rnd(12)) {
	case 0:
	case 1: cut_one(); break;
	case 2: cut_off((unsigned int)rnd(NODES)); break;
	case 3:
	case 4: mend_all(); break;
	case 5: world.cut[0][1] = world.cut[1][0] = rnd(2) != 0; break;
	case 6:
	case 7: node_crash(&nodes[rnd(NODES)], rnd_in(1, 500) * MS); break;
	case 8: party_freeze((unsigned int)rnd(NODES), freeze_us()); break;
	case 9:
		witness_crash(any_witness());
		for (p = 0; rnd(3) == 0 && p < world.k.witnesses; p++)
			witness_crash(WITNESS0 + p);
		break;
	case 10:
		p = any_party();
		if (p >= NODES)
			party_freeze(p, freeze_us());
		break;
	case 11:
		clock_rate(&world.party[any_party()].clock);
		if (rnd(4) == 0)
			fencer_end();
		break;
	}
}

/* ---- commands ---- */

static void decide_at_random(void)
{
	struct node *n = &nodes[rnd(NODES)];

	switch (rnd(8)) {
	case 0:
	case 1:
	case 2: node_takeover(n); break;
	case 3:
	case 4: node_boot(n); break;
	case 5: fence((unsigned int)rnd(NODES)); break;
	case 6:
		if (rnd(3) == 0)
			node_end(n);
		break;
	case 7: node_read(n); break;
	}
}

/* A backup that hears nothing takes over; where nothing runs at all, who may
 * boots, after a fence where the ticket is another's. */
static void decide(void)
{
	struct node *n = &nodes[0];
	const struct ticket *t;

	for (unsigned int i = 0; i < NODES; i++) {
		if (nodes[i].asker.busy || nodes[i].role == PRIMARY)
			return;
		if (nodes[i].last.generation > n->last.generation)
			n = &nodes[i];
	}
	if (fencer.asker.proposer != NULL)
		return;
	for (unsigned int i = 0; i < NODES; i++)
		if (nodes[i].role == BACKUP) {
			node_takeover(&nodes[i]);
			return;
		}
	t = &n->last;
	if (t->state == TICKET_PROTECTED && rnd(2) == 0)
		fence(t->holder[0] == 'a' ? 0 : 1);
	else if (t->state == TICKET_ALONE)
		node_boot(&nodes[t->holder[0] == 'a' ? 0 : 1]);
	else
		node_boot(n);
}

uint64_t cluster_timer(void)
{
	return next_at;
}

void cluster_run(void)
{
	if (!world.faults) {
		next_at = world.now + STEP;
		decide();
		return;
	}
	next_at = world.now + rnd_in(1, 2 * world.k.chaos_us);
	if (rnd(2) == 0)
		fault();
	else
		decide_at_random();
}

void cluster_heal(void)
{
	say("---- all heals ----");
	world.faults = false;
	mend_all();
	for (unsigned int i = 0; i < PARTIES; i++)
		if (world.party[i].frozen_until > world.now)
			world.party[i].frozen_until = world.now;
	for (unsigned int i = 0; i < NODES; i++)
		if (!world.party[i].up)
			nodes[i].restart_at = world.now + 1 * MS;
	next_at = world.now + STEP;
}

void cluster_reset(void)
{
	memset(&fencer, 0, sizeof(fencer));
	next_at = world.now + rnd_in(0, 600) * MS;
	/* Most schedules begin with a guest that runs. */
	if (rnd(8) != 0)
		node_boot(&nodes[0]);
}

void cluster_free(void)
{
	fencer_end();
}
