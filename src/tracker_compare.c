/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracker_compare.c - compare all of RAM with a private copy.
 *
 * Needs nothing from kernel or process, and as much memory again as the guest
 * has.  The copy is also what the caller reads (view()): a page is then dirty
 * exactly when it differs from what the caller can have seen.
 *
 * A page that is written while it is being copied may land torn in the copy.
 * It then still differs from RAM, and the next collect() reports it again; in
 * a collect() while the guest is suspended nothing is torn.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tracker.h"
#include "util.h"

struct tracker {
	struct tracker_target target;
	uint8_t *copy;
	size_t bytes;
};

static int compare_attach(struct tracker **out, const struct tracker_target *t,
			  char *err, size_t err_bytes)
{
	struct tracker *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	c->target = *t;
	c->bytes = (size_t)t->npages * REMUS_PAGE_SIZE;
	c->copy = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->copy == MAP_FAILED) {
		free(c);
		return set_err(err, err_bytes, -ENOMEM,
			       "no memory for a copy of the guest's RAM");
	}
	*out = c;
	return 0;
}

static int compare_start(struct tracker *c)
{
	memcpy(c->copy, c->target.ram, c->bytes);
	return 0;
}

static int compare_collect(struct tracker *c, struct page_bitmap *dirty)
{
	for (gfn_t g = 0; g < c->target.npages; g++) {
		const uint8_t *now = c->target.ram + g * REMUS_PAGE_SIZE;
		uint8_t *old = c->copy + g * REMUS_PAGE_SIZE;

		if (memcmp(now, old, REMUS_PAGE_SIZE) == 0)
			continue;
		memcpy(old, now, REMUS_PAGE_SIZE);
		page_bitmap_set(dirty, g);
	}
	return 0;
}

static const uint8_t *compare_view(const struct tracker *c)
{
	return c->copy;
}

static void compare_detach(struct tracker *c)
{
	munmap(c->copy, c->bytes);
	free(c);
}

const struct tracker_ops tracker_compare_ops = {
	.name = "compare",
	.attach = compare_attach,
	.start = compare_start,
	.collect = compare_collect,
	.view = compare_view,
	.detach = compare_detach,
};
