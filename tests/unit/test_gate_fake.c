/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_gate_fake.c - the states of a queueing gate (gate_core.c), through the
 * gate in memory: S1 in every order of events that we could think of, then in
 * random ones against a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frame_queue.h"
#include "gate_fake.h"
#include "permit_make.h"
#include "segment_frames.h"

#define OUT_MAX 65536

static const struct gate_ops *const ops = &gate_fake_ops;

struct world {
	struct gate *g;
	uint64_t now;
	uint32_t out[OUT_MAX]; /* numbers of the frames that left */
	size_t nout;
	uint64_t die_after; /* the clock jumps past it after so many outputs */
	uint64_t die_at;
};

static uint64_t now_of(void *ctx)
{
	return ((struct world *)ctx)->now;
}

static void on_output(void *ctx, const void *frame, size_t len)
{
	struct world *w = ctx;

	assert_true(len >= 18);
	assert_true(w->nout < OUT_MAX);
	memcpy(&w->out[w->nout++], (const uint8_t *)frame + 14, 4);
	if (w->die_after > 0 && w->nout == w->die_after)
		w->now = w->die_at;
}

static int send_nr(struct world *w, uint32_t nr)
{
	uint8_t frame[60] = { 0 };

	memcpy(frame + 14, &nr, 4);
	return gate_fake_guest_send(w->g, frame, sizeof(frame));
}

static int release(struct world *w, uint64_t epoch)
{
	struct permit p = permit_from_ack(epoch, UINT64_MAX);

	return ops->release(w->g, &p);
}

static int open_until(struct world *w, uint64_t expires)
{
	struct permit p = permit_from_ticket(expires);

	return ops->open(w->g, &p);
}

static struct gate_stats stats(struct world *w)
{
	struct gate_stats s;

	ops->stats(w->g, &s);
	return s;
}

static void expect_out(struct world *w, size_t n, ...)
{
	va_list ap;
	size_t i;

	assert_int_equal(w->nout, n);
	va_start(ap, n);
	for (i = 0; i < n; i++)
		assert_int_equal(w->out[i], va_arg(ap, int));
	va_end(ap);
}

