/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_node.c - a model of remusd, as far as the ticket decides what it does:
 *
 *	IDLE --BOOT--> PRIMARY <--TAKEOVER-- TAKING <--told to-- BACKUP <-- IDLE
 *
 * A PRIMARY's gate is GATE_ALONE (a lease), GATE_ACK (the backup's
 * acknowledgements, of epochs of this generation) or GATE_CLOSED (between the
 * two).  A guest's state is (branch, seq): each resumption begins a branch, and
 * each tick of the guest is one more seq, with one frame.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ticket_world.h"

#define QUEUE_MAX 24 /* frames; older ones are dropped */

struct node nodes[NODES];

static struct party *party(const struct node *n)
{
	return &world.party[n->id];
}

static uint64_t now_ms(const struct node *n)
{
	return clock_ms(&party(n)->clock);
}

/* ---- a life ---- */

static void node_open(struct node *n, unsigned int id)
{
	struct ticket disk = n->disk;
	struct ticket last = n->last;
	uint64_t told = n->told_generation;

	memset(n, 0, sizeof(*n));
	n->id = id;
	n->disk = disk;
	n->told_generation = told;
	n->last = last;
	n->restart_at = NEVER;
	n->tick_at = world.now + rnd(world.k.tick_us);
	n->retry_at = NEVER;
	asker_open(&n->asker, id, party_name(id));
}

void nodes_reset(void)
{
	memset(nodes, 0, sizeof(nodes));
	for (unsigned int i = 0; i < NODES; i++)
		node_open(&nodes[i], i);
}

void nodes_free(void)
{
	for (unsigned int i = 0; i < NODES; i++)
		if (nodes[i].asker.proposer != NULL)
			asker_close(&nodes[i].asker);
}

void node_crash(struct node *n, uint64_t for_us)
{
	if (!party(n)->up)
		return;
	say("%s crashes", party_name(n->id));
	world.n->crashes++;
	party(n)->up = false;
	party(n)->frozen_until = 0;
	n->role = IDLE;
	n->gate = GATE_CLOSED;
	n->permit_end_ms = 0;
	asker_close(&n->asker);
	n->restart_at = world.now + for_us;
}

void node_start(struct node *n)
{
	party(n)->up = true;
	party(n)->life++;
	if (rnd(2) == 0)
		clock_boot(&party(n)->clock); /* the host, too */
	node_open(n, n->id);
	say("%s starts", party_name(n->id));
}

void node_drop(struct node *n)
{
	if (n->role != IDLE)
		say("%s drops its guest", party_name(n->id));
	n->role = IDLE;
	n->gate = GATE_CLOSED;
	n->permit_end_ms = 0;
	n->session = 0;
	n->bursting = false;
	n->retry_at = NEVER;
}

/* ---- output ---- */

bool node_permitted(const struct node *n)
{
	return party(n)->up && n->role == PRIMARY && n->gate == GATE_ALONE &&
	       now_ms(n) < n->permit_end_ms;
}

/* Frames that may leave, one by one: before each the gate looks at the clock,
 * and between any two the node may be frozen. */
static void burst(struct node *n)
{
	bool look = true;

	if (n->bursting && broken == GATE_NO_CLOCK)
		look = false; /* it did, when the burst began */
	n->bursting = false;
	while (n->released < n->burst_to) {
		if (n->burst_permit_ms != 0 && look &&
		    now_ms(n) >= n->burst_permit_ms)
			return;
		if (broken == GATE_NO_CLOCK)
			look = false;
		outside_frame(n, ++n->released, n->burst_permit_ms != 0);
		if (world.faults && n->released < n->burst_to &&
		    permille(15)) {
			party_freeze(n->id, rnd_in(1, 1500) * MS);
			n->bursting = true;
			return;
		}
	}
}

static void release(struct node *n)
{
	if (n->seq - n->released > QUEUE_MAX)
		n->released = n->seq - QUEUE_MAX;
	n->burst_to = n->released;
	n->burst_permit_ms = 0;
	if (n->gate == GATE_ALONE && n->permit_end_ms != 0) {
		n->burst_to = n->seq;
		n->burst_permit_ms = n->permit_end_ms;
	} else if (n->gate == GATE_ACK && n->acked > n->released) {
		n->burst_to = n->acked;
	}
	burst(n);
}

static void permit_update(struct node *n)
{
	n->permit_end_ms = n->gate == GATE_ALONE ?
				   ticket_proposer_lease_ms(n->asker.proposer) :
				   0;
}

/* ---- rounds ---- */

