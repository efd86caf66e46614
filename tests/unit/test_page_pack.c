/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packed page records: what comes out is what went in, and any bytes may be
 * given to page_unpack(): decompression bombs, frames that lie, frames that are
 * cut.  What is read is put where the byte behind it cannot be touched.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include <cmocka.h>

#include "golden_vector.h"
#include "pack_version2.h"
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
		size_t n = pack_version2(packed, len, payload, len, pages);
		struct page_payload out;

		assert_true(n > 0 && n < len);
		assert_int_equal(packed[0], PAGE_PACK_VERSION);
		assert_int_equal(unpack(packed, n, &out), 0);
		assert_int_equal(out.records, pages);
		assert_int_equal(out.bytes, len);
		assert_int_equal(out.heads, 0);
		assert_memory_equal(out.data, payload, len);
	}
}

/* ---- columns ---- */

#define RECORDS ((size_t)1 << 20)
static uint8_t buffer[RECORDS];
static uint8_t olds[256][PAGE], news[256][PAGE];

/* What was packed, read again, is what was written. */
static void check_columns(const uint8_t *src, size_t n, uint64_t pages,
			  bool known)
{
	struct page_payload out;
	struct page_reader r;
	struct page_record rec;
	uint8_t page[PAGE];
	uint64_t i = 0;
	int rc;

	assert_int_equal(src[0], PAGE_COLUMNS_VERSION);
	assert_int_equal(unpack(src, n, &out), 0);
	assert_int_equal(out.records, pages);
	page_unpack_read(&out, NPAGES, &r);
	for (; (rc = page_reader_next(&r, &rec)) == 1; i++) {
		assert_int_equal(rec.gfn, i);
		if (known)
			memcpy(page, olds[i], PAGE);
		assert_int_equal(page_record_apply(&rec, page), 0);
		assert_memory_equal(page, news[i], PAGE);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(i, pages);
}

/* olds and news, into packed; returns its bytes. */
static size_t pack_pages(unsigned int pages, bool known)
{
	struct page_writer w;
	size_t n;

	page_pack_begin(&w, buffer, sizeof(buffer), sizeof(buffer));
	for (unsigned int i = 0; i < pages; i++)
		assert_int_equal(page_writer_add(&w, i, known ? olds[i] : NULL,
						 news[i], PAGE_ALLOW_ALL,
						 NULL), 0);
	memset(packed + page_writer_bytes(&w), 0x5c, 64);
	n = page_pack(packer, packed, &w);
	assert_true(n <= page_writer_bytes(&w));
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(packed[page_writer_bytes(&w) + i], 0x5c);
	check_columns(packed, n, pages, known);
	return n;
}

enum how { CHANGED, REWRITTEN, FIRST, BINARY, NOISE };

/* Words that repeat, changed here and there; text as a whole, the first time or
 * not; numbers, every second of them; noise. */
static void make_pages(unsigned int pages, enum how how)
{
	for (unsigned int gfn = 0; gfn < pages; gfn++) {
		uint8_t *old = olds[gfn], *new = news[gfn];

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
		if (how == NOISE)
			fill_lcg(new, gfn);
	}
}

static void what_was_written_is_packed(void **state)
{
	static const enum how how[] = { CHANGED, REWRITTEN, FIRST, BINARY,
					NOISE,	 CHANGED };
	size_t n[NOISE + 1], before = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		make_pages(60, how[i]);
		before = n[CHANGED];
		n[how[i]] = pack_pages(60, how[i] != FIRST);
	}
	/* What came between does not matter. */
	assert_int_equal(before, n[CHANGED]);
	assert_true(n[FIRST] < n[REWRITTEN]);
	assert_true(n[REWRITTEN] < (size_t)60 * PAGE / 4);
	assert_true(n[BINARY] < (size_t)60 * PAGE / 4);
	/* One byte a page, and the header. */
	assert_true(n[NOISE] > (size_t)60 * PAGE &&
		    n[NOISE] <= (size_t)60 * (PAGE + 1) + 6);
}

