/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoch.c - see epoch.h.  One function an event; then advance() does what the
 * new state allows: it alone begins epochs, pauses and sends.
 */
#include "epoch.h"

#include <assert.h>
#include <string.h>

#include "permit_make.h"

static struct epoch_action *act(struct epoch_actions *out,
				enum epoch_action_type type)
{
	struct epoch_action *a;

	assert(out->n < EPOCH_ACTIONS_MAX);
	a = &out->a[out->n++];
	memset(a, 0, sizeof(*a));
	a->type = type;
	return a;
}

static void act_epoch(struct epoch_actions *out, enum epoch_action_type type,
		      uint64_t epoch)
{
	act(out, type)->epoch = epoch;
}

void epoch_init(struct epoch *e, const struct epoch_limits *limits)
{
	memset(e, 0, sizeof(*e));
	e->limits = *limits;
	e->open = 1;
}

uint64_t epoch_in_flight(const struct epoch *e)
{
	uint64_t base = e->acked > e->lost ? e->acked : e->lost;

	return e->captured > base ? e->captured - base : 0;
}

static bool link_is_up(const struct epoch *e)
{
	return e->link != EPOCH_LINK_DOWN;
}

/* S1: the one place that lets acknowledged output go. */
static void release_acked(struct epoch *e, struct epoch_actions *out)
{
	if (e->ticket != EPOCH_TICKET_PROTECTED || e->acked == 0)
		return;
	act(out, ACT_RELEASE)->permit =
		permit_from_ack(e->acked, e->heard_until);
}

/* Under `alone` output passes at once; only the pause before the first
 * acknowledged epoch turns that into holding (ACT_CAPTURE's barrier). */
static void open_if_alone(struct epoch *e, struct epoch_actions *out)
{
	if (e->ticket == EPOCH_TICKET_ALONE && e->guest != GUEST_NONE &&
	    permit_kind(&e->permit) == PERMIT_TICKET)
		act(out, ACT_OPEN)->permit = e->permit;
}

/* ---- what the state allows next ---- */

static bool may_suspend(const struct epoch *e)
{
	return e->guest == GUEST_RUNNING && e->link == EPOCH_LINK_STEADY &&
	       e->tick_due && epoch_in_flight(e) < e->limits.max_in_flight;
}

static void suspend(struct epoch *e, struct epoch_actions *out)
{
	e->tick_due = false;
	e->guest = GUEST_SUSPENDING;
	act(out, ACT_SUSPEND);
}

static void resume(struct epoch *e, struct epoch_actions *out)
{
	e->guest = GUEST_RESUMING;
	act(out, ACT_RESUME);
}

static void advance(struct epoch *e, struct epoch_actions *out)
{
	if (e->link == EPOCH_LINK_UP && e->guest == GUEST_RUNNING &&
	    e->ticket != EPOCH_TICKET_NONE) {
		e->link = EPOCH_LINK_LIVE;
		e->live_passes = 0;
		act_epoch(out, ACT_BEGIN, e->open);
		out->a[out->n - 1].direct = e->direct;
		act(out, ACT_LIVE_PASS);
	}
	if (may_suspend(e))
		suspend(e, out);
}

/* ---- the guest ---- */

static void on_started(struct epoch *e, const struct epoch_event *ev,
		       struct epoch_actions *out)
{
	if (e->started) /* what it sent would count as acknowledged */
		return;
	e->started = true;
	e->guest = GUEST_RUNNING;
	if (ev->epoch > e->open)
		e->open = ev->epoch;
	e->lost = e->captured = e->sent = e->acked = e->open - 1;
	act_epoch(out, ACT_HOLD, e->open);
	open_if_alone(e, out);
}

static void on_suspended(struct epoch *e, struct epoch_actions *out)
{
	if (e->guest != GUEST_SUSPENDING)
		return;
	e->guest = GUEST_CAPTURING;
	e->capture_valid = false;
	/* Nobody to capture for: resume when we may.  Or a new link, on which
	 * the first epoch was not begun. */
	if (e->link != EPOCH_LINK_STEADY)
		return;
	e->capture_valid = true;
	e->captured = e->open++;
	act_epoch(out, ACT_CAPTURE, e->captured);
}