static void ask(struct node *n, enum ticket_purpose purpose)
{
	struct ticket_request r = { .purpose = purpose };

	r.give_up_ms = (uint32_t)rnd_in(300, 1500);
	if (purpose == TICKET_FOR_BOOT)
		r.above = n->disk.generation;
	if (purpose == TICKET_FOR_TAKEOVER)
		r.generation = n->told_generation;
	if (purpose == TICKET_FOR_PROTECTED)
		strcpy(r.peer, party_name(!n->id));
	if (purpose != TICKET_FOR_READ)
		n->retry_at = NEVER;
	asker_start(&n->asker, &r);
	permit_update(n);
}

static void go_alone(struct node *n, uint64_t generation)
{
	outside_generation(n, generation, true);
	n->role = PRIMARY;
	n->gate = GATE_ALONE;
	n->generation = generation;
	n->session = 0;
	world.n->alone++;
}

static void took_over(struct node *n, const struct ticket *t)
{
	n->branch = outside_resume(n, t->generation);
	n->seq = n->released = n->acked = 0;
	go_alone(n, t->generation);
	world.n->takeovers++;
	say("%s resumes from seq %u as branch %u", party_name(n->id),
	    n->have_seq, n->branch);
}

static void booted(struct node *n, const struct ticket *t)
{
	n->branch = outside_boot(n, t->generation);
	n->seq = n->released = n->acked = 0;
	go_alone(n, t->generation);
	world.n->boots++;
}

static void protected(struct node *n, const struct ticket *t)
{
	outside_generation(n, t->generation, false);
	n->gate = GATE_ACK;
	n->generation = t->generation;
	n->acked = 0; /* what B has of this generation */
	n->heard_at = world.now;
	world.n->protects++;
}

static void done(struct node *n, const struct ticket *t)
{
	switch (n->asker.purpose) {
	case TICKET_FOR_BOOT: booted(n, t); break;
	case TICKET_FOR_TAKEOVER: took_over(n, t); break;
	case TICKET_FOR_ALONE: go_alone(n, t->generation); break;
	case TICKET_FOR_PROTECTED: protected(n, t); break;
	case TICKET_FOR_END: node_drop(n); break;
	default: break;
	}
}

static void outcome(struct node *n, const struct ticket_outcome *o)
{
	n->last = o->value;
	if (n->asker.purpose == TICKET_FOR_READ) {
		; /* what it is for comes back by itself */
	} else if (o->rc == 0) {
		n->disk = o->value;
		done(n, &o->value);
	} else if (o->rc == -EPERM &&
		   n->asker.purpose != TICKET_FOR_PROTECTED) {
		node_drop(n);
	} else {
		n->retry_at = world.now + rnd_in(20, 300) * MS;
	}
	permit_update(n);
}

/* Not decided, or the lease was lost: what the role wants is asked for anew. */
static void retry(struct node *n)
{
	n->retry_at = NEVER;
	if (n->role == TAKING)
		ask(n, TICKET_FOR_TAKEOVER);
	else if (n->role == ENDING)
		ask(n, TICKET_FOR_END);
	else if (n->role == PRIMARY && n->gate != GATE_ACK)
		ask(n, TICKET_FOR_ALONE);
}

/* ---- commands ---- */

static bool can(const struct node *n)
{
	return party_runs(n->id) && !n->asker.busy;
}

void node_boot(struct node *n)
{
	if (!can(n) || (n->role != IDLE && n->role != BACKUP))
		return;
	node_drop(n);
	ask(n, TICKET_FOR_BOOT);
}

void node_takeover(struct node *n)
{
	if (!can(n) || n->role != BACKUP)
		return;
	if (n->told_generation == 0) {
		node_drop(n);
		return;
	}
	n->role = TAKING; /* acknowledges nothing any more (S4) */
	ask(n, TICKET_FOR_TAKEOVER);
}

void node_end(struct node *n)
{
	if (!can(n) || n->role != PRIMARY || n->gate != GATE_ALONE)
		return;
	n->role = ENDING;
	n->gate = GATE_CLOSED;
	n->bursting = false;
	ask(n, TICKET_FOR_END);
}

void node_read(struct node *n)
{
	if (can(n))
		ask(n, TICKET_FOR_READ);
}

/* ---- the link ---- */

static void send_epoch(struct node *n)
{
	struct message *m = message_new(EPOCH, n->id, !n->id);

	m->u.epoch = (struct epoch_message){ n->session, n->branch, n->seq,
					     n->disk, 0 };
	message_send(m);
}

static void send_ack(struct node *n, const struct epoch_message *e,
		     uint32_t branch, uint32_t seq)
{
	struct message *m = message_new(ACK, n->id, !n->id);

	m->u.epoch = (struct epoch_message){ .session = e->session,
					     .branch = branch,
					     .seq = seq,
					     .generation = n->told_generation };
	message_send(m);
}

