/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_page_pack - libFuzzer target for packed page records (S8).
 *
 * Each input is taken in two ways:
 *
 *   as a hostile payload   whatever page_unpack() makes of it stays within its
 *                          bounds, and the reader takes or refuses that
 *   as page records        packed and unpacked they are as before, and cut or
 *                          with a byte changed they do no harm
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_check.h"
#include "page_pack.h"
#include "page_record.h"
#include "wire.h"

#define NPAGES ((uint64_t)1 << 20)

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
	CHECK(out.data == data || out.bytes <= WIRE_PAYLOAD_MAX);
	CHECK(out.data == data || (out.records > 0 && out.records <= NPAGES));
	CHECK(out.data == data ||
	      out.bytes <= PAGE_PAYLOAD_HEADER_MAX +
				   out.records * PAGE_RECORD_MAX);
	page_reader_init(&r, out.data, out.bytes, NPAGES);
	while (page_reader_next(&r, &rec) == 1)
		(void)page_record_apply(&rec, page);
}

static void as_records(const uint8_t *data, size_t size)
{
	static uint8_t packed[WIRE_PAYLOAD_MAX];
	struct page_payload out;
	uint64_t records = size / PAGE_RECORD_MAX + 1;
	int n = page_pack(packer, packed, sizeof(packed), data, size, records);

	CHECK(n > 0);
	CHECK(page_unpack(unpacker, packed, (size_t)n, NPAGES, &out) == 0);
	CHECK(out.bytes == size && out.records == records);
	CHECK(memcmp(out.data, data, size) == 0);
	read_all(packed, (size_t)n);
	read_all(packed, (size_t)n * data[0] / 256);
	packed[(size_t)n * data[0] / 256] ^= data[size - 1];
	read_all(packed, (size_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (packer == NULL)
		CHECK(page_packer_new(&packer) == 0 &&
		      page_unpacker_new(&unpacker) == 0);
	read_all(data, size);
	if (size > 0 && size < WIRE_PAYLOAD_MAX / 2)
		as_records(data, size);
	return 0;
}
