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
 * TICKET_DRIFT_PERMILLE: no clock is faster or slower than time by more; the
 * holder stops early, the acceptor waits longer.  While an acceptor counts for
 * X, it accepts no alone() of anybody else.
 *
 * Why there are never two who may be seen:
 *  1. Two majorities share a witness.  So of the values that majorities accept
 *     each is made from the one before (Paxos), and a generation, which goes
 *     protected -> alone -> none and never back, has one alone() at most.
 *  2. The holder's lease is the m-th largest, m being a majority, of the leases
 *     that the single witnesses gave it: while it runs, a majority counts for
 *     the holder, each of them longer than the holder itself.  Another's
 *     alone() needs a majority too, and the witness that both share refuses.
 *  3. A fence decides a value that is not alone(target).  From then on no
 *     majority renews the target's lease; what was given before is over at
 *     quiet_at_ms, which counts the longest that any of the deciding majority
 *     may have given.
 *  4. A witness answers from nothing that is not durable, and one that starts
 *     anew counts the longest lease that it may have given.
 *  5. A backup takes over only the generation of which it was told together
 *     with state; see TICKET_FOR_TAKEOVER.
 */
#ifndef REMUS_TICKET_REGISTER_H
#define REMUS_TICKET_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "ticket.h"

#define TICKET_DRIFT_PERMILLE 10
#define TICKET_LEASE_MS_MIN 500
#define TICKET_LEASE_MS_MAX 60000
/* As TICKET_GENERATION_MAX: they are JSON integers. */
#define TICKET_BALLOT_MAX ((uint64_t)INT64_MAX)

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
	/* protected(A,from) -> alone(from), of one given generation only: the
	 * state that a backup holds may be older than what was seen since, of
	 * `alone` before the register came to `protected` again. */
	TICKET_FOR_TAKEOVER,
	TICKET_FOR_END, /* alone(from) -> none */
	/* `target` must not be seen again: alone(target), protected(target,B)
	 * -> none, or the latter -> alone(B); protected(A,target) -> alone(A),
	 * so that it will not take over. */
	TICKET_FOR_FENCE,
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
	enum ticket_purpose purpose;  /* PREPARE, ACCEPT */
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
	/* PROMISE, REFUSED_VALUE: accepted; REFUSED_BALLOT: promised */
	struct ballot ballot;
	struct ticket value;	/* PROMISE, REFUSED_VALUE: accepted */
	/* How long a lease that this acceptor gave to another than `from` (of
	 * FOR_FENCE: to `target`, or it does not know to whom) may still be
	 * used, drift included.  With ACCEPTED and REFUSED_LEASE. */
	uint32_t lease_left_ms;
	char why[TICKET_WHY_MAX];
};

int ballot_cmp(const struct ballot *a, const struct ballot *b);

/* The change of a round: what `purpose` makes of `now`, pure.  0 with *next
 * (equal to *now for FOR_READ, and where it has been done before: an ALONE of
 * the holder, a PROTECTED, TAKEOVER or END that was decided already, a FENCE of
 * a node that holds nothing); -EPERM with a line.  `peer`: the backup to be
 * named, or for FENCE of A in protected(A,B): B when B is there to take it
 * (then alone(B)), else "" (then none).  `generation`: BOOT makes a greater one
 * than this too; TAKEOVER takes over this one and no other; ALONE refuses
 * another, if it is not 0. */
int ticket_change(const struct ticket *now, const struct ticket_message *m,
		  const char *peer, uint64_t generation, struct ticket *next,
		  char *err, size_t err_bytes);

/* Is the value one that a register can hold: names there, and generation? */
bool ticket_is_sound(const struct ticket *t);

/* The numbers that safety rests on. */
unsigned int ticket_majority(unsigned int witnesses);
/* Until when a holder may count a lease of a message that it sent at sent_ms. */
uint64_t ticket_lease_end_ms(uint64_t sent_ms, uint32_t lease_ms);
/* Until when a witness, or who fences, waits for one that may begin now. */
uint64_t ticket_lease_over_ms(uint64_t now_ms, uint32_t lease_ms);

#endif
