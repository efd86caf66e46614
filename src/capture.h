/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capture.h - the copy made in the pause: dirty pages and device state of one
 * epoch.
 *
 * One buffer, reused by every epoch: the next pause begins only when this one's
 * content was handed to the connection.  Its bound is capture_bytes; pages that
 * do not fit are only named, and the guest stays suspended until they are sent
 * straight from its memory (overflow: rare, counted, shown in status).  What
 * goes beyond CAPTURE_KEEP_BYTES is given back after the epoch.
 */
#ifndef REMUS_CAPTURE_H
#define REMUS_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"

#define CAPTURE_KEEP_BYTES ((size_t)32 << 20)
#define CAPTURE_DEVICE_MAX ((size_t)64 << 20)

struct capture {
	const uint8_t *ram;
	uint64_t npages;
	uint8_t *copies;      /* page i of the list at i * REMUS_PAGE_SIZE */
	uint64_t copies_max;  /* pages that fit */
	uint32_t *gfns;	      /* ascending */
	uint64_t count;	      /* pages in the list */
	uint64_t copied;      /* of them, the first `copied` have a copy */
	uint8_t *device;
	size_t device_bytes, device_cap;
};

/* 0 or -ENOMEM.  At least one page fits whatever capture_bytes says. */
int capture_init(struct capture *c, const uint8_t *ram, uint64_t npages,
		 uint64_t capture_bytes);
void capture_free(struct capture *c);

/* Copy every page set in `dirty`.  The guest is suspended. */
void capture_pages(struct capture *c, const struct page_bitmap *dirty);
/* 0, -ENOMEM or -E2BIG (more than CAPTURE_DEVICE_MAX). */
int capture_device(struct capture *c, const void *data, size_t bytes);

static inline bool capture_overflows(const struct capture *c)
{
	return c->copied < c->count;
}

/* Content of page i of the list: the copy, or the guest's memory itself. */
static inline const uint8_t *capture_page(const struct capture *c, uint64_t i)
{
	return i < c->copied ? c->copies + i * REMUS_PAGE_SIZE
			     : c->ram + (size_t)c->gfns[i] * REMUS_PAGE_SIZE;
}

/* The content was handed on: the list is empty, large memory given back. */
void capture_done(struct capture *c);

#endif
