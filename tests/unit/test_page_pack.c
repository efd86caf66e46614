/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packed page records: what comes out is what went in, and any bytes may be
 * given to page_unpack(): decompression bombs, frames that lie, frames that are
 * cut.  What is read is put where the byte behind it cannot be touched.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include <cmocka.h>

#include "golden_vector.h"
#include "page_pack.h"
#include "page_record.h"
#include "wire.h"

#define PAGE REMUS_PAGE_SIZE
#define NPAGES 4096u
#define ROOM ((size_t)2 << 20)

static uint8_t payload[WIRE_PAYLOAD_MAX], packed[ROOM];
static struct page_packer *packer;
static struct page_unpacker *unpacker;

static int begin(void **state)
{
	(void)state;
	return page_packer_new(&packer) < 0 || page_unpacker_new(&unpacker) < 0;
}

static int end(void **state)
{
	(void)state;
	page_packer_free(packer);
	page_unpacker_free(unpacker);
	return 0;
}

/* A copy of what is to be read, at the end of what may be read. */
static const uint8_t *guarded(const uint8_t *src, size_t bytes)
{
	static uint8_t *area;

	if (area == NULL) {
		area = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(area, MAP_FAILED);
		assert_int_equal(mprotect(area + ROOM, PAGE, PROT_NONE), 0);
	}
	assert_true(bytes <= ROOM);
	return memmove(area + ROOM - bytes, src, bytes);
}

static int unpack(const uint8_t *src, size_t bytes, struct page_payload *out)
{
	return page_unpack(unpacker, guarded(src, bytes), bytes, NPAGES, out);
}

/* `pages` pages, all raw when step is 0. */
static size_t make_payload(unsigned int pages, size_t step)
{
	uint8_t old[PAGE], new[PAGE];
	struct page_writer w;

	page_writer_init(&w, payload, sizeof(payload));
	for (unsigned int gfn = 0; gfn < pages; gfn++) {
		fill_lcg(old, gfn);
		memcpy(new, old, PAGE);
		for (size_t i = gfn % 7; step > 0 && i < PAGE; i += step)
			new[i] ^= 0x11;
		assert_int_equal(page_writer_add(&w, gfn, step > 0 ? old : NULL,
						 new, PAGE_ALLOW_ALL, NULL), 0);
	}
	return page_writer_bytes(&w);
}

static void what_comes_out_is_what_went_in(void **state)
{
	static const struct {
		unsigned int pages;
		size_t step;
	} cases[] = { { 16, 400 }, { 250, 90 }, { 200, 3000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned int pages = cases[i].pages;
		size_t len = make_payload(pages, cases[i].step);
		int n = page_pack(packer, packed, len - 1, payload, len, pages);
		struct page_payload out;

		assert_true(n > 0 && (size_t)n < len);
		assert_int_equal(packed[0], PAGE_PACK_VERSION);
		assert_int_equal(unpack(packed, (size_t)n, &out), 0);
		assert_int_equal(out.records, pages);
		assert_int_equal(out.bytes, len);
		assert_memory_equal(out.data, payload, len);
	}
}

enum how { CHANGED, REWRITTEN, FIRST, BINARY };

/* Pages of words that repeat; rewritten as a whole too: with numbers, every
 * second of them. */
static void write_text(struct page_writer *w, unsigned int pages, enum how how)
{
	uint8_t old[PAGE], new[PAGE];

	page_writer_init(w, payload, sizeof(payload));
	for (unsigned int gfn = 0; gfn < pages; gfn++) {
		for (size_t i = 0; i < PAGE; i++)
			old[i] = (uint8_t)("the guest writes "[i % 17] +
					   (i / 300 * gfn) % 3);
		memcpy(new, old, PAGE);
		for (size_t i = gfn; i < PAGE; i += 90)
			new[i] ^= 0x11;
		for (size_t i = 0; i < PAGE && how == BINARY; i += 16)
			memcpy(new + i, "\1\0\0\0\0\0\0", 8);
		for (size_t i = 0; i < PAGE && how != CHANGED; i++)
			old[i] ^= 0x55;
		assert_int_equal(page_writer_add(w, gfn,
						 how == FIRST ? NULL : old, new,
						 PAGE_ALLOW_ALL, NULL), 0);
	}
	assert_int_equal(w->records[how == CHANGED ? PAGE_DELTA : PAGE_RAW],
			 pages);
	assert_int_equal(w->first, how == FIRST ? pages : 0);
}

/* Text goes another way as a whole; what comes after it is as small as ever. */
static void what_was_written_is_packed(void **state)
{
	static uint8_t again[ROOM];
	static const enum how how[] = { CHANGED, REWRITTEN, FIRST, BINARY,
					CHANGED };
	struct page_payload out;
	struct page_writer w;
	int n, m, rewritten = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		write_text(&w, 60, how[i]);
		n = page_pack_written(packer, packed, &w);
		assert_true(n > 0 && (size_t)n < page_writer_bytes(&w));
		assert_int_equal(unpack(packed, (size_t)n, &out), 0);
		assert_int_equal(out.records, 60);
		assert_int_equal(out.bytes, page_writer_bytes(&w));
		assert_memory_equal(out.data, payload, out.bytes);
		m = page_pack(packer, again, sizeof(again), payload,
			      page_writer_bytes(&w), 60);
		assert_int_equal(how[i] == REWRITTEN || how[i] == FIRST,
				 n != m || memcmp(packed, again,
						  (size_t)n) != 0);
		if (how[i] == REWRITTEN)
			rewritten = n;
		else if (how[i] == FIRST)
			assert_true(n < rewritten);
	}
	page_writer_init(&w, payload, sizeof(payload));
	fill_lcg(packed, 1);
	assert_int_equal(page_writer_add(&w, 0, NULL, packed, PAGE_ALLOW_ALL,
					 NULL), 0);
	assert_int_equal(page_pack_written(packer, again, &w), -ENOSPC);
}

