/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * permit.h - the object without which no output leaves the host (S1).
 *
 * A permit says up to where, or until when, the gate may let frames out.
 * There are exactly two kinds, and only two modules may make one (they, and
 * nobody else, include permit_make.h; tests/check holds the tree to that):
 *
 *   PERMIT_ACK     epoch.c, when the backup has acknowledged epoch n and the
 *                  ticket is `protected`: frames of epochs <= n may leave, as
 *                  long as a process that had stood still since would have
 *                  been given up.  They are in the backup's state for ever; but
 *                  who was stopped here and goes on when the backup runs must
 *                  not be seen beside it (permit_in_time()).
 *   PERMIT_TICKET  arbiter_*.c, when this node holds `alone`: any frame may
 *                  leave until the permit's expiry.  The gate looks at the
 *                  clock before every burst of frames; permit_live() is that
 *                  look.
 *
 * Permits are small values, copied freely; a zeroed permit permits nothing.
 */
#ifndef REMUS_PERMIT_H
#define REMUS_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

enum permit_kind {
	PERMIT_NONE = 0,
	PERMIT_ACK,
	PERMIT_TICKET,
};

/* No lease runs out: an `alone` that the cluster or the operator granted. */
#define PERMIT_FOREVER UINT64_MAX

struct permit {
	enum permit_kind kind_;	   /* private: use the functions below */
	uint64_t seal_;		   /* private */
	uint64_t epoch_;	   /* PERMIT_ACK: highest epoch that may leave */
	uint64_t expires_boot_ns_; /* CLOCK_BOOTTIME, ns */
};

/* PERMIT_NONE for a zeroed, torn or hand-made permit. */
enum permit_kind permit_kind(const struct permit *p);

/* Highest epoch whose frames may leave; 0 unless the kind is PERMIT_ACK. */
uint64_t permit_epoch(const struct permit *p);

/* May frames still leave under this acknowledgement at `now_boot_ns`
 * (CLOCK_BOOTTIME)?  False for every other kind. */
bool permit_in_time(const struct permit *p, uint64_t now_boot_ns);

/* May frames leave under this ticket permit at `now_boot_ns` (CLOCK_BOOTTIME,
 * which runs through suspend)?  False for every other kind. */
bool permit_live(const struct permit *p, uint64_t now_boot_ns);

#endif