/* Noise goes as it is: form 0. */
static void no_gain_is_not_packed(void **state)
{
	struct page_payload out;
	size_t n;

	(void)state;
	make_pages(1, NOISE);
	n = pack_pages(1, false);
	assert_int_equal(n, 4 + 2 + PAGE);
	assert_int_equal(packed[1], 0);
	assert_int_equal(unpack(packed, n, &out), 0);
	assert_int_equal(out.heads, 2);
	assert_int_equal(out.bytes, 2 + PAGE);
	assert_memory_equal(out.data + 2, news[0], PAGE);
}

/* Scattered changes with few kinds of bytes, as counters and pointers make them.
 * Returns the bytes of the bare XOR at zstd's level 1. */
static size_t make_scattered(unsigned int pages)
{
	static uint8_t xor[256 * PAGE];
	uint64_t x = 1;
	size_t n;

	memset(xor, 0, sizeof(xor));
	for (unsigned int gfn = 0; gfn < pages; gfn++) {
		uint8_t *old = olds[gfn], *new = news[gfn];

		memset(old, 0, PAGE);
		memcpy(new, old, PAGE);
		for (unsigned int i = 0; i < 32; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			new[(x >> 52) & ~(uint64_t)3] ^=
				(uint8_t)(1 + (x >> 40) % 16);
		}
		for (size_t i = 0; i < PAGE; i++)
			xor[gfn * PAGE + i] = old[i] ^ new[i];
	}
	n = ZSTD_compress(packed, sizeof(packed), xor, pages * PAGE, 1);
	assert_false(ZSTD_isError(n));
	return n;
}

static void smaller_than_zstd_makes_of_the_xor(void **state)
{
	size_t of_xor = make_scattered(256);

	(void)state;
	assert_in_range(pack_pages(256, true), 1, of_xor);
}

