/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qdevice_core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ticket_register.h"
#include "util.h"

#define RETRY_MS 250	 /* no answer, or refused for what may end any time */
#define POLL_RETRY_MS 50 /* corosync is already in another ring */

const char *qdevice_verdict_to_str(enum qdevice_verdict v)
{
	switch (v) {
	case QDEVICE_NOT_ASKED: return "not-asked";
	case QDEVICE_GRANTED: return "granted";
	case QDEVICE_REFUSED: return "refused";
	case QDEVICE_NO_ANSWER: return "no-answer";
	}
	return "?";
}

void qdevice_core_init(struct qdevice_core *c, const struct qdevice_timing *t,
		       unsigned int witnesses, uint64_t seed)
{
	memset(c, 0, sizeof(*c));
	c->t = *t;
	c->witnesses = witnesses;
	c->random = seed | 1;
}

/* xorshift64: only to be unlike other nodes. */
static uint32_t by_chance(struct qdevice_core *c, uint32_t below)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return below == 0 ? 0 : (uint32_t)((c->random >> 16) % below);
}

/* How long a vote is counted that corosync hears now, at most. */
static uint64_t vote_lasts_ms(const struct qdevice_core *c)
{
	return ticket_lease_over_ms(0, c->t.vote_timeout_ms);
}

/* Until when a majority's leases last: the m-th largest end. */
static uint64_t majority_until(const struct qdevice_core *c)
{
	unsigned int m = ticket_majority(c->witnesses);
	uint64_t best = 0;

	for (unsigned int i = 0; i < c->witnesses; i++) {
		uint64_t end = c->witness[i].lease_until_ms;
		unsigned int n = 0;

		for (unsigned int k = 0; k < c->witnesses; k++)
			n += c->witness[k].lease_until_ms >= end;
		if (n >= m && end > best)
			best = end;
	}
	return best;
}

static bool held(const struct qdevice_witness *w, uint64_t now_ms)
{
	return w->lease_until_ms > now_ms;
}

static bool have_majority(const struct qdevice_core *c, uint64_t now_ms)
{
	return majority_until(c) > now_ms;
}

static bool may_vote(const struct qdevice_core *c, uint64_t now_ms)
{
	return majority_until(c) > now_ms + vote_lasts_ms(c);
}

uint64_t qdevice_core_lease_left_ms(const struct qdevice_core *c,
				    uint64_t now_ms)
{
	uint64_t until = majority_until(c);

	return until > now_ms ? until - now_ms : 0;
}

/* ---- events ---- */

static bool same_ring(const struct qdevice_ring *a,
		      const struct qdevice_ring *b)
{
	return a->nodeid == b->nodeid && a->seq == b->seq &&
	       a->members.count == b->members.count &&
	       memcmp(a->members.id, b->members.id,
		      a->members.count * sizeof(a->members.id[0])) == 0;
}

void qdevice_core_ring(struct qdevice_core *c, const struct qdevice_ring *ring,
		       uint64_t now_ms)
{
	if (c->have_ring && same_ring(&c->ring, ring))
		return;
	c->ring = *ring;
	c->have_ring = true;
	c->answered = false;
	c->cast = false;
	c->ring_at_ms = now_ms;
	c->give_up_ms = now_ms + c->t.ring_wait_ms;
	c->poll_at_ms = now_ms;
	c->poll_failed = false;
	c->pause_until_ms = 0;
	for (unsigned int i = 0; i < c->witnesses; i++) {
		struct qdevice_witness *w = &c->witness[i];

		w->id = 0; /* what is on its way is passed over */
		w->waiting = false;
		w->lease_until_ms = 0;
		w->ask_at_ms = now_ms;
		w->free_at_ms = 0;
		w->verdict = QDEVICE_NOT_ASKED;
		w->why[0] = '\0';
	}
}

