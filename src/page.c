/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int page_bitmap_init(struct page_bitmap *b, uint64_t npages)
{
	b->npages = npages;
	b->words = calloc(1, page_bitmap_bytes(npages));
	return b->words == NULL ? -ENOMEM : 0;
}

void page_bitmap_free(struct page_bitmap *b)
{
	free(b->words);
	b->words = NULL;
	b->npages = 0;
}

void page_bitmap_clear_all(struct page_bitmap *b)
{
	memset(b->words, 0, bitmap_words(b->npages) * sizeof(*b->words));
}

void page_bitmap_set_all(struct page_bitmap *b)
{
	page_bitmap_set_range(b, 0, b->npages);
}

void page_bitmap_or(struct page_bitmap *dst, const struct page_bitmap *src)
{
	for (size_t i = 0; i < bitmap_words(dst->npages); i++)
		dst->words[i] |= src->words[i];
}

uint64_t page_bitmap_count(const struct page_bitmap *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bitmap_words(b->npages); i++)
		n += (uint64_t)__builtin_popcountll(b->words[i]);
	return n;
}

gfn_t page_bitmap_next(const struct page_bitmap *b, gfn_t from)
{
	size_t i = (size_t)(from / 64);
	uint64_t w;

	if (from >= b->npages)
		return b->npages;
	w = b->words[i] & (~(uint64_t)0 << (from % 64));
	while (w == 0) {
		if (++i >= bitmap_words(b->npages))
			return b->npages;
		w = b->words[i];
	}
	return (gfn_t)i * 64 + (gfn_t)__builtin_ctzll(w);
}

void page_bitmap_set_range(struct page_bitmap *b, gfn_t first, uint64_t count)
{
	gfn_t end = first + count;

	while (first < end && first % 64 != 0)
		page_bitmap_set(b, first++);
	while (first + 64 <= end) {
		b->words[first / 64] = ~(uint64_t)0;
		first += 64;
	}
	while (first < end)
		page_bitmap_set(b, first++);
}
