/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame_queue.c - a ring in one arena.
 *
 *   unwrapped   [ ....head#####tail.... ]      data: [head, tail)
 *   wrapped     [ ####tail....head####wrap~ ]  data: [head, wrap) + [0, tail)
 *
 * Records are contiguous: when less than one slot is left at the end of the
 * arena, that rest (~) is skipped.  Because the arena is FRAME_BATCH + 1 slots
 * larger than the bound and the skipped rest is smaller than one slot, a whole
 * slot is always free, and head == tail only ever means "empty".
 */
#include "frame_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct record {
	uint64_t epoch;
	uint64_t len;
	uint8_t data[];
};
_Static_assert(sizeof(struct record) == FRAME_OVERHEAD, "cost of a frame");

struct frame_queue {
	uint8_t *arena;
	size_t arena_bytes;
	size_t bound_bytes;
	size_t head, tail, wrap;
	bool wrapped;
	uint64_t frames;
	size_t bytes;
	size_t slots_at;     /* where reserve() began */
	unsigned int nslots; /* how many it gave */
};

size_t frame_queue_cost(size_t len)
{
	return FRAME_OVERHEAD + ((len + 7) & ~(size_t)7);
}

struct frame_queue *frame_queue_new(size_t bound_bytes)
{
	const size_t slack = (FRAME_BATCH + 1) * FRAME_SLOT_BYTES;
	struct frame_queue *q;

	if (bound_bytes < FRAME_SLOT_BYTES || bound_bytes > SIZE_MAX - slack)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return NULL;
	q->bound_bytes = bound_bytes & ~(size_t)7;
	q->arena_bytes = q->bound_bytes + slack;
	q->arena = malloc(q->arena_bytes);
	if (q->arena == NULL) {
		free(q);
		return NULL;
	}
	return q;
}

void frame_queue_free(struct frame_queue *q)
{
	if (q == NULL)
		return;
	free(q->arena);
	free(q);
}

static struct record *record_at(const struct frame_queue *q, size_t at)
{
	return (struct record *)(void *)(q->arena + at);
}

/* Free bytes that follow tail without a break. */
static size_t room_at_tail(const struct frame_queue *q)
{
	return (q->wrapped ? q->head : q->arena_bytes) - q->tail;
}

unsigned int frame_queue_reserve(struct frame_queue *q, struct iovec *iov,
				 unsigned int max)
{
	size_t n, i;

	if (q->frames == 0) {
		q->head = q->tail = 0;
		q->wrapped = false;
	}
	if (!q->wrapped && room_at_tail(q) < FRAME_SLOT_BYTES) {
		q->wrap = q->tail;
		q->tail = 0;
		q->wrapped = true;
	}
	n = room_at_tail(q) / FRAME_SLOT_BYTES;
	assert(n >= 1 && max >= 1);
	if (n > FRAME_BATCH)
		n = FRAME_BATCH;
	if (n > max)
		n = max;
	for (i = 0; i < n; i++) {
		iov[i].iov_base =
			record_at(q, q->tail + i * FRAME_SLOT_BYTES)->data;
		iov[i].iov_len = FRAME_BYTES_MAX;
	}
	q->slots_at = q->tail;
	q->nslots = (unsigned int)n;
	return (unsigned int)n;
}

bool frame_queue_put(struct frame_queue *q, unsigned int slot, size_t len,
		     uint64_t epoch)
{
	size_t from = q->slots_at + slot * FRAME_SLOT_BYTES;
	size_t cost = frame_queue_cost(len);
	struct record *r;

	assert(slot < q->nslots && len <= FRAME_BYTES_MAX && from >= q->tail);
	if (q->bytes + cost > q->bound_bytes)
		return false;
	r = record_at(q, q->tail);
	if (from != q->tail)
		memmove(r->data, record_at(q, from)->data, len);
	r->epoch = epoch;
	r->len = len;
	q->tail += cost;
	q->bytes += cost;
	q->frames++;
	return true;
}

bool frame_queue_push(struct frame_queue *q, const void *frame, size_t len,
		      uint64_t epoch)
{
	struct iovec iov;

	frame_queue_reserve(q, &iov, 1);
	memcpy(iov.iov_base, frame, len);
	return frame_queue_put(q, 0, len, epoch);
}

/* Where the oldest record is: head, but for the skipped rest. */
static size_t first_at(const struct frame_queue *q)
{
	return q->wrapped && q->head == q->wrap ? 0 : q->head;
}

const void *frame_queue_peek(const struct frame_queue *q, size_t *len,
			     uint64_t *epoch)
{
	const struct record *r;

	if (q->frames == 0)
		return NULL;
	r = record_at(q, first_at(q));
	*len = r->len;
	*epoch = r->epoch;
	return r->data;
}

void frame_queue_pop(struct frame_queue *q)
{
	size_t at, cost;

	if (q->frames == 0)
		return;
	at = first_at(q);
	if (at != q->head)
		q->wrapped = false;
	cost = frame_queue_cost(record_at(q, at)->len);
	q->head = at + cost;
	q->bytes -= cost;
	q->frames--;
}

void frame_queue_walk(const struct frame_queue *q, frame_queue_fn *fn,
		      void *ctx)
{
	size_t at = q->head;

	for (uint64_t i = 0; i < q->frames; i++) {
		const struct record *r;

		if (q->wrapped && at == q->wrap)
			at = 0;
		r = record_at(q, at);
		fn(ctx, r->data, r->len, r->epoch);
		at += frame_queue_cost(r->len);
	}
}

uint64_t frame_queue_clear(struct frame_queue *q)
{
	uint64_t n = q->frames;

	q->frames = 0;
	q->bytes = 0;
	q->head = q->tail = 0;
	q->wrapped = false;
	q->nslots = 0;
	return n;
}

uint64_t frame_queue_frames(const struct frame_queue *q)
{
	return q->frames;
}

size_t frame_queue_bytes(const struct frame_queue *q)
{
	return q->bytes;
}
