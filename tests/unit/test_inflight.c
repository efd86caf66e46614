/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_inflight.c - what is proved, what is dirty again, and the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "inflight.h"

#define NPAGES 130

struct world {
	struct inflight f;
	struct page_bitmap dirty;
};

static struct world w;

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	return inflight_init(&w.f, 4, NPAGES) |
	       page_bitmap_init(&w.dirty, NPAGES);
}

static int teardown(void **state)
{
	(void)state;
	inflight_free(&w.f);
	inflight_free(&w.f); /* nothing left to free */
	page_bitmap_free(&w.dirty);
	return 0;
}

/* An epoch that changed page `gfn`, sent if it has a chain. */
static struct inflight_slot *epoch(uint64_t n, gfn_t gfn, uint64_t chain)
{
	struct inflight_slot *s = inflight_open(&w.f, n);

	assert_non_null(s);
	page_bitmap_set(&s->pages, gfn);
	s->captured_ns = n * 1000;
	s->sent = chain != 0;
	s->chain = chain;
	return s;
}

static void nothing_is_proved_at_first(void **state)
{
	(void)state;
	assert_false(inflight_proves(&w.f, 0, 0));
	assert_false(inflight_proves(&w.f, 1, 0));
	assert_int_equal(inflight_oldest_ns(&w.f), 0);
	assert_null(inflight_find(&w.f, 1));
}

static void a_new_slot_is_empty(void **state)
{
	struct inflight_slot *s;

	(void)state;
	for (uint64_t n = 1; n <= 50; n++) {
		s = inflight_open(&w.f, n);
		assert_non_null(s);
		assert_int_equal(s->epoch, n);
		assert_false(s->sent);
		assert_int_equal(s->captured_ns, 0);
		assert_int_equal(s->pages.npages, NPAGES);
		assert_int_equal(page_bitmap_count(&s->pages), 0);
		assert_ptr_equal(inflight_find(&w.f, n), s);
		page_bitmap_set_all(&s->pages);
		s->sent = true;
		s->chain = n;
		s->captured_ns = 7;
		inflight_acked(&w.f, s);
		assert_null(inflight_find(&w.f, n));
	}
}

static void there_is_room_for_all_that_may_be_in_flight(void **state)
{
	(void)state;
	for (unsigned int epochs = 1; epochs <= 16; epochs++) {
		struct inflight f;
		uint64_t n = 0;

		assert_int_equal(inflight_init(&f, epochs, NPAGES), 0);
		while (inflight_open(&f, n + 1) != NULL)
			n++;
		/* in flight, one open, one spare; then none at all */
		assert_int_equal(n, epochs + 2);
		assert_null(inflight_open(&f, n + 1));
		inflight_acked(&f, inflight_find(&f, 1));
		assert_non_null(inflight_open(&f, n + 1));
		assert_null(inflight_open(&f, n + 2));
		inflight_free(&f);
	}
}

static void an_absurd_number_is_bounded(void **state)
{
	struct inflight f;

	(void)state;
	assert_int_equal(inflight_init(&f, 1000, NPAGES), 0);
	assert_int_equal(f.n, INFLIGHT_MAX);
	inflight_free(&f);
}

static void what_was_acknowledged_last_or_sent_since_is_proved(void **state)
{
	(void)state;
	inflight_acked(&w.f, epoch(1, 1, 101));
	inflight_acked(&w.f, epoch(2, 2, 102));
	epoch(3, 3, 103);
	epoch(4, 4, 0);
	assert_true(inflight_proves(&w.f, 2, 102));
	assert_true(inflight_proves(&w.f, 3, 103));
	/* another chain; gone back in time; not sent whole; never heard of */
	assert_false(inflight_proves(&w.f, 2, 103));
	assert_false(inflight_proves(&w.f, 3, 102));
	assert_false(inflight_proves(&w.f, 1, 101));
	assert_false(inflight_proves(&w.f, 4, 0));
	assert_false(inflight_proves(&w.f, 5, 0));
	assert_false(inflight_proves(&w.f, 0, 0));
}

