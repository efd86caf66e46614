/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_core.h - how a node is fenced by its witnesses: pure, (state, event)
 * -> (state, actions).  The caller has the clock, the messages and a
 * ticket_proposer for each virtual machine.
 *
 *	LOOK at what all witnesses see <------------------------+
 *	   |  no majority answers, the set of machines is not    | some time
 *	   |  known, a copy is seen on the target: again --------+ later
 *	   v                                                     |
 *	ROUND (TICKET_FOR_FENCE) for each machine, a few at once |
 *	   |  refused, another ticket than was thought: again ---+
 *	   v                                                     |
 *	decided, all of them, and leases over                    |
 *	   |  a LOOK that began after that: does a majority      |
 *	   |  see nothing of the target?  no: again -------------+
 *	   v
 *	DONE
 *
 * Whatever is not known at the end of time is a failure (S6).  A sight of the
 * target is let pass for `grace_ms`: a node that has just died was seen a
 * moment ago.  Then it fails, and says who sees what.  As long as a majority
 * cannot be had for one machine because of such a sight, none is touched.
 *
 * protected(target,B) becomes alone(B) when B is there to take it, and `none`
 * otherwise, which gives up the epoch that B may hold.  So B is waited for,
 * `grace_ms` as well.
 */
#ifndef REMUS_FENCE_CORE_H
#define REMUS_FENCE_CORE_H

#include "fence_sight.h"
#include "ticket_proposer.h"

#define FENCE_LOOK_AGAIN_MS 250
#define FENCE_ROUNDS_MAX 8 /* at once: a witness queues 16 requests */
#define FENCE_TEXT_MAX 8192

struct fence_core_config {
	const char *target; /* kept by the caller, as is all of this */
	const struct witness_address *witness;
	unsigned int witnesses;
	/* The machines; none: those that a majority of the witnesses names
	 * with the target. */
	const char (*vm)[VM_NAME_MAX + 1];
	unsigned int vms;
	uint32_t timeout_ms, grace_ms;
};

enum fence_step {
	FENCE_LOOK,  /* ask each witness what it sees; fence_core_saw() */
	FENCE_ROUND, /* a TICKET_FOR_FENCE; fence_core_outcome() */
};

struct fence_todo {
	enum fence_step step;
	unsigned int vm; /* ROUND */
	struct ticket_request request;
};

enum fence_end { FENCE_RUNS, FENCE_DONE, FENCE_FAILED };

struct fence_core;

/* Begins.  NULL: out of memory. */
struct fence_core *fence_core_new(const struct fence_core_config *c,
				  uint64_t now_ms);
void fence_core_free(struct fence_core *f);

/* What witness `w` answered to the last LOOK; NULL: it did not, because `why`.
 * Takes `s` over.  One answer to each LOOK; more are passed over. */
void fence_core_saw(struct fence_core *f, unsigned int w, struct sight *s,
		    const char *why, uint64_t now_ms);
/* What witness `w` said in a round, for the report: NULL: no answer (`why`). */
void fence_core_heard(struct fence_core *f, unsigned int vm, unsigned int w,
		      const struct ticket_answer *a, const char *why);
void fence_core_outcome(struct fence_core *f, unsigned int vm,
			const struct ticket_outcome *o, uint64_t now_ms);
void fence_core_tick(struct fence_core *f, uint64_t now_ms);

/* After each of those: take what is to be done, until false. */
bool fence_core_next(struct fence_core *f, struct fence_todo *out);
enum fence_end fence_core_end(const struct fence_core *f);
/* DONE: one line for each machine.  FAILED: one line, and below it what each
 * witness said.  Lines end with '\n'. */
const char *fence_core_text(const struct fence_core *f);
const char *fence_core_vm(const struct fence_core *f, unsigned int vm);
uint64_t fence_core_wake_ms(const struct fence_core *f);

#endif
