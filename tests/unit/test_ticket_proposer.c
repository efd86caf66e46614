/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ticket_proposer.c - rounds and leases of a proposer against three
 * acceptors; each message waits until a test says what becomes of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ticket_acceptor.h"
#include "ticket_proposer.h"

#define W 3
#define LEASE 1000u
#define LEASE_SURE 990u /* drift taken off */
#define ANSWER 100u

static struct ticket_acceptor acceptors[W];
static bool dead[W], blind = true;
static struct ticket_proposer *p;
static struct ticket_outcome outcome;
static uint64_t now;
static unsigned int asked[W];

static const struct ticket alone_a = { 1, TICKET_ALONE, "a", "" },
			   none_1 = { 1, TICKET_NONE, "", "" },
			   prot_ba = { 4, TICKET_PROTECTED, "b", "a" };

static struct ticket_proposer *open_as(const char *self)
{
	struct ticket_proposer_config c = { .vm = "vm",
					    .self = self,
					    .witnesses = W,
					    .proposer = 77,
					    .seed = 5,
					    .lease_ms = LEASE,
					    .answer_ms = ANSWER };

	return ticket_proposer_new(&c);
}

static int setup(void **state)
{
	(void)state;
	memset(acceptors, 0, sizeof(acceptors));
	memset(dead, 0, sizeof(dead));
	memset(asked, 0, sizeof(asked));
	blind = true;
	now = 50000;
	p = open_as("a");
	return p == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	ticket_proposer_free(p);
	return 0;
}

static void at_witness(const struct ticket_send *s, struct ticket_answer *a)
{
	struct ticket_evidence seen = { .seen = !blind, .why = "b serves" };
	bool store;

	ticket_acceptor_on(&acceptors[s->to], &s->message, &seen, now, LEASE,
			   a, &store);
}

/* All that is sent is answered at once, except by the dead. */
static void flow(void)
{
	struct ticket_answer a;
	struct ticket_send s;

	while (ticket_proposer_next_send(p, &s)) {
		assert_string_equal(s.message.vm, "vm");
		asked[s.to]++;
		if (dead[s.to])
			continue;
		at_witness(&s, &a);
		ticket_proposer_answer(p, s.to, s.id, &a, now);
	}
}

/* Until the round ends, or for so long. */
static bool run_for(uint64_t ms)
{
	uint64_t end = now + ms;

	flow();
	while (!ticket_proposer_outcome(p, &outcome)) {
		uint64_t wake = ticket_proposer_wake_ms(p);

		if (wake > end) {
			now = end;
			return false;
		}
		now = wake > now ? wake : now;
		ticket_proposer_tick(p, now);
		flow();
	}
	return true;
}

static int ask(struct ticket_request r)
{
	if (r.give_up_ms == 0)
		r.give_up_ms = 3000;
	assert_int_equal(ticket_proposer_start(p, &r, now), 0);
	assert_true(run_for(r.give_up_ms + 1));
	return outcome.rc;
}

static int ask_for(enum ticket_purpose purpose)
{
	return ask((struct ticket_request){ .purpose = purpose, .peer = "b" });
}

static void put(unsigned int w, uint64_t n, const struct ticket *t)
{
	acceptors[w].stored.promised = acceptors[w].stored.accepted =
		(struct ballot){ n, 1 };
	acceptors[w].stored.value = *t;
}

static void put_all(uint64_t n, const struct ticket *t)
{
	for (unsigned int i = 0; i < W; i++)
		put(i, n, t);
}

static void a_boot_is_decided_and_gives_a_lease(void **state)
{
	struct ticket known;

	(void)state;
	assert_false(ticket_proposer_known(p, &known));
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
	assert_int_equal(ask_for(TICKET_FOR_BOOT), 0);
	assert_true(ticket_equal(&outcome.value, &alone_a));
	assert_true(ticket_proposer_known(p, &known));
	assert_true(ticket_equal(&known, &alone_a));
	assert_int_equal(ticket_proposer_lease_ms(p), now + LEASE_SURE);
	assert_false(ticket_proposer_outcome(p, &outcome)); /* once */
}

