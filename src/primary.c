/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * primary.c - see primary.h.  Top to bottom: feeding the engine, then the life
 * of an epoch in order (pause, capture, resume, send, acknowledge, release),
 * the link, the ticket, the commands, status.
 */
#include "primary.h"

#include <errno.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "capture.h"
#include "epoch.h"
#include "inflight.h"
#include "sender.h"
#include "uplink.h"
#include "util.h"

#define EVENTS_MAX 32
/* Live passes end when so few pages are dirty that copying them in the pause
 * costs a millisecond or two, or when they do not get fewer. */
#define LIVE_PAGES_FEW 2048
#define LIVE_PASSES_MAX 8
/* A guest gets at least this long between two pauses. */
#define RUN_MIN_NS 1000000u

struct primary {
	struct env *env;
	const struct primary_events *events;
	void *ctx;

	struct epoch engine;
	struct epoch_event queue[EVENTS_MAX];
	unsigned int queued;
	bool stepping;

	struct uplink *uplink;
	struct sender *sender;
	struct capture capture;
	struct inflight inflight;
	struct page_bitmap todo; /* dirty, and in no epoch yet */
	uint64_t stream;
	uint64_t sent_chain; /* of the newest END on this link */
	bool tracking;

	qb_loop_timer_handle tick;
	bool tick_armed;
	uint64_t epoch_began_ns; /* start of the present pause */
	uint64_t acked_capture_ns;

	checkpoint_done checkpoint_done;
	void *checkpoint_ctx;
	uint64_t checkpoint_epoch;

	struct hist pause_us, dirty_pages, track_us, ack_us;
	uint64_t epochs, held_pauses, resyncs, resyncs_full;
	bool synced_before, link_full, handing_over;
	uint64_t sync_total;
	char reason[256];
};

static void do_action(struct primary *p, const struct epoch_action *a);

static const char *vm_name(const struct primary *p)
{
	return p->env->cfg->name;
}

/* ---- feeding the engine: events queue up while one is being handled ---- */

static void feed_event(struct primary *p, const struct epoch_event *ev)
{
	struct epoch_actions out;

	if (p->queued == EVENTS_MAX) {
		qb_log(LOG_CRIT, "%s: event queue overrun", vm_name(p));
		return;
	}
	p->queue[p->queued++] = *ev;
	if (p->stepping)
		return;
	p->stepping = true;
	while (p->queued > 0) {
		struct epoch_event e = p->queue[0];

		p->queued--;
		memmove(p->queue, p->queue + 1,
			p->queued * sizeof(p->queue[0]));
		epoch_step(&p->engine, &e, &out);
		for (unsigned int i = 0; i < out.n; i++)
			do_action(p, &out.a[i]);
	}
	p->stepping = false;
}

static void feed_epoch(struct primary *p, enum epoch_event_type type,
		       uint64_t epoch)
{
	struct epoch_event ev = { .type = type, .epoch = epoch };

	feed_event(p, &ev);
}

static void feed(struct primary *p, enum epoch_event_type type)
{
	feed_epoch(p, type, 0);
}

/* ---- the pause: suspend, capture, resume ---- */

/* A tracker that fails knows nothing: every page counts as dirty. */
static void collect(struct primary *p)
{
	int rc = p->env->dops->collect(p->env->driver, &p->todo);

	if (rc == 0)
		return;
	qb_log(LOG_ERR, "%s: dirty tracking: %s: all pages count as dirty",
	       vm_name(p), strerror(-rc));
	page_bitmap_set_all(&p->todo);
}

static void act_suspend(struct primary *p)
{
	p->epoch_began_ns = now_mono_ns();
	if (p->env->dops->suspend(p->env->driver) < 0)
		feed(p, EV_SUSPEND_FAILED);
}

void primary_suspended(struct primary *p, int rc, const char *why)
{
	if (rc < 0)
		qb_log(LOG_ERR, "%s: cannot suspend: %s", vm_name(p), why);
	feed(p, rc < 0 ? EV_SUSPEND_FAILED : EV_SUSPENDED);
}

