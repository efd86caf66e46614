/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sender_priv.h - what the parts of sender.c share; nobody else includes it.
 *
 *   sender.c      its life, pages, slices of work
 *   sender_end.c  device state, output and END
 */
#ifndef REMUS_SENDER_PRIV_H
#define REMUS_SENDER_PRIV_H

#include "capture_digest.h"
#include "digest.h"
#include "loop.h"
#include "page_cache.h"
#include "page_record.h"
#include "record_frame.h"
#include "sender.h"
#include "thread_pool.h"
#include "wire.h"

enum job { JOB_NONE = 0, JOB_LIVE, JOB_CAPTURE };

/* A page that is looked at before its turn. */
struct coming {
	gfn_t gfn;
	const uint8_t *page;
	struct page_look look;
};

struct sender {
	struct sender_params p;
	struct conn *conn;
	struct page_cache *cache;
	struct digest *digest;
	struct loop_soon soon; /* the next slice */
	struct thread_pool *pool; /* NULL: one thread does it all */
	bool takes_output, takes_packed; /* the backup */
	struct compression_auto chooser;
	struct record_frame frame;
	struct segments *output;

	/* the open epoch */
	bool open;
	bool begun; /* and its BEGIN is queued */
	struct wire_begin begin;
	uint64_t epoch, base_chain, records;
	struct page_bitmap *sent;

	/* what is being sent */
	enum job job;
	struct page_bitmap *todo;      /* JOB_LIVE */
	const struct capture *capture; /* JOB_CAPTURE */
	uint64_t next;		       /* gfn, or index into the capture */
	int slice_left;		       /* pages; 0: a new one begins */
	uint64_t device_next;	       /* block of the device state */
	bool device_keep;	       /* it is kept in device_old */
	bool device_done;	       /* and the digest is whole */
	bool output_done;
	bool digest_apart;	       /* the capture's pages are digested by */
	struct capture_digest apart;   /* the pool */
	uint64_t epoch_digest;
	uint64_t conn_bytes;	       /* given to this connection */
	uint64_t encode_ns;	       /* of this epoch's pages */
	uint64_t waits_ns;	       /* for the pool, since then; 0: no */

	/* the last capture: since when its acknowledgement is waited for, 0 when
	 * it is there, or nothing was captured; and how long it took */
	uint64_t capture_epoch, unacked_since_ns, ack_ns;

	/* the device state that the backup has, in whole blocks; NULL or 0
	 * blocks when that is not known */
	uint8_t *device_old;
	uint64_t device_old_blocks, device_old_cap;

	struct sender_stats stats;
	/* of the frame that is being filled: a ring; where to look next */
	unsigned int looked_at, taken;
	uint64_t look_next;
	struct coming coming[PAGE_LOOK_AHEAD];
	uint8_t scratch[PAGE_LOOK_AHEAD][REMUS_PAGE_SIZE]
		__attribute__((aligned(64)));
};

/* ---- sender.c ---- */

void sender_count(struct sender *s, size_t bytes);
/* PAGE_ALLOW_... */
unsigned int sender_kinds(const struct sender *s);
/* Hand on what the threads have packed.  0: that was all; -EAGAIN when the
 * connection has no room, -EBUSY while they are at it. */
int sender_push(struct sender *s);
/* 0, or as sender_push(). */
int sender_begin_frame(struct sender *s);
/* Memory for packing is given back as soon as nothing of it is in use. */
void sender_rest(struct sender *s);

/* ---- sender_end.c ---- */

/* 0: END is sent; -EAGAIN, -EBUSY */
int sender_end_capture(struct sender *s);

#endif
