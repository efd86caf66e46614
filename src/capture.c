/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int capture_init(struct capture *c, const uint8_t *ram, uint64_t npages,
		 uint64_t capture_bytes)
{
	void *copies;

	memset(c, 0, sizeof(*c));
	c->ram = ram;
	c->npages = npages;
	c->copies_max = capture_bytes / REMUS_PAGE_SIZE;
	if (c->copies_max == 0)
		c->copies_max = 1;
	if (c->copies_max > npages)
		c->copies_max = npages;
	copies = mmap(NULL, c->copies_max * REMUS_PAGE_SIZE,
		      PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (copies == MAP_FAILED)
		return -ENOMEM;
	c->copies = copies;
	c->gfns = malloc(npages * sizeof(*c->gfns));
	if (c->gfns == NULL) {
		capture_free(c);
		return -ENOMEM;
	}
	return 0;
}

void capture_free(struct capture *c)
{
	if (c->copies != NULL)
		munmap(c->copies, c->copies_max * REMUS_PAGE_SIZE);
	free(c->gfns);
	free(c->device);
	memset(c, 0, sizeof(*c));
}

static uint64_t list_pages(struct capture *c, const struct page_bitmap *dirty)
{
	uint64_t n = 0;

	for (size_t w = 0; w < bitmap_words(dirty->npages); w++) {
		uint64_t word = dirty->words[w];

		while (word != 0) {
			c->gfns[n++] = (uint32_t)(w * 64) +
				       (uint32_t)__builtin_ctzll(word);
			word &= word - 1;
		}
	}
	return n;
}

/* In the pause: neighbours are copied in one go. */
void capture_pages(struct capture *c, const struct page_bitmap *dirty)
{
	uint64_t i = 0;

	c->count = list_pages(c, dirty);
	c->copied = c->count < c->copies_max ? c->count : c->copies_max;
	while (i < c->copied) {
		uint64_t run = 1;

		while (i + run < c->copied &&
		       c->gfns[i + run] == c->gfns[i] + run)
			run++;
		memcpy(c->copies + i * REMUS_PAGE_SIZE,
		       c->ram + (size_t)c->gfns[i] * REMUS_PAGE_SIZE,
		       run * REMUS_PAGE_SIZE);
		i += run;
	}
}

int capture_device(struct capture *c, const void *data, size_t bytes)
{
	if (bytes > CAPTURE_DEVICE_MAX)
		return -E2BIG;
	if (bytes > c->device_cap) {
		uint8_t *bigger = realloc(c->device, bytes);

		if (bigger == NULL)
			return -ENOMEM;
		c->device = bigger;
		c->device_cap = bytes;
	}
	if (bytes > 0)
		memcpy(c->device, data, bytes);
	c->device_bytes = bytes;
	return 0;
}

void capture_done(struct capture *c)
{
	size_t used = c->copied * REMUS_PAGE_SIZE;

	if (used > CAPTURE_KEEP_BYTES)
		madvise(c->copies + CAPTURE_KEEP_BYTES,
			used - CAPTURE_KEEP_BYTES, MADV_DONTNEED);
	c->count = c->copied = 0;
	c->device_bytes = 0;
	if (c->device_cap > CAPTURE_KEEP_BYTES) {
		free(c->device);
		c->device = NULL;
		c->device_cap = 0;
	}
}
