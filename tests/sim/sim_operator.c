/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim_operator.c - what goes wrong, and the person who types remusctl.
 *
 * The operator may do anything at any time but one thing, which the ticket's
 * register on two separate disks cannot prevent: to let a node go on alone, or
 * boot anew, with --peer-is-dead, and also to activate the other one from a
 * state of that generation or before.  What was decided is written down when
 * the command is given, whether or not an answer comes.
 */
#include <string.h>

#include "sim.h"
#include "util.h"

#define ROUND_PATIENCE (20 * SEC)
#define END_PATIENCE (240 * SEC)
#define FRAMES_AT_END 20

static struct {
	unsigned int rounds;
	uint64_t round_began;
	bool ending, done;
	uint64_t calm_since, frames_then;
	/* The states that this node holds of generations <= these are given
	 * up: the other went on without it. */
	uint64_t given_up[2];
	/* This node's guest is given up: the other one was activated. */
	uint64_t guest_given_up[2];
	uint64_t demoted; /* when */
} op;

/* ---- looking ---- */

static enum vm_phase phase_of(const struct node *n)
{
	return n->vm == NULL ? VM_FAILED : n->vm->phase;
}

static const struct ticket *ticket_of(const struct node *n)
{
	return n->vm->env.aops->ticket(n->vm->env.arbiter);
}

static bool busy(const struct node *n)
{
	return n->last != NULL && n->last->life == n->life &&
	       !n->last->answered;
}

static bool usable(const struct node *n)
{
	return n->vm != NULL && !n->crashed && !frozen(n) && !busy(n);
}

static bool is_protected(const struct node *n)
{
	struct vm_status st;

	if (phase_of(n) != VM_PRIMARY)
		return false;
	memset(&st, 0, sizeof(st));
	primary_status(n->vm->primary, &st);
	return st.state == STATE_PROTECTED;
}

static bool link_up(const struct node *n)
{
	return n->vm->primary != NULL && primary_link_up(n->vm->primary);
}

static struct node *primary(void)
{
	for (int i = 0; i < 2; i++)
		if (phase_of(&nodes[i]) == VM_PRIMARY)
			return &nodes[i];
	return NULL;
}

/* ---- commands that decide ---- */

static bool may_activate(const struct node *n)
{
	const struct ticket *t = ticket_of(n);

	return phase_of(n) == VM_BACKUP && standby_epoch(n->vm->standby) > 0 &&
	       t->state == TICKET_PROTECTED &&
	       t->generation > op.given_up[n->id];
}

static json_t *forced(bool peer_is_dead)
{
	return json_pack("{s:b}", "peer_is_dead", peer_is_dead);
}

static void activate(struct node *n, bool peer_is_dead)
{
	uint64_t g = ticket_of(n)->generation;

	if (op.guest_given_up[!n->id] < g)
		op.guest_given_up[!n->id] = g;
	if (op.demoted != 0)
		world.n->handovers++;
	op.demoted = 0;
	command(n, "activate", forced(peer_is_dead));
}

static void give_up_peer(struct node *n)
{
	uint64_t g = ticket_of(n)->generation;

	if (op.given_up[!n->id] < g)
		op.given_up[!n->id] = g;
}

static void go_alone(struct node *n)
{
	if (ticket_of(n)->generation <= op.guest_given_up[n->id])
		return;
	give_up_peer(n);
	command(n, "alone", forced(true));
}

/* Both nodes can be asked: no guest runs, and no state is worth anything. */
static void cold_boot(struct node *n)
{
	uint64_t mine = ticket_of(n)->generation;
	uint64_t theirs = ticket_of(other(n))->generation;
	uint64_t above = mine > theirs ? mine : theirs;
	json_t *args = forced(one_in(2));

	if (guest_runs(&nodes[0]) || guest_runs(&nodes[1])) {
		json_decref(args);
		return;
	}
	op.given_up[0] = op.given_up[1] = above;
	json_object_set_new(args, "generation_above",
			    json_integer((json_int_t)above));
	command(n, "start", args);
}

