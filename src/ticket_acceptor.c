/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_acceptor.c - see ticket_acceptor.h, and ticket_register.h for why. */
#include "ticket_acceptor.h"

#include <stdio.h>
#include <string.h>

#include "util.h"

#define ANYBODY "*"

static void lease_to(struct ticket_acceptor *a, const char *who,
		     uint64_t until_ms)
{
	/* Never shorter: what was given cannot be taken back. */
	if (strcmp(a->leased_to, who) == 0 && a->leased_until_ms > until_ms)
		return;
	memset(a->leased_to, 0, sizeof(a->leased_to));
	memcpy(a->leased_to, who, strnlen(who, VM_NAME_MAX));
	a->leased_until_ms = until_ms;
}

static bool lease_runs(const struct ticket_acceptor *a, uint64_t now_ms)
{
	return a->leased_to[0] != '\0' && now_ms < a->leased_until_ms;
}

void ticket_acceptor_restart(struct ticket_acceptor *a, uint64_t now_ms,
			     uint32_t lease_max_ms)
{
	uint64_t over = ticket_lease_over_ms(now_ms, lease_max_ms);

	memset(a->leased_to, 0, sizeof(a->leased_to));
	a->leased_until_ms = 0;
	if (a->stored.promised.n == 0 && a->stored.accepted.n == 0)
		return;
	/* alone(X) was accepted after all leases of others had run out. */
	lease_to(a,
		 a->stored.value.state == TICKET_ALONE ? a->stored.value.holder :
							 ANYBODY,
		 over);
}

/* ---- is it a message at all? ---- */

static bool ballot_is_sound(const struct ballot *b)
{
	return b->n != 0 && b->n <= TICKET_BALLOT_MAX && b->proposer != 0;
}

static bool alone_of(const struct ticket *t, const char *who)
{
	return t->state == TICKET_ALONE && strcmp(t->holder, who) == 0;
}

static const char *bad_round(const struct ticket_message *m)
{
	if (!ballot_is_sound(&m->ballot))
		return "no ballot";
	if ((unsigned int)m->purpose > TICKET_FOR_FENCE)
		return "no such purpose";
	if (m->purpose == TICKET_FOR_FENCE &&
	    (m->target[0] == '\0' || strcmp(m->target, m->from) == 0))
		return "fencing nobody, or oneself";
	return NULL;
}

static const char *bad_value(const struct ticket_message *m,
			     uint32_t lease_max_ms)
{
	if (!ticket_is_sound(&m->value))
		return "no such ticket";
	if (m->lease_ms == 0)
		return m->question == TICKET_RENEW ? "a lease of no time" :
						     NULL;
	if (!alone_of(&m->value, m->from))
		return "a lease of another's ticket";
	if (m->lease_ms < TICKET_LEASE_MS_MIN ||
	    m->lease_ms > TICKET_LEASE_MS_MAX || m->lease_ms > lease_max_ms)
		return "lease too short or too long for this witness";
	return NULL;
}

static const char *bad_message(const struct ticket_message *m,
			       uint32_t lease_max_ms)
{
	const char *why = NULL;

	if (m->from[0] == '\0' || strcmp(m->from, ANYBODY) == 0)
		return "from nobody";
	switch (m->question) {
	case TICKET_PREPARE:
		return bad_round(m);
	case TICKET_ACCEPT:
		why = bad_round(m);
		return why != NULL ? why : bad_value(m, lease_max_ms);
	case TICKET_RENEW:
		return bad_value(m, lease_max_ms);
	}
	return "no such question";
}

/* ---- the three questions ---- */

static void refuse(struct ticket_answer *answer, enum ticket_reply reply,
		   const char *why)
{
	answer->reply = reply;
	if (why != NULL)
		snprintf(answer->why, sizeof(answer->why), "%s", why);
}

static bool wants_nobody_seen(enum ticket_purpose p)
{
	return p == TICKET_FOR_TAKEOVER || p == TICKET_FOR_BOOT ||
	       p == TICKET_FOR_FENCE;
}

static void refuse_ballot(const struct ticket_acceptor *a,
			  struct ticket_answer *answer)
{
	refuse(answer, TICKET_REFUSED_BALLOT, NULL);
	answer->ballot = a->stored.promised;
}

static bool on_prepare(struct ticket_acceptor *a,
		       const struct ticket_message *m,
		       const struct ticket_evidence *seen,
		       struct ticket_answer *answer)
{
	int cmp = ballot_cmp(&m->ballot, &a->stored.promised);