static void granted(struct qdevice_core *c, struct qdevice_witness *w,
		    const struct qdevice_answer *a, uint64_t now_ms)
{
	uint32_t ms = a->lease_ms < w->asked_ms ? a->lease_ms : w->asked_ms;
	uint64_t until = ticket_lease_end_ms(w->sent_ms, ms);

	w->verdict = QDEVICE_GRANTED;
	w->granted_ms = ms;
	w->bid = w->asked_ms < c->t.lease_ms;
	/* A witness takes nothing back from who holds more already. */
	if (until > w->lease_until_ms)
		w->lease_until_ms = until;
	w->ask_at_ms = w->sent_ms + c->t.interval_ms;
	if (w->ask_at_ms < now_ms)
		w->ask_at_ms = now_ms;
	w->free_at_ms = 0;
}

static void refused(struct qdevice_core *c, struct qdevice_witness *w,
		    const struct qdevice_answer *a, uint64_t now_ms)
{
	uint32_t ms = a->wait_ms;

	w->verdict = QDEVICE_REFUSED;
	w->free_at_ms = now_ms + ms;
	/* Whoever holds it may end sooner. */
	if (ms > c->t.bid_ms)
		ms = c->t.bid_ms;
	w->ask_at_ms = now_ms + (ms > RETRY_MS ? ms : RETRY_MS);
}

void qdevice_core_answer(struct qdevice_core *c, unsigned int witness,
			 uint64_t id, const struct qdevice_answer *a,
			 uint64_t now_ms)
{
	struct qdevice_witness *w;

	if (witness >= c->witnesses)
		return;
	w = &c->witness[witness];
	if (a->rc == 0)
		w->answered_ms = now_ms;
	if (id == 0 || id != w->id || !w->waiting)
		return;
	w->waiting = false;
	snprintf(w->why, sizeof(w->why), "%s", a->why == NULL ? "" : a->why);
	if (a->rc < 0) {
		w->verdict = QDEVICE_NO_ANSWER;
		w->ask_at_ms = now_ms + RETRY_MS;
		w->free_at_ms = 0;
	} else if (a->granted) {
		granted(c, w, a, now_ms);
	} else {
		refused(c, w, a, now_ms);
	}
}

void qdevice_core_polled(struct qdevice_core *c, bool cast, bool taken,
			 uint64_t now_ms)
{
	c->poll_at_ms = now_ms + (taken ? c->t.interval_ms : POLL_RETRY_MS);
	c->poll_failed = !taken;
	if (!taken)
		return;
	c->answered = true;
	c->cast = cast;
}

/* ---- what is to be done ---- */

/* May this witness's lease still be had before the ring's vote is due? */
static bool may_come(const struct qdevice_core *c,
		     const struct qdevice_witness *w, uint64_t now_ms)
{
	if (held(w, now_ms) || w->waiting)
		return true;
	if (w->verdict == QDEVICE_NO_ANSWER)
		return false;
	return w->verdict != QDEVICE_REFUSED ||
	       (w->free_at_ms < c->give_up_ms &&
		c->pause_until_ms < c->give_up_ms);
}

static bool is_hopeless(const struct qdevice_core *c, uint64_t now_ms)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < c->witnesses; i++)
		n += may_come(c, &c->witness[i], now_ms);
	return n < ticket_majority(c->witnesses);
}

static bool want_poll(const struct qdevice_core *c, uint64_t now_ms,
		      bool *cast)
{
	*cast = may_vote(c, now_ms);
	if (!c->answered)
		return now_ms >= c->poll_at_ms &&
		       (*cast || now_ms >= c->give_up_ms ||
			is_hopeless(c, now_ms));
	if (*cast != c->cast && !c->poll_failed)
		return true;
	return now_ms >= c->poll_at_ms;
}

/* Some are for us, some for another partition, and perhaps none of the two has
 * a majority: let ours run out, and begin anew at different times. */
