/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qdevice_ask.c - the witnesses' side of remus-qdevice: /v1/vote. */
#include <errno.h>
#include <jansson.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qdevice_daemon.h"
#include "witness_message.h"

struct asked {
	struct daemon *d;
	uint64_t id;
	struct asked *next, **back;
};

static struct asked *asked_new(struct daemon *d, uint64_t id)
{
	struct asked *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->d = d;
	a->id = id;
	a->next = d->asked;
	a->back = &d->asked;
	if (a->next != NULL)
		a->next->back = &a->next;
	d->asked = a;
	return a;
}

static void asked_free(struct asked *a)
{
	*a->back = a->next;
	if (a->next != NULL)
		a->next->back = a->back;
	free(a);
}

static json_t *question(const struct daemon *d, uint32_t lease_ms)
{
	const struct qdevice_ring *r = &d->core.ring;
	json_t *members = json_array();

	for (unsigned int i = 0; i < r->members.count; i++)
		json_array_append_new(members, json_integer(r->members.id[i]));
	return json_pack("{s:s, s:I, s:{s:I, s:I}, s:o, s:I}", "cluster",
			 d->cfg.cluster, "nodeid", (json_int_t)d->cfg.nodeid,
			 "ring", "nodeid", (json_int_t)r->nodeid, "seq",
			 (json_int_t)r->seq, "members", members, "lease_ms",
			 (json_int_t)lease_ms);
}

/* S8: what cannot be understood is no answer. */
static int understand(const json_t *body, struct qdevice_answer *a,
		      char why[VOTE_WHY_MAX], size_t why_bytes)
{
	uint64_t lease = 0, wait = 0;
	char err[128];
	int rc;

	rc = member_bool(body, "granted", &a->granted, err, sizeof(err));
	if (rc == 0)
		rc = member_uint(body, "lease_ms", 0, TICKET_LEASE_MS_MAX,
				 &lease, err, sizeof(err));
	if (rc == 0 && json_object_get(body, "wait_ms") != NULL)
		rc = member_uint(body, "wait_ms", 0, UINT32_MAX, &wait, err,
				 sizeof(err));
	if (rc == 0)
		rc = member_text(body, "why", why, why_bytes, err,
				 sizeof(err));
	if (rc < 0)
		return set_err(why, why_bytes, rc, "its answer: %s", err);
	a->lease_ms = (uint32_t)lease;
	a->wait_ms = (uint32_t)wait;
	return 0;
}

static void log_verdict(const struct daemon *d, unsigned int witness,
			enum qdevice_verdict before)
{
	const struct qdevice_witness *w = &d->core.witness[witness];

	if (w->verdict == before || w->verdict == QDEVICE_NOT_ASKED)
		return;
	qb_log(w->verdict == QDEVICE_NO_ANSWER ? LOG_WARNING : LOG_INFO,
	       "witness %s: %s%s%s", d->cfg.witness[witness].name,
	       qdevice_verdict_to_str(w->verdict),
	       w->why[0] == '\0' ? "" : ": ", w->why);
}

static void on_answer(void *ctx, unsigned int witness, int rc,
		      const json_t *body, const char *why)
{
	struct qdevice_answer a = { .rc = rc };
	char text[VOTE_WHY_MAX] = "";
	struct asked *asked = ctx;
	struct daemon *d = asked->d;
	enum qdevice_verdict before = d->core.witness[witness].verdict;
	uint64_t id = asked->id;

	asked_free(asked);
	if (rc == 0)
		a.rc = understand(body, &a, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%s", why);
	for (char *ch = text; *ch != '\0'; ch++) { /* it goes into logs */
		if ((unsigned char)*ch < ' ' || *ch == 0x7f)
			*ch = '?';
	}
	a.why = text;
	qdevice_core_answer(&d->core, witness, id, &a, now_boot_ms());
	log_verdict(d, witness, before);
	qdevice_pump(d);
}

void qdevice_ask(struct daemon *d, const struct qdevice_action *a)
{
	struct qdevice_answer failed = { .why = "it could not be asked" };
	struct asked *asked = asked_new(d, a->id);
	json_t *body = question(d, a->lease_ms);
	int rc = -ENOMEM;

	if (asked != NULL && body != NULL)
		rc = witness_client_post(d->client, a->witness, "/v1/vote",
					 body, on_answer, asked);
	json_decref(body);
	if (rc == 0)
		return;
	if (asked != NULL)
		asked_free(asked);
	failed.rc = rc;
	qdevice_core_answer(&d->core, a->witness, a->id, &failed, now_boot_ms());
}

void qdevice_ask_forget(struct daemon *d)
{
	while (d->asked != NULL)
		asked_free(d->asked);
}
