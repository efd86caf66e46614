/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_image.h - a domain's memory and state, as its stream has shown it so far.
 *
 * Pfns lie apart (special pages of a PVH guest are below 4 GiB, whatever memory
 * it has), so the image is made of runs of XEN_RUN_PAGES pages: a run gets the
 * next place in the image when the first of its pfns comes up that is there.
 *
 *	place of pfn = place of the run that begins at (pfn & ~511) + (pfn & 511)
 *
 * A stream of libxl, or of libxc by itself: of libxl's layer the records of the
 * device model are kept (HVM), and the others only mark what is libxc's.
 *
 * Pure but for memory: bytes of a stream in, by stream_parse.h; pages, a bitmap
 * of those that changed, types and records out.  What the stream claims is
 * bounded: runs by the image, records by XEN_RECORDS_MAX.
 */
#ifndef REMUS_XEN_IMAGE_H
#define REMUS_XEN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"
#include "stream_parse.h"

#define XEN_RUN_PAGES 512 /* 2 MiB */
/* Runs beyond what the memory fills, for pfns that lie apart. */
#define XEN_SPARE_RUNS 16
/* Records of an epoch that are no pages, and those before the first page. */
#define XEN_RECORDS_MAX ((size_t)16 << 20)
#define XEN_TYPE_ABSENT 15 /* XTAB: there is no page */
#define XEN_TYPE_UNSEEN 5 /* no page of Xen's is of this type */

static inline uint64_t xen_image_npages(uint64_t memory_bytes)
{
	return memory_bytes / REMUS_PAGE_SIZE +
	       XEN_SPARE_RUNS * XEN_RUN_PAGES;
}

struct xen_bytes {
	uint8_t *data;
	size_t bytes, cap;
};

struct xen_image {
	uint8_t *pages;
	uint64_t npages;
	struct page_bitmap dirty; /* content changed since it was cleared */
	uint64_t *runs;		  /* first pfn, by place */
	uint32_t *sorted;	  /* places, by first pfn */
	uint32_t nruns, last;
	uint8_t *types;		  /* by place, one byte each */
	struct xen_bytes head;	  /* libxc's headers, records before pages */
	struct xen_bytes tail;	  /* records behind the pages of this epoch */
	struct xen_bytes emulator; /* records of libxl behind those */
	struct xen_bytes *open;	  /* where the body of a record goes, or NULL */
	bool paged;		  /* a page came in this stream */
	bool fresh;		  /* an epoch begins: tail is the last one's */
	uint64_t *pfns;		  /* of the PAGE_DATA under way */
	uint32_t npfns, at;
	char err[160];
};

/* npages as xen_image_npages().  Pages are zero, and not inherited by fork().
 * 0 or -ENOMEM. */
int xen_image_new(struct xen_image **out, uint64_t npages);
void xen_image_free(struct xen_image *i); /* NULL is allowed */

/* Another stream of the same domain begins: what it says is new, pages that did
 * not change are not dirty. */
void xen_image_restart(struct xen_image *i);

/* stream_event_fn; ctx is the image.  0; -ENOMEM, -EFBIG: more runs than the
 * image has; -E2BIG: more records; -EPROTO: a record that no checkpoint of Remus
 * has; with a line in i->err. */
int xen_image_event(void *ctx, const struct stream_event *ev);

/* The place of a pfn, or npages when it has none. */
uint64_t xen_image_place(const struct xen_image *i, uint64_t pfn);

/* Room for `bytes` more behind *b.  0 or -ENOMEM. */
int xen_bytes_add(struct xen_bytes *b, const void *data, size_t bytes);

#endif
