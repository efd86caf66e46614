/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_cache.c - see page_cache.h.
 *
 * Invariants: a gfn is in at most one place; count is the number of present
 * pages; in the associative shape a place is empty when its tag is 0, and an
 * empty place is never marked.
 */
#include "page_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SEED 0x9e3779b97f4a7c15u

struct page_cache {
	uint64_t npages;
	uint64_t places; /* flat: npages */
	uint64_t count;
	uint8_t *pages;  /* places * REMUS_PAGE_SIZE */

	struct page_bitmap present; /* flat only */

	page_sums_fn *sum_up;	/* NULL: no sums are kept */
	unsigned int rewritten; /* of those settled last, without a gap */
	struct page_sums *sums; /* of each place */
	struct page_bitmap unsummed; /* places whose sums are too old */
	struct page_sums_key key;

	uint64_t sets;	 /* 0: flat */
	uint64_t *tags;	 /* per place: gfn + 1, or 0 */
	uint8_t *marks;	 /* per set: bit w: place w was looked up */
	uint64_t random; /* state of the sequence that picks victims */
};

static uint8_t *place(const struct page_cache *c, uint64_t i)
{
	return c->pages + i * REMUS_PAGE_SIZE;
}

/* The first ways of all sets come first: as long as there is room, pages that
 * follow each other lie behind each other, and are fetched from memory so. */
static uint8_t *place_in_set(const struct page_cache *c, uint64_t set,
			     unsigned int way)
{
	return place(c, way * c->sets + set);
}

static int alloc_flat(struct page_cache *c)
{
	c->places = c->npages;
	return page_bitmap_init(&c->present, c->npages);
}

static int alloc_sets(struct page_cache *c, uint64_t cache_bytes)
{
	c->sets = cache_bytes / PAGE_CACHE_BYTES_MIN;
	c->places = c->sets * PAGE_CACHE_WAYS;
	c->random = SEED;
	c->tags = calloc(c->places, sizeof(*c->tags));
	c->marks = calloc(c->sets, sizeof(*c->marks));
	return c->tags == NULL || c->marks == NULL ? -ENOMEM : 0;
}

/* Of which the kernel gives what is written; NULL: it gives no addresses. */
static void *map_memory(size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map != MAP_FAILED ? map : NULL;
}

int page_cache_create(struct page_cache **out, uint64_t npages,
		      uint64_t cache_bytes)
{
	struct page_cache *c;
	int rc;

	*out = NULL;
	if (npages == 0 || npages > SIZE_MAX / 2 / REMUS_PAGE_SIZE)
		return -EINVAL;
	if (cache_bytes / REMUS_PAGE_SIZE < npages &&
	    cache_bytes < PAGE_CACHE_BYTES_MIN)
		return -EINVAL;
	c = aligned_alloc(_Alignof(struct page_cache), sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->npages = npages;
	if (cache_bytes / REMUS_PAGE_SIZE >= npages)
		rc = alloc_flat(c);
	else
		rc = alloc_sets(c, cache_bytes);
	if (rc < 0)
		goto fail;
	c->pages = map_memory(c->places * REMUS_PAGE_SIZE);
	if (c->pages == NULL) {
		rc = -ENOMEM;
		goto fail;
	}
	*out = c;
	return 0;
fail:
	page_cache_destroy(c);
	return rc;
}

void page_cache_destroy(struct page_cache *c)
{
	if (c == NULL)
		return;
	if (c->pages != NULL)
		munmap(c->pages, c->places * REMUS_PAGE_SIZE);
	if (c->sums != NULL)
		munmap(c->sums, c->places * sizeof(*c->sums));
	page_bitmap_free(&c->present);
	page_bitmap_free(&c->unsummed);
	free(c->tags);
	free(c->marks);
	free(c);
}

void page_cache_use_huge_pages(struct page_cache *c)
{
	(void)madvise(c->pages, c->places * REMUS_PAGE_SIZE, MADV_HUGEPAGE);
	if (c->sums != NULL)
		(void)madvise(c->sums, c->places * sizeof(*c->sums),
			      MADV_HUGEPAGE);
}

int page_cache_keep_sums(struct page_cache *c)
{
	page_sums_fn *fn = page_sums_fast();
	int rc;

	if (fn == NULL)
		return -ENOTSUP;
	rc = page_sums_new_key(&c->key);
	if (rc == 0)
		rc = page_bitmap_init(&c->unsummed, c->places);
	if (rc < 0)
		return rc;
	c->sums = map_memory(c->places * sizeof(*c->sums));
	if (c->sums == NULL)
		return -ENOMEM;
	c->sum_up = fn;
	return 0;
}

/* xorshift64*, top bits: the same everywhere, which is all that matters. */
static unsigned int pick(struct page_cache *c, unsigned int n)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return (unsigned int)((c->random * 0x2545f4914f6cdd1du) >> 40) % n;
}

