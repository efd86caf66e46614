/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_vote.c - a witness answers /v1/vote: remus-qdevice asks for the vote. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util.h"
#include "witness_message.h"
#include "witness_priv.h"

static bool is_member(const struct vote_set *s, uint32_t id)
{
	for (unsigned int i = 0; i < s->count; i++) {
		if (s->id[i] == id)
			return true;
	}
	return false;
}

static int vote_from_json(struct vote_request *r, const json_t *o, char *err,
			  size_t n)
{
	const json_t *ring = json_object_get(o, "ring");
	const json_t *members = json_object_get(o, "members");
	uint64_t id, ring_id, ms;

	memset(r, 0, sizeof(*r));
	if (member_name(o, "cluster", true, r->cluster, err, n) < 0 ||
	    member_uint(o, "nodeid", 1, UINT32_MAX, &id, err, n) < 0 ||
	    member_uint(ring, "nodeid", 0, UINT32_MAX, &ring_id, err, n) < 0 ||
	    member_uint(ring, "seq", 0, INT64_MAX, &r->ring_seq, err, n) < 0 ||
	    member_uint(o, "lease_ms", 100, 600000, &ms, err, n) < 0)
		return -EBADMSG;
	if (!json_is_array(members) ||
	    json_array_size(members) > VOTE_NODES_MAX)
		return set_err(err, n, -EBADMSG,
			       "members: expected at most %d node ids",
			       VOTE_NODES_MAX);
	for (size_t i = 0; i < json_array_size(members); i++) {
		const json_t *m = json_array_get(members, i);
		json_int_t v = json_integer_value(m);

		if (!json_is_integer(m) || v < 1 || v > UINT32_MAX)
			return set_err(err, n, -EBADMSG,
				       "members: expected node ids");
		r->members.id[r->members.count++] = (uint32_t)v;
	}
	r->nodeid = (uint32_t)id;
	r->ring_nodeid = (uint32_t)ring_id;
	r->lease_ms = (uint32_t)ms;
	if (!vote_request_ok(r))
		return set_err(err, n, -EBADMSG,
			       "members: expected rising ids, with nodeid "
			       "among them");
	return 0;
}

/* A node outside the asking partition that is seen serving: a line, or NULL. */
static const char *seen_elsewhere(struct witness_call *call,
				  const struct vote_request *r, char *line,
				  size_t line_bytes)
{
	const struct witness *w = call->w;
	char why[EVIDENCE_WHY_MAX];

	for (unsigned int i = 0; i < w->c->vms; i++) {
		const struct watched *v = &w->vm[i];
		const struct witness_node *n;
		int where;

		if (!evidence_seen(&v->evidence, watched_ticket(v),
				   call->now_ms, &where, why) ||
		    where < 0)
			continue;
		n = &w->c->node[v->config->node[where]];
		if (n->id == 0 || is_member(&r->members, n->id))
			continue;
		snprintf(line, line_bytes, "%s is seen on %s: %s",
			 v->config->name, n->name, why);
		return line;
	}
	return NULL;
}

static const char *vote_is_wrong(const struct witness_call *call,
				 const struct vote_request *r)
{
	const struct witness_config *c = call->w->c;

	if (c->cluster[0] != '\0' && strcmp(c->cluster, r->cluster) != 0)
		return "cluster: not this witness's";
	if (c->node[call->node].id != r->nodeid)
		return "nodeid: not that of this node in this witness's "
		       "configuration";
	for (unsigned int i = 0; i < r->members.count; i++) {
		bool known = false;

		for (unsigned int j = 0; j < c->nodes; j++)
			known |= c->node[j].id == r->members.id[i];
		if (!known)
			return "members: an id that is not in this witness's "
			       "configuration";
	}
	return NULL;
}

json_t *witness_on_vote(struct witness_call *call, unsigned int *status)
{
	char line[VOTE_WHY_MAX];
	struct vote_request r;
	struct vote_answer a;
	const char *wrong;

	if (vote_from_json(&r, call->body, call->why, sizeof(call->why)) < 0)
		return witness_refuse(call, status, 400, NULL);
	wrong = vote_is_wrong(call, &r);
	if (wrong != NULL)
		return witness_refuse(call, status, 400, wrong);
	vote_lease_on(&call->w->vote, &r,
		      seen_elsewhere(call, &r, line, sizeof(line)),
		      call->now_ms, &a);
	return json_pack("{s:b, s:I, s:I, s:s}", "granted", a.granted,
			 "lease_ms", (json_int_t)a.lease_ms, "wait_ms",
			 (json_int_t)a.wait_ms, "why", a.why);
}
