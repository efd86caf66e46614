/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arbiter.h - who moves the ticket, and whom this node has to ask.
 *
 *   operator  whoever types remusctl decides, and is responsible: the register
 *             is this node's own file (arbiter_operator.c)
 *   cluster   Pacemaker: quorum and fencing, told through the agent
 *   witness   the service's clients (remus-witness)
 *
 * An arbiter is the only source of PERMIT_TICKET (permit.h).  Every request
 * ends in exactly one `done`, from the loop and never from inside the request;
 * one request at a time.  A refusal changes nothing.
 */
#ifndef REMUS_ARBITER_H
#define REMUS_ARBITER_H

#include <limits.h>
#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>

#include "permit.h"
#include "ticket.h"

struct arbiter;

/* rc 0: the ticket is now as asked for and stored; `permit` is a ticket permit
 * after COLD_BOOT, ALONE and ACTIVATE, NULL otherwise.  rc < 0: refused, or
 * with -ETIMEDOUT not known, `why`; `permit` is the one that this node goes on
 * with when PROTECTED was refused, NULL when it has none (any more). */
typedef void (*arbiter_done)(void *ctx, int rc, const struct permit *permit,
			     const char *why);

enum arbiter_move {
	/* A guest is to be booted here: none, or alone(self), or anything when
	 * the peer is dead -> alone(self) of the next generation, which is
	 * above told.generation too. */
	ARBITER_COLD_BOOT,
	/* The primary wants to go on without its backup:
	 * protected(self,B), when the arbiter knows that B cannot take over
	 * (operator: peer_is_dead), or alone(self) -> alone(self), same
	 * generation. */
	ARBITER_ALONE,
	/* The backup holds a whole epoch: alone(self) -> protected(self,B),
	 * next generation. */
	ARBITER_PROTECTED,
	/* This backup is to take over: protected(A,self) -> alone(self), same
	 * generation. */
	ARBITER_ACTIVATE,
	/* This backup was told by its primary: store `told`, unless it is
	 * older than what is known, or another of the same age. */
	ARBITER_NOTE,
	/* The guest here has ended for good on purpose: alone(self), or
	 * none -> none, same generation. */
	ARBITER_ENDED,
};
const char *arbiter_move_to_str(enum arbiter_move m);

struct arbiter_request {
	enum arbiter_move move;
	bool peer_is_dead;   /* the operator's word, or proof of fencing */
	struct ticket told;  /* ARBITER_NOTE; COLD_BOOT: its generation */
};

/* What this node does, as an arbiter that is elsewhere wants to know it. */
struct arbiter_report {
	const char *role, *state; /* as in status */
	bool serving;		  /* the guest runs here, and is seen */
};

/* From the loop. */
struct arbiter_events {
	/* The ticket permit holds longer now. */
	void (*renewed)(void *ctx, const struct permit *permit);
	/* The ticket has changed without our asking, as when the backup was
	 * fenced: ask for ALONE, which tells what it is. */
	void (*moved)(void *ctx);
	/* The ticket is another's, or nobody's: `now`; ours is void. */
	void (*lost)(void *ctx, const struct ticket *now);
	void (*report)(void *ctx, struct arbiter_report *out);
};

struct arbiter_ops {
	const char *name;
	/* It can tell by itself whether a primary that lost its backup may go
	 * on: nobody has to vouch for that. */
	bool judges;
	/* `self` indexes cfg->node.  0, or -errno with a line. */
	int (*create)(struct arbiter **out, const struct vm_config *cfg,
		      int self, qb_loop_t *loop, char *err, size_t err_bytes);
	/* 0; -EBUSY: one is under way. */
	int (*request)(struct arbiter *a, const struct arbiter_request *r,
		       arbiter_done done, void *ctx);
	/* What this node knows, as stored. */
	const struct ticket *(*ticket)(const struct arbiter *a);
	/* Optional: for arbiters whose permits run out. */
	void (*watch)(struct arbiter *a, const struct arbiter_events *events,
		      void *ctx);
	/* Optional, for arbiters that are elsewhere: how long no majority of
	 * them has answered; the time in which this process stood still does
	 * not count. */
	uint64_t (*silent_ms)(const struct arbiter *a);
	/* Optional: this node has just stopped serving, on purpose; what was
	 * reported or seen of it before does not count any more. */
	void (*ceased)(struct arbiter *a);
	void (*destroy)(struct arbiter *a);
};

extern const struct arbiter_ops arbiter_operator_ops;
extern const struct arbiter_ops arbiter_witness_ops;
/* NULL: no such arbiter in this build. */
const struct arbiter_ops *arbiter_find(const char *name);

/* For the arbiters: this node's own copy, state_dir/NAME.ticket.  0, or -errno
 * with a line. */
int arbiter_load(struct ticket *t, char path[PATH_MAX],
		 const struct vm_config *cfg, char *err, size_t err_bytes);
/* Does `done` of this move, granted, come with a permit? */
bool arbiter_grants_permit(enum arbiter_move m);

/* Pure: what `r` makes of `now` for the node named self (peer: the other one).
 * 0 with the new ticket in *next, or -EPERM with a line saying why not.  Shared
 * by the arbiters whose register this node keeps itself. */
int ticket_move(const struct ticket *now, const struct arbiter_request *r,
		const char *self, const char *peer, struct ticket *next,
		char *err, size_t err_bytes);

#endif
