/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ticket_register.c - every change from every state, as a table, asked by
 * node "a", whose peer is "b"; and the numbers that safety rests on.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ticket_register.h"
#include "util.h"

enum word { NO = 0, NONE, ALONE_A, ALONE_B, PROT_AB, PROT_BA, PROT_AC, PROT_CA,
	    WORDS };

static const struct ticket words[WORDS] = {
	[NONE] = { .state = TICKET_NONE },
	[ALONE_A] = { .state = TICKET_ALONE, .holder = "a" },
	[ALONE_B] = { .state = TICKET_ALONE, .holder = "b" },
	[PROT_AB] = { .state = TICKET_PROTECTED, .holder = "a", .backup = "b" },
	[PROT_BA] = { .state = TICKET_PROTECTED, .holder = "b", .backup = "a" },
	[PROT_AC] = { .state = TICKET_PROTECTED, .holder = "a", .backup = "c" },
	[PROT_CA] = { .state = TICKET_PROTECTED, .holder = "c", .backup = "a" },
};

#define GENERATION 5

static struct ticket ticket(enum word w, uint64_t generation)
{
	struct ticket t = words[w];

	t.generation = generation;
	return t;
}

struct row {
	enum ticket_purpose purpose;
	const char *target, *peer;
	uint64_t generation; /* asked for */
	/* What becomes of each word; NO: refused. */
	enum word next[WORDS];
};

static const struct row rows[] = {
	{ TICKET_FOR_READ, "", "", 0,
	  { NO, NONE, ALONE_A, ALONE_B, PROT_AB, PROT_BA, PROT_AC, PROT_CA } },
	{ TICKET_FOR_BOOT, "", "", 0,
	  { [NONE] = ALONE_A, [ALONE_A] = ALONE_A } },
	{ TICKET_FOR_ALONE, "", "", 0,
	  { [ALONE_A] = ALONE_A, [PROT_AB] = ALONE_A, [PROT_AC] = ALONE_A } },
	{ TICKET_FOR_ALONE, "", "", GENERATION,
	  { [ALONE_A] = ALONE_A, [PROT_AB] = ALONE_A, [PROT_AC] = ALONE_A } },
	{ TICKET_FOR_ALONE, "", "", GENERATION - 1, { NO } },
	{ TICKET_FOR_PROTECTED, "", "b", 0,
	  { [ALONE_A] = PROT_AB, [PROT_AB] = PROT_AB } },
	{ TICKET_FOR_PROTECTED, "", "", 0, { NO } },
	{ TICKET_FOR_PROTECTED, "", "a", 0, { NO } },
	{ TICKET_FOR_TAKEOVER, "", "", GENERATION,
	  { [PROT_BA] = ALONE_A, [PROT_CA] = ALONE_A, [ALONE_A] = ALONE_A } },
	{ TICKET_FOR_TAKEOVER, "", "", GENERATION - 1, { NO } },
	{ TICKET_FOR_TAKEOVER, "", "", GENERATION + 1, { NO } },
	{ TICKET_FOR_TAKEOVER, "", "", 0, { NO } },
	{ TICKET_FOR_END, "", "", 0, { [NONE] = NONE, [ALONE_A] = NONE } },
	{ TICKET_FOR_FENCE, "b", "", 0,
	  { NO, NONE, ALONE_A, NONE, ALONE_A, NONE, PROT_AC, PROT_CA } },
	{ TICKET_FOR_FENCE, "b", "a", 0,
	  { NO, NONE, ALONE_A, NONE, ALONE_A, ALONE_A, PROT_AC, PROT_CA } },
	{ TICKET_FOR_FENCE, "b", "d", 0,
	  { NO, NONE, ALONE_A, NONE, ALONE_A, NO, PROT_AC, PROT_CA } },
	{ TICKET_FOR_FENCE, "", "", 0, { NO } },
};

static uint64_t generation_after(const struct row *r, enum word from)
{
	if (r->purpose == TICKET_FOR_BOOT)
		return GENERATION + 1;
	if (r->purpose == TICKET_FOR_PROTECTED && from == ALONE_A)
		return GENERATION + 1;
	return GENERATION;
}

static void check_row(const struct row *r)
{
	struct ticket_message m = { .from = "a", .purpose = r->purpose };
	char err[256];

	strcpy(m.target, r->target);
	for (enum word w = NONE; w < WORDS; w++) {
		struct ticket now = ticket(w, GENERATION), next, want;
		int rc = ticket_change(&now, &m, r->peer, r->generation, &next,
				       err, sizeof(err));

		print_message("%s row %zu word %d\n",
			      ticket_purpose_to_str(r->purpose),
			      (size_t)(r - rows), (int)w);
		assert_int_equal(rc, r->next[w] == NO ? -EPERM : 0);
		if (rc != 0) {
			assert_non_null(strstr(err, "generation 5"));
			continue;
		}
		want = ticket(r->next[w], generation_after(r, w));
		assert_true(ticket_equal(&next, &want));
		assert_true(ticket_is_sound(&next));
	}
}

static void every_change_is_as_in_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

