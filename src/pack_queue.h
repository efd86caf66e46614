/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pack_queue.h - payloads of page records that several threads pack
 * (page_pack.h), handed on in the order in which they were written.
 *
 *	buf = pack_queue_begin(q)	fill it
 *	pack_queue_commit(q, &w, ...)	and so on, while there is a buffer
 *	while (pack_queue_first(q, &out) == 0)
 *		hand it on, pack_queue_pop(q)
 *
 * Two payloads a thread may be under way, in memory that is taken at the
 * start; threads see nothing but these copies of records.
 */
#ifndef REMUS_PACK_QUEUE_H
#define REMUS_PACK_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page_pack.h"
#include "page_record.h"
#include "thread_pool.h"

struct pack_queue;

/* 0 or -ENOMEM.  The pool must live until pack_queue_free(). */
int pack_queue_new(struct pack_queue **out, struct thread_pool *pool);
/* What is under way is dropped.  NULL is allowed. */
void pack_queue_free(struct pack_queue *q);

/* PAGE_PACK_RECORDS_BYTES for page_pack_begin(), the same until commit; NULL: all
 * are under way. */
uint8_t *pack_queue_begin(struct pack_queue *q);
/* w has written at least a record into that buffer.  `more`: another payload
 * follows at once, so that it is worth to wake a thread for this one. */
void pack_queue_commit(struct pack_queue *q, const struct page_writer *w,
		       unsigned int type, bool more);

bool pack_queue_empty(const struct pack_queue *q);

struct packed_payload {
	unsigned int type; /* as committed */
	const uint8_t *data; /* until pop */
	size_t bytes;
};

/* The oldest payload, packed.  0; -EBUSY: it is not packed yet; -ENOENT: the queue
 * is empty. */
int pack_queue_first(struct pack_queue *q, struct packed_payload *out);
void pack_queue_pop(struct pack_queue *q);

/* Nothing of what was committed will come out.  Waits for the end of what is
 * being packed: of one payload a thread. */
void pack_queue_drop(struct pack_queue *q);

#endif
