/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_stage.c - the image changes by commit, whole, and by nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "stage.h"

#define NPAGES 64
#define BYTES (NPAGES * REMUS_PAGE_SIZE)

static uint8_t image[BYTES], before[BYTES], want[BYTES];
static struct stage *stage;
static uint64_t seed = 1;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		image[i] = (uint8_t)rnd(256);
	memcpy(before, image, BYTES);
	memcpy(want, image, BYTES);
	return stage_new(&stage, image, NPAGES);
}

static int teardown(void **state)
{
	(void)state;
	stage_free(stage);
	stage_free(NULL);
	return 0;
}

static bool untouched(void)
{
	return memcmp(image, before, BYTES) == 0;
}

static void a_page_is_a_copy_of_the_images_at_first(void **state)
{
	(void)state;
	for (gfn_t g = NPAGES; g-- > 0;) {
		uint8_t *page = stage_page(stage, g);

		assert_true(page < image || page >= image + BYTES);
		assert_memory_equal(page, image + g * REMUS_PAGE_SIZE,
				    REMUS_PAGE_SIZE);
		assert_int_equal(stage_count(stage), NPAGES - g);
	}
	assert_true(untouched());
}

static void a_staged_page_is_the_same_one_again(void **state)
{
	uint8_t *page = stage_page(stage, 5);

	(void)state;
	page[0] ^= 0xff;
	stage_page(stage, 4);
	stage_page(stage, 6);
	assert_ptr_equal(stage_page(stage, 5), page);
	assert_int_equal(page[0], before[5 * REMUS_PAGE_SIZE] ^ 0xff);
	assert_int_equal(stage_count(stage), 3);
	assert_true(untouched());
}

static void what_is_only_looked_at_is_not_staged(void **state)
{
	uint8_t *page;

	(void)state;
	assert_ptr_equal(stage_look(stage, 5), image + 5 * REMUS_PAGE_SIZE);
	assert_int_equal(stage_count(stage), 0);
	page = stage_page(stage, 5);
	assert_ptr_equal(stage_look(stage, 5), page);
	assert_int_equal(stage_count(stage), 1);
}

static void what_is_written_whole_is_staged_like_any_other(void **state)
{
	struct page_bitmap changed;
	uint8_t *page = stage_blank(stage, 3);

	(void)state;
	assert_int_equal(page_bitmap_init(&changed, NPAGES), 0);
	assert_int_equal(stage_count(stage), 1);
	memset(page, 0x77, REMUS_PAGE_SIZE);
	assert_ptr_equal(stage_blank(stage, 3), page);
	assert_ptr_equal(stage_page(stage, 3), page);
	assert_int_equal(page[1], 0x77);
	assert_true(untouched());
	stage_look(stage, 4);
	stage_commit(stage, &changed);
	memset(before + 3 * REMUS_PAGE_SIZE, 0x77, REMUS_PAGE_SIZE);
	assert_true(untouched());
	assert_int_equal(page_bitmap_count(&changed), 1);
	page_bitmap_free(&changed);
}

static void random_epochs_commit_or_leave_no_trace(void **state)
{
	(void)state;
	for (int epoch = 0; epoch < 200; epoch++) {
		memcpy(want, before, BYTES);
		for (uint64_t n = rnd(2 * NPAGES); n > 0; n--) {
			gfn_t g = rnd(NPAGES);
			size_t at = rnd(REMUS_PAGE_SIZE);
			uint8_t v = (uint8_t)rnd(256);

			if (rnd(4) == 0)
				memcpy(stage_blank(stage, g),
				       want + g * REMUS_PAGE_SIZE,
				       REMUS_PAGE_SIZE);
			stage_page(stage, g)[at] = v;
			want[g * REMUS_PAGE_SIZE + at] = v;
			assert_memory_equal(stage_look(stage, g),
					    want + g * REMUS_PAGE_SIZE,
					    REMUS_PAGE_SIZE);
		}
		assert_true(untouched());
		if (rnd(2)) {
			stage_commit(stage, NULL);
			assert_true(memcmp(image, want, BYTES) == 0);
			memcpy(before, want, BYTES);
		} else {
			stage_drop(stage);
			assert_true(untouched());
		}
		assert_int_equal(stage_count(stage), 0);
	}
	stage_drop(stage); /* of nothing */
	stage_commit(stage, NULL);
	assert_true(untouched());
}

static uint64_t resident(void *at, size_t bytes)
{
	size_t pages = bytes / REMUS_PAGE_SIZE;
	unsigned char *vec = malloc(pages);
	uint64_t n = 0;

	assert_non_null(vec);
	assert_int_equal(mincore(at, bytes, vec), 0);
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

static void memory_beyond_what_is_kept_is_given_back(void **state)
{
	const uint64_t npages = 2 * STAGE_KEEP_BYTES / REMUS_PAGE_SIZE;
	uint8_t *big = calloc(npages, REMUS_PAGE_SIZE), *first;
	struct stage *s;

	(void)state;
	assert_non_null(big);
	assert_int_equal(stage_new(&s, big, npages), 0);
	first = stage_page(s, 0);
	assert_true(resident(first, npages * REMUS_PAGE_SIZE) < 600);
	for (gfn_t g = 0; g < npages; g++)
		stage_page(s, g)[0] = 1;
	assert_int_equal(resident(first, npages * REMUS_PAGE_SIZE), npages);
	stage_drop(s);
	assert_true(resident(first, npages * REMUS_PAGE_SIZE) <=
		    STAGE_KEEP_BYTES / REMUS_PAGE_SIZE);
	/* and it works as before */
	stage_page(s, npages - 1)[7] = 9;
	stage_commit(s, NULL);
	assert_int_equal(big[(npages - 1) * REMUS_PAGE_SIZE + 7], 9);
	assert_int_equal(big[0], 0);
	stage_free(s);
	free(big);
}

static void too_many_pages_is_enomem(void **state)
{
	struct stage *s = NULL;

	(void)state;
	assert_int_equal(stage_new(&s, image, UINT32_MAX), -ENOMEM);
	assert_int_equal(stage_new(&s, image, (uint64_t)1 << 40), -ENOMEM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_is_a_copy_of_the_images_at_first),
		TEST(a_staged_page_is_the_same_one_again),
		TEST(what_is_only_looked_at_is_not_staged),
		TEST(what_is_written_whole_is_staged_like_any_other),
		TEST(random_epochs_commit_or_leave_no_trace),
		cmocka_unit_test(memory_beyond_what_is_kept_is_given_back),
		cmocka_unit_test(too_many_pages_is_enomem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