/* The way of gfn in its set; PAGE_CACHE_WAYS when it is absent. */
static unsigned int find(const struct page_cache *c, uint64_t set, gfn_t gfn)
{
	const uint64_t *tags = c->tags + set * PAGE_CACHE_WAYS;
	unsigned int way = 0;

	while (way < PAGE_CACHE_WAYS && tags[way] != gfn + 1)
		way++;
	return way;
}

/* A place to overwrite: the first empty one, else one that is not marked. */
static unsigned int find_victim(struct page_cache *c, uint64_t set)
{
	const uint64_t *tags = c->tags + set * PAGE_CACHE_WAYS;
	unsigned int unmarked, nth;

	for (unsigned int way = 0; way < PAGE_CACHE_WAYS; way++)
		if (tags[way] == 0)
			return way;
	if (c->marks[set] == (1u << PAGE_CACHE_WAYS) - 1)
		c->marks[set] = 0;
	unmarked = ~(unsigned int)c->marks[set] & ((1u << PAGE_CACHE_WAYS) - 1);
	nth = pick(c, (unsigned int)__builtin_popcount(unmarked));
	while (nth-- > 0)
		unmarked &= unmarked - 1;
	return (unsigned int)__builtin_ctz(unmarked);
}

static uint8_t *look_up(const struct page_cache *c, gfn_t gfn, uint8_t *marks)
{
	uint64_t set;
	unsigned int way;

	assert(gfn < c->npages);
	if (c->sets == 0)
		return page_bitmap_test(&c->present, gfn) ? place(c, gfn)
							  : NULL;
	set = gfn % c->sets;
	way = find(c, set, gfn);
	if (way == PAGE_CACHE_WAYS)
		return NULL;
	if (marks != NULL)
		marks[set] |= (uint8_t)(1u << way);
	return place_in_set(c, set, way);
}

uint8_t *page_cache_lookup(struct page_cache *c, gfn_t gfn)
{
	return look_up(c, gfn, c->marks);
}

const uint8_t *page_cache_peek(const struct page_cache *c, gfn_t gfn)
{
	return look_up(c, gfn, NULL);
}

static uint8_t *insert_flat(struct page_cache *c, gfn_t gfn)
{
	if (!page_bitmap_test(&c->present, gfn)) {
		page_bitmap_set(&c->present, gfn);
		c->count++;
	}
	return place(c, gfn);
}

uint8_t *page_cache_insert(struct page_cache *c, gfn_t gfn)
{
	uint64_t set;
	unsigned int way;

	assert(gfn < c->npages);
	if (c->sets == 0)
		return insert_flat(c, gfn);
	set = gfn % c->sets;
	way = find(c, set, gfn);
	if (way == PAGE_CACHE_WAYS) {
		uint64_t *tag;

		way = find_victim(c, set);
		tag = &c->tags[set * PAGE_CACHE_WAYS + way];
		if (*tag == 0)
			c->count++;
		*tag = gfn + 1;
	}
	return place_in_set(c, set, way);
}

static uint64_t index_of(const struct page_cache *c, const uint8_t *place)
{
	return (uint64_t)(place - c->pages) / REMUS_PAGE_SIZE;
}

/* A number: there need not be anything. */
static void fetch(uintptr_t at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		__builtin_prefetch((const void *)(at + i));
}

void page_cache_look(const struct page_cache *c, gfn_t gfn, const uint8_t *new,
		     struct page_look *out)
{
	const uint8_t *old;
	uint64_t i;

