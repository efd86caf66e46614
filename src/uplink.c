/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "uplink.h"

#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handshake.h"
#include "util.h"

struct uplink {
	struct env *env;
	const struct uplink_events *events;
	void *ctx;
	struct conn *conn;
	bool started, ready;
	struct wire_hello hello; /* ours, of this attempt */
	uint32_t retry_ms;
	qb_loop_timer_handle timer;
	bool timer_armed;
	char why[512];
};

static void attempt(void *data);

int uplink_new(struct uplink **out, struct env *env,
	       const struct uplink_events *events, void *ctx)
{
	struct uplink *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	u->env = env;
	u->events = events;
	u->ctx = ctx;
	*out = u;
	return 0;
}

static void disarm(struct uplink *u)
{
	if (u->timer_armed)
		qb_loop_timer_del(u->env->loop, u->timer);
	u->timer_armed = false;
}

void uplink_free(struct uplink *u)
{
	if (u == NULL)
		return;
	disarm(u);
	if (u->conn != NULL)
		conn_close(u->conn);
	free(u);
}

static void arm(struct uplink *u)
{
	disarm(u);
	if (qb_loop_timer_add(u->env->loop, QB_LOOP_MED,
			      (uint64_t)u->retry_ms * 1000000u, u, attempt,
			      &u->timer) == 0)
		u->timer_armed = true;
	u->retry_ms *= 2;
	if (u->retry_ms > UPLINK_RETRY_MAX_MS)
		u->retry_ms = UPLINK_RETRY_MAX_MS;
}

/* Say it once, not at every attempt. */
static void note_why(struct uplink *u, const char *why)
{
	if (strcmp(u->why, why) == 0)
		return;
	snprintf(u->why, sizeof(u->why), "%s", why);
	qb_log(LOG_WARNING, "%s: backup not connected: %s", u->env->cfg->name,
	       why);
}

static void lost(struct uplink *u, bool full, const char *why)
{
	bool was_ready = u->ready;

	u->conn = NULL;
	u->ready = false;
	note_why(u, why);
	arm(u);
	if (was_ready)
		u->events->down(u->ctx, full, why);
}

static void stop_for_good(struct uplink *u, uint64_t generation,
			  const char *why)
{
	bool was_ready = u->ready;

	u->conn = NULL;
	u->ready = u->started = false;
	snprintf(u->why, sizeof(u->why), "%s", why);
	/* First of all the gate is shut: a link that is down may open it. */
	u->events->superseded(u->ctx, generation, why);
	if (was_ready)
		u->events->down(u->ctx, false, why);
}

static void send_refuse(struct conn *c, const struct wire_refuse *refuse)
{
	uint8_t frame[WIRE_SMALL_MAX];

	if (refuse != NULL)
		conn_send(c, frame, wire_put_refuse(frame, refuse));
}

static void got_refuse(struct uplink *u, struct conn *c,
		       const uint8_t *payload, size_t len)
{
	struct wire_refuse r;
	char why[512];

	conn_close(c);
	if (wire_get_refuse(payload, len, &r) < 0) {
		lost(u, false, "malformed refusal");
		return;
	}
	snprintf(why, sizeof(why), "refused by %s: %s", env_peer(u->env)->name,
		 r.text);
	if (handshake_refusal_is_final(&r, &u->hello))
		stop_for_good(u, r.generation, why);
	else
		lost(u, r.code == WIRE_REFUSE_DIGEST, why);
}

