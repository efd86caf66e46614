/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page cache, both shapes: against a model, for its bound, and for equal
 * content after equal calls (S5).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page_cache.h"

#define PAGE REMUS_PAGE_SIZE

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static struct page_cache *create(uint64_t npages, uint64_t cache_bytes)
{
	struct page_cache *c;

	rnd_state = 88172645463325252u;
	assert_int_equal(page_cache_create(&c, npages, cache_bytes), 0);
	assert_non_null(c);
	assert_int_equal(page_cache_count(c), 0);
	return c;
}

static void put(struct page_cache *c, gfn_t gfn, uint64_t value)
{
	uint64_t words[2] = {gfn, value};
	uint8_t *p = page_cache_insert(c, gfn);

	assert_non_null(p);
	assert_int_equal((uintptr_t)p % PAGE, 0);
	memcpy(p, words, sizeof(words));
	memset(p + 16, (int)value, PAGE - 16);
}

static bool holds(const uint8_t *p, gfn_t gfn, uint64_t value)
{
	uint64_t words[2] = {gfn, value};

	return memcmp(p, words, sizeof(words)) == 0 &&
	       p[PAGE - 1] == (uint8_t)value;
}

static void wrong_arguments(void **state)
{
	struct page_cache *c = (struct page_cache *)state;

	assert_int_equal(page_cache_create(&c, 0, 1 << 20), -EINVAL);
	assert_null(c);
	assert_int_equal(page_cache_create(&c, 1000, 0), -EINVAL);
	assert_int_equal(page_cache_create(&c, 1000, PAGE_CACHE_BYTES_MIN - 1),
			 -EINVAL);
	assert_int_equal(page_cache_create(&c, (uint64_t)1 << 52, UINT64_MAX),
			 -EINVAL);
	assert_int_equal(page_cache_create(&c, UINT64_MAX, UINT64_MAX),
			 -EINVAL);
	assert_null(c);
	page_cache_destroy(NULL);
}

static void shape_follows_the_bound(void **state)
{
	struct page_cache *c = create(1000, 1000 * PAGE);

	(void)state;
	assert_int_equal(page_cache_capacity(c), 1000);
	assert_int_equal(page_cache_bytes(c), 1000 * PAGE + 8 * ((1000 + 63) / 64 + 1));
	page_cache_destroy(c);
	c = create(1000, UINT64_MAX);
	assert_int_equal(page_cache_capacity(c), 1000);
	page_cache_destroy(c);
	c = create(1000, 1000 * PAGE - 1); /* 124 sets of 8 */
	assert_int_equal(page_cache_capacity(c), 992);
	assert_int_equal(page_cache_bytes(c),
			 124 * (8 * PAGE + 8 * 8 + 1));
	page_cache_destroy(c);
	c = create(3, 3 * PAGE); /* less than one set: flat */
	assert_int_equal(page_cache_capacity(c), 3);
	page_cache_destroy(c);
}

/* A flat cache for a guest of 4 GiB takes no memory before it is used. */
static void flat_is_not_reserved(void **state)
{
	const uint64_t npages = (uint64_t)1 << 20;
	struct page_cache *c = create(npages, npages * PAGE);

	(void)state;
	put(c, npages - 1, 7);
	assert_true(holds(page_cache_lookup(c, npages - 1), npages - 1, 7));
	assert_null(page_cache_lookup(c, npages - 2));
	page_cache_destroy(c);
}

/* What is there is what was put there last; what was dropped is gone; nothing
 * vanishes from a flat cache; the bound holds. */
static void random_calls(uint64_t npages, uint64_t cache_bytes)
{
	struct page_cache *c = create(npages, cache_bytes);
	bool flat = cache_bytes / PAGE >= npages;
	uint64_t *value = calloc(npages, sizeof(*value)), held = 0;
	uint64_t hits = 0;

	assert_non_null(value);
	for (uint64_t n = 1; n < 60000; n++) {
		gfn_t gfn = rnd() % npages;
		unsigned int what = rnd() % 16;
		uint8_t *p;

		if (n % 20000 == 0) {
			page_cache_drop_all(c);
			memset(value, 0, npages * sizeof(*value));
			assert_int_equal(page_cache_count(c), 0);
		} else if (what == 0) {
			page_cache_drop(c, gfn);
			assert_null(page_cache_lookup(c, gfn));
			value[gfn] = 0;
		} else if (what < 8) {
			put(c, gfn, n);
			value[gfn] = n;
		} else if ((p = page_cache_lookup(c, gfn)) != NULL) {
			hits++;
			assert_true(value[gfn] != 0);
			assert_true(holds(p, gfn, value[gfn]));
			assert_true(holds(page_cache_insert(c, gfn), gfn,
					  value[gfn]));
		} else {
			assert_true(!flat || value[gfn] == 0);
		}
		assert_true(page_cache_count(c) <= page_cache_capacity(c));
	}
	assert_true(hits > 1000);
	for (gfn_t gfn = 0; gfn < npages; gfn++)
		held += page_cache_lookup(c, gfn) != NULL;
	assert_int_equal(held, page_cache_count(c));
	page_cache_destroy(c);
	free(value);
}

