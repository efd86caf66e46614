/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_epoch.c - the primary's engine: the life of an epoch, what simulation
 * and reading found wrong with it once, and every event in every reachable
 * state against the guarantees at the top of epoch.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "epoch.h"
#include "permit_make.h"
#include "util.h"

static struct epoch e;
static struct epoch_actions out;

static int setup(void **state)
{
	struct epoch_limits limits = { .max_in_flight = 2,
				       .live_pages_few = 10,
				       .live_passes_max = 2 };

	(void)state;
	epoch_init(&e, &limits);
	return 0;
}

static void feed(struct epoch_event ev)
{
	epoch_step(&e, &ev, &out);
}

#define FEED(...) feed((struct epoch_event){ __VA_ARGS__ })

static struct epoch_action *find(enum epoch_action_type type)
{
	for (unsigned int i = 0; i < out.n; i++)
		if (out.a[i].type == type)
			return &out.a[i];
	return NULL;
}

static void start_alone(void)
{
	FEED(.type = EV_TICKET_ALONE,
	     .permit = permit_from_ticket(PERMIT_FOREVER));
	FEED(.type = EV_STARTED, .epoch = 1);
}

/* Up to the first capture under way. */
static void send_first(void)
{
	start_alone();
	FEED(.type = EV_LINK_READY);
	FEED(.type = EV_LIVE_DONE);
	FEED(.type = EV_SUSPENDED);
	FEED(.type = EV_CAPTURED);
	FEED(.type = EV_SENT, .epoch = 1);
	FEED(.type = EV_RESUMED);
}

static void protect(void)
{
	send_first();
	FEED(.type = EV_ACK, .epoch = 1);
	FEED(.type = EV_TICKET_MOVED);
	FEED(.type = EV_TICKET_TOLD);
}

static void captured_and_sent(uint64_t epoch)
{
	FEED(.type = EV_TICK);
	FEED(.type = EV_SUSPENDED);
	FEED(.type = EV_CAPTURED);
	FEED(.type = EV_RESUMED);
	FEED(.type = EV_SENT, .epoch = epoch);
}

static void alone_opens_at_start(void **state)
{
	(void)state;
	start_alone();
	assert_non_null(find(ACT_HOLD));
	assert_non_null(find(ACT_OPEN));
	assert_int_equal(permit_kind(&find(ACT_OPEN)->permit), PERMIT_TICKET);
}

static void nothing_opens_without_a_ticket(void **state)
{
	struct permit forged = { .kind_ = PERMIT_TICKET };

	(void)state;
	FEED(.type = EV_TICKET_ALONE, .permit = forged);
	FEED(.type = EV_STARTED, .epoch = 1);
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_LINK_READY);
	assert_null(find(ACT_BEGIN));
}

static void output_waits_until_the_backup_was_told(void **state)
{
	(void)state;
	send_first();
	FEED(.type = EV_ACK, .epoch = 1);
	assert_non_null(find(ACT_MOVE_TICKET));
	assert_null(find(ACT_RELEASE));
	FEED(.type = EV_TICKET_MOVED);
	assert_non_null(find(ACT_TELL_TICKET));
	assert_null(find(ACT_RELEASE));
	FEED(.type = EV_TICKET_TOLD);
	assert_non_null(find(ACT_RELEASE));
	assert_int_equal(permit_epoch(&find(ACT_RELEASE)->permit), 1);
}

static void an_ack_counts_no_longer_than_what_brought_it(void **state)
{
	const struct permit *p;

	(void)state;
	protect();
	captured_and_sent(2);
	FEED(.type = EV_ACK, .epoch = 2, .until_boot_ns = 500);
	p = &find(ACT_RELEASE)->permit;
	assert_int_equal(permit_epoch(p), 2);
	assert_true(permit_in_time(p, 499));
	assert_false(permit_in_time(p, 500));
}

static void an_ack_releases_its_epoch_and_no_later_one(void **state)
{
	(void)state;
	protect();
	captured_and_sent(2);
	captured_and_sent(3);
	FEED(.type = EV_ACK, .epoch = 2);
	assert_int_equal(permit_epoch(&find(ACT_RELEASE)->permit), 2);
}

