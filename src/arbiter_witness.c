/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arbiter_witness.c - the service's clients decide, by majority.
 *
 * The register is theirs (ticket_register.h); ticket_proposer.c asks, and
 * renews the lease, by ticket_courier.c; here are its clock, and this node's own
 * copy of what it knows, which ARBITER_NOTE writes too.
 *
 *	request -> proposer -> POST /v1/ticket to each -> answers -> outcome
 *	        -> store -> done(permit until the lease is over)
 *
 * A cold boot over a ticket that names another takes it from him first
 * (TICKET_FOR_FENCE), if the request vouches for his end, and waits until no
 * lease of his can be used any more.
 */
#include <errno.h>
#include <limits.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiter.h"
#include "loop.h"
#include "permit_make.h"
#include "ticket_courier.h"
#include "util.h"
#include "witness_message.h"

#define REPORT_MS 200
/* How long a request goes on.  Long enough for a lease of 3 s to run out, and
 * for witnesses to see that somebody is silent. */
#define GIVE_UP_MS 10000
#define END_GIVE_UP_MS 2000 /* nothing runs: nothing depends on it */

struct arbiter {
	qb_loop_t *loop;
	const struct vm_config *cfg;
	const char *self, *peer;
	char path[PATH_MAX];
	struct ticket ticket;
	struct witness_client *client;
	struct ticket_courier *courier;
	struct ticket_proposer *proposer; /* the courier's */
	qb_loop_timer_handle timer, report_timer;
	bool timer_armed, report_armed;
	struct loop_soon soon; /* ARBITER_NOTE; a round that cannot begin */
	struct arbiter_request request;
	enum ticket_purpose asked;
	bool fenced;	       /* the cold boot has taken the ticket away */
	bool waits_quiet;      /* and may begin at: */
	uint64_t quiet_at_ms;
	arbiter_done done;     /* NULL: no request under way */
	void *ctx;
	const struct arbiter_events *events;
	void *events_ctx;
	uint64_t lease_ms;     /* as last passed on */
	struct ticket seen[WITNESSES_MAX]; /* what each accepted last */
	unsigned int unanswered[WITNESSES_MAX]; /* reports in a row */
};

static void pump(struct arbiter *a);

/* ---- the answer ---- */

static void finish(struct arbiter *a, int rc, const struct permit *permit,
		   const char *why)
{
	arbiter_done done = a->done;

	a->done = NULL;
	if (done != NULL)
		done(a->ctx, rc, permit, why);
}

static int know(struct arbiter *a, const struct ticket *t, char *err,
		size_t err_bytes)
{
	int rc;

	if (ticket_equal(t, &a->ticket))
		return 0;
	rc = ticket_store(t, a->path, err, err_bytes);
	if (rc == 0)
		a->ticket = *t;
	return rc;
}

static struct permit lease_permit(const struct arbiter *a)
{
	uint64_t until = ticket_proposer_lease_ms(a->proposer);

	return permit_from_ticket(until > UINT64_MAX / NS_PER_MS
					  ? 0
					  : until * NS_PER_MS);
}

/* ---- what is asked for ---- */

static void note(void *data)
{
	struct arbiter *a = data;
	struct ticket next;
	char why[512] = "";
	int rc;

	if (a->request.move != ARBITER_NOTE) {
		pump(a);
		return;
	}
	rc = ticket_move(&a->ticket, &a->request, a->self, a->peer, &next, why,
			 sizeof(why));
	if (rc == 0)
		rc = know(a, &next, why, sizeof(why));
	finish(a, rc, NULL, why);
}

static enum ticket_purpose purpose_of(enum arbiter_move m)
{
	switch (m) {
	case ARBITER_COLD_BOOT: return TICKET_FOR_BOOT;
	case ARBITER_ALONE: return TICKET_FOR_ALONE;
	case ARBITER_PROTECTED: return TICKET_FOR_PROTECTED;
	case ARBITER_ACTIVATE: return TICKET_FOR_TAKEOVER;
	case ARBITER_ENDED: return TICKET_FOR_END;
	case ARBITER_NOTE: break;
	}
	return TICKET_FOR_READ;
}