static void fail(struct primary *p, const char *why)
{
	p->env->gops->shut(p->env->gate);
	p->events->failed(p->ctx, why);
}

static void act_capture(struct primary *p, uint64_t epoch)
{
	struct inflight_slot *s = inflight_find(&p->inflight, epoch);
	int rc = p->env->gops->barrier(p->env->gate, epoch);
	uint64_t began_ns;

	if (rc < 0) {
		fail(p, "the gate cannot close an epoch");
		return;
	}
	if (s == NULL)
		s = inflight_open(&p->inflight, epoch);
	if (s == NULL) {
		fail(p, "more epochs in flight than there may be");
		return;
	}
	began_ns = now_mono_ns();
	collect(p);
	hist_add(&p->track_us, (now_mono_ns() - began_ns) / 1000);
	capture_pages(&p->capture, &p->todo);
	page_bitmap_or(&s->pages, &p->todo);
	page_bitmap_clear_all(&p->todo);
	hist_add(&p->dirty_pages, p->capture.count);
	if (capture_overflows(&p->capture))
		p->held_pauses++;
}

void primary_device_state(struct primary *p, int rc, const void *data,
			  size_t bytes, const char *why)
{
	struct epoch_event ev = { .type = EV_CAPTURED };
	struct inflight_slot *s;

	if (rc == 0) {
		rc = capture_device(&p->capture, data, bytes);
		why = rc < 0 ? strerror(-rc) : "";
	}
	if (rc < 0) {
		qb_log(LOG_ERR, "%s: device state: %s", vm_name(p), why);
		feed(p, EV_SUSPEND_FAILED);
		return;
	}
	s = inflight_find(&p->inflight, p->engine.captured);
	if (s != NULL && p->engine.capture_valid)
		s->captured_ns = now_mono_ns();
	ev.overflow = capture_overflows(&p->capture);
	feed_event(p, &ev);
}

static void act_resume(struct primary *p)
{
	if (p->env->dops->resume(p->env->driver) < 0)
		fail(p, "the guest cannot be resumed");
}

void primary_resumed(struct primary *p, int rc, const char *why)
{
	if (rc < 0) {
		fail(p, why);
		return;
	}
	hist_add(&p->pause_us, (now_mono_ns() - p->epoch_began_ns) / 1000);
	p->epochs++;
	feed(p, EV_RESUMED);
}

/* ---- the interval ---- */

static void on_tick(void *data)
{
	struct primary *p = data;

	p->tick_armed = false;
	feed(p, EV_TICK);
}

static void disarm_tick(struct primary *p)
{
	if (p->tick_armed)
		qb_loop_timer_del(p->env->loop, p->tick);
	p->tick_armed = false;
}

/* The interval counts from the start of one pause to the start of the next. */
static void act_arm_tick(struct primary *p)
{
	uint64_t now = now_mono_ns();
	uint64_t due = p->epoch_began_ns +
		       (uint64_t)p->env->cfg->interval_ms * 1000000u;
	uint64_t delay = due > now + RUN_MIN_NS ? due - now : RUN_MIN_NS;

	disarm_tick(p);
	if (qb_loop_timer_add(p->env->loop, QB_LOOP_HIGH, delay, p, on_tick,
			      &p->tick) == 0)
		p->tick_armed = true;
	else
		feed(p, EV_TICK);
}

/* ---- sending ---- */

static void act_begin(struct primary *p, uint64_t epoch, bool direct)
{
	struct inflight_slot *s = inflight_open(&p->inflight, epoch);

	if (s == NULL) {
		fail(p, "more epochs in flight than there may be");
		return;
	}
	sender_begin(p->sender, p->stream, epoch, direct, p->sent_chain,
		     &s->pages);
	if (p->synced_before)
		p->resyncs++;
	if (p->synced_before && direct)
		p->resyncs_full++;
}