/* Scattered changes with few kinds of bytes, as counters and pointers make them.
 * Returns the bytes of the bare XOR at zstd's level 1. */
static size_t write_scattered(struct page_writer *w, unsigned int pages)
{
	static uint8_t xor[256 * PAGE];
	uint8_t old[PAGE], new[PAGE];
	uint64_t x = 1;
	size_t n;

	memset(xor, 0, sizeof(xor));
	page_writer_init(w, payload, sizeof(payload));
	for (unsigned int gfn = 0; gfn < pages; gfn++) {
		fill_lcg(old, gfn);
		memcpy(new, old, PAGE);
		for (unsigned int i = 0; i < 32; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			new[(x >> 52) & ~(uint64_t)3] ^=
				(uint8_t)(1 + (x >> 40) % 16);
		}
		for (size_t i = 0; i < PAGE; i++)
			xor[gfn * PAGE + i] = old[i] ^ new[i];
		assert_int_equal(page_writer_add(w, gfn, old, new,
						 PAGE_ALLOW_ALL, NULL), 0);
	}
	n = ZSTD_compress(packed, sizeof(packed), xor, pages * PAGE, 1);
	assert_false(ZSTD_isError(n));
	return n;
}

static void smaller_than_zstd_makes_of_the_xor(void **state)
{
	struct page_writer w;
	size_t of_xor = write_scattered(&w, 256);
	int n = page_pack_written(packer, packed, &w);
	struct page_payload out;

	(void)state;
	assert_true(n > 0);
	assert_in_range(n, 1, of_xor);
	assert_int_equal(unpack(packed, (size_t)n, &out), 0);
	assert_int_equal(out.bytes, page_writer_bytes(&w));
	assert_memory_equal(out.data, payload, out.bytes);
}

/* Changed all over, to few kinds of bytes, two pages each in the same way. */
static size_t write_much(unsigned int pages)
{
	uint8_t old[PAGE], new[PAGE];
	struct page_writer w;
	uint64_t x;

	page_writer_init(&w, payload, sizeof(payload));
	for (unsigned int gfn = 0; gfn < pages; gfn++) {
		fill_lcg(old, gfn);
		memcpy(new, old, PAGE);
		x = gfn / 2;
		for (unsigned int i = 0; i < 200; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			new[x >> 52] ^= (uint8_t)(1 + (x >> 40) % 16);
		}
		assert_int_equal(page_writer_add(&w, gfn, old, new,
						 PAGE_ALLOW_ALL, NULL), 0);
	}
	return page_writer_bytes(&w);
}