static int boot(uint64_t now_generation, uint64_t above, uint64_t *out)
{
	struct ticket_message m = { .from = "a", .purpose = TICKET_FOR_BOOT };
	struct ticket now = ticket(NONE, now_generation), next;
	char err[256];
	int rc = ticket_change(&now, &m, "", above, &next, err, sizeof(err));

	*out = next.generation;
	return rc;
}

static void a_boot_is_above_both_and_never_wraps(void **state)
{
	uint64_t g;

	(void)state;
	assert_int_equal(boot(3, 9, &g), 0);
	assert_int_equal(g, 10);
	assert_int_equal(boot(9, 3, &g), 0);
	assert_int_equal(g, 10);
	assert_int_equal(boot(0, 0, &g), 0);
	assert_int_equal(g, 1);
	assert_int_equal(boot(TICKET_GENERATION_MAX, 0, &g), -EPERM);
	assert_int_equal(boot(0, UINT64_MAX, &g), -EPERM);
}

static void the_last_generation_is_not_protected_anew(void **state)
{
	struct ticket_message m = { .from = "a",
				    .purpose = TICKET_FOR_PROTECTED };
	struct ticket now = ticket(ALONE_A, TICKET_GENERATION_MAX), next;
	char err[256];

	(void)state;
	assert_int_equal(ticket_change(&now, &m, "b", 0, &next, err,
				       sizeof(err)), -EPERM);
}

static void names_there_and_back(void **state)
{
	enum ticket_purpose p;
	enum ticket_reply r;

	(void)state;
	for (unsigned int i = 0; i <= TICKET_FOR_FENCE; i++) {
		assert_true(ticket_purpose_from_str(
			&p, ticket_purpose_to_str((enum ticket_purpose)i)));
		assert_int_equal(p, i);
	}
	for (unsigned int i = 0; i <= TICKET_REFUSED_BAD; i++) {
		assert_true(ticket_reply_from_str(
			&r, ticket_reply_to_str((enum ticket_reply)i)));
		assert_int_equal(r, i);
	}
	assert_false(ticket_purpose_from_str(&p, "freeze"));
	assert_false(ticket_reply_from_str(&r, ""));
	assert_string_equal(ticket_purpose_to_str((enum ticket_purpose)99),
			    "?");
}

static void ballots_are_ordered_by_n_then_proposer(void **state)
{
	struct ballot a = { 1, 9 }, b = { 2, 1 }, c = { 2, 2 };

	(void)state;
	assert_true(ballot_cmp(&a, &b) < 0);
	assert_true(ballot_cmp(&b, &c) < 0);
	assert_true(ballot_cmp(&c, &a) > 0);
	assert_int_equal(ballot_cmp(&b, &b), 0);
}

static void two_majorities_share_a_witness(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= WITNESSES_MAX; n++) {
		assert_true(2 * ticket_majority(n) > n);
		assert_true(ticket_majority(n) <= n);
	}
}

/* In time, not on clocks: the slowest holder against the fastest witness. */
static void the_holder_stops_before_the_witness_does(void **state)
{
	const double slow = 1 - TICKET_DRIFT_PERMILLE / 1000.0;
	const double fast = 1 + TICKET_DRIFT_PERMILLE / 1000.0;

	(void)state;
	for (uint32_t l = TICKET_LEASE_MS_MIN; l <= TICKET_LEASE_MS_MAX; l++) {
		/* Its clock showed 1000 at most a millisecond ago. */
		double over = ((double)ticket_lease_over_ms(1000, l) - 1001) /
			      fast;
		double end = ((double)ticket_lease_end_ms(1000, l) - 1000) /
			     slow;

		assert_true(end <= over + 1e-6);
		assert_true(end > l * 0.97);
	}
}

static void unsound_tickets_are_known(void **state)
{
	struct ticket t = { .generation = 1, .state = TICKET_ALONE };

	(void)state;
	assert_false(ticket_is_sound(&t));
	strcpy(t.holder, "a");
	assert_true(ticket_is_sound(&t));
	strcpy(t.backup, "b");
	assert_false(ticket_is_sound(&t));
	t.state = TICKET_PROTECTED;
	assert_true(ticket_is_sound(&t));
	t.generation = 0;
	assert_false(ticket_is_sound(&t));
	t.generation = TICKET_GENERATION_MAX + 1;
	assert_false(ticket_is_sound(&t));
	t.generation = 1;
	strcpy(t.backup, "a");
	assert_false(ticket_is_sound(&t));
	t.state = TICKET_NONE;
	assert_false(ticket_is_sound(&t));
	t.state = (enum ticket_state)7;
	assert_false(ticket_is_sound(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_change_is_as_in_the_table),
		cmocka_unit_test(a_boot_is_above_both_and_never_wraps),
		cmocka_unit_test(the_last_generation_is_not_protected_anew),
		cmocka_unit_test(names_there_and_back),
		cmocka_unit_test(ballots_are_ordered_by_n_then_proposer),
		cmocka_unit_test(two_majorities_share_a_witness),
		cmocka_unit_test(the_holder_stops_before_the_witness_does),
		cmocka_unit_test(unsound_tickets_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