static void one_dead_witness_does_no_harm(void **state)
{
	uint64_t began = now;

	(void)state;
	dead[1] = true;
	assert_int_equal(ask_for(TICKET_FOR_BOOT), 0);
	assert_int_equal(now, began);
	assert_int_equal(ticket_proposer_lease_ms(p), now + LEASE_SURE);
}

static void two_dead_witnesses_leave_it_unknown(void **state)
{
	uint64_t began = now;

	(void)state;
	dead[1] = dead[2] = true;
	assert_int_equal(ask_for(TICKET_FOR_BOOT), -ETIMEDOUT);
	assert_int_equal(now, began + 3000);
	assert_non_null(strstr(outcome.why, "witness 3: silent"));
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
	assert_true(asked[0] > 3 && asked[0] < 60);
}

static void the_lease_counts_from_when_it_was_asked_for(void **state)
{
	struct ticket_request r = { .purpose = TICKET_FOR_BOOT,
				    .give_up_ms = 1000 };
	struct ticket_answer a;
	struct ticket_send s[W];
	uint64_t sent;

	(void)state;
	assert_int_equal(ticket_proposer_start(p, &r, now), 0);
	for (int phase = 0; phase < 2; phase++) {
		for (int i = 0; i < W; i++)
			assert_true(ticket_proposer_next_send(p, &s[i]));
		sent = now;
		now += 30;
		for (int i = 0; i < 2; i++) {
			at_witness(&s[i], &a);
			ticket_proposer_answer(p, s[i].to, s[i].id, &a, now);
		}
	}
	assert_true(ticket_proposer_outcome(p, &outcome));
	assert_int_equal(outcome.rc, 0);
	assert_int_equal(ticket_proposer_lease_ms(p), sent + LEASE_SURE);
	/* The third one comes late, and doubled; it makes no majority. */
	at_witness(&s[2], &a);
	ticket_proposer_answer(p, s[2].to, s[2].id, &a, now);
	ticket_proposer_answer(p, s[2].to, s[2].id, &a, now);
	assert_int_equal(ticket_proposer_lease_ms(p), sent + LEASE_SURE);
}

static void it_is_renewed_several_times_in_a_lease(void **state)
{
	(void)state;
	ask_for(TICKET_FOR_BOOT);
	memset(asked, 0, sizeof(asked));
	for (int i = 0; i < 100; i++) {
		assert_false(run_for(100));
		assert_true(ticket_proposer_lease_ms(p) >
			    now + LEASE_SURE / 2);
	}
	for (int i = 0; i < W; i++)
		assert_in_range(asked[i], 20, 60);
}

static void one_renewal_is_no_majority(void **state)
{
	uint64_t end;

	(void)state;
	ask_for(TICKET_FOR_BOOT);
	end = ticket_proposer_lease_ms(p);
	dead[0] = dead[2] = true;
	assert_false(run_for(5000));
	assert_int_equal(ticket_proposer_lease_ms(p), end);
	/* Nobody else had it meanwhile, so it comes back. */
	dead[0] = false;
	assert_false(run_for(1000));
	assert_true(ticket_proposer_lease_ms(p) > now);
}

static void who_missed_the_accept_gets_it_later(void **state)
{
	(void)state;
	dead[2] = true;
	ask_for(TICKET_FOR_BOOT);
	dead[2] = false;
	assert_false(run_for(600));
	assert_true(ticket_equal(&acceptors[2].stored.value, &alone_a));
	dead[0] = true;
	assert_false(run_for(3000));
	assert_true(ticket_proposer_lease_ms(p) > now);
}

static void who_promised_more_is_won_back_by_a_round(void **state)
{
	(void)state;
	dead[2] = true;
	ask_for(TICKET_FOR_BOOT);
	dead[2] = false;
	dead[0] = true;
	acceptors[2].stored.promised = (struct ballot){ 9, 9 };
	assert_false(run_for(5000)); /* and nobody hears of that round */
	assert_true(ticket_equal(&acceptors[2].stored.value, &alone_a));
	assert_true(acceptors[2].stored.accepted.n > 9);
	assert_true(ticket_proposer_lease_ms(p) > now);
}