static void act_live_pass(struct primary *p)
{
	collect(p);
	p->sync_total = page_bitmap_count(&p->todo);
	sender_live(p->sender, &p->todo);
}

static void on_live_done(void *ctx)
{
	struct primary *p = ctx;
	struct epoch_event ev = { .type = EV_LIVE_DONE };

	collect(p);
	ev.pages = page_bitmap_count(&p->todo);
	feed_event(p, &ev);
}

static void act_send(struct primary *p, uint64_t epoch)
{
	struct inflight_slot *s = inflight_find(&p->inflight, epoch);

	if (s == NULL)
		return; /* act_capture() failed, and said so */
	if (!sender_is_open(p->sender))
		sender_begin(p->sender, p->stream, epoch, false,
			     p->sent_chain, &s->pages);
	sender_capture(p->sender, &p->capture);
}

static void on_sent(void *ctx, uint64_t epoch, uint64_t chain)
{
	struct primary *p = ctx;
	struct inflight_slot *s = inflight_find(&p->inflight, epoch);

	s->sent = true;
	s->chain = chain;
	p->sent_chain = chain;
	capture_done(&p->capture);
	feed_epoch(p, EV_SENT, epoch);
}

static const struct sender_events sender_events = {
	.live_done = on_live_done,
	.sent = on_sent,
};

/* ---- acknowledgements ---- */

static void checkpoint_ended(struct primary *p, int rc)
{
	checkpoint_done done = p->checkpoint_done;

	p->checkpoint_done = NULL;
	if (done != NULL)
		done(p->checkpoint_ctx, rc, p->checkpoint_epoch);
}

static void drop_link(struct primary *p, const char *text);

static void got_ack(struct primary *p, const uint8_t *payload, size_t len)
{
	struct inflight_slot *s;
	struct wire_ack ack;

	if (wire_get_ack(payload, len, &ack) < 0 ||
	    (s = inflight_find(&p->inflight, ack.epoch)) == NULL ||
	    !s->sent || s->chain != ack.chain) {
		drop_link(p, "ACK of an epoch that was not sent so");
		return;
	}
	if (s->captured_ns != 0) {
		hist_add(&p->ack_us,
			 (now_mono_ns() - s->captured_ns) / 1000);
		p->acked_capture_ns = s->captured_ns;
	}
	inflight_acked(&p->inflight, s);
	p->synced_before = true;
	p->sync_total = 0;
	feed_epoch(p, EV_ACK, ack.epoch);
	if (p->checkpoint_done != NULL && ack.epoch >= p->checkpoint_epoch)
		checkpoint_ended(p, 0);
}

/* ---- the link ---- */

static void forget(struct primary *p)
{
	struct page_bitmap *todo = &p->todo;

	sender_set_conn(p->sender, NULL);
	inflight_forget(&p->inflight, todo);
	capture_done(&p->capture);
	/* Whatever was sent since the last acknowledgement may or may not be
	 * what the backup holds: the encoder must not build on it. */
	for (gfn_t g = page_bitmap_next(todo, 0); g < todo->npages;
	     g = page_bitmap_next(todo, g + 1))
		sender_distrust(p->sender, g);
	checkpoint_ended(p, -ENOTCONN);
	if (p->handing_over) {
		p->handing_over = false;
		p->events->handover_failed(p->ctx, "the backup was lost on "
						   "the way: the guest goes "
						   "on here");
	}
}

static void give_up_link(struct primary *p, const struct wire_refuse *refuse,
			 const char *text)
{
	if (uplink_conn(p->uplink) == NULL)
		return;
	qb_log(LOG_ERR, "%s: connection to %s dropped: %s", vm_name(p),
	       env_peer(p->env)->name, text);
	/* The connection is gone now, not when the engine hears of it. */
	sender_set_conn(p->sender, NULL);
	uplink_drop(p->uplink, refuse);
	feed(p, EV_LINK_DOWN);
}