static void got_hello(struct uplink *u, struct conn *c,
		      const uint8_t *payload, size_t len)
{
	enum handshake_verdict v = HANDSHAKE_REFUSE;
	struct wire_refuse r = { .code = WIRE_REFUSE_PROTOCOL,
				 .text = "malformed HELLO" };
	struct wire_hello peer;

	if (wire_get_hello(payload, len, &peer) == 0)
		v = handshake_judge(&u->hello, &peer,
				    env_peer(u->env)->name, &r);
	if (v == HANDSHAKE_OK) {
		u->ready = true;
		u->retry_ms = UPLINK_RETRY_MIN_MS;
		u->why[0] = '\0';
		u->events->ready(u->ctx, c, &peer);
		return;
	}
	send_refuse(c, &r);
	conn_close(c);
	if (v == HANDSHAKE_STEP_DOWN)
		stop_for_good(u, peer.generation, r.text);
	else
		lost(u, false, r.text);
}

static void on_up(void *ctx, struct conn *c)
{
	struct uplink *u = ctx;
	uint8_t frame[WIRE_SMALL_MAX];

	u->events->hello(u->ctx, &u->hello);
	conn_send(c, frame, wire_put_hello(frame, &u->hello));
}

static void on_frame(void *ctx, struct conn *c, unsigned int type,
		     const uint8_t *payload, size_t len)
{
	struct uplink *u = ctx;

	if (type == WIRE_REFUSE) {
		got_refuse(u, c, payload, len);
	} else if (u->ready && conn_overslept(c)) {
		/* It may be an acknowledgement from before the backup was
		 * activated.  What that covers is in the backup's state, but
		 * nobody may see it come from here any more.  A backup that
		 * still is one says in its HELLO what it has. */
		conn_close(c);
		lost(u, false, "this process stood still for too long");
	} else if (u->ready) {
		u->events->frame(u->ctx, type, payload, len);
	} else if (type == WIRE_HELLO) {
		got_hello(u, c, payload, len);
	} else {
		conn_close(c);
		lost(u, false, "frame before HELLO");
	}
}

static void on_room(void *ctx, struct conn *c)
{
	struct uplink *u = ctx;

	(void)c;
	if (u->ready)
		u->events->room(u->ctx);
}

static void on_down(void *ctx, struct conn *c, int rc, const char *why)
{
	(void)c;
	(void)rc;
	lost(ctx, false, why);
}

static const struct conn_ops ops = {
	.up = on_up,
	.frame = on_frame,
	.room = on_room,
	.down = on_down,
};

static void attempt(void *data)
{
	struct uplink *u = data;
	const struct vm_config *cfg = u->env->cfg;
	const struct vm_node *peer = env_peer(u->env);
	struct conn_params p = {
		.loop = u->env->loop,
		.psk_identity = cfg->name,
		.psk = cfg->key,
		.psk_bytes = cfg->key_bytes,
		.heartbeat_ms = cfg->heartbeat_ms,
		.timeout_ms = cfg->link_timeout_ms,
		.ops = &ops,
		.ctx = u,
	};
	char err[256];
	int rc;

	u->timer_armed = false;
	rc = conn_connect(&u->conn, &p, (const struct sockaddr *)&peer->addr,
			  peer->addr_bytes, err, sizeof(err));
	if (rc < 0) {
		u->conn = NULL;
		note_why(u, err);
		arm(u);
	}
}

void uplink_start(struct uplink *u)
{
	if (u->started)
		return;
	u->started = true;
	u->retry_ms = UPLINK_RETRY_MIN_MS;
	attempt(u);
}

bool uplink_started(const struct uplink *u)
{
	return u->started;
}

bool uplink_ready(const struct uplink *u)
{
	return u->ready;
}

void uplink_drop(struct uplink *u, const struct wire_refuse *refuse)
{
	if (u->conn == NULL)
		return;
	send_refuse(u->conn, refuse);
	conn_close(u->conn);
	u->conn = NULL;
	u->ready = false;
	arm(u);
}

void uplink_stop(struct uplink *u)
{
	uplink_drop(u, NULL);
	disarm(u);
	u->started = false;
}

struct conn *uplink_conn(struct uplink *u)
{
	return u->ready ? u->conn : NULL;
}

const char *uplink_why(const struct uplink *u)
{
	return u->why;
}