/* Where there is much of it every byte counts. */
static void much_is_packed_tighter(void **state)
{
	double ratio[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int pages = i == 0 ? 120 : 360;
		size_t len = write_much(pages);
		int n = page_pack(packer, packed, sizeof(packed), payload, len,
				  pages);
		struct page_payload out;

		assert_int_equal(len >= (size_t)128 << 10, i);
		assert_true(n > 0);
		assert_int_equal(unpack(packed, (size_t)n, &out), 0);
		assert_int_equal(out.bytes, len);
		assert_memory_equal(out.data, payload, len);
		ratio[i] = (double)len / n;
	}
	assert_true(ratio[1] > 1.1 * ratio[0]);
}

static void no_gain_is_not_packed(void **state)
{
	size_t len = make_payload(1, 0);

	(void)state;
	assert_int_equal(page_pack(packer, packed, len - 1, payload, len, 1),
			 -ENOSPC);
	for (size_t cap = 0; cap < 20; cap++)
		assert_int_equal(page_pack(packer, packed, cap, payload, len,
					   1), -ENOSPC);
}

static void never_behind_cap(void **state)
{
	size_t len = make_payload(200, 300);
	int n = page_pack(packer, packed, sizeof(packed), payload, len, 200);

	(void)state;
	assert_true(n > 0);
	for (size_t cap = 0; cap < (size_t)n; cap++) {
		memset(packed + cap, 0x5c, 64);
		assert_int_equal(page_pack(packer, packed, cap, payload, len,
					   200), -ENOSPC);
		for (size_t i = 0; i < 64; i++)
			assert_int_equal(packed[cap + i], 0x5c);
	}
}

static void other_versions_are_handed_on(void **state)
{
	const uint8_t some[] = { 1, 0, 0x40 };
	struct page_payload out;
	const uint8_t *at = guarded(some, sizeof(some));

	(void)state;
	assert_int_equal(page_unpack(unpacker, at, 3, NPAGES, &out), 0);
	assert_ptr_equal(out.data, at);
	assert_int_equal(out.bytes, 3);
	assert_int_equal(out.records, 0);
	assert_int_equal(unpack(some, 0, &out), 0);
	assert_int_equal(out.bytes, 0);
}

/* The payload 01 10, then 40 times 40 (pages 16 to 55 are zero), from a file by
 * `zstd -1 --no-check` of zstd 1.5.4. */
static void golden_payload(void **state)
{
	const uint8_t golden[] = {
		2, 40, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x2a, 0x4d, 0x00, 0x00,
		0x18, 0x01, 0x10, 0x40, 0x01, 0x00, 0x4a, 0x30, 0x04
	};
	struct page_payload out;

	(void)state;
	assert_int_equal(unpack(golden, sizeof(golden), &out), 0);
	assert_int_equal(out.records, 40);
	assert_int_equal(out.bytes, 42);
	assert_int_equal(out.data[0], 1);
	assert_int_equal(out.data[1], 0x10);
	for (size_t i = 2; i < 42; i++)
		assert_int_equal(out.data[i], 0x40);
}

/* ---- hostile ---- */

/* A payload that claims `records`, around zstd's frame of `bytes` bytes of
 * zeroes; with or without the size of its content in it. */
static size_t bomb(uint64_t records, size_t bytes, int with_size)
{
	uint8_t *zeroes = calloc(1, bytes);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t head = 1, r;

	assert_non_null(zeroes);
	assert_non_null(z);
	packed[0] = PAGE_PACK_VERSION;
	for (; records >= 0x80; records >>= 7)
		packed[head++] = (uint8_t)(records | 0x80);
	packed[head++] = (uint8_t)records;
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, with_size);
	r = ZSTD_compress2(z, packed + head, sizeof(packed) - head, zeroes,
			   bytes);
	assert_false(ZSTD_isError(r));
	ZSTD_freeCCtx(z);
	free(zeroes);
	return head + r;
}

