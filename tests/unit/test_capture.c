/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_capture.c - the copy made in the pause, and what does not fit it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "capture.h"

#define NPAGES 200
#define BYTES (NPAGES * REMUS_PAGE_SIZE)

static uint8_t ram[BYTES], was[BYTES];
static struct page_bitmap dirty;
static uint64_t seed = 1;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

static void scribble(void)
{
	for (size_t i = 0; i < BYTES; i++)
		ram[i] = (uint8_t)rnd(256);
}

static int setup(void **state)
{
	(void)state;
	scribble();
	return page_bitmap_init(&dirty, NPAGES);
}

static int teardown(void **state)
{
	(void)state;
	page_bitmap_free(&dirty);
	return 0;
}

/* Capture `dirty` with room for `fit` pages, and look at all of it. */
static void check(struct capture *c, uint64_t fit)
{
	uint64_t n = page_bitmap_count(&dirty), i = 0;

	memcpy(was, ram, BYTES);
	capture_pages(c, &dirty);
	assert_int_equal(c->count, n);
	assert_int_equal(c->copied, n < fit ? n : fit);
	assert_int_equal(capture_overflows(c), n > fit);
	scribble(); /* the guest runs again */
	for (gfn_t g = page_bitmap_next(&dirty, 0); g < NPAGES;
	     g = page_bitmap_next(&dirty, g + 1), i++) {
		const uint8_t *now = ram + g * REMUS_PAGE_SIZE;

		assert_int_equal(c->gfns[i], g); /* ascending */
		if (i < c->copied)
			assert_true(memcmp(capture_page(c, i),
					   was + g * REMUS_PAGE_SIZE,
					   REMUS_PAGE_SIZE) == 0);
		else /* only named: the memory itself */
			assert_ptr_equal(capture_page(c, i), now);
	}
	assert_int_equal(i, n);
	capture_done(c);
	assert_int_equal(c->count, 0);
	assert_false(capture_overflows(c));
}

static void every_dirty_page_is_copied_or_named(void **state)
{
	static const uint64_t fits[] = { 1, 2, 7, NPAGES - 1, NPAGES };

	(void)state;
	for (size_t f = 0; f < sizeof(fits) / sizeof(fits[0]); f++) {
		struct capture c;

		assert_int_equal(capture_init(&c, ram, NPAGES,
					      fits[f] * REMUS_PAGE_SIZE), 0);
		for (int round = 0; round < 8; round++) {
			page_bitmap_clear_all(&dirty);
			for (uint64_t n = rnd(20); round > 0 && n > 0; n--) {
				gfn_t g = rnd(NPAGES);
				uint64_t run = 1 + rnd(10);

				if (run > NPAGES - g)
					run = NPAGES - g;
				page_bitmap_set_range(&dirty, g, run);
			}
			if (round == 7)
				page_bitmap_set_all(&dirty);
			check(&c, fits[f]);
		}
		capture_free(&c);
	}
}

static void one_page_fits_whatever_the_bound(void **state)
{
	struct capture c;

	(void)state;
	page_bitmap_set(&dirty, 3);
	page_bitmap_set(&dirty, 9);
	for (uint64_t bytes = 0; bytes < 2 * REMUS_PAGE_SIZE; bytes += 4095) {
		assert_int_equal(capture_init(&c, ram, NPAGES, bytes), 0);
		check(&c, 1);
		capture_free(&c);
	}
}

static void the_bound_may_exceed_memory(void **state)
{
	struct capture c;

	(void)state;
	assert_int_equal(capture_init(&c, ram, NPAGES, UINT64_MAX), 0);
	page_bitmap_set_all(&dirty);
	check(&c, NPAGES);
	capture_free(&c);
	capture_free(&c); /* nothing left to free */
}

static void device_state_is_copied_and_bounded(void **state)
{
	uint8_t *big = calloc(1, CAPTURE_DEVICE_MAX + 1);
	char text[] = "state";
	struct capture c;

	(void)state;
	assert_non_null(big);
	assert_int_equal(capture_init(&c, ram, NPAGES, 0), 0);
	assert_int_equal(capture_device(&c, NULL, 0), 0);
	assert_int_equal(c.device_bytes, 0);
	assert_int_equal(capture_device(&c, text, sizeof(text)), 0);
	memset(text, 0, sizeof(text));
	assert_int_equal(c.device_bytes, sizeof(text));
	assert_memory_equal(c.device, "state", sizeof(text));
	assert_int_equal(capture_device(&c, big, CAPTURE_DEVICE_MAX + 1),
			 -E2BIG);
	assert_int_equal(capture_device(&c, big, CAPTURE_DEVICE_MAX), 0);
	assert_int_equal(c.device_bytes, CAPTURE_DEVICE_MAX);
	capture_done(&c);
	assert_int_equal(c.device_bytes, 0);
	/* large memory was given back, and the next one is as good */
	assert_true(c.device_cap <= CAPTURE_KEEP_BYTES);
	assert_int_equal(capture_device(&c, "next", 5), 0);
	assert_memory_equal(c.device, "next", 5);
	capture_done(&c);
	assert_int_equal(capture_device(&c, "n", 2), 0);
	capture_free(&c);
	free(big);
}

static void large_copies_are_given_back(void **state)
{
	const uint64_t npages = 2 * CAPTURE_KEEP_BYTES / REMUS_PAGE_SIZE;
	uint8_t *big = calloc(npages, REMUS_PAGE_SIZE);
	unsigned char *vec = malloc(npages);
	struct page_bitmap all;
	struct capture c;
	uint64_t resident = 0;

	(void)state;
	assert_true(big != NULL && vec != NULL);
	assert_int_equal(page_bitmap_init(&all, npages), 0);
	page_bitmap_set_all(&all);
	assert_int_equal(capture_init(&c, big, npages,
				      npages * REMUS_PAGE_SIZE), 0);
	capture_pages(&c, &all);
	assert_false(capture_overflows(&c));
	capture_done(&c);
	assert_int_equal(mincore(c.copies, npages * REMUS_PAGE_SIZE, vec), 0);
	for (uint64_t i = 0; i < npages; i++)
		resident += vec[i] & 1;
	assert_true(resident <= CAPTURE_KEEP_BYTES / REMUS_PAGE_SIZE);
	capture_free(&c);
	page_bitmap_free(&all);
	free(vec);
	free(big);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_dirty_page_is_copied_or_named),
		TEST(one_page_fits_whatever_the_bound),
		TEST(the_bound_may_exceed_memory),
		TEST(device_state_is_copied_and_bounded),
		cmocka_unit_test(large_copies_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
