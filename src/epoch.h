/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoch.h - the life of an epoch on the primary, as a pure state machine.
 *
 *   running --tick--> suspend --> capture --> resume --> send --> ack --> release
 *                     '------- the pause ------'
 *
 * (state, event) -> (state, actions).  No clock, no socket, no memory: what an
 * action does is primary.c's business, and what it came to is the next event.
 * tests/sim runs this very code through random schedules and crashes.
 *
 * What the engine guarantees, whatever events come in whatever order:
 *   - RELEASE carries a permit only for epochs that were acknowledged, and only
 *     while the ticket is `protected` (S1);
 *   - OPEN comes only with a ticket permit that an arbiter made, and never once
 *     the move to `protected` was asked for, unless the arbiter refused it;
 *   - guest output of an epoch is never counted as an earlier one's: CAPTURE(n)
 *     comes while the guest is suspended, RESUME after it;
 *   - at most max_in_flight epochs are captured and not acknowledged, and only
 *     one of them is not yet handed to the connection;
 *   - a guest that was suspended is resumed, whatever happens to the link.
 *
 * Epoch numbers only grow, for the life of a VM and over takeovers.  Those of
 * epochs lost with a link are never used again: the next one covers them.
 */
#ifndef REMUS_EPOCH_H
#define REMUS_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "permit.h"

enum epoch_guest {
	GUEST_NONE = 0,	  /* no guest */
	GUEST_RUNNING,
	GUEST_SUSPENDING, /* SUSPEND asked, SUSPENDED awaited */
	GUEST_CAPTURING,  /* suspended; CAPTURED awaited */
	GUEST_HELD,	  /* suspended and captured; waits to be sent (overflow)
			     or to be handed over */
	GUEST_RESUMING,
};

enum epoch_link {
	EPOCH_LINK_DOWN = 0,
	EPOCH_LINK_UP,	   /* handshake done; the first epoch not begun */
	EPOCH_LINK_LIVE,   /* first epoch open, pages sent while guest runs */
	EPOCH_LINK_STEADY, /* nothing of an epoch is open on the wire */
	EPOCH_LINK_SENDING,/* a captured epoch is being sent */
};

enum epoch_ticket {
	EPOCH_TICKET_NONE = 0,
	EPOCH_TICKET_ALONE,
	EPOCH_TICKET_MOVING,	/* asked the arbiter for `protected` */
	EPOCH_TICKET_TELLING,	/* moved; the backup has not confirmed */
	EPOCH_TICKET_PROTECTED,
};

enum epoch_handover {
	HANDOVER_NO = 0,
	HANDOVER_WANTED, /* the next epoch is the last */
	HANDOVER_FINAL,	 /* final epoch captured, not acknowledged */
	HANDOVER_TOLD,	 /* told the backup, awaiting its answer */
};

struct epoch_limits {
	unsigned int max_in_flight;	/* 1..16 */
	uint64_t live_pages_few;	/* few enough dirty pages to end the
					   live passes */
	unsigned int live_passes_max;
};

struct epoch {
	struct epoch_limits limits;
	enum epoch_guest guest;
	enum epoch_link link;
	enum epoch_ticket ticket;
	enum epoch_handover handover;
	struct permit permit;	/* of the ALONE ticket */
	uint64_t heard_until;	/* until_boot_ns of the last that was heard */
	uint64_t open;		/* guest output now belongs to this epoch, >= 1 */
	uint64_t captured;	/* newest captured epoch; 0: none yet */
	uint64_t sent;		/* newest handed whole to the connection */
	uint64_t acked;		/* newest acknowledged */
	uint64_t lost;		/* epochs <= this are not in flight any more */
	unsigned int live_passes;
	bool direct;		/* the open first epoch voids the old image */
	bool started;
	bool tick_due;
	bool capture_valid;	/* CAPTURE was done for the present suspension,
				   and the link has not gone since */
};

