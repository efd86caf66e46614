/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rule of compression = auto, driven through a link that changes: what is
 * not sent within an interval is found by the next checkpoint.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compression.h"

#define INTERVAL_NS 25000000u
#define MBIT 125000u /* bytes a second */

/* A guest that makes `bytes` a checkpoint when it is sent fast. */
struct world {
	struct compression_auto a;
	struct compression_sample s;
	uint64_t rate;	/* of the link, bytes a second */
	uint64_t bytes; /* of a checkpoint, fast */
	uint64_t gain;	/* tight: bytes / gain */
	uint64_t encode_fast_ns, encode_tight_ns;
	uint64_t backup_ns; /* takes until it acknowledges */
};

static struct world quiet(void)
{
	return (struct world){ .rate = 10000 * (uint64_t)MBIT,
			       .bytes = 100000, .gain = 3,
			       .encode_fast_ns = 300000,
			       .encode_tight_ns = 500000,
			       .backup_ns = 500000,
			       .s.now_ns = 1 };
}

static enum compression step(struct world *w)
{
	uint64_t drained = w->rate * (INTERVAL_NS / 1000) / 1000000;
	enum compression mode = compression_next(&w->a, &w->s);
	bool tight = mode == COMPRESSION_TIGHT;
	uint64_t bytes = tight ? w->bytes / w->gain : w->bytes;

	w->s.sent_bytes += bytes;
	w->s.unsent_bytes += bytes;
	w->s.encode_ns = tight ? w->encode_tight_ns : w->encode_fast_ns;
	w->s.ack_ns = w->s.encode_ns + w->backup_ns +
		      w->s.unsent_bytes * 1000000 / w->rate * 1000;
	if (w->s.ack_ns > INTERVAL_NS)
		w->s.ack_ns = INTERVAL_NS; /* not there yet */
	w->s.unsent_bytes -= w->s.unsent_bytes < drained ? w->s.unsent_bytes
							  : drained;
	w->s.now_ns += INTERVAL_NS;
	return mode;
}

/* In how many of n checkpoints it was tight, and how often it changed. */
static unsigned int run(struct world *w, unsigned int n, unsigned int *changes)
{
	enum compression last = compression_now(&w->a);
	unsigned int tight = 0;

	*changes = 0;
	for (unsigned int i = 0; i < n; i++) {
		enum compression mode = step(w);

		tight += mode == COMPRESSION_TIGHT;
		*changes += mode != last;
		last = mode;
	}
	return tight;
}

static void names(void **state)
{
	static const char *const all[] = { "off", "fast", "tight", "auto" };
	enum compression c = COMPRESSION_TIGHT;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(compression_from_str(all[i], &c), 0);
		assert_int_equal(c, i);
		assert_string_equal(compression_to_str(c), all[i]);
	}
	assert_int_equal(compression_from_str("on", &c), 0);
	assert_int_equal(c, COMPRESSION_AUTO);
	assert_int_equal(compression_from_str("", &c), -EINVAL);
	assert_int_equal(compression_from_str("tigh", &c), -EINVAL);
	assert_int_equal(compression_from_str("Fast", &c), -EINVAL);
	assert_string_equal(compression_to_str((enum compression)7), "?");
}

static void a_wide_link_stays_fast(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	assert_int_equal(run(&w, 1000, &changes), 0);
	assert_int_equal(changes, 0);
}

static void a_link_that_gets_narrow_and_wide_again(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	run(&w, 100, &changes);
	w.rate = 20 * MBIT; /* 62,500 bytes an interval; fast makes 100,000 */
	assert_true(run(&w, 20, &changes) >= 20 - COMPRESSION_BEHIND - 2);
	assert_int_equal(changes, 1);
	/* 33,333 fit, 100,000 do not: that is tried now and then, in vain. */
	assert_in_range(run(&w, 1000, &changes), 950, 999);
	assert_int_equal(compression_now(&w.a), COMPRESSION_TIGHT);
	/* What the rate is is seen only while there is a queue. */
	w.rate = 1000 * MBIT;
	run(&w, 4 * COMPRESSION_CALM, &changes);
	assert_int_equal(compression_now(&w.a), COMPRESSION_FAST);
	/* Three quarters of a millisecond could be saved: not worth much. */
	assert_in_range(run(&w, 2000, &changes), COMPRESSION_TRIAL,
			8 * COMPRESSION_TRIAL);
}

