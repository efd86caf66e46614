/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_outside.c - what clients see, and what must be true of it.
 *
 * States of guests form a tree of branches: a boot begins a tree, a resumption
 * a branch at the state that it resumes from.  One branch is the current one:
 * that of the greatest generation, and in it the one that was begun last.
 */
#include <inttypes.h>
#include <string.h>

#include "ticket_world.h"

#define BRANCHES 256
#define BALLOTS 1024
#define GENERATIONS 256

#define SEEN_LATELY (250 * MS)

static struct branch {
	uint32_t parent, parent_seq, root; /* parent 0: booted */
	uint32_t seen;			   /* greatest seq */
} branches[BRANCHES];

static struct round {
	struct ballot ballot;
	struct ticket value;
	unsigned int witnesses; /* a bit each */
	bool chosen;
} rounds[BALLOTS];

static struct {
	uint32_t n, current;
	uint64_t generation;
	uint64_t seen_at[NODES];
	unsigned int rounds;
	struct ballot chosen;
	uint64_t chosen_generation;
	char chosen_holder[GENERATIONS]; /* 'a', 'b', or 0 */
	char node_holder[GENERATIONS];
	struct { bool on; uint64_t generation; } fenced[NODES];
	uint64_t count_from;
	unsigned int counted;
} o;

void outside_reset(void)
{
	memset(&o, 0, sizeof(o));
	o.n = 1; /* 0 is none */
	o.count_from = NEVER;
}

/* Is (b, s) a state that (of_b, of_s) came from, or itself? */
static bool includes(uint32_t of_b, uint32_t of_s, uint32_t b, uint32_t s)
{
	while (of_b != b && of_b != 0) {
		of_s = branches[of_b].parent_seq;
		of_b = branches[of_b].parent;
	}
	return of_b == b && s <= of_s;
}

static uint32_t branch_new(uint32_t parent, uint32_t seq)
{
	struct branch *b;

	if (o.n == BRANCHES) {
		violate("sim: too many branches");
		return 1;
	}
	b = &branches[o.n];
	b->parent = parent;
	b->parent_seq = seq;
	b->root = parent == 0 ? o.n : branches[parent].root;
	b->seen = 0;
	return o.n++;
}

static void make_current(uint32_t b, uint64_t generation)
{
	o.current = b;
	o.generation = generation;
}

uint32_t outside_boot(const struct node *n, uint64_t generation)
{
	uint32_t b = branch_new(0, 0);

	if (generation == o.generation)
		violate("holder: %s boots in generation %" PRIu64
			", which there was", party_name(n->id), generation);
	if (generation > o.generation)
		make_current(b, generation);
	return b;
}

uint32_t outside_resume(const struct node *n, uint64_t generation)
{
	uint32_t b = branch_new(n->have_branch, n->have_seq);

	if (generation < o.generation)
		return b; /* over already */
	if (branches[b].root != branches[o.current].root)
		violate("state: %s resumes a guest from before the last boot",
			party_name(n->id));
	for (uint32_t i = 1; i < b; i++)
		if (branches[i].root == branches[b].root &&
		    branches[i].seen != 0 &&
		    !includes(n->have_branch, n->have_seq, i, branches[i].seen))
			violate("state: %s resumes from (%u, %u); (%u, %u) was "
				"seen", party_name(n->id), n->have_branch,
				n->have_seq, i, branches[i].seen);
	make_current(b, generation);
	return b;
}

void outside_generation(const struct node *n, uint64_t generation, bool alone)
{
	char *holder = &o.node_holder[generation % GENERATIONS];
	char name = *party_name(n->id);

	if (n->branch == o.current && generation > o.generation)
		o.generation = generation;
	if (!alone)
		return;
	if (*holder != 0 && *holder != name)
		violate("holder: %s and %c, both of generation %" PRIu64,
			party_name(n->id), *holder, generation);
	*holder = name;
}

