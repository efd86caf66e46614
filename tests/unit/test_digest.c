/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_digest.c - the digest of remus-protocol(7), against xxHash over the same
 * bytes laid out by hand, and that each part of its input counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <cmocka.h>

#include "digest.h"

#define PAGES 3
#define DEVICE 1001

static uint8_t page[PAGES][REMUS_PAGE_SIZE], device[DEVICE];
static const gfn_t gfns[PAGES] = { 1, 0x123456789abcdef0u, 7 };

static int setup(void **state)
{
	(void)state;
	for (size_t p = 0; p < PAGES; p++)
		for (size_t i = 0; i < REMUS_PAGE_SIZE; i++)
			page[p][i] = (uint8_t)(i * (p + 3) + (i >> 8));
	for (size_t i = 0; i < DEVICE; i++)
		device[i] = (uint8_t)(i * 11);
	return 0;
}

static void put_le(uint8_t *at, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t by_digest(struct digest *d, const gfn_t *g)
{
	digest_start(d);
	for (size_t i = 0; i < PAGES; i++)
		digest_page(d, g[i], page[i]);
	digest_bytes(d, device, DEVICE);
	return digest_value(d);
}

static void it_is_xxh3_of_gfns_pages_and_device_state(void **state)
{
	static uint8_t flat[PAGES * (8 + REMUS_PAGE_SIZE) + DEVICE];
	struct digest *d = digest_new();
	uint8_t *at = flat;

	(void)state;
	assert_non_null(d);
	for (size_t i = 0; i < PAGES; i++) {
		put_le(at, gfns[i]);
		memcpy(at + 8, page[i], REMUS_PAGE_SIZE);
		at += 8 + REMUS_PAGE_SIZE;
	}
	memcpy(at, device, DEVICE);
	assert_int_equal(by_digest(d, gfns), XXH3_64bits(flat, sizeof(flat)));
	/* of nothing */
	digest_start(d);
	assert_int_equal(digest_value(d), XXH3_64bits("", 0));
	digest_free(d);
	digest_free(NULL);
}

static void a_new_one_is_started(void **state)
{
	struct digest *a = digest_new(), *b = digest_new();

	(void)state;
	digest_start(b);
	digest_page(a, 5, page[0]);
	digest_page(b, 5, page[0]);
	assert_int_equal(digest_value(a), digest_value(b));
	/* looking at it changes nothing */
	assert_int_equal(digest_value(a), digest_value(b));
	digest_free(a);
	digest_free(b);
}

static void every_bit_and_the_order_count(void **state)
{
	struct digest *d = digest_new();
	uint64_t right = by_digest(d, gfns);

	(void)state;
	for (size_t p = 0; p < PAGES; p++) {
		gfn_t other[PAGES];

		for (size_t i = 0; i < REMUS_PAGE_SIZE; i += 131) {
			page[p][i] ^= 1;
			assert_int_not_equal(by_digest(d, gfns), right);
			page[p][i] ^= 1;
		}
		for (int bit = 0; bit < 64; bit++) {
			memcpy(other, gfns, sizeof(other));
			other[p] ^= (gfn_t)1 << bit;
			assert_int_not_equal(by_digest(d, other), right);
		}
	}
	device[DEVICE - 1] ^= 0x80;
	assert_int_not_equal(by_digest(d, gfns), right);
	device[DEVICE - 1] ^= 0x80;
	assert_int_equal(by_digest(d, gfns), right);
	digest_start(d);
	digest_page(d, gfns[1], page[1]);
	digest_page(d, gfns[0], page[0]);
	digest_page(d, gfns[2], page[2]);
	digest_bytes(d, device, DEVICE);
	assert_int_not_equal(digest_value(d), right);
	digest_free(d);
}

static void pieces_of_device_state_are_one(void **state)
{
	struct digest *d = digest_new();
	uint64_t right = by_digest(d, gfns);

	(void)state;
	digest_start(d);
	for (size_t i = 0; i < PAGES; i++)
		digest_page(d, gfns[i], page[i]);
	for (size_t i = 0; i < DEVICE; i += 7)
		digest_bytes(d, device + i, DEVICE - i < 7 ? DEVICE - i : 7);
	assert_int_equal(digest_value(d), right);
	digest_free(d);
}

static void the_chain_is_xxh3_of_base_epoch_and_digest(void **state)
{
	uint8_t flat[24];
	uint64_t base = 0x0102030405060708u, epoch = 42, dig = UINT64_MAX - 1;

	(void)state;
	put_le(flat, base);
	put_le(flat + 8, epoch);
	put_le(flat + 16, dig);
	assert_int_equal(digest_chain(base, epoch, dig),
			 XXH3_64bits(flat, sizeof(flat)));
	assert_int_not_equal(digest_chain(base, epoch, dig),
			     digest_chain(base, epoch + 1, dig));
	assert_int_not_equal(digest_chain(base, epoch, dig),
			     digest_chain(base ^ 1, epoch, dig));
	assert_int_not_equal(digest_chain(base, epoch, dig),
			     digest_chain(epoch, base, dig));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_xxh3_of_gfns_pages_and_device_state),
		cmocka_unit_test(a_new_one_is_started),
		cmocka_unit_test(every_bit_and_the_order_count),
		cmocka_unit_test(pieces_of_device_state_are_one),
		cmocka_unit_test(the_chain_is_xxh3_of_base_epoch_and_digest),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