/* The peer broke the protocol: it is told. */
static void drop_link(struct primary *p, const char *text)
{
	struct wire_refuse r = { .code = WIRE_REFUSE_PROTOCOL };

	strncpy(r.text, text, WIRE_TEXT_MAX);
	give_up_link(p, &r, text);
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
		qb_log(LOG_ERR, "%s: dirty tracking: %s", vm_name(p), err);
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
	sender_set_conn(p->sender, c);
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
	qb_log(LOG_NOTICE, "%s: connected to %s at %s: %s sync", vm_name(p),
	       peer->node, conn_peer_str(c), base == 0 ? "full" : "partial");
	feed_epoch(p, EV_LINK_READY, base);
}

static void on_down(void *ctx, bool full, const char *why)
{
	struct primary *p = ctx;

	(void)why; /* uplink has logged it */
	p->link_full |= full;
	feed(p, EV_LINK_DOWN);
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
		drop_link(p, "no room for a small frame");
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
		qb_log(LOG_ERR, "%s: not protected: %s", vm_name(p), why);
	if (permit != NULL)
		ev.permit = *permit;
	feed_event(p, &ev);
}

static void act_move_ticket(struct primary *p)
{
	struct arbiter_request r = { .move = ARBITER_PROTECTED };
	struct env *env = p->env;

	struct epoch_event busy = { .type = EV_TICKET_REFUSED,
				    .permit = p->engine.permit };

	if (env->aops->request(env->arbiter, &r, on_arbiter, env) < 0)
		feed_event(p, &busy);
	else
		env->asker = p;
}

static uint64_t generation(const struct primary *p)
{
	return p->env->aops->ticket(p->env->arbiter)->generation;
}

static void act_tell_ticket(struct primary *p)
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
		drop_link(p, "TICKET_ACK of another ticket");
		return;
	}
	if (p->engine.ticket != EPOCH_TICKET_PROTECTED)
		qb_log(LOG_NOTICE, "%s: protected by %s in generation %llu",
		       vm_name(p), env_peer(p->env)->name,
		       (unsigned long long)t.generation);
	feed(p, EV_TICKET_TOLD);
}

static void act_tell_handover(struct primary *p, uint64_t epoch)
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
		drop_link(p, "HANDOVER_ACK of another handover");
		return;
	}
	feed(p, EV_HANDOVER_DONE);
}

static void on_frame(void *ctx, unsigned int type, const uint8_t *payload,
		     size_t len)
{
	struct primary *p = ctx;
	struct wire_progress pr;

	switch (type) {
	case WIRE_ACK: got_ack(p, payload, len); break;
	case WIRE_TICKET_ACK: got_ticket_ack(p, payload, len); break;
	case WIRE_HANDOVER_ACK: got_handover_ack(p, payload, len); break;
	case WIRE_PROGRESS:
		if (wire_get_progress(payload, len, &pr) < 0)
			drop_link(p, "malformed PROGRESS");
		break;
	default: drop_link(p, "a frame that no backup sends");
	}
}

static const struct uplink_events uplink_events = {
	.hello = on_hello,
	.ready = on_ready,
	.frame = on_frame,
	.room = on_room,
	.down = on_down,
	.superseded = on_superseded,
};

/* ---- actions ---- */

static void act_open(struct primary *p, const struct permit *permit)
{
	if (p->env->gops->open(p->env->gate, permit) < 0)
		qb_log(LOG_ERR, "%s: the gate stays shut: no live ticket",
		       vm_name(p));
}