static void a_ticket_that_is_another_ends_the_lease(void **state)
{
	struct ticket known;

	(void)state;
	ask_for(TICKET_FOR_BOOT);
	put(0, 8, &none_1);
	assert_false(run_for(1000));
	assert_true(ticket_proposer_lease_ms(p) > now);
	put(1, 8, &none_1);
	assert_false(run_for(1000));
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
	assert_true(ticket_proposer_known(p, &known));
	assert_true(ticket_equal(&known, &none_1));
	/* It never comes back by itself. */
	put_all(9, &alone_a);
	assert_false(run_for(3000));
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
}

static void protection_gives_the_lease_up_at_once(void **state)
{
	struct ticket_request r = { .purpose = TICKET_FOR_PROTECTED,
				    .peer = "b",
				    .give_up_ms = 1000 };

	(void)state;
	ask_for(TICKET_FOR_BOOT);
	assert_int_equal(ticket_proposer_start(p, &r, now), 0);
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
	assert_int_equal(ticket_proposer_start(p, &r, now), -EBUSY);
	assert_true(run_for(1000));
	assert_int_equal(outcome.rc, 0);
	assert_int_equal(outcome.value.generation, 2);
	for (int i = 0; i < W; i++)
		assert_string_equal(acceptors[i].leased_to, "");
	assert_int_equal(ticket_proposer_wake_ms(p), UINT64_MAX);
}

static void the_value_of_the_greatest_ballot_counts(void **state)
{
	static const struct ticket old = { 3, TICKET_ALONE, "b", "" };

	(void)state;
	put(0, 2, &old);
	put(1, 6, &prot_ba);
	put(2, 4, &old);
	assert_int_equal(ask_for(TICKET_FOR_READ), 0);
	assert_true(ticket_equal(&outcome.value, &prot_ba));
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
	/* Decided anew, by two; the third was not needed. */
	for (int i = 0; i < 2; i++)
		assert_true(ticket_equal(&acceptors[i].stored.value,
					 &prot_ba));
}

static void a_refusal_is_of_a_decided_ticket(void **state)
{
	static const struct ticket theirs = { 4, TICKET_ALONE, "b", "" };

	(void)state;
	put_all(1, &prot_ba);
	put(1, 6, &theirs); /* one alone had accepted it */
	dead[0] = true;
	assert_int_equal(ask((struct ticket_request){
				 .purpose = TICKET_FOR_TAKEOVER,
				 .generation = 4 }), -EPERM);
	assert_true(ticket_equal(&outcome.value, &theirs));
	assert_true(ticket_equal(&acceptors[2].stored.value, &theirs));
	assert_non_null(strstr(outcome.why, "alone(b) of generation 4"));
	assert_int_equal(ticket_proposer_lease_ms(p), 0);
}

static void a_takeover_is_of_its_generation_and_learns_what_was(void **state)
{
	struct ticket_request r = { .purpose = TICKET_FOR_TAKEOVER,
				    .generation = 3 };

	(void)state;
	put_all(1, &prot_ba);
	assert_int_equal(ask(r), -EPERM);
	r.generation = 4;
	assert_int_equal(ask(r), 0);
	assert_int_equal(outcome.value.state, TICKET_ALONE);
	ticket_proposer_free(p);
	p = open_as("a"); /* which did not hear of it */
	assert_int_equal(ask(r), 0);
	assert_int_equal(ticket_proposer_lease_ms(p), now + LEASE_SURE);
}

static void a_copy_that_is_seen_is_busy(void **state)
{
	(void)state;
	put_all(1, &prot_ba);
	blind = false;
	assert_int_equal(ask((struct ticket_request){
				 .purpose = TICKET_FOR_TAKEOVER,
				 .generation = 4 }), -EBUSY);
	assert_non_null(strstr(outcome.why, ": b serves"));
	assert_true(ticket_equal(&acceptors[0].stored.value, &prot_ba));
}

