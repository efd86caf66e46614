/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_cache.h - the old pages, in bounded memory.
 *
 * XOR-RLE needs the content that the receiver has for a page.  The sender keeps
 * it here; a receiver that has no memory image of its own keeps an equal cache.
 *
 * Both stay equal without a word about it on the wire (S5), because what is in
 * the cache is a pure function of the arguments of page_cache_create() and of
 * the sequence of calls since: no clock, no address, no entropy decides what
 * is replaced.  lookup is part of the sequence: it marks the page as used.  Two
 * caches that saw the same calls hold the same pages, on any machine.
 *
 * Two shapes, chosen by create():
 *
 *   flat         cache_bytes >= the guest's memory: a place for each page, and
 *                nothing is ever replaced.  Memory is taken from the kernel
 *                only as pages are first inserted.
 *   associative  else: sets of PAGE_CACHE_WAYS places; gfn belongs to set
 *                gfn % sets.  A page goes to the first empty place, else to
 *                one whose page was not looked up since the set's marks were
 *                last cleared: number (x * 0x2545f4914f6cdd1d >> 40) % u of
 *                the u such places, x being the next number of one xorshift
 *                (12, 25, 27) sequence from 0x9e3779b97f4a7c15 on.  When all
 *                pages are marked, all marks are cleared first.  (Dirty
 *                pages come in ascending order, again and again: with LRU or
 *                FIFO a cache a little too small would never hit at all.)
 *
 * All calls are O(1) but create, destroy and drop_all, and none but create
 * allocates.
 *
 * Memory, where P = guest pages and S = cache_bytes / (PAGE_CACHE_WAYS * 4096):
 *   flat         4096 * P + bitmap(P), which is page_bitmap_bytes()
 *   associative  S * (PAGE_CACHE_WAYS * 4096 + 8 * PAGE_CACHE_WAYS + 1)
 * plus, with sums, for Q = P or S * PAGE_CACHE_WAYS places 128 * Q + bitmap(Q),
 * about a thirty-second of what the pages take; and less than four machine pages
 * (struct, and rounding by the kernel).
 */
#ifndef REMUS_PAGE_CACHE_H
#define REMUS_PAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"
#include "page_record.h"
#include "page_sums.h"

#define PAGE_CACHE_WAYS 8
/* The least cache_bytes of an associative cache: one set. */
#define PAGE_CACHE_BYTES_MIN (PAGE_CACHE_WAYS * REMUS_PAGE_SIZE)

struct page_cache;

/* An empty cache for gfns below npages.  cache_bytes bounds the pages held; it
 * is rounded down to whole sets.  0; -EINVAL when npages is 0 or its bytes do
 * not fit in memory's addresses, or cache_bytes is less than both the guest's
 * memory and PAGE_CACHE_BYTES_MIN; -ENOMEM.  On failure *out is NULL. */
int page_cache_create(struct page_cache **out, uint64_t npages,
		      uint64_t cache_bytes);
void page_cache_destroy(struct page_cache *c); /* NULL is allowed */

/* Before the first insert: keep the sums of page_sums.h beside the pages.  0;
 * -ENOTSUP when this processor cannot make them fast, -ENOMEM, or -errno of
 * getrandom(2): then it goes on without. */
int page_cache_keep_sums(struct page_cache *c);

/* Behind that, and before the first insert: take memory in huge pages, if the kernel
 * has some.  The first copy of a guest is written several times as fast, and where
 * little of each old page is read it is found faster. */
void page_cache_use_huge_pages(struct page_cache *c);

/* In all of these gfn must be below npages (assert).  A returned pointer is to
 * REMUS_PAGE_SIZE bytes, aligned to that, which the caller may read and
 * write until the next insert, drop, drop_all or destroy. */

/* The content kept for gfn, which is marked as used; NULL when absent. */
uint8_t *page_cache_lookup(struct page_cache *c, gfn_t gfn);

/* The same without marking it: no part of the sequence. */
const uint8_t *page_cache_peek(const struct page_cache *c, gfn_t gfn);

/* A place for gfn, never NULL.  When gfn was absent, another page may have been
 * given up for it, and the place's content is unspecified: the caller must
 * write all of it.  When gfn was present, its content is still there. */
uint8_t *page_cache_insert(struct page_cache *c, gfn_t gfn);

/* A look at a page before its turn, so that what is needed of its old content is
 * there by then. */
struct page_look {
	const uint8_t *old;    /* what it was compared with; NULL: nothing */
	unsigned int groups;   /* that changed, if it was */
	struct page_sums sums; /* of the new content, if it was */
};

/* What became of a page. */
enum page_fate {
	PAGE_STAYED,	/* as it was */
	PAGE_CHANGED,	/* or came into the cache */
	PAGE_REWRITTEN, /* and was sent as a whole, though its old content was known */
};

/* Of one whose record is of that kind; known: page_cache_lookup() told its old
 * content. */
static inline enum page_fate page_fate(bool known, enum page_kind kind)
{
	if (kind == PAGE_SAME)
		return PAGE_STAYED;
	return known && kind == PAGE_RAW ? PAGE_REWRITTEN : PAGE_CHANGED;
}

/* Behind so many pages that were rewritten none is looked at until one was not: sums
 * would only cost time. */
#define PAGE_LOOK_REWRITTEN 4

/* new[4096]: to be the page's content; what lies behind it is likely to be looked
 * at next.  No part of the sequence.  Until its turn comes nothing may be settled
 * for this gfn. */
void page_cache_look(const struct page_cache *c, gfn_t gfn, const uint8_t *new,
		     struct page_look *out);

/* Its turn has come, and page_cache_lookup() told old (not NULL): what may differ
 * from that, for page_writer_add_groups().  The place may be another page's that
 * the look was at. */
static inline unsigned int page_look_groups(const struct page_look *l,
					    const uint8_t *old)
{
	return old == l->old ? l->groups : PAGE_GROUPS_ALL;
}

/* `place` has now new[4096], which was looked at.  To be told of each page that was,
 * and whenever a page's content is another one, if sums are kept; by who writes
 * pages with page_cache_sent() it is. */
void page_cache_settle(struct page_cache *c, const uint8_t *place,
		       const struct page_look *l, const uint8_t *new,
		       enum page_fate fate);

/* w has got the record of gfn, of that kind: from now on new[4096], which was looked
 * at, is what the receiver has.  old: what page_cache_lookup() told. */
void page_cache_sent(struct page_cache *c, gfn_t gfn, uint8_t *old,
		     const uint8_t *new, const struct page_look *l,
		     const struct page_writer *w, enum page_kind kind);

/* Forget gfn, if it is there / forget everything, as if newly created (the
 * pages' memory goes back to the kernel). */
void page_cache_drop(struct page_cache *c, gfn_t gfn);
void page_cache_drop_all(struct page_cache *c);

uint64_t page_cache_count(const struct page_cache *c); /* pages held */
uint64_t page_cache_capacity(const struct page_cache *c); /* at most, pages */
/* The memory of the formula above: address space taken, for a flat cache more
 * than what is resident. */
uint64_t page_cache_bytes(const struct page_cache *c);

#endif
