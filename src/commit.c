/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commit.c - see commit.h.  One function an event. */
#include "commit.h"

#include <assert.h>
#include <string.h>

static void act(struct commit_actions *out, enum commit_action_type type,
		uint64_t epoch, uint64_t chain)
{
	assert(out->n < COMMIT_ACTIONS_MAX);
	out->a[out->n].type = type;
	out->a[out->n].epoch = epoch;
	out->a[out->n].chain = chain;
	out->n++;
}

void commit_init(struct commit *c)
{
	memset(c, 0, sizeof(*c));
}

bool commit_restorable(const struct commit *c)
{
	return c->state == COMMIT_READY || c->state == COMMIT_STAGING;
}

static bool gone_over(const struct commit *c)
{
	return c->state == COMMIT_LOADING || c->state == COMMIT_ACTIVE;
}

/* What was received of an open epoch is worth nothing any more. */
static void drop_open(struct commit *c, struct commit_actions *out)
{
	if (c->state == COMMIT_STAGING) {
		c->state = COMMIT_READY;
		act(out, CACT_UNSTAGE, c->open, 0);
	} else if (c->state == COMMIT_DIRECT) {
		c->state = COMMIT_EMPTY;
		act(out, CACT_UNSTAGE, c->open, 0);
	}
}

static void on_link_down(struct commit *c, struct commit_actions *out)
{
	c->link_up = false;
	drop_open(c, out);
}

/* The peer broke a rule, or its data did: nothing it sent counts. */
static void refuse(struct commit *c, enum commit_action_type how,
		   struct commit_actions *out)
{
	on_link_down(c, out);
	act(out, how, c->committed, c->chain);
	act(out, CACT_CLOSE_LINK, 0, 0);
}

static void on_begin(struct commit *c, const struct commit_event *ev,
		     struct commit_actions *out)
{
	if (ev->direct && ev->epoch > 0 && ev->stream != 0 &&
	    (c->state == COMMIT_EMPTY || c->state == COMMIT_READY)) {
		/* S2: first there is no state, then it is overwritten. */
		c->state = COMMIT_DIRECT;
		c->committed = c->chain = c->stream = 0;
		act(out, CACT_VOID, 0, 0);
	} else if (!ev->direct && c->state == COMMIT_READY &&
		   ev->stream == c->stream && ev->epoch > c->committed &&
		   ev->chain == c->chain) {
		c->state = COMMIT_STAGING;
		act(out, CACT_STAGE, ev->epoch, 0);
	} else {
		refuse(c, CACT_REFUSE_PROTOCOL, out);
		return;
	}
	c->handed_over = false;
	c->open = ev->epoch;
	c->open_stream = ev->stream;
}

static void on_data(struct commit *c, const struct commit_event *ev,
		    struct commit_actions *out)
{
	if (!ev->good ||
	    (c->state != COMMIT_STAGING && c->state != COMMIT_DIRECT))
		refuse(c, CACT_REFUSE_PROTOCOL, out);
}

static void on_end(struct commit *c, const struct commit_event *ev,
		   struct commit_actions *out)
{
	if ((c->state != COMMIT_STAGING && c->state != COMMIT_DIRECT) ||
	    ev->epoch != c->open) {
		refuse(c, CACT_REFUSE_PROTOCOL, out);
		return;
	}
	if (!ev->good) {
		refuse(c, CACT_REFUSE_DIGEST, out);
		return;
	}
	c->state = COMMIT_READY;
	c->stream = c->open_stream;
	c->committed = ev->epoch;
	c->chain = ev->chain;
	act(out, CACT_COMMIT, ev->epoch, ev->chain);
	act(out, CACT_SEND_ACK, ev->epoch, ev->chain);
}

static void on_handover(struct commit *c, const struct commit_event *ev,
			struct commit_actions *out)
{
	if (c->state != COMMIT_READY || ev->epoch != c->committed) {
		refuse(c, CACT_REFUSE_PROTOCOL, out);
		return;
	}
	c->handed_over = true;
	act(out, CACT_SEND_HANDOVER_ACK, ev->epoch, 0);
}