static void an_acknowledgement_stands_for_all_before_it(void **state)
{
	(void)state;
	epoch(1, 1, 101);
	epoch(2, 2, 102);
	epoch(3, 3, 103);
	inflight_acked(&w.f, inflight_find(&w.f, 2));
	assert_null(inflight_find(&w.f, 1));
	assert_null(inflight_find(&w.f, 2));
	assert_non_null(inflight_find(&w.f, 3));
	assert_false(inflight_proves(&w.f, 1, 101));
	assert_true(inflight_proves(&w.f, 2, 102));
	inflight_forget(&w.f, &w.dirty);
	assert_int_equal(page_bitmap_count(&w.dirty), 1);
	assert_true(page_bitmap_test(&w.dirty, 3));
}

static void a_lost_link_makes_dirty_what_was_in_flight(void **state)
{
	(void)state;
	inflight_acked(&w.f, epoch(1, 1, 101));
	epoch(2, 2, 102);
	epoch(3, 129, 103);
	epoch(4, 64, 0); /* half sent */
	page_bitmap_set(&w.dirty, 9);
	inflight_forget(&w.f, &w.dirty);
	assert_int_equal(page_bitmap_count(&w.dirty), 4);
	assert_true(page_bitmap_test(&w.dirty, 2));
	assert_true(page_bitmap_test(&w.dirty, 9));
	assert_true(page_bitmap_test(&w.dirty, 64));
	assert_true(page_bitmap_test(&w.dirty, 129));
	/* nothing waits for an acknowledgement any more */
	assert_int_equal(inflight_oldest_ns(&w.f), 0);
	/* sent whole: the acknowledgement may have been lost */
	assert_true(inflight_proves(&w.f, 1, 101));
	assert_true(inflight_proves(&w.f, 2, 102));
	assert_true(inflight_proves(&w.f, 3, 103));
	assert_false(inflight_proves(&w.f, 4, 0));
	/* and once is enough */
	page_bitmap_clear_all(&w.dirty);
	inflight_forget(&w.f, &w.dirty);
	assert_int_equal(page_bitmap_count(&w.dirty), 0);
}

static void a_restart_leaves_one_proof(void **state)
{
	(void)state;
	epoch(2, 2, 102);
	epoch(3, 3, 103);
	inflight_forget(&w.f, &w.dirty);
	inflight_restart(&w.f, 2, 102);
	assert_true(inflight_proves(&w.f, 2, 102));
	assert_false(inflight_proves(&w.f, 3, 103));
	for (uint64_t n = 4; n < 4 + 6; n++) /* every slot is free */
		assert_non_null(inflight_open(&w.f, n));
	inflight_restart(&w.f, 0, 0);
	assert_false(inflight_proves(&w.f, 2, 102));
	assert_false(inflight_proves(&w.f, 0, 0));
}

static void the_oldest_capture_is_the_lag(void **state)
{
	(void)state;
	epoch(5, 1, 105);
	epoch(6, 1, 0);
	inflight_open(&w.f, 7); /* not captured yet */
	assert_int_equal(inflight_oldest_ns(&w.f), 5000);
	inflight_acked(&w.f, inflight_find(&w.f, 5));
	assert_int_equal(inflight_oldest_ns(&w.f), 6000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_proved_at_first),
		TEST(a_new_slot_is_empty),
		TEST(there_is_room_for_all_that_may_be_in_flight),
		TEST(an_absurd_number_is_bounded),
		TEST(what_was_acknowledged_last_or_sent_since_is_proved),
		TEST(an_acknowledgement_stands_for_all_before_it),
		TEST(a_lost_link_makes_dirty_what_was_in_flight),
		TEST(a_restart_leaves_one_proof),
		TEST(the_oldest_capture_is_the_lag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
