/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracker_maps.h - where another process has mapped the guest's RAM file.
 *
 * Found by device and inode, not by name: the file has no name any more when
 * the guest runs.
 */
#ifndef REMUS_TRACKER_MAPS_H
#define REMUS_TRACKER_MAPS_H

#include <stddef.h>
#include <stdint.h>

#include "tracker.h"

struct ram_map {
	uint64_t start, end; /* addresses in that process, page-aligned */
	uint64_t first_gfn;  /* page of the file at `start` */
};

#define RAM_MAPS_MAX 64

struct ram_maps {
	size_t n;
	struct ram_map map[RAM_MAPS_MAX];
};

/* All shared, writable mappings of the file that target->ram maps in this
 * process; together they must cover every page.  0, or -errno with a line in
 * `err`. */
int ram_maps_read(struct ram_maps *out, const struct tracker_target *t,
		  char *err, size_t err_bytes);

/* Are all of them locked into memory (mlock)?  False also when unsure. */
bool ram_maps_locked(const struct ram_maps *m, pid_t pid);

/* Does this kernel have PAGEMAP_SCAN? */
bool tracker_pagemap_in_kernel(void);

#endif