/* ---- bringing the pair back ---- */

static void mend_primary(struct node *n)
{
	bool lonely = !link_up(n) && !is_protected(n);

	if (one_in(!link_up(n) ? 4 : 40))
		command(n, "protect", NULL);
	if (busy(n))
		return;
	if (lonely && one_in(12))
		go_alone(n);
	else if (lonely && one_in(20))
		command(n, "alone", NULL);
}

static void mend(void)
{
	struct node *p = primary();
	struct node *first = &nodes[rnd(2)];

	for (int i = 0; i < 2; i++) {
		struct node *n = i == 0 ? first : other(first);

		if (!usable(n))
			continue;
		if (phase_of(n) == VM_FAILED)
			command(n, "demote", NULL);
		else if (phase_of(n) == VM_PRIMARY)
			mend_primary(n);
		else if (p == NULL && may_activate(n) &&
			 !guest_runs(other(n)))
			activate(n, one_in(4));
		else
			continue;
		return;
	}
	if (p == NULL && phase_of(&nodes[0]) == VM_BACKUP &&
	    phase_of(&nodes[1]) == VM_BACKUP && usable(&nodes[0]) &&
	    usable(&nodes[1]) && !may_activate(&nodes[0]) &&
	    !may_activate(&nodes[1]) && one_in(3))
		cold_boot(first);
}

/* ---- what goes wrong ---- */

static void heal(void *data, uint64_t arg)
{
	(void)data;
	(void)arg;
	net_cut(false, false);
}

static void cut_for(uint64_t ns)
{
	uint64_t how = rnd(4);

	net_cut(how != 0, how != 1);
	world_at(ns, NULL, heal, NULL, 0);
}

static void crash(struct node *n)
{
	if (n->vm == NULL)
		return;
	n->crash_in = rnd_in(1, one_in(3) ? 1000 : 60);
	n->host_crash = one_in(2);
	say("world: %s crashes in %llu effects", n->name,
	    (unsigned long long)n->crash_in);
}

static void freeze(struct node *n)
{
	if (n->vm == NULL)
		return;
	n->frozen_until = world.now + rnd(one_in(2) ? 3 * SEC : 300 * MS);
	say("world: %s is frozen", n->name);
}

static void crash_guest(void *data, uint64_t life)
{
	struct node *n = data;

	if (n->vm != NULL && n->life == life && !n->crashed && !frozen(n))
		guest_crash(n);
}

/* Any command at any time: it may be refused, and must not do harm. */
static void nuisance(struct node *n)
{
	static const char *const cmds[] = { "status", "checkpoint", "protect",
					    "set", "alone", "start", "demote",
					    "nonsense" };
	static const char *const intervals[] = { "5", "25", "60ms", "1", "x" };
	const char *cmd = cmds[rnd(ARRAY_LEN(cmds))];
	json_t *args = NULL;

	if (!usable(n))
		return;
	/* That no guest was booted elsewhere since is the operator's to know. */
	if (strcmp(cmd, "start") == 0 && guest_runs(other(n)))
		return;
	if (strcmp(cmd, "start") == 0)
		give_up_peer(n);
	if (strcmp(cmd, "set") == 0)
		args = json_pack("{s:s, s:s}", "interval", intervals[rnd(5)],
				 "compression",
				 compression_to_str((enum compression)rnd(4)));
	if (strcmp(cmd, "demote") == 0)
		args = json_pack("{s:b}", "end", (int)one_in(2));
	command(n, cmd, args);
}

static void hand_over(struct node *n)
{
	if (n == NULL || !usable(n))
		return;
	op.demoted = world.now;
	command(n, "demote", NULL);
}

/* At once, whatever the primary does: S3 and S4. */
static void snatch(struct node *n)
{
	if (usable(n) && may_activate(n))
		activate(n, one_in(2));
}