static void bombs_are_refused(void **state)
{
	struct page_payload out;
	size_t most = PAGE_PAYLOAD_HEADER_MAX + 3 * PAGE_RECORD_MAX, n;

	(void)state;
	/* more than so many pages need */
	n = bomb(3, most, 1);
	assert_int_equal(unpack(packed, n, &out), 0);
	assert_int_equal(out.bytes, most);
	n = bomb(3, most + 1, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	/* more than a payload can be */
	n = bomb(NPAGES, WIRE_PAYLOAD_MAX, 1);
	assert_int_equal(unpack(packed, n, &out), 0);
	n = bomb(NPAGES, WIRE_PAYLOAD_MAX + 1, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	n = bomb(NPAGES, (size_t)1 << 30, 1);
	assert_true(n < WIRE_PAYLOAD_MAX);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	/* does not say how much */
	n = bomb(NPAGES, 5000, 0);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	/* as many records as there are not pages, or none */
	n = bomb(NPAGES + 1, 5000, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	n = bomb(0, 5000, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
}

static void frames_that_lie_are_refused(void **state)
{
	struct page_payload out;
	size_t len = make_payload(100, 400);
	int n = page_pack(packer, packed, len, payload, len, 100);
	static uint8_t bad[ROOM];
	/* behind version, records and magic: descriptor with a size of 2 */
	const size_t size_at = 2 + 4 + 1;

	(void)state;
	assert_true(n > 0);
	assert_int_equal(packed[size_at - 1] & 0xe3, 0x60);
	for (int by = -300; by <= 300; by += 100) {
		unsigned int claim = packed[size_at] +
				     (packed[size_at + 1] * 256u) +
				     (unsigned int)by;

		memcpy(bad, packed, (size_t)n);
		bad[size_at] = (uint8_t)claim;
		bad[size_at + 1] = (uint8_t)(claim >> 8);
		assert_int_equal(unpack(bad, (size_t)n, &out),
				 by == 0 ? 0 : -EBADMSG);
	}
	/* two frames; a frame and a byte; an empty or skippable frame */
	memcpy(bad, packed, (size_t)n);
	memcpy(bad + n, packed + 2, (size_t)n - 2);
	assert_int_equal(unpack(bad, 2 * (size_t)n - 2, &out), -EBADMSG);
	assert_int_equal(unpack(bad, (size_t)n + 1, &out), -EBADMSG);
	memcpy(bad, "\x02\x01\x50\x2a\x4d\x18\x04\x00\x00\x00" "abcd", 14);
	assert_int_equal(unpack(bad, 14, &out), -EBADMSG);
	memcpy(bad, "\x02\x01\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", 11);
	assert_int_equal(unpack(bad, 11, &out), -EBADMSG);
	/* a number that is not the shortest */
	memcpy(bad, packed, (size_t)n);
	memmove(bad + 3, packed + 2, (size_t)n - 2);
	bad[1] = 0xe4, bad[2] = 0x00;
	assert_int_equal(unpack(bad, (size_t)n + 1, &out), -EBADMSG);
}

static void truncation_at_every_byte(void **state)
{
	struct page_payload out;
	size_t len = make_payload(60, 80);
	int n = page_pack(packer, packed, len, payload, len, 60);

	(void)state;
	assert_true(n > 200);
	for (int i = 1; i < n; i++)
		assert_int_equal(unpack(packed, (size_t)i, &out), -EBADMSG);
	assert_int_equal(unpack(packed, (size_t)n, &out), 0);
}

/* Whatever it is then, it stays within bounds. */
static void bit_flips(void **state)
{
	struct page_payload out;
	size_t len = make_payload(60, 80);
	int n = page_pack(packer, packed, len, payload, len, 60), refused = 0;

	(void)state;
	assert_true(n > 200);
	for (int bit = 0; bit < 8 * n; bit++) {
		int rc;

		packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = unpack(packed, (size_t)n, &out);
		assert_true(rc == 0 || rc == -EBADMSG);
		assert_true(rc < 0 || out.bytes <= WIRE_PAYLOAD_MAX);
		refused += rc < 0;
		packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(refused > 100);
	assert_int_equal(unpack(packed, (size_t)n, &out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_out_is_what_went_in),
		cmocka_unit_test(what_was_written_is_packed),
		cmocka_unit_test(smaller_than_zstd_makes_of_the_xor),
		cmocka_unit_test(much_is_packed_tighter),
		cmocka_unit_test(no_gain_is_not_packed),
		cmocka_unit_test(never_behind_cap),
		cmocka_unit_test(other_versions_are_handed_on),
		cmocka_unit_test(golden_payload),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(frames_that_lie_are_refused),
		cmocka_unit_test(truncation_at_every_byte),
		cmocka_unit_test(bit_flips),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
