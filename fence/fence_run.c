/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_run.c - see fence_run.h.
 *
 * `off` begins with a look, as all else: core -> todo -> POSTs -> answers ->
 * proposers, core -> todo ... until the core has ended.
 */
#include "fence_run.h"

#include <errno.h>
#include <qb/qbloop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ticket_courier.h"
#include "util.h"

struct vm_round {
	struct fence_run *r;
	unsigned int vm;
	struct ticket_courier *courier;
	struct ticket_proposer *proposer; /* the courier's */
	bool under_way;
};

struct fence_run {
	const struct fence_options *o;
	qb_loop_t *loop;
	struct witness_client *client;
	qb_loop_timer_handle timer;
	bool timer_armed;
	uint64_t look; /* counts them: an answer must be to the last */
	/* off */
	struct fence_core *core;
	struct vm_round round[SIGHT_VMS_MAX];
	/* a look alone */
	unsigned int awaited;
	struct sight *sight[WITNESSES_MAX];
	char why[WITNESSES_MAX][TICKET_WHY_MAX];
	struct sent *sent;
};

/* One question of a look on its way. */
struct sent {
	struct fence_run *r;
	uint64_t look;
	struct sent *next, **back;
};

static void pump(struct fence_run *r);

static struct sent *sent_new(struct fence_run *r)
{
	struct sent *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->r = r;
	s->look = r->look;
	s->next = r->sent;
	s->back = &r->sent;
	if (s->next != NULL)
		s->next->back = &s->next;
	r->sent = s;
	return s;
}

static void sent_free(struct sent *s)
{
	*s->back = s->next;
	if (s->next != NULL)
		s->next->back = s->back;
	free(s);
}

/* ---- looks ---- */

static void saw(struct fence_run *r, unsigned int w, struct sight *s,
		const char *why)
{
	if (r->core != NULL) {
		fence_core_saw(r->core, w, s, why, now_boot_ms());
		return;
	}
	sight_free(r->sight[w]);
	r->sight[w] = s;
	snprintf(r->why[w], sizeof(r->why[w]), "%s", why);
	if (--r->awaited == 0)
		qb_loop_stop(r->loop);
}

static const char *name_of(const struct fence_run *r, unsigned int w)
{
	return r->o->witness[w].name;
}

static void on_evidence(void *ctx, unsigned int w, int rc, const json_t *body,
			const char *why)
{
	struct sent *s = ctx;
	struct fence_run *r = s->r;
	bool late = s->look != r->look;
	char err[TICKET_WHY_MAX];
	struct sight *sight = NULL;

	sent_free(s);
	if (late)
		return;
	if (rc == 0 && sight_from_json(&sight, name_of(r, w), body, err,
				       sizeof(err)) < 0)
		why = err;
	saw(r, w, sight, why);
	pump(r);
}

static void look(struct fence_run *r)
{
	json_t *body = json_object();

	r->look++;
	r->awaited = r->o->witnesses;
	for (unsigned int w = 0; w < r->o->witnesses; w++) {
		struct sent *s = sent_new(r);
		int rc = -ENOMEM;

		if (s != NULL && body != NULL)
			rc = witness_client_post(r->client, w, "/v1/evidence",
						 body, on_evidence, s);
		if (rc == 0)
			continue;
		if (s != NULL)
			sent_free(s);
		saw(r, w, NULL, strerror(-rc));
	}
	json_decref(body);
}

/* ---- rounds ---- */

static void on_heard(void *ctx, unsigned int w,
		     const struct ticket_answer *answer, const char *why)
{
	const struct vm_round *v = ctx;

	fence_core_heard(v->r->core, v->vm, w, answer, why);
}

static void on_answered(void *ctx)
{
	const struct vm_round *v = ctx;

	pump(v->r);
}

static int new_courier(struct fence_run *r, unsigned int vm)
{
	static const struct ticket_courier_events events = {
		.heard = on_heard,
		.answered = on_answered,
	};
	struct ticket_proposer_config c = {
		.vm = fence_core_vm(r->core, vm),
		.self = r->o->self,
		.witnesses = r->o->witnesses,
		.answer_ms = r->o->request_timeout_ms,
	};
	struct vm_round *v = &r->round[vm];
	char err[128];
	int rc;

	for (unsigned int i = 0; i < c.witnesses; i++)
		c.name[i] = r->o->witness[i].name;
	v->r = r;
	v->vm = vm;
	rc = ticket_courier_new(&v->courier, &c, r->client, &events, v, err,
				sizeof(err));
	if (rc == 0)
		v->proposer = ticket_courier_proposer(v->courier);
	return rc;
}

static void begin_round(struct fence_run *r, const struct fence_todo *t)
{
	struct ticket_outcome failed = { .rc = -ENOMEM };
	struct vm_round *v = &r->round[t->vm];

	if ((v->courier != NULL || new_courier(r, t->vm) == 0) &&
	    ticket_proposer_start(v->proposer, &t->request, now_boot_ms()) == 0)
		v->under_way = true;
	else
		fence_core_outcome(r->core, t->vm, &failed, now_boot_ms());
}

