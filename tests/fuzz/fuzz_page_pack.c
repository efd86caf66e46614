/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_page_pack - libFuzzer target for packed page records (S8).
 *
 * Each input is taken in three ways:
 *
 *   as a hostile payload   whatever page_unpack() makes of it stays within its
 *                          bounds, and the reader takes or refuses that
 *   as page records        of version 2: unpacked they are as before, and cut or
 *                          with a byte changed they do no harm
 *   as columns             the same with the bytes as content of version 3
 *   as pages               written, as deltas, as pages rewritten as a whole or
 *                          as such that come the first time, and packed: out come
 *                          these pages
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_check.h"
#include "../unit/pack_version2.h"
#include "page_pack.h"
#include "page_record.h"
#include "wire.h"

#define NPAGES ((uint64_t)1 << 20)
#define WRITTEN_MAX 64 /* pages */

static struct page_packer *packer;
static struct page_unpacker *unpacker;

static void read_all(const uint8_t *data, size_t size)
{
	struct page_payload out;
	struct page_reader r;
	struct page_record rec;
	uint8_t page[REMUS_PAGE_SIZE] = { 0 };
	int rc = page_unpack(unpacker, data, size, NPAGES, &out);

	CHECK(rc == 0 || rc == -EBADMSG);
	if (rc < 0)
		return;
	CHECK(out.heads <= out.bytes && out.bytes <= WIRE_PAYLOAD_MAX);
	CHECK(out.data == data || (out.records > 0 && out.records <= NPAGES));
	CHECK((out.data >= data && out.data <= data + size) ||
	      out.bytes <= PAGE_PAYLOAD_HEADER_MAX +
				   out.records * PAGE_RECORD_MAX);
	page_unpack_read(&out, NPAGES, &r);
	while (page_reader_next(&r, &rec) == 1) {
		rc = page_record_apply(&rec, page);
		/* Of columns all has been checked by then. */
		CHECK(rc == 0 || (rc == -EBADMSG && out.heads == 0));
	}
}

static void spoilt(uint8_t *packed, size_t n, const uint8_t *data, size_t size)
{
	read_all(packed, n);
	read_all(packed, n * data[0] / 256);
	packed[n * data[0] / 256] ^= data[size - 1];
	read_all(packed, n);
}

static void as_records(const uint8_t *data, size_t size)
{
	static uint8_t packed[WIRE_PAYLOAD_MAX];
	struct page_payload out;
	uint64_t records = size / PAGE_RECORD_MAX + 1;
	size_t n = pack_version2(packed, sizeof(packed), data, size, records);

	CHECK(n > 0);
	CHECK(page_unpack(unpacker, packed, n, NPAGES, &out) == 0);
	CHECK(out.bytes == size && out.records == records && out.heads == 0);
	CHECK(memcmp(out.data, data, size) == 0);
	spoilt(packed, n, data, size);
}

static void as_columns(const uint8_t *data, size_t size)
{
	static uint8_t packed[WIRE_PAYLOAD_MAX];
	uint8_t *at = packed;

	*at++ = PAGE_COLUMNS_VERSION;
	*at++ = 0;
	at += varint_put(at, 1 + data[0] % 64);
	at += varint_put(at, 1 + data[size / 2] % size);
	memcpy(at, data, size);
	spoilt(packed, (size_t)(at - packed) + size, data, size);
}

/* A page of the bytes, again and again; and what it was: with another byte in
 * every place, or now and then. */
static void make_page(uint8_t *old, uint8_t *new, const uint8_t *data,
		      size_t size, uint8_t how)
{
	bool whole = how & 0x40;
	uint32_t x = how;

	for (size_t i = 0; i < REMUS_PAGE_SIZE; i++)
		new[i] = data[(i + i / 512 * (how & 7u)) % size];
	memcpy(old, new, REMUS_PAGE_SIZE);
	for (size_t i = 0; i < REMUS_PAGE_SIZE;
	     i += whole ? 1 : 1 + (x >> 16) % (1 + 4 * (how & 0x3fu))) {
		x = x * 1664525u + 1013904223u;
		old[i] ^= (uint8_t)(x >> 24 | 1);
	}
}

/* Each byte makes a page: bit 7, whether its old content is known, bit 6, whether
 * it is another one throughout.  Returns how many. */
static size_t write_pages(struct page_writer *w, const uint8_t *data,
			  size_t size)
{
	uint8_t old[REMUS_PAGE_SIZE], new[REMUS_PAGE_SIZE];
	size_t i, bytes;

	for (i = 0; i < size && i < WRITTEN_MAX; i++) {
		const uint8_t *known = data[i] & 0x80 ? NULL : old;

		make_page(old, new, data, size, data[i]);
		bytes = page_writer_bytes(w);
		if (page_writer_add(w, i, known, new, PAGE_ALLOW_ALL, NULL) < 0) {
			CHECK(page_writer_bytes(w) == bytes);
			break;
		}
		page_writer_update(w, old, new);
		CHECK(memcmp(old, new, REMUS_PAGE_SIZE) == 0);
	}
	return i;
}

static void as_pages(const uint8_t *data, size_t size)
{
	static uint8_t buf[PAGE_PACK_RECORDS_BYTES], packed[sizeof(buf)];
	uint8_t old[REMUS_PAGE_SIZE], new[REMUS_PAGE_SIZE];
	struct page_payload out;
	struct page_reader r;
	struct page_record rec;
	struct page_writer w;
	size_t n, pages, i = 0;
	int rc;

	page_pack_begin(&w, buf, sizeof(buf), sizeof(buf));
	if (data[0] & 1)
		w.delta_max = PAGE_DELTA_MAX;
	pages = write_pages(&w, data, size);
	CHECK(pages > 0 && page_writer_records(&w) == pages);
	n = page_pack(packer, packed, &w);
	CHECK(n <= page_writer_bytes(&w));
	CHECK(page_unpack(unpacker, packed, n, NPAGES, &out) == 0);
	CHECK(out.records == pages);
	page_unpack_read(&out, NPAGES, &r);
	for (; (rc = page_reader_next(&r, &rec)) == 1; i++) {
		make_page(old, new, data, size, data[i]);
		CHECK(rec.gfn == i && page_record_apply(&rec, old) == 0);
		CHECK(memcmp(old, new, REMUS_PAGE_SIZE) == 0);
	}
	CHECK(rc == 0 && i == pages);
	spoilt(packed, n, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (packer == NULL)
		CHECK(page_packer_new(&packer) == 0 &&
		      page_unpacker_new(&unpacker) == 0);
	read_all(data, size);
	if (size > 0 && size < WIRE_PAYLOAD_MAX / 2) {
		as_records(data, size);
		as_columns(data, size);
	}
	if (size > 0)
		as_pages(data, size);
	return 0;
}
