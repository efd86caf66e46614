/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xen_image.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util.h"

int xen_bytes_add(struct xen_bytes *b, const void *data, size_t bytes)
{
	size_t cap = b->bytes + bytes;
	uint8_t *bigger;

	if (cap > b->cap) {
		cap += cap / 2;
		bigger = realloc(b->data, cap);
		if (bigger == NULL)
			return -ENOMEM;
		b->data = bigger;
		b->cap = cap;
	}
	if (bytes > 0)
		memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	return 0;
}

int xen_image_new(struct xen_image **out, uint64_t npages)
{
	struct xen_image *i = calloc(1, sizeof(*i));
	size_t bytes = npages * REMUS_PAGE_SIZE;
	void *pages;

	if (i == NULL)
		return -ENOMEM;
	i->npages = npages;
	i->fresh = true;
	pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pages != MAP_FAILED) {
		i->pages = pages;
		/* A child that lives long would keep every page that we
		 * change as it was. */
		madvise(pages, bytes, MADV_DONTFORK);
	}
	i->runs = calloc(npages / XEN_RUN_PAGES, sizeof(*i->runs));
	i->sorted = calloc(npages / XEN_RUN_PAGES, sizeof(*i->sorted));
	i->types = malloc(npages);
	i->pfns = malloc(STREAM_PFNS_MAX * sizeof(*i->pfns));
	if (i->pages == NULL || i->runs == NULL || i->sorted == NULL ||
	    i->types == NULL || i->pfns == NULL ||
	    page_bitmap_init(&i->dirty, npages) < 0) {
		xen_image_free(i);
		return -ENOMEM;
	}
	memset(i->types, XEN_TYPE_UNSEEN, npages);
	*out = i;
	return 0;
}

void xen_image_free(struct xen_image *i)
{
	if (i == NULL)
		return;
	if (i->pages != NULL)
		munmap(i->pages, i->npages * REMUS_PAGE_SIZE);
	page_bitmap_free(&i->dirty);
	free(i->runs);
	free(i->sorted);
	free(i->types);
	free(i->pfns);
	free(i->head.data);
	free(i->tail.data);
	free(i->emulator.data);
	free(i);
}

void xen_image_restart(struct xen_image *i)
{
	i->head.bytes = i->tail.bytes = i->emulator.bytes = 0;
	i->open = NULL;
	i->paged = false;
	i->fresh = true;
	i->npfns = i->at = 0;
}

/* ---- places ---- */

