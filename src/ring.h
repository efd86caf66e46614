/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.h - a byte queue whose content and whose free space are each one
 * contiguous range, always: the memory is mapped twice in a row.
 *
 * So an encoder can write a whole frame into it, and TLS read from it, without
 * a copy between and without moving what waits.
 */
#ifndef REMUS_RING_H
#define REMUS_RING_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t *base; /* 2 * size bytes; NULL: no ring */
	size_t size;
	size_t head;   /* first queued byte, < size */
	size_t used;
};

/* `size`: a multiple of the system's page size.  0 or -errno. */
int ring_init(struct ring *r, size_t size);
/* Also of a zeroed ring. */
void ring_free(struct ring *r);

static inline size_t ring_room(const struct ring *r)
{
	return r->size - r->used;
}

/* Where ring_room() bytes may be written. */
static inline uint8_t *ring_tail(const struct ring *r)
{
	size_t at = r->head + r->used;

	return r->base + (at < r->size ? at : at - r->size);
}

static inline void ring_produce(struct ring *r, size_t bytes)
{
	assert(bytes <= ring_room(r));
	r->used += bytes;
}

/* Where `used` bytes may be read. */
static inline const uint8_t *ring_head(const struct ring *r)
{
	return r->base + r->head;
}

static inline void ring_consume(struct ring *r, size_t bytes)
{
	assert(bytes <= r->used);
	r->used -= bytes;
	r->head += bytes;
	if (r->head >= r->size)
		r->head -= r->size;
	if (r->used == 0)
		r->head = 0; /* keep to the memory that is in the cache */
}

#endif
