/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sights.h - answers to /v1/evidence, made to order. */
#ifndef TESTS_FENCE_SIGHTS_H
#define TESTS_FENCE_SIGHTS_H

#include <stdio.h>
#include <string.h>

#include "fence_sight.h"

/* What witness w says of machine `vm` of alpha and beta. */
struct made {
	const char *vm;		/* NULL: "web" */
	const char *nodes;	/* NULL: alpha and beta */
	const char *state;	/* of the ticket; NULL: protected(alpha,beta) */
	const char *holder, *backup;
	unsigned int ballot;	/* that was accepted; 0: 7 */
	const char *seen_on;	/* NULL: nothing is seen; "": not known whose */
	const char *leased_to;
	int looking_ms;		/* 0: long */
	const char *alpha, *beta; /* JSON of a report, without the node */
};

#define SERVES "\"age_ms\":80,\"role\":\"primary\",\"state\":\"protected\"," \
	       "\"generation\":3,\"serving\":true,\"ceased_ms\":null"
#define STANDS_BY "\"age_ms\":80,\"role\":\"backup\",\"state\":\"standby\"," \
		  "\"generation\":3,\"serving\":false,\"ceased_ms\":null"
#define NEVER "\"age_ms\":null"

static inline int made_text(char *buf, size_t bytes, const struct made *m)
{
	return snprintf(
		buf, bytes,
		"{\"vm\":\"%s\",\"nodes\":%s,\"ticket\":{\"generation\":3,"
		"\"state\":\"%s\",\"holder\":\"%s\",\"backup\":\"%s\"},"
		"\"promised\":{\"n\":9,\"proposer\":\"00c0ffee00c0ffee\"},"
		"\"accepted\":{\"n\":%u,\"proposer\":\"00c0ffee00c0ffee\"},"
		"\"leased_to\":\"%s\",\"lease_left_ms\":%d,"
		"\"looking_ms\":%d,\"window_ms\":1250,\"seen\":%s,"
		"\"seen_on\":\"%s\",\"why\":\"%s\",\"probes\":[],"
		"\"reports\":[{\"node\":\"alpha\",%s},"
		"{\"node\":\"beta\",%s}]}",
		m->vm != NULL ? m->vm : "web",
		m->nodes != NULL ? m->nodes : "[\"alpha\",\"beta\"]",
		m->state != NULL ? m->state : "protected",
		m->holder != NULL ? m->holder : "alpha",
		m->backup != NULL ? m->backup
		: m->state == NULL ? "beta" : "",
		m->ballot != 0 ? m->ballot : 7,
		m->leased_to != NULL ? m->leased_to : "",
		m->leased_to != NULL ? 700 : 0,
		m->looking_ms != 0 ? m->looking_ms : 5000,
		m->seen_on != NULL ? "true" : "false",
		m->seen_on != NULL ? m->seen_on : "",
		m->seen_on != NULL ? "service tcp:192.0.2.9:80 answered 120 "
				     "ms ago" : "",
		m->alpha != NULL ? m->alpha : NEVER,
		m->beta != NULL ? m->beta : NEVER);
}

static inline json_t *made_json(const char *witness, const struct made *m,
				unsigned int n)
{
	char text[16384], one[2048];
	size_t at;

	at = (size_t)snprintf(text, sizeof(text),
			      "{\"witness\":\"%s\",\"up_ms\":9,\"vms\":[",
			      witness);
	for (unsigned int i = 0; i < n; i++) {
		made_text(one, sizeof(one), &m[i]);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
				       i > 0 ? "," : "", one);
	}
	snprintf(text + at, sizeof(text) - at, "]}");
	return json_loads(text, 0, NULL);
}

static inline struct sight *made_sight(const char *witness,
				       const struct made *m, unsigned int n)
{
	json_t *j = made_json(witness, m, n);
	struct sight *s = NULL;
	char err[256];

	if (sight_from_json(&s, witness, j, err, sizeof(err)) < 0)
		fprintf(stderr, "made_sight: %s\n", err);
	json_decref(j);
	return s;
}

#endif