/* Whatever this proposer has to say and to send.  True when it had any. */
static bool pump_round(struct fence_run *r, unsigned int vm)
{
	struct vm_round *v = &r->round[vm];
	struct ticket_outcome o;
	bool any;

	if (!v->under_way)
		return false;
	any = ticket_courier_send(v->courier);
	if (ticket_proposer_outcome(v->proposer, &o)) {
		v->under_way = false;
		fence_core_outcome(r->core, vm, &o, now_boot_ms());
		any = true;
	}
	return any;
}

static void on_timer(void *data)
{
	struct fence_run *r = data;

	r->timer_armed = false;
	for (unsigned int i = 0; i < SIGHT_VMS_MAX; i++) {
		if (r->round[i].under_way)
			ticket_proposer_tick(r->round[i].proposer, now_boot_ms());
	}
	fence_core_tick(r->core, now_boot_ms());
	pump(r);
}

static void arm(struct fence_run *r)
{
	uint64_t at = fence_core_wake_ms(r->core), now = now_boot_ms();

	for (unsigned int i = 0; i < SIGHT_VMS_MAX; i++) {
		uint64_t wake;

		if (!r->round[i].under_way)
			continue;
		wake = ticket_proposer_wake_ms(r->round[i].proposer);
		if (wake < at)
			at = wake;
	}
	if (r->timer_armed)
		qb_loop_timer_del(r->loop, r->timer);
	r->timer_armed = qb_loop_timer_add(r->loop, QB_LOOP_HIGH,
					   at <= now ? 0
						     : (at - now) * NS_PER_MS,
					   r, on_timer, &r->timer) == 0;
	if (!r->timer_armed)
		qb_loop_stop(r->loop); /* the core runs: a failure */
}

static void pump(struct fence_run *r)
{
	struct fence_todo todo;
	bool again;

	if (r->core == NULL)
		return;
	do {
		again = false;
		while (fence_core_next(r->core, &todo)) {
			if (todo.step == FENCE_LOOK)
				look(r);
			else
				begin_round(r, &todo);
			again = true;
		}
		for (unsigned int i = 0; i < SIGHT_VMS_MAX; i++)
			again |= pump_round(r, i);
	} while (again && fence_core_end(r->core) == FENCE_RUNS);
	if (fence_core_end(r->core) == FENCE_RUNS)
		arm(r);
	else
		qb_loop_stop(r->loop);
}

/* ---- from outside ---- */

int fence_run_off(struct fence_run *r, char *text, size_t text_bytes)
{
	struct fence_core_config c = {
		.target = r->o->plug,
		.witness = r->o->witness,
		.witnesses = r->o->witnesses,
		.vm = r->o->vm,
		.vms = r->o->vms,
		.timeout_ms = r->o->timeout_ms,
		.grace_ms = r->o->grace_ms,
	};

	r->core = fence_core_new(&c, now_boot_ms());
	if (r->core == NULL)
		return set_err(text, text_bytes, -ENOMEM, "out of memory\n");
	pump(r);
	if (fence_core_end(r->core) == FENCE_RUNS)
		qb_loop_run(r->loop);
	if (fence_core_end(r->core) == FENCE_RUNS)
		return set_err(text, text_bytes, -EIO,
			       "%s is not fenced: the loop ended\n",
			       r->o->plug);
	snprintf(text, text_bytes, "%s", fence_core_text(r->core));
	return fence_core_end(r->core) == FENCE_DONE ? 0 : -EIO;
}

void fence_run_look(struct fence_run *r, struct fence_view *v)
{
	look(r);
	if (r->awaited > 0)
		qb_loop_run(r->loop);
	memset(v, 0, sizeof(*v));
	v->witness = r->o->witness;
	v->witnesses = r->o->witnesses;
	v->vm = r->o->vm;
	v->vms = r->o->vms;
	for (unsigned int w = 0; w < v->witnesses; w++) {
		v->sight[w] = r->sight[w];
		v->why[w] = r->why[w];
	}
}

static int new_client(struct fence_run *r, char *err, size_t err_bytes)
{
	const struct fence_options *o = r->o;
	struct witness_client_config c = {
		.self = o->self,
		.witnesses = o->witnesses,
		.key_file = o->key_file,
		.ca_file = o->ca_file[0] != '\0' ? o->ca_file : NULL,
		.timeout_ms = o->request_timeout_ms,
	};

	memcpy(c.witness, o->witness, sizeof(c.witness));
	return witness_client_new(&r->client, &c, r->loop, err, err_bytes);
}

int fence_run_new(struct fence_run **out, const struct fence_options *o,
		  char *err, size_t err_bytes)
{
	struct fence_run *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (r == NULL || (r->loop = qb_loop_create()) == NULL) {
		free(r);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
	r->o = o;
	rc = new_client(r, err, err_bytes);
	if (rc < 0)
		fence_run_free(r);
	else
		*out = r;
	return rc;
}

void fence_run_free(struct fence_run *r)
{
	if (r == NULL)
		return;
	if (r->timer_armed)
		qb_loop_timer_del(r->loop, r->timer);
	witness_client_free(r->client);
	while (r->sent != NULL)
		sent_free(r->sent);
	for (unsigned int i = 0; i < SIGHT_VMS_MAX; i++)
		ticket_courier_free(r->round[i].courier);
	for (unsigned int w = 0; w < WITNESSES_MAX; w++)
		sight_free(r->sight[w]);
	fence_core_free(r->core);
	qb_loop_destroy(r->loop);
	free(r);
}