static void flat_against_a_model(void **state)
{
	(void)state;
	random_calls(1000, 1000 * PAGE);
	random_calls(1, PAGE);
}

static void sets_against_a_model(void **state)
{
	(void)state;
	random_calls(1000, 200 * PAGE);
	random_calls(1000, 999 * PAGE);
	random_calls(40, PAGE_CACHE_BYTES_MIN);
}

/* So that memory is read in order while there is room, in either shape. */
static void neighbours_lie_side_by_side(void **state)
{
	static const uint64_t bytes[] = { 4000 * PAGE, 1600 * PAGE };

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct page_cache *c = create(4000, bytes[i]);
		uint8_t *p = page_cache_insert(c, 100);

		page_cache_use_huge_pages(c);
		for (gfn_t n = 1; n < 50; n++)
			assert_ptr_equal(page_cache_insert(c, 100 + n),
					 p + n * PAGE);
		page_cache_destroy(c);
	}
}

/* Sums are kept, or this processor has none that are fast. */
static bool keep_sums(struct page_cache *c)
{
	uint64_t before = page_cache_bytes(c), places = page_cache_capacity(c);
	int rc = page_cache_keep_sums(c);

	if (page_sums_fast() == NULL) {
		assert_int_equal(rc, -ENOTSUP);
		assert_int_equal(page_cache_bytes(c), before);
		return false;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(page_cache_bytes(c), before + places * PAGE / 32 +
						      8 * ((places + 63) / 64 + 1));
	return true;
}

static unsigned int really_changed(const uint8_t *a, const uint8_t *b)
{
	unsigned int groups = 0;

	for (size_t i = 0; i < PAGE_GROUPS; i++)
		groups |= (unsigned int)(memcmp(a + i * PAGE_GROUP_BYTES,
						b + i * PAGE_GROUP_BYTES,
						PAGE_GROUP_BYTES) != 0) << i;
	return groups;
}

static void rewrite(uint8_t *page)
{
	for (size_t i = 0; i < PAGE; i++)
		page[i] += (uint8_t)(1 + rnd() % 255);
}

/* As the sender does: pages in ascending order, a few looked at before the turn of
 * the first comes; some are given up by then, or were by others before. */
static void looks(uint64_t npages, uint64_t cache_bytes)
{
	struct page_cache *c = create(npages, cache_bytes);
	uint8_t (*guest)[PAGE] = calloc(npages, PAGE);
	bool sums = keep_sums(c);
	uint64_t known = 0, all = 0;

	assert_non_null(guest);
	page_cache_use_huge_pages(c);
	for (unsigned int epoch = 0; epoch < 40; epoch++) {
		struct page_look look[PAGE_LOOK_AHEAD];
		uint64_t looked_at = 0;
		/* No page is, or was the last time, rewritten or given up. */
		bool exact = sums && npages * PAGE <= cache_bytes &&
			     epoch % 4 != 3 && epoch % 4 != 0;

		if (epoch == 20)
			page_cache_drop_all(c);
		for (gfn_t g = 0; g < npages; g++)
			for (uint64_t n = rnd() % 4; n > 0; n--)
				guest[g][rnd() % PAGE] ^= (uint8_t)rnd();
		for (gfn_t g = 0; g < npages && epoch % 4 == 3; g++)
			if (g % 16 < 6)
				rewrite(guest[g]);
		for (gfn_t g = 0; g < npages; g++) {
			const struct page_look *l = &look[g % PAGE_LOOK_AHEAD];
			enum page_fate fate = PAGE_CHANGED;
			uint8_t *old;

			for (; looked_at < npages &&
			       looked_at < g + PAGE_LOOK_AHEAD; looked_at++)
				page_cache_look(c, looked_at, guest[looked_at],
						&look[looked_at %
						      PAGE_LOOK_AHEAD]);
			if (rnd() % 16 == 0)
				page_cache_drop(c, g);
			old = page_cache_lookup(c, g);
			if (old != NULL) {
				unsigned int groups = page_look_groups(l, old);
				unsigned int really = really_changed(old,
								     guest[g]);

				assert_int_equal(really & ~groups, 0);
				if (groups != PAGE_GROUPS_ALL || exact)
					assert_int_equal(groups, really);
				known += groups != PAGE_GROUPS_ALL;
				fate = really == 0 ? PAGE_STAYED
				       : really == PAGE_GROUPS_ALL
					       ? PAGE_REWRITTEN
					       : PAGE_CHANGED;
			} else {
				old = page_cache_insert(c, g);
			}
			all++;
			memcpy(old, guest[g], PAGE);
			page_cache_settle(c, old, l, guest[g], fate);
		}
	}
	if (sums)
		assert_true(known > all / 16);
	free(guest);
	page_cache_destroy(c);
}

static void looks_tell_what_changed(void **state)
{
	(void)state;
	looks(100, 100 * PAGE);
	looks(100, 40 * PAGE);
	looks(3, 3 * PAGE);
}

/* Page g has its turn.  Returns what changed as far as was known. */
static unsigned int turn(struct page_cache *c, gfn_t g, const uint8_t *new,
			 enum page_fate fate)
{
	uint8_t *place = page_cache_lookup(c, g);
	struct page_look l;
	unsigned int groups;

	page_cache_look(c, g, new, &l);
	groups = page_look_groups(&l, place != NULL ? place : new);
	if (place == NULL)
		place = page_cache_insert(c, g);
	memcpy(place, new, PAGE);
	page_cache_settle(c, place, &l, new, fate);
	return groups;
}

static void rewritten_pages_are_not_looked_at(void **state)
{
	enum { N = PAGE_LOOK_REWRITTEN + 3 };
	struct page_cache *c = create(N, N * PAGE);
	static uint8_t guest[N][PAGE];

	(void)state;
	if (!keep_sums(c)) {
		page_cache_destroy(c);
		skip();
	}
	for (gfn_t g = 0; g < N; g++)
		turn(c, g, guest[g], PAGE_CHANGED);
	for (gfn_t g = 0; g < N; g++) {
		/* Some of its groups stayed, as a look would tell. */
		rewrite(guest[g]);
		memset(guest[g] + PAGE / 2, 0, PAGE / 2);
		assert_int_equal(turn(c, g, guest[g], PAGE_REWRITTEN),
				 g < PAGE_LOOK_REWRITTEN ? 0xff
							 : PAGE_GROUPS_ALL);
	}
	/* Neither is the first one that is not, */
	guest[0][0]++;
	assert_int_equal(turn(c, 0, guest[0], PAGE_CHANGED), PAGE_GROUPS_ALL);
	guest[0][0]++;
	assert_int_equal(turn(c, 0, guest[0], PAGE_CHANGED), 1);
	/* and of one whose sums are too old nothing is known, until it stays. */
	assert_int_equal(turn(c, N - 1, guest[N - 1], PAGE_STAYED),
			 PAGE_GROUPS_ALL);
	assert_int_equal(turn(c, N - 1, guest[N - 1], PAGE_STAYED), 0);
	page_cache_destroy(c);
}

/* Whose page a place is has been changed between the look and its turn. */
static void a_look_at_another_place_knows_nothing(void **state)
{
	struct page_look l = { .old = (const uint8_t *)&l, .groups = 5 };

	(void)state;
	assert_int_equal(page_look_groups(&l, (const uint8_t *)&l), 5);
	assert_int_equal(page_look_groups(&l, (const uint8_t *)&state),
			 PAGE_GROUPS_ALL);
}

/* S5: the same calls, the same pages, also after drop_all. */
static void equal_calls_equal_content(void **state)
{
	struct page_cache *a = create(4000, 1000 * PAGE);
	struct page_cache *b = create(4000, 1000 * PAGE);
	unsigned int evicted = 0;

	(void)state;
	/* b has a past that drop_all must wipe out */
	for (gfn_t gfn = 0; gfn < 4000; gfn++) {
		put(b, gfn, 1);
		(void)page_cache_lookup(b, gfn / 2);
	}
	page_cache_drop_all(b);
	for (uint64_t n = 0; n < 50000; n++) {
		gfn_t gfn = rnd() % 4000;
		const uint8_t *peeked = page_cache_peek(b, gfn);
		uint8_t *p = page_cache_lookup(a, gfn);
		uint8_t *q = page_cache_lookup(b, gfn);

		assert_ptr_equal(peeked, q);
		(void)page_cache_peek(b, rnd() % 4000);
		assert_int_equal(p == NULL, q == NULL);
		if (p != NULL)
			assert_memory_equal(p, q, 64);
		if (n % 17 == 0) {
			page_cache_drop(a, gfn);
			page_cache_drop(b, gfn);
		} else if (p == NULL) {
			put(a, gfn, n);
			put(b, gfn, n);
		}
		evicted += p == NULL && n > 4000;
	}
	assert_true(evicted > 1000);
	page_cache_destroy(a);
	page_cache_destroy(b);
}

static unsigned int index_of(const gfn_t *place, gfn_t gfn)
{
	unsigned int i = 0;

	while (i < PAGE_CACHE_WAYS && place[i] != gfn)
		i++;
	return i;
}

/* The replacement is part of the contract: replayed in the plainest way from
 * what page_cache.h says, so that a change of it is seen. */
static void replacement_is_as_specified(void **state)
{
	struct page_cache *c = create(100, PAGE_CACHE_BYTES_MIN);
	const gfn_t none = 100;
	gfn_t place[PAGE_CACHE_WAYS];
	bool mark[PAGE_CACHE_WAYS] = {false};
	uint64_t x = 0x9e3779b97f4a7c15u;

	(void)state;
	for (unsigned int i = 0; i < PAGE_CACHE_WAYS; i++)
		place[i] = none;
	for (unsigned int n = 0; n < 5000; n++) {
		gfn_t gfn = rnd() % (n % 3 == 0 ? 100 : 10);
		unsigned int i = index_of(place, gfn), marked = 0, nth;

		assert_int_equal(page_cache_lookup(c, gfn) != NULL,
				 i < PAGE_CACHE_WAYS);
		if (i < PAGE_CACHE_WAYS) {
			mark[i] = n % 11 != 0;
			if (!mark[i]) {
				page_cache_drop(c, gfn);
				place[i] = none;
			}
			continue;
		}
		put(c, gfn, n);
		i = index_of(place, none);
		if (i < PAGE_CACHE_WAYS) {
			place[i] = gfn;
			continue;
		}
		for (i = 0; i < PAGE_CACHE_WAYS; i++)
			marked += mark[i];
		if (marked == PAGE_CACHE_WAYS) {
			memset(mark, 0, sizeof(mark));
			marked = 0;
		}
		x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
		nth = (unsigned int)(x * 0x2545f4914f6cdd1du >> 40) %
		      (PAGE_CACHE_WAYS - marked);
		for (i = 0; mark[i] || nth-- > 0; i++)
			;
		place[i] = gfn;
	}
	page_cache_destroy(c);
}

/* Marked pages survive those that were put in and never looked up. */
static void used_pages_stay(void **state)
{
	struct page_cache *c = create(1000, PAGE_CACHE_BYTES_MIN);

	(void)state;
	put(c, 0, 1);
	put(c, 1, 1);
	for (gfn_t gfn = 2; gfn < 1000; gfn++) {
		assert_non_null(page_cache_lookup(c, 0));
		assert_non_null(page_cache_lookup(c, 1));
		put(c, gfn, 1);
		/* a third and more marks would clear all: do not look at gfn */
	}
	page_cache_destroy(c);
}

/* A working set twice the cache, in order, again and again: LRU and FIFO would
 * never hit. */
static void cyclic_use_still_hits(void **state)
{
	struct page_cache *c = create(4096, 512 * PAGE);
	unsigned int hits = 0, rounds = 40;

	(void)state;
	for (unsigned int r = 0; r < rounds; r++)
		for (gfn_t gfn = 0; gfn < 1024; gfn++) {
			if (page_cache_lookup(c, gfn) != NULL)
				hits++;
			else
				put(c, gfn, r);
		}
	print_message("cyclic: %u %% hits\n", hits * 100 / (rounds * 1024));
	assert_true(hits > rounds * 1024 / 5);
	page_cache_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments),
		cmocka_unit_test(shape_follows_the_bound),
		cmocka_unit_test(flat_is_not_reserved),
		cmocka_unit_test(flat_against_a_model),
		cmocka_unit_test(sets_against_a_model),
		cmocka_unit_test(neighbours_lie_side_by_side),
		cmocka_unit_test(looks_tell_what_changed),
		cmocka_unit_test(rewritten_pages_are_not_looked_at),
		cmocka_unit_test(a_look_at_another_place_knows_nothing),
		cmocka_unit_test(equal_calls_equal_content),
		cmocka_unit_test(replacement_is_as_specified),
		cmocka_unit_test(used_pages_stay),
		cmocka_unit_test(cyclic_use_still_hits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
