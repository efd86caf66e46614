/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_proposer_priv.h - what ticket_proposer.c (rounds) and ticket_lease.c
 * (what is held) share; nobody else's business.
 */
#ifndef REMUS_TICKET_PROPOSER_PRIV_H
#define REMUS_TICKET_PROPOSER_PRIV_H

#include "ticket_proposer.h"

enum round_phase { IDLE, PREPARE, ACCEPT, PAUSE };

/* What is known of one witness. */
struct round_witness {
	/* the attempt */
	uint64_t round_id; /* 0: none is awaited */
	uint64_t round_sent_ms;
	bool round_send;
	bool answered, agreed;	    /* agreed: PROMISE, ACCEPTED */
	enum ticket_reply reply;    /* answered, of a sort that can be read */
	bool failed;		    /* not reached, or nonsense */
	struct ballot ballot;	    /* PROMISE */
	struct ticket value;	    /* PROMISE */
	uint32_t lease_left_ms;	    /* as of answered_ms */
	uint64_t answered_ms;
	char why[TICKET_WHY_MAX];
	/* the lease */
	uint64_t hold_id;
	uint64_t hold_sent_ms, hold_due_ms;
	bool hold_send;
	bool missed;	      /* it has not accepted what we hold */
	bool blocked;	      /* and would not: it promised a greater ballot */
	bool moved;	      /* it has accepted something later */
	struct ballot moved_to;
	struct ticket moved_value;
	uint64_t lease_end_ms;
};

struct ticket_proposer {
	struct ticket_proposer_config c;
	uint64_t now_ms, last_id, rng;
	uint64_t max_n; /* greatest ballot heard of */

	enum round_phase phase;
	bool internal;
	struct ticket_request r;
	uint64_t give_up_at_ms, until_ms; /* until: of this attempt or pause */
	unsigned int attempts;
	bool busy;	     /* the last whole attempt: see -EBUSY */
	struct ballot ballot;
	struct ticket next;
	int rc;		     /* of ticket_change() */
	char err[TICKET_WHY_MAX];

	bool outcome_due;
	struct ticket_outcome outcome;

	bool known;
	struct ticket ticket;

	bool holding;
	struct ticket held;
	struct ballot held_ballot;

	struct round_witness w[WITNESSES_MAX];
};

static inline uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline unsigned int majority(const struct ticket_proposer *p)
{
	return ticket_majority(p->c.witnesses);
}

static inline void note_ballot(struct ticket_proposer *p, const struct ballot *b)
{
	if (b->n > p->max_n && b->n < TICKET_BALLOT_MAX)
		p->max_n = b->n;
}

/* ---- ticket_lease.c ---- */

/* Nothing is held from here on. */
void lease_drop(struct ticket_proposer *p);
/* alone(self) is decided, by the round that is about to end: what the witnesses
 * said counts, what they have still to say will. */
void lease_hold(struct ticket_proposer *p);
void lease_answer(struct ticket_proposer *p, struct round_witness *w,
		  const struct ticket_answer *a);
/* Renewals that are due. */
void lease_tick(struct ticket_proposer *p);
/* The message that is due to a witness with hold_send, but vm and from. */
void lease_fill(struct ticket_proposer *p, struct round_witness *w,
		struct ticket_message *m);
uint64_t lease_wake_ms(const struct ticket_proposer *p);
/* It gets short, and only a round of our own helps. */
bool lease_needs_round(const struct ticket_proposer *p);

#endif