static void a_fence_is_quiet_when_the_longest_lease_is_over(void **state)
{
	uint64_t lease;

	(void)state;
	ask_for(TICKET_FOR_BOOT);
	lease = ticket_proposer_lease_ms(p);
	ticket_proposer_free(p);
	p = open_as("f");
	now += 300;
	assert_int_equal(ask((struct ticket_request){
				 .purpose = TICKET_FOR_FENCE, .target = "a" }),
			 0);
	assert_true(ticket_equal(&outcome.value, &none_1));
	assert_in_range(outcome.quiet_at_ms, lease + 20, lease + 60);
	/* Once more, later: it has been done, and what is left is less. */
	now += 2000;
	assert_int_equal(ask((struct ticket_request){
				 .purpose = TICKET_FOR_FENCE, .target = "a" }),
			 0);
	assert_int_equal(outcome.quiet_at_ms, now);
}

static void a_lease_of_another_is_waited_for(void **state)
{
	uint64_t began = now;

	(void)state;
	ask_for(TICKET_FOR_BOOT);
	ticket_proposer_free(p);
	p = open_as("f");
	ask((struct ticket_request){ .purpose = TICKET_FOR_FENCE,
				     .target = "a" });
	ticket_proposer_free(p);
	p = open_as("b");
	assert_int_equal(ask((struct ticket_request){
				 .purpose = TICKET_FOR_BOOT,
				 .give_up_ms = 500 }), -EBUSY);
	assert_int_equal(ask_for(TICKET_FOR_BOOT), 0);
	assert_true(now >= began + LEASE);
	assert_string_equal(outcome.value.holder, "b");
}

static void unreached_witnesses_do_not_spin(void **state)
{
	struct ticket_request r = { .purpose = TICKET_FOR_READ,
				    .give_up_ms = 2000 };
	struct ticket_send s;
	unsigned int n = 0;
	uint64_t end = now + 2000;

	(void)state;
	ticket_proposer_start(p, &r, now);
	while (!ticket_proposer_outcome(p, &outcome) && n < 1000) {
		while (ticket_proposer_next_send(p, &s)) {
			ticket_proposer_answer(p, s.to, s.id, NULL, now);
			n++;
		}
		now = ticket_proposer_wake_ms(p);
		ticket_proposer_tick(p, now);
	}
	assert_int_equal(outcome.rc, -ETIMEDOUT);
	assert_int_equal(now, end);
	assert_in_range(n, 6, 150);
	assert_non_null(strstr(outcome.why, "witness 1: not reached"));
}

static void what_was_not_asked_is_passed_over(void **state)
{
	struct ticket_request r = { .purpose = TICKET_FOR_READ,
				    .give_up_ms = 2000 };
	struct ticket_answer a = { .reply = TICKET_PROMISE };
	struct ticket_send s;

	(void)state;
	ticket_proposer_start(p, &r, now);
	for (uint64_t id = 0; id < 3; id++)
		ticket_proposer_answer(p, 9, id, &a, now);
	while (ticket_proposer_next_send(p, &s)) {
		/* One witness's answer is not another's. */
		ticket_proposer_answer(p, (s.to + 1) % W, s.id, &a, now);
		ticket_proposer_answer(p, s.to, s.id + 100, &a, now);
	}
	assert_false(ticket_proposer_outcome(p, &outcome));
	assert_int_equal(ticket_proposer_wake_ms(p), now + ANSWER);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_boot_is_decided_and_gives_a_lease),
		T(one_dead_witness_does_no_harm),
		T(two_dead_witnesses_leave_it_unknown),
		T(the_lease_counts_from_when_it_was_asked_for),
		T(it_is_renewed_several_times_in_a_lease),
		T(one_renewal_is_no_majority),
		T(who_missed_the_accept_gets_it_later),
		T(who_promised_more_is_won_back_by_a_round),
		T(a_ticket_that_is_another_ends_the_lease),
		T(protection_gives_the_lease_up_at_once),
		T(the_value_of_the_greatest_ballot_counts),
		T(a_refusal_is_of_a_decided_ticket),
		T(a_takeover_is_of_its_generation_and_learns_what_was),
		T(a_copy_that_is_seen_is_busy),
		T(a_fence_is_quiet_when_the_longest_lease_is_over),
		T(a_lease_of_another_is_waited_for),
		T(unreached_witnesses_do_not_spin),
		T(what_was_not_asked_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