static void on_activate(struct commit *c, struct commit_actions *out)
{
	if (!commit_restorable(c)) {
		act(out, CACT_REFUSE_ACTIVATE, 0, 0);
		return;
	}
	drop_open(c, out);
	c->state = COMMIT_LOADING; /* S4, from here on */
	/* A primary that is still there learns at once that it is the old one,
	 * not when it connects again. */
	if (c->link_up) {
		act(out, CACT_REFUSE_SUPERSEDED, 0, 0);
		act(out, CACT_CLOSE_LINK, 0, 0);
	}
	c->link_up = false;
	act(out, CACT_LOAD, c->committed, c->chain);
}

static void on_loaded(struct commit *c, const struct commit_event *ev)
{
	if (c->state != COMMIT_LOADING)
		return;
	/* A guest that did not start may have touched the image already. */
	c->state = ev->good ? COMMIT_ACTIVE : COMMIT_EMPTY;
	if (!ev->good)
		c->committed = c->chain = c->stream = 0;
}

static bool from_peer(enum commit_event_type t)
{
	return t == CEV_LINK_UP || t == CEV_BEGIN || t == CEV_DATA ||
	       t == CEV_END || t == CEV_TICKET || t == CEV_HANDOVER;
}

void commit_step(struct commit *c, const struct commit_event *ev,
		 struct commit_actions *out)
{
	out->n = 0;
	if (from_peer(ev->type) && gone_over(c)) {
		act(out, CACT_REFUSE_SUPERSEDED, 0, 0);
		act(out, CACT_CLOSE_LINK, 0, 0);
		return;
	}
	if (from_peer(ev->type) && ev->type != CEV_LINK_UP && !c->link_up)
		return; /* what was still under way when we closed */

	switch (ev->type) {
	case CEV_LINK_UP:
		c->link_up = true;
		drop_open(c, out);
		break;
	case CEV_LINK_DOWN: on_link_down(c, out); break;
	case CEV_BEGIN: on_begin(c, ev, out); break;
	case CEV_DATA: on_data(c, ev, out); break;
	case CEV_END: on_end(c, ev, out); break;
	case CEV_TICKET: act(out, CACT_STORE_TICKET, 0, 0); break;
	case CEV_TICKET_STORED:
		if (c->link_up && ev->good)
			act(out, CACT_SEND_TICKET_ACK, 0, 0);
		break;
	case CEV_HANDOVER: on_handover(c, ev, out); break;
	case CEV_ACTIVATE: on_activate(c, out); break;
	case CEV_LOADED: on_loaded(c, ev); break;
	}
}

const char *commit_state_to_str(enum commit_state s)
{
	static const char *const names[] = {
		[COMMIT_EMPTY] = "empty",     [COMMIT_DIRECT] = "direct",
		[COMMIT_READY] = "ready",     [COMMIT_STAGING] = "staging",
		[COMMIT_LOADING] = "loading", [COMMIT_ACTIVE] = "active",
	};

	return names[s];
}

const char *commit_action_to_str(enum commit_action_type t)
{
	static const char *const names[] = {
		[CACT_VOID] = "void",
		[CACT_STAGE] = "stage",
		[CACT_UNSTAGE] = "unstage",
		[CACT_COMMIT] = "commit",
		[CACT_SEND_ACK] = "send-ack",
		[CACT_STORE_TICKET] = "store-ticket",
		[CACT_SEND_TICKET_ACK] = "send-ticket-ack",
		[CACT_SEND_HANDOVER_ACK] = "send-handover-ack",
		[CACT_REFUSE_PROTOCOL] = "refuse-protocol",
		[CACT_REFUSE_DIGEST] = "refuse-digest",
		[CACT_REFUSE_SUPERSEDED] = "refuse-superseded",
		[CACT_CLOSE_LINK] = "close-link",
		[CACT_LOAD] = "load",
		[CACT_REFUSE_ACTIVATE] = "refuse-activate",
	};

	return names[t];
}
