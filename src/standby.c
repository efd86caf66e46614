/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * standby.c - see standby.h.  Top to bottom: feeding the engine, its actions,
 * the frames of an epoch, life.  The handshake is in standby_link.c.
 */
#include "standby.h"

#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standby_priv.h"
#include "util.h"

/* PROGRESS is sent once in so many page records. */
#define PROGRESS_RECORDS 8192u

static void do_actions(struct standby *s, const struct commit_actions *out);

static void feed_event(struct standby *s, const struct commit_event *ev)
{
	struct commit_actions out;

	commit_step(&s->engine, ev, &out);
	do_actions(s, &out);
}

void standby_feed(struct standby *s, enum commit_event_type type, bool good)
{
	struct commit_event ev = { .type = type, .good = good };

	feed_event(s, &ev);
}

void standby_send_frame(struct standby *s, const uint8_t *frame, size_t bytes)
{
	/* A queue without room for a small frame is a peer that reads no
	 * more; its time-out ends the connection. */
	if (s->conn != NULL)
		conn_send(s->conn, frame, bytes);
}

/* ---- actions ---- */

static void send_ack(struct standby *s, uint64_t epoch, uint64_t chain)
{
	struct wire_ack ack = { .epoch = epoch, .chain = chain };
	uint8_t frame[WIRE_SMALL_MAX];

	standby_send_frame(s, frame, wire_put_ack(frame, &ack));
}

static void on_noted(void *ctx, int rc, const struct permit *permit,
		     const char *why)
{
	struct standby *s = ctx;

	(void)permit;
	s->note_under_way = false;
	if (rc < 0 && s->conn != NULL) {
		standby_refuse_told(s, s->conn, rc, why);
		s->conn = NULL;
		standby_feed(s, CEV_LINK_DOWN, true);
		return;
	}
	standby_feed(s, CEV_TICKET_STORED, rc == 0);
}

static void store_ticket(struct standby *s)
{
	struct arbiter_request r = {
		.move = ARBITER_NOTE,
		.told = { .generation = s->told.generation,
			  .state = TICKET_PROTECTED },
	};

	if (s->note_under_way)
		return; /* it comes again, with the next ACK */
	strcpy(r.told.holder, env_peer(s->env)->name);
	strcpy(r.told.backup, env_self(s->env)->name);
	if (s->env->aops->request(s->env->arbiter, &r, on_noted, s) < 0)
		return;
	s->note_under_way = true;
	s->noted = r.told;
}

/* Of what was stored, whatever was told since. */
static void send_ticket_ack(struct standby *s)
{
	struct wire_ticket t = { .generation = s->noted.generation,
				 .state = WIRE_TICKET_PROTECTED };
	uint8_t frame[WIRE_SMALL_MAX];

	standby_send_frame(s, frame,
			   wire_put_ticket(frame, WIRE_TICKET_ACK, &t));
}

static void send_handover_ack(struct standby *s, uint64_t epoch)
{
	const struct ticket *t = s->env->aops->ticket(s->env->arbiter);
	struct wire_handover h = { .generation = t->generation,
				   .epoch = epoch };
	uint8_t frame[WIRE_SMALL_MAX];

	standby_send_frame(s, frame,
		   wire_put_handover(frame, WIRE_HANDOVER_ACK, &h));
}

static void load(struct standby *s)
{
	size_t bytes;
	const void *state = receiver_device_state(s->receiver, &bytes);
	char err[512];
	int rc = s->env->dops->activate(s->env->driver, state, bytes, err,
					sizeof(err));

	if (rc < 0)
		standby_feed(s, CEV_LOADED, false);
	s->events->loading(s->ctx, rc, rc < 0 ? err : "");
}

static void refuse(struct standby *s, unsigned int code, const char *text)
{
	if (s->conn != NULL)
		standby_refuse_conn(s, s->conn, code, text);
}

static void commit(struct standby *s)
{
	const void *state;
	size_t bytes;

	receiver_commit(s->receiver);
	s->committed_ns = now_mono_ns();
	state = receiver_device_state(s->receiver, &bytes);
	s->env->dops->committed(s->env->driver, receiver_changed(s->receiver),
				state, bytes);
}