static int setup(void **state)
{
	struct gate_config cfg = { .vm = "v", .tap = "t",
				   .queue_bytes = 64 << 10 };
	struct world *w = calloc(1, sizeof(*w));
	char err[200];

	if (w == NULL || ops->create(&w->g, &cfg, NULL, err, sizeof(err)) < 0)
		return -1;
	w->now = 1000;
	gate_fake_set_clock(w->g, now_of, w);
	gate_fake_on_output(w->g, on_output, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ops->destroy(w->g);
	free(w);
	return 0;
}

struct seen {
	unsigned int n;
	uint8_t byte; /* of the last */
};

static void see(void *ctx, const void *frame, size_t len)
{
	struct seen *s = ctx;

	s->n++;
	s->byte = ((const uint8_t *)frame)[len - 1];
}

static struct seen held_segments(struct world *w, uint64_t epoch)
{
	struct segments *held = segments_new();
	struct seen s = { 0 };

	ops->segments(w->g, epoch, held);
	segments_drain(held, 0, see, &s);
	segments_free(held);
	return s;
}

static void send_segment(struct world *w, uint8_t byte)
{
	uint8_t frame[SEGMENT_BYTES_MAX];
	size_t len = segment4(frame, 1000, ACK, 5, byte);

	assert_int_equal(gate_fake_guest_send(w->g, frame, len), 0);
}

static void segments_held_are_told_by_epoch(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	assert_int_equal(held_segments(w, 1).n, 0);
	send_nr(w, 1); /* no TCP */
	send_segment(w, 'a');
	send_segment(w, 'b');
	assert_int_equal(ops->barrier(w->g, 1), 0);
	send_segment(w, 'c');
	assert_int_equal(ops->barrier(w->g, 2), 0);
	assert_int_equal(held_segments(w, 1).n, 1);
	assert_int_equal(held_segments(w, 1).byte, 'b');
	assert_int_equal(held_segments(w, 2).n, 1);
	assert_int_equal(held_segments(w, 2).byte, 'c');
	assert_int_equal(w->nout, 0);
	assert_int_equal(release(w, 1), 3);
	assert_int_equal(held_segments(w, 1).n, 0);
	assert_int_equal(held_segments(w, 2).byte, 'c');
}

static void what_is_put_leaves_as_all_does(void **state)
{
	uint8_t frame[SEGMENT_BYTES_MAX];
	size_t len = segment4(frame, 1000, ACK, 5, 'a');
	struct world *w = *state;

	ops->put(w->g, frame, len); /* CLOSED */
	assert_int_equal(stats(w).dropped, 1);
	ops->hold(w->g, 7);
	ops->put(w->g, frame, len);
	assert_int_equal(stats(w).held, 1);
	assert_int_equal(release(w, 6), 0);
	assert_int_equal(w->nout, 0);
	assert_int_equal(open_until(w, w->now - 1), -EPERM);
	assert_int_equal(w->nout, 0);
	assert_int_equal(open_until(w, PERMIT_FOREVER), 0);
	assert_int_equal(w->nout, 1);
}

static void queue_too_small_is_a_clear_error(void **state)
{
	struct gate_config cfg = { .vm = "v1", .tap = "t", .queue_bytes = 9 };
	struct gate *g;
	char err[200];

	(void)state;
	assert_int_equal(ops->create(&g, &cfg, NULL, err, sizeof(err)),
			 -EINVAL);
	assert_null(g);
	assert_non_null(strstr(err, "v1"));
	ops->destroy(NULL);
}

static void closed_drops_everything(void **state)
{
	struct world *w = *state;

	assert_int_equal(ops->state(w->g), GATE_CLOSED);
	send_nr(w, 1);
	assert_int_equal(release(w, 100), 0);
	assert_int_equal(open_until(w, PERMIT_FOREVER), -EINVAL);
	assert_int_equal(ops->barrier(w->g, 1), -EINVAL);
	ops->hold(w->g, 1);
	assert_int_equal(open_until(w, PERMIT_FOREVER), 0);
	expect_out(w, 0);
	assert_int_equal(stats(w).dropped, 1);
}

static void epoch_leaves_on_its_ack_only(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 7);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	send_nr(w, 1);
	send_nr(w, 2);
	assert_int_equal(ops->barrier(w->g, 7), 0);
	send_nr(w, 3);
	assert_int_equal(ops->barrier(w->g, 8), 0);
	send_nr(w, 4);
	expect_out(w, 0);
	assert_int_equal(release(w, 6), 0);
	expect_out(w, 0);
	assert_int_equal(release(w, 7), 2);
	expect_out(w, 2, 1, 2);
	assert_int_equal(release(w, 7), 0);
	assert_int_equal(release(w, 8), 1);
	expect_out(w, 3, 1, 2, 3);
	assert_int_equal(stats(w).held, 1);
	assert_int_equal(stats(w).held_bytes, frame_queue_cost(60));
	assert_int_equal(stats(w).released, 3);
}

static void one_ack_lets_out_several_epochs_in_order(void **state)
{
	struct world *w = *state;
	uint32_t e;

	ops->hold(w->g, 1);
	for (e = 1; e <= 5; e++) {
		send_nr(w, e);
		ops->barrier(w->g, e);
	}
	assert_int_equal(release(w, 4), 4);
	expect_out(w, 4, 1, 2, 3, 4);
}

/* An engine that releases an epoch without its barrier has a bug; the frames
 * of the running epoch must stay all the same. */
static void open_epoch_stays_whatever_the_permit_says(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 3);
	send_nr(w, 1);
	assert_int_equal(release(w, 3), 0);
	assert_int_equal(release(w, UINT64_MAX), 0);
	ops->barrier(w->g, 3);
	send_nr(w, 2);
	assert_int_equal(release(w, UINT64_MAX), 1);
	expect_out(w, 1, 1);
}

static void only_an_ack_releases(void **state)
{
	struct world *w = *state;
	struct permit zero, ticket = permit_from_ticket(PERMIT_FOREVER);
	struct permit forged = permit_from_ack(1, UINT64_MAX);

	memset(&zero, 0, sizeof(zero));
	forged.epoch_ = 2;
	ops->hold(w->g, 1);
	send_nr(w, 1);
	ops->barrier(w->g, 1);
	assert_int_equal(ops->release(w->g, &zero), -EPERM);
	assert_int_equal(ops->release(w->g, &ticket), -EPERM);
	assert_int_equal(ops->release(w->g, &forged), -EPERM);
	expect_out(w, 0);
}

static void only_a_live_ticket_opens(void **state)
{
	struct world *w = *state;
	struct permit zero, ack = permit_from_ack(1, UINT64_MAX);

	memset(&zero, 0, sizeof(zero));
	ops->hold(w->g, 1);
	send_nr(w, 1);
	assert_int_equal(ops->open(w->g, &zero), -EPERM);
	assert_int_equal(ops->open(w->g, &ack), -EPERM);
	assert_int_equal(open_until(w, 1000), -EPERM); /* now == 1000 */
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	expect_out(w, 0);
	assert_int_equal(open_until(w, 1001), 0);
	expect_out(w, 1, 1);
	assert_int_equal(ops->state(w->g), GATE_OPEN);
}

