/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_queue.h - a bounded FIFO of Ethernet frames, each tagged by its epoch.
 *
 * One arena, allocated once: bound + (FRAME_BATCH + 1) * FRAME_SLOT_BYTES
 * bytes, and not one byte more whatever the guest sends.  Frames are received
 * straight into it: reserve() hands out slots that can each hold the longest
 * frame, put() packs what came.
 *
 * A frame costs frame_queue_cost(len) bytes of the bound; a frame that would
 * go beyond the bound is refused (the newest are dropped, never the oldest:
 * dropping from the front would reorder what the outside sees).
 *
 * Pure: no sockets, no clocks.  The queue keeps the order of put() whatever
 * the tags say.
 */
#ifndef REMUS_FRAME_QUEUE_H
#define REMUS_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAME_BYTES_MIN 14   /* an Ethernet header */
#define FRAME_BYTES_MAX 9018 /* MTU 9000, Ethernet header, one VLAN tag */
#define FRAME_OVERHEAD 16    /* what a frame costs beside its own bytes */
#define FRAME_BATCH 32	     /* slots that one reserve() gives at most */
#define FRAME_SLOT_BYTES (FRAME_OVERHEAD + (((size_t)FRAME_BYTES_MAX + 7) & ~(size_t)7))

struct frame_queue;

/* NULL when there is no memory, or when bound_bytes < FRAME_SLOT_BYTES. */
struct frame_queue *frame_queue_new(size_t bound_bytes);
void frame_queue_free(struct frame_queue *q); /* NULL is allowed */

/* Bytes of the bound that a frame of `len` bytes takes. */
size_t frame_queue_cost(size_t len);

/* Room to receive into: fills iov[0..n-1], each FRAME_BYTES_MAX bytes, and
 * returns n, 1 <= n <= min(max, FRAME_BATCH).  It always gives at least one,
 * even when the bound is reached: what is received then is refused by put().
 * Valid until the next call of anything but put(). */
unsigned int frame_queue_reserve(struct frame_queue *q, struct iovec *iov,
				 unsigned int max);

/* Append the `len` bytes (<= FRAME_BYTES_MAX) received in iov[slot].  Slots are
 * put in ascending order, each at most once; some may be left out.  False: over
 * the bound, nothing was kept. */
bool frame_queue_put(struct frame_queue *q, unsigned int slot, size_t len,
		     uint64_t epoch);

/* reserve() + copy + put() of one frame. */
bool frame_queue_push(struct frame_queue *q, const void *frame, size_t len,
		      uint64_t epoch);

/* The oldest frame, or NULL; valid until pop(), clear() or reserve(). */
const void *frame_queue_peek(const struct frame_queue *q, size_t *len,
			     uint64_t *epoch);
void frame_queue_pop(struct frame_queue *q); /* no-op when empty */

/* All frames, from the oldest on; fn must not call the queue. */
typedef void frame_queue_fn(void *ctx, const void *frame, size_t len,
			    uint64_t epoch);
void frame_queue_walk(const struct frame_queue *q, frame_queue_fn *fn,
		      void *ctx);

/* Drop everything; returns how many frames that were. */
uint64_t frame_queue_clear(struct frame_queue *q);

uint64_t frame_queue_frames(const struct frame_queue *q);
size_t frame_queue_bytes(const struct frame_queue *q); /* sum of the costs */

#endif
