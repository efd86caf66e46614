/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "witness_evidence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void evidence_init(struct evidence *e, const char *a, const char *b,
		   uint32_t interval_ms, uint32_t timeout_ms, uint64_t now_ms)
{
	memset(e, 0, sizeof(*e));
	e->node[0] = a;
	e->node[1] = b;
	e->probe_ms = interval_ms + timeout_ms;
	e->window_ms = e->probe_ms > EVIDENCE_REPORT_MS ? e->probe_ms
							: EVIDENCE_REPORT_MS;
	e->looking_since_ms = now_ms;
}

void evidence_blinked(struct evidence *e, uint64_t now_ms)
{
	e->looking_since_ms = now_ms;
}

static int index_of(const struct evidence *e, const char *node)
{
	for (int i = 0; i < 2; i++) {
		if (strcmp(e->node[i], node) == 0)
			return i;
	}
	return -1;
}

void evidence_probed(struct evidence *e, unsigned int i, bool up,
		     uint64_t asked_ms, uint64_t now_ms, const char *why)
{
	struct evidence_probe *p = &e->probe[i];

	p->up = up;
	p->tried_ms = now_ms;
	if (up) {
		p->asked_ms = asked_ms;
		p->answered_ms = now_ms;
	}
	snprintf(p->why, sizeof(p->why), "%s", up ? "" : why);
	for (char *ch = p->why; *ch != '\0'; ch++) { /* it becomes JSON */
		if (*ch < ' ' || *ch > '~')
			*ch = '?';
	}
}

static bool serves(const struct evidence *e, int i, uint64_t now_ms)
{
	const struct evidence_report *r = &e->report[i];

	return r->at_ms != 0 && r->serving &&
	       now_ms - r->at_ms <= EVIDENCE_REPORT_MS;
}

int evidence_reported(struct evidence *e, const char *node,
		      const struct evidence_report *r, uint64_t now_ms)
{
	int i = index_of(e, node);

	if (i < 0)
		return -ENOENT;
	if (r->ceased && !r->serving && e->report[i].serving &&
	    !serves(e, !i, now_ms)) {
		e->void_until_ms = now_ms;
		e->ceased_ms[i] = now_ms;
	}
	e->report[i] = *r;
	e->report[i].at_ms = now_ms;
	return 0;
}

static bool report_line(const struct evidence *e, int i, uint64_t now_ms,
			char why[EVIDENCE_WHY_MAX])
{
	if (!serves(e, i, now_ms))
		return false;
	snprintf(why, EVIDENCE_WHY_MAX, "%s's remusd served %llu ms ago",
		 e->node[i],
		 (unsigned long long)(now_ms - e->report[i].at_ms));
	return true;
}

/* The service answered, as far as that was not taken back. */
static bool service_line(const struct evidence *e, uint64_t now_ms,
			 char why[EVIDENCE_WHY_MAX])
{
	for (unsigned int i = 0; i < e->probes; i++) {
		const struct evidence_probe *p = &e->probe[i];

		if (p->answered_ms == 0 || p->asked_ms <= e->void_until_ms ||
		    now_ms - p->answered_ms > e->probe_ms)
			continue;
		snprintf(why, EVIDENCE_WHY_MAX,
			 "service %.64s answered %llu ms ago", p->text,
			 (unsigned long long)(now_ms - p->answered_ms));
		return true;
	}
	return false;
}

/* Whose is the copy that answers: 0, 1, or -1: not known. */
static int whose(const struct evidence *e, const struct ticket *accepted,
		 uint64_t now_ms)
{
	for (int i = 0; i < 2; i++) {
		if (serves(e, i, now_ms) && !serves(e, !i, now_ms) &&
		    (accepted == NULL ||
		     e->report[i].generation >= accepted->generation))
			return i;
	}
	return accepted == NULL ? -1 : index_of(e, accepted->holder);
}

static bool against_fence(const struct evidence *e, const char *target,
			  const struct ticket *accepted, uint64_t now_ms,
			  char why[EVIDENCE_WHY_MAX])
{
	int t = index_of(e, target), w;

	if (t >= 0 && report_line(e, t, now_ms, why))
		return true;
	if (t < 0 || !service_line(e, now_ms, why))
		return false;
	w = whose(e, accepted, now_ms);
	if (w >= 0 && w != t)
		why[0] = '\0';
	return w < 0 || w == t;
}

bool evidence_against(const struct evidence *e, const struct ticket_message *m,
		      const struct ticket *accepted, uint64_t now_ms,
		      char why[EVIDENCE_WHY_MAX])
{
	why[0] = '\0';
	if (m->question != TICKET_PREPARE ||
	    (m->purpose != TICKET_FOR_TAKEOVER &&
	     m->purpose != TICKET_FOR_BOOT && m->purpose != TICKET_FOR_FENCE))
		return false;
	if (now_ms - e->looking_since_ms < e->window_ms) {
		snprintf(why, EVIDENCE_WHY_MAX,
			 "just started, not looked for %u ms yet",
			 e->window_ms);
		return true;
	}
	if (m->purpose == TICKET_FOR_FENCE)
		return against_fence(e, m->target, accepted, now_ms, why);
	for (int i = 0; i < 2; i++) {
		if (strcmp(e->node[i], m->from) != 0 &&
		    report_line(e, i, now_ms, why))
			return true;
	}
	return service_line(e, now_ms, why);
}

bool evidence_seen(const struct evidence *e, const struct ticket *accepted,
		   uint64_t now_ms, int *where, char why[EVIDENCE_WHY_MAX])
{
	why[0] = '\0';
	*where = -1;
	for (int i = 0; i < 2; i++) {
		if (report_line(e, i, now_ms, why)) {
			*where = i;
			return true;
		}
	}
	if (!service_line(e, now_ms, why))
		return false;
	*where = whose(e, accepted, now_ms);
	return true;
}