void outside_frame(const struct node *n, uint32_t seq, bool lease)
{
	struct branch *b = &branches[n->branch];
	const struct branch *now = &branches[o.current];

	say("%s: frame (%u, %u) by %s", party_name(n->id), n->branch, seq,
	    lease ? "lease" : "ack");
	world.n->frames++;
	o.seen_at[n->id] = world.now;
	if (lease && o.fenced[n->id].on &&
	    n->generation <= o.fenced[n->id].generation)
		violate("fence: output of %s, which was fenced",
			party_name(n->id));
	if (n->branch != o.current) {
		/* Acknowledged, and late: as a frame that the network has
		 * kept for a while. */
		world.n->late_frames++;
		if (lease)
			violate("output: %s sends by its lease, and branch %u "
				"runs elsewhere", party_name(n->id),
				o.current);
		else if (b->root == now->root &&
			 !includes(now->parent, now->parent_seq, n->branch,
				   seq))
			violate("output: (%u, %u) of %s is not in what branch "
				"%u resumed from", n->branch, seq,
				party_name(n->id), o.current);
	} else if (world.now >= o.count_from) {
		o.counted++;
	}
	if (seq > b->seen)
		b->seen = seq;
}

bool outside_saw_lately(unsigned int node)
{
	return o.seen_at[node] != 0 &&
	       world.now < o.seen_at[node] + SEEN_LATELY;
}

/* A majority has accepted it: so it is, and is to be made from the one before. */
static void chosen(struct round *r)
{
	char *holder;

	r->chosen = true;
	if (ballot_cmp(&r->ballot, &o.chosen) > 0) {
		if (r->value.generation < o.chosen_generation)
			violate("holder: decided %s after generation %" PRIu64,
				ticket_str(&r->value), o.chosen_generation);
		o.chosen = r->ballot;
		o.chosen_generation = r->value.generation;
	}
	if (r->value.state != TICKET_ALONE)
		return;
	holder = &o.chosen_holder[r->value.generation % GENERATIONS];
	if (*holder != 0 && *holder != r->value.holder[0])
		violate("holder: decided %s, and %c before",
			ticket_str(&r->value), *holder);
	*holder = r->value.holder[0];
}

void outside_accepted(unsigned int w, const struct ballot *b,
		      const struct ticket *t)
{
	unsigned int i = o.rounds;
	struct round *r;

	while (i > 0 && ballot_cmp(&rounds[i - 1].ballot, b) != 0)
		i--;
	if (i == 0) {
		if (o.rounds == BALLOTS) {
			violate("sim: too many ballots");
			return;
		}
		i = ++o.rounds;
		memset(&rounds[i - 1], 0, sizeof(rounds[0]));
		rounds[i - 1].ballot = *b;
		rounds[i - 1].value = *t;
	}
	r = &rounds[i - 1];
	if (!ticket_equal(&r->value, t))
		violate("holder: a ballot with two values");
	r->witnesses |= 1u << w;
	if (!r->chosen && (unsigned int)__builtin_popcount(r->witnesses) >
				  world.k.witnesses / 2)
		chosen(r);
}

void outside_fenced(unsigned int node, uint64_t generation)
{
	say("%s is fenced, up to generation %" PRIu64, party_name(node),
	    generation);
	o.fenced[node].on = true;
	if (generation > o.fenced[node].generation)
		o.fenced[node].generation = generation;
	world.n->fences++;
}

/* Even if they happen to send nothing just now. */
void outside_check(void)
{
	bool both = true;

	for (unsigned int i = 0; i < NODES; i++) {
		const struct node *n = &nodes[i];
		bool may = node_permitted(n);

		both = both && may;
		if (may && o.fenced[i].on &&
		    n->generation <= o.fenced[i].generation)
			violate("fence: %s may be seen, and was fenced",
				party_name(i));
		if (may && n->branch != o.current)
			violate("output: %s may be seen, and branch %u runs "
				"elsewhere", party_name(i), o.current);
	}
	if (both)
		violate("output: both nodes may be seen");
}

void outside_count_from(uint64_t at)
{
	o.count_from = at;
	o.counted = 0;
}

unsigned int outside_counted(void)
{
	return o.counted;
}
