/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When does a node cast the quorum device's vote (fence/qdevice_core.h)? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qdevice_core.h"
#include "ticket_register.h"

#define T0 1000000u

static const struct qdevice_timing timing = {
	.vote_timeout_ms = 3000,
	.ring_wait_ms = 5000,
	.lease_ms = 6000,
	.bid_ms = 2000,
	.interval_ms = 600,
};

static struct qdevice_core core;
static uint64_t now;

/* What the core wanted until it had nothing more to do. */
static struct {
	unsigned int asks, polls;
	struct qdevice_action ask[32];
	bool cast;
	uint64_t at_ms;
} did;

static bool corosync_takes_it = true;

static void run(void)
{
	struct qdevice_action a;

	memset(&did, 0, sizeof(did));
	for (int turns = 0;; turns++) {
		assert_true(turns < 30);
		a = qdevice_core_next(&core, now);
		if (a.what == QDEVICE_NOTHING)
			break;
		if (a.what == QDEVICE_ASK) {
			did.ask[did.asks++] = a;
			continue;
		}
		did.polls++;
		did.cast = a.cast;
		qdevice_core_polled(&core, a.cast, corosync_takes_it, now);
	}
	did.at_ms = a.at_ms;
	assert_true(a.at_ms > now);
}

static void ring(uint64_t seq, unsigned int members)
{
	struct qdevice_ring r = { .nodeid = 1, .seq = seq };

	for (uint32_t i = 0; i < members; i++)
		r.members.id[r.members.count++] = i + 1;
	qdevice_core_ring(&core, &r, now);
	run();
}

static uint64_t id_of(unsigned int witness)
{
	return core.witness[witness].id;
}

static void grant_id(unsigned int witness, uint64_t id, uint32_t lease_ms)
{
	struct qdevice_answer a = { .granted = true, .lease_ms = lease_ms };

	qdevice_core_answer(&core, witness, id, &a, now);
}

static void grant(unsigned int witness)
{
	grant_id(witness, id_of(witness), core.witness[witness].asked_ms);
	run();
}

static void refuse(unsigned int witness, uint32_t wait_ms)
{
	struct qdevice_answer a = { .wait_ms = wait_ms, .why = "beta has it" };

	qdevice_core_answer(&core, witness, id_of(witness), &a, now);
	run();
}

static void no_answer(unsigned int witness)
{
	struct qdevice_answer a = { .rc = -ECONNREFUSED, .why = "refused" };

	qdevice_core_answer(&core, witness, id_of(witness), &a, now);
	run();
}

static void begin(unsigned int witnesses)
{
	corosync_takes_it = true;
	now = T0;
	qdevice_core_init(&core, &timing, witnesses, 4711);
	run();
	assert_int_equal(did.asks + did.polls, 0);
}

/* Two of three, bid and lease. */
static void voting(void)
{
	begin(3);
	ring(40, 2);
	grant(0);
	grant(1);
	assert_int_equal(did.asks, 2);
	grant(0);
	grant(1);
	assert_int_equal(did.polls, 1);
	assert_true(did.cast);
}

static void a_new_ring_asks_all_at_once_and_says_nothing(void **state)
{
	(void)state;
	begin(3);
	ring(40, 2);
	assert_int_equal(did.asks, 3);
	assert_int_equal(did.ask[0].lease_ms, timing.bid_ms);
	assert_int_equal(did.polls, 0);
}

static void a_won_bid_becomes_a_lease_and_then_a_vote(void **state)
{
	(void)state;
	begin(3);
	ring(40, 2);
	grant(0);
	assert_int_equal(did.asks + did.polls, 0);
	grant(2);
	assert_int_equal(did.asks, 2);
	assert_int_equal(did.ask[0].lease_ms, timing.lease_ms);
	assert_int_equal(did.polls, 0); /* a bid is too short for a vote */
	grant(0);
	assert_int_equal(did.polls, 0);
	grant(2);
	assert_int_equal(did.polls, 1);
	assert_true(did.cast);
}

static void the_same_ring_again_changes_nothing(void **state)
{
	(void)state;
	voting();
	ring(40, 2);
	assert_int_equal(did.asks + did.polls, 0);
	assert_true(core.cast);
}

