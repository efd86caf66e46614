/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uplink.h - the primary's way to its backup: connect, agree by HELLO, and do
 * so again by itself whenever the connection is lost.
 *
 * Retries start at UPLINK_RETRY_MIN_MS and double up to UPLINK_RETRY_MAX_MS.
 */
#ifndef REMUS_UPLINK_H
#define REMUS_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "env.h"

#define UPLINK_RETRY_MIN_MS 100
#define UPLINK_RETRY_MAX_MS 2000

struct uplink;

struct uplink_events {
	/* Fill in our HELLO for this attempt. */
	void (*hello)(void *ctx, struct wire_hello *out);
	/* Both HELLOs agree; frames may be sent on `c`. */
	void (*ready)(void *ctx, struct conn *c, const struct wire_hello *peer);
	/* A frame after ready(); REFUSE does not come here. */
	void (*frame)(void *ctx, unsigned int type, const uint8_t *payload,
		      size_t len);
	void (*room)(void *ctx);
	/* The connection that was ready is gone. `full`: the backup found
	 * that its pages are not ours (S5): trust nothing it holds. */
	void (*down)(void *ctx, bool full, const char *why);
	/* The peer has a newer ticket: this guest is obsolete.  No attempts
	 * are made any more. */
	void (*superseded)(void *ctx, uint64_t generation, const char *why);
};

/* Does nothing until uplink_start().  0 or -ENOMEM. */
int uplink_new(struct uplink **out, struct env *env,
	       const struct uplink_events *events, void *ctx);
void uplink_free(struct uplink *u);

void uplink_start(struct uplink *u);
bool uplink_started(const struct uplink *u);
bool uplink_ready(const struct uplink *u);
/* Drop the connection, if there is one, and connect anew after a while.  No
 * down() comes.  `refuse` (may be NULL) is told to the peer. */
void uplink_drop(struct uplink *u, const struct wire_refuse *refuse);
/* Drop the connection, if there is one, and make no new one.  No down(). */
void uplink_stop(struct uplink *u);
/* NULL while there is no ready connection. */
struct conn *uplink_conn(struct uplink *u);
/* Why the last attempt failed; "" when none did. */
const char *uplink_why(const struct uplink *u);

#endif