static void no_more_epochs_in_flight_than_allowed(void **state)
{
	(void)state;
	protect();
	captured_and_sent(2);
	captured_and_sent(3);
	assert_int_equal(epoch_in_flight(&e), 2);
	FEED(.type = EV_TICK);
	assert_null(find(ACT_SUSPEND));
	FEED(.type = EV_ACK, .epoch = 2);
	assert_non_null(find(ACT_SUSPEND));
}

static void an_ack_of_what_was_not_sent_drops_the_link(void **state)
{
	(void)state;
	protect();
	FEED(.type = EV_ACK, .epoch = 2);
	assert_non_null(find(ACT_DROP_LINK));
	assert_null(find(ACT_DROP_LINK)->why); /* the peer's fault */
	assert_null(find(ACT_RELEASE));
}

static void a_lost_link_shuts_what_was_protected(void **state)
{
	(void)state;
	protect();
	captured_and_sent(2);
	FEED(.type = EV_LINK_DOWN);
	assert_non_null(find(ACT_FORGET));
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_LINK_READY, .epoch = 2); /* the ACK had been lost */
	assert_null(find(ACT_RELEASE));
	assert_non_null(find(ACT_BEGIN));
	assert_false(find(ACT_BEGIN)->direct);
}

static void a_backup_gone_back_in_time_gets_everything(void **state)
{
	(void)state;
	protect();
	captured_and_sent(2);
	FEED(.type = EV_ACK, .epoch = 2);
	FEED(.type = EV_LINK_DOWN);
	FEED(.type = EV_LINK_READY, .epoch = 1);
	assert_true(find(ACT_BEGIN)->direct);
}

/* Suspend was answered when the link was another one. */
static void a_pause_of_the_last_link_is_no_epoch(void **state)
{
	(void)state;
	protect();
	FEED(.type = EV_TICK);
	assert_non_null(find(ACT_SUSPEND));
	FEED(.type = EV_LINK_DOWN);
	FEED(.type = EV_LINK_READY);
	FEED(.type = EV_SUSPENDED);
	assert_null(find(ACT_CAPTURE));
	FEED(.type = EV_CAPTURED);
	assert_null(find(ACT_SEND));
	assert_non_null(find(ACT_RESUME));
	FEED(.type = EV_RESUMED);
	assert_non_null(find(ACT_BEGIN));
}

static void a_handover_asked_for_in_a_held_pause_lets_it_end(void **state)
{
	(void)state;
	protect();
	FEED(.type = EV_TICK);
	FEED(.type = EV_SUSPENDED);
	FEED(.type = EV_CAPTURED, .overflow = true);
	assert_null(find(ACT_RESUME));
	FEED(.type = EV_HANDOVER);
	FEED(.type = EV_SENT, .epoch = 2);
	assert_non_null(find(ACT_RESUME));
}

static void a_handover_ends_the_guest_after_its_last_ack(void **state)
{
	(void)state;
	protect();
	FEED(.type = EV_HANDOVER);
	assert_non_null(find(ACT_SUSPEND));
	FEED(.type = EV_SUSPENDED);
	FEED(.type = EV_CAPTURED);
	assert_null(find(ACT_RESUME));
	FEED(.type = EV_SENT, .epoch = 2);
	FEED(.type = EV_HANDOVER_DONE);
	assert_null(find(ACT_KILL_GUEST));
	assert_non_null(find(ACT_DROP_LINK));
	FEED(.type = EV_ACK, .epoch = 2);
	assert_non_null(find(ACT_RELEASE));
	assert_int_equal(find(ACT_TELL_HANDOVER)->epoch, 2);
	FEED(.type = EV_HANDOVER_DONE);
	assert_non_null(find(ACT_KILL_GUEST));
}

static void a_suspend_that_fails_at_once_waits_an_interval(void **state)
{
	(void)state;
	protect();
	FEED(.type = EV_HANDOVER);
	FEED(.type = EV_SUSPEND_FAILED);
	assert_non_null(find(ACT_ARM_TICK));
	assert_null(find(ACT_SUSPEND));
	FEED(.type = EV_TICK);
	assert_non_null(find(ACT_SUSPEND));
}