static void on_suspend_failed(struct epoch *e, struct epoch_actions *out)
{
	if (e->guest != GUEST_SUSPENDING && e->guest != GUEST_CAPTURING)
		return;
	/* What was captured without its device state is no epoch.  The pages
	 * are known to the link's bookkeeping only: begin that anew. */
	e->guest = GUEST_RUNNING;
	if (e->capture_valid && link_is_up(e))
		act(out, ACT_DROP_LINK)->why = "an epoch could not be "
					       "captured";
	e->capture_valid = false;
	act(out, ACT_ARM_TICK);
}

static void on_captured(struct epoch *e, const struct epoch_event *ev,
			struct epoch_actions *out)
{
	if (e->guest != GUEST_CAPTURING)
		return;
	if (!e->capture_valid) {
		resume(e, out);
		return;
	}
	if (e->handover == HANDOVER_WANTED) {
		e->handover = HANDOVER_FINAL;
		e->guest = GUEST_HELD;
	} else if (ev->overflow) {
		e->guest = GUEST_HELD; /* rare: the copy did not fit its bound */
	} else {
		resume(e, out);
	}
	e->link = EPOCH_LINK_SENDING;
	act_epoch(out, ACT_SEND, e->captured);
}

static void on_resumed(struct epoch *e, struct epoch_actions *out)
{
	if (e->guest != GUEST_RESUMING)
		return;
	e->guest = GUEST_RUNNING;
	e->capture_valid = false;
	act(out, ACT_ARM_TICK);
}

static void on_gone(struct epoch *e)
{
	e->guest = GUEST_NONE;
	e->handover = HANDOVER_NO;
}

/* ---- the link ---- */

static void on_link_ready(struct epoch *e, const struct epoch_event *ev,
			  struct epoch_actions *out)
{
	if (link_is_up(e))
		return;
	if (ev->epoch > e->sent) { /* it holds what we never sent */
		act(out, ACT_DROP_LINK);
		return;
	}
	e->link = EPOCH_LINK_UP;
	e->direct = ev->epoch == 0 || ev->epoch < e->acked;
	if (ev->epoch > e->acked) { /* the acknowledgement had been lost */
		e->acked = ev->epoch;
		release_acked(e, out);
	}
}

static void on_link_down(struct epoch *e, struct epoch_actions *out)
{
	if (!link_is_up(e))
		return;
	e->link = EPOCH_LINK_DOWN;
	e->lost = e->captured;
	e->capture_valid = false;
	act(out, ACT_FORGET);
	/* The next session confirms the ticket anew before it releases: this
	 * backup may have restarted from an empty disk. */
	if (e->ticket == EPOCH_TICKET_PROTECTED)
		e->ticket = EPOCH_TICKET_TELLING;
	/* MOVING, TELLING: the backup may activate: stay shut. */
	open_if_alone(e, out);
	e->handover = HANDOVER_NO;
	if (e->guest == GUEST_HELD)
		resume(e, out);
}

static void on_live_done(struct epoch *e, const struct epoch_event *ev,
			 struct epoch_actions *out)
{
	if (e->link != EPOCH_LINK_LIVE)
		return;
	e->live_passes++;
	if (ev->pages > e->limits.live_pages_few &&
	    e->live_passes < e->limits.live_passes_max) {
		act(out, ACT_LIVE_PASS);
		return;
	}
	e->link = EPOCH_LINK_STEADY; /* its END comes with the first capture */
	e->tick_due = true;
}

static void on_sent(struct epoch *e, const struct epoch_event *ev,
		    struct epoch_actions *out)
{
	if (e->link != EPOCH_LINK_SENDING || ev->epoch != e->captured)
		return;
	e->sent = ev->epoch;
	e->link = EPOCH_LINK_STEADY;
	if (e->guest == GUEST_HELD && e->handover < HANDOVER_FINAL)
		resume(e, out);
}

