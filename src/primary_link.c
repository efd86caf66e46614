/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * primary_link.c - the primary's connection, its ticket, and the handover: what
 * comes in from the backup and from the arbiter, and what is told to them.
 */
#include <errno.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>

#include "primary_priv.h"
#include "util.h"

/* ---- the link ---- */

void primary_link_forget(struct primary *p)
{
	struct page_bitmap *todo = &p->todo;

	primary_look_no_more(p);
	sender_set_conn(p->sender, NULL, 0);
	inflight_forget(&p->inflight, todo);
	capture_done(&p->capture);
	/* Whatever was sent since the last acknowledgement may or may not be
	 * what the backup holds: the encoder must not build on it. */
	for (gfn_t g = page_bitmap_next(todo, 0); g < todo->npages;
	     g = page_bitmap_next(todo, g + 1))
		sender_distrust(p->sender, g);
	primary_checkpoint_ended(p, -ENOTCONN);
	if (p->handing_over) {
		p->handing_over = false;
		p->events->handover_failed(p->ctx, "the backup was lost on "
						   "the way: the guest goes "
						   "on here");
	}
}

void primary_give_up_link(struct primary *p, const struct wire_refuse *refuse,
			 const char *text)
{
	if (uplink_conn(p->uplink) == NULL)
		return;
	qb_log(LOG_ERR, "%s: connection to %s dropped: %s", primary_vm_name(p),
	       env_peer(p->env)->name, text);
	/* The connection is gone now, not when the engine hears of it. */
	sender_set_conn(p->sender, NULL, 0);
	uplink_drop(p->uplink, refuse);
	primary_feed(p, EV_LINK_DOWN);
}

/* The peer broke the protocol: it is told. */
void primary_drop_link(struct primary *p, const char *text)
{
	struct wire_refuse r = { .code = WIRE_REFUSE_PROTOCOL };

	strncpy(r.text, text, WIRE_TEXT_MAX);
	primary_give_up_link(p, &r, text);
}

static void on_hello(void *ctx, struct wire_hello *out)
{
	struct primary *p = ctx;

	env_hello(p->env, WIRE_ROLE_PRIMARY, out);
	out->stream = p->stream;
}

static int start_tracking(struct primary *p)
{
	char err[256];
	int rc;

	if (p->tracking)
		return 0;
	rc = p->env->dops->track_start(p->env->driver, err, sizeof(err));
	if (rc < 0) {
		qb_log(LOG_ERR, "%s: dirty tracking: %s",
		       primary_vm_name(p), err);
		return rc;
	}
	p->tracking = true;
	page_bitmap_set_all(&p->todo);
	return 0;
}

static void on_ready(void *ctx, struct conn *c, const struct wire_hello *peer)
{
	struct primary *p = ctx;
	uint64_t base = 0;

	if (start_tracking(p) < 0) {
		uplink_drop(p->uplink, NULL);
		return;
	}
	sender_set_conn(p->sender, c, peer->capabilities & WIRE_CAPABILITIES);
	if (!p->link_full && peer->have_stream == p->stream &&
	    inflight_proves(&p->inflight, peer->have_epoch, peer->have_chain)) {
		base = peer->have_epoch;
		p->sent_chain = peer->have_chain;
		inflight_restart(&p->inflight, base, peer->have_chain);
	} else {
		page_bitmap_set_all(&p->todo);
		sender_distrust_all(p->sender);
		inflight_restart(&p->inflight, 0, 0);
	}
	p->link_full = false;
	qb_log(LOG_NOTICE, "%s: connected to %s at %s: %s sync",
	       primary_vm_name(p), peer->node, conn_peer_str(c), base == 0 ? "full" : "partial");
	primary_feed_epoch(p, EV_LINK_READY, base);
}

static void on_down(void *ctx, bool full, const char *why)
{
	struct primary *p = ctx;

	(void)why; /* uplink has logged it */
	p->link_full |= full;
	primary_feed(p, EV_LINK_DOWN);
	p->events->unprotected(p->ctx);
}

static void on_superseded(void *ctx, uint64_t generation, const char *why)
{
	struct primary *p = ctx;

	p->events->superseded(p->ctx, generation, why);
}

static void on_room(void *ctx)
{
	struct primary *p = ctx;

	sender_room(p->sender);
}

/* Small frames always fit, or the connection is as good as gone. */
static void send_frame(struct primary *p, const uint8_t *frame, size_t bytes)
{
	struct conn *c = uplink_conn(p->uplink);

	if (c != NULL && conn_send(c, frame, bytes) < 0)
		primary_drop_link(p, "no room for a small frame");
}

/* ---- the ticket and the handover ---- */