/* Where the old content had nothing to do with the new, and pages are alike. */
static void what_is_alike_now_is_small(void **state)
{
	static uint8_t changed[40 * 200];
	size_t n = 0, of_bytes;

	(void)state;
	for (unsigned int gfn = 0; gfn < 40; gfn++) {
		fill_lcg(olds[gfn], gfn);
		memcpy(news[gfn], olds[gfn], PAGE);
		for (size_t i = 0; i < 200; i++)
			news[gfn][1000 + i] = (uint8_t)(i * 7 + i / 3);
		for (size_t i = 0; i < 200; i++)
			changed[n++] = olds[gfn][1000 + i] ^
				       news[gfn][1000 + i];
	}
	of_bytes = ZSTD_compress(packed, sizeof(packed), changed, n, 1);
	assert_true(pack_pages(40, true) < of_bytes / 10);
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
	assert_int_equal(unpack((const uint8_t *)"\4\0\1", 3, &out), 0);
	assert_int_equal(out.heads, 0);
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

/* Of version 3: 16 pages of zero at 16, by the same zstd from the bytes 10 and then
 * 16 times 40; and the same as it is. */
static void golden_columns(void **state)
{
	const uint8_t golden[] = {
		3, 1, 16, 17, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x11, 0x45, 0x00,
		0x00, 0x10, 0x10, 0x40, 0x01, 0x00, 0x1d, 0xc0, 0x02
	};
	uint8_t plain[] = { 3, 0, 16, 17, 0x10, 0x40, 0x40, 0x40, 0x40,
			    0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40,
			    0x40, 0x40, 0x40, 0x40 };
	struct page_payload out[2];

	(void)state;
	assert_int_equal(unpack(plain, sizeof(plain), &out[0]), 0);
	assert_int_equal(out[0].bytes, 17);
	assert_int_equal(unpack(golden, sizeof(golden), &out[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(out[i].records, 16);
		assert_int_equal(out[i].bytes, 17);
		assert_int_equal(out[i].heads, 17);
	}
	assert_memory_equal(plain + 4, out[1].data, 17);
}

/* ---- hostile ---- */

static void columns_that_lie_are_refused(void **state)
{
	static const struct {
		size_t n;
		uint8_t head[8];
	} bad[] = {
		{ 1, { 3 } },
		{ 2, { 3, 0 } },
		{ 3, { 3, 0, 1 } },
		{ 5, { 3, 2, 1, 1, 0 } },	/* another form */
		{ 5, { 3, 0, 0, 1, 0 } },	/* no record */
		{ 5, { 3, 0, 1, 0, 0 } },	/* no heads */
		{ 6, { 3, 0, 1, 3, 0, 0 } },	/* more heads than content */
		{ 4, { 3, 0, 1, 1 } },		/* no content */
		{ 7, { 3, 0, 0x81, 0x20, 1, 0, 0 } }, /* 4097 records */
		{ 7, { 3, 0, 1, 0x81, 0, 0, 0 } },    /* not the shortest */
		{ 6, { 3, 1, 1, 1, 0, 0 } },	/* no frame */
	};
	struct page_payload out;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(unpack(bad[i].head, bad[i].n, &out), -EBADMSG);
}

/* A payload that claims `records`, around zstd's frame of `bytes` bytes of
 * zeroes; with or without the size of its content in it. */
static size_t bomb(unsigned int version, uint64_t records, size_t bytes,
		   int with_size)
{
	uint8_t *zeroes = calloc(1, bytes);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t head = 1, r;

	assert_non_null(zeroes);
	assert_non_null(z);
	packed[0] = (uint8_t)version;
	if (version == PAGE_COLUMNS_VERSION)
		packed[head++] = 1;
	for (; records >= 0x80; records >>= 7)
		packed[head++] = (uint8_t)(records | 0x80);
	packed[head++] = (uint8_t)records;
	if (version == PAGE_COLUMNS_VERSION)
		packed[head++] = 1;
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, with_size);
	r = ZSTD_compress2(z, packed + head, sizeof(packed) - head, zeroes,
			   bytes);
	assert_false(ZSTD_isError(r));
	ZSTD_freeCCtx(z);
	free(zeroes);
	return head + r;
}

static void bombs_of(unsigned int version)
{
	struct page_payload out;
	size_t most = PAGE_PAYLOAD_HEADER_MAX + 3 * PAGE_RECORD_MAX, n;

	/* more than so many pages need */
	n = bomb(version, 3, most, 1);
	assert_int_equal(unpack(packed, n, &out), 0);
	assert_int_equal(out.bytes, most);
	n = bomb(version, 3, most + 1, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	/* more than a payload can be */
	n = bomb(version, NPAGES, WIRE_PAYLOAD_MAX, 1);
	assert_int_equal(unpack(packed, n, &out), 0);
	n = bomb(version, NPAGES, WIRE_PAYLOAD_MAX + 1, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	n = bomb(version, NPAGES, (size_t)1 << 30, 1);
	assert_true(n < WIRE_PAYLOAD_MAX);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	/* does not say how much */
	n = bomb(version, NPAGES, 5000, 0);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	/* as many records as there are not pages, or none */
	n = bomb(version, NPAGES + 1, 5000, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
	n = bomb(version, 0, 5000, 1);
	assert_int_equal(unpack(packed, n, &out), -EBADMSG);
}

static void bombs_are_refused(void **state)
{
	(void)state;
	bombs_of(PAGE_PACK_VERSION);
	bombs_of(PAGE_COLUMNS_VERSION);
}

static void frames_that_lie_are_refused(void **state)
{
	struct page_payload out;
	size_t len = make_payload(100, 400);
	int n = (int)pack_version2(packed, sizeof(packed), payload, len, 100);
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
	size_t len = make_payload(60, 8);
	int n = (int)pack_version2(packed, sizeof(packed), payload, len, 60);

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
	size_t len = make_payload(60, 8);
	int n = (int)pack_version2(packed, sizeof(packed), payload, len, 60);
	int refused = 0;

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
		cmocka_unit_test(what_is_alike_now_is_small),
		cmocka_unit_test(no_gain_is_not_packed),
		cmocka_unit_test(other_versions_are_handed_on),
		cmocka_unit_test(golden_payload),
		cmocka_unit_test(golden_columns),
		cmocka_unit_test(columns_that_lie_are_refused),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(frames_that_lie_are_refused),
		cmocka_unit_test(truncation_at_every_byte),
		cmocka_unit_test(bit_flips),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