static void a_refused_move_leaves_it_alone(void **state)
{
	(void)state;
	send_first();
	FEED(.type = EV_ACK, .epoch = 1);
	FEED(.type = EV_TICKET_REFUSED,
	     .permit = permit_from_ticket(PERMIT_FOREVER));
	assert_non_null(find(ACT_DROP_LINK));
	assert_non_null(find(ACT_DROP_LINK)->why);
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_LINK_DOWN);
	assert_non_null(find(ACT_OPEN));
}

/* The arbiter took the permit back when it was asked, and its answer is that
 * it does not know. */
static void a_move_that_is_not_known_opens_nothing(void **state)
{
	(void)state;
	send_first();
	FEED(.type = EV_ACK, .epoch = 1);
	FEED(.type = EV_TICKET_RENEWED,
	     .permit = permit_from_ticket(PERMIT_FOREVER));
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_TICKET_REFUSED);
	FEED(.type = EV_LINK_DOWN);
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_TICKET_RENEWED,
	     .permit = permit_from_ticket(PERMIT_FOREVER));
	assert_non_null(find(ACT_OPEN));
}

static void a_renewal_of_alone_opens(void **state)
{
	(void)state;
	start_alone();
	FEED(.type = EV_TICKET_RENEWED,
	     .permit = permit_from_ticket(PERMIT_FOREVER));
	assert_non_null(find(ACT_OPEN));
}

static void a_renewal_opens_only_what_is_alone(void **state)
{
	struct permit renewed = permit_from_ticket(PERMIT_FOREVER);

	(void)state;
	send_first(); /* its epoch holds the gate */
	FEED(.type = EV_TICKET_RENEWED, .permit = renewed);
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_ACK, .epoch = 1);
	FEED(.type = EV_TICKET_MOVED);
	FEED(.type = EV_TICKET_TOLD);
	FEED(.type = EV_TICKET_RENEWED, .permit = renewed);
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_LINK_DOWN);
	FEED(.type = EV_TICKET_RENEWED, .permit = renewed);
	assert_null(find(ACT_OPEN));
}

static void a_link_lost_while_moving_opens_nothing(void **state)
{
	(void)state;
	send_first();
	FEED(.type = EV_ACK, .epoch = 1);
	FEED(.type = EV_LINK_DOWN);
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_TICKET_MOVED);
	assert_null(find(ACT_OPEN));
}

static void alone_granted_on_a_link_that_came_up_drops_it(void **state)
{
	(void)state;
	protect();
	FEED(.type = EV_LINK_DOWN);
	FEED(.type = EV_LINK_READY, .epoch = 1);
	FEED(.type = EV_TICKET_ALONE,
	     .permit = permit_from_ticket(PERMIT_FOREVER));
	assert_non_null(find(ACT_DROP_LINK));
	assert_null(find(ACT_OPEN));
	FEED(.type = EV_TICKET_TOLD); /* a late answer */
	assert_null(find(ACT_RELEASE));
	FEED(.type = EV_LINK_DOWN);
	assert_non_null(find(ACT_OPEN));
}

/* ---- every event in every reachable state ---- */

#define EPOCHS_WALKED 4
#define SEEN_MAX (1u << 20)

static struct epoch *seen;
static uint32_t *slots; /* 1 + index into seen */
static uint32_t nseen;

static uint64_t hash(const struct epoch *s)
{
	const uint8_t *p = (const uint8_t *)s;
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < sizeof(*s); i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h ^ (h >> 29);
}

/* Copied member by member: nothing is known of the padding between them. */
static void canonical(struct epoch *to, const struct epoch *from)
{
	memset(to, 0, sizeof(*to));
	to->limits.max_in_flight = from->limits.max_in_flight;
	to->limits.live_pages_few = from->limits.live_pages_few;
	to->limits.live_passes_max = from->limits.live_passes_max;
	to->guest = from->guest;
	to->link = from->link;
	to->ticket = from->ticket;
	to->handover = from->handover;
	to->permit.kind_ = from->permit.kind_;
	to->permit.seal_ = from->permit.seal_;
	to->permit.epoch_ = from->permit.epoch_;
	to->permit.expires_boot_ns_ = from->permit.expires_boot_ns_;
	to->open = from->open;
	to->captured = from->captured;
	to->sent = from->sent;
	to->acked = from->acked;
	to->lost = from->lost;
	to->live_passes = from->live_passes;
	to->direct = from->direct;
	to->started = from->started;
	to->tick_due = from->tick_due;
	to->capture_valid = from->capture_valid;
}

