/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_evidence.h - what one witness sees of one virtual machine: its own
 * probes of the service, and what each node's remusd reports.  Pure.
 *
 * A probe tells that some copy answers, not which.  So
 * - for TAKEOVER and BOOT any answer counts: the asker's own copy is not out
 *   yet.  A remusd counts that serves and is not the asker's.
 * - for FENCE it counts that the target's remusd serves; an answer counts
 *   unless somebody else explains it: another node's remusd that serves in
 *   this generation or a later one, or a ticket that is another's.
 *
 * A node that has ceased to serve on purpose takes its evidence back: probes
 * that were answered before say nothing more.  Only what was its own: it must
 * have reported before that it served, and no other node must.
 *
 * Who has not looked yet has not seen nothing: for `window_ms` after a start,
 * or after a time in which this process could not run, all of the three are
 * refused.
 */
#ifndef REMUS_WITNESS_EVIDENCE_H
#define REMUS_WITNESS_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ticket_register.h"

#define EVIDENCE_PROBES_MAX 4
#define EVIDENCE_REPORT_MS 1000 /* a report is fresh for so long */
#define EVIDENCE_TEXT_MAX 33
#define EVIDENCE_WHY_MAX 160

struct evidence_probe {
	const char *text; /* "tcp:192.0.2.10:80" */
	bool up;	  /* the last attempt */
	uint64_t tried_ms, asked_ms, answered_ms; /* 0: never */
	char why[96];				  /* it failed */
};

struct evidence_report {
	uint64_t at_ms; /* 0: never */
	char role[EVIDENCE_TEXT_MAX], state[EVIDENCE_TEXT_MAX];
	uint64_t generation;
	bool serving, ceased;
};

struct evidence {
	const char *node[2];
	struct evidence_report report[2];
	uint64_t ceased_ms[2]; /* when it last took its evidence back */
	struct evidence_probe probe[EVIDENCE_PROBES_MAX];
	unsigned int probes;
	uint32_t probe_ms;  /* interval + timeout */
	uint32_t window_ms; /* to look before an empty sight counts */
	uint64_t looking_since_ms;
	uint64_t void_until_ms; /* probes that asked before do not count */
};

/* Names and texts are kept by the caller.  Looks from now on. */
void evidence_init(struct evidence *e, const char *a, const char *b,
		   uint32_t interval_ms, uint32_t timeout_ms, uint64_t now_ms);
/* There was a time without looking. */
void evidence_blinked(struct evidence *e, uint64_t now_ms);

/* An attempt of probe i that began at asked_ms has ended. */
void evidence_probed(struct evidence *e, unsigned int i, bool up,
		     uint64_t asked_ms, uint64_t now_ms, const char *why);
/* -ENOENT: not a node of this virtual machine. */
int evidence_reported(struct evidence *e, const char *node,
		      const struct evidence_report *r, uint64_t now_ms);

/* Must the round `m` be refused?  `accepted`: the ticket as accepted here,
 * NULL for nothing yet.  True with a line. */
bool evidence_against(const struct evidence *e, const struct ticket_message *m,
		      const struct ticket *accepted, uint64_t now_ms,
		      char why[EVIDENCE_WHY_MAX]);

/* Is a copy seen, and on which node (0, 1; -1: not known)?  With a line. */
bool evidence_seen(const struct evidence *e, const struct ticket *accepted,
		   uint64_t now_ms, int *where, char why[EVIDENCE_WHY_MAX]);

#endif
