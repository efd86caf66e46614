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

/* A page of the open epoch, never NULL; gfn must be < npages.  Staged before, it
 * is that one; otherwise
 *
 *   stage_page()   a fresh copy of the image's: some of it is to change
 *   stage_blank()  staged now, its content unspecified: all of it is to be
 *                  written, before stage_commit()
 *   stage_look()   the image's own: to be read only */
uint8_t *stage_page(struct stage *s, gfn_t gfn);
uint8_t *stage_blank(struct stage *s, gfn_t gfn);
uint8_t *stage_look(struct stage *s, gfn_t gfn);

uint64_t stage_count(const struct stage *s);
/* The pages of it are also set in `changed`, when that is not NULL. */
void stage_commit(struct stage *s, struct page_bitmap *changed);
void stage_drop(struct stage *s);

#endif