static void back_off(struct qdevice_core *c, uint64_t now_ms)
{
	bool contended = false;
	uint64_t until = 0;

	if (c->pause_until_ms > now_ms || have_majority(c, now_ms))
		return;
	for (unsigned int i = 0; i < c->witnesses; i++) {
		const struct qdevice_witness *w = &c->witness[i];

		if (w->waiting && w->verdict == QDEVICE_NOT_ASKED)
			return;
		if (w->verdict == QDEVICE_REFUSED && w->free_at_ms > now_ms)
			contended = true;
		if (held(w, now_ms) && w->lease_until_ms > until)
			until = w->lease_until_ms;
	}
	if (!contended || until == 0)
		return;
	for (unsigned int i = 0; i < c->witnesses; i++) {
		uint64_t at = c->witness[i].free_at_ms;

		if (at > now_ms + c->t.bid_ms)
			at = now_ms + c->t.bid_ms;
		if (at > until)
			until = at;
	}
	c->pause_until_ms = until + by_chance(c, c->t.bid_ms);
	for (unsigned int i = 0; i < c->witnesses; i++)
		c->witness[i].ask_at_ms = c->pause_until_ms;
}

/* When to ask this witness. */
static uint64_t ask_at(const struct qdevice_core *c,
		       const struct qdevice_witness *w, uint64_t now_ms)
{
	if (w->waiting)
		return UINT64_MAX;
	if (held(w, now_ms) && w->bid && have_majority(c, now_ms))
		return now_ms; /* the bid was won: the lease */
	return w->ask_at_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When something will be due by time alone. */
static uint64_t wake_at(const struct qdevice_core *c, uint64_t now_ms)
{
	uint64_t until = majority_until(c), lasts = vote_lasts_ms(c);
	uint64_t at = c->answered ? c->poll_at_ms : c->give_up_ms;

	if (!c->answered && c->poll_at_ms > now_ms)
		at = c->poll_at_ms; /* corosync did not take the last one */
	if (c->cast && until > lasts)
		at = earlier(at, until - lasts);
	for (unsigned int i = 0; i < c->witnesses; i++) {
		const struct qdevice_witness *w = &c->witness[i];

		at = earlier(at, ask_at(c, w, now_ms));
		if (held(w, now_ms))
			at = earlier(at, w->lease_until_ms);
	}
	return at > now_ms ? at : now_ms + 1;
}

struct qdevice_action qdevice_core_next(struct qdevice_core *c,
					uint64_t now_ms)
{
	struct qdevice_action a = { .what = QDEVICE_NOTHING,
				    .at_ms = UINT64_MAX };

	if (!c->have_ring)
		return a;
	if (want_poll(c, now_ms, &a.cast)) {
		a.what = QDEVICE_POLL;
		return a;
	}
	back_off(c, now_ms);
	for (unsigned int i = 0; i < c->witnesses; i++) {
		struct qdevice_witness *w = &c->witness[i];

		if (ask_at(c, w, now_ms) > now_ms)
			continue;
		a.what = QDEVICE_ASK;
		a.witness = i;
		a.id = w->id = ++c->last_id;
		a.lease_ms = have_majority(c, now_ms) ? c->t.lease_ms
						      : c->t.bid_ms;
		w->asked_ms = a.lease_ms;
		w->sent_ms = now_ms;
		w->waiting = true;
		return a;
	}
	a.at_ms = wake_at(c, now_ms);
	return a;
}

int qdevice_timing_check(const struct qdevice_timing *t,
			 uint32_t sync_timeout_ms, char *err, size_t err_bytes)
{
	if (ticket_lease_end_ms(0, t->lease_ms) <
	    ticket_lease_over_ms(0, t->vote_timeout_ms) + 2 * t->interval_ms)
		return set_err(err, err_bytes, -EINVAL,
			       "lease (%u ms) must be longer than "
			       "quorum.device.timeout (%u ms), for which "
			       "corosync counts a vote, by more than two "
			       "intervals (%u ms)",
			       t->lease_ms, t->vote_timeout_ms,
			       t->interval_ms);
	if (t->interval_ms * 2 > t->vote_timeout_ms)
		return set_err(err, err_bytes, -EINVAL,
			       "interval (%u ms) must be at most half of "
			       "quorum.device.timeout (%u ms)",
			       t->interval_ms, t->vote_timeout_ms);
	if (t->ring_wait_ms >= sync_timeout_ms)
		return set_err(err, err_bytes, -EINVAL,
			       "ring_wait (%u ms) must be shorter than "
			       "quorum.device.sync_timeout (%u ms)",
			       t->ring_wait_ms, sync_timeout_ms);
	return 0;
}
