/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_proposer.c - rounds of changes, and the holder's lease.
 *
 *	IDLE --start--> PREPARE --majority promised--> ACCEPT --majority--> IDLE
 *	                  |  ^                           |
 *	  cannot be had,  v  | delay over                | cannot be had
 *	  silence:       PAUSE <-------------------------+
 *
 * A round that the lease needs (ticket_lease.c) is `internal`: nobody hears of
 * its outcome, and one that is asked for takes its place.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ticket_proposer_priv.h"
#include "util.h"

#define PAUSE_MS_FIRST 16
#define PAUSE_MS_MAX 512

/* splitmix64 (Steele, Lea, Flood, 2014) */
static uint64_t random_below(struct ticket_proposer *p, uint64_t n)
{
	uint64_t x = p->rng += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (x ^ (x >> 31)) % n;
}

static bool alone_self(const struct ticket_proposer *p, const struct ticket *t)
{
	return t->state == TICKET_ALONE && strcmp(t->holder, p->c.self) == 0;
}

/* ---- rounds ---- */

static void round_end(struct ticket_proposer *p)
{
	p->phase = IDLE;
	p->internal = false;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		p->w[i].round_id = 0;
		p->w[i].round_send = false;
	}
}

static void ask_all(struct ticket_proposer *p, enum round_phase phase)
{
	p->phase = phase;
	p->until_ms = p->now_ms + p->c.answer_ms;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct round_witness *w = &p->w[i];

		w->round_id = ++p->last_id;
		w->round_sent_ms = p->now_ms;
		w->round_send = true;
		w->answered = w->agreed = w->failed = false;
		w->why[0] = '\0';
		w->lease_left_ms = 0;
	}
}

static void attempt(struct ticket_proposer *p)
{
	p->attempts++;
	p->max_n++;
	p->ballot.n = p->max_n;
	p->ballot.proposer = p->c.proposer;
	ask_all(p, PREPARE);
}

static unsigned int count_agreed(const struct ticket_proposer *p)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < p->c.witnesses; i++)
		n += p->w[i].answered && p->w[i].agreed;
	return n;
}

static unsigned int count_answered(const struct ticket_proposer *p)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < p->c.witnesses; i++)
		n += p->w[i].answered;
	return n;
}

/* A majority answered, and without those that see a copy, or count for one, it
 * would have been enough. */
static bool is_busy(const struct ticket_proposer *p)
{
	unsigned int said = 0, busy = 0;

	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct round_witness *w = &p->w[i];

		if (!w->answered || w->failed)
			continue;
		said++;
		busy += !w->agreed && (w->reply == TICKET_REFUSED_SEEN ||
				       w->reply == TICKET_REFUSED_LEASE);
	}
	return busy > 0 && said >= majority(p) &&
	       count_agreed(p) < majority(p);
}

/* "w1: alpha's remusd served 89 ms ago; w2: silent" */
static void say_why(const struct ticket_proposer *p, char *buf, size_t bytes)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < p->c.witnesses && at < bytes; i++) {
		const struct round_witness *w = &p->w[i];
		const char *what = !w->answered ? "silent" :
				   w->failed    ? "not reached" :
						  ticket_reply_to_str(w->reply);
		char number[24];
		int n;

		snprintf(number, sizeof(number), "witness %u", i + 1);
		if (w->answered && w->why[0] != '\0')
			what = w->why;
		n = snprintf(buf + at, bytes - at, "%s%s: %s",
			     i == 0 ? "" : "; ",
			     p->c.name[i] != NULL ? p->c.name[i] : number,
			     what);
		at += n < 0 ? 0 : (size_t)n;
	}
}

static uint64_t pause_ms(struct ticket_proposer *p)
{
	uint64_t most = PAUSE_MS_MAX, wait = 0;

	if (p->attempts < 6)
		most = (uint64_t)PAUSE_MS_FIRST << p->attempts;
	/* A lease runs: no use before it is over, unless it is given back. */
	for (unsigned int i = 0; i < p->c.witnesses; i++)
		if (p->w[i].answered && p->w[i].lease_left_ms > 0 &&
		    (wait == 0 || p->w[i].lease_left_ms < wait))
			wait = p->w[i].lease_left_ms;
	wait = sooner(wait, PAUSE_MS_MAX / 2);
	return later(wait, most / 4) + random_below(p, most);
}

static void attempt_failed(struct ticket_proposer *p)
{
	p->busy = is_busy(p);
	if (!p->internal)
		say_why(p, p->outcome.why, sizeof(p->outcome.why));
	p->phase = PAUSE;
	p->until_ms = p->now_ms + pause_ms(p);
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		p->w[i].round_id = 0;
		p->w[i].round_send = false;
	}
}