	/* Doubled, before its ACCEPT: the same promise once more. */
	if (cmp < 0 ||
	    (cmp == 0 && ballot_cmp(&m->ballot, &a->stored.accepted) == 0)) {
		refuse_ballot(a, answer);
		return false;
	}
	if (wants_nobody_seen(m->purpose) && seen != NULL && seen->seen) {
		refuse(answer, TICKET_REFUSED_SEEN, seen->why);
		return false;
	}
	a->stored.promised = m->ballot;
	answer->reply = TICKET_PROMISE;
	answer->ballot = a->stored.accepted;
	answer->value = a->stored.value;
	return cmp != 0;
}

/* What is left of a lease that would hurt who asks. */
static uint32_t lease_left(const struct ticket_acceptor *a,
			   const struct ticket_message *m, uint64_t now_ms)
{
	uint64_t left;

	if (!lease_runs(a, now_ms))
		return 0;
	if (strcmp(a->leased_to, ANYBODY) != 0 &&
	    (m->purpose == TICKET_FOR_FENCE ?
		     strcmp(a->leased_to, m->target) != 0 :
		     strcmp(a->leased_to, m->from) == 0))
		return 0;
	left = a->leased_until_ms - now_ms;
	return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

static bool gives_back(const struct ticket_acceptor *a,
		       const struct ticket_message *m)
{
	return strcmp(a->leased_to, m->from) == 0 &&
	       !alone_of(&m->value, m->from) &&
	       (m->purpose == TICKET_FOR_PROTECTED ||
		m->purpose == TICKET_FOR_END);
}

static bool on_accept(struct ticket_acceptor *a, const struct ticket_message *m,
		      uint64_t now_ms, struct ticket_answer *answer)
{
	bool news;

	if (ballot_cmp(&m->ballot, &a->stored.promised) < 0) {
		refuse_ballot(a, answer);
		return false;
	}
	if (m->value.state == TICKET_ALONE && lease_runs(a, now_ms) &&
	    strcmp(a->leased_to, m->value.holder) != 0) {
		refuse(answer, TICKET_REFUSED_LEASE, NULL);
		answer->lease_left_ms = (uint32_t)(a->leased_until_ms - now_ms);
		snprintf(answer->why, sizeof(answer->why),
			 "a lease of %.64s runs for another %u ms",
			 strcmp(a->leased_to, ANYBODY) == 0 ? "somebody" :
							      a->leased_to,
			 answer->lease_left_ms);
		return false;
	}
	news = ballot_cmp(&m->ballot, &a->stored.accepted) != 0;
	a->stored.promised = a->stored.accepted = m->ballot;
	a->stored.value = m->value;
	answer->reply = TICKET_ACCEPTED;
	answer->lease_left_ms = lease_left(a, m, now_ms);
	if (gives_back(a, m)) {
		memset(a->leased_to, 0, sizeof(a->leased_to));
		a->leased_until_ms = 0;
	} else if (m->lease_ms != 0) {
		lease_to(a, m->from, ticket_lease_over_ms(now_ms, m->lease_ms));
	}
	return news;
}

static void on_renew(struct ticket_acceptor *a, const struct ticket_message *m,
		     uint64_t now_ms, struct ticket_answer *answer)
{
	if (a->stored.accepted.n == 0 ||
	    !ticket_equal(&m->value, &a->stored.value)) {
		refuse(answer, TICKET_REFUSED_VALUE, NULL);
		answer->ballot = a->stored.accepted;
		answer->value = a->stored.value;
		return;
	}
	lease_to(a, m->from, ticket_lease_over_ms(now_ms, m->lease_ms));
	answer->reply = TICKET_RENEWED;
}

void ticket_acceptor_on(struct ticket_acceptor *a,
			const struct ticket_message *m,
			const struct ticket_evidence *seen, uint64_t now_ms,
			uint32_t lease_max_ms, struct ticket_answer *answer,
			bool *store)
{
	const char *bad = bad_message(m, lease_max_ms);

	memset(answer, 0, sizeof(*answer));
	*store = false;
	if (bad != NULL)
		refuse(answer, TICKET_REFUSED_BAD, bad);
	else if (m->question == TICKET_PREPARE)
		*store = on_prepare(a, m, seen, answer);
	else if (m->question == TICKET_ACCEPT)
		*store = on_accept(a, m, now_ms, answer);
	else
		on_renew(a, m, now_ms, answer);
}
