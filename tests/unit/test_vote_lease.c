/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_vote_lease.c - one partition at a time has a witness's vote. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../fence/vote_lease.h"

#define LEASE 3000
#define MAX 10000
#define BEGIN 1000000u
#define READY (BEGIN + 10100) /* MAX and its drift */

static struct vote_lease v;
static struct vote_answer a;

static int setup(void **state)
{
	(void)state;
	vote_lease_init(&v, MAX, BEGIN);
	return 0;
}

/* `members`: digits */
static struct vote_request request(uint32_t node, const char *members,
				   uint64_t seq)
{
	struct vote_request r = { .nodeid = node, .ring_seq = seq,
				  .lease_ms = LEASE };

	strcpy(r.cluster, "c");
	for (; *members != '\0'; members++)
		r.members.id[r.members.count++] = (uint32_t)(*members - '0');
	assert_true(vote_request_ok(&r));
	return r;
}

static bool ask_for(uint32_t node, const char *members, uint64_t seq,
		    const char *elsewhere, uint64_t now)
{
	struct vote_request r = request(node, members, seq);

	vote_lease_on(&v, &r, elsewhere, now, &a);
	assert_true(a.granted ? a.lease_ms > 0 && a.why[0] == '\0'
			      : a.lease_ms == 0 && a.why[0] != '\0');
	return a.granted;
}

static bool ask(uint32_t node, const char *members, uint64_t seq, uint64_t now)
{
	return ask_for(node, members, seq, NULL, now);
}

static void nothing_after_a_start_until_old_leases_are_over(void **state)
{
	(void)state;
	assert_false(ask(1, "12", 1, BEGIN));
	assert_int_equal(a.wait_ms, 10100);
	assert_false(ask(1, "12", 1, READY - 1));
	assert_true(ask(1, "12", 1, READY));
}

static void a_lease_is_bounded(void **state)
{
	struct vote_request r = request(1, "12", 1);

	(void)state;
	r.lease_ms = 500000;
	vote_lease_on(&v, &r, NULL, READY, &a);
	assert_true(a.granted);
	assert_int_equal(a.lease_ms, MAX);
	/* Over, drift included, after 10100 ms and no earlier. */
	assert_false(ask(3, "3", 9, READY + 10099));
	assert_int_equal(a.wait_ms, 1);
	assert_true(ask(3, "3", 9, READY + 10100));
}

static void the_same_partition_extends(void **state)
{
	(void)state;
	for (uint64_t t = READY; t < READY + 20000; t += 1000) {
		assert_true(ask(1, "12", 1, t));
		assert_true(ask(2, "12", 1, t + 1));
		assert_false(ask(3, "3", 1, t + 2));
	}
}

static void of_two_parts_the_first_asker_wins(void **state)
{
	(void)state;
	assert_true(ask(1, "12", 1, READY));
	assert_true(ask(2, "12", 1, READY));
	assert_true(ask(2, "2", 2, READY + 10));
	assert_false(ask(1, "1", 2, READY + 20));
	assert_int_equal(a.wait_ms, 3030 - 10);
	assert_true(ask(2, "2", 2, READY + 1000)); /* goes on */
	assert_false(ask(1, "1", 2, READY + 3040));
	assert_true(ask(1, "1", 2, READY + 4030)); /* 2 has stopped asking */
	assert_false(ask(2, "2", 2, READY + 4040));
}

static void partitions_that_meet_have_it_at_once(void **state)
{
	(void)state;
	assert_true(ask(1, "1", 1, READY));
	assert_true(ask(2, "12", 2, READY + 1));
	assert_true(ask(1, "12", 2, READY + 2));
}

/* Node 1 may still count on its lease for {1} when node 2, which was with it
 * again for a moment, is alone once more. */
static void a_part_waits_for_what_the_other_part_still_holds(void **state)
{
	(void)state;
	assert_true(ask(1, "1", 1, READY));
	assert_true(ask(2, "12", 2, READY + 1));
	assert_false(ask(2, "2", 3, READY + 2));
	assert_true(ask(2, "2", 3, READY + 3030));
}

static void a_late_message_of_an_older_ring_changes_nothing(void **state)
{
	(void)state;
	assert_true(ask(1, "12", 4, READY));
	assert_true(ask(1, "1", 8, READY + 1));
	assert_false(ask(1, "12", 4, READY + 2)); /* was under way for long */
	assert_false(ask(2, "2", 8, READY + 3));
	/* The same ring has the same members. */
	assert_false(ask(1, "12", 8, READY + 4));
	/* A ring counter that began anew has to wait for the lease's end. */
	assert_true(ask(1, "12", 1, READY + 3031));
}

