/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness_evidence.c - what a witness sees, and what follows from it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../fence/witness_evidence.h"

#define BEGIN 100000u
#define WINDOW 1250u
#define READY (BEGIN + WINDOW)

static struct evidence e;
static char why[EVIDENCE_WHY_MAX];

static int setup(void **state)
{
	(void)state;
	evidence_init(&e, "alpha", "beta", 250, 1000, BEGIN);
	e.probes = 2;
	e.probe[0].text = "tcp:192.0.2.10:80";
	e.probe[1].text = "icmp:192.0.2.10";
	return 0;
}

static bool against(enum ticket_purpose p, const char *from,
		    const char *target, const struct ticket *accepted,
		    uint64_t now)
{
	struct ticket_message m = { .question = TICKET_PREPARE, .purpose = p };
	bool b;

	strcpy(m.from, from);
	strcpy(m.target, target);
	b = evidence_against(&e, &m, accepted, now, why);
	assert_int_equal(b, why[0] != '\0');
	return b;
}

static bool against_takeover(uint64_t now)
{
	return against(TICKET_FOR_TAKEOVER, "beta", "", NULL, now);
}

static void report(const char *node, bool serving, bool ceased,
		   uint64_t generation, uint64_t now)
{
	struct evidence_report r = { .generation = generation,
				     .serving = serving, .ceased = ceased };

	assert_int_equal(evidence_reported(&e, node, &r, now), 0);
}

static void answered(uint64_t now)
{
	evidence_probed(&e, 0, true, now - 1, now, "");
}

static const struct ticket of_alpha = { 5, TICKET_PROTECTED, "alpha", "beta" };
static const struct ticket of_beta = { 5, TICKET_ALONE, "beta", "" };
static const struct ticket of_nobody = { 5, TICKET_NONE, "", "" };

static void not_looked_yet_is_not_nobody(void **state)
{
	(void)state;
	assert_true(against_takeover(READY - 1));
	assert_non_null(strstr(why, "not looked"));
	assert_false(against_takeover(READY));
	evidence_blinked(&e, READY + 10);
	assert_true(against_takeover(READY + 11));
	assert_true(against(TICKET_FOR_FENCE, "beta", "alpha", &of_beta,
			    READY + 11));
	assert_false(against_takeover(READY + 10 + WINDOW));
}

static void an_answer_counts_for_one_window(void **state)
{
	(void)state;
	answered(READY);
	assert_true(against_takeover(READY + 120));
	assert_string_equal(why,
			    "service tcp:192.0.2.10:80 answered 120 ms ago");
	assert_true(against_takeover(READY + WINDOW));
	assert_false(against_takeover(READY + WINDOW + 1));
}

static void a_failed_attempt_does_not_undo_an_answer(void **state)
{
	(void)state;
	answered(READY);
	evidence_probed(&e, 0, false, READY + 5, READY + 6, "refused");
	assert_true(against_takeover(READY + 7));
	assert_string_equal(e.probe[0].why, "refused");
}

static void another_remusd_that_serves_counts_for_a_second(void **state)
{
	(void)state;
	report("alpha", true, false, 5, READY);
	assert_true(against_takeover(READY + 1000));
	assert_string_equal(why, "alpha's remusd served 1000 ms ago");
	assert_false(against_takeover(READY + 1001));
	report("alpha", false, false, 5, READY + 1002);
	assert_false(against_takeover(READY + 1002));
}

static void the_askers_own_is_no_veto(void **state)
{
	(void)state;
	report("beta", true, false, 5, READY);
	assert_false(against_takeover(READY + 1));
	assert_true(against(TICKET_FOR_BOOT, "alpha", "", NULL, READY + 1));
}

static void only_three_purposes_are_judged(void **state)
{
	struct ticket_message accept = { .question = TICKET_ACCEPT,
					 .purpose = TICKET_FOR_BOOT };

	(void)state;
	answered(READY);
	assert_true(against(TICKET_FOR_BOOT, "alpha", "", NULL, READY));
	assert_false(against(TICKET_FOR_ALONE, "alpha", "", NULL, READY));
	assert_false(against(TICKET_FOR_PROTECTED, "alpha", "", NULL, READY));
	assert_false(against(TICKET_FOR_END, "alpha", "", NULL, READY));
	assert_false(against(TICKET_FOR_READ, "beta", "", NULL, READY));
	assert_false(evidence_against(&e, &accept, NULL, READY, why));
}

