/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * primary_priv.h - what the parts of primary.c share; nobody else includes it.
 *
 *   primary.c         the engine is fed, and the life of an epoch
 *   primary_link.c    the connection, the ticket, the handover
 *   primary_status.c  what is told of it
 */
#ifndef REMUS_PRIMARY_PRIV_H
#define REMUS_PRIMARY_PRIV_H

#include "capture.h"
#include "epoch.h"
#include "inflight.h"
#include "primary.h"
#include "sender.h"
#include "uplink.h"

#define EVENTS_MAX 32

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
	qb_loop_timer_handle look; /* at a driver that is behind */
	bool look_armed;
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

static inline const char *primary_vm_name(const struct primary *p)
{
	return p->env->cfg->name;
}

/* ---- primary.c ---- */

/* Events queue up while one is being handled. */
void primary_feed_event(struct primary *p, const struct epoch_event *ev);
void primary_feed_epoch(struct primary *p, enum epoch_event_type type,
			uint64_t epoch);
void primary_feed(struct primary *p, enum epoch_event_type type);
void primary_got_ack(struct primary *p, const uint8_t *payload, size_t len);
/* The link is gone: the live pass does not go on. */
void primary_look_no_more(struct primary *p);
/* Who waits for a checkpoint hears how it ended. */
void primary_checkpoint_ended(struct primary *p, int rc);

/* ---- primary_link.c ---- */

extern const struct uplink_events primary_uplink_events;
/* The link is gone: everything in flight counts as dirty again. */
void primary_link_forget(struct primary *p);
void primary_give_up_link(struct primary *p, const struct wire_refuse *refuse,
			  const char *text);
/* The peer broke the protocol: it is told. */
void primary_drop_link(struct primary *p, const char *text);
void primary_move_ticket(struct primary *p);
void primary_tell_ticket(struct primary *p);
void primary_tell_handover(struct primary *p, uint64_t epoch);

#endif