static void give_up(struct ticket_proposer *p)
{
	bool internal = p->internal;

	if (p->phase != PAUSE && count_answered(p) >= majority(p))
		p->busy = is_busy(p);
	if (!internal && p->phase != PAUSE)
		say_why(p, p->outcome.why, sizeof(p->outcome.why));
	round_end(p);
	if (internal)
		return;
	p->outcome_due = true;
	p->outcome.rc = p->busy ? -EBUSY : -ETIMEDOUT;
	if (p->known)
		p->outcome.value = p->ticket;
}

/* Of the promises the one of the greatest ballot counts: if a majority has
 * accepted anything, it is that or was made from it. */
static void newest_promise(const struct ticket_proposer *p, struct ticket *now)
{
	const struct round_witness *best = NULL;

	memset(now, 0, sizeof(*now));
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct round_witness *w = &p->w[i];

		if (w->answered && w->agreed && w->ballot.n != 0 &&
		    (best == NULL || ballot_cmp(&w->ballot, &best->ballot) > 0))
			best = w;
	}
	if (best != NULL)
		*now = best->value;
}

static void message_base(const struct ticket_proposer *p,
			 struct ticket_message *m)
{
	memset(m, 0, sizeof(*m));
	memcpy(m->vm, p->c.vm, strnlen(p->c.vm, VM_NAME_MAX));
	memcpy(m->from, p->c.self, strnlen(p->c.self, VM_NAME_MAX));
}

static void message_round(const struct ticket_proposer *p,
			  struct ticket_message *m)
{
	message_base(p, m);
	m->purpose = p->r.purpose;
	m->ballot = p->ballot;
	if (p->r.purpose == TICKET_FOR_FENCE)
		memcpy(m->target, p->r.target, sizeof(m->target));
}

/* Does this round, when it is decided, make this proposer the holder? */
static bool gives_lease(const struct ticket_proposer *p)
{
	return p->rc == 0 && p->c.lease_ms != 0 && alone_self(p, &p->next) &&
	       (p->r.purpose == TICKET_FOR_BOOT ||
		p->r.purpose == TICKET_FOR_ALONE ||
		p->r.purpose == TICKET_FOR_TAKEOVER);
}

static void begin_accept(struct ticket_proposer *p)
{
	struct ticket_message m;
	struct ticket now;

	newest_promise(p, &now);
	message_round(p, &m);
	p->rc = ticket_change(&now, &m, p->r.peer,
			      p->r.purpose == TICKET_FOR_BOOT ? p->r.above :
								p->r.generation,
			      &p->next, p->err, sizeof(p->err));
	/* Not allowed, by a value that perhaps only a few have accepted: before
	 * anybody relies on that, it is decided as it is. */
	if (p->rc != 0)
		p->next = now;
	if (p->holding && !ticket_equal(&p->held, &p->next))
		lease_drop(p);
	ask_all(p, ACCEPT);
}

static uint64_t quiet_at(const struct ticket_proposer *p)
{
	uint64_t at = p->now_ms;

	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct round_witness *w = &p->w[i];

		if (w->answered && w->agreed && w->lease_left_ms > 0)
			at = later(at, ticket_lease_over_ms(w->answered_ms,
							      w->lease_left_ms));
	}
	return at;
}

static void decided(struct ticket_proposer *p)
{
	p->known = true;
	p->ticket = p->next;
	if (gives_lease(p))
		lease_hold(p);
	else if (p->holding)
		p->held_ballot = p->ballot; /* the same, decided anew */
	if (!p->internal) {
		p->outcome_due = true;
		p->outcome.rc = p->rc;
		p->outcome.value = p->next;
		p->outcome.quiet_at_ms = quiet_at(p);
		snprintf(p->outcome.why, sizeof(p->outcome.why), "%s",
			 p->rc != 0 ? p->err : "");
	}
	round_end(p);
}

static void read_answer(struct ticket_proposer *p, struct round_witness *w,
			const struct ticket_answer *a)
{
	bool preparing = p->phase == PREPARE;

	w->answered = true;
	w->answered_ms = p->now_ms;
	w->reply = a->reply;
	w->agreed = a->reply == (preparing ? TICKET_PROMISE : TICKET_ACCEPTED);
	w->failed = preparing && w->agreed && !ticket_is_sound(&a->value);
	if (w->failed)
		w->agreed = false;
	if (preparing) {
		w->ballot = a->ballot;
		w->value = a->value;
	}
	if (a->reply == TICKET_REFUSED_BALLOT || w->agreed)
		note_ballot(p, &a->ballot);
	if (a->reply == TICKET_ACCEPTED || a->reply == TICKET_REFUSED_LEASE)
		w->lease_left_ms = a->lease_left_ms;
	snprintf(w->why, sizeof(w->why), "%.*s", TICKET_WHY_MAX - 1, a->why);
}