static void on_arbiter(void *ctx, int rc, const struct permit *permit,
		       const char *why)
{
	struct epoch_event ev = {
		.type = rc < 0 ? EV_TICKET_REFUSED : EV_TICKET_MOVED,
	};
	struct env *env = ctx;
	struct primary *p = env->asker;

	env->asker = NULL;
	if (p == NULL)
		return; /* it was freed meanwhile */
	if (rc < 0)
		qb_log(LOG_ERR, "%s: not protected: %s",
		       primary_vm_name(p), why);
	if (permit != NULL)
		ev.permit = *permit;
	primary_feed_event(p, &ev);
}

void primary_move_ticket(struct primary *p)
{
	struct arbiter_request r = { .move = ARBITER_PROTECTED };
	struct env *env = p->env;

	struct epoch_event busy = { .type = EV_TICKET_REFUSED,
				    .permit = p->engine.permit };

	if (env->aops->request(env->arbiter, &r, on_arbiter, env) < 0)
		primary_feed_event(p, &busy);
	else
		env->asker = p;
}

static uint64_t generation(const struct primary *p)
{
	return p->env->aops->ticket(p->env->arbiter)->generation;
}

void primary_tell_ticket(struct primary *p)
{
	struct wire_ticket t = { .generation = generation(p),
				 .state = WIRE_TICKET_PROTECTED };
	uint8_t frame[WIRE_SMALL_MAX];

	send_frame(p, frame, wire_put_ticket(frame, WIRE_TICKET, &t));
}

static void got_ticket_ack(struct primary *p, const uint8_t *payload,
			   size_t len)
{
	struct wire_ticket t;

	if (wire_get_ticket(payload, len, &t) < 0 ||
	    t.generation != generation(p) ||
	    t.state != WIRE_TICKET_PROTECTED) {
		primary_drop_link(p, "TICKET_ACK of another ticket");
		return;
	}
	if (p->engine.ticket != EPOCH_TICKET_PROTECTED)
		qb_log(LOG_NOTICE, "%s: protected by %s in generation %llu",
		       primary_vm_name(p), env_peer(p->env)->name,
		       (unsigned long long)t.generation);
	primary_feed(p, EV_TICKET_TOLD);
}

void primary_tell_handover(struct primary *p, uint64_t epoch)
{
	struct wire_handover h = { .generation = generation(p),
				   .epoch = epoch };
	uint8_t frame[WIRE_SMALL_MAX];

	if (p->env->aops->ceased != NULL)
		p->env->aops->ceased(p->env->arbiter);
	send_frame(p, frame, wire_put_handover(frame, WIRE_HANDOVER, &h));
}

static void got_handover_ack(struct primary *p, const uint8_t *payload,
			     size_t len)
{
	struct wire_handover h;

	if (wire_get_handover(payload, len, &h) < 0 ||
	    h.epoch != p->engine.acked || h.generation != generation(p)) {
		primary_drop_link(p, "HANDOVER_ACK of another handover");
		return;
	}
	primary_feed(p, EV_HANDOVER_DONE);
}

static void on_frame(void *ctx, unsigned int type, const uint8_t *payload,
		     size_t len)
{
	struct primary *p = ctx;
	struct wire_progress pr;

	switch (type) {
	case WIRE_ACK: primary_got_ack(p, payload, len); break;
	case WIRE_TICKET_ACK: got_ticket_ack(p, payload, len); break;
	case WIRE_HANDOVER_ACK: got_handover_ack(p, payload, len); break;
	case WIRE_PROGRESS:
		if (wire_get_progress(payload, len, &pr) < 0)
			primary_drop_link(p, "malformed PROGRESS");
		break;
	default: primary_drop_link(p, "a frame that no backup sends");
	}
}

const struct uplink_events primary_uplink_events = {
	.hello = on_hello,
	.ready = on_ready,
	.frame = on_frame,
	.room = on_room,
	.down = on_down,
	.superseded = on_superseded,
};

void primary_alone(struct primary *p, const struct permit *permit)
{
	struct epoch_event ev = { .type = EV_TICKET_ALONE, .permit = *permit };

	primary_feed_event(p, &ev);
}

void primary_renewed(struct primary *p, const struct permit *permit)
{
	struct epoch_event ev = { .type = EV_TICKET_RENEWED,
				  .permit = *permit };

	primary_feed_event(p, &ev);
}

bool primary_wants_alone(const struct primary *p)
{
	const struct epoch *e = &p->engine;

	if (e->guest == GUEST_NONE || e->link != EPOCH_LINK_DOWN)
		return false;
	return e->ticket != EPOCH_TICKET_ALONE ||
	       !permit_live(&e->permit, now_boot_ns());
}

bool primary_serves(const struct primary *p)
{
	const struct epoch *e = &p->engine;

	if (e->guest == GUEST_NONE || e->handover == HANDOVER_TOLD)
		return false;
	return e->ticket == EPOCH_TICKET_ALONE
		       ? permit_live(&e->permit, now_boot_ns())
		       : e->link != EPOCH_LINK_DOWN;
}
