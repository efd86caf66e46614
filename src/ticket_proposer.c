/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_proposer.c - rounds of changes, and the holder's lease.
 *
 *	IDLE --start--> PREPARE --majority promised--> ACCEPT --majority--> IDLE
 *	                  |  ^                           |
 *	  cannot be had,  v  | delay over                | cannot be had
 *	  silence:       PAUSE <-------------------------+
 *
 * While alone(self) is held, each witness is sent a RENEW every quarter of a
 * lease.  One that missed the ACCEPT gets the very same again.  Where it has
 * promised a greater ballot meanwhile, only a round of our own can bring it
 * back: one is made when the lease gets short (`internal`).
 */
#include "ticket_proposer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define PAUSE_MS_FIRST 16
#define PAUSE_MS_MAX 512
#define RENEWALS_PER_LEASE 4

enum phase { IDLE, PREPARE, ACCEPT, PAUSE };

/* What is known of one witness. */
struct witness {
	/* the attempt */
	uint64_t round_id; /* 0: none is awaited */
	uint64_t round_sent_ms;
	bool round_send;
	bool answered, agreed;	    /* agreed: PROMISE, ACCEPTED */
	enum ticket_reply reply;    /* answered, of a sort that can be read */
	bool failed;		    /* not reached, or nonsense */
	struct ballot ballot;	    /* PROMISE */
	struct ticket value;	    /* PROMISE */
	uint32_t lease_left_ms;	    /* as of answered_ms */
	uint64_t answered_ms;
	char why[TICKET_WHY_MAX];
	/* the lease */
	uint64_t hold_id;
	uint64_t hold_sent_ms, hold_due_ms;
	bool hold_send;
	bool missed;	      /* it has not accepted what we hold */
	bool blocked;	      /* and would not: it promised a greater ballot */
	bool moved;	      /* it has accepted something later */
	struct ballot moved_to;
	struct ticket moved_value;
	uint64_t lease_end_ms;
};

struct ticket_proposer {
	struct ticket_proposer_config c;
	uint64_t now_ms, last_id, rng;
	uint64_t max_n; /* greatest ballot heard of */

	enum phase phase;
	bool internal;
	struct ticket_request r;
	uint64_t give_up_at_ms, until_ms; /* until: of this attempt or pause */
	unsigned int attempts;
	bool busy;	     /* the last whole attempt: see -EBUSY */
	struct ballot ballot;
	struct ticket next;
	int rc;		     /* of ticket_change() */
	char err[TICKET_WHY_MAX];

	bool outcome_due;
	struct ticket_outcome outcome;

	bool known;
	struct ticket ticket;

	bool holding;
	struct ticket held;
	struct ballot held_ballot;

	struct witness w[WITNESSES_MAX];
};

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* splitmix64 (Steele, Lea, Flood, 2014) */
static uint64_t random_below(struct ticket_proposer *p, uint64_t n)
{
	uint64_t x = p->rng += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (x ^ (x >> 31)) % n;
}

static unsigned int majority(const struct ticket_proposer *p)
{
	return ticket_majority(p->c.witnesses);
}

static void note_ballot(struct ticket_proposer *p, const struct ballot *b)
{
	if (b->n > p->max_n && b->n < TICKET_BALLOT_MAX)
		p->max_n = b->n;
}

static bool alone_self(const struct ticket_proposer *p, const struct ticket *t)
{
	return t->state == TICKET_ALONE && strcmp(t->holder, p->c.self) == 0;
}

/* ---- the lease ---- */

static void lease_drop(struct ticket_proposer *p)
{
	p->holding = false;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct witness *w = &p->w[i];

		w->hold_id = 0;
		w->hold_send = false;
		w->missed = w->blocked = w->moved = false;
		w->lease_end_ms = 0;
	}
}

static void lease_count(struct ticket_proposer *p, struct witness *w,
			uint64_t sent_ms)
{
	w->missed = w->blocked = w->moved = false;
	w->lease_end_ms = max_u64(w->lease_end_ms,
				  ticket_lease_end_ms(sent_ms, p->c.lease_ms));
}

uint64_t ticket_proposer_lease_ms(const struct ticket_proposer *p)
{
	uint64_t best = 0;

	if (!p->holding)
		return 0;
	/* The greatest that a majority reaches. */
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		uint64_t end = p->w[i].lease_end_ms;
		unsigned int n = 0;

		for (unsigned int j = 0; j < p->c.witnesses; j++)
			n += p->w[j].lease_end_ms >= end;
		if (n >= majority(p))
			best = max_u64(best, end);
	}
	return best;
}

