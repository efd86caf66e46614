/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * standby_link.c - who connects to this node: the handshake, what is noted of a
 * primary's ticket before its HELLO is agreed to, and refusals.
 */
#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <string.h>

#include "handshake.h"
#include "standby_priv.h"
#include "util.h"

void standby_refuse_conn(struct standby *s, struct conn *c, unsigned int code,
			const char *text)
{
	const struct ticket *t = s->env->aops->ticket(s->env->arbiter);
	struct wire_refuse r = { .code = (uint16_t)code,
				 .generation = t->generation };
	uint8_t frame[WIRE_SMALL_MAX];

	strncpy(r.text, text, WIRE_TEXT_MAX);
	conn_send(c, frame, wire_put_refuse(frame, &r));
	qb_log(LOG_ERR, "%s: connection of %s refused: %s", standby_vm_name(s),
	       conn_peer_str(c), text);
}

/* Refuse a ticket that was not stored.  STALE makes the primary end its guest:
 * only a newer ticket here is worth that, a full disk is not. */
void standby_refuse_told(struct standby *s, struct conn *c, int rc,
			const char *why)
{
	const struct ticket *now = s->env->aops->ticket(s->env->arbiter);
	unsigned int code = WIRE_REFUSE_BUSY;

	if (rc == -EPERM)
		code = ticket_cmp(now, &s->noted) > 0 ? WIRE_REFUSE_STALE
						      : WIRE_REFUSE_ROLE;
	standby_refuse_conn(s, c, code, why);
	conn_close(c);
}

void standby_close_conn(struct standby *s)
{
	if (s->conn != NULL)
		conn_close(s->conn);
	s->conn = NULL;
}

static void our_hello(struct standby *s, enum vm_role role,
		      struct wire_hello *out)
{
	env_hello(s->env,
		  role == ROLE_PRIMARY ? WIRE_ROLE_PRIMARY : WIRE_ROLE_BACKUP,
		  out);
	if (role == ROLE_BACKUP && commit_restorable(&s->engine)) {
		out->have_stream = s->engine.stream;
		out->have_epoch = s->engine.committed;
		out->have_chain = s->engine.chain;
	}
}

/* HELLO agreed: this is the connection now.  The same primary may come anew
 * before we noticed that its old connection is dead. */
static void adopt(struct standby *s, struct conn *c)
{
	struct wire_hello hello;
	uint8_t frame[WIRE_SMALL_MAX];

	if (s->conn != NULL) {
		standby_close_conn(s);
		standby_feed(s, CEV_LINK_DOWN, true);
	}
	s->conn = c;
	our_hello(s, ROLE_BACKUP, &hello);
	standby_feed(s, CEV_LINK_UP, true);
	if (s->conn == NULL)
		return; /* activated meanwhile: refused */
	standby_send_frame(s, frame, wire_put_hello(frame, &hello));
	qb_log(LOG_NOTICE, "%s: connection of %s accepted", standby_vm_name(s),
	       conn_peer_str(c));
}

static void on_alone_noted(void *ctx, int rc, const struct permit *permit,
			   const char *why)
{
	struct standby *s = ctx;
	struct conn *c = s->noting;

	(void)permit;
	s->noting = NULL;
	s->note_under_way = false;
	if (c == NULL)
		return;
	if (rc == 0) {
		adopt(s, c);
		return;
	}
	standby_refuse_told(s, c, rc, why);
}

/* A primary that is alone has left behind whatever we hold.  Know that for good
 * before anything else is agreed: from here on activation is refused. */
static bool note_alone(struct standby *s, struct conn *c,
		       const struct wire_hello *peer)
{
	struct arbiter_request r = {
		.move = ARBITER_NOTE,
		.told = { .generation = peer->generation,
			  .state = TICKET_ALONE },
	};

	if (s->note_under_way)
		return false;
	strcpy(r.told.holder, peer->node);
	if (s->env->aops->request(s->env->arbiter, &r, on_alone_noted, s) < 0)
		return false;
	s->note_under_way = true;
	s->noted = r.told;
	s->noting = c;
	return true;
}

static void got_hello(struct standby *s, struct conn *c,
		      const uint8_t *payload, size_t len)
{
	struct wire_refuse r = { .code = WIRE_REFUSE_PROTOCOL,
				 .text = "malformed HELLO" };
	enum handshake_verdict v = HANDSHAKE_REFUSE;
	const char *not_ready = NULL;
	enum vm_role role = s->events->role(s->ctx, &not_ready);
	struct wire_hello local, peer;
	bool parsed;

	our_hello(s, role, &local);
	parsed = wire_get_hello(payload, len, &peer) == 0;
	if (parsed)
		v = handshake_judge(&local, &peer, env_peer(s->env)->name, &r);
	if (v == HANDSHAKE_OK && not_ready != NULL) {
		v = HANDSHAKE_REFUSE;
		r.code = WIRE_REFUSE_BUSY;
		r.generation = local.generation;
		snprintf(r.text, sizeof(r.text), "%s", not_ready);
	}
	if (v == HANDSHAKE_OK && peer.ticket_state != WIRE_TICKET_ALONE) {
		adopt(s, c);
		return;
	}
	if (v == HANDSHAKE_OK && note_alone(s, c, &peer))
		return;
	if (v == HANDSHAKE_OK) {
		r.code = WIRE_REFUSE_BUSY;
		snprintf(r.text, sizeof(r.text), "another one is under way");
	}
	standby_refuse_conn(s, c, r.code, r.text);
	conn_close(c);
	if (v == HANDSHAKE_STEP_DOWN)
		s->events->superseded(s->ctx, peer.generation, r.text);
}

static void on_up(void *ctx, struct conn *c)
{
	(void)ctx;
	(void)c; /* the primary speaks first */
}

static void on_frame(void *ctx, struct conn *c, unsigned int type,
		     const uint8_t *payload, size_t len)
{
	struct standby *s = ctx;

	if (c == s->conn) {
		standby_got_frame(s, type, payload, len);
	} else if (c != s->noting && type == WIRE_HELLO) {
		got_hello(s, c, payload, len);
	} else {
		standby_refuse_conn(s, c, WIRE_REFUSE_PROTOCOL,
				    "HELLO expected");
		if (c == s->noting)
			s->noting = NULL;
		conn_close(c);
	}
}

static void on_room(void *ctx, struct conn *c)
{
	(void)ctx;
	(void)c;
}

static void on_down(void *ctx, struct conn *c, int rc, const char *why)
{
	struct standby *s = ctx;

	(void)rc;
	if (c == s->noting)
		s->noting = NULL;
	if (c != s->conn)
		return;
	qb_log(LOG_WARNING, "%s: connection of the primary is gone: %s",
	       standby_vm_name(s), why);
	s->conn = NULL;
	standby_feed(s, CEV_LINK_DOWN, true);
}

const struct conn_ops standby_conn_ops = {
	.up = on_up,
	.frame = on_frame,
	.room = on_room,
	.down = on_down,
};