static int begin_round(struct arbiter *a, enum ticket_purpose purpose,
		       const char *target)
{
	struct ticket_request r = {
		.purpose = purpose,
		.above = a->request.told.generation,
		.give_up_ms = purpose == TICKET_FOR_END ? END_GIVE_UP_MS
							: GIVE_UP_MS,
	};

	if (purpose == TICKET_FOR_PROTECTED)
		strcpy(r.peer, a->peer);
	if (target != NULL)
		strcpy(r.target, target);
	if (purpose == TICKET_FOR_TAKEOVER)
		r.generation = a->ticket.generation;
	if (purpose == TICKET_FOR_BOOT && a->ticket.generation > r.above)
		r.above = a->ticket.generation;
	a->asked = purpose;
	return ticket_proposer_start(a->proposer, &r, now_boot_ms());
}

/* The ticket names somebody, and the cold boot may take it from him; from the
 * backup, where this node itself was the primary before it lost its guest. */
static bool take_away(struct arbiter *a, const struct ticket *value)
{
	const char *whom = strcmp(value->holder, a->self) == 0 ? value->backup
							       : value->holder;

	return a->request.move == ARBITER_COLD_BOOT && !a->fenced &&
	       a->request.peer_is_dead && value->state != TICKET_NONE &&
	       begin_round(a, TICKET_FOR_FENCE, whom) == 0;
}

static void decided(struct arbiter *a, const struct ticket_outcome *o)
{
	struct permit permit = { 0 };
	char why[512] = "";
	int rc;

	if (a->asked == TICKET_FOR_FENCE) {
		a->fenced = a->waits_quiet = true;
		a->quiet_at_ms = o->quiet_at_ms;
		return; /* pump() goes on when it is quiet */
	}
	rc = know(a, &o->value, why, sizeof(why));
	if (rc == 0 && arbiter_grants_permit(a->request.move))
		permit = lease_permit(a);
	finish(a, rc, permit_kind(&permit) == PERMIT_NONE ? NULL : &permit,
	       why);
}

/* The order in which the register moves; ticket_cmp() is that of what nodes
 * tell each other, where `none` does not outdo a copy that runs. */
static bool is_later(const struct ticket *t, const struct ticket *than)
{
	if (t->generation != than->generation)
		return t->generation > than->generation;
	if (t->state == TICKET_NONE || than->state == TICKET_NONE)
		return than->state != TICKET_NONE;
	return t->state == TICKET_ALONE && !ticket_equal(t, than);
}

/* That we are the backup of a generation, only its primary can tell us, when
 * we hold its epoch: taking over one that we have nothing of would lose what
 * was seen. */
static bool is_worth_knowing(const struct arbiter *a, const struct ticket *t)
{
	return is_later(t, &a->ticket) &&
	       !(t->state == TICKET_PROTECTED &&
		 strcmp(t->backup, a->self) == 0);
}

static void refused(struct arbiter *a, const struct ticket_outcome *o)
{
	char why[512];

	if (o->rc == -EPERM && a->asked == TICKET_FOR_BOOT &&
	    take_away(a, &o->value))
		return;
	if (o->rc == -EPERM && is_worth_knowing(a, &o->value))
		know(a, &o->value, why, sizeof(why));
	finish(a, o->rc, NULL, o->why);
}

static void round_over(struct arbiter *a, const struct ticket_outcome *o)
{
	if (a->done == NULL)
		return;
	if (o->rc == 0)
		decided(a, o);
	else
		refused(a, o);
}

/* ---- time ---- */

/* The lease has grown, or the ticket is gone. */
static void pass_on(struct arbiter *a)
{
	uint64_t until = ticket_proposer_lease_ms(a->proposer);
	struct permit permit;
	struct ticket t;
	char why[512];

	if (a->events == NULL || a->done != NULL)
		return;
	if (until > a->lease_ms) {
		permit = lease_permit(a);
		a->lease_ms = until;
		a->events->renewed(a->events_ctx, &permit);
		return;
	}
	if (until == 0 && a->ticket.state == TICKET_ALONE &&
	    strcmp(a->ticket.holder, a->self) == 0 &&
	    ticket_proposer_known(a->proposer, &t) &&
	    is_later(&t, &a->ticket)) {
		if (know(a, &t, why, sizeof(why)) < 0)
			qb_log(LOG_ERR, "%s: %s", a->cfg->name, why);
		a->events->lost(a->events_ctx, &t);
	}
}

static void on_timer(void *data)
{
	struct arbiter *a = data;

	a->timer_armed = false;
	ticket_proposer_tick(a->proposer, now_boot_ms());
	pump(a);
}

