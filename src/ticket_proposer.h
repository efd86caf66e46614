/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_proposer.h - the asking part of the register of one VM
 * (ticket_register.h), and the holder's lease.  Pure: the caller sends what it
 * is given, hands in what comes back and the time, and asks for the next time
 * it wants to be woken.
 *
 * One round of changes at a time.  It goes on (new ballots after a randomised,
 * growing delay) until it is decided, refused for good, or out of time; out of
 * time is -ETIMEDOUT and means: not known.
 */
#ifndef REMUS_TICKET_PROPOSER_H
#define REMUS_TICKET_PROPOSER_H

#include "ticket_register.h"

/* How a round ended; given once. */
struct ticket_outcome {
	/* 0: decided, `value` is the ticket.  -EPERM: the ticket is `value`,
	 * which does not allow it.  -EBUSY: a majority cannot be had because
	 * witnesses see a copy elsewhere, or its lease runs, until the end of
	 * time; -ETIMEDOUT: no majority answered.  After these two it is not
	 * known what became of it: it may be decided yet. */
	int rc;
	struct ticket value;
	/* FENCE: leases of the target may be used until then (our clock). */
	uint64_t quiet_at_ms;
	char why[4 * TICKET_WHY_MAX]; /* which witness said what */
};

struct ticket_send {
	unsigned int to; /* index of the witness */
	uint64_t id;	 /* give it back with the answer; never reused */
	struct ticket_message message;
};

struct ticket_proposer_config {
	const char *vm, *self;	/* kept by the caller */
	unsigned int witnesses; /* 1 .. WITNESSES_MAX */
	/* For people, kept by the caller; NULL: "witness 1", ... */
	const char *name[WITNESSES_MAX];
	uint64_t proposer;	/* of ballots; random, not 0 */
	uint64_t seed;		/* of delays */
	uint32_t lease_ms;
	uint32_t answer_ms; /* a witness that is silent so long is passed over */
};

struct ticket_request {
	enum ticket_purpose purpose;
	char peer[VM_NAME_MAX + 1];   /* ticket_change(): peer */
	char target[VM_NAME_MAX + 1]; /* FENCE */
	uint64_t above;		      /* BOOT */
	uint64_t generation;	      /* TAKEOVER; ALONE, 0: any */
	uint32_t give_up_ms;	      /* from the start */
};

struct ticket_proposer; /* opaque; size bounded, no allocation after new */

/* NULL: out of memory. */
struct ticket_proposer *
ticket_proposer_new(const struct ticket_proposer_config *c);
void ticket_proposer_free(struct ticket_proposer *p);

/* Begin a round.  BOOT, TAKEOVER, PROTECTED and END give the lease up first: no
 * permit holds from this call on, whatever becomes of the round.  0 or -EBUSY
 * (one is under way, or its outcome was not taken). */
int ticket_proposer_start(struct ticket_proposer *p,
			  const struct ticket_request *r, uint64_t now_ms);

/* What witness `from` said to message `id`; late, doubled and unknown ones are
 * passed over.  NULL: it could not be reached, or answered nonsense. */
void ticket_proposer_answer(struct ticket_proposer *p, unsigned int from,
			    uint64_t id, const struct ticket_answer *answer,
			    uint64_t now_ms);

/* Let time pass. */
void ticket_proposer_tick(struct ticket_proposer *p, uint64_t now_ms);

/* After each of the three above: look at ticket_proposer_lease_ms(), which may
 * be less now, then take what is to be sent, until false. */
bool ticket_proposer_next_send(struct ticket_proposer *p,
			       struct ticket_send *out);
/* The round's end, once. */
bool ticket_proposer_outcome(struct ticket_proposer *p,
			     struct ticket_outcome *out);
/* When to tick next; UINT64_MAX: no need. */
uint64_t ticket_proposer_wake_ms(const struct ticket_proposer *p);

/* Output may leave until then (our clock, drift taken off; 0: not at all).
 * Grows with renewals, which the proposer makes by itself while it holds
 * alone(self), several in a lease time.  It never comes back by itself after
 * a witness majority said that the ticket is another; an ALONE tells then. */
uint64_t ticket_proposer_lease_ms(const struct ticket_proposer *p);
/* The decided ticket as last learned; false: nothing was learned yet. */
bool ticket_proposer_known(const struct ticket_proposer *p, struct ticket *t);

/* A remusd that starts anew with alone(self) on its disk has no lease: it
 * begins with FOR_ALONE, which decides alone(self) -> alone(self). */

#endif
