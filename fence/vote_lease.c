/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vote_lease.h"

#include <stdio.h>
#include <string.h>

#include "ticket_register.h"

static uint64_t with_drift(uint32_t ms)
{
	return ms + ((uint64_t)ms * TICKET_DRIFT_PERMILLE + 999) / 1000;
}

void vote_lease_init(struct vote_lease *v, uint32_t lease_max_ms,
		     uint64_t now_ms)
{
	memset(v, 0, sizeof(*v));
	v->lease_max_ms = lease_max_ms;
	v->hold_until_ms = now_ms + with_drift(lease_max_ms);
}

const char *vote_set_to_str(const struct vote_set *s, char *buf, size_t bytes)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < s->count && at < bytes; i++)
		at += (size_t)snprintf(buf + at, bytes - at, "%s%u",
				       i > 0 ? "," : "", s->id[i]);
	return buf;
}

static bool has(const struct vote_set *s, uint32_t id)
{
	for (unsigned int i = 0; i < s->count; i++) {
		if (s->id[i] == id)
			return true;
	}
	return false;
}

/* All of `part` is in `whole`. */
static bool within(const struct vote_set *part, const struct vote_set *whole)
{
	for (unsigned int i = 0; i < part->count; i++) {
		if (!has(whole, part->id[i]))
			return false;
	}
	return true;
}

static bool same(const struct vote_set *a, const struct vote_set *b)
{
	return a->count == b->count && within(a, b);
}

bool vote_request_ok(const struct vote_request *r)
{
	const struct vote_set *s = &r->members;

	if (s->count == 0 || s->count > VOTE_NODES_MAX)
		return false;
	for (unsigned int i = 0; i < s->count; i++) {
		if (s->id[i] == 0 || (i > 0 && s->id[i] <= s->id[i - 1]))
			return false;
	}
	return has(s, r->nodeid);
}

/* What has run out is forgotten. */
static void expire(struct vote_lease *v, uint64_t now_ms)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < v->grants; i++) {
		if (v->grant[i].until_ms > now_ms)
			v->grant[kept++] = v->grant[i];
	}
	v->grants = kept;
}

static uint32_t left(uint64_t until_ms, uint64_t now_ms)
{
	uint64_t ms = until_ms > now_ms ? until_ms - now_ms : 0;

	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static struct vote_grant *grant_of(struct vote_lease *v, uint32_t nodeid)
{
	for (unsigned int i = 0; i < v->grants; i++) {
		if (v->grant[i].nodeid == nodeid)
			return &v->grant[i];
	}
	return NULL;
}

/* The other nodes' lease that delays this request longest, or NULL. */
static const struct vote_grant *in_the_way(const struct vote_lease *v,
					   const struct vote_request *r)
{
	bool other_cluster = strcmp(v->cluster, r->cluster) != 0;
	const struct vote_grant *found = NULL;

	for (unsigned int i = 0; i < v->grants; i++) {
		const struct vote_grant *g = &v->grant[i];

		if (!other_cluster &&
		    (g->nodeid == r->nodeid ||
		     within(&g->members, &r->members) ||
		     within(&r->members, &g->members)))
			continue;
		if (found == NULL || g->until_ms > found->until_ms)
			found = g;
	}
	return found;
}

static bool has_lease(const struct vote_lease *v, const struct vote_set *s)
{
	for (unsigned int i = 0; i < v->grants; i++) {
		if (same(&v->grant[i].members, s))
			return true;
	}
	return false;
}

static void give(struct vote_lease *v, const struct vote_request *r,
		 uint64_t now_ms, struct vote_answer *a)
{
	uint32_t ms = r->lease_ms < v->lease_max_ms ? r->lease_ms
						    : v->lease_max_ms;
	struct vote_grant *g = grant_of(v, r->nodeid);
	uint64_t until = now_ms + with_drift(ms);

	if (g == NULL && v->grants == VOTE_NODES_MAX) {
		snprintf(a->why, sizeof(a->why), "too many nodes");
		return;
	}
	if (g == NULL)
		g = &v->grant[v->grants++];
	else if (same(&g->members, &r->members) && g->until_ms > until)
		until = g->until_ms; /* a longer one is out there */
	g->nodeid = r->nodeid;
	g->ring_seq = r->ring_seq;
	g->members = r->members;
	g->until_ms = until;
	strcpy(v->cluster, r->cluster);
	a->granted = true;
	a->lease_ms = ms;
}

static void refuse_for(const struct vote_grant *g, uint64_t now_ms,
		       struct vote_answer *a)
{
	char members[VOTE_WHY_MAX / 2];

	a->wait_ms = left(g->until_ms, now_ms);
	snprintf(a->why, sizeof(a->why),
		 "node %u has a lease for the members %s for %u ms more",
		 g->nodeid, vote_set_to_str(&g->members, members,
					    sizeof(members)),
		 a->wait_ms);
}

void vote_lease_on(struct vote_lease *v, const struct vote_request *r,
		   const char *elsewhere, uint64_t now_ms,
		   struct vote_answer *a)
{
	const struct vote_grant *g;

	memset(a, 0, sizeof(*a));
	expire(v, now_ms);
	g = grant_of(v, r->nodeid);
	if (now_ms < v->hold_until_ms) {
		a->wait_ms = left(v->hold_until_ms, now_ms);
		snprintf(a->why, sizeof(a->why),
			 "just started: leases of before may last %u ms more",
			 a->wait_ms);
	} else if (g != NULL && strcmp(v->cluster, r->cluster) == 0 &&
		   (r->ring_seq < g->ring_seq ||
		    (r->ring_seq == g->ring_seq &&
		     !same(&g->members, &r->members)))) {
		a->wait_ms = left(g->until_ms, now_ms);
		snprintf(a->why, sizeof(a->why),
			 "node %u was granted a lease in a later ring",
			 r->nodeid);
	} else if ((g = in_the_way(v, r)) != NULL) {
		refuse_for(g, now_ms, a);
	} else if (elsewhere != NULL && !has_lease(v, &r->members)) {
		snprintf(a->why, sizeof(a->why), "%s", elsewhere);
	} else {
		give(v, r, now_ms, a);
	}
}
