/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ticket_acceptor.c - what a witness promises, accepts, and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ticket_acceptor.h"

#define LEASE 1000u
#define LEASE_MAX 2000u
/* One millisecond for its cut clock, and the drift. */
#define LEASE_OVER 1011u
#define LEASE_MAX_OVER 2021u

static const struct ticket none, alone_a = { 1, TICKET_ALONE, "a", "" },
			   alone_b = { 2, TICKET_ALONE, "b", "" },
			   prot_ab = { 2, TICKET_PROTECTED, "a", "b" },
			   none_1 = { 1, TICKET_NONE, "", "" };

static struct ticket_acceptor acceptor;
static struct ticket_answer answer;
static struct ticket_evidence evidence;
static uint64_t now;
static bool stored;

static int setup(void **state)
{
	(void)state;
	memset(&acceptor, 0, sizeof(acceptor));
	evidence = (struct ticket_evidence){ .why = "seen a moment ago" };
	now = 10000;
	return 0;
}

static enum ticket_reply ask(const struct ticket_message *m)
{
	/* Whatever was there before, all of it is set. */
	memset(&answer, 0xa5, sizeof(answer));
	ticket_acceptor_on(&acceptor, m, &evidence, now, LEASE_MAX, &answer,
			   &stored);
	return answer.reply;
}

static struct ticket_message message(enum ticket_question question,
				     const char *from, uint64_t n,
				     enum ticket_purpose purpose)
{
	struct ticket_message m = { .question = question,
				    .vm = "vm",
				    .ballot = { n, 7 },
				    .purpose = purpose };

	strcpy(m.from, from);
	if (purpose == TICKET_FOR_FENCE)
		strcpy(m.target, from[0] == 'a' ? "b" : "a");
	return m;
}

static enum ticket_reply prepare(const char *from, uint64_t n,
				 enum ticket_purpose purpose)
{
	struct ticket_message m = message(TICKET_PREPARE, from, n, purpose);

	return ask(&m);
}

static enum ticket_reply say_accept(const char *from, uint64_t n,
				enum ticket_purpose purpose,
				const struct ticket *value, uint32_t lease_ms)
{
	struct ticket_message m = message(TICKET_ACCEPT, from, n, purpose);

	m.value = *value;
	m.lease_ms = lease_ms;
	return ask(&m);
}

static enum ticket_reply renew(const char *from, const struct ticket *value)
{
	struct ticket_message m = { .question = TICKET_RENEW,
				    .vm = "vm",
				    .value = *value,
				    .lease_ms = LEASE };

	strcpy(m.from, from);
	return ask(&m);
}

/* alone(a), with a lease from now on. */
static void a_is_alone(uint64_t n)
{
	assert_int_equal(say_accept("a", n, TICKET_FOR_ALONE, &alone_a, LEASE),
			 TICKET_ACCEPTED);
}

static void the_first_promise_tells_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(prepare("a", 1, TICKET_FOR_BOOT), TICKET_PROMISE);
	assert_true(stored);
	assert_int_equal(answer.ballot.n, 0);
	assert_true(ticket_equal(&answer.value, &none));
	assert_int_equal(acceptor.stored.promised.n, 1);
}

static void a_promise_tells_what_was_accepted_last(void **state)
{
	(void)state;
	a_is_alone(3);
	assert_int_equal(prepare("b", 5, TICKET_FOR_READ), TICKET_PROMISE);
	assert_int_equal(answer.ballot.n, 3);
	assert_int_equal(answer.ballot.proposer, 7);
	assert_true(ticket_equal(&answer.value, &alone_a));
}

static void smaller_ballots_are_refused(void **state)
{
	(void)state;
	prepare("a", 5, TICKET_FOR_READ);
	assert_int_equal(prepare("a", 4, TICKET_FOR_READ),
			 TICKET_REFUSED_BALLOT);
	assert_int_equal(answer.ballot.n, 5);
	assert_false(stored);
	assert_int_equal(say_accept("a", 4, TICKET_FOR_READ, &none, 0),
			 TICKET_REFUSED_BALLOT);
	assert_false(stored);
	assert_int_equal(acceptor.stored.accepted.n, 0);
}

static void a_doubled_prepare_gets_the_same_promise(void **state)
{
	(void)state;
	prepare("a", 5, TICKET_FOR_READ);
	assert_int_equal(prepare("a", 5, TICKET_FOR_READ), TICKET_PROMISE);
	assert_false(stored);
	say_accept("a", 5, TICKET_FOR_READ, &none, 0);
	assert_int_equal(prepare("a", 5, TICKET_FOR_READ),
			 TICKET_REFUSED_BALLOT);
}

