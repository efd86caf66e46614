/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_register.h - the ticket as a register that a majority of witnesses
 * keeps: its messages.
 *
 * Per VM one compare-and-swap register by Paxos (D. Rystsov, "CASPaxos:
 * Replicated State Machines without logs", 2018; with one change a generation
 * it is Lamport's single-decree Paxos per (VM, generation)):
 *
 *	proposer                                        acceptor (each witness)
 *	PREPARE ballot b, purpose  ------------------>  promises b, unless it has
 *	                                                promised more, or sees
 *	                                                a copy that the purpose
 *	                           <------------------  would take from its place
 *	                                                PROMISE: (ballot, value)
 *	                                                that it accepted last
 *	with a majority of promises: value of the
 *	greatest ballot -> ticket_change() -> next
 *	ACCEPT b, next             ------------------>  accepts, stores durably
 *	                           <------------------  ACCEPTED
 *	with a majority: next is the ticket
 *
 * An answer that does not come decides nothing: whoever gave up on a round has
 * to learn by a whole round of its own what became of it.
 *
 * alone(X) is a lease besides: an ACCEPT of alone(from), and each RENEW of it,
 * lets the acceptor count `lease_ms` from when the message came; the holder
 * counts from when it was sent.  Both use CLOCK_BOOTTIME and allow for
 * TICKET_DRIFT_PERMILLE of difference in their rates: the holder stops early,
 * the acceptor waits longer.  While an acceptor counts for X, it accepts no
 * alone() of anybody else.
 */
#ifndef REMUS_TICKET_REGISTER_H
#define REMUS_TICKET_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "ticket.h"

#define TICKET_DRIFT_PERMILLE 10
#define TICKET_LEASE_MS_MIN 500
#define TICKET_LEASE_MS_MAX 60000

/* Ordered by n, then proposer.  n 0: none.  `proposer` is a random number,
 * not 0, that a process draws anew each time it starts. */
struct ballot {
	uint64_t n;
	uint64_t proposer;
};

/* What a round is for.  An acceptor compares it with what it sees. */
enum ticket_purpose {
	TICKET_FOR_READ,      /* the value as it is, decided anew */
	TICKET_FOR_BOOT,      /* alone(from), next generation */
	TICKET_FOR_ALONE,     /* protected(from,B) -> alone(from) */
	TICKET_FOR_PROTECTED, /* alone(from) -> protected(from,B), next gen. */
	TICKET_FOR_TAKEOVER,  /* protected(A,from) -> alone(from) */
	TICKET_FOR_END,	      /* alone(from) -> none */
	TICKET_FOR_FENCE,     /* `target` must not be seen again */
};
const char *ticket_purpose_to_str(enum ticket_purpose p);
bool ticket_purpose_from_str(enum ticket_purpose *p, const char *s);

enum ticket_question { TICKET_PREPARE, TICKET_ACCEPT, TICKET_RENEW };

struct ticket_message {
	enum ticket_question question;
	char vm[VM_NAME_MAX + 1];
	char from[VM_NAME_MAX + 1];   /* the node that asks; authenticated */
	char target[VM_NAME_MAX + 1]; /* FOR_FENCE: whom; else "" */
	struct ballot ballot;	      /* PREPARE, ACCEPT */
	enum ticket_purpose purpose;  /* PREPARE */
	struct ticket value;	      /* ACCEPT: next; RENEW: what is held */
	uint32_t lease_ms;	      /* of alone(from); else 0 */
};

enum ticket_reply {
	TICKET_PROMISE,
	TICKET_ACCEPTED,
	TICKET_RENEWED,
	TICKET_REFUSED_BALLOT, /* `ballot` was promised to another */
	TICKET_REFUSED_SEEN,   /* a copy elsewhere is seen alive: `why` */
	TICKET_REFUSED_LEASE,  /* alone() of another: `lease_left_ms` */
	TICKET_REFUSED_VALUE,  /* RENEW: that is not the value accepted here */
	TICKET_REFUSED_BAD,    /* message makes no sense here: `why` */
};
const char *ticket_reply_to_str(enum ticket_reply r);
bool ticket_reply_from_str(enum ticket_reply *r, const char *s);

#define TICKET_WHY_MAX 256

struct ticket_answer {
	enum ticket_reply reply;
	struct ballot ballot;	/* PROMISE: accepted; REFUSED_BALLOT: promised */
	struct ticket value;	/* PROMISE, REFUSED_VALUE: accepted */
	/* How long a lease that this acceptor gave to another than `from` may
	 * still be used, drift included.  With ACCEPTED and REFUSED_LEASE. */
	uint32_t lease_left_ms;
	char why[TICKET_WHY_MAX];
};

int ballot_cmp(const struct ballot *a, const struct ballot *b);

/* The change of a round: what `purpose` makes of `now`, pure.  0 with *next
 * (equal to *now for FOR_READ, and where it has been done before: an ALONE of
 * the holder, a TAKEOVER that was decided already, a FENCE of a node that holds
 * nothing); -EPERM with a line.  `peer`: the backup to be named, or for FENCE
 * of A in protected(A,B): B when B is there to take it (then alone(B)), else ""
 * (then none).  `above`: BOOT makes a generation greater than this too. */
int ticket_change(const struct ticket *now, const struct ticket_message *m,
		  const char *peer, uint64_t above, struct ticket *next,
		  char *err, size_t err_bytes);

#endif