enum epoch_event_type {
	EV_STARTED,	   /* the guest runs; `epoch`: first epoch number.  Once:
			      another guest is another engine */
	EV_GUEST_GONE,
	EV_TICKET_ALONE,   /* granted; `permit` */
	EV_TICKET_MOVED,   /* the arbiter has stored `protected` */
	EV_TICKET_REFUSED, /* it would not; still alone, with this `permit` */
	EV_TICKET_RENEWED, /* `permit` holds longer */
	EV_TICKET_TOLD,	   /* the backup has stored it */
	EV_LINK_READY,	   /* handshake done. `epoch`: what the backup holds and
			      can go on from; 0: nothing, send everything */
	EV_LINK_DOWN,
	EV_LIVE_DONE,	   /* live pass handed to the connection; `pages`: dirty
			      again by now */
	EV_TICK,	   /* the interval is over, or a checkpoint is wanted */
	EV_SUSPENDED,
	EV_SUSPEND_FAILED, /* the guest runs on */
	EV_CAPTURED,	   /* device state is in; `overflow`: pages remain that
			      were not copied */
	EV_RESUMED,
	EV_SENT,	   /* END of `epoch` handed to the connection */
	EV_ACK,		   /* `epoch`, its chain found right */
	EV_HANDOVER,	   /* begin a planned handover */
	EV_HANDOVER_DONE,  /* the backup has taken it */
};
const char *epoch_event_to_str(enum epoch_event_type t);

struct epoch_event {
	enum epoch_event_type type;
	uint64_t epoch;
	uint64_t pages;
	bool overflow;
	struct permit permit;
	uint64_t until_boot_ns;	/* LINK_READY, TICKET_TOLD, ACK: how long output
				   may leave for it (CLOCK_BOOTTIME) */
};

enum epoch_action_type {
	ACT_OPEN,	  /* gate.open(permit) */
	ACT_RELEASE,	  /* gate.release(permit) */
	ACT_HOLD,	  /* gate.hold(epoch) */
	ACT_BEGIN,	  /* BEGIN `epoch` on the wire; `direct` */
	ACT_LIVE_PASS,	  /* send what is dirty while the guest runs */
	ACT_SUSPEND,
	ACT_CAPTURE,	  /* barrier(`epoch`), collect, copy */
	ACT_RESUME,
	ACT_SEND,	  /* BEGIN (if not begun), pages, device, END `epoch` */
	ACT_FORGET,	  /* the link is gone: everything in flight counts as
			     dirty again */
	ACT_ARM_TICK,	  /* EV_TICK when the interval is over */
	ACT_MOVE_TICKET,  /* arbiter: alone -> protected */
	ACT_TELL_TICKET,  /* TICKET to the backup */
	ACT_TELL_HANDOVER,/* HANDOVER(`epoch`) */
	ACT_KILL_GUEST,
	ACT_DROP_LINK,	  /* `why`; NULL: the peer broke the protocol.  If the
			     link was up, EV_LINK_DOWN is the next event */
};
const char *epoch_action_to_str(enum epoch_action_type t);

struct epoch_action {
	enum epoch_action_type type;
	uint64_t epoch;
	bool direct;
	struct permit permit;
	const char *why;
};

#define EPOCH_ACTIONS_MAX 8
struct epoch_actions {
	unsigned int n;
	struct epoch_action a[EPOCH_ACTIONS_MAX];
};

/* Nothing runs, nothing is connected, no ticket. */
void epoch_init(struct epoch *e, const struct epoch_limits *limits);

/* One step.  `out` is overwritten; its actions are to be done in order.  Events
 * that make no sense in the present state are ignored (a late answer), but for
 * those of the peer, which lead to DROP_LINK. */
void epoch_step(struct epoch *e, const struct epoch_event *ev,
		struct epoch_actions *out);

/* Captured and not acknowledged on the present link. */
uint64_t epoch_in_flight(const struct epoch *e);

#endif