/* False: it was there already. */
static bool remember(const struct epoch *state)
{
	struct epoch s;
	uint64_t i;

	canonical(&s, state);
	i = hash(&s) % SEEN_MAX;
	while (slots[i] != 0) {
		if (memcmp(&seen[slots[i] - 1], &s, sizeof(s)) == 0)
			return false;
		i = (i + 1) % SEEN_MAX;
	}
	assert_true(nseen < SEEN_MAX / 2);
	memcpy(&seen[nseen++], &s, sizeof(s));
	slots[i] = nseen;
	return true;
}

static void check_action(const struct epoch *was, const struct epoch_event *ev,
			 const struct epoch_action *a)
{
	switch (a->type) {
	case ACT_RELEASE:
		assert_int_equal(e.ticket, EPOCH_TICKET_PROTECTED);
		assert_true(e.acked > 0);
		assert_int_equal(permit_epoch(&a->permit), e.acked);
		break;
	case ACT_OPEN:
		assert_int_equal(e.ticket, EPOCH_TICKET_ALONE);
		assert_int_equal(permit_kind(&a->permit), PERMIT_TICKET);
		assert_int_not_equal(e.guest, GUEST_NONE);
		/* The state under way lacks what would leave. */
		assert_true(e.link == EPOCH_LINK_DOWN ||
			    epoch_in_flight(&e) == 0);
		break;
	case ACT_SUSPEND:
		assert_int_equal(e.guest, GUEST_SUSPENDING);
		assert_true(epoch_in_flight(&e) < e.limits.max_in_flight);
		break;
	case ACT_CAPTURE:
		assert_int_equal(ev->type, EV_SUSPENDED);
		assert_int_equal(was->guest, GUEST_SUSPENDING);
		assert_int_equal(a->epoch, was->open);
		assert_int_equal(e.open, was->open + 1);
		break;
	case ACT_RESUME:
		assert_true(was->guest == GUEST_CAPTURING ||
			    was->guest == GUEST_HELD);
		assert_int_equal(e.guest, GUEST_RESUMING);
		break;
	case ACT_SEND:
		assert_int_equal(was->link, EPOCH_LINK_STEADY);
		assert_int_equal(a->epoch, e.captured);
		break;
	case ACT_BEGIN:
		assert_int_equal(was->link == EPOCH_LINK_LIVE, 0);
		assert_int_equal(a->epoch, e.open);
		break;
	case ACT_MOVE_TICKET:
		assert_int_equal(was->ticket, EPOCH_TICKET_ALONE);
		assert_int_equal(ev->type, EV_ACK);
		break;
	case ACT_TELL_HANDOVER:
		assert_int_equal(e.acked, e.captured);
		break;
	case ACT_KILL_GUEST:
		assert_int_equal(was->handover, HANDOVER_TOLD);
		break;
	default: break;
	}
}

static void check_numbers(const struct epoch *was, const struct epoch_event *ev)
{
	bool answered = ev->type == EV_ACK || ev->type == EV_LINK_READY;

	assert_true(e.open >= was->open && e.captured >= was->captured &&
		    e.sent >= was->sent && e.lost >= was->lost &&
		    e.acked >= was->acked);
	assert_true(epoch_in_flight(&e) <= e.limits.max_in_flight);
	assert_true(e.acked <= e.sent);
	if (e.acked != was->acked && (was->started || ev->type != EV_STARTED)) {
		assert_true(answered);
		assert_int_equal(e.acked, ev->epoch);
		assert_true(ev->epoch <= was->sent);
	}
	/* One epoch at most is captured and not handed to the link. */
	if (e.link != EPOCH_LINK_DOWN && e.captured > e.lost)
		assert_true(e.captured - e.sent <= 1 || e.sent < e.lost);
	if (was->guest != GUEST_SUSPENDING && ev->type != EV_STARTED)
		assert_int_equal(e.captured, was->captured);
}

