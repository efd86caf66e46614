/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_asker.c - a proposer with its messages; see ticket_world.h. */
#include <stdlib.h>
#include <string.h>

#include "ticket_world.h"

static uint64_t asker_now(const struct asker *a)
{
	return clock_ms(&world.party[a->party].clock);
}

void asker_open(struct asker *a, unsigned int party, const char *name)
{
	struct ticket_proposer_config c = {
		.vm = "vm",
		.self = a->name,
		.witnesses = world.k.witnesses,
		.proposer = rnd_in(1, INT64_MAX),
		.seed = rnd_in(0, INT64_MAX),
		.lease_ms = world.k.lease_ms,
		.answer_ms = world.k.answer_ms,
	};

	memset(a, 0, sizeof(*a));
	a->party = party;
	strcpy(a->name, name);
	a->wake = NEVER;
	a->proposer = ticket_proposer_new(&c);
	if (a->proposer == NULL)
		abort();
}

void asker_close(struct asker *a)
{
	ticket_proposer_free(a->proposer);
	a->proposer = NULL;
	a->busy = false;
	a->wake = NEVER;
}

static void send_all(struct asker *a)
{
	struct ticket_send s;
	struct message *m;

	while (ticket_proposer_next_send(a->proposer, &s)) {
		m = message_new(TO_WITNESS, a->party, WITNESS0 + s.to);
		m->life = world.party[a->party].life;
		m->id = s.id;
		m->u.question = s.message;
		message_send(m);
	}
}

static bool after(struct asker *a, struct ticket_outcome *o)
{
	uint64_t wake;
	bool ended = ticket_proposer_outcome(a->proposer, o);

	if (ended) {
		a->busy = false;
		say("%s: round for %s: %d, %s%s%s", a->name,
		    ticket_purpose_to_str(a->purpose), o->rc,
		    ticket_str(&o->value), o->why[0] != '\0' ? ": " : "",
		    o->why);
	}
	wake = ticket_proposer_wake_ms(a->proposer);
	a->wake = clock_when(&world.party[a->party].clock, wake);
	return ended;
}

void asker_start(struct asker *a, const struct ticket_request *r)
{
	struct ticket_outcome o;

	world.running_ms = asker_now(a);
	if (ticket_proposer_start(a->proposer, r, world.running_ms) != 0) {
		violate("asker: a round was not begun");
		return;
	}
	a->busy = true;
	a->purpose = r->purpose;
	say("%s asks for %s %s", a->name, ticket_purpose_to_str(r->purpose),
	    r->target);
	after(a, &o);
	send_all(a);
}

/* What the caller has to do before anything is sent, it does with its permit
 * (node_permit()); sending afterwards is only later, which is no harm. */
bool asker_answer(struct asker *a, const struct message *m,
		  struct ticket_outcome *o)
{
	struct ticket_answer tampered;
	const struct ticket_answer *answer = m->null ? NULL : &m->u.answer;
	bool ended;

	if (broken == ANY_VALUE && answer != NULL &&
	    answer->reply == TICKET_PROMISE && answer->ballot.n != 0) {
		tampered = *answer;
		tampered.ballot.n = tampered.ballot.proposer = 1;
		answer = &tampered;
	}
	world.running_ms = asker_now(a);
	ticket_proposer_answer(a->proposer, m->from - WITNESS0, m->id, answer,
			       world.running_ms);
	ended = after(a, o);
	send_all(a);
	return ended;
}

bool asker_tick(struct asker *a, struct ticket_outcome *o)
{
	bool ended;

	world.running_ms = asker_now(a);
	ticket_proposer_tick(a->proposer, world.running_ms);
	ended = after(a, o);
	send_all(a);
	return ended;
}