static void do_action(struct primary *p, const struct epoch_action *a)
{
	qb_log(LOG_TRACE, "%s: %s %llu", vm_name(p),
	       epoch_action_to_str(a->type), (unsigned long long)a->epoch);
	switch (a->type) {
	case ACT_OPEN: act_open(p, &a->permit); break;
	case ACT_RELEASE:
		p->env->gops->release(p->env->gate, &a->permit);
		break;
	case ACT_HOLD: p->env->gops->hold(p->env->gate, a->epoch); break;
	case ACT_BEGIN: act_begin(p, a->epoch, a->direct); break;
	case ACT_LIVE_PASS: act_live_pass(p); break;
	case ACT_SUSPEND: act_suspend(p); break;
	case ACT_CAPTURE: act_capture(p, a->epoch); break;
	case ACT_RESUME: act_resume(p); break;
	case ACT_SEND: act_send(p, a->epoch); break;
	case ACT_FORGET: forget(p); break;
	case ACT_ARM_TICK: act_arm_tick(p); break;
	case ACT_MOVE_TICKET: act_move_ticket(p); break;
	case ACT_TELL_TICKET: act_tell_ticket(p); break;
	case ACT_TELL_HANDOVER: act_tell_handover(p, a->epoch); break;
	case ACT_KILL_GUEST:
		p->handing_over = false;
		p->events->handed_over(p->ctx);
		break;
	case ACT_DROP_LINK:
		if (a->why != NULL)
			give_up_link(p, NULL, a->why);
		else
			drop_link(p, "the peer broke the order of messages");
		break;
	}
}

/* ---- life and commands ---- */

static int primary_setup(struct primary *p)
{
	const struct vm_config *cfg = p->env->cfg;
	uint64_t npages = p->env->dops->npages(p->env->driver);
	const uint8_t *ram = p->env->dops->ram(p->env->driver);
	struct sender_params sp = {
		.loop = p->env->loop,
		.ram = ram,
		.npages = npages,
		.cache_bytes = cfg->cache_bytes,
		.compression = cfg->compression,
		.events = &sender_events,
		.ctx = p,
	};
	int rc;

	while (p->stream == 0)
		if (getrandom(&p->stream, sizeof(p->stream), 0) < 0)
			return -errno;
	rc = page_bitmap_init(&p->todo, npages);
	if (rc == 0)
		rc = inflight_init(&p->inflight, cfg->max_in_flight, npages);
	if (rc == 0)
		rc = capture_init(&p->capture, ram, npages,
				  cfg->capture_bytes);
	if (rc == 0)
		rc = sender_new(&p->sender, &sp);
	if (rc == 0)
		rc = uplink_new(&p->uplink, p->env, &uplink_events, p);
	return rc;
}

int primary_new(struct primary **out, struct env *env, uint64_t first_epoch,
		const struct permit *permit,
		const struct primary_events *events, void *ctx, char *err,
		size_t err_bytes)
{
	struct epoch_limits limits = {
		.max_in_flight = env->cfg->max_in_flight,
		.live_pages_few = LIVE_PAGES_FEW,
		.live_passes_max = LIVE_PASSES_MAX,
	};
	struct epoch_event alone = { .type = EV_TICKET_ALONE,
				     .permit = *permit };
	struct primary *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	p->env = env;
	p->events = events;
	p->ctx = ctx;
	epoch_init(&p->engine, &limits);
	rc = primary_setup(p);
	if (rc < 0) {
		primary_free(p);
		return set_err(err, err_bytes, rc, "primary: %s",
			       strerror(-rc));
	}
	*out = p;
	feed_event(p, &alone);
	feed_epoch(p, EV_STARTED, first_epoch);
	return 0;
}

void primary_free(struct primary *p)
{
	if (p == NULL)
		return;
	checkpoint_ended(p, -ECANCELED);
	if (p->env->asker == p)
		p->env->asker = NULL;
	disarm_tick(p);
	uplink_free(p->uplink);
	sender_free(p->sender);
	capture_free(&p->capture);
	inflight_free(&p->inflight);
	page_bitmap_free(&p->todo);
	free(p);
}

void primary_protect(struct primary *p)
{
	uplink_start(p->uplink);
}

void primary_alone(struct primary *p, const struct permit *permit)
{
	struct epoch_event ev = { .type = EV_TICKET_ALONE, .permit = *permit };

	feed_event(p, &ev);
}