	out->old = NULL;
	out->groups = PAGE_GROUPS_ALL;
	if (c->sum_up == NULL || c->rewritten >= PAGE_LOOK_REWRITTEN)
		return;
	old = page_cache_peek(c, gfn);
	if (old == NULL)
		return;
	i = index_of(c, old);
	if (page_bitmap_test(&c->unsummed, i))
		return;
	out->old = old;
	out->groups = c->sum_up(&out->sums, &c->key, new, &c->sums[i]);
	fetch((uintptr_t)new + REMUS_PAGE_SIZE, PAGE_LOOK_BYTES);
	/* Of one that was rewritten little is read. */
	if (out->groups == PAGE_GROUPS_ALL)
		return;
	for (unsigned int left = out->groups; left != 0; left &= left - 1)
		fetch((uintptr_t)out->old +
			      PAGE_GROUP_BYTES * (size_t)__builtin_ctz(left),
		      PAGE_GROUP_BYTES);
}

void page_cache_settle(struct page_cache *c, const uint8_t *place,
		       const struct page_look *l, const uint8_t *new,
		       enum page_fate fate)
{
	static const struct page_sums none;
	uint64_t i;

	if (c->sum_up == NULL)
		return;
	if (fate != PAGE_REWRITTEN)
		c->rewritten = 0;
	else if (c->rewritten < PAGE_LOOK_REWRITTEN)
		c->rewritten++;
	i = index_of(c, place);
	if (l->old == NULL && fate == PAGE_REWRITTEN) {
		page_bitmap_set(&c->unsummed, i);
		return;
	}
	if (l->old == NULL)
		c->sum_up(&c->sums[i], &c->key, new, &none);
	else if (fate != PAGE_STAYED)
		c->sums[i] = l->sums;
	page_bitmap_clear(&c->unsummed, i);
}

void page_cache_sent(struct page_cache *c, gfn_t gfn, uint8_t *old,
		     const uint8_t *new, const struct page_look *l,
		     const struct page_writer *w, enum page_kind kind)
{
	enum page_fate fate = page_fate(old != NULL, kind);

	if (old == NULL)
		old = page_cache_insert(c, gfn);
	page_writer_update(w, old, new);
	page_cache_settle(c, old, l, new, fate);
}

void page_cache_drop(struct page_cache *c, gfn_t gfn)
{
	uint64_t set;
	unsigned int way;

	assert(gfn < c->npages);
	if (c->sets == 0) {
		if (page_bitmap_test(&c->present, gfn)) {
			page_bitmap_clear(&c->present, gfn);
			c->count--;
		}
		return;
	}
	set = gfn % c->sets;
	way = find(c, set, gfn);
	if (way == PAGE_CACHE_WAYS)
		return;
	c->tags[set * PAGE_CACHE_WAYS + way] = 0;
	c->marks[set] &= (uint8_t)~(1u << way);
	c->count--;
}

void page_cache_drop_all(struct page_cache *c)
{
	if (c->sets == 0) {
		page_bitmap_clear_all(&c->present);
	} else {
		memset(c->tags, 0, c->places * sizeof(*c->tags));
		memset(c->marks, 0, c->sets);
		c->random = SEED;
	}
	c->count = 0;
	/* Failing costs memory only: absent pages are never read. */
	(void)madvise(c->pages, c->places * REMUS_PAGE_SIZE, MADV_DONTNEED);
	if (c->sums != NULL)
		(void)madvise(c->sums, c->places * sizeof(*c->sums),
			      MADV_DONTNEED);
}

uint64_t page_cache_count(const struct page_cache *c)
{
	return c->count;
}

uint64_t page_cache_capacity(const struct page_cache *c)
{
	return c->places;
}

uint64_t page_cache_bytes(const struct page_cache *c)
{
	uint64_t bytes = c->places * REMUS_PAGE_SIZE;

	if (c->sums != NULL)
		bytes += c->places * sizeof(*c->sums) +
			 page_bitmap_bytes(c->places);
	if (c->sets == 0)
		return bytes + page_bitmap_bytes(c->npages);
	return bytes + c->places * sizeof(*c->tags) + c->sets;
}
