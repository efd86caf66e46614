/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * primary.c - see primary.h.  Top to bottom: feeding the engine, then the life
 * of an epoch in order (pause, capture, resume, send, acknowledge, release),
 * the actions, the commands.  The link, the ticket and the handover are in
 * primary_link.c, what is told of all that in primary_status.c.
 */
#include "primary.h"

#include <errno.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "primary_priv.h"
#include "util.h"

/* Live passes end when so few pages are dirty that copying them in the pause
 * costs a millisecond or two, or when they do not get fewer. */
#define LIVE_PAGES_FEW 2048
#define LIVE_PASSES_MAX 8
/* A guest gets at least this long between two pauses. */
#define RUN_MIN_NS 1000000u
/* A driver that is behind with its view of memory is asked again. */
#define LOOK_AGAIN_NS 50000000u

static void do_action(struct primary *p, const struct epoch_action *a);

/* ---- feeding the engine: events queue up while one is being handled ---- */

void primary_feed_event(struct primary *p, const struct epoch_event *ev)
{
	struct epoch_actions out;

	if (p->queued == EVENTS_MAX) {
		qb_log(LOG_CRIT, "%s: event queue overrun",
		       primary_vm_name(p));
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

void primary_feed_epoch(struct primary *p, enum epoch_event_type type,
		       uint64_t epoch)
{
	const struct conn *c = uplink_conn(p->uplink);
	struct epoch_event ev = {
		.type = type,
		.epoch = epoch,
		.until_boot_ns = c == NULL ? 0 : conn_awake_until(c),
	};

	primary_feed_event(p, &ev);
}

void primary_feed(struct primary *p, enum epoch_event_type type)
{
	primary_feed_epoch(p, type, 0);
}

/* ---- the pause: suspend, capture, resume ---- */

/* A tracker that fails knows nothing: every page counts as dirty. */
static void collect(struct primary *p)
{
	int rc = p->env->dops->collect(p->env->driver, &p->todo);

	if (rc == 0)
		return;
	qb_log(LOG_ERR, "%s: dirty tracking: %s: all pages count as dirty",
	       primary_vm_name(p), strerror(-rc));
	page_bitmap_set_all(&p->todo);
}

static void act_suspend(struct primary *p)
{
	p->epoch_began_ns = now_mono_ns();
	if (p->env->dops->suspend(p->env->driver) < 0)
		primary_feed(p, EV_SUSPEND_FAILED);
}

void primary_suspended(struct primary *p, int rc, const char *why)
{
	if (rc < 0)
		qb_log(LOG_ERR, "%s: cannot suspend: %s",
		       primary_vm_name(p), why);
	primary_feed(p, rc < 0 ? EV_SUSPEND_FAILED : EV_SUSPENDED);
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
		qb_log(LOG_ERR, "%s: device state: %s",
		       primary_vm_name(p), why);
		primary_feed(p, EV_SUSPEND_FAILED);
		return;
	}
	s = inflight_find(&p->inflight, p->engine.captured);
	if (s != NULL && p->engine.capture_valid)
		s->captured_ns = now_mono_ns();
	ev.overflow = capture_overflows(&p->capture);
	primary_feed_event(p, &ev);
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
	primary_feed(p, EV_RESUMED);
}

/* ---- the interval ---- */

static void on_tick(void *data)
{
	struct primary *p = data;

	p->tick_armed = false;
	primary_feed(p, EV_TICK);
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
		primary_feed(p, EV_TICK);
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

static void on_live_done(void *ctx);

static void act_live_pass(struct primary *p)
{
	collect(p);
	p->sync_total = page_bitmap_count(&p->todo);
	sender_live(p->sender, &p->todo);
}

void primary_look_no_more(struct primary *p)
{
	if (p->look_armed)
		qb_loop_timer_del(p->env->loop, p->look);
	p->look_armed = false;
}

static void on_look_again(void *data)
{
	struct primary *p = data;

	p->look_armed = false;
	on_live_done(p);
}

/* A driver that has to copy the memory is behind at first.  This pass goes on,
 * with what it has by now, until it says that it is not any more: for the
 * engine it is one pass. */
static bool pass_goes_on(struct primary *p)
{
	char err[256];
	int rc = p->env->dops->settled(p->env->driver, err, sizeof(err));

	if (rc > 0)
		return false;
	if (rc < 0) {
		p->tracking = false; /* the next connection begins it anew */
		primary_give_up_link(p, NULL, err);
		return true;
	}
	if (page_bitmap_next(&p->todo, 0) < p->todo.npages) {
		sender_live(p->sender, &p->todo);
		return true;
	}
	p->look_armed = qb_loop_timer_add(p->env->loop, QB_LOOP_MED,
					  LOOK_AGAIN_NS, p, on_look_again,
					  &p->look) == 0;
	return p->look_armed;
}

static void on_live_done(void *ctx)
{
	struct primary *p = ctx;
	struct epoch_event ev = { .type = EV_LIVE_DONE };

	collect(p);
	if (pass_goes_on(p))
		return;
	ev.pages = page_bitmap_count(&p->todo);
	primary_feed_event(p, &ev);
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

/* Its barrier has been: what the gate holds of it is all that there is. */
static void on_output(void *ctx, uint64_t epoch, struct segments *out)
{
	struct primary *p = ctx;

	p->env->gops->segments(p->env->gate, epoch, out);
}

static void on_sent(void *ctx, uint64_t epoch, uint64_t chain)
{
	struct primary *p = ctx;
	struct inflight_slot *s = inflight_find(&p->inflight, epoch);

	s->sent = true;
	s->chain = chain;
	p->sent_chain = chain;
	capture_done(&p->capture);
	primary_feed_epoch(p, EV_SENT, epoch);
}

static const struct sender_events sender_events = {
	.live_done = on_live_done,
	.output = on_output,
	.sent = on_sent,
};

/* ---- acknowledgements ---- */

void primary_checkpoint_ended(struct primary *p, int rc)
{
	checkpoint_done done = p->checkpoint_done;

	p->checkpoint_done = NULL;
	if (done != NULL)
		done(p->checkpoint_ctx, rc, p->checkpoint_epoch);
}

void primary_got_ack(struct primary *p, const uint8_t *payload, size_t len)
{
	struct inflight_slot *s;
	struct wire_ack ack;

	if (wire_get_ack(payload, len, &ack) < 0 ||
	    (s = inflight_find(&p->inflight, ack.epoch)) == NULL ||
	    !s->sent || s->chain != ack.chain) {
		primary_drop_link(p, "ACK of an epoch that was not sent so");
		return;
	}
	if (s->captured_ns != 0) {
		hist_add(&p->ack_us,
			 (now_mono_ns() - s->captured_ns) / 1000);
		p->acked_capture_ns = s->captured_ns;
	}
	sender_acked(p->sender, ack.epoch);
	inflight_acked(&p->inflight, s);
	p->synced_before = true;
	p->sync_total = 0;
	primary_feed_epoch(p, EV_ACK, ack.epoch);
	if (p->checkpoint_done != NULL && ack.epoch >= p->checkpoint_epoch)
		primary_checkpoint_ended(p, 0);
}

/* ---- actions ---- */

static void act_open(struct primary *p, const struct permit *permit)
{
	if (p->env->gops->open(p->env->gate, permit) < 0)
		qb_log(LOG_ERR, "%s: the gate stays shut: no live ticket",
		       primary_vm_name(p));
}

static void do_action(struct primary *p, const struct epoch_action *a)
{
	qb_log(LOG_TRACE, "%s: %s %llu", primary_vm_name(p),
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
	case ACT_FORGET: primary_link_forget(p); break;
	case ACT_ARM_TICK: act_arm_tick(p); break;
	case ACT_MOVE_TICKET: primary_move_ticket(p); break;
	case ACT_TELL_TICKET: primary_tell_ticket(p); break;
	case ACT_TELL_HANDOVER: primary_tell_handover(p, a->epoch); break;
	case ACT_KILL_GUEST:
		p->handing_over = false;
		p->events->handed_over(p->ctx);
		break;
	case ACT_DROP_LINK:
		if (a->why != NULL)
			primary_give_up_link(p, NULL, a->why);
		else
			primary_drop_link(p, "messages out of order");
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
		.threads = cfg->encode_threads,
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
		rc = uplink_new(&p->uplink, p->env, &primary_uplink_events, p);
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
	primary_feed_event(p, &alone);
	primary_feed_epoch(p, EV_STARTED, first_epoch);
	return 0;
}

void primary_free(struct primary *p)
{
	if (p == NULL)
		return;
	primary_checkpoint_ended(p, -ECANCELED);
	if (p->env->asker == p)
		p->env->asker = NULL;
	disarm_tick(p);
	primary_look_no_more(p);
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

int primary_handover(struct primary *p)
{
	primary_feed(p, EV_HANDOVER);
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
	primary_feed(p, EV_TICK);
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
	primary_checkpoint_ended(p, -ECANCELED);
	/* Its memory is gone too: nothing may be read from it to be sent.  And
	 * the backup is not kept from taking over by a primary of nothing. */
	uplink_stop(p->uplink);
	primary_feed(p, EV_GUEST_GONE);
	primary_feed(p, EV_LINK_DOWN);
}