static void overlapping_sets_wait(void **state)
{
	(void)state;
	assert_true(ask(1, "12", 1, READY));
	assert_false(ask(3, "23", 2, READY + 1));
	assert_false(ask(2, "23", 2, READY + 1)); /* 1 has its {1,2} */
	assert_true(ask(3, "23", 2, READY + 3030));
}

static void a_service_seen_elsewhere_refuses_a_new_partition_only(void **state)
{
	(void)state;
	assert_true(ask(1, "12", 1, READY));
	assert_true(ask(2, "12", 1, READY));
	assert_false(ask_for(2, "2", 2, "web is seen on alpha", READY + 1));
	assert_string_equal(a.why, "web is seen on alpha");
	assert_int_equal(a.wait_ms, 0);
	assert_true(ask(1, "1", 2, READY + 2));
	assert_true(ask_for(1, "1", 2, "web is seen on beta", READY + 3));
}

static void another_cluster_waits(void **state)
{
	struct vote_request r = request(1, "12", 1);

	(void)state;
	assert_true(ask(1, "12", 1, READY));
	strcpy(r.cluster, "d");
	vote_lease_on(&v, &r, NULL, READY + 1, &a);
	assert_false(a.granted);
	vote_lease_on(&v, &r, NULL, READY + 3030, &a);
	assert_true(a.granted);
}

static void a_shorter_lease_does_not_take_back_a_longer_one(void **state)
{
	struct vote_request r = request(1, "1", 1);

	(void)state;
	assert_true(ask(1, "1", 1, READY));
	r.lease_ms = 100;
	vote_lease_on(&v, &r, NULL, READY + 1, &a);
	assert_true(a.granted);
	assert_false(ask(2, "2", 1, READY + 3029));
	assert_true(ask(2, "2", 1, READY + 3030));
}

static void sets_that_are_none_are_refused(void **state)
{
	struct vote_request r = request(1, "12", 1);

	(void)state;
	r.members.id[1] = 1;
	assert_false(vote_request_ok(&r));
	r.members.id[0] = 0;
	assert_false(vote_request_ok(&r));
	r = request(1, "12", 1);
	r.nodeid = 3;
	assert_false(vote_request_ok(&r));
	r.members.count = 0;
	assert_false(vote_request_ok(&r));
	r.members.count = VOTE_NODES_MAX + 1;
	assert_false(vote_request_ok(&r));
}

/* Random partitions of three nodes, any order of asking: a node counts on its
 * lease while its ring is the one that it asked in.  Never two nodes in rings
 * that are disjoint. */
static void never_two_disjoint_partitions_at_once(void **state)
{
	static const char *const sets[] = { "", "1", "2", "12", "3", "13",
					    "23", "123" };
	unsigned int ring[4] = { 0, 7, 7, 7 }, held[4] = { 0 };
	uint64_t until[4] = { 0 }, seq[4] = { 0, 1, 1, 1 }, now = READY;
	unsigned int seed = 4711, both = 0;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		unsigned int n;

		seed = seed * 1103515245u + 12345u;
		n = 1 + (seed >> 16) % 3;
		if ((seed >> 20) % 4 == 0) { /* n's ring changes */
			unsigned int to = (seed >> 23) % 8 | 1u << (n - 1);

			if (to != ring[n])
				held[n] = 0;
			ring[n] = to;
			seq[n] += 4;
		}
		now += (seed >> 24) % 64;
		if (ask(n, sets[ring[n]], seq[n], now)) {
			held[n] = ring[n];
			until[n] = now + a.lease_ms;
		}
		for (int i = 1; i < 4; i++)
			for (int j = 1; j < i; j++) {
				bool live = held[i] != 0 && held[j] != 0 &&
					    until[i] > now && until[j] > now;

				both += live;
				assert_false(live &&
					     (held[i] & held[j]) == 0);
			}
	}
	assert_true(both > 1000); /* the rule was put to the test */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(nothing_after_a_start_until_old_leases_are_over),
		T(a_lease_is_bounded),
		T(the_same_partition_extends),
		T(of_two_parts_the_first_asker_wins),
		T(partitions_that_meet_have_it_at_once),
		T(a_part_waits_for_what_the_other_part_still_holds),
		T(a_late_message_of_an_older_ring_changes_nothing),
		T(overlapping_sets_wait),
		T(a_service_seen_elsewhere_refuses_a_new_partition_only),
		T(another_cluster_waits),
		T(a_shorter_lease_does_not_take_back_a_longer_one),
		T(sets_that_are_none_are_refused),
		T(never_two_disjoint_partitions_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
