/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_commit.c - the backup's engine: the life of an epoch there, and every
 * event in every reachable state against the guarantees at the top of commit.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "commit.h"

static struct commit c;
static struct commit_actions out;

static int setup(void **state)
{
	(void)state;
	commit_init(&c);
	return 0;
}

static void feed(struct commit_event ev)
{
	commit_step(&c, &ev, &out);
}

#define FEED(...) feed((struct commit_event){ __VA_ARGS__ })

static bool has(enum commit_action_type type)
{
	for (unsigned int i = 0; i < out.n; i++)
		if (out.a[i].type == type)
			return true;
	return false;
}

static bool only(enum commit_action_type type)
{
	return out.n == 1 && out.a[0].type == type;
}

/* Epoch 1 of stream 7, whose chain is 11, is committed. */
static void commit_first(void)
{
	FEED(.type = CEV_LINK_UP);
	FEED(.type = CEV_BEGIN, .stream = 7, .epoch = 1, .direct = true);
	FEED(.type = CEV_DATA, .good = true);
	FEED(.type = CEV_END, .epoch = 1, .chain = 11, .good = true);
}

static void begin_second(void)
{
	commit_first();
	FEED(.type = CEV_BEGIN, .stream = 7, .epoch = 2, .chain = 11);
}

static void a_direct_epoch_voids_before_it_writes(void **state)
{
	(void)state;
	commit_first();
	assert_true(commit_restorable(&c));
	FEED(.type = CEV_BEGIN, .stream = 8, .epoch = 5, .direct = true);
	assert_true(only(CACT_VOID));
	assert_false(commit_restorable(&c));
	assert_int_equal(c.committed, 0);
	FEED(.type = CEV_LINK_DOWN);
	assert_false(commit_restorable(&c)); /* what is void stays void */
}

static void an_epoch_is_acknowledged_after_its_commit(void **state)
{
	(void)state;
	commit_first();
	assert_int_equal(out.n, 2);
	assert_int_equal(out.a[0].type, CACT_COMMIT);
	assert_int_equal(out.a[1].type, CACT_SEND_ACK);
	assert_int_equal(out.a[1].epoch, 1);
	assert_int_equal(out.a[1].chain, 11);
}

static void a_torn_epoch_is_dropped(void **state)
{
	(void)state;
	begin_second();
	FEED(.type = CEV_DATA, .good = true);
	FEED(.type = CEV_LINK_DOWN);
	assert_true(only(CACT_UNSTAGE));
	assert_true(commit_restorable(&c));
	assert_int_equal(c.committed, 1);
	assert_int_equal(c.chain, 11);
}

static void a_wrong_digest_is_refused(void **state)
{
	(void)state;
	begin_second();
	FEED(.type = CEV_END, .epoch = 2, .chain = 12, .good = false);
	assert_true(has(CACT_REFUSE_DIGEST) && has(CACT_CLOSE_LINK));
	assert_false(has(CACT_COMMIT) || has(CACT_SEND_ACK));
	assert_int_equal(c.committed, 1);
}

