/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record_frame.h - a frame of page records, written into a connection's queue;
 * packed there when that is asked for and makes it smaller.
 *
 *	if (record_frame_begin(f, conn, packed) < 0)
 *		wait for room
 *	page_writer_add(&f->w, ...) as often as it takes one
 *	bytes = record_frame_commit(f, WIRE_PAGES)
 */
#ifndef REMUS_RECORD_FRAME_H
#define REMUS_RECORD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
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
	struct page_writer w; /* between begin and commit */
	struct conn *conn;
	uint8_t *frame;	  /* in its queue */
	bool packed;
	/* what packing needs, from the first packed frame on */
	struct page_packer *packer;
	uint8_t *records;
};

/* f is zeroed at first.  0, or -EAGAIN when the connection has no room (then its
 * room() comes).  Without memory for packing it is not packed. */
int record_frame_begin(struct record_frame *f, struct conn *c, bool packed);
/* Queues the frame, which has a record at least.  Returns its bytes. */
size_t record_frame_commit(struct record_frame *f, unsigned int type);
/* Gives back what packing needed. */
void record_frame_release(struct record_frame *f);

#endif
