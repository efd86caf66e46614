/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stage.h - where the backup keeps an epoch until it is whole (S2).
 *
 * Pages of the open epoch live here, beside the image that they will change.
 * stage_commit() copies them into it; stage_drop() forgets them, the image
 * untouched.  Address space for all of guest memory is reserved once; memory is
 * used only for the pages staged, and what goes beyond STAGE_KEEP_BYTES is given
 * back after each epoch.
 */
#ifndef REMUS_STAGE_H
#define REMUS_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include "page.h"

#define STAGE_KEEP_BYTES ((size_t)16 << 20)

struct stage;

/* `image`: npages pages, outlives the stage.  0 or -ENOMEM. */
int stage_new(struct stage **out, uint8_t *image, uint64_t npages);
void stage_free(struct stage *s);

/* The page as the open epoch has it so far: staged before, or else a fresh copy
 * of the image's.  Never NULL; gfn must be < npages. */
uint8_t *stage_page(struct stage *s, gfn_t gfn);

uint64_t stage_count(const struct stage *s);
/* The pages of it are also set in `changed`, when that is not NULL. */
void stage_commit(struct stage *s, struct page_bitmap *changed);
void stage_drop(struct stage *s);

#endif