static void an_accept_is_stored_once(void **state)
{
	(void)state;
	assert_int_equal(say_accept("a", 5, TICKET_FOR_BOOT, &alone_a, LEASE),
			 TICKET_ACCEPTED);
	assert_true(stored);
	assert_int_equal(acceptor.stored.promised.n, 5);
	assert_int_equal(say_accept("a", 5, TICKET_FOR_BOOT, &alone_a, LEASE),
			 TICKET_ACCEPTED);
	assert_false(stored);
}

static void a_copy_that_is_seen_refuses_what_would_replace_it(void **state)
{
	static const enum ticket_purpose refused[] = { TICKET_FOR_TAKEOVER,
						       TICKET_FOR_BOOT,
						       TICKET_FOR_FENCE };
	static const enum ticket_purpose granted[] = {
		TICKET_FOR_READ, TICKET_FOR_ALONE, TICKET_FOR_PROTECTED,
		TICKET_FOR_END
	};

	(void)state;
	evidence.seen = true;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(prepare("b", 5, refused[i]),
				 TICKET_REFUSED_SEEN);
		assert_string_equal(answer.why, evidence.why);
		assert_false(stored);
		assert_int_equal(acceptor.stored.promised.n, 0);
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(prepare("b", 5 + i, granted[i]),
				 TICKET_PROMISE);
}

static void a_lease_keeps_others_out_until_it_is_over(void **state)
{
	(void)state;
	a_is_alone(1);
	assert_int_equal(say_accept("f", 2, TICKET_FOR_FENCE, &none_1, 0),
			 TICKET_ACCEPTED);
	now += LEASE_OVER - 1;
	assert_int_equal(say_accept("b", 3, TICKET_FOR_BOOT, &alone_b, LEASE),
			 TICKET_REFUSED_LEASE);
	assert_int_equal(answer.lease_left_ms, 1);
	assert_false(stored);
	assert_true(ticket_equal(&acceptor.stored.value, &none_1));
	now++;
	assert_int_equal(say_accept("b", 3, TICKET_FOR_BOOT, &alone_b, LEASE),
			 TICKET_ACCEPTED);
	assert_string_equal(acceptor.leased_to, "b");
}

static void who_fences_hears_what_is_left(void **state)
{
	(void)state;
	a_is_alone(1);
	now += 100;
	assert_int_equal(say_accept("f", 2, TICKET_FOR_FENCE, &none_1, 0),
			 TICKET_ACCEPTED);
	assert_int_equal(answer.lease_left_ms, LEASE_OVER - 100);
	/* From the target's own node, too: "a" fences "b". */
	assert_int_equal(say_accept("a", 3, TICKET_FOR_FENCE, &none_1, 0),
			 TICKET_ACCEPTED);
	assert_int_equal(answer.lease_left_ms, 0);
}

static void only_its_holder_gives_a_lease_back(void **state)
{
	(void)state;
	a_is_alone(1);
	say_accept("a", 2, TICKET_FOR_READ, &none_1, 0);
	say_accept("a", 3, TICKET_FOR_FENCE, &none_1, 0);
	say_accept("b", 4, TICKET_FOR_PROTECTED, &prot_ab, 0);
	assert_string_equal(acceptor.leased_to, "a");
	say_accept("a", 5, TICKET_FOR_PROTECTED, &prot_ab, 0);
	assert_string_equal(acceptor.leased_to, "");
	a_is_alone(6);
	say_accept("a", 7, TICKET_FOR_END, &none_1, 0);
	assert_string_equal(acceptor.leased_to, "");
	assert_int_equal(say_accept("b", 8, TICKET_FOR_BOOT, &alone_b, LEASE),
			 TICKET_ACCEPTED);
}

static void who_decides_for_another_gives_no_lease(void **state)
{
	(void)state;
	assert_int_equal(say_accept("b", 1, TICKET_FOR_FENCE, &alone_b, 0),
			 TICKET_ACCEPTED);
	assert_string_equal(acceptor.leased_to, "");
	assert_int_equal(say_accept("f", 2, TICKET_FOR_READ, &alone_b, LEASE),
			 TICKET_REFUSED_BAD);
}

static void a_renewal_counts_from_when_it_came(void **state)
{
	(void)state;
	a_is_alone(1);
	now += 500;
	assert_int_equal(renew("a", &alone_a), TICKET_RENEWED);
	assert_false(stored);
	assert_int_equal(acceptor.leased_until_ms, now + LEASE_OVER);
}