static void on_ack(struct epoch *e, const struct epoch_event *ev,
		   struct epoch_actions *out)
{
	if (!link_is_up(e))
		return;
	if (ev->epoch <= e->acked || ev->epoch <= e->lost ||
	    ev->epoch > e->sent) {
		act(out, ACT_DROP_LINK);
		return;
	}
	e->acked = ev->epoch;
	if (e->ticket == EPOCH_TICKET_ALONE) {
		/* Holding since this epoch's barrier; from here on we may not
		 * open any more, unless the arbiter refuses. */
		e->ticket = EPOCH_TICKET_MOVING;
		act(out, ACT_MOVE_TICKET);
	} else if (e->ticket == EPOCH_TICKET_TELLING) {
		act(out, ACT_TELL_TICKET); /* the first telling was lost */
	}
	release_acked(e, out);
	if (e->handover == HANDOVER_FINAL && e->acked == e->captured &&
	    e->ticket == EPOCH_TICKET_PROTECTED) {
		e->handover = HANDOVER_TOLD;
		act_epoch(out, ACT_TELL_HANDOVER, e->acked);
	}
}

static void on_handover(struct epoch *e)
{
	if (e->handover != HANDOVER_NO || !link_is_up(e) ||
	    e->ticket != EPOCH_TICKET_PROTECTED)
		return;
	e->handover = HANDOVER_WANTED;
	e->tick_due = true; /* not for ever: a suspend that fails is tried
			       again after an interval, not at once */
}

static void on_handover_done(struct epoch *e, struct epoch_actions *out)
{
	if (e->handover != HANDOVER_TOLD) {
		if (link_is_up(e))
			act(out, ACT_DROP_LINK);
		return;
	}
	e->handover = HANDOVER_NO;
	act(out, ACT_KILL_GUEST);
}

/* ---- the ticket ---- */

static void on_ticket_alone(struct epoch *e, const struct epoch_event *ev,
			    struct epoch_actions *out)
{
	bool drop;

	if (permit_kind(&ev->permit) != PERMIT_TICKET)
		return;
	/* The arbiter decides one thing at a time: this is an old answer. */
	if (e->ticket == EPOCH_TICKET_MOVING)
		return;
	/* Confirmed, or about to be: the link came up while it was decided.
	 * The arbiter's word stands.  The backup is left behind, and hears so
	 * in the next HELLO, before it can agree to anything. */
	drop = e->ticket > EPOCH_TICKET_MOVING && link_is_up(e);
	e->ticket = EPOCH_TICKET_ALONE;
	e->permit = ev->permit;
	if (drop) {
		act(out, ACT_DROP_LINK)->why = "going on alone was granted";
		return; /* EV_LINK_DOWN opens */
	}
	/* With the first epoch captured and under way the gate already holds;
	 * opening it would let out what that epoch's state lacks. */
	if (epoch_in_flight(e) == 0)
		open_if_alone(e, out);
}

static void on_ticket_moved(struct epoch *e, struct epoch_actions *out)
{
	if (e->ticket != EPOCH_TICKET_MOVING)
		return;
	e->ticket = EPOCH_TICKET_TELLING;
	memset(&e->permit, 0, sizeof(e->permit));
	if (link_is_up(e))
		act(out, ACT_TELL_TICKET);
}

static void on_ticket_renewed(struct epoch *e, const struct epoch_event *ev,
			      struct epoch_actions *out)
{
	if (e->ticket != EPOCH_TICKET_ALONE ||
	    permit_kind(&ev->permit) != PERMIT_TICKET)
		return;
	e->permit = ev->permit;
	if (epoch_in_flight(e) == 0) /* as above */
		open_if_alone(e, out);
}

static void on_ticket_refused(struct epoch *e, const struct epoch_event *ev,
			      struct epoch_actions *out)
{
	if (e->ticket != EPOCH_TICKET_MOVING)
		return;
	e->permit = ev->permit;
	/* A refusal has changed nothing: we are alone, and go on so.  The next
	 * connection leads to the next try. */
	e->ticket = EPOCH_TICKET_ALONE;
	if (link_is_up(e))
		act(out, ACT_DROP_LINK)->why = "the ticket was not moved";
	else
		open_if_alone(e, out);
}