static void open_passes_held_frames_first(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	send_nr(w, 1);
	ops->barrier(w->g, 1);
	send_nr(w, 2);
	assert_int_equal(open_until(w, 2000), 0);
	send_nr(w, 3);
	expect_out(w, 3, 1, 2, 3);
	assert_int_equal(stats(w).held, 0);
	assert_int_equal(stats(w).held_bytes, 0);
}

static void no_frame_passes_after_expiry(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	assert_int_equal(open_until(w, 2000), 0);
	w->now = 1999;
	send_nr(w, 1);
	w->now = 2000;
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	send_nr(w, 2);
	w->now = 1500; /* a clock that went back changes nothing any more */
	send_nr(w, 3);
	expect_out(w, 1, 1);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	assert_int_equal(stats(w).held, 2);
}

/* The ticket runs out between two frames of one burst. */
static void expiry_is_seen_before_every_frame(void **state)
{
	struct world *w = *state;
	uint32_t i;

	ops->hold(w->g, 1);
	for (i = 0; i < 10; i++)
		send_nr(w, i);
	w->die_after = 4;
	w->die_at = 5000;
	assert_int_equal(open_until(w, 2000), 0);
	expect_out(w, 4, 0, 1, 2, 3);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	assert_int_equal(stats(w).held, 6);
	/* and they go on with a renewed one, in order, none twice */
	w->die_after = 0;
	assert_int_equal(open_until(w, 6000), 0);
	assert_int_equal(w->nout, 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(w->out[i], i);
}

/* Stopped between two frames, and long enough for somebody else to run. */
static void an_ack_gets_too_old_between_two_frames(void **state)
{
	struct world *w = *state;
	struct permit p;
	uint32_t i;

	ops->hold(w->g, 1);
	for (i = 0; i < 10; i++)
		send_nr(w, i);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	w->die_after = 4;
	w->die_at = 5000;
	p = permit_from_ack(1, 2000);
	assert_int_equal(ops->release(w->g, &p), 4);
	assert_int_equal(ops->release(w->g, &p), 0);
	expect_out(w, 4, 0, 1, 2, 3);
	assert_int_equal(stats(w).held, 6);
	/* and they go on with a newer one, in order, none twice */
	w->die_after = 0;
	p = permit_from_ack(1, 6000);
	assert_int_equal(ops->release(w->g, &p), 6);
	assert_int_equal(w->nout, 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(w->out[i], i);
}

static void renewal_prolongs_and_a_dead_one_does_not(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	assert_int_equal(open_until(w, 2000), 0);
	assert_int_equal(open_until(w, 3000), 0);
	w->now = 2500;
	send_nr(w, 1);
	assert_int_equal(open_until(w, 2400), -EPERM);
	send_nr(w, 2);
	expect_out(w, 2, 1, 2);
	w->now = 3000;
	send_nr(w, 3);
	assert_int_equal(w->nout, 2);
}

/* What lapsed under a lease waits for the epoch that was open, not for less. */
static void lapsed_frames_wait_for_their_epoch(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 5);
	open_until(w, 2000);
	w->now = 2000;
	send_nr(w, 1);
	assert_int_equal(release(w, 5), 0);
	assert_int_equal(ops->barrier(w->g, 9), 0); /* numbers may skip */
	assert_int_equal(release(w, 4), 0);
	assert_int_equal(release(w, 9), 1);
	expect_out(w, 1, 1);
}

static void hold_ends_open(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	open_until(w, PERMIT_FOREVER);
	send_nr(w, 1);
	ops->hold(w->g, 2);
	send_nr(w, 2);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	assert_int_equal(release(w, 1), 0);
	ops->barrier(w->g, 2);
	assert_int_equal(release(w, 2), 1);
	expect_out(w, 2, 1, 2);
}

static void hold_again_renames_nothing(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 5);
	send_nr(w, 1);
	ops->hold(w->g, 5);
	ops->hold(w->g, 3); /* older: refused */
	send_nr(w, 2);
	assert_int_equal(ops->barrier(w->g, 3), -EINVAL);
	assert_int_equal(release(w, 4), 0);
	ops->barrier(w->g, 5);
	assert_int_equal(release(w, 4), 0);
	assert_int_equal(release(w, 5), 2);
}