static void nothing_but_what_was_accepted_is_renewed(void **state)
{
	struct ticket later = alone_a;

	(void)state;
	assert_int_equal(renew("a", &alone_a), TICKET_REFUSED_VALUE);
	a_is_alone(1);
	later.generation++;
	assert_int_equal(renew("a", &later), TICKET_REFUSED_VALUE);
	say_accept("f", 2, TICKET_FOR_FENCE, &none_1, 0);
	assert_int_equal(renew("a", &alone_a), TICKET_REFUSED_VALUE);
	assert_int_equal(answer.ballot.n, 2);
	assert_true(ticket_equal(&answer.value, &none_1));
	assert_int_equal(acceptor.leased_until_ms, now + LEASE_OVER);
}

static void a_restart_counts_for_the_holder(void **state)
{
	(void)state;
	a_is_alone(1);
	now = 50; /* a new clock */
	ticket_acceptor_restart(&acceptor, now, LEASE_MAX);
	assert_int_equal(say_accept("b", 2, TICKET_FOR_BOOT, &alone_b, LEASE),
			 TICKET_REFUSED_LEASE);
	assert_int_equal(answer.lease_left_ms, LEASE_MAX_OVER);
	assert_int_equal(say_accept("a", 3, TICKET_FOR_ALONE, &alone_a, LEASE),
			 TICKET_ACCEPTED);
	/* What may have been given before is not forgotten by what is. */
	assert_int_equal(acceptor.leased_until_ms, 50 + LEASE_MAX_OVER);
}

static void a_restart_counts_for_everybody_where_nothing_tells(void **state)
{
	(void)state;
	a_is_alone(1);
	say_accept("f", 2, TICKET_FOR_FENCE, &none_1, 0);
	ticket_acceptor_restart(&acceptor, now, LEASE_MAX);
	assert_int_equal(say_accept("a", 3, TICKET_FOR_BOOT, &alone_a, LEASE),
			 TICKET_REFUSED_LEASE);
	assert_int_equal(say_accept("f", 3, TICKET_FOR_FENCE, &none_1, 0),
			 TICKET_ACCEPTED);
	assert_int_equal(answer.lease_left_ms, LEASE_MAX_OVER);
	now += LEASE_MAX_OVER;
	assert_int_equal(say_accept("a", 4, TICKET_FOR_BOOT, &alone_a, LEASE),
			 TICKET_ACCEPTED);
}

static void who_never_promised_waits_for_nobody(void **state)
{
	(void)state;
	ticket_acceptor_restart(&acceptor, now, LEASE_MAX);
	a_is_alone(1);
}

static void nonsense_is_refused(void **state)
{
	struct ticket_message good = message(TICKET_ACCEPT, "a", 5,
					     TICKET_FOR_ALONE), m;
	struct ticket_acceptor before = acceptor;

	(void)state;
	good.value = alone_a;
	good.lease_ms = LEASE;
#define BAD(change)                                                           \
	do {                                                                  \
		m = good;                                                     \
		change;                                                       \
		assert_int_equal(ask(&m), TICKET_REFUSED_BAD);                \
		assert_true(answer.why[0] != '\0');                           \
		assert_false(stored);                                         \
		assert_memory_equal(&acceptor, &before, sizeof(before));      \
	} while (0)
	BAD(m.ballot.n = 0);
	BAD(m.ballot.n = TICKET_BALLOT_MAX + 1);
	BAD(m.ballot.proposer = 0);
	BAD(m.from[0] = '\0');
	BAD(strcpy(m.from, "*"));
	BAD(m.purpose = (enum ticket_purpose)42);
	BAD(m.question = (enum ticket_question)42);
	BAD(m.purpose = TICKET_FOR_FENCE);
	BAD((m.purpose = TICKET_FOR_FENCE, strcpy(m.target, "a")));
	BAD(m.value.holder[0] = '\0');
	BAD(m.value.generation = 0);
	BAD(m.value.state = (enum ticket_state)9);
	BAD(m.lease_ms = TICKET_LEASE_MS_MIN - 1);
	BAD(m.lease_ms = LEASE_MAX + 1);
	BAD(strcpy(m.from, "b")); /* a lease of another's ticket */
	BAD((m.question = TICKET_RENEW, m.lease_ms = 0));
#undef BAD
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(the_first_promise_tells_of_nothing),
		T(a_promise_tells_what_was_accepted_last),
		T(smaller_ballots_are_refused),
		T(a_doubled_prepare_gets_the_same_promise),
		T(an_accept_is_stored_once),
		T(a_copy_that_is_seen_refuses_what_would_replace_it),
		T(a_lease_keeps_others_out_until_it_is_over),
		T(who_fences_hears_what_is_left),
		T(only_its_holder_gives_a_lease_back),
		T(who_decides_for_another_gives_no_lease),
		T(a_renewal_counts_from_when_it_came),
		T(nothing_but_what_was_accepted_is_renewed),
		T(a_restart_counts_for_the_holder),
		T(a_restart_counts_for_everybody_where_nothing_tells),
		T(who_never_promised_waits_for_nobody),
		T(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