static void a_new_ring_voids_every_lease(void **state)
{
	(void)state;
	voting();
	now += 10;
	ring(44, 1);
	assert_int_equal(did.asks, 3);
	assert_int_equal(qdevice_core_lease_left_ms(&core, now), 0);
	assert_false(core.answered);
	now += timing.ring_wait_ms;
	run();
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void a_late_answer_of_an_old_ring_is_passed_over(void **state)
{
	uint64_t old[3];

	(void)state;
	begin(3);
	ring(40, 2);
	for (unsigned int i = 0; i < 3; i++)
		old[i] = id_of(i);
	ring(44, 1);
	for (unsigned int i = 0; i < 3; i++)
		grant_id(i, old[i], timing.lease_ms);
	run();
	assert_int_equal(did.asks + did.polls, 0);
	assert_int_equal(qdevice_core_lease_left_ms(&core, now), 0);
}

static void an_answer_counts_once(void **state)
{
	uint64_t id;

	(void)state;
	begin(3);
	ring(40, 2);
	id = id_of(0);
	grant(0);
	now += 100;
	grant_id(0, id, 60000);
	assert_int_equal(core.witness[0].lease_until_ms,
			 ticket_lease_end_ms(T0, timing.bid_ms));
}

static void a_lease_counts_from_the_question_and_no_longer_than_asked(
	void **state)
{
	(void)state;
	begin(1);
	ring(40, 2);
	now += 700;
	grant_id(0, id_of(0), 3600000);
	assert_int_equal(core.witness[0].lease_until_ms,
			 ticket_lease_end_ms(T0, timing.bid_ms));
}

static void refused_by_a_majority_for_long_is_no_vote_at_once(void **state)
{
	(void)state;
	begin(3);
	ring(40, 1);
	refuse(0, 6000);
	assert_int_equal(did.polls, 0);
	refuse(1, 6000);
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void refused_for_a_moment_is_silence_until_ring_wait(void **state)
{
	(void)state;
	begin(3);
	ring(40, 1);
	for (unsigned int i = 0; i < 3; i++) {
		refuse(i, 0);
		assert_int_equal(did.polls, 0);
	}
	now += 400;
	run();
	assert_int_equal(did.asks, 3); /* again, soon */
	now = T0 + timing.ring_wait_ms - 1;
	run();
	assert_int_equal(did.polls, 0);
	now++;
	run();
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void two_dead_of_three_is_no_vote_at_once(void **state)
{
	(void)state;
	begin(3);
	ring(40, 2);
	grant(0);
	no_answer(1);
	assert_int_equal(did.polls, 0);
	no_answer(2);
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void silence_of_all_ends_with_ring_wait(void **state)
{
	(void)state;
	begin(3);
	ring(40, 2);
	assert_int_equal(did.at_ms, T0 + timing.ring_wait_ms);
	now = did.at_ms;
	run();
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void a_vote_ends_before_its_lease_by_what_corosync_counts(void **state)
{
	uint64_t end;

	(void)state;
	voting();
	end = ticket_lease_end_ms(T0, timing.lease_ms) -
	      ticket_lease_over_ms(0, timing.vote_timeout_ms);
	now = end - 1;
	run(); /* asks and polls as ever; nobody answers */
	assert_true(core.cast);
	assert_int_equal(did.at_ms, end);
	now = end;
	run();
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void a_lease_that_cannot_outlast_a_vote_gives_none(void **state)
{
	(void)state;
	begin(1);
	ring(40, 2);
	grant(0);
	grant_id(0, id_of(0), 3000);
	run();
	assert_int_equal(did.polls, 0);
	now += timing.ring_wait_ms;
	run();
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void a_lease_is_renewed_several_times_in_its_time(void **state)
{
	unsigned int renewals = 0, polls = 0;

	(void)state;
	voting();
	while (now < T0 + timing.lease_ms) {
		now = did.at_ms;
		run();
		polls += did.polls;
		for (unsigned int i = 0; i < 3; i++) {
			if (!core.witness[i].waiting)
				continue;
			if (i == 0)
				renewals++;
			grant_id(i, id_of(i), core.witness[i].asked_ms);
		}
		run();
		polls += did.polls;
		assert_true(core.cast);
	}
	assert_in_range(renewals, 5, 12);
	assert_in_range(polls, 5, 12);
}

static void one_witness_dies_and_the_vote_stays(void **state)
{
	(void)state;
	voting();
	while (now < T0 + 4 * timing.lease_ms) {
		now = did.at_ms;
		run();
		for (unsigned int i = 0; i < 2; i++) {
			if (core.witness[i].waiting)
				grant_id(i, id_of(i),
					 core.witness[i].asked_ms);
		}
		if (core.witness[2].waiting)
			no_answer(2);
		run();
		assert_true(core.cast);
	}
}

static void thawed_after_the_lease_it_takes_the_vote_back_first(void **state)
{
	struct qdevice_action a;

	(void)state;
	voting();
	now += 60000;
	a = qdevice_core_next(&core, now);
	assert_int_equal(a.what, QDEVICE_POLL);
	assert_false(a.cast);
	/* An answer that waited in the socket meanwhile is of no worth. */
	qdevice_core_polled(&core, false, true, now);
	grant_id(0, id_of(0), timing.lease_ms);
	grant_id(1, id_of(1), timing.lease_ms);
	run();
	assert_int_equal(did.polls, 0);
	assert_false(core.cast);
}

static void a_poll_for_another_ring_is_tried_again_later(void **state)
{
	(void)state;
	begin(1);
	ring(40, 2);
	grant(0);
	corosync_takes_it = false;
	grant(0);
	assert_int_equal(did.polls, 1);
	assert_false(core.answered);
	assert_in_range(did.at_ms, now + 1, now + 100);
	corosync_takes_it = true;
	now = did.at_ms;
	run();
	assert_true(core.answered && core.cast);
}

/* Of three witnesses one is dead, and each of two partitions has one of the
 * others: the bids run out, and the next ones are not at the same time. */
static void a_stalemate_is_given_up_for_a_time(void **state)
{
	uint64_t until;

	(void)state;
	begin(3);
	ring(40, 1);
	no_answer(2);
	grant(0);
	refuse(1, 2000);
	until = core.witness[0].lease_until_ms;
	assert_true(core.pause_until_ms >= until);
	assert_true(core.pause_until_ms <= until + 2u * timing.bid_ms);
	now = core.pause_until_ms - 1;
	run();
	assert_int_equal(did.asks, 0);
	now++;
	run();
	assert_int_equal(did.asks, 3);
}

static void refused_for_what_is_seen_is_no_stalemate(void **state)
{
	(void)state;
	begin(3);
	ring(40, 1);
	no_answer(2);
	grant(0);
	refuse(1, 0);
	assert_int_equal(core.pause_until_ms, 0);
	now += 300;
	run();
	assert_int_equal(did.asks, 2);
	grant(1);
	assert_int_equal(did.asks, 2); /* now the leases */
}

static void one_witness_is_its_own_majority(void **state)
{
	(void)state;
	begin(1);
	ring(40, 2);
	grant(0);
	grant(0);
	assert_true(core.cast);
}

static void of_two_witnesses_both_are_needed(void **state)
{
	(void)state;
	begin(2);
	ring(40, 2);
	grant(0);
	no_answer(1);
	assert_int_equal(did.polls, 1);
	assert_false(did.cast);
}

static void timings_that_never_vote_are_refused(void **state)
{
	struct qdevice_timing t = timing;
	char err[256] = "";

	(void)state;
	assert_int_equal(qdevice_timing_check(&t, 20000, err, sizeof(err)), 0);
	t.lease_ms = t.vote_timeout_ms;
	assert_int_equal(qdevice_timing_check(&t, 20000, err, sizeof(err)),
			 -EINVAL);
	t = timing;
	t.interval_ms = 2000;
	assert_int_equal(qdevice_timing_check(&t, 20000, err, sizeof(err)),
			 -EINVAL);
	t = timing;
	assert_int_equal(qdevice_timing_check(&t, 5000, err, sizeof(err)),
			 -EINVAL);
	assert_non_null(strstr(err, "ring_wait"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_ring_asks_all_at_once_and_says_nothing),
		cmocka_unit_test(a_won_bid_becomes_a_lease_and_then_a_vote),
		cmocka_unit_test(the_same_ring_again_changes_nothing),
		cmocka_unit_test(a_new_ring_voids_every_lease),
		cmocka_unit_test(a_late_answer_of_an_old_ring_is_passed_over),
		cmocka_unit_test(an_answer_counts_once),
		cmocka_unit_test(
			a_lease_counts_from_the_question_and_no_longer_than_asked),
		cmocka_unit_test(
			refused_by_a_majority_for_long_is_no_vote_at_once),
		cmocka_unit_test(
			refused_for_a_moment_is_silence_until_ring_wait),
		cmocka_unit_test(two_dead_of_three_is_no_vote_at_once),
		cmocka_unit_test(silence_of_all_ends_with_ring_wait),
		cmocka_unit_test(
			a_vote_ends_before_its_lease_by_what_corosync_counts),
		cmocka_unit_test(a_lease_that_cannot_outlast_a_vote_gives_none),
		cmocka_unit_test(a_lease_is_renewed_several_times_in_its_time),
		cmocka_unit_test(one_witness_dies_and_the_vote_stays),
		cmocka_unit_test(
			thawed_after_the_lease_it_takes_the_vote_back_first),
		cmocka_unit_test(a_poll_for_another_ring_is_tried_again_later),
		cmocka_unit_test(a_stalemate_is_given_up_for_a_time),
		cmocka_unit_test(refused_for_what_is_seen_is_no_stalemate),
		cmocka_unit_test(one_witness_is_its_own_majority),
		cmocka_unit_test(of_two_witnesses_both_are_needed),
		cmocka_unit_test(timings_that_never_vote_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
