/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_frame_queue.c - order, tags, the bound, and the wrap of the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frame_queue.h"

/* A frame whose bytes follow from its number alone. */
static size_t len_of(uint64_t n)
{
	uint64_t h = (n + 1) * 0x9e3779b97f4a7c15u;

	h ^= h >> 29;
	/* Mostly small, some of the longest, every alignment. */
	if (h % 7 == 0)
		return FRAME_BYTES_MAX - h % 9;
	return FRAME_BYTES_MIN + h % 1500;
}

static void fill(uint8_t *p, uint64_t n, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(n * 31 + i);
}

static void expect_frame(const struct frame_queue *q, uint64_t n,
			 uint64_t epoch)
{
	uint8_t want[FRAME_BYTES_MAX];
	const void *got;
	uint64_t e;
	size_t len;

	got = frame_queue_peek(q, &len, &e);
	assert_non_null(got);
	assert_int_equal(len, len_of(n));
	assert_int_equal(e, epoch);
	fill(want, n, len);
	assert_memory_equal(got, want, len);
}

static bool push(struct frame_queue *q, uint64_t n, uint64_t epoch)
{
	uint8_t buf[FRAME_BYTES_MAX];

	fill(buf, n, len_of(n));
	return frame_queue_push(q, buf, len_of(n), epoch);
}

static void bound_too_small_for_a_frame_is_refused(void **state)
{
	struct frame_queue *q;

	(void)state;
	assert_null(frame_queue_new(0));
	assert_null(frame_queue_new(FRAME_SLOT_BYTES - 1));
	assert_null(frame_queue_new(SIZE_MAX));
	q = frame_queue_new(FRAME_SLOT_BYTES);
	assert_non_null(q);
	frame_queue_free(q);
	frame_queue_free(NULL);
}

static void empty_queue_gives_nothing(void **state)
{
	struct frame_queue *q = frame_queue_new(65536);
	uint64_t epoch;
	size_t len;

	(void)state;
	assert_null(frame_queue_peek(q, &len, &epoch));
	frame_queue_pop(q);
	assert_int_equal(frame_queue_clear(q), 0);
	assert_int_equal(frame_queue_frames(q), 0);
	assert_int_equal(frame_queue_bytes(q), 0);
	frame_queue_free(q);
}

static void frames_come_in_order_with_their_tags(void **state)
{
	struct frame_queue *q = frame_queue_new(1 << 20);
	size_t bytes = 0;
	uint64_t n;

	(void)state;
	for (n = 0; n < 100; n++) {
		assert_true(push(q, n, 5 + n / 10));
		bytes += frame_queue_cost(len_of(n));
	}
	assert_int_equal(frame_queue_frames(q), 100);
	assert_int_equal(frame_queue_bytes(q), bytes);
	for (n = 0; n < 100; n++) {
		expect_frame(q, n, 5 + n / 10);
		frame_queue_pop(q);
	}
	assert_int_equal(frame_queue_bytes(q), 0);
	frame_queue_free(q);
}

static void cost_is_payload_and_overhead(void **state)
{
	(void)state;
	assert_int_equal(frame_queue_cost(0), FRAME_OVERHEAD);
	assert_int_equal(frame_queue_cost(64), FRAME_OVERHEAD + 64);
	assert_int_equal(frame_queue_cost(65), FRAME_OVERHEAD + 72);
	assert_int_equal(frame_queue_cost(FRAME_BYTES_MAX), FRAME_SLOT_BYTES);
}

/* Beyond the bound the newest is refused; what is there stays as it is. */
static void bound_refuses_the_newest(void **state)
{
	const size_t bound = 16 * (FRAME_OVERHEAD + 1000);
	struct frame_queue *q;
	uint8_t buf[1000];
	uint64_t epoch, n;
	const uint8_t *p;
	size_t len;

	(void)state;
	q = frame_queue_new(bound);
	for (n = 0; n < 16; n++) {
		memset(buf, (int)n, sizeof(buf));
		assert_true(frame_queue_push(q, buf, sizeof(buf), n));
	}
	assert_int_equal(frame_queue_bytes(q), bound);
	memset(buf, 0xff, sizeof(buf));
	assert_false(frame_queue_push(q, buf, FRAME_BYTES_MIN, 99));
	assert_false(frame_queue_push(q, buf, sizeof(buf), 99));
	assert_int_equal(frame_queue_frames(q), 16);
	for (n = 0; n < 16; n++) {
		p = frame_queue_peek(q, &len, &epoch);
		assert_int_equal(len, sizeof(buf));
		assert_int_equal(epoch, n);
		assert_int_equal(p[0], n);
		assert_int_equal(p[999], n);
		frame_queue_pop(q);
	}
	assert_true(frame_queue_push(q, buf, sizeof(buf), 99));
	frame_queue_free(q);
}

static void clear_drops_and_counts(void **state)
{
	struct frame_queue *q = frame_queue_new(1 << 20);

	(void)state;
	assert_true(push(q, 1, 1));
	assert_true(push(q, 2, 1));
	assert_int_equal(frame_queue_clear(q), 2);
	assert_int_equal(frame_queue_frames(q), 0);
	assert_true(push(q, 3, 2));
	expect_frame(q, 3, 2);
	frame_queue_free(q);
}