static void who_ceased_takes_the_evidence_back(void **state)
{
	(void)state;
	report("alpha", true, false, 5, READY);
	answered(READY + 1);
	report("alpha", false, true, 5, READY + 2);
	assert_false(against_takeover(READY + 3));
	/* A probe that was sent before may have been answered before. */
	evidence_probed(&e, 1, true, READY + 2, READY + 4, "");
	assert_false(against_takeover(READY + 5));
	evidence_probed(&e, 1, true, READY + 3, READY + 4, "");
	assert_true(against_takeover(READY + 5));
}

static void who_did_not_serve_cannot_take_it_back(void **state)
{
	(void)state;
	answered(READY);
	report("beta", false, true, 5, READY + 1);
	assert_true(against_takeover(READY + 2));
	/* nor while another one does */
	report("beta", true, false, 5, READY + 3);
	report("alpha", true, false, 5, READY + 3);
	report("beta", false, true, 5, READY + 4);
	report("alpha", false, false, 5, READY + 5);
	assert_true(against_takeover(READY + 6));
	assert_non_null(strstr(why, "service"));
}

static void fencing_who_is_seen_is_refused(void **state)
{
	(void)state;
	report("alpha", true, false, 5, READY);
	assert_true(against(TICKET_FOR_FENCE, "beta", "alpha", &of_beta,
			    READY + 1));
	report("alpha", false, false, 5, READY + 2);
	answered(READY + 2);
	assert_true(against(TICKET_FOR_FENCE, "beta", "alpha", &of_alpha,
			    READY + 3));
	assert_true(against(TICKET_FOR_FENCE, "beta", "alpha", NULL,
			    READY + 3));
	assert_true(against(TICKET_FOR_FENCE, "beta", "alpha", &of_nobody,
			    READY + 3));
}

static void fencing_a_backup_is_not_stopped_by_the_primarys_service(void **s)
{
	(void)s;
	answered(READY);
	assert_false(against(TICKET_FOR_FENCE, "alpha", "beta", &of_alpha,
			     READY + 1));
	/* The ticket here may be old: beta's remusd tells that it is beta. */
	report("beta", true, false, 5, READY + 1);
	assert_false(against(TICKET_FOR_FENCE, "beta", "alpha", &of_alpha,
			     READY + 2));
	/* but not one of an older generation */
	report("beta", true, false, 4, READY + 1);
	assert_true(against(TICKET_FOR_FENCE, "beta", "alpha", &of_alpha,
			    READY + 2));
	/* of nobody whom this machine knows */
	assert_false(against(TICKET_FOR_FENCE, "beta", "gamma", &of_alpha,
			     READY + 2));
}

static void the_view_says_where(void **state)
{
	int where;

	(void)state;
	assert_false(evidence_seen(&e, &of_alpha, READY, &where, why));
	answered(READY);
	assert_true(evidence_seen(&e, &of_alpha, READY, &where, why));
	assert_int_equal(where, 0);
	assert_true(evidence_seen(&e, NULL, READY, &where, why));
	assert_int_equal(where, -1);
	report("beta", true, false, 5, READY);
	assert_true(evidence_seen(&e, &of_alpha, READY, &where, why));
	assert_int_equal(where, 1);
}

static void strangers_do_not_report(void **state)
{
	struct evidence_report r = { .serving = true };

	(void)state;
	assert_int_equal(evidence_reported(&e, "gamma", &r, READY), -ENOENT);
	assert_false(against_takeover(READY + 1));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(not_looked_yet_is_not_nobody),
		T(an_answer_counts_for_one_window),
		T(a_failed_attempt_does_not_undo_an_answer),
		T(another_remusd_that_serves_counts_for_a_second),
		T(the_askers_own_is_no_veto),
		T(only_three_purposes_are_judged),
		T(who_ceased_takes_the_evidence_back),
		T(who_did_not_serve_cannot_take_it_back),
		T(fencing_who_is_seen_is_refused),
		T(fencing_a_backup_is_not_stopped_by_the_primarys_service),
		T(the_view_says_where),
		T(strangers_do_not_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
