/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qdevice_status.h"

#include <errno.h>
#include <string.h>

#include "ticket_register.h"

static const char *vote_word(const struct qdevice_core *c)
{
	if (!c->have_ring || !c->answered)
		return "waiting";
	return c->cast ? "yes" : "no";
}

static uint64_t left(uint64_t until_ms, uint64_t now_ms)
{
	return until_ms > now_ms ? until_ms - now_ms : 0;
}

static json_t *witness_json(const struct qdevice_witness *w,
			    const struct witness_address *a, uint64_t now_ms)
{
	json_t *age = w->answered_ms == 0
			      ? json_null()
			      : json_integer((json_int_t)left(now_ms,
							w->answered_ms));

	return json_pack("{s:s, s:s, s:s, s:b, s:o, s:I, s:b, s:s+}", "name",
			 a->name, "url", a->url, "verdict",
			 qdevice_verdict_to_str(w->verdict), "waiting",
			 w->waiting, "answered_ms", age, "lease_left_ms",
			 (json_int_t)left(w->lease_until_ms, now_ms), "bid",
			 w->bid && w->lease_until_ms > now_ms, "why", w->why,
			 "");
}

static json_t *timing_json(const struct qdevice_timing *t)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "vote_timeout_ms",
			 (json_int_t)t->vote_timeout_ms, "lease_ms",
			 (json_int_t)t->lease_ms, "bid_ms",
			 (json_int_t)t->bid_ms, "interval_ms",
			 (json_int_t)t->interval_ms, "ring_wait_ms",
			 (json_int_t)t->ring_wait_ms);
}

static json_t *ring_json(const struct qdevice_core *c)
{
	return c->have_ring ? json_pack("{s:I, s:I}", "nodeid",
					(json_int_t)c->ring.nodeid, "seq",
					(json_int_t)c->ring.seq)
			    : json_null();
}

json_t *qdevice_status_json(const struct qdevice_core *c,
			    const struct qdevice_config *cfg, uint64_t now_ms)
{
	json_t *members = json_array(), *list = json_array();

	for (unsigned int i = 0; i < c->ring.members.count; i++)
		json_array_append_new(members,
				      json_integer(c->ring.members.id[i]));
	for (unsigned int i = 0; i < c->witnesses; i++)
		json_array_append_new(list, witness_json(&c->witness[i],
							 &cfg->witness[i],
							 now_ms));
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:s, s:I, s:I, s:o, "
			 "s:o}",
			 "model", QDEVICE_MODEL, "cluster", cfg->cluster,
			 "node", cfg->node, "nodeid", (json_int_t)cfg->nodeid,
			 "ring", ring_json(c), "members", members, "vote",
			 vote_word(c), "majority",
			 (json_int_t)ticket_majority(c->witnesses),
			 "lease_left_ms",
			 (json_int_t)qdevice_core_lease_left_ms(c, now_ms),
			 "timing", timing_json(&c->t), "witnesses", list);
}

/* ---- for the log ---- */

static void add(char *out, size_t bytes, const char *text)
{
	size_t at = strlen(out);

	if (at < bytes)
		snprintf(out + at, bytes - at, "%s", text);
}

void qdevice_status_line(const struct qdevice_core *c,
			 const struct qdevice_config *cfg, uint64_t now_ms,
			 char *out, size_t bytes)
{
	unsigned int n = 0, short_ms = 0;
	char text[VOTE_WHY_MAX + VM_NAME_MAX + 32];

	for (unsigned int i = 0; i < c->witnesses; i++)
		n += c->witness[i].lease_until_ms > now_ms;
	snprintf(out, bytes, "%u of %u witnesses granted", n, c->witnesses);
	for (unsigned int i = 0; i < c->witnesses; i++) {
		const struct qdevice_witness *w = &c->witness[i];

		if (w->lease_until_ms > now_ms) {
			if (!w->bid && w->granted_ms < c->t.lease_ms)
				short_ms = w->granted_ms;
			continue;
		}
		snprintf(text, sizeof(text), "; %s: %s", cfg->witness[i].name,
			 w->why[0] != '\0' ? w->why
			 : w->verdict == QDEVICE_GRANTED
				 ? "its lease is over"
				 : qdevice_verdict_to_str(w->verdict));
		add(out, bytes, text);
	}
	if (short_ms == 0)
		return;
	snprintf(text, sizeof(text),
		 "; leases of %u ms instead of %u ms: see vote_lease_max in "
		 "remus-witness.conf(5)",
		 short_ms, c->t.lease_ms);
	add(out, bytes, text);
}

/* ---- for people ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "?" : s;
}

static const char *seconds(char buf[32], const json_t *o, const char *key,
			   bool zero_is_none)
{
	const json_t *j = json_object_get(o, key);
	json_int_t ms = json_integer_value(j);

	if (!json_is_integer(j) || (zero_is_none && ms == 0))
		return "-";
	snprintf(buf, 32, "%.1f s", (double)ms / 1000);
	return buf;
}

static void print_ring(const json_t *s, FILE *to)
{
	const json_t *ring = json_object_get(s, "ring"), *j;
	const char *comma = "";
	size_t i;

	if (!json_is_object(ring)) {
		fputs("no membership yet\n", to);
		return;
	}
	fprintf(to, "ring %x.%llx, members ",
		(unsigned int)json_integer_value(
			json_object_get(ring, "nodeid")),
		(unsigned long long)json_integer_value(
			json_object_get(ring, "seq")));
	json_array_foreach(json_object_get(s, "members"), i, j) {
		fprintf(to, "%s%lld", comma, (long long)json_integer_value(j));
		comma = ",";
	}
	fputs("\n", to);
}

static void print_witness(const json_t *w, FILE *to)
{
	char ago[32], left_s[32], verdict[40];
	bool bid = json_is_true(json_object_get(w, "bid"));

	snprintf(verdict, sizeof(verdict), "%.30s%s", text_of(w, "verdict"),
		 bid ? " (bid)" : "");
	fprintf(to, "  %-10s %-13s %9s %9s  %s\n", text_of(w, "name"), verdict,
		seconds(ago, w, "answered_ms", false),
		seconds(left_s, w, "lease_left_ms", true), text_of(w, "why"));
}

int qdevice_status_print(const json_t *s, FILE *to)
{
	const json_t *list = json_object_get(s, "witnesses"), *w;
	char lease[32];
	size_t i;

	if (!json_is_array(list))
		return -EBADMSG;
	fprintf(to, "%s: node %s (%lld) of cluster %s, ", text_of(s, "model"),
		text_of(s, "node"),
		(long long)json_integer_value(json_object_get(s, "nodeid")),
		text_of(s, "cluster"));
	print_ring(s, to);
	fprintf(to,
		"vote: %s; majority: %lld of %zu witnesses, lease left: %s\n\n"
		"  %-10s %-13s %9s %9s  %s\n",
		text_of(s, "vote"),
		(long long)json_integer_value(json_object_get(s, "majority")),
		json_array_size(list), seconds(lease, s, "lease_left_ms", true),
		"WITNESS", "LAST ANSWER", "AGO", "LEASE", "WHY");
	json_array_foreach(list, i, w)
		print_witness(w, to);
	return 0;
}