static uint64_t hold_interval_ms(const struct ticket_proposer *p)
{
	return p->c.lease_ms / RENEWALS_PER_LEASE;
}

static uint64_t hold_timeout_ms(const struct ticket_proposer *p)
{
	return min_u64(p->c.answer_ms, p->c.lease_ms / 2);
}

static void hold_say(struct ticket_proposer *p, struct witness *w)
{
	w->hold_id = ++p->last_id;
	w->hold_sent_ms = p->now_ms;
	w->hold_send = true;
}

/* A majority accepted something after what we hold.  Is it one thing, then
 * that is the ticket. */
static void lease_lost(struct ticket_proposer *p)
{
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct witness *w = &p->w[i];
		unsigned int n = 0;

		for (unsigned int j = 0; j < p->c.witnesses; j++)
			n += p->w[j].moved && ballot_cmp(&p->w[j].moved_to,
							 &w->moved_to) == 0;
		if (w->moved && n >= majority(p))
			p->ticket = w->moved_value;
	}
	lease_drop(p);
}

static void on_moved(struct ticket_proposer *p, struct witness *w,
		     const struct ticket_answer *a)
{
	unsigned int n = 0;

	w->moved = true;
	w->moved_to = a->ballot;
	w->moved_value = a->value;
	for (unsigned int i = 0; i < p->c.witnesses; i++)
		n += p->w[i].moved;
	if (n >= majority(p))
		lease_lost(p);
}

static void on_hold_answer(struct ticket_proposer *p, struct witness *w,
			   const struct ticket_answer *a)
{
	w->hold_id = 0;
	w->hold_due_ms = w->hold_sent_ms + hold_interval_ms(p);
	if (a == NULL)
		return;
	switch (a->reply) {
	case TICKET_RENEWED:
	case TICKET_ACCEPTED:
		lease_count(p, w, w->hold_sent_ms);
		break;
	case TICKET_REFUSED_VALUE:
		w->missed = true;
		note_ballot(p, &a->ballot);
		if (ballot_cmp(&a->ballot, &p->held_ballot) > 0)
			on_moved(p, w, a);
		else
			hold_say(p, w); /* the ACCEPT that it missed */
		break;
	case TICKET_REFUSED_BALLOT:
		w->missed = false; /* ask by RENEW what it has now */
		w->blocked = true;
		note_ballot(p, &a->ballot);
		break;
	default:
		break;
	}
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

static void ask_all(struct ticket_proposer *p, enum phase phase)
{
	p->phase = phase;
	p->until_ms = p->now_ms + p->c.answer_ms;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct witness *w = &p->w[i];

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
		const struct witness *w = &p->w[i];

		if (!w->answered || w->failed)
			continue;
		said++;
		busy += !w->agreed && (w->reply == TICKET_REFUSED_SEEN ||
				       w->reply == TICKET_REFUSED_LEASE);
	}
	return busy > 0 && said >= majority(p) &&
	       count_agreed(p) < majority(p);
}

static void say_why(const struct ticket_proposer *p, char *buf, size_t bytes)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < p->c.witnesses && at < bytes; i++) {
		const struct witness *w = &p->w[i];
		int n = snprintf(buf + at, bytes - at, "%switness %u: %s%s%s",
				 i == 0 ? "" : "; ", i + 1,
				 !w->answered ? "silent" :
				 w->failed    ? "not reached" :
						ticket_reply_to_str(w->reply),
				 w->answered && w->why[0] != '\0' ? ": " : "",
				 w->answered ? w->why : "");

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
	wait = min_u64(wait, PAUSE_MS_MAX / 2);
	return max_u64(wait, most / 4) + random_below(p, most);
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
	const struct witness *best = NULL;

	memset(now, 0, sizeof(*now));
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct witness *w = &p->w[i];

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

/* alone(self) is decided: what the witnesses said counts, what they have still
 * to say will. */
static void hold(struct ticket_proposer *p)
{
	if (!p->holding || !ticket_equal(&p->held, &p->next))
		lease_drop(p);
	p->holding = true;
	p->held = p->next;
	p->held_ballot = p->ballot;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct witness *w = &p->w[i];

		if (w->answered && w->agreed) {
			lease_count(p, w, w->round_sent_ms);
		} else if (!w->answered && !w->round_send) {
			w->hold_id = w->round_id;
			w->hold_sent_ms = w->round_sent_ms;
			w->hold_send = false;
		}
		w->hold_due_ms = w->round_sent_ms + hold_interval_ms(p);
	}
}

