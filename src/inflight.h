/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.h - what the primary remembers of epochs that were sent and not
 * acknowledged: their pages, so that they can be sent again, and their chains,
 * so that the backup can prove which of them it holds.
 *
 * One slot per epoch, allocated once.
 */
#ifndef REMUS_INFLIGHT_H
#define REMUS_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "page.h"

#define INFLIGHT_MAX 18 /* the engine's 16, one open, one spare */

struct inflight_slot {
	uint64_t epoch; /* 0: free */
	uint64_t chain; /* valid once sent */
	bool sent;
	uint64_t captured_ns;
	struct page_bitmap pages;
};

struct inflight {
	unsigned int n;
	struct inflight_slot slot[INFLIGHT_MAX];
	/* chains that the backup may prove: acknowledged, or sent and lost */
	uint64_t acked, acked_chain;
};

/* `epochs`: how many may be in flight.  0 or -ENOMEM. */
int inflight_init(struct inflight *f, unsigned int epochs, uint64_t npages);
void inflight_free(struct inflight *f);

/* A slot for a new epoch, its bitmap empty; NULL when all are taken (which the
 * engine's bound prevents). */
struct inflight_slot *inflight_open(struct inflight *f, uint64_t epoch);
struct inflight_slot *inflight_find(struct inflight *f, uint64_t epoch);

/* Epochs up to this one are the backup's: their pages need not be known. */
void inflight_acked(struct inflight *f, const struct inflight_slot *s);

/* The link is gone: every page in flight is dirty again. The chains of epochs
 * that were sent whole stay known. */
void inflight_forget(struct inflight *f, struct page_bitmap *dirty);

/* Is (epoch, chain) what was acknowledged last, or sent whole since?  Never of
 * epoch 0, nor of one older than the last acknowledgement. */
bool inflight_proves(const struct inflight *f, uint64_t epoch, uint64_t chain);

/* Nothing is in flight and nothing is provable but (epoch, chain). */
void inflight_restart(struct inflight *f, uint64_t epoch, uint64_t chain);

/* captured_ns of the oldest epoch in flight; 0: none. */
uint64_t inflight_oldest_ns(const struct inflight *f);

#endif
