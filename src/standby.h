/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * standby.h - the side that waits: listens for the primary, does what commit.c
 * decides, and starts the guest when told to.
 *
 * The listener is here in both roles: a primary listens too, so that two
 * primaries that meet find out which of them is obsolete.
 */
#ifndef REMUS_STANDBY_H
#define REMUS_STANDBY_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "status.h"

struct standby;

struct standby_events {
	/* Which role does this node have now, and can it take a primary's
	 * connection (a reason why not, or NULL)? */
	enum vm_role (*role)(void *ctx, const char **not_ready);
	/* An incoming primary has a newer ticket than our guest. */
	void (*superseded)(void *ctx, uint64_t generation, const char *why);
	/* standby_load(): the driver was told to start; or it cannot be (then
	 * nothing is started). */
	void (*loading)(void *ctx, int rc, const char *why);
};

/* Starts to listen.  0 or -errno with a line. */
int standby_new(struct standby **out, struct env *env,
		const struct standby_events *events, void *ctx, char *err,
		size_t err_bytes);
void standby_free(struct standby *s);

/* The driver is STANDBY: its RAM image may be written to.  Call standby_close()
 * before the driver is made STANDBY again.  0 or -errno. */
int standby_ready(struct standby *s);
/* The driver is about to be something else: drop connection and state. */
void standby_close(struct standby *s);

/* May activate be asked of the arbiter?  0, or -errno with a line: nothing
 * committed, or the primary is connected (unless it handed over, or
 * peer_is_dead). */
int standby_may_activate(const struct standby *s, bool peer_is_dead, char *err,
			 size_t err_bytes);
/* The gate is HOLDING: it gets what the committed epoch has sent, and the old
 * primary may not have let out (WIRE_OUTPUT). */
void standby_put_output(struct standby *s);
/* The arbiter granted it: start the guest from the committed epoch.
 * -> loading() */
void standby_load(struct standby *s);
/* The guest runs, or did not start. */
void standby_loaded(struct standby *s, bool runs);
/* Epoch that load starts from. */
uint64_t standby_epoch(const struct standby *s);

void standby_status(const struct standby *s, struct vm_status *out);

#endif
