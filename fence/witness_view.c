/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_view.c - /v1/evidence: what this witness sees, as JSON. */
#include <stdio.h>
#include <string.h>

#include "util.h"
#include "witness_message.h"
#include "witness_priv.h"

static json_t *left(uint64_t until_ms, uint64_t now_ms)
{
	return json_integer(until_ms > now_ms ? (json_int_t)(until_ms - now_ms)
					      : 0);
}

/* null: never */
static json_t *age(uint64_t at_ms, uint64_t now_ms)
{
	return at_ms == 0 ? json_null() : json_integer((json_int_t)(now_ms -
								    at_ms));
}

/* json_array_append_new() and the like take a NULL for a failure; then the
 * whole view is given up. */
static json_t *or_nothing(json_t *j, int failed)
{
	if (failed == 0)
		return j;
	json_decref(j);
	return NULL;
}

static json_t *probes(const struct evidence *e, uint64_t now_ms)
{
	json_t *list = json_array();
	int failed = 0;

	for (unsigned int i = 0; i < e->probes; i++) {
		const struct evidence_probe *p = &e->probe[i];

		failed |= json_array_append_new(
			list, json_pack("{s:s, s:b, s:o, s:o, s:s}", "probe",
					p->text, "up", p->up, "answered_ms",
					age(p->answered_ms, now_ms),
					"tried_ms", age(p->tried_ms, now_ms),
					"why", p->why));
	}
	return or_nothing(list, failed);
}

static json_t *reports(const struct evidence *e, uint64_t now_ms)
{
	json_t *list = json_array();
	int failed = 0;

	for (int i = 0; i < 2; i++) {
		const struct evidence_report *r = &e->report[i];

		failed |= json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:s, s:s, s:I, s:b, s:o}",
				  "node", e->node[i], "age_ms",
				  age(r->at_ms, now_ms), "role", r->role,
				  "state", r->state, "generation",
				  (json_int_t)r->generation, "serving",
				  r->serving, "ceased_ms",
				  age(e->ceased_ms[i], now_ms)));
	}
	return or_nothing(list, failed);
}

static json_t *one_vm(const struct watched *v, uint64_t now_ms)
{
	const struct ticket_acceptor *a = &v->acceptor;
	bool leased = a->leased_to[0] != '\0' && a->leased_until_ms > now_ms;
	char why[EVIDENCE_WHY_MAX];
	int where;
	bool seen = evidence_seen(&v->evidence, watched_ticket(v), now_ms,
				  &where, why);

	return json_pack(
		"{s:s, s:[s,s], s:o, s:o, s:o, s:s, s:o, s:o, s:I, s:b, s:s, "
		"s:s, s:o, s:o}",
		"vm", v->config->name, "nodes", v->evidence.node[0],
		v->evidence.node[1], "ticket", ticket_to_json(&a->stored.value),
		"promised", ballot_to_json(&a->stored.promised), "accepted",
		ballot_to_json(&a->stored.accepted), "leased_to",
		leased ? a->leased_to : "", "lease_left_ms",
		left(leased ? a->leased_until_ms : 0, now_ms), "looking_ms",
		json_integer((json_int_t)(now_ms -
					  v->evidence.looking_since_ms)),
		"window_ms", (json_int_t)v->evidence.window_ms, "seen", seen,
		"seen_on", where < 0 ? "" : v->evidence.node[where], "why", why,
		"probes", probes(&v->evidence, now_ms), "reports",
		reports(&v->evidence, now_ms));
}

static const char *name_of(const struct witness_config *c, uint32_t id)
{
	for (unsigned int i = 0; i < c->nodes; i++) {
		if (c->node[i].id == id)
			return c->node[i].name;
	}
	return "";
}

static json_t *one_grant(const struct witness *w, const struct vote_grant *g,
			 uint64_t now_ms)
{
	json_t *members = json_array();
	int failed = 0;

	for (unsigned int i = 0; i < g->members.count; i++)
		failed |= json_array_append_new(members,
						json_integer(g->members.id[i]));
	return json_pack("{s:s, s:o, s:I, s:o}", "node",
			 name_of(w->c, g->nodeid), "members",
			 or_nothing(members, failed), "ring_seq",
			 (json_int_t)g->ring_seq, "left_ms",
			 left(g->until_ms, now_ms));
}

static json_t *vote(const struct witness *w, uint64_t now_ms)
{
	json_t *grants = json_array();
	int failed = 0;

	for (unsigned int i = 0; i < w->vote.grants; i++) {
		if (w->vote.grant[i].until_ms > now_ms)
			failed |= json_array_append_new(
				grants,
				one_grant(w, &w->vote.grant[i], now_ms));
	}
	return json_pack("{s:o, s:o}", "hold_ms",
			 left(w->vote.hold_until_ms, now_ms), "grants",
			 or_nothing(grants, failed));
}

json_t *witness_view(const struct witness *w, const char *only, uint64_t now_ms)
{
	json_t *vms = json_array();
	int failed = 0;

	for (unsigned int i = 0; i < w->c->vms; i++) {
		if (only[0] == '\0' || strcmp(only, w->c->vm[i].name) == 0)
			failed |= json_array_append_new(
				vms, one_vm(&w->vm[i], now_ms));
	}
	return json_pack("{s:s, s:I, s:o, s:o}", "witness", w->c->name, "up_ms",
			 (json_int_t)(now_ms - w->started_boot_ms), "vms",
			 or_nothing(vms, failed), "vote", vote(w, now_ms));
}
