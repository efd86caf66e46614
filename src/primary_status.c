/* SPDX-License-Identifier: GPL-2.0-or-later */
/* primary_status.c - what is told of a primary. */
#include <stdio.h>
#include <string.h>

#include "primary_priv.h"
#include "util.h"

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
	out->codec = ss.compression;
	out->encode_threads = ss.threads;
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
