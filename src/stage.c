/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct stage {
	uint8_t *image;
	uint64_t npages;
	uint8_t *pages;	  /* slot i at i * REMUS_PAGE_SIZE */
	uint32_t *gfns;	  /* gfn of slot i */
	uint32_t *slots;  /* 1 + slot of a gfn; 0: not staged */
	uint64_t count;
};

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unreserve(void *p, size_t bytes)
{
	if (p != NULL)
		munmap(p, bytes);
}

int stage_new(struct stage **out, uint8_t *image, uint64_t npages)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (s == NULL || npages >= UINT32_MAX) {
		free(s);
		return -ENOMEM;
	}
	s->image = image;
	s->npages = npages;
	s->pages = reserve(npages * REMUS_PAGE_SIZE);
	s->gfns = reserve(npages * sizeof(*s->gfns));
	s->slots = reserve(npages * sizeof(*s->slots));
	if (s->pages == NULL || s->gfns == NULL || s->slots == NULL) {
		stage_free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void stage_free(struct stage *s)
{
	if (s == NULL)
		return;
	unreserve(s->pages, s->npages * REMUS_PAGE_SIZE);
	unreserve(s->gfns, s->npages * sizeof(*s->gfns));
	unreserve(s->slots, s->npages * sizeof(*s->slots));
	free(s);
}

/* NULL: not yet */
static uint8_t *staged(const struct stage *s, gfn_t gfn)
{
	assert(gfn < s->npages);
	return s->slots[gfn] == 0
		       ? NULL
		       : s->pages + (size_t)(s->slots[gfn] - 1) * REMUS_PAGE_SIZE;
}

/* It is not staged. */
static uint8_t *stage_now(struct stage *s, gfn_t gfn)
{
	uint8_t *page = s->pages + s->count * REMUS_PAGE_SIZE;

	s->gfns[s->count++] = (uint32_t)gfn;
	s->slots[gfn] = (uint32_t)s->count;
	return page;
}

uint8_t *stage_blank(struct stage *s, gfn_t gfn)
{
	uint8_t *page = staged(s, gfn);

	return page != NULL ? page : stage_now(s, gfn);
}

uint8_t *stage_look(struct stage *s, gfn_t gfn)
{
	uint8_t *page = staged(s, gfn);

	return page != NULL ? page : s->image + gfn * REMUS_PAGE_SIZE;
}

uint8_t *stage_page(struct stage *s, gfn_t gfn)
{
	uint8_t *page = staged(s, gfn);

	if (page != NULL)
		return page;
	page = stage_now(s, gfn);
	memcpy(page, s->image + gfn * REMUS_PAGE_SIZE, REMUS_PAGE_SIZE);
	return page;
}

uint64_t stage_count(const struct stage *s)
{
	return s->count;
}

void stage_drop(struct stage *s)
{
	size_t used = s->count * REMUS_PAGE_SIZE;

	for (uint64_t i = 0; i < s->count; i++)
		s->slots[s->gfns[i]] = 0;
	s->count = 0;
	if (used > STAGE_KEEP_BYTES)
		madvise(s->pages + STAGE_KEEP_BYTES, used - STAGE_KEEP_BYTES,
			MADV_DONTNEED);
}

void stage_commit(struct stage *s, struct page_bitmap *changed)
{
	for (uint64_t i = 0; i < s->count; i++) {
		memcpy(s->image + (size_t)s->gfns[i] * REMUS_PAGE_SIZE,
		       s->pages + i * REMUS_PAGE_SIZE, REMUS_PAGE_SIZE);
		if (changed != NULL)
			page_bitmap_set(changed, s->gfns[i]);
	}
	stage_drop(s);
}