/* Whatever happens to the link, a guest that was suspended runs again. */
static void check_resumes(void)
{
	struct epoch keep = e;
	enum epoch_event_type next[] = {
		[GUEST_SUSPENDING] = EV_SUSPENDED,
		[GUEST_CAPTURING] = EV_CAPTURED,
		[GUEST_RESUMING] = EV_RESUMED,
	};

	if (e.guest == GUEST_NONE)
		return;
	FEED(.type = EV_LINK_DOWN);
	for (int i = 0; i < 4 && e.guest != GUEST_RUNNING; i++) {
		assert_int_not_equal(e.guest, GUEST_HELD);
		FEED(.type = next[e.guest]);
	}
	assert_int_equal(e.guest, GUEST_RUNNING);
	e = keep;
}

static void step_checked(const struct epoch *was, struct epoch_event ev)
{
	e = *was;
	epoch_step(&e, &ev, &out);
	for (unsigned int i = 0; i < out.n; i++)
		check_action(was, &ev, &out.a[i]);
	check_numbers(was, &ev);
}

static void try_event(const struct epoch *was, struct epoch_event ev)
{
	struct epoch_event down = { .type = EV_LINK_DOWN };
	struct epoch after;

	step_checked(was, ev);
	after = e;
	if (find(ACT_DROP_LINK) != NULL && after.link != EPOCH_LINK_DOWN) {
		step_checked(&after, down);
		after = e;
	}
	if (after.open <= EPOCHS_WALKED + 1 && remember(&after))
		check_resumes();
}

static void try_all(const struct epoch *was)
{
	for (int t = EV_STARTED; t <= EV_HANDOVER_DONE; t++) {
		struct epoch_event ev = { .type = (enum epoch_event_type)t };

		for (uint64_t n = 0; n <= was->open + 1; n++) {
			ev.epoch = n;
			try_event(was, ev);
			if (t != EV_STARTED && t != EV_LINK_READY &&
			    t != EV_SENT && t != EV_ACK)
				break;
		}
		if (t == EV_TICKET_ALONE || t == EV_TICKET_REFUSED ||
		    t == EV_TICKET_RENEWED)
			ev.permit = permit_from_ticket(PERMIT_FOREVER);
		ev.pages = 1000;
		ev.overflow = true;
		try_event(was, ev);
	}
}

static void every_event_in_every_state_keeps_the_guarantees(void **state)
{
	struct epoch was;

	(void)state;
	seen = calloc(SEEN_MAX / 2, sizeof(*seen));
	slots = calloc(SEEN_MAX, sizeof(*slots));
	assert_true(seen != NULL && slots != NULL);
	nseen = 0;
	remember(&e);
	for (uint32_t i = 0; i < nseen; i++) {
		was = seen[i];
		try_all(&was);
	}
	print_message("%u states\n", nseen);
	assert_true(nseen > 10000); /* it did get somewhere */
	free(seen);
	free(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(alone_opens_at_start),
		T(nothing_opens_without_a_ticket),
		T(output_waits_until_the_backup_was_told),
		T(an_ack_counts_no_longer_than_what_brought_it),
		T(an_ack_releases_its_epoch_and_no_later_one),
		T(no_more_epochs_in_flight_than_allowed),
		T(an_ack_of_what_was_not_sent_drops_the_link),
		T(a_lost_link_shuts_what_was_protected),
		T(a_backup_gone_back_in_time_gets_everything),
		T(a_pause_of_the_last_link_is_no_epoch),
		T(a_handover_asked_for_in_a_held_pause_lets_it_end),
		T(a_handover_ends_the_guest_after_its_last_ack),
		T(a_suspend_that_fails_at_once_waits_an_interval),
		T(a_refused_move_leaves_it_alone),
		T(a_move_that_is_not_known_opens_nothing),
		T(a_renewal_of_alone_opens),
		T(a_renewal_opens_only_what_is_alone),
		T(a_link_lost_while_moving_opens_nothing),
		T(alone_granted_on_a_link_that_came_up_drops_it),
		T(every_event_in_every_state_keeps_the_guarantees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