static uint64_t quiet_at(const struct ticket_proposer *p)
{
	uint64_t at = p->now_ms;

	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct witness *w = &p->w[i];

		if (w->answered && w->agreed && w->lease_left_ms > 0)
			at = max_u64(at, ticket_lease_over_ms(w->answered_ms,
							      w->lease_left_ms));
	}
	return at;
}

static void decided(struct ticket_proposer *p)
{
	p->known = true;
	p->ticket = p->next;
	if (gives_lease(p))
		hold(p);
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

static void read_answer(struct ticket_proposer *p, struct witness *w,
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

static void on_round_answer(struct ticket_proposer *p, struct witness *w,
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

/* The lease gets short, and renewals cannot help. */
static void refresh_if_needed(struct ticket_proposer *p)
{
	struct ticket_request r = { .purpose = TICKET_FOR_ALONE,
				    .give_up_ms = p->c.lease_ms };
	uint64_t end = ticket_proposer_lease_ms(p);
	bool needed = false;

	if (!p->holding || p->phase != IDLE || p->outcome_due)
		return;
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		const struct witness *w = &p->w[i];

		needed = needed ||
			 (w->blocked && end < p->now_ms + p->c.lease_ms / 2) ||
			 (w->moved && end <= p->now_ms);
	}
	if (!needed)
		return;
	r.generation = p->held.generation;
	round_begin(p, &r);
	p->internal = true;
	attempt(p);
}

void ticket_proposer_answer(struct ticket_proposer *p, unsigned int from,
			    uint64_t id, const struct ticket_answer *answer,
			    uint64_t now_ms)
{
	struct witness *w;

	if (from >= p->c.witnesses || id == 0)
		return;
	p->now_ms = now_ms;
	w = &p->w[from];
	if (id == w->round_id && !w->round_send)
		on_round_answer(p, w, answer);
	else if (id == w->hold_id && !w->hold_send)
		on_hold_answer(p, w, answer);
	refresh_if_needed(p);
}

static void hold_tick(struct ticket_proposer *p)
{
	for (unsigned int i = 0; i < p->c.witnesses && p->holding; i++) {
		struct witness *w = &p->w[i];

		if (w->hold_id != 0 &&
		    p->now_ms >= w->hold_sent_ms + hold_timeout_ms(p))
			on_hold_answer(p, w, NULL);
		if (w->hold_id == 0 && p->now_ms >= w->hold_due_ms)
			hold_say(p, w);
	}
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
	hold_tick(p);
}

static void fill_round(struct ticket_proposer *p, struct witness *w,
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

static void fill_hold(struct ticket_proposer *p, struct witness *w,
		      struct ticket_send *out)
{
	w->hold_send = false;
	out->id = w->hold_id;
	message_base(p, &out->message);
	out->message.purpose = TICKET_FOR_ALONE;
	out->message.question = w->missed ? TICKET_ACCEPT : TICKET_RENEW;
	if (w->missed)
		out->message.ballot = p->held_ballot;
	out->message.value = p->held;
	out->message.lease_ms = p->c.lease_ms;
}

bool ticket_proposer_next_send(struct ticket_proposer *p,
			       struct ticket_send *out)
{
	for (unsigned int i = 0; i < p->c.witnesses; i++) {
		struct witness *w = &p->w[i];

		if (!w->round_send && !w->hold_send)
			continue;
		out->to = i;
		if (w->round_send)
			fill_round(p, w, out);
		else
			fill_hold(p, w, out);
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
	uint64_t at = UINT64_MAX;

	if (p->phase != IDLE)
		at = min_u64(p->until_ms, p->give_up_at_ms);
	for (unsigned int i = 0; i < p->c.witnesses && p->holding; i++) {
		const struct witness *w = &p->w[i];

		at = min_u64(at, w->hold_id == 0 ?
					 w->hold_due_ms :
					 w->hold_sent_ms + hold_timeout_ms(p));
	}
	return at;
}

bool ticket_proposer_known(const struct ticket_proposer *p, struct ticket *t)
{
	if (p->known)
		*t = p->ticket;
	return p->known;
}
