/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status.h - what `remusctl status` and `top` show, as one struct, and its
 * JSON (remusctl(8) lists the members).
 */
#ifndef REMUS_STATUS_H
#define REMUS_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "compression.h"
#include "gate.h"

enum vm_role { ROLE_BACKUP = 0, ROLE_PRIMARY };
const char *vm_role_to_str(enum vm_role r); /* "backup", "primary" */

enum vm_state {
	STATE_SYNCING = 0, /* primary: no whole epoch at the backup, or none now;
			      backup: holds nothing to take over from */
	STATE_PROTECTED,   /* primary: output waits for acknowledgements */
	STATE_ALONE,	   /* primary: holds the ticket alone, gate open */
	STATE_STANDBY,	   /* backup: holds one committed epoch */
	STATE_ACTIVE,	   /* took over, holds the ticket alone, gate open */
	STATE_FAILED,	   /* see `reason` */
};
const char *vm_state_to_str(enum vm_state s);

struct quantiles {
	uint64_t p50, p99, max;
};

/* The last HIST_SAMPLES values of a measure, and the largest ever. */
#define HIST_SAMPLES 1024
struct hist {
	uint64_t n;   /* values recorded ever */
	uint64_t max; /* ever */
	uint64_t ring[HIST_SAMPLES];
};
void hist_add(struct hist *h, uint64_t value);
/* All 0 when nothing was recorded.  p50, p99 of the ring, max ever. */
struct quantiles hist_quantiles(const struct hist *h);

struct vm_status {
	const char *vm;
	const char *node;
	enum vm_role role;
	enum vm_state state;
	const char *reason;	 /* "" or one line */
	uint64_t generation;
	const char *ticket;	 /* "none", "protected(a,b)", "alone(a)" */
	const char *witnesses;	 /* a majority: "reached" or "lost"; "none" */
	uint64_t epoch_committed;
	uint32_t interval_ms;
	struct quantiles pause_us, dirty_pages, track_us, ack_us;
	uint64_t bytes_raw, bytes_sent; /* of checkpoints: pages * 4096; wire
					   bytes, everything counted */
	uint64_t sync_bytes_raw, sync_bytes_sent; /* of live passes */
	uint64_t lag_ms;	 /* age of the oldest unacknowledged state */
	struct gate_stats gate;
	const char *gate_name;
	enum gate_state gate_state;
	const char *peer;	 /* node name */
	const char *peer_address;
	bool link_up;
	uint64_t rtt_us;
	uint64_t resyncs;	 /* syncs after the first, since start */
	uint64_t resyncs_full;	 /* those that had to send everything */
	uint64_t sync_done_pages, sync_total_pages; /* while syncing */
	uint64_t epochs;	 /* checkpoints since start */
	uint64_t held_pauses;	 /* pauses that had to wait for the link */
	uint64_t memory_bytes;
	uint64_t rss_bytes;
	const char *driver, *tracker;
	enum compression compression, codec; /* asked for, in use */
	unsigned int encode_threads; /* in use; on a backup: asked for */
};

/* A new reference; ratio is bytes_raw / bytes_sent, 0 when nothing was sent. */
json_t *status_to_json(const struct vm_status *s);

#endif