/* The frames that wait in the socket when the guest is suspended were sent in
 * the epoch that ends. */
static void barrier_takes_in_what_was_sent(void **state)
{
	struct world *w = *state;

	gate_fake_set_lazy(w->g, true);
	ops->hold(w->g, 1);
	send_nr(w, 1);
	assert_int_equal(stats(w).held, 0);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	assert_int_equal(stats(w).held, 1);
	send_nr(w, 2);
	assert_int_equal(release(w, 1), 1);
	ops->barrier(w->g, 2);
	expect_out(w, 1, 1);
	assert_int_equal(release(w, 2), 1);
	expect_out(w, 2, 1, 2);
}

static void barrier_when_open_passes_then_holds(void **state)
{
	struct world *w = *state;

	gate_fake_set_lazy(w->g, true);
	ops->hold(w->g, 1);
	open_until(w, 2000);
	send_nr(w, 1);
	assert_int_equal(ops->barrier(w->g, 4), 0);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	send_nr(w, 2);
	gate_fake_take_in(w->g);
	expect_out(w, 1, 1);
	assert_int_equal(release(w, 4), 0);
	ops->barrier(w->g, 5);
	assert_int_equal(release(w, 5), 1);
}

/* ... but not with a ticket that ran out meanwhile. */
static void barrier_after_expiry_holds(void **state)
{
	struct world *w = *state;

	gate_fake_set_lazy(w->g, true);
	ops->hold(w->g, 1);
	open_until(w, 2000);
	send_nr(w, 1);
	w->now = 2000;
	assert_int_equal(ops->barrier(w->g, 1), 0);
	expect_out(w, 0);
	assert_int_equal(release(w, 1), 1);
}

static void shut_drops_held_and_wire(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	send_nr(w, 1);
	gate_fake_set_lazy(w->g, true);
	send_nr(w, 2);
	ops->shut(w->g);
	assert_int_equal(ops->state(w->g), GATE_CLOSED);
	assert_int_equal(stats(w).dropped, 2);
	assert_int_equal(stats(w).held, 0);
	ops->hold(w->g, 1);
	ops->barrier(w->g, 1);
	assert_int_equal(release(w, 1), 0);
	expect_out(w, 0);
	assert_int_equal(stats(w).released, 0);
}

static void shut_forgets_the_ticket(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	open_until(w, PERMIT_FOREVER);
	ops->shut(w->g);
	ops->hold(w->g, 1);
	send_nr(w, 1);
	expect_out(w, 0);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
}

static void bound_drops_the_newest(void **state)
{
	struct world *w = *state;
	uint32_t i, fit = (64 << 10) / (uint32_t)frame_queue_cost(60);

	ops->hold(w->g, 1);
	for (i = 0; i < fit + 10; i++)
		assert_int_equal(send_nr(w, i), 0);
	assert_int_equal(stats(w).held, fit);
	assert_int_equal(stats(w).dropped, 10);
	ops->barrier(w->g, 1);
	assert_int_equal(release(w, 1), fit);
	for (i = 0; i < fit; i++)
		assert_int_equal(w->out[i], i);
}

static void refused_output_is_dropped_not_kept(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	send_nr(w, 1);
	ops->barrier(w->g, 1);
	send_nr(w, 2);
	gate_fake_set_full(w->g, true);
	assert_int_equal(release(w, 1), 0);
	gate_fake_set_full(w->g, false);
	assert_int_equal(release(w, 1), 0);
	ops->barrier(w->g, 2);
	assert_int_equal(release(w, 2), 1);
	expect_out(w, 1, 2);
	assert_int_equal(stats(w).dropped, 1);
	assert_int_equal(stats(w).released, 1);
}

static void impossible_frames_are_dropped(void **state)
{
	static const uint8_t zeros[FRAME_BYTES_MAX + 1];
	struct world *w = *state;

	ops->hold(w->g, 1);
	gate_fake_guest_send(w->g, zeros, 0);
	gate_fake_guest_send(w->g, zeros, FRAME_BYTES_MIN - 1);
	gate_fake_guest_send(w->g, zeros, FRAME_BYTES_MAX + 1);
	assert_int_equal(stats(w).dropped, 3);
	gate_fake_guest_send(w->g, zeros, FRAME_BYTES_MIN);
	gate_fake_guest_send(w->g, zeros, FRAME_BYTES_MAX);
	assert_int_equal(stats(w).held, 2);
}

