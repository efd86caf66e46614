/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_lease.c - alone(self) while it is held.  Each witness is sent a RENEW
 * every quarter of a lease.  One that missed the ACCEPT gets the very same
 * again.  Where it has promised a greater ballot meanwhile, only a round of our
 * own can bring it back: one is made when the lease gets short.
 */
#include <string.h>

#include "ticket_proposer_priv.h"

#define RENEWALS_PER_LEASE 4

void lease_drop(struct ticket_proposer *p)
{
	p->holding = false;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct round_witness *w = &p->w[i];

		w->hold_id = 0;
		w->hold_send = false;
		w->missed = w->blocked = w->moved = false;
		w->lease_end_ms = 0;
	}
}

static void lease_count(struct ticket_proposer *p, struct round_witness *w,
			uint64_t sent_ms)
{
	w->missed = w->blocked = w->moved = false;
	w->lease_end_ms = later(w->lease_end_ms,
				  ticket_lease_end_ms(sent_ms, p->c.lease_ms));
}

uint64_t ticket_proposer_lease_ms(const struct ticket_proposer *p)
{
	uint64_t best = 0;

	if (!p->holding)
		return 0;
	/* The greatest that a majority reaches. */
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		uint64_t end = p->w[i].lease_end_ms;
		unsigned int n = 0;

		for (unsigned int j = 0; j < p->c.witnesses; j++)
			n += p->w[j].lease_end_ms >= end;
		if (n >= majority(p))
			best = later(best, end);
	}
	return best;
}

static uint64_t hold_interval_ms(const struct ticket_proposer *p)
{
	return p->c.lease_ms / RENEWALS_PER_LEASE;
}

static uint64_t hold_timeout_ms(const struct ticket_proposer *p)
{
	return sooner(p->c.answer_ms, p->c.lease_ms / 2);
}

static void hold_say(struct ticket_proposer *p, struct round_witness *w)
{
	w->hold_id = ++p->last_id;
	w->hold_sent_ms = p->now_ms;
	w->hold_send = true;
}

/* A majority accepted something after what we hold.  Is it one thing, then
 * that is the ticket. */
static void lease_lost(struct ticket_proposer *p)
{
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct round_witness *w = &p->w[i];
		unsigned int n = 0;

		for (unsigned int j = 0; j < p->c.witnesses; j++)
			n += p->w[j].moved && ballot_cmp(&p->w[j].moved_to,
							 &w->moved_to) == 0;
		if (w->moved && n >= majority(p))
			p->ticket = w->moved_value;
	}
	lease_drop(p);
}

static void on_moved(struct ticket_proposer *p, struct round_witness *w,
		     const struct ticket_answer *a)
{
	unsigned int n = 0;

	w->moved = true;
	w->moved_to = a->ballot;
	w->moved_value = a->value;
	for (unsigned int i = 0; i < p->c.witnesses; i++)
		n += p->w[i].moved;
	if (n >= majority(p))
		lease_lost(p);
}

void lease_answer(struct ticket_proposer *p, struct round_witness *w,
		  const struct ticket_answer *a)
{
	w->hold_id = 0;
	w->hold_due_ms = w->hold_sent_ms + hold_interval_ms(p);
	if (a == NULL)
		return;
	switch (a->reply) {
	case TICKET_RENEWED:
	case TICKET_ACCEPTED:
		lease_count(p, w, w->hold_sent_ms);
		break;
	case TICKET_REFUSED_VALUE:
		w->missed = true;
		note_ballot(p, &a->ballot);
		if (ballot_cmp(&a->ballot, &p->held_ballot) > 0)
			on_moved(p, w, a);
		else
			hold_say(p, w); /* the ACCEPT that it missed */
		break;
	case TICKET_REFUSED_BALLOT:
		w->missed = false; /* ask by RENEW what it has now */
		w->blocked = true;
		note_ballot(p, &a->ballot);
		break;
	default:
		break;
	}
}

void lease_hold(struct ticket_proposer *p)
{
	if (!p->holding || !ticket_equal(&p->held, &p->next))
		lease_drop(p);
	p->holding = true;
	p->held = p->next;
	p->held_ballot = p->ballot;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct round_witness *w = &p->w[i];

		if (w->answered && w->agreed) {
			lease_count(p, w, w->round_sent_ms);
		} else if (!w->answered && !w->round_send) {
			w->hold_id = w->round_id;
			w->hold_sent_ms = w->round_sent_ms;
			w->hold_send = false;
		}
		w->hold_due_ms = w->round_sent_ms + hold_interval_ms(p);
	}
}

bool lease_needs_round(const struct ticket_proposer *p)
{
	uint64_t end = ticket_proposer_lease_ms(p);

	for (unsigned int i = 0; i < p->c.witnesses && p->holding; i++) {
		const struct round_witness *w = &p->w[i];

		if ((w->blocked && end < p->now_ms + p->c.lease_ms / 2) ||
		    (w->moved && end <= p->now_ms))
			return true;
	}
	return false;
}

void lease_tick(struct ticket_proposer *p)
{
	for (unsigned int i = 0; i < p->c.witnesses && p->holding; i++) {
		struct round_witness *w = &p->w[i];

		if (w->hold_id != 0 &&
		    p->now_ms >= w->hold_sent_ms + hold_timeout_ms(p))
			lease_answer(p, w, NULL);
		if (w->hold_id == 0 && p->now_ms >= w->hold_due_ms)
			hold_say(p, w);
	}
}

void lease_fill(struct ticket_proposer *p, struct round_witness *w,
		struct ticket_message *m)
{
	w->hold_send = false;
	m->purpose = TICKET_FOR_ALONE;
	m->question = w->missed ? TICKET_ACCEPT : TICKET_RENEW;
	if (w->missed)
		m->ballot = p->held_ballot;
	m->value = p->held;
	m->lease_ms = p->c.lease_ms;
}

uint64_t lease_wake_ms(const struct ticket_proposer *p)
{
	uint64_t at = UINT64_MAX;

	for (unsigned int i = 0; i < p->c.witnesses && p->holding; i++) {
		const struct round_witness *w = &p->w[i];

		at = sooner(at, w->hold_id == 0 ?
					w->hold_due_ms :
					w->hold_sent_ms + hold_timeout_ms(p));
	}
	return at;
}
