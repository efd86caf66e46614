/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_page_record - libFuzzer target for page records and XOR-RLE (S8).
 *
 * Each input is taken in two ways:
 *
 *   as a hostile payload   whatever is read from it stays in bounds, all
 *                          implementations of the delta agree, a refused
 *                          delta changes nothing, and what was accepted can be
 *                          written anew
 *   as a recipe of pages   old and new pages are made from it; encode, decode,
 *                          and the new page must be there
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec_xrle.h"
#include "fuzz_check.h"
#include "page_record.h"
#include "wire.h"

#define PAGE REMUS_PAGE_SIZE
#define NPAGES ((uint64_t)1 << 20)

/* "Old content": something that has zeros and noise in it; made once. */
static const uint8_t *old_page(uint64_t which)
{
	static uint8_t pages[4 * PAGE];
	static bool made;
	uint64_t x = 1;

	for (size_t i = 0; !made && i < sizeof(pages); i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		pages[i] = i % 1024 < 512 ? (uint8_t)(x >> 56) : 0;
	}
	made = true;
	return pages + which % 4 * PAGE;
}

static int decode_all_ways(uint8_t *page, const uint8_t *src, size_t len)
{
	size_t n;
	const struct xrle_impl *const *all = xrle_impls(&n);
	uint8_t before[PAGE], first[PAGE];
	int rc = 0;

	memcpy(before, page, PAGE);
	for (size_t i = 0; i < n; i++) {
		int r;

		memcpy(page, before, PAGE);
		r = all[i]->decode(page, src, len);
		CHECK(r == 0 || r == -EBADMSG);
		CHECK(r == 0 || memcmp(page, before, PAGE) == 0);
		if (i == 0) {
			rc = r;
			memcpy(first, page, PAGE);
		}
		CHECK(r == rc && memcmp(page, first, PAGE) == 0);
	}
	return rc;
}

/* Returns bytes of the delta, or -ENOSPC. */
static int encode_all_ways(uint8_t *dst, size_t cap, const uint8_t *old,
			   const uint8_t *new)
{
	size_t n;
	const struct xrle_impl *const *all = xrle_impls(&n);
	uint8_t other[XRLE_BOUND];
	uint64_t changed, same;
	int rc = all[0]->encode(dst, cap, old, new, &changed);

	CHECK(rc == -ENOSPC || (rc >= 0 && (size_t)rc <= cap));
	for (size_t i = 1; i < n; i++) {
		CHECK(all[i]->encode(other, cap, old, new, &same) == rc);
		CHECK(same == changed);
		CHECK(rc <= 0 || memcmp(dst, other, (size_t)rc) == 0);
	}
	return rc;
}

static void as_payload(const uint8_t *data, size_t size)
{
	static uint8_t again[WIRE_PAYLOAD_MAX];
	struct page_reader r;
	struct page_writer w;
	struct page_record rec;
	uint8_t page[PAGE];
	gfn_t next = 0;
	int rc;

	page_writer_init(&w, again, sizeof(again));
	page_reader_init(&r, data, size, NPAGES);
	while ((rc = page_reader_next(&r, &rec)) == 1) {
		const uint8_t *old = old_page(rec.gfn);

		CHECK(rec.gfn < NPAGES && rec.gfn >= next);
		next = rec.gfn + 1;
		memcpy(page, old, PAGE);
		if (rec.kind == PAGE_DELTA &&
		    decode_all_ways(page, rec.data, rec.data_bytes) < 0)
			continue;
		memcpy(page, old, PAGE);
		CHECK(page_record_apply(&rec, page) == 0);
		rc = page_writer_add(&w, rec.gfn, old, page, PAGE_ALLOW_ALL,
				     NULL);
		CHECK(rc == 0 || rc == -ENOSPC);
		CHECK(page_writer_bytes(&w) <= sizeof(again));
	}
	CHECK(rc == 0 || rc == -EBADMSG);
	CHECK(page_reader_next(&r, &rec) == rc);
}

/* Read `want` back from the payload. */
static void read_back(const uint8_t *buf, size_t bytes, gfn_t gfn,
		      uint8_t *old, const uint8_t *want)
{
	struct page_reader r;
	struct page_record rec;

	page_reader_init(&r, buf, bytes, NPAGES);
	CHECK(page_reader_next(&r, &rec) == 1);
	CHECK(rec.gfn == gfn);
	CHECK(page_record_apply(&rec, old) == 0);
	CHECK(memcmp(old, want, PAGE) == 0);
	CHECK(page_reader_next(&r, &rec) == 0);
}

/* The input as steps of 3 bytes: skip that many bytes (12 bits), then change
 * that many (6 bits), by a value (6 bits, 0 included). */
static void as_recipe(const uint8_t *data, size_t size)
{
	uint8_t old[PAGE], new[PAGE], delta[XRLE_BOUND];
	uint8_t buf[PAGE_WRITER_CAP_MIN];
	struct page_writer w;
	size_t at = 0;
	int n;

	memcpy(old, old_page(size), PAGE);
	memcpy(new, old, PAGE);
	for (; size >= 3 && at < PAGE; data += 3, size -= 3) {
		size_t len = data[1] >> 4 | (data[2] & 3u) << 4;

		at += data[0] | (data[1] & 0x0fu) << 8;
		for (; len > 0 && at < PAGE; len--, at++)
			new[at] ^= data[2] >> 2;
	}
	n = encode_all_ways(delta, sizeof(delta), old, new);
	CHECK(n >= 0 && (n == 0) == page_equal(old, new));
	if (n > 1)
		CHECK(encode_all_ways(delta, (size_t)n - 1, old, new) ==
		      -ENOSPC);
	if (n > 0) {
		uint8_t page[PAGE];

		CHECK(encode_all_ways(delta, (size_t)n, old, new) == n);
		memcpy(page, old, PAGE);
		CHECK(decode_all_ways(page, delta, (size_t)n) == 0);
		CHECK(memcmp(page, new, PAGE) == 0);
	}
	page_writer_init(&w, buf, sizeof(buf));
	CHECK(page_writer_add(&w, at % NPAGES, old, new, PAGE_ALLOW_ALL,
			      NULL) == 0);
	read_back(buf, page_writer_bytes(&w), at % NPAGES, old, new);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_payload(data, size);
	as_recipe(data, size);
	return 0;
}
