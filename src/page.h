/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page.h - what every part means by "a page", and bitmaps of them.
 *
 * A page is REMUS_PAGE_SIZE bytes of guest memory, named by its gfn.  For the
 * QEMU driver the gfn is the page's index in the RAM backend file, which is
 * not the guest-physical frame above the PCI hole; both sides use the same
 * backend layout, so the index names the same memory on both.
 */
#ifndef REMUS_PAGE_H
#define REMUS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define REMUS_PAGE_SHIFT 12
#define REMUS_PAGE_SIZE ((size_t)1 << REMUS_PAGE_SHIFT)

typedef uint64_t gfn_t;

/* Of eight bytes at a time: the top bit of each that is not 0, and nothing else.
 * The sum sets it when any of the lower seven is set, and carries nowhere. */
static inline uint64_t nonzero_bytes(uint64_t x)
{
	const uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;

	return (((x & low7) + low7) | x) & ~low7;
}

/* Of other bytes than memory, in blocks of a page's size. */
static inline size_t page_blocks(size_t bytes)
{
	return (bytes + REMUS_PAGE_SIZE - 1) / REMUS_PAGE_SIZE;
}

/* The block that has data[0..bytes), at most a page, and zeroes behind it. */
static inline const uint8_t *page_padded(uint8_t *block, const uint8_t *data,
					 size_t bytes)
{
	memcpy(block, data, bytes);
	memset(block + bytes, 0, REMUS_PAGE_SIZE - bytes);
	return block;
}

/* The block at data, of which `left` bytes are there: in place when it is whole,
 * else padded in scratch. */
static inline const uint8_t *page_block(uint8_t *scratch, const uint8_t *data,
					size_t left)
{
	return left >= REMUS_PAGE_SIZE ? data : page_padded(scratch, data, left);
}

/* A bitmap of pages: `words` holds bitmap_words(npages) 64-bit words, bit
 * (gfn % 64) of word (gfn / 64).  Bits at and above npages are always 0. */
struct page_bitmap {
	uint64_t npages;
	uint64_t *words;
};

static inline size_t bitmap_words(uint64_t npages)
{
	return (size_t)((npages + 63) / 64);
}

/* What such a bitmap takes: a word more than its bits need. */
static inline size_t page_bitmap_bytes(uint64_t npages)
{
	return 8 * (bitmap_words(npages) + 1);
}

/* 0, or -ENOMEM.  All bits clear. */
int page_bitmap_init(struct page_bitmap *b, uint64_t npages);
void page_bitmap_free(struct page_bitmap *b);
void page_bitmap_clear_all(struct page_bitmap *b);
void page_bitmap_set_all(struct page_bitmap *b);
/* dst |= src; both must have the same npages. */
void page_bitmap_or(struct page_bitmap *dst, const struct page_bitmap *src);
uint64_t page_bitmap_count(const struct page_bitmap *b);
/* First set bit at or after `from`; npages when there is none. */
gfn_t page_bitmap_next(const struct page_bitmap *b, gfn_t from);

static inline bool page_bitmap_test(const struct page_bitmap *b, gfn_t gfn)
{
	return (b->words[gfn / 64] >> (gfn % 64)) & 1;
}

static inline void page_bitmap_set(struct page_bitmap *b, gfn_t gfn)
{
	b->words[gfn / 64] |= (uint64_t)1 << (gfn % 64);
}

static inline void page_bitmap_clear(struct page_bitmap *b, gfn_t gfn)
{
	b->words[gfn / 64] &= ~((uint64_t)1 << (gfn % 64));
}

/* Set `count` bits from `first`; the range must lie inside npages. */
void page_bitmap_set_range(struct page_bitmap *b, gfn_t first, uint64_t count);

#endif