void primary_renewed(struct primary *p, const struct permit *permit)
{
	struct epoch_event ev = { .type = EV_TICKET_RENEWED,
				  .permit = *permit };

	feed_event(p, &ev);
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

int primary_handover(struct primary *p)
{
	feed(p, EV_HANDOVER);
	p->handing_over = primary_handing_over(p);
	return p->handing_over ? 0 : -EAGAIN;
}

bool primary_handing_over(const struct primary *p)
{
	return p->engine.handover != HANDOVER_NO;
}

int primary_checkpoint(struct primary *p, checkpoint_done done, void *ctx)
{
	if (p->checkpoint_done != NULL)
		return -EBUSY;
	if (uplink_conn(p->uplink) == NULL)
		return -EAGAIN;
	p->checkpoint_done = done;
	p->checkpoint_ctx = ctx;
	p->checkpoint_epoch = p->engine.open;
	feed(p, EV_TICK);
	return 0;
}

void primary_reconfigured(struct primary *p)
{
	sender_set_compression(p->sender, p->env->cfg->compression);
	if (p->tick_armed)
		act_arm_tick(p);
}

bool primary_link_up(const struct primary *p)
{
	return uplink_ready(p->uplink);
}

void primary_guest_gone(struct primary *p)
{
	disarm_tick(p);
	p->handing_over = false; /* gone() tells who waits for it */
	checkpoint_ended(p, -ECANCELED);
	/* Its memory is gone too: nothing may be read from it to be sent.  And
	 * the backup is not kept from taking over by a primary of nothing. */
	uplink_stop(p->uplink);
	feed(p, EV_GUEST_GONE);
	feed(p, EV_LINK_DOWN);
}

/* ---- status ---- */

static uint64_t lag_ms(const struct primary *p)
{
	uint64_t since = inflight_oldest_ns(&p->inflight);

	if (p->engine.ticket != EPOCH_TICKET_PROTECTED &&
	    p->engine.ticket != EPOCH_TICKET_TELLING)
		return 0;
	if (since == 0 && p->engine.link == EPOCH_LINK_DOWN)
		since = p->acked_capture_ns;
	return since == 0 ? 0 : (now_mono_ns() - since) / 1000000u;
}

void primary_view(const struct primary *p, struct vm_status *out)
{
	const struct conn *c = uplink_conn(p->uplink);

	if (p->engine.ticket == EPOCH_TICKET_PROTECTED)
		out->state = STATE_PROTECTED;
	else if (p->engine.ticket != EPOCH_TICKET_ALONE || c != NULL)
		out->state = STATE_SYNCING;
	if (c == NULL && uplink_started(p->uplink))
		out->reason = uplink_why(p->uplink);
	out->link_up = c != NULL;
}

void primary_status(const struct primary *p, struct vm_status *out)
{
	struct conn *c = uplink_conn(p->uplink);
	struct sender_stats ss;
	struct conn_stats cs;

	primary_view(p, out);
	out->epoch_committed = p->engine.acked;
	out->pause_us = hist_quantiles(&p->pause_us);
	out->dirty_pages = hist_quantiles(&p->dirty_pages);
	out->track_us = hist_quantiles(&p->track_us);
	out->ack_us = hist_quantiles(&p->ack_us);
	sender_stats(p->sender, &ss);
	out->bytes_raw = ss.bytes_raw;
	out->bytes_sent = ss.bytes_sent;
	out->sync_bytes_raw = ss.live_bytes_raw;
	out->sync_bytes_sent = ss.live_bytes_sent;
	out->lag_ms = lag_ms(p);
	if (c != NULL) {
		conn_stats(c, &cs);
		out->rtt_us = cs.rtt_us;
	}
	out->resyncs = p->resyncs;
	out->resyncs_full = p->resyncs_full;
	if (p->engine.link == EPOCH_LINK_LIVE) {
		out->sync_total_pages = p->sync_total;
		out->sync_done_pages = p->sync_total -
				       page_bitmap_count(&p->todo);
	}
	out->epochs = p->epochs;
	out->held_pauses = p->held_pauses;
}