/* Where in `sorted` a run that begins at `first` is, or would be. */
static uint32_t search(const struct xen_image *i, uint64_t first)
{
	uint32_t lo = 0, hi = i->nruns;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (i->runs[i->sorted[mid]] < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at(const struct xen_image *i, uint32_t at, uint64_t first)
{
	return at < i->nruns && i->runs[i->sorted[at]] == first;
}

/* The run that was asked for last is mostly the one that is asked for next. */
static bool find_run(const struct xen_image *i, uint64_t first, uint32_t *run)
{
	uint32_t at;

	if (i->nruns > 0 && i->runs[i->last] == first) {
		*run = i->last;
		return true;
	}
	at = search(i, first);
	if (!is_at(i, at, first))
		return false;
	*run = i->sorted[at];
	return true;
}

static uint64_t first_of(uint64_t pfn)
{
	return pfn & ~(uint64_t)(XEN_RUN_PAGES - 1);
}

uint64_t xen_image_place(const struct xen_image *i, uint64_t pfn)
{
	uint32_t run;

	if (!find_run(i, first_of(pfn), &run))
		return i->npages;
	return (uint64_t)run * XEN_RUN_PAGES + (pfn - first_of(pfn));
}

static int add_run(struct xen_image *i, uint64_t first)
{
	uint32_t at = search(i, first);

	if (i->nruns == i->npages / XEN_RUN_PAGES)
		return -EFBIG;
	memmove(i->sorted + at + 1, i->sorted + at,
		(i->nruns - at) * sizeof(*i->sorted));
	i->sorted[at] = i->nruns;
	i->runs[i->nruns++] = first;
	return 0;
}

static int make_place(struct xen_image *i, uint64_t pfn, uint64_t *place)
{
	uint64_t first = first_of(pfn);
	uint32_t run = i->nruns;

	if (!find_run(i, first, &run) && add_run(i, first) < 0)
		return set_err(i->err, sizeof(i->err), -EFBIG,
			       "the domain has more memory than the definition "
			       "says: page %llx has no place",
			       (unsigned long long)pfn);
	i->last = run;
	*place = (uint64_t)run * XEN_RUN_PAGES + (pfn - first);
	return 0;
}

/* ---- a stream comes in ---- */

static int keep(struct xen_image *i, struct xen_bytes *b, const uint8_t *data,
		size_t bytes)
{
	if (bytes > XEN_RECORDS_MAX - b->bytes)
		return set_err(i->err, sizeof(i->err), -E2BIG,
			       "more than %zu MiB of records that are no pages",
			       XEN_RECORDS_MAX >> 20);
	if (xen_bytes_add(b, data, bytes) < 0)
		return set_err(i->err, sizeof(i->err), -ENOMEM,
			       "out of memory");
	return 0;
}

static void epoch_begins(struct xen_image *i)
{
	if (!i->fresh)
		return;
	i->fresh = false;
	i->tail.bytes = i->emulator.bytes = 0;
}

static int out_of_place(struct xen_image *i, const struct stream_event *ev)
{
	return set_err(i->err, sizeof(i->err), -EPROTO,
		       "record %s in a stream of checkpoints",
		       stream_record_name(ev->layer, ev->type));
}

static int on_libxl_record(struct xen_image *i, const struct stream_event *ev)
{
	if (ev->type == XL_LIBXC_CONTEXT || ev->type == XL_CHECKPOINT_END)
		return 0;
	if (ev->type != XL_EMULATOR_XENSTORE_DATA &&
	    ev->type != XL_EMULATOR_CONTEXT)
		return out_of_place(i, ev);
	i->open = &i->emulator;
	return keep(i, i->open, ev->data, ev->bytes);
}

static int on_record(struct xen_image *i, const struct stream_event *ev)
{
	i->open = NULL;
	if (ev->layer == STREAM_LIBXL)
		return on_libxl_record(i, ev);
	if (ev->type == XC_END || ev->type == XC_VERIFY)
		return out_of_place(i, ev);
	if (ev->type == XC_CHECKPOINT)
		return 0;
	if (i->paged)
		epoch_begins(i);
	i->open = i->paged ? &i->tail : &i->head;
	return keep(i, i->open, ev->data, ev->bytes);
}

/* Of a PVH guest the stream names every pfn up to its last page, below 4 GiB:
 * where there is nothing, nothing is kept. */
static bool is_hole(const struct xen_image *i, uint64_t pfn)
{
	return pfn >> 60 == XEN_TYPE_ABSENT &&
	       xen_image_place(i, pfn & STREAM_PFN_MASK) == i->npages;
}

static int on_page_data(struct xen_image *i, const struct stream_event *ev)
{
	uint64_t place = 0;
	int rc;

	i->open = NULL;
	i->paged = true;
	epoch_begins(i);
	i->npfns = i->at = 0;
	for (uint32_t n = 0; n < ev->pfns; n++) {
		uint64_t pfn;

		memcpy(&pfn, ev->data + STREAM_PAGE_HEAD + 8 * (size_t)n, 8);
		pfn = le64toh(pfn);
		if (is_hole(i, pfn))
			continue;
		rc = make_place(i, pfn & STREAM_PFN_MASK, &place);
		if (rc < 0)
			return rc;
		i->types[place] = (uint8_t)(pfn >> 60);
		if (stream_pfn_has_data(pfn))
			i->pfns[i->npfns++] = place;
	}
	return 0;
}

static void on_pages(struct xen_image *i, const struct stream_event *ev)
{
	for (uint32_t n = 0; n < ev->pages && i->at < i->npfns; n++) {
		const uint8_t *page = ev->data + (size_t)n * REMUS_PAGE_SIZE;
		uint64_t place = i->pfns[i->at++];
		uint8_t *old = i->pages + place * REMUS_PAGE_SIZE;

		if (memcmp(old, page, REMUS_PAGE_SIZE) == 0)
			continue; /* sent again, as so many are */
		memcpy(old, page, REMUS_PAGE_SIZE);
		page_bitmap_set(&i->dirty, place);
	}
}

int xen_image_event(void *ctx, const struct stream_event *ev)
{
	struct xen_image *i = ctx;

	switch (ev->kind) {
	case STREAM_HEADER:
		i->open = NULL;
		if (ev->layer == STREAM_LIBXL)
			return 0;
		i->open = &i->head;
		return keep(i, &i->head, ev->data, ev->bytes);
	case STREAM_RECORD:
		return on_record(i, ev);
	case STREAM_BODY:
		return i->open == NULL ? 0
				       : keep(i, i->open, ev->data, ev->bytes);
	case STREAM_PAGE_DATA:
		return on_page_data(i, ev);
	case STREAM_PAGES:
		on_pages(i, ev);
		return 0;
	case STREAM_CHECKPOINT:
		i->fresh = true;
		return 0;
	case STREAM_END:
	case STREAM_TAIL:
		break;
	}
	return 0;
}