/* All fits through the link in an interval, but clients wait for it. */
static void a_link_that_is_waited_for(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	w.rate = 100 * MBIT; /* 8 ms fast, 2.7 ms tight */
	run(&w, 2 * COMPRESSION_CALM, &changes);
	assert_int_equal(changes, 1);
	assert_int_equal(compression_now(&w.a), COMPRESSION_TIGHT);
	/* Fast is tried again, seldomer and seldomer. */
	assert_in_range(run(&w, 2000, &changes), 1850, 1999);
	assert_in_range(run(&w, 2000, &changes), 1950, 2000);
	/* Where tight gains little beside the backup's own time, it is left. */
	w.backup_ns = 20000000;
	run(&w, 1024, &changes);
	assert_in_range(run(&w, 2000, &changes), 0, 8 * COMPRESSION_TRIAL);
}

static void a_processor_that_is_waited_for(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	w.rate = 100 * MBIT;
	w.encode_tight_ns = 6000000; /* more than the link would save */
	assert_in_range(run(&w, 3000, &changes), COMPRESSION_TRIAL,
			8 * COMPRESSION_TRIAL);
	/* Encoding is nearly all of it: nothing to gain, nothing tried. */
	w = quiet();
	w.encode_fast_ns = 12000000;
	w.backup_ns = 1000000;
	assert_int_equal(run(&w, 3000, &changes), 0);
}

/* Nothing is known of a backup that does not answer. */
static void without_acknowledgements_nothing_is_tried(void **state)
{
	struct world w = quiet();

	(void)state;
	w.rate = 100 * MBIT;
	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(step(&w), COMPRESSION_FAST);
		w.s.ack_ns = 0;
	}
}

/* One that takes long for once is neither side of a comparison. */
static void what_is_late_at_times_changes_no_trial(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	for (unsigned int i = 0; i < 500; i++) {
		run(&w, 3, &changes);
		w.s.ack_ns = INTERVAL_NS;
	}
	assert_int_equal(compression_now(&w.a), COMPRESSION_FAST);
	w.rate = 100 * MBIT;
	run(&w, 1024, &changes);
	for (unsigned int i = 0; i < 500; i++) {
		run(&w, 3, &changes);
		w.s.ack_ns = INTERVAL_NS;
	}
	assert_in_range(run(&w, 1000, &changes), 950, 1000);
}

/* However much wider it gets, and whatever the guest makes. */
static void a_link_that_gets_wide_is_found(void **state)
{
	(void)state;
	for (uint64_t mbit = 1; mbit <= 32; mbit *= 2)
		for (uint64_t bytes = 10000; bytes <= 300000; bytes *= 3) {
			struct world w = quiet();
			unsigned int changes;

			w.rate = mbit * MBIT;
			w.bytes = bytes;
			run(&w, 2000, &changes);
			w.rate = 10000 * MBIT;
			/* What is still queued, and then 1024 at most. */
			w.s.unsent_bytes = 0;
			run(&w, 2000, &changes);
			assert_int_equal(compression_now(&w.a),
					 COMPRESSION_FAST);
		}
}

/* Now and then something is unsent for reasons of its own: a busy processor. */
static void what_is_late_at_times_is_no_narrow_link(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	w.rate = 20 * MBIT;
	run(&w, 3000, &changes);
	w.rate = 1000 * MBIT;
	for (unsigned int i = 0; i < 20; i++) {
		w.s.unsent_bytes += 10000;
		run(&w, 50, &changes);
	}
	assert_int_equal(compression_now(&w.a), COMPRESSION_FAST);
}