static void what_does_not_continue_is_refused(void **state)
{
	const struct commit_event wrong[] = {
		{ .type = CEV_BEGIN, .stream = 8, .epoch = 2, .chain = 11 },
		{ .type = CEV_BEGIN, .stream = 7, .epoch = 1, .chain = 11 },
		{ .type = CEV_BEGIN, .stream = 7, .epoch = 2, .chain = 10 },
		{ .type = CEV_BEGIN, .stream = 0, .epoch = 2, .direct = true },
		{ .type = CEV_BEGIN, .stream = 7, .epoch = 0, .direct = true },
		{ .type = CEV_DATA, .good = true },
		{ .type = CEV_END, .epoch = 1, .chain = 11, .good = true },
		{ .type = CEV_HANDOVER, .epoch = 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		commit_init(&c);
		commit_first();
		feed(wrong[i]);
		assert_true(has(CACT_REFUSE_PROTOCOL) && has(CACT_CLOSE_LINK));
		assert_true(commit_restorable(&c));
		assert_int_equal(c.committed, 1);
		/* What is still under way counts for nothing. */
		FEED(.type = CEV_BEGIN, .stream = 7, .epoch = 2, .chain = 11);
		assert_int_equal(out.n, 0);
	}
}

static void a_lost_link_activates_nothing(void **state)
{
	(void)state;
	begin_second();
	FEED(.type = CEV_LINK_DOWN);
	assert_false(has(CACT_LOAD));
	FEED(.type = CEV_LINK_DOWN);
	assert_int_equal(out.n, 0);
}

static void activation_starts_from_the_committed_epoch(void **state)
{
	(void)state;
	begin_second();
	FEED(.type = CEV_DATA, .good = true);
	FEED(.type = CEV_ACTIVATE);
	assert_int_equal(out.a[0].type, CACT_UNSTAGE);
	assert_true(has(CACT_REFUSE_SUPERSEDED) && has(CACT_CLOSE_LINK));
	assert_int_equal(out.a[out.n - 1].type, CACT_LOAD);
	assert_int_equal(out.a[out.n - 1].epoch, 1);
}

static void nothing_is_acknowledged_after_activation(void **state)
{
	(void)state;
	begin_second();
	FEED(.type = CEV_ACTIVATE);
	FEED(.type = CEV_END, .epoch = 2, .chain = 12, .good = true);
	assert_false(has(CACT_COMMIT) || has(CACT_SEND_ACK));
	FEED(.type = CEV_LOADED, .good = true);
	FEED(.type = CEV_LINK_UP);
	assert_true(has(CACT_REFUSE_SUPERSEDED));
}

static void with_nothing_committed_there_is_nothing_to_activate(void **state)
{
	(void)state;
	FEED(.type = CEV_LINK_UP);
	FEED(.type = CEV_BEGIN, .stream = 7, .epoch = 1, .direct = true);
	FEED(.type = CEV_ACTIVATE);
	assert_true(only(CACT_REFUSE_ACTIVATE));
}

static void a_guest_that_did_not_start_leaves_nothing(void **state)
{
	(void)state;
	commit_first();
	FEED(.type = CEV_ACTIVATE);
	FEED(.type = CEV_LOADED, .good = false);
	assert_false(commit_restorable(&c));
	assert_int_equal(c.committed, 0);
}

static void a_handover_is_over_when_epochs_go_on(void **state)
{
	(void)state;
	commit_first();
	FEED(.type = CEV_HANDOVER, .epoch = 1);
	assert_true(only(CACT_SEND_HANDOVER_ACK));
	assert_true(c.handed_over);
	FEED(.type = CEV_BEGIN, .stream = 7, .epoch = 2, .chain = 11);
	assert_false(c.handed_over);
}

static void a_ticket_is_acknowledged_when_it_is_stored(void **state)
{
	(void)state;
	commit_first();
	FEED(.type = CEV_TICKET);
	assert_true(only(CACT_STORE_TICKET));
	FEED(.type = CEV_TICKET_STORED, .good = false);
	assert_int_equal(out.n, 0);
	FEED(.type = CEV_TICKET_STORED, .good = true);
	assert_true(only(CACT_SEND_TICKET_ACK));
	FEED(.type = CEV_LINK_DOWN);
	FEED(.type = CEV_TICKET_STORED, .good = true);
	assert_int_equal(out.n, 0);
}

/* ---- every event in every reachable state ---- */

#define STATES_MAX 20000
#define EPOCHS_WALKED 3

static struct commit seen[STATES_MAX];
static unsigned int nseen;

static void remember(const struct commit *s)
{
	for (unsigned int i = 0; i < nseen; i++)
		if (memcmp(&seen[i], s, sizeof(*s)) == 0)
			return;
	assert_true(nseen < STATES_MAX);
	seen[nseen++] = *s;
}

static bool receives(const struct commit *s)
{
	return s->state == COMMIT_DIRECT || s->state == COMMIT_STAGING;
}

static bool taken_over(const struct commit *s)
{
	return s->state == COMMIT_LOADING || s->state == COMMIT_ACTIVE;
}

static void check_action(const struct commit *was,
			 const struct commit_event *ev, unsigned int i)
{
	switch (out.a[i].type) {
	case CACT_COMMIT: /* S2, S5 */
		assert_int_equal(ev->type, CEV_END);
		assert_true(ev->good && receives(was) && was->link_up);
		assert_int_equal(ev->epoch, was->open);
		assert_int_equal(c.committed, ev->epoch);
		assert_int_equal(c.chain, ev->chain);
		break;
	case CACT_SEND_ACK:
		assert_true(i > 0 && out.a[i - 1].type == CACT_COMMIT);
		assert_int_equal(out.a[i].epoch, out.a[i - 1].epoch);
		break;
	case CACT_LOAD: /* S3 */
		assert_int_equal(ev->type, CEV_ACTIVATE);
		assert_true(commit_restorable(was));
		assert_int_equal(out.a[i].epoch, was->committed);
		break;
	case CACT_VOID:
		assert_int_equal(i, 0);
		assert_true(ev->type == CEV_BEGIN && ev->direct);
		break;
	case CACT_SEND_TICKET_ACK:
		assert_true(ev->type == CEV_TICKET_STORED && ev->good);
		break;
	default: break;
	}
	if (taken_over(was)) /* S4 */
		assert_true(out.a[i].type == CACT_REFUSE_SUPERSEDED ||
			    out.a[i].type == CACT_CLOSE_LINK ||
			    out.a[i].type == CACT_REFUSE_ACTIVATE);
}

static void check_state(const struct commit *was, const struct commit_event *ev)
{
	bool same = c.committed == was->committed && c.chain == was->chain &&
		    c.stream == was->stream;

	/* The state to take over from changes whole, or not at all. */
	if (!has(CACT_COMMIT) && !has(CACT_VOID) && ev->type != CEV_LOADED)
		assert_true(same);
	assert_int_equal(commit_restorable(&c),
			 c.state == COMMIT_READY || c.state == COMMIT_STAGING);
	if (commit_restorable(&c))
		assert_true(c.committed > 0 && c.stream != 0);
	else if (!taken_over(&c))
		assert_int_equal(c.committed, 0);
	/* Nothing is being received from nobody. */
	if (!c.link_up)
		assert_false(receives(&c));
	/* What was staged is either committed or dropped. */
	if (was->state == COMMIT_STAGING && c.state != COMMIT_STAGING)
		assert_true(has(CACT_COMMIT) || has(CACT_UNSTAGE));
	if (has(CACT_CLOSE_LINK) && !taken_over(was))
		assert_false(c.link_up);
	if (taken_over(was) && ev->type != CEV_LOADED)
		assert_int_equal(c.state, was->state);
}

static void try_event(const struct commit *was, struct commit_event ev)
{
	c = *was;
	commit_step(&c, &ev, &out);
	for (unsigned int i = 0; i < out.n; i++)
		check_action(was, &ev, i);
	check_state(was, &ev);
	if (c.committed <= EPOCHS_WALKED && c.open <= EPOCHS_WALKED)
		remember(&c);
}

static void try_all(const struct commit *was)
{
	for (int t = CEV_LINK_UP; t <= CEV_LOADED; t++)
		for (unsigned int bits = 0; bits < 4; bits++)
			for (uint64_t n = 0; n < 5 * 3 * 3; n++)
				try_event(was, (struct commit_event){
					.type = (enum commit_event_type)t,
					.direct = (bits & 1) != 0,
					.good = (bits & 2) != 0,
					.epoch = n % 5,
					.stream = n / 5 % 3,
					.chain = n / 15,
				});
}

static void every_event_in_every_state_keeps_the_guarantees(void **state)
{
	struct commit was;

	(void)state;
	nseen = 0;
	remember(&c);
	for (unsigned int i = 0; i < nseen; i++) {
		was = seen[i];
		try_all(&was);
	}
	print_message("%u states\n", nseen);
	assert_true(nseen > 300); /* it did get somewhere */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(a_direct_epoch_voids_before_it_writes),
		T(an_epoch_is_acknowledged_after_its_commit),
		T(a_torn_epoch_is_dropped),
		T(a_wrong_digest_is_refused),
		T(what_does_not_continue_is_refused),
		T(a_lost_link_activates_nothing),
		T(activation_starts_from_the_committed_epoch),
		T(nothing_is_acknowledged_after_activation),
		T(with_nothing_committed_there_is_nothing_to_activate),
		T(a_guest_that_did_not_start_leaves_nothing),
		T(a_handover_is_over_when_epochs_go_on),
		T(a_ticket_is_acknowledged_when_it_is_stored),
		T(every_event_in_every_state_keeps_the_guarantees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