static void on_ticket_told(struct epoch *e, struct epoch_actions *out)
{
	if (e->ticket != EPOCH_TICKET_TELLING)
		return;
	e->ticket = EPOCH_TICKET_PROTECTED;
	release_acked(e, out);
}

void epoch_step(struct epoch *e, const struct epoch_event *ev,
		struct epoch_actions *out)
{
	out->n = 0;
	if (ev->type == EV_LINK_READY || ev->type == EV_TICKET_TOLD ||
	    ev->type == EV_ACK)
		e->heard_until = ev->until_boot_ns;
	switch (ev->type) {
	case EV_STARTED: on_started(e, ev, out); break;
	case EV_GUEST_GONE: on_gone(e); break;
	case EV_TICKET_ALONE: on_ticket_alone(e, ev, out); break;
	case EV_TICKET_MOVED: on_ticket_moved(e, out); break;
	case EV_TICKET_REFUSED: on_ticket_refused(e, ev, out); break;
	case EV_TICKET_RENEWED: on_ticket_renewed(e, ev, out); break;
	case EV_TICKET_TOLD: on_ticket_told(e, out); break;
	case EV_LINK_READY: on_link_ready(e, ev, out); break;
	case EV_LINK_DOWN: on_link_down(e, out); break;
	case EV_LIVE_DONE: on_live_done(e, ev, out); break;
	case EV_TICK: e->tick_due = true; break;
	case EV_SUSPENDED: on_suspended(e, out); break;
	case EV_SUSPEND_FAILED: on_suspend_failed(e, out); break;
	case EV_CAPTURED: on_captured(e, ev, out); break;
	case EV_RESUMED: on_resumed(e, out); break;
	case EV_SENT: on_sent(e, ev, out); break;
	case EV_ACK: on_ack(e, ev, out); break;
	case EV_HANDOVER: on_handover(e); break;
	case EV_HANDOVER_DONE: on_handover_done(e, out); break;
	}
	advance(e, out);
}

const char *epoch_event_to_str(enum epoch_event_type t)
{
	static const char *const names[] = {
		[EV_STARTED] = "started",
		[EV_GUEST_GONE] = "guest-gone",
		[EV_TICKET_ALONE] = "ticket-alone",
		[EV_TICKET_MOVED] = "ticket-moved",
		[EV_TICKET_REFUSED] = "ticket-refused",
		[EV_TICKET_RENEWED] = "ticket-renewed",
		[EV_TICKET_TOLD] = "ticket-told",
		[EV_LINK_READY] = "link-ready",
		[EV_LINK_DOWN] = "link-down",
		[EV_LIVE_DONE] = "live-done",
		[EV_TICK] = "tick",
		[EV_SUSPENDED] = "suspended",
		[EV_SUSPEND_FAILED] = "suspend-failed",
		[EV_CAPTURED] = "captured",
		[EV_RESUMED] = "resumed",
		[EV_SENT] = "sent",
		[EV_ACK] = "ack",
		[EV_HANDOVER] = "handover",
		[EV_HANDOVER_DONE] = "handover-done",
	};

	return names[t];
}

const char *epoch_action_to_str(enum epoch_action_type t)
{
	static const char *const names[] = {
		[ACT_OPEN] = "open",
		[ACT_RELEASE] = "release",
		[ACT_HOLD] = "hold",
		[ACT_BEGIN] = "begin",
		[ACT_LIVE_PASS] = "live-pass",
		[ACT_SUSPEND] = "suspend",
		[ACT_CAPTURE] = "capture",
		[ACT_RESUME] = "resume",
		[ACT_SEND] = "send",
		[ACT_FORGET] = "forget",
		[ACT_ARM_TICK] = "arm-tick",
		[ACT_MOVE_TICKET] = "move-ticket",
		[ACT_TELL_TICKET] = "tell-ticket",
		[ACT_TELL_HANDOVER] = "tell-handover",
		[ACT_KILL_GUEST] = "kill-guest",
		[ACT_DROP_LINK] = "drop-link",
	};

	return names[t];
}
