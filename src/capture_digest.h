/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capture_digest.h - the digest of a capture's pages (digest.h), made by the
 * threads of a pool while the pages are being encoded.
 *
 * The digest is one value over all pages in their order: one thread at a time
 * works on it, in pieces of CAPTURE_DIGEST_PAGES.
 */
#ifndef REMUS_CAPTURE_DIGEST_H
#define REMUS_CAPTURE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "capture.h"
#include "digest.h"
#include "thread_pool.h"

/* About what it takes to wake a thread, several times over. */
#define CAPTURE_DIGEST_PAGES 256

/* Zeroed it is at rest. */
struct capture_digest {
	struct pool_task task; /* first */
	struct digest *digest;
	const struct capture *capture;
	uint64_t next;
};

/* Adds all pages of c to d.  Until it is not busy any more, or was stopped, both
 * stay as they are, and the pages' content. */
void capture_digest_start(struct capture_digest *cd, struct thread_pool *pool,
			  struct digest *d, const struct capture *c);
bool capture_digest_busy(struct capture_digest *cd, struct thread_pool *pool);
/* Gives it up; the digest's value means nothing then.  Waits for the end of a
 * piece that has been begun. */
void capture_digest_stop(struct capture_digest *cd, struct thread_pool *pool);

#endif
