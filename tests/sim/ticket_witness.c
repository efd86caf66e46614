/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_witness.c - a witness around an acceptor; see ticket_world.h. */
#include <string.h>

#include "ticket_world.h"

static struct witness {
	struct ticket_acceptor acceptor, disk; /* disk: `stored` of it */
} witnesses[SIM_WITNESSES_MAX];

void witnesses_reset(void)
{
	memset(witnesses, 0, sizeof(witnesses));
}

void witness_start(unsigned int p)
{
	struct witness *w = &witnesses[p - WITNESS0];

	if (world.party[p].up)
		return;
	world.party[p].up = true;
	world.party[p].life++;
	if (rnd(2) == 0)
		clock_boot(&world.party[p].clock); /* its host, too */
	memset(&w->acceptor, 0, sizeof(w->acceptor));
	w->acceptor.stored = w->disk.stored;
	if (broken == FORGET_PROMISES)
		memset(&w->acceptor.stored.promised, 0,
		       sizeof(w->acceptor.stored.promised));
	if (broken != RESTART_GRANTS)
		ticket_acceptor_restart(&w->acceptor,
					clock_ms(&world.party[p].clock),
					world.k.lease_max_ms);
	say("%s starts with %s", party_name(p),
	    ticket_str(&w->acceptor.stored.value));
}

void witness_crash(unsigned int p)
{
	if (!world.party[p].up)
		return;
	say("%s crashes", party_name(p));
	world.n->crashes++;
	world.party[p].up = false;
	world.party[p].frozen_until = 0;
	message_at(message_new(WITNESS_RESTART, p, p),
		   world.now + rnd_in(1, 600) * MS);
}

/* Its probes: sometimes wrong, both ways. */
static bool sees(const struct ticket_message *m)
{
	unsigned int from = m->from[0] == 'a' ? 0 : m->from[0] == 'b' ? 1 : 2;

	if (world.faults && rnd(100) < world.k.blind)
		return permille(20);
	for (unsigned int i = 0; i < NODES; i++) {
		if (m->purpose == TICKET_FOR_FENCE ?
			    strcmp(m->target, party_name(i)) != 0 :
			    i == from)
			continue;
		if (outside_saw_lately(i))
			return true;
	}
	return false;
}

static void tamper(struct witness *w, const struct ticket_message *m)
{
	struct ticket_acceptor *a = &w->acceptor;

	if (broken == IGNORE_LEASES)
		a->leased_to[0] = '\0';
	if (broken == READER_GIVES_BACK && m->question == TICKET_ACCEPT &&
	    m->value.state != TICKET_ALONE && strcmp(m->from, a->leased_to) == 0)
		a->leased_to[0] = '\0';
}

static void reply(const struct message *m, const struct ticket_answer *a)
{
	struct message *r = message_new(FROM_WITNESS, m->to, m->from);

	r->life = m->life;
	r->id = m->id;
	r->u.answer = *a;
	message_send(r);
}

/* Durable, or not: false means that nothing may be said. */
static bool store(struct witness *w, const struct message *m,
		  const struct ticket_acceptor *before, bool *torn)
{
	if (world.faults && permille(4)) { /* disk full */
		say("%s: disk full", party_name(m->to));
		w->acceptor.stored = before->stored;
		return false;
	}
	if (world.faults && permille(8)) { /* torn between the two */
		if (broken == ANSWER_BEFORE_STORE)
			return *torn = true;
		if (rnd(2) == 0)
			w->disk.stored = w->acceptor.stored;
		if (w->disk.stored.accepted.n != before->stored.accepted.n)
			outside_accepted(m->to - WITNESS0,
					 &w->disk.stored.accepted,
					 &w->disk.stored.value);
		witness_crash(m->to);
		return false;
	}
	w->disk.stored = w->acceptor.stored;
	return true;
}

void witness_on(const struct message *m)
{
	struct witness *w = &witnesses[m->to - WITNESS0];
	const struct ticket_message *q = &m->u.question;
	struct ticket_evidence evidence = { .seen = false, .why = "seen" };
	struct ticket_acceptor before = w->acceptor;
	struct ticket_answer answer;
	uint64_t now = clock_ms(&world.party[m->to].clock);
	bool must_store, torn = false;

	if (q->question == TICKET_PREPARE)
		evidence.seen = sees(q);
	tamper(w, q);
	if (broken == RENEW_ANYTHING && q->question == TICKET_RENEW) {
		memset(&answer, 0, sizeof(answer));
		answer.reply = TICKET_RENEWED;
		reply(m, &answer);
		return;
	}
	ticket_acceptor_on(&w->acceptor, q, &evidence, now,
			   world.k.lease_max_ms, &answer, &must_store);
	say("%s: %s %s from %s: ballot %u %s: %s", party_name(m->to),
	    q->question == TICKET_PREPARE ? "prepare" :
	    q->question == TICKET_ACCEPT  ? "accept" :
					    "renew",
	    ticket_purpose_to_str(q->purpose), q->from,
	    (unsigned int)q->ballot.n, ticket_str(&q->value),
	    ticket_reply_to_str(answer.reply));
	if (must_store && !store(w, m, &before, &torn))
		return;
	if (must_store && !torn && answer.reply == TICKET_ACCEPTED)
		outside_accepted(m->to - WITNESS0, &q->ballot, &q->value);
	reply(m, &answer);
	if (torn)
		witness_crash(m->to);
}