static void inbound_is_not_held(void **state)
{
	static const uint8_t frame[60];
	struct world *w = *state;

	gate_fake_net_send(w->g, frame, sizeof(frame));
	assert_int_equal(stats(w).inbound, 0);
	assert_int_equal(stats(w).inbound_dropped, 1);
	ops->hold(w->g, 1);
	gate_fake_net_send(w->g, frame, sizeof(frame));
	assert_int_equal(stats(w).inbound, 1);
}

/* Random events against the simplest model: per frame, the epoch in which the
 * guest sent it.  Nothing may leave before that epoch is acknowledged, but
 * under a live ticket; everything that left is in order and left once. */
static void random_events_keep_output_commit(void **state)
{
	struct world *w = *state;
	static uint64_t epoch_of[OUT_MAX];
	uint64_t epoch = 1, acked = 0, expires = 0;
	uint32_t nr = 0, step, before;
	size_t i;

	srand(7);
	gate_fake_set_lazy(w->g, true);
	ops->hold(w->g, epoch);
	for (step = 0; step < 60000; step++) {
		bool may_open = false;

		before = (uint32_t)w->nout;
		w->now += (uint64_t)rand() % 4;
		switch (rand() % 9) {
		case 0: case 1: case 2:
			if (nr < OUT_MAX && send_nr(w, nr) == 0)
				epoch_of[nr++] = epoch;
			break;
		case 3: case 4:
			gate_fake_take_in(w->g);
			may_open = w->now < expires;
			break;
		case 5:
			may_open = w->now < expires;
			expires = 0;
			assert_int_equal(ops->barrier(w->g, epoch), 0);
			epoch++;
			break;
		case 6:
			if (acked + 1 < epoch)
				acked += 1 + (uint64_t)rand() %
						     (epoch - acked - 1);
			assert_true(release(w, acked) >= 0);
			break;
		case 7:
			if (rand() % 8 == 0 &&
			    open_until(w, w->now + 20) == 0) {
				expires = w->now + 20;
				may_open = true;
			}
			break;
		case 8:
			if (rand() % 8 == 0) {
				ops->hold(w->g, epoch);
				expires = 0;
			}
			break;
		}
		for (i = before; i < w->nout; i++)
			assert_true(may_open || epoch_of[w->out[i]] <= acked);
	}
	for (i = 1; i < w->nout; i++)
		assert_true(w->out[i] > w->out[i - 1]);
	assert_true(w->nout > 1000);
	gate_fake_take_in(w->g);
	assert_int_equal(stats(w).held + stats(w).released + stats(w).dropped,
			 nr);
	assert_int_equal(stats(w).released, w->nout);
}

static void gates_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(gate_find("fake"), &gate_fake_ops);
	assert_ptr_equal(gate_find("relay"), &gate_relay_ops);
	assert_null(gate_find(""));
	assert_null(gate_find("rel"));
#ifndef HAVE_LIBNL_ROUTE
	assert_null(gate_find("plug"));
#endif
	assert_string_equal(gate_state_to_str(GATE_HOLDING), "holding");
	assert_string_equal(gate_state_to_str((enum gate_state)9), "?");
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gates_are_found_by_name),
		cmocka_unit_test(queue_too_small_is_a_clear_error),
		WORLD(closed_drops_everything),
		WORLD(segments_held_are_told_by_epoch),
		WORLD(what_is_put_leaves_as_all_does),
		WORLD(epoch_leaves_on_its_ack_only),
		WORLD(one_ack_lets_out_several_epochs_in_order),
		WORLD(open_epoch_stays_whatever_the_permit_says),
		WORLD(only_an_ack_releases),
		WORLD(only_a_live_ticket_opens),
		WORLD(open_passes_held_frames_first),
		WORLD(no_frame_passes_after_expiry),
		WORLD(expiry_is_seen_before_every_frame),
		WORLD(an_ack_gets_too_old_between_two_frames),
		WORLD(renewal_prolongs_and_a_dead_one_does_not),
		WORLD(lapsed_frames_wait_for_their_epoch),
		WORLD(hold_ends_open),
		WORLD(hold_again_renames_nothing),
		WORLD(barrier_takes_in_what_was_sent),
		WORLD(barrier_when_open_passes_then_holds),
		WORLD(barrier_after_expiry_holds),
		WORLD(shut_drops_held_and_wire),
		WORLD(shut_forgets_the_ticket),
		WORLD(bound_drops_the_newest),
		WORLD(refused_output_is_dropped_not_kept),
		WORLD(impossible_frames_are_dropped),
		WORLD(inbound_is_not_held),
		WORLD(random_events_keep_output_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
