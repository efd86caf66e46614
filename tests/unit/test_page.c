/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_page.c - bitmaps of pages, against an array of bools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "page.h"

static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 127, 128, 129, 1000, 4096 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void same_as(const struct page_bitmap *b, const bool *want)
{
	uint64_t n = 0, next = b->npages;

	for (uint64_t i = b->npages; i-- > 0;) {
		assert_int_equal(page_bitmap_test(b, i), want[i]);
		if (want[i]) {
			n++;
			next = i;
		}
		assert_int_equal(page_bitmap_next(b, i), next);
	}
	assert_int_equal(page_bitmap_count(b), n);
	/* Bits at and above npages are always 0. */
	for (uint64_t i = b->npages; i < bitmap_words(b->npages) * 64; i++)
		assert_false(page_bitmap_test(b, i));
}

static void new_is_clear_and_next_of_the_end_is_the_end(void **state)
{
	(void)state;
	for (size_t s = 0; s < N_SIZES; s++) {
		bool want[4096] = { false };
		struct page_bitmap b;

		assert_int_equal(page_bitmap_init(&b, sizes[s]), 0);
		assert_int_equal(b.npages, sizes[s]);
		same_as(&b, want);
		assert_int_equal(page_bitmap_next(&b, sizes[s]), sizes[s]);
		assert_int_equal(page_bitmap_next(&b, UINT64_MAX), sizes[s]);
		page_bitmap_free(&b);
		page_bitmap_free(&b); /* nothing left to free */
	}
}

static void set_all_sets_no_bit_above(void **state)
{
	(void)state;
	for (size_t s = 0; s < N_SIZES; s++) {
		bool want[4096];
		struct page_bitmap b;

		assert_int_equal(page_bitmap_init(&b, sizes[s]), 0);
		page_bitmap_set_all(&b);
		memset(want, true, sizeof(want));
		same_as(&b, want);
		page_bitmap_clear_all(&b);
		memset(want, false, sizeof(want));
		same_as(&b, want);
		page_bitmap_free(&b);
	}
}

static void every_range_sets_exactly_itself(void **state)
{
	(void)state;
	for (uint64_t first = 0; first <= 200; first++)
		for (uint64_t n = 0; first + n <= 200; n += 1 + n / 8) {
			bool want[200] = { false };
			struct page_bitmap b;

			assert_int_equal(page_bitmap_init(&b, 200), 0);
			page_bitmap_set_range(&b, first, n);
			memset(want + first, true, n);
			same_as(&b, want);
			page_bitmap_free(&b);
		}
}

static void set_clear_and_or_follow_the_model(void **state)
{
	(void)state;
	for (size_t s = 0; s < N_SIZES; s++) {
		bool w1[4096] = { false }, w2[4096] = { false };
		struct page_bitmap b1, b2;

		assert_int_equal(page_bitmap_init(&b1, sizes[s]), 0);
		assert_int_equal(page_bitmap_init(&b2, sizes[s]), 0);
		for (int i = 0; i < 300; i++) {
			gfn_t g = rnd() % sizes[s], h = rnd() % sizes[s];

			page_bitmap_set(&b1, g);
			w1[g] = true;
			page_bitmap_clear(&b1, h);
			w1[h] = false;
			page_bitmap_set(&b2, h);
			w2[h] = true;
		}
		same_as(&b1, w1);
		page_bitmap_or(&b1, &b2);
		for (uint64_t i = 0; i < sizes[s]; i++)
			w1[i] |= w2[i];
		same_as(&b1, w1);
		same_as(&b2, w2);
		page_bitmap_free(&b1);
		page_bitmap_free(&b2);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_is_clear_and_next_of_the_end_is_the_end),
		cmocka_unit_test(set_all_sets_no_bit_above),
		cmocka_unit_test(every_range_sets_exactly_itself),
		cmocka_unit_test(set_clear_and_or_follow_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