static void on_round_answer(struct ticket_proposer *p, struct round_witness *w,
			    const struct ticket_answer *a)
{
	unsigned int agreed, open;

	w->round_id = 0;
	if (a == NULL)
		w->answered = w->failed = true;
	else
		read_answer(p, w, a);
	agreed = count_agreed(p);
	open = p->c.witnesses - count_answered(p);
	if (agreed + open < majority(p))
		attempt_failed(p);
	else if (agreed >= majority(p) && p->phase == PREPARE)
		begin_accept(p);
	else if (agreed >= majority(p))
		decided(p);
}

/* ---- from outside ---- */

struct ticket_proposer *
ticket_proposer_new(const struct ticket_proposer_config *c)
{
	struct ticket_proposer *p = calloc(1, sizeof(*p));

	assert(c->witnesses >= 1 && c->witnesses <= WITNESSES_MAX);
	assert(c->proposer != 0);
	if (p == NULL)
		return NULL;
	p->c = *c;
	p->rng = c->seed;
	return p;
}

void ticket_proposer_free(struct ticket_proposer *p)
{
	free(p);
}

static void round_begin(struct ticket_proposer *p,
			const struct ticket_request *r)
{
	round_end(p);
	p->r = *r;
	p->attempts = 0;
	p->busy = false;
	p->give_up_at_ms = p->now_ms + r->give_up_ms;
}

int ticket_proposer_start(struct ticket_proposer *p,
			  const struct ticket_request *r, uint64_t now_ms)
{
	if ((p->phase != IDLE && !p->internal) || p->outcome_due)
		return -EBUSY;
	p->now_ms = now_ms;
	memset(&p->outcome, 0, sizeof(p->outcome));
	round_begin(p, r);
	if (r->purpose == TICKET_FOR_BOOT || r->purpose == TICKET_FOR_TAKEOVER ||
	    r->purpose == TICKET_FOR_PROTECTED || r->purpose == TICKET_FOR_END)
		lease_drop(p);
	attempt(p);
	return 0;
}

static void refresh_if_needed(struct ticket_proposer *p)
{
	struct ticket_request r = { .purpose = TICKET_FOR_ALONE,
				    .generation = p->held.generation,
				    .give_up_ms = p->c.lease_ms };

	if (p->phase != IDLE || p->outcome_due || !lease_needs_round(p))
		return;
	round_begin(p, &r);
	p->internal = true;
	attempt(p);
}

void ticket_proposer_answer(struct ticket_proposer *p, unsigned int from,
			    uint64_t id, const struct ticket_answer *answer,
			    uint64_t now_ms)
{
	struct round_witness *w;

	if (from >= p->c.witnesses || id == 0)
		return;
	p->now_ms = now_ms;
	w = &p->w[from];
	if (id == w->round_id && !w->round_send)
		on_round_answer(p, w, answer);
	else if (id == w->hold_id && !w->hold_send)
		lease_answer(p, w, answer);
	refresh_if_needed(p);
}

void ticket_proposer_tick(struct ticket_proposer *p, uint64_t now_ms)
{
	p->now_ms = now_ms;
	if (p->phase != IDLE && now_ms >= p->give_up_at_ms)
		give_up(p);
	else if (p->phase == PAUSE && now_ms >= p->until_ms)
		attempt(p);
	else if (p->phase != IDLE && now_ms >= p->until_ms)
		attempt_failed(p);
	lease_tick(p);
	refresh_if_needed(p);
}

static void fill_round(struct ticket_proposer *p, struct round_witness *w,
		       struct ticket_send *out)
{
	w->round_send = false;
	out->id = w->round_id;
	message_round(p, &out->message);
	out->message.question = TICKET_PREPARE;
	if (p->phase == PREPARE)
		return;
	out->message.question = TICKET_ACCEPT;
	out->message.value = p->next;
	out->message.lease_ms = gives_lease(p) ? p->c.lease_ms : 0;
}

bool ticket_proposer_next_send(struct ticket_proposer *p,
			       struct ticket_send *out)
{
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct round_witness *w = &p->w[i];

		if (!w->round_send && !w->hold_send)
			continue;
		out->to = i;
		if (w->round_send) {
			fill_round(p, w, out);
			return true;
		}
		out->id = w->hold_id;
		message_base(p, &out->message);
		lease_fill(p, w, &out->message);
		return true;
	}
	return false;
}

bool ticket_proposer_outcome(struct ticket_proposer *p,
			     struct ticket_outcome *out)
{
	if (!p->outcome_due)
		return false;
	p->outcome_due = false;
	*out = p->outcome;
	return true;
}

uint64_t ticket_proposer_wake_ms(const struct ticket_proposer *p)
{
	uint64_t at = lease_wake_ms(p);

	if (p->phase == IDLE)
		return at;
	return sooner(at, sooner(p->until_ms, p->give_up_at_ms));
}

bool ticket_proposer_known(const struct ticket_proposer *p, struct ticket *t)
{
	if (p->known)
		*t = p->ticket;
	return p->known;
}