static void do_actions(struct standby *s, const struct commit_actions *out)
{
	for (unsigned int i = 0; i < out->n; i++) {
		uint64_t epoch = out->a[i].epoch, chain = out->a[i].chain;

		qb_log(LOG_TRACE, "%s: %s %llu", standby_vm_name(s),
		       commit_action_to_str(out->a[i].type),
		       (unsigned long long)epoch);
		switch (out->a[i].type) {
		case CACT_VOID:
			s->resyncs++;
			break;
		case CACT_STAGE: break; /* receiver_begin() has done it */
		case CACT_UNSTAGE: receiver_drop(s->receiver); break;
		case CACT_COMMIT: commit(s); break;
		case CACT_SEND_ACK: send_ack(s, epoch, chain); break;
		case CACT_STORE_TICKET: store_ticket(s); break;
		case CACT_SEND_TICKET_ACK: send_ticket_ack(s); break;
		case CACT_SEND_HANDOVER_ACK:
			send_handover_ack(s, epoch);
			break;
		case CACT_REFUSE_PROTOCOL:
			refuse(s, WIRE_REFUSE_PROTOCOL,
			       "a frame malformed or out of order");
			break;
		case CACT_REFUSE_DIGEST:
			refuse(s, WIRE_REFUSE_DIGEST,
			       "an epoch's digest is wrong");
			break;
		case CACT_REFUSE_SUPERSEDED:
			refuse(s, WIRE_REFUSE_SUPERSEDED,
			       "the guest was activated here");
			break;
		case CACT_CLOSE_LINK: standby_close_conn(s); break;
		case CACT_LOAD: load(s); break;
		case CACT_REFUSE_ACTIVATE:
			/* It was there when the arbiter was asked. */
			s->events->loading(s->ctx, -ENODATA,
					   "the committed epoch is gone");
			break;
		}
	}
}

/* ---- the frames of an epoch ---- */

static bool epoch_is_open(const struct standby *s)
{
	return s->engine.state == COMMIT_DIRECT ||
	       s->engine.state == COMMIT_STAGING;
}

static void got_begin(struct standby *s, const uint8_t *payload, size_t len)
{
	struct commit_event ev = { .type = CEV_BEGIN };
	struct wire_begin b;

	if (wire_get_begin(payload, len, &b) < 0) {
		standby_feed(s, CEV_DATA, false);
		return;
	}
	ev.stream = b.stream;
	ev.epoch = b.epoch;
	ev.chain = b.base_chain;
	ev.direct = (b.flags & WIRE_BEGIN_DIRECT) != 0;
	feed_event(s, &ev);
	/* Refused, or open as the engine says: only then is it begun. */
	if (epoch_is_open(s)) {
		receiver_begin(s->receiver, &b);
		s->told_progress = 0;
	}
}

static void got_pages(struct standby *s, const uint8_t *payload, size_t len)
{
	struct wire_progress pr;
	uint8_t frame[WIRE_SMALL_MAX];

	standby_feed(s, CEV_DATA,
	     epoch_is_open(s) &&
		     receiver_pages(s->receiver, payload, len) == 0);
	if (!epoch_is_open(s))
		return;
	pr.page_records = receiver_records(s->receiver);
	if (pr.page_records - s->told_progress < PROGRESS_RECORDS)
		return;
	s->told_progress = pr.page_records;
	standby_send_frame(s, frame, wire_put_progress(frame, &pr));
}

static void got_end(struct standby *s, const uint8_t *payload, size_t len)
{
	struct commit_event ev = { .type = CEV_END };
	struct wire_end end;
	char why[256] = "";

	if (wire_get_end(payload, len, &end) < 0 || !epoch_is_open(s)) {
		standby_feed(s, CEV_DATA, false);
		return;
	}
	ev.epoch = end.epoch;
	ev.chain = end.chain;
	ev.good = receiver_matches(s->receiver, &end, why, sizeof(why));
	if (!ev.good)
		qb_log(LOG_ERR, "%s: epoch %llu dropped: %s",
		       standby_vm_name(s),
		       (unsigned long long)end.epoch, why);
	feed_event(s, &ev);
}

static void got_ticket(struct standby *s, const uint8_t *payload, size_t len)
{
	if (wire_get_ticket(payload, len, &s->told) < 0 ||
	    s->told.state != WIRE_TICKET_PROTECTED)
		standby_feed(s, CEV_DATA, false);
	else
		standby_feed(s, CEV_TICKET, true);
}

static void got_handover(struct standby *s, const uint8_t *payload, size_t len)
{
	struct commit_event ev = { .type = CEV_HANDOVER };
	struct wire_handover h;

	if (wire_get_handover(payload, len, &h) < 0 ||
	    h.generation !=
		    s->env->aops->ticket(s->env->arbiter)->generation) {
		standby_feed(s, CEV_DATA, false);
		return;
	}
	ev.epoch = h.epoch;
	feed_event(s, &ev);
}

