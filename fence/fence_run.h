/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_run.h - fence_core.h and fence_view.h with a loop, a clock and the
 * witnesses.
 */
#ifndef REMUS_FENCE_RUN_H
#define REMUS_FENCE_RUN_H

#include "fence_core.h"
#include "fence_options.h"
#include "fence_view.h"

struct fence_run;

/* 0, or -errno with a line. */
int fence_run_new(struct fence_run **out, const struct fence_options *o,
		  char *err, size_t err_bytes);
void fence_run_free(struct fence_run *r);

/* off.  0 with a line for each machine in `text`; -EIO with what failed. */
int fence_run_off(struct fence_run *r, char *text, size_t text_bytes);
/* One look at all witnesses; *v lives as long as `r`, or until the next. */
void fence_run_look(struct fence_run *r, struct fence_view *v);

#endif
