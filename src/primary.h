/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * primary.h - the side that runs the guest: does what epoch.c decides.
 *
 * Read epoch.h for the order of things; here are the effects, one function an
 * action (primary.c), and what is remembered of the epochs in flight
 * (inflight.h).
 */
#ifndef REMUS_PRIMARY_H
#define REMUS_PRIMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "status.h"

struct primary;

struct primary_events {
	/* The guest was handed over: end it here. */
	void (*handed_over)(void *ctx);
	/* It was not: the link was lost on the way, the guest goes on here. */
	void (*handover_failed)(void *ctx, const char *why);
	/* A newer ticket exists: end the guest here, nothing of it counts. */
	void (*superseded)(void *ctx, uint64_t generation, const char *why);
	/* The backup is lost; output waits unless the ticket is `alone`. */
	void (*unprotected)(void *ctx);
	/* Output could not be kept apart any more: the gate is shut. */
	void (*failed)(void *ctx, const char *why);
};

/* The driver is RUNNING, the gate HOLDING `first_epoch`; `permit` comes from the
 * arbiter.  0 or -errno with a line. */
int primary_new(struct primary **out, struct env *env, uint64_t first_epoch,
		const struct permit *permit,
		const struct primary_events *events, void *ctx, char *err,
		size_t err_bytes);
void primary_free(struct primary *p);

/* Connect to the backup, and from now on whenever the link is lost. */
void primary_protect(struct primary *p);
/* The arbiter granted `alone`. */
void primary_alone(struct primary *p, const struct permit *permit);
/* The permit of that `alone` holds longer now. */
void primary_renewed(struct primary *p, const struct permit *permit);
/* No backup, and no permit to go on without it. */
bool primary_wants_alone(const struct primary *p);
/* Output leaves, by acknowledgement or by permit. */
bool primary_serves(const struct primary *p);
/* Begin a planned handover.  0; -EAGAIN: not protected. */
int primary_handover(struct primary *p);
bool primary_handing_over(const struct primary *p);

/* One epoch now; `done` (rc 0: acknowledged) comes once, from the loop or, on
 * primary_free(), from there.  -EAGAIN: no backup; -EBUSY: one is wanted. */
typedef void (*checkpoint_done)(void *ctx, int rc, uint64_t epoch);
int primary_checkpoint(struct primary *p, checkpoint_done done, void *ctx);

/* cfg->interval_ms or cfg->compression changed. */
void primary_reconfigured(struct primary *p);

bool primary_link_up(const struct primary *p);

/* Events of the driver, passed on. */
void primary_suspended(struct primary *p, int rc, const char *why);
void primary_device_state(struct primary *p, int rc, const void *data,
			  size_t bytes, const char *why);
void primary_resumed(struct primary *p, int rc, const char *why);
void primary_guest_gone(struct primary *p);

/* Fills in what this side knows; view: only state, reason and link_up, which
 * cost nothing. */
void primary_view(const struct primary *p, struct vm_status *out);
void primary_status(const struct primary *p, struct vm_status *out);

#endif