void standby_got_frame(struct standby *s, unsigned int type,
		      const uint8_t *payload, size_t len)
{
	switch (type) {
	case WIRE_BEGIN: got_begin(s, payload, len); break;
	case WIRE_PAGES: got_pages(s, payload, len); break;
	case WIRE_DEVICE:
		standby_feed(s, CEV_DATA,
		     epoch_is_open(s) &&
			     receiver_device(s->receiver, payload, len) == 0);
		break;
	case WIRE_OUTPUT:
		standby_feed(s, CEV_DATA,
		     epoch_is_open(s) &&
			     receiver_output(s->receiver, payload, len) == 0);
		break;
	case WIRE_END: got_end(s, payload, len); break;
	case WIRE_TICKET: got_ticket(s, payload, len); break;
	case WIRE_HANDOVER: got_handover(s, payload, len); break;
	case WIRE_REFUSE:
		qb_log(LOG_ERR, "%s: the primary refused us",
		       standby_vm_name(s));
		standby_close_conn(s);
		standby_feed(s, CEV_LINK_DOWN, true);
		break;
	default: standby_feed(s, CEV_DATA, false);
	}
}

/* ---- life ---- */

int standby_new(struct standby **out, struct env *env,
		const struct standby_events *events, void *ctx, char *err,
		size_t err_bytes)
{
	const struct vm_node *self = env_self(env);
	struct standby *s = calloc(1, sizeof(*s));
	struct conn_params p = {
		.loop = env->loop,
		.psk_identity = env->cfg->name,
		.psk = env->cfg->key,
		.psk_bytes = env->cfg->key_bytes,
		.heartbeat_ms = env->cfg->heartbeat_ms,
		.timeout_ms = env->cfg->link_timeout_ms,
		.ops = &standby_conn_ops,
		.ctx = s,
	};
	int rc;

	if (s == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	s->env = env;
	s->events = events;
	s->ctx = ctx;
	commit_init(&s->engine);
	rc = conn_listen(&s->listener, &p, (const struct sockaddr *)&self->addr,
			 self->addr_bytes, err, err_bytes);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void standby_free(struct standby *s)
{
	if (s == NULL)
		return;
	standby_close(s);
	conn_listener_close(s->listener);
	free(s);
}

int standby_ready(struct standby *s)
{
	return receiver_new(&s->receiver, s->env->dops->ram(s->env->driver),
			    s->env->dops->npages(s->env->driver));
}

void standby_close(struct standby *s)
{
	standby_close_conn(s);
	if (s->noting != NULL)
		conn_close(s->noting);
	s->noting = NULL;
	receiver_free(s->receiver);
	s->receiver = NULL;
	commit_init(&s->engine);
}

int standby_may_activate(const struct standby *s, bool peer_is_dead, char *err,
			 size_t err_bytes)
{
	if (!commit_restorable(&s->engine))
		return set_err(err, err_bytes, -ENODATA,
			       "no committed epoch is here to start from");
	if (s->conn != NULL && !peer_is_dead && !s->engine.handed_over)
		return set_err(err, err_bytes, -EBUSY,
			       "the primary %s is connected: use demote there, "
			       "or say --peer-is-dead",
			       env_peer(s->env)->name);
	return 0;
}

static void put_segment(void *ctx, const void *frame, size_t len)
{
	struct standby *s = ctx;

	s->env->gops->put(s->env->gate, frame, len);
}

void standby_put_output(struct standby *s)
{
	receiver_drain_output(s->receiver, put_segment, s);
}

void standby_load(struct standby *s)
{
	standby_feed(s, CEV_ACTIVATE, true);
}

void standby_loaded(struct standby *s, bool runs)
{
	standby_feed(s, CEV_LOADED, runs);
}

uint64_t standby_epoch(const struct standby *s)
{
	return s->engine.committed;
}

void standby_status(const struct standby *s, struct vm_status *out)
{
	struct conn_stats cs;

	out->state = commit_restorable(&s->engine) ? STATE_STANDBY
						   : STATE_SYNCING;
	out->epoch_committed = s->engine.committed;
	out->link_up = s->conn != NULL;
	if (s->conn != NULL) {
		conn_stats(s->conn, &cs);
		out->rtt_us = cs.rtt_us;
	}
	out->resyncs_full = s->resyncs;
	out->lag_ms = commit_restorable(&s->engine)
			      ? (now_mono_ns() - s->committed_ns) / 1000000u
			      : 0;
}