static void trouble(void)
{
	struct node *p = primary() == NULL ? &nodes[rnd(2)] : primary();

	switch (rnd(13)) {
	case 0:
	case 1:
	case 2: crash(p); break;
	case 3: crash(other(p)); break;
	case 4: crash(p); crash(other(p)); break;
	case 5:
	case 6: cut_for(rnd(one_in(2) ? 4 * SEC : 400 * MS)); break;
	case 7: freeze(&nodes[rnd(2)]); break;
	case 8: hand_over(primary()); break;
	case 9: snatch(other(p)); break;
	case 10:
		if (usable(p) && one_in(2))
			command(p, "stop", NULL);
		break;
	case 11:
		if (p->vm != NULL)
			world_at(rnd(50 * MS), NULL, crash_guest, p, p->life);
		break;
	default: nuisance(&nodes[rnd(2)]); break;
	}
	if (net_is_cut() && one_in(2))
		snatch(other(p));
}

/* ---- time goes by ---- */

static void restart_dead(void)
{
	for (int i = 0; i < 2; i++)
		if (nodes[i].vm == NULL && world.now >= nodes[i].restart_at)
			node_start(&nodes[i]);
}

static bool calm(void)
{
	const struct node *p = primary();

	if (p == NULL || !is_protected(p) || net_is_cut() || busy(p) ||
	    busy(other(p)) || phase_of(other(p)) != VM_BACKUP) {
		op.calm_since = 0;
		return false;
	}
	if (op.calm_since == 0) {
		op.calm_since = world.now;
		op.frames_then = outside_frames();
	}
	return outside_frames() >= op.frames_then + FRAMES_AT_END;
}

static void begin_end(void)
{
	say("operator: the last round");
	op.ending = true;
	op.round_began = world.now;
	op.calm_since = 0;
	world.faults = false;
	world.k.bytes_per_sec = 0;
	net_cut(false, false);
	for (int i = 0; i < 2; i++)
		nodes[i].crash_in = nodes[i].frozen_until = 0;
}

static void next_round(void)
{
	op.round_began = world.now;
	op.calm_since = 0;
	if (op.rounds-- == 0)
		begin_end();
	else
		trouble();
}

static void why_not_calm(void)
{
	violate("liveness: a is %s (%s), b is %s (%s), %llu frames",
		nodes[0].vm == NULL ? "dead"
				    : vm_phase_to_str(phase_of(&nodes[0])),
		nodes[0].vm == NULL ? "" : nodes[0].vm->reason,
		nodes[1].vm == NULL ? "dead"
				    : vm_phase_to_str(phase_of(&nodes[1])),
		nodes[1].vm == NULL ? "" : nodes[1].vm->reason,
		(unsigned long long)outside_frames());
}

static void tick(void *data, uint64_t arg)
{
	bool is_calm;

	(void)arg;
	restart_dead();
	mend();
	is_calm = calm();
	if (op.ending && is_calm) {
		requests_check();
		op.done = true;
		return;
	}
	if (op.ending) {
		if (world.now - op.round_began > END_PATIENCE)
			why_not_calm();
	} else if (is_calm || one_in(40) ||
		   world.now - op.round_began > ROUND_PATIENCE) {
		next_round();
	}
	world_at(rnd_in(3 * MS, 60 * MS), NULL, tick, data, 0);
}

void operator_reset(void)
{
	memset(&op, 0, sizeof(op));
	op.rounds = (unsigned int)rnd_in(2, 10);
	op.round_began = world.now;
	node_start(&nodes[0]);
	node_start(&nodes[1]);
	world_at(10 * MS, NULL, tick, NULL, 0);
}

bool operator_gave_up(const struct node *n)
{
	return op.guest_given_up[n->id] >= ticket_of(n)->generation ||
	       (n->last != NULL && (strcmp(n->last->cmd, "demote") == 0 ||
				    strcmp(n->last->cmd, "stop") == 0));
}

bool operator_done(void)
{
	return op.done;
}
