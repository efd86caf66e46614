/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * standby_priv.h - what the parts of standby.c share; nobody else includes it.
 *
 *   standby.c       the engine is fed, and does what it says
 *   standby_link.c  who connects, and the handshake
 */
#ifndef REMUS_STANDBY_PRIV_H
#define REMUS_STANDBY_PRIV_H

#include "commit.h"
#include "conn.h"
#include "receiver.h"
#include "standby.h"

struct standby {
	struct env *env;
	const struct standby_events *events;
	void *ctx;
	struct conn_listener *listener;
	struct conn *conn; /* the primary's, HELLO agreed; else NULL */
	struct conn *noting; /* HELLO held back until the ticket is stored */
	bool note_under_way;
	struct ticket noted; /* the last that the arbiter was asked to store */
	struct commit engine;
	struct receiver *receiver; /* NULL unless the driver is STANDBY */
	struct wire_ticket told;
	uint64_t told_progress;
	uint64_t committed_ns;
	uint64_t resyncs;
};

static inline const char *standby_vm_name(const struct standby *s)
{
	return s->env->cfg->name;
}

/* ---- standby.c ---- */

void standby_feed(struct standby *s, enum commit_event_type type, bool good);
/* To the primary, if there is one. */
void standby_send_frame(struct standby *s, const uint8_t *frame, size_t bytes);
/* A frame of the connection whose HELLO was agreed to. */
void standby_got_frame(struct standby *s, unsigned int type,
		       const uint8_t *payload, size_t len);

/* ---- standby_link.c ---- */

extern const struct conn_ops standby_conn_ops;
void standby_close_conn(struct standby *s);
/* REFUSE, and a line in the log. */
void standby_refuse_conn(struct standby *s, struct conn *c, unsigned int code,
			 const char *text);
/* The arbiter did not store what the primary of `c` told: refused, closed. */
void standby_refuse_told(struct standby *s, struct conn *c, int rc,
			 const char *why);

#endif