static void one_long_checkpoint_changes_nothing(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	run(&w, 10, &changes);
	w.s.unsent_bytes += 40000000; /* is gone after two intervals */
	assert_int_equal(run(&w, 100, &changes), 0);
}

static void a_full_queue_changes_at_once(void **state)
{
	struct world w = quiet();

	(void)state;
	step(&w);
	assert_int_equal(compression_full(&w.a), COMPRESSION_TIGHT);
	assert_int_equal(compression_full(&w.a), COMPRESSION_TIGHT);
	assert_int_equal(step(&w), COMPRESSION_TIGHT);
}

/* Fast is too much for the link, tight leaves it idle, and the rate is not
 * known: fast is tried seldomer and seldomer. */
static void a_link_between_the_two_is_not_tried_over_and_over(void **state)
{
	struct world w = quiet();
	unsigned int changes, early;

	(void)state;
	w.rate = 30 * MBIT;
	w.gain = 20;
	for (unsigned int i = 0; i < 3000; i++) {
		step(&w);
		w.a.rate = 0;
		if (i == 300)
			early = w.a.doubled;
	}
	assert_true(early > 0);
	assert_true(w.a.doubled > early);
	for (unsigned int i = 0, last = 1; i < 3000; i++) {
		unsigned int tight = step(&w) == COMPRESSION_TIGHT;

		changes = i == 0 ? 0 : changes + (tight != last);
		last = tight;
		w.a.rate = 0;
	}
	assert_true(changes <= 12);
	/* When fast does for long, patience is short again. */
	w.rate = 10000 * MBIT;
	for (unsigned int i = 0; i < 2000; i++)
		step(&w);
	compression_full(&w.a);
	assert_int_equal(w.a.doubled, 0);
}

/* Encoding is what takes the time: then it is not made to take more. */
static void a_slow_processor_goes_back_to_fast(void **state)
{
	struct world w = quiet();
	unsigned int changes;

	(void)state;
	w.rate = 20 * MBIT;
	run(&w, 50, &changes);
	assert_int_equal(compression_now(&w.a), COMPRESSION_TIGHT);
	w.encode_tight_ns = INTERVAL_NS * 3 / 4;
	w.encode_fast_ns = INTERVAL_NS / 4;
	w.rate = 1000 * MBIT;
	assert_true(run(&w, 400, &changes) <= 8 * COMPRESSION_CALM);
	assert_int_equal(compression_now(&w.a), COMPRESSION_FAST);
}

/* Another connection, another count; a clock that stands. */
static void samples_that_do_not_follow_decide_nothing(void **state)
{
	struct world w = quiet();

	(void)state;
	step(&w);
	for (unsigned int i = 0; i < 100; i++) {
		w.s.sent_bytes = 1000 - i;
		w.s.unsent_bytes = 1000000;
		assert_int_equal(compression_next(&w.a, &w.s),
				 COMPRESSION_FAST);
		w.s.now_ns += INTERVAL_NS;
	}
	w.s.sent_bytes = 5000;
	compression_next(&w.a, &w.s);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(compression_next(&w.a, &w.s),
				 COMPRESSION_FAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(a_wide_link_stays_fast),
		cmocka_unit_test(a_link_that_gets_narrow_and_wide_again),
		cmocka_unit_test(a_link_that_is_waited_for),
		cmocka_unit_test(a_processor_that_is_waited_for),
		cmocka_unit_test(without_acknowledgements_nothing_is_tried),
		cmocka_unit_test(what_is_late_at_times_changes_no_trial),
		cmocka_unit_test(a_link_that_gets_wide_is_found),
		cmocka_unit_test(what_is_late_at_times_is_no_narrow_link),
		cmocka_unit_test(one_long_checkpoint_changes_nothing),
		cmocka_unit_test(a_full_queue_changes_at_once),
		cmocka_unit_test(
			a_link_between_the_two_is_not_tried_over_and_over),
		cmocka_unit_test(a_slow_processor_goes_back_to_fast),
		cmocka_unit_test(samples_that_do_not_follow_decide_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