/* As ARBITER_NOTE: from a primary that does not know what became of its ticket,
 * nothing is taken. */
static bool is_obsolete(const struct node *n, const struct ticket *told)
{
	return ticket_cmp(told, &n->disk) < 0 ||
	       (ticket_cmp(told, &n->disk) == 0 &&
		!ticket_equal(told, &n->disk));
}

static void on_epoch(struct node *n, const struct epoch_message *e)
{
	if (n->role == TAKING && broken == ACK_WHILE_TAKING &&
	    n->from_session == e->session)
		send_ack(n, e, e->branch, e->seq);
	if (is_obsolete(n, &e->ticket))
		return;
	/* A connection that has ended does not come back. */
	if (n->role == IDLE && !n->asker.busy &&
	    e->session > n->from_session)
		n->role = BACKUP;
	if (n->role != BACKUP || e->session < n->from_session)
		return;
	if (e->session > n->from_session) {
		n->from_session = e->session;
		n->have_seq = 0;
	}
	if (e->seq > n->have_seq) {
		n->have_branch = e->branch;
		n->have_seq = e->seq;
		n->disk = e->ticket;
		/* It learns of the generation together with state that was
		 * made after the gate had been closed for it. */
		if (e->ticket.state == TICKET_PROTECTED)
			n->told_generation = e->ticket.generation;
	}
	send_ack(n, e, n->have_branch, n->have_seq);
}

static void on_ack(struct node *n, const struct epoch_message *e)
{
	if (n->role != PRIMARY || n->session == 0 || e->session != n->session ||
	    e->branch != n->branch)
		return;
	n->heard_at = world.now;
	if (n->gate == GATE_ALONE && !n->asker.busy && n->permit_end_ms != 0) {
		/* Nothing leaves from here on, until it has what comes next. */
		n->gate = GATE_CLOSED;
		ask(n, TICKET_FOR_PROTECTED);
	} else if (n->gate == GATE_ACK && e->generation == n->generation &&
		   e->seq > n->acked) {
		n->acked = e->seq;
		release(n);
	}
}

static void burst_first(struct node *n)
{
	if (n->bursting)
		burst(n);
}

void node_on(struct node *n, const struct message *m)
{
	struct ticket_outcome o;

	burst_first(n);
	if (!party_runs(n->id)) { /* frozen anew */
		return;
	}
	if (m->kind == EPOCH) {
		on_epoch(n, &m->u.epoch);
	} else if (m->kind == ACK) {
		on_ack(n, &m->u.epoch);
	} else {
		if (asker_answer(&n->asker, m, &o))
			outcome(n, &o);
		permit_update(n);
	}
}

/* ---- time ---- */

static void feed(struct node *n)
{
	if (n->session == 0 && n->gate == GATE_ALONE && rnd(3) == 0) {
		n->session = ++world.sessions;
		n->heard_at = world.now;
	}
	if (n->session != 0)
		send_epoch(n);
}

/* The lease was lost, the backup, or the round between them: none of it comes
 * back by itself. */
static bool has_no_output(const struct node *n)
{
	return n->gate == GATE_CLOSED ||
	       (n->gate == GATE_ALONE && n->permit_end_ms == 0) ||
	       (n->gate == GATE_ACK && n->session == 0);
}

static void tick(struct node *n)
{
	n->tick_at = world.now + world.k.tick_us;
	if (n->role != PRIMARY)
		return;
	n->seq++;
	feed(n);
	release(n);
	if (n->session != 0 &&
	    world.now > n->heard_at + world.k.ack_timeout_us && !n->asker.busy)
		n->session = 0;
	if (!n->asker.busy && n->retry_at == NEVER && has_no_output(n))
		ask(n, TICKET_FOR_ALONE);
}

uint64_t node_timer(const struct node *n)
{
	uint64_t at = n->tick_at;

	if (!party(n)->up)
		return n->restart_at;
	if (n->asker.wake < at)
		at = n->asker.wake;
	if (!n->asker.busy && n->retry_at < at)
		at = n->retry_at;
	return at > party(n)->frozen_until ? at : party(n)->frozen_until;
}

void node_run(struct node *n)
{
	struct ticket_outcome o;

	if (!party(n)->up) {
		node_start(n);
		return;
	}
	burst_first(n);
	if (!party_runs(n->id))
		return;
	if (world.now >= n->asker.wake) {
		if (asker_tick(&n->asker, &o))
			outcome(n, &o);
		permit_update(n);
	}
	if (world.now >= n->retry_at && !n->asker.busy)
		retry(n);
	if (world.now >= n->tick_at)
		tick(n);
}
