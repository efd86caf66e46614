/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capture_file.h - what a guest's checkpoints were made of, in a file.
 *
 * bench_capture writes them, bench_codec reads them.  For this machine only, in
 * its own byte order:
 *
 *	capture = header epoch*
 *	epoch   = pages:u64 page*
 *	page    = gfn:u64 old:u8[4096] new:u8[4096]
 *
 * gfns ascend within an epoch.  old is what the page held when it was last
 * reported dirty, so it may be equal to new.
 */
#ifndef REMUS_CAPTURE_FILE_H
#define REMUS_CAPTURE_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

#define CAPTURE_MAGIC "remuscap"

struct capture_header {
	char magic[8];
	uint64_t npages; /* of the guest */
};

struct capture_page {
	uint64_t gfn;
	uint8_t old[REMUS_PAGE_SIZE], new[REMUS_PAGE_SIZE];
};

/* At the first epoch; NULL: no such file, or no capture. */
static inline FILE *capture_open(const char *path, struct capture_header *h)
{
	FILE *f = fopen(path, "r");

	if (f != NULL && (fread(h, sizeof(*h), 1, f) != 1 ||
			  memcmp(h->magic, CAPTURE_MAGIC,
				 sizeof(h->magic)) != 0)) {
		fclose(f);
		return NULL;
	}
	return f;
}

struct capture_epoch {
	struct capture_page *pages;
	uint64_t n;
};

/* All of it.  *epochs is what is there (NULL at first), and is grown; the pages
 * of an epoch are the caller's.  0, or -1: no capture, or no memory. */
static inline int capture_load(const char *path, struct capture_header *h,
			       struct capture_epoch **epochs, size_t *count)
{
	FILE *f = capture_open(path, h);
	int rc = f == NULL ? -1 : 0;
	uint64_t n;

	*count = 0;
	while (rc == 0 && fread(&n, sizeof(n), 1, f) == 1) {
		struct capture_epoch *more, e = { .n = n };

		more = realloc(*epochs, (*count + 1) * sizeof(*more));
		e.pages = calloc(n, sizeof(*e.pages));
		if (more != NULL)
			*epochs = more;
		if (more == NULL || e.pages == NULL ||
		    fread(e.pages, sizeof(*e.pages), n, f) != n) {
			free(e.pages);
			rc = -1;
		} else {
			more[(*count)++] = e;
		}
	}
	if (f != NULL)
		fclose(f);
	return rc;
}

#endif