/* Slots left out, and slots filled with less than they hold, are packed. */
static void batch_is_packed_in_order(void **state)
{
	struct frame_queue *q = frame_queue_new(1 << 20);
	struct iovec iov[FRAME_BATCH];
	unsigned int i, n;

	(void)state;
	n = frame_queue_reserve(q, iov, 1000);
	assert_int_equal(n, FRAME_BATCH);
	for (i = 0; i < n; i++) {
		assert_int_equal(iov[i].iov_len, FRAME_BYTES_MAX);
		memset(iov[i].iov_base, 0xee, iov[i].iov_len);
		fill(iov[i].iov_base, i, len_of(i));
	}
	for (i = 0; i < n; i++)
		if (i % 3 != 1)
			assert_true(frame_queue_put(q, i, len_of(i), i));
	for (i = 0; i < n; i++) {
		if (i % 3 == 1)
			continue;
		expect_frame(q, i, i);
		frame_queue_pop(q);
	}
	assert_int_equal(frame_queue_frames(q), 0);
	frame_queue_free(q);
}

/* Against a plain array as the model, for long enough to wrap many times, at
 * several bounds, with the queue mostly full. */
static void random_use_equals_a_model(void **state)
{
	static const size_t bounds[] = { FRAME_SLOT_BYTES, 20000, 65536,
					 300001 };
	struct iovec iov[FRAME_BATCH];
	struct frame_queue *q;
	uint64_t next, *kept, n;
	unsigned int round, step, slots, i, fill_to;
	size_t bytes, head, tail;

	(void)state;
	kept = calloc(1 << 20, sizeof(*kept));
	for (round = 0; round < 4; round++) {
		srand(round + 1);
		q = frame_queue_new(bounds[round]);
		bytes = head = tail = 0;
		next = 0;
		for (step = 0; step < 4000; step++) {
			slots = frame_queue_reserve(q, iov,
						    1 + (unsigned int)rand() % 40);
			assert_in_range(slots, 1, FRAME_BATCH);
			fill_to = (unsigned int)rand() % (slots + 1);
			for (i = 0; i < fill_to; i++)
				fill(iov[i].iov_base, next + i,
				     len_of(next + i));
			for (i = 0; i < fill_to; i++, next++) {
				size_t c = frame_queue_cost(len_of(next));
				bool fits = bytes + c <= (bounds[round] & ~7ul);

				assert_int_equal(frame_queue_put(q, i,
					len_of(next), next / 9), fits);
				if (!fits)
					continue;
				kept[tail++] = next;
				bytes += c;
			}
			for (i = (unsigned int)rand() % 24; i > 0; i--) {
				/* Rarely empty: that begins the ring anew. */
				if (tail - head <= (step % 1000 > 5))
					break;
				n = kept[head++];
				expect_frame(q, n, n / 9);
				bytes -= frame_queue_cost(len_of(n));
				frame_queue_pop(q);
			}
			assert_int_equal(frame_queue_frames(q), tail - head);
			assert_int_equal(frame_queue_bytes(q), bytes);
		}
		assert_true(tail > 1000);
		frame_queue_free(q);
	}
	free(kept);
}

struct walk {
	const uint64_t *kept;
	size_t n;
};

static void step(void *ctx, const void *frame, size_t len, uint64_t epoch)
{
	struct walk *w = ctx;
	uint64_t n = w->kept[w->n++];
	uint8_t want[FRAME_BYTES_MAX];

	assert_int_equal(len, len_of(n));
	assert_int_equal(epoch, n / 9);
	fill(want, n, len);
	assert_memory_equal(frame, want, len);
}

/* Wherever head and tail are, and whether the ring is wrapped or not. */
static void walk_sees_all_in_order(void **state)
{
	struct frame_queue *q = frame_queue_new(20000);
	uint8_t frame[FRAME_BYTES_MAX];
	uint64_t kept[4000], next;
	size_t head = 0, tail = 0;

	(void)state;
	for (next = 0; next < 4000; next++) {
		struct walk w = { .kept = kept + head };

		fill(frame, next, len_of(next));
		if (frame_queue_push(q, frame, len_of(next), next / 9))
			kept[tail++] = next;
		for (uint64_t i = next % 4; i > 0 && tail - head > 1; i--) {
			frame_queue_pop(q);
			head++;
			w.kept++;
		}
		frame_queue_walk(q, step, &w);
		assert_int_equal(w.n, tail - head);
	}
	assert_true(tail > 1000);
	frame_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bound_too_small_for_a_frame_is_refused),
		cmocka_unit_test(empty_queue_gives_nothing),
		cmocka_unit_test(cost_is_payload_and_overhead),
		cmocka_unit_test(frames_come_in_order_with_their_tags),
		cmocka_unit_test(bound_refuses_the_newest),
		cmocka_unit_test(clear_drops_and_counts),
		cmocka_unit_test(batch_is_packed_in_order),
		cmocka_unit_test(walk_sees_all_in_order),
		cmocka_unit_test(random_use_equals_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
