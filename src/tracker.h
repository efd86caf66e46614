/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracker.h - which pages has another process written since we last asked?
 *
 * The guest's RAM is a file that the emulator maps shared.  A tracker reports
 * the pages that the emulator (guest or device emulation) wrote through its
 * mapping.  From best to always-works:
 *
 *   pagemap     PAGEMAP_SCAN on /proc/PID/pagemap; the mapping is registered
 *               for asynchronous userfaultfd write protection by the preloaded
 *               libremus-track.so.  Cost follows the dirty pages.  Linux 6.7.
 *   soft-dirty  /proc/PID/clear_refs and pagemap bit 55.  Cost follows the
 *               mapped memory.
 *   compare     compares all of RAM with a copy.  Works everywhere.
 *
 * The safety contract (S2 hangs on it): a page that was written between two
 * collect() calls is reported by the second of them.  Reporting a page that
 * was not written is allowed; missing one is not.  A tracker that cannot be
 * sure reports everything, or fails.  (compare may leave out a page that was
 * written back to what it was: its view() never showed anything else.)
 */
#ifndef REMUS_TRACKER_H
#define REMUS_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "page.h"

struct tracker;

struct tracker_target {
	pid_t pid;	      /* the process that maps the RAM */
	const char *ram_path; /* the RAM file as it stands in /proc/PID/maps */
	const uint8_t *ram;   /* our own mapping of the same file */
	uint64_t npages;
};

struct tracker_ops {
	const char *name; /* "pagemap", "soft-dirty", "compare" */

	/* Attach to a running process that has mapped the RAM file already.  0; -EOPNOTSUPP when this kernel or
	 * that process cannot do it (the caller tries the next tracker); other
	 * -errno on failure.  One line in `err` in both cases. */
	int (*attach)(struct tracker **out, const struct tracker_target *t,
		      char *err, size_t err_bytes);

	/* Forget what was written so far and start recording.  Every page
	 * written after the return is reported by a later collect(). */
	int (*start)(struct tracker *t);

	/* OR the pages written since start() or the last collect() into
	 * `dirty` and start recording anew.  May be called while the guest
	 * runs, or while it is suspended.  0 or -errno; after a failure the
	 * caller must take every page as dirty. */
	int (*collect)(struct tracker *t, struct page_bitmap *dirty);

	/* What the caller may copy guest pages from; the same until detach().
	 * pagemap, soft-dirty: target->ram.  compare: its private copy, as of
	 * the last start() or collect().  compare must have its readers there:
	 * of a page that was 0, was copied live as 1, and is 0 again, it would
	 * never learn that the reader holds a 1. */
	const uint8_t *(*view)(const struct tracker *t);

	void (*detach)(struct tracker *t);
};

extern const struct tracker_ops tracker_pagemap_ops;
extern const struct tracker_ops tracker_softdirty_ops;
extern const struct tracker_ops tracker_compare_ops;

/* Should the process touch all of RAM before the guest runs?  soft-dirty has
 * to report every page without a page table entry, each time; the others do
 * not mind, and touching takes seconds per GiB.  `want` as below. */
bool tracker_wants_populated(const char *want);

/* `want`: "auto" or a name.  Tries in the order above and returns the ops that
 * attached, its instance in *out.  NULL with a line in `err` when none did. */
const struct tracker_ops *tracker_attach(struct tracker **out,
					 const char *want,
					 const struct tracker_target *t,
					 char *err, size_t err_bytes);

#endif