static void arm(struct arbiter *a)
{
	uint64_t at = ticket_proposer_wake_ms(a->proposer), now = now_boot_ms();

	if (a->waits_quiet && a->quiet_at_ms < at)
		at = a->quiet_at_ms;
	if (a->timer_armed)
		qb_loop_timer_del(a->loop, a->timer);
	a->timer_armed = at != UINT64_MAX &&
			 qb_loop_timer_add(a->loop, QB_LOOP_HIGH,
					   at <= now ? 0
						     : (at - now) * NS_PER_MS,
					   a, on_timer, &a->timer) == 0;
}

/* True when a round was begun. */
static bool boot_after_fence(struct arbiter *a)
{
	if (!a->waits_quiet || a->done == NULL || now_boot_ms() < a->quiet_at_ms)
		return false;
	a->waits_quiet = false;
	if (begin_round(a, TICKET_FOR_BOOT, NULL) == 0)
		return true;
	finish(a, -EBUSY, NULL, "a round is under way");
	return false;
}

static void pump(struct arbiter *a)
{
	struct ticket_outcome o;
	bool again;

	do {
		ticket_courier_send(a->courier);
		again = ticket_proposer_outcome(a->proposer, &o);
		if (again)
			round_over(a, &o);
		else
			again = boot_after_fence(a);
	} while (again);
	pass_on(a);
	arm(a);
}

/* ---- reports ---- */

/* More than half of them accepted one and the same, newer than ours.  That it
 * is decided too, only a round can tell. */
static bool has_moved(const struct arbiter *a)
{
	for (unsigned int i = 0; i < a->cfg->witnesses; i++) {
		unsigned int same = 0;

		if (!is_later(&a->seen[i], &a->ticket))
			continue;
		for (unsigned int j = 0; j < a->cfg->witnesses; j++)
			same += ticket_equal(&a->seen[i], &a->seen[j]);
		if (same > a->cfg->witnesses / 2)
			return true;
	}
	return false;
}

static void on_reported(void *ctx, unsigned int witness, int rc,
			const json_t *body, const char *why)
{
	struct arbiter *a = ctx;
	char err[128];

	(void)why; /* who does not hear of us does not know: as it should */
	if (rc == 0)
		a->unanswered[witness] = 0;
	if (rc < 0 || member_ticket(body, "ticket", &a->seen[witness], err,
				    sizeof(err)) < 0) {
		memset(&a->seen[witness], 0, sizeof(a->seen[witness]));
		return;
	}
	/* While we ask, what is new may be of our own making. */
	if (a->done == NULL && a->events != NULL && has_moved(a))
		a->events->moved(a->events_ctx);
}

static void report(struct arbiter *a, bool ceased)
{
	struct arbiter_report r = { .role = "backup", .state = "" };
	json_t *body;

	if (a->events != NULL)
		a->events->report(a->events_ctx, &r);
	body = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:b}", "vm",
			 a->cfg->name, "node", a->self, "role", r.role,
			 "state", r.state, "generation",
			 (json_int_t)a->ticket.generation, "serving",
			 r.serving && !ceased, "ceased", ceased);
	for (unsigned int i = 0; body != NULL && i < a->cfg->witnesses; i++)
		witness_client_post(a->client, i, "/v1/alive", body,
				    on_reported, a);
	json_decref(body);
}

/* In reports, and not by the clock: a node that was frozen has heard nobody. */
static uint64_t witness_silent_ms(const struct arbiter *a)
{
	unsigned int fewest = UINT_MAX;

	for (unsigned int i = 0; i < a->cfg->witnesses; i++) {
		unsigned int heard = 0;

		for (unsigned int j = 0; j < a->cfg->witnesses; j++)
			heard += a->unanswered[j] <= a->unanswered[i];
		if (heard > a->cfg->witnesses / 2 && a->unanswered[i] < fewest)
			fewest = a->unanswered[i];
	}
	return (uint64_t)fewest * REPORT_MS;
}

static void on_report_time(void *data)
{
	struct arbiter *a = data;

	for (unsigned int i = 0; i < a->cfg->witnesses; i++)
		a->unanswered[i] += a->unanswered[i] < UINT_MAX;
	report(a, false);
	a->report_armed = qb_loop_timer_add(a->loop, QB_LOOP_LOW,
					    REPORT_MS * NS_PER_MS, a,
					    on_report_time,
					    &a->report_timer) == 0;
}

