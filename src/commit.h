/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit.h - the life of an epoch on the backup, as a pure state machine.
 *
 *                BEGIN direct
 *      EMPTY ------------------> DIRECT
 *        ^ ^                     |    |
 *        | '---- link down ------'    | END, digest right
 *        |                            v          BEGIN
 *        |                          READY <-----------------> STAGING
 *        |                            |     END right, or       |
 *        |                            |     link down (drop)    |
 *        |                            '---- activate -----------'
 *        |                                      v
 *        '------------ not loaded ---------- LOADING ---> ACTIVE
 *
 * What it guarantees, whatever events come in whatever order:
 *   - the restorable state is one committed epoch, or there is none; COMMIT
 *     comes only for a whole epoch whose digest and chain were found right, and
 *     SEND_ACK only after COMMIT (S2, S5);
 *   - a link that goes away drops what was staged and activates nothing (S3);
 *   - once LOAD was asked for, nothing is committed or acknowledged any more
 *     (S4).
 */
#ifndef REMUS_COMMIT_H
#define REMUS_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

enum commit_state {
	COMMIT_EMPTY = 0,
	COMMIT_DIRECT,
	COMMIT_READY,
	COMMIT_STAGING,
	COMMIT_LOADING,
	COMMIT_ACTIVE,
};
const char *commit_state_to_str(enum commit_state s);

struct commit {
	enum commit_state state;
	bool link_up;
	uint64_t stream;    /* of the committed or the open epoch */
	uint64_t committed; /* epoch; 0: none */
	uint64_t chain;
	uint64_t open;	    /* epoch being received */
	uint64_t open_stream;
	bool handed_over;   /* the primary ended its guest at `committed` */
};

enum commit_event_type {
	CEV_LINK_UP,	 /* handshake done */
	CEV_LINK_DOWN,
	CEV_BEGIN,	 /* stream, epoch, direct, chain (= base_chain) */
	CEV_DATA,	 /* PAGES or DEVICE; `good`: decoded without error */
	CEV_END,	 /* epoch, chain; `good`: records, lengths, digest and
			    chain are as announced */
	CEV_TICKET,	 /* TICKET frame */
	CEV_TICKET_STORED,
	CEV_HANDOVER,	 /* epoch */
	CEV_ACTIVATE,	 /* the arbiter granted it */
	CEV_LOADED,	 /* the guest runs: `good`, or did not start */
};

struct commit_event {
	enum commit_event_type type;
	uint64_t stream, epoch, chain;
	bool direct;
	bool good;
};

enum commit_action_type {
	CACT_VOID,	  /* forget the committed state; pages go direct now */
	CACT_STAGE,	  /* start an empty staging area */
	CACT_UNSTAGE,	  /* drop it */
	CACT_COMMIT,	  /* staged pages and device state become the state */
	CACT_SEND_ACK,	  /* epoch, chain */
	CACT_STORE_TICKET,
	CACT_SEND_TICKET_ACK,
	CACT_SEND_HANDOVER_ACK,
	CACT_REFUSE_PROTOCOL, /* REFUSE, close */
	CACT_REFUSE_DIGEST,
	CACT_REFUSE_SUPERSEDED,
	CACT_CLOSE_LINK,
	CACT_LOAD,	  /* start the guest from the committed state */
	CACT_REFUSE_ACTIVATE, /* there is nothing to activate */
};
const char *commit_action_to_str(enum commit_action_type t);

#define COMMIT_ACTIONS_MAX 6
struct commit_actions {
	unsigned int n;
	struct {
		enum commit_action_type type;
		uint64_t epoch, chain;
	} a[COMMIT_ACTIONS_MAX];
};

void commit_init(struct commit *c);

/* One step.  `out` is overwritten; its actions are to be done in order. */
void commit_step(struct commit *c, const struct commit_event *ev,
		 struct commit_actions *out);

/* Is there a committed epoch to take over from? */
bool commit_restorable(const struct commit *c);

#endif
