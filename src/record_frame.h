/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record_frame.h - a frame of page records, written into a connection's queue;
 * packed there when that is asked for and makes it smaller.
 *
 *	if (record_frame_begin(f, conn, packed) < 0)
 *		wait for room, or for the threads
 *	page_writer_add(&f->w, ...) as often as it takes one
 *	bytes = record_frame_commit(f, WIRE_PAGES, more)
 *
 * With a pool of threads, what is to be packed goes round by them (pack_queue.h),
 * and comes into the connection's queue by record_frame_push(), in the order of
 * the commits; what is not packed is begun only when all that was is there.
 */
#ifndef REMUS_RECORD_FRAME_H
#define REMUS_RECORD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "pack_queue.h"
#include "page_pack.h"
#include "page_record.h"

/* Small enough that the first bytes are under way early, large enough that the
 * payload's own header does not count. */
#define RECORD_FRAME_BYTES ((size_t)128 << 10)
/* Frames leave so much of the connection's queue free for the small frames that
 * follow them: BEGIN and END, and what others send (TICKET, heartbeats). */
#define RECORD_FRAME_SPARE ((size_t)4 * WIRE_SMALL_MAX)
/* What a frame needs to be begun, without RECORD_FRAME_SPARE. */
#define RECORD_FRAME_MIN (WIRE_HEADER_BYTES + PAGE_WRITER_CAP_MIN)

struct record_frame {
	struct thread_pool *pool; /* set at first; NULL: one thread */
	struct page_writer w;	  /* between begin and commit */
	struct conn *conn;
	uint8_t *frame;	  /* in its queue; NULL: in `queue` */
	bool packed;
	/* what packing needs, from the first packed frame on */
	struct page_packer *packer;
	uint8_t *records;
	struct pack_queue *queue; /* or this, with a pool */
};

/* f is zeroed at first, but for the pool.  0; -EAGAIN when the connection has no
 * room (then its room() comes); -EBUSY when something has to be packed and
 * pushed before.  Without memory for packing it is not packed. */
int record_frame_begin(struct record_frame *f, struct conn *c, bool packed);
/* Queues the frame, which has a record at least; `more`: as for
 * pack_queue_commit().  Returns its bytes; 0: record_frame_push() will. */
size_t record_frame_commit(struct record_frame *f, unsigned int type,
			   bool more);
/* Queues what has been packed, and adds up its bytes.  0: nothing is left;
 * -EAGAIN as above; -EBUSY: the next one is not packed yet. */
int record_frame_push(struct record_frame *f, struct conn *c, size_t *bytes);
/* What was committed and not pushed is given up. */
void record_frame_drop(struct record_frame *f);
/* Gives back what packing needed, if nothing is left to push. */
void record_frame_rest(struct record_frame *f);
/* The same anyway; what is left is given up. */
void record_frame_release(struct record_frame *f);

#endif