static void witness_ceased(struct arbiter *a)
{
	report(a, true);
}

/* ---- life ---- */

static int new_client(struct arbiter *a, char *err, size_t err_bytes)
{
	struct witness_client_config c = {
		.self = a->self,
		.witnesses = a->cfg->witnesses,
		.key_file = a->cfg->witness_key,
		.ca_file = a->cfg->witness_ca,
		.timeout_ms = a->cfg->witness_timeout_ms,
	};

	memcpy(c.witness, a->cfg->witness, sizeof(c.witness));
	return witness_client_new(&a->client, &c, a->loop, err, err_bytes);
}

static void on_answered(void *ctx)
{
	pump(ctx);
}

static int new_courier(struct arbiter *a, char *err, size_t err_bytes)
{
	static const struct ticket_courier_events events = {
		.answered = on_answered,
	};
	struct ticket_proposer_config c = {
		.vm = a->cfg->name,
		.self = a->self,
		.witnesses = a->cfg->witnesses,
		.lease_ms = a->cfg->lease_ms,
		.answer_ms = a->cfg->witness_timeout_ms,
	};
	int rc;

	for (unsigned int i = 0; i < c.witnesses; i++)
		c.name[i] = a->cfg->witness[i].name;
	rc = ticket_courier_new(&a->courier, &c, a->client, &events, a, err,
				err_bytes);
	if (rc == 0)
		a->proposer = ticket_courier_proposer(a->courier);
	return rc;
}

static void witness_destroy(struct arbiter *a)
{
	if (a == NULL)
		return;
	if (a->timer_armed)
		qb_loop_timer_del(a->loop, a->timer);
	if (a->report_armed)
		qb_loop_timer_del(a->loop, a->report_timer);
	loop_soon_cancel(&a->soon);
	witness_client_free(a->client);
	ticket_courier_free(a->courier);
	free(a);
}

static int witness_create(struct arbiter **out, const struct vm_config *cfg,
			  int self, qb_loop_t *loop, char *err,
			  size_t err_bytes)
{
	struct arbiter *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	a->loop = loop;
	a->cfg = cfg;
	loop_soon_init(&a->soon, loop, note, a);
	a->self = cfg->node[self].name;
	a->peer = cfg->node[!self].name;
	rc = arbiter_load(&a->ticket, a->path, cfg, err, err_bytes);
	if (rc == 0)
		rc = new_client(a, err, err_bytes);
	if (rc == 0)
		rc = new_courier(a, err, err_bytes);
	if (rc < 0) {
		witness_destroy(a);
		return rc;
	}
	if (cfg->witnesses % 2 == 0)
		qb_log(LOG_WARNING, "%s: %u witnesses: no more of them may be "
		       "lost than of %u", cfg->name, cfg->witnesses,
		       cfg->witnesses - 1);
	on_report_time(a);
	*out = a;
	return 0;
}

static int witness_request(struct arbiter *a, const struct arbiter_request *r,
			   arbiter_done done, void *ctx)
{
	int rc;

	if (a->done != NULL)
		return -EBUSY;
	a->request = *r;
	a->fenced = a->waits_quiet = false;
	rc = r->move == ARBITER_NOTE
		     ? 0
		     : begin_round(a, purpose_of(r->move), NULL);
	/* Nothing is sent from in here: `done` never comes from in here. */
	if (rc == 0)
		rc = loop_soon(&a->soon);
	if (rc < 0)
		return rc;
	if (r->move == ARBITER_PROTECTED || r->move == ARBITER_ENDED)
		a->lease_ms = 0;
	a->done = done;
	a->ctx = ctx;
	return 0;
}

static const struct ticket *witness_ticket(const struct arbiter *a)
{
	return &a->ticket;
}

static void witness_watch(struct arbiter *a,
			  const struct arbiter_events *events, void *ctx)
{
	a->events = events;
	a->events_ctx = ctx;
}

const struct arbiter_ops arbiter_witness_ops = {
	.name = "witness",
	.judges = true,
	.create = witness_create,
	.request = witness_request,
	.ticket = witness_ticket,
	.watch = witness_watch,
	.silent_ms = witness_silent_ms,
	.ceased = witness_ceased,
	.destroy = witness_destroy,
};
