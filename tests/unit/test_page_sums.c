/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sums of groups: every implementation against the definition, that against
 * values made elsewhere (products of polynomials over bits, by the arithmetic of
 * another language), and that no change of a page goes by unseen.
 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "page_sums.h"

#define PAGE REMUS_PAGE_SIZE

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static void fill(void *at, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		uint64_t w = htole64(rnd());

		memcpy((uint8_t *)at + 8 * i, &w, sizeof(w));
	}
}

static const struct page_sums none;

/* The key and then the page are the words of one xorshift sequence. */
static void golden_values(void **state)
{
	static const struct page_sums want = { {
		0xa91ce18087d065a7u, 0x570a9d82ca946b95u, 0xfdb2844053ea23abu,
		0x51587b99e79377e3u, 0xbeebeb3e00ff70c6u, 0xadb70f0bb35143f4u,
		0xcecb956c56600c83u, 0x66b386de19136352u, 0xb73aac4e15ac5612u,
		0x8af618042c0eb68eu, 0x7895e7bc708a55d0u, 0x19f2e511c823a7adu,
		0x226c91f95bfb1876u, 0xb88090c1ad5fcc30u, 0x8530f609816b830eu,
		0xdad653bb467ee69bu,
	} };
	size_t n;
	const struct page_sums_impl *const *all = page_sums_impls(&n);
	struct page_sums_key key;
	struct page_sums got;
	uint8_t page[PAGE];

	(void)state;
	rnd_state = 88172645463325252u;
	for (size_t i = 0; i < PAGE_GROUP_BYTES / 8; i++)
		key.words[i] = rnd();
	fill(page, PAGE / 8);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i]->sums(&got, &key, page, &want), 0);
		assert_memory_equal(&got, &want, sizeof(want));
		assert_int_equal(all[i]->sums(&got, &key, page, &none),
				 PAGE_GROUPS_ALL);
	}
}

/* A group that equals the key sums up to 0; what is added to a pair of its words
 * is multiplied. */
static void products_are_reduced(void **state)
{
	static const struct {
		uint64_t a, b, product;
	} known[] = {
		{ 1, 1, 1 },
		{ UINT64_MAX, 1, UINT64_MAX },
		{ (uint64_t)1 << 63, 2, 0x1b },
		{ 2, (uint64_t)1 << 63, 0x1b },
		{ (uint64_t)1 << 63, (uint64_t)1 << 63, 0xc00000000000005au },
	};
	size_t n;
	const struct page_sums_impl *const *all = page_sums_impls(&n);
	struct page_sums_key key;
	struct page_sums got;
	uint64_t page[PAGE / 8];

	(void)state;
	assert_int_equal(page_sums_new_key(&key), 0);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			for (size_t at = 0; at < PAGE / 8; at += 2) {
				size_t group = at * 8 / PAGE_GROUP_BYTES;

				for (size_t w = 0; w < PAGE / 8; w++)
					page[w] = htole64(
						key.words[w % (PAGE_GROUP_BYTES /
							       8)]);
				page[at] ^= htole64(known[k].a);
				page[at + 1] ^= htole64(known[k].b);
				assert_int_equal(
					all[i]->sums(&got, &key,
						     (const uint8_t *)page,
						     &none), 1u << group);
				assert_true(got.of[group] == known[k].product);
			}
}

/* At any address, and no byte behind the page. */
static void all_make_the_same(void **state)
{
	size_t n;
	const struct page_sums_impl *const *all = page_sums_impls(&n);
	uint8_t *area = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct page_sums_key key;
	struct page_sums want, got;

	(void)state;
	rnd_state = 1;
	assert_ptr_not_equal(area, MAP_FAILED);
	assert_int_equal(mprotect(area + 2 * PAGE, PAGE, PROT_NONE), 0);
	for (unsigned int round = 0; round < 50; round++) {
		uint8_t *page = area + PAGE - round;

		assert_int_equal(page_sums_new_key(&key), 0);
		fill(page, PAGE / 8);
		all[0]->sums(&want, &key, page, &none);
		for (size_t i = 1; i < n; i++) {
			assert_int_equal(all[i]->sums(&got, &key, page, &want),
					 0);
			assert_memory_equal(&got, &want, sizeof(want));
		}
	}
	munmap(area, 3 * PAGE);
}

/* Each bit; and changes that take each other back in a weaker sum: the same in two
 * words, two words that change places, all bits of a word. */
static void every_change_is_seen(void **state)
{
	size_t n;
	const struct page_sums_impl *const *all = page_sums_impls(&n);
	struct page_sums_key key;
	struct page_sums kept, got;
	uint64_t page[PAGE / 8], was[PAGE / 8];
	const uint8_t *bytes = (const uint8_t *)page;

	(void)state;
	rnd_state = 2;
	assert_int_equal(page_sums_new_key(&key), 0);
	fill(page, PAGE / 8);
	memcpy(was, page, PAGE);
	/* the definition takes microseconds, the others less: not each for all */
	for (size_t i = n - 1; i < n; i++) {
		all[i]->sums(&kept, &key, bytes, &none);
		for (size_t w = 0; w < PAGE / 8; w++) {
			unsigned int group = 1u << w * 8 / PAGE_GROUP_BYTES;
			size_t next = w ^ 1, far = w ^ 16;

			for (unsigned int bit = 0; bit < 64; bit++) {
				page[w] ^= (uint64_t)1 << bit;
				assert_int_equal(all[i]->sums(&got, &key, bytes,
							      &kept), group);
				page[w] = was[w];
			}
			page[w] = ~page[w];
			assert_int_equal(all[i]->sums(&got, &key, bytes, &kept),
					 group);
			page[next] = ~page[next];
			assert_int_equal(all[i]->sums(&got, &key, bytes, &kept),
					 group);
			page[w] = was[next];
			page[next] = was[w];
			assert_int_equal(all[i]->sums(&got, &key, bytes, &kept),
					 group);
			page[next] = was[next];
			page[w] = was[far];
			page[far] = was[w];
			assert_int_equal(all[i]->sums(&got, &key, bytes, &kept),
					 group);
			page[far] = was[far];
			page[w] = was[w];
		}
		assert_int_equal(all[i]->sums(&got, &key, bytes, &kept), 0);
	}
}

static void no_two_keys_are_equal(void **state)
{
	struct page_sums_key a, b;

	(void)state;
	assert_int_equal(page_sums_new_key(&a), 0);
	assert_int_equal(page_sums_new_key(&b), 0);
	for (size_t i = 0; i < PAGE_GROUP_BYTES / 8; i++)
		assert_true(a.words[i] != b.words[i]);
}

static void the_fastest_is_the_last(void **state)
{
	size_t n;
	const struct page_sums_impl *const *all = page_sums_impls(&n);

	(void)state;
	assert_string_equal(all[0]->name, "plain");
	assert_true(page_sums_fast() == (n > 1 ? all[n - 1]->sums : NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_values),
		cmocka_unit_test(products_are_reduced),
		cmocka_unit_test(all_make_the_same),
		cmocka_unit_test(every_change_is_seen),
		cmocka_unit_test(no_two_keys_are_equal),
		cmocka_unit_test(the_fastest_is_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
