/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_pack.h - a payload of page records, made smaller once more.
 *
 * "Page records version 2" of remus-page-records(7): a payload of version 1 as
 * one zstd frame.  What XOR-RLE leaves is little, so this costs little; and of a
 * page that was rewritten, zstd makes more when it gets the page itself instead
 * of a long delta: let the writer send RAW what PAGE_PACK_DELTA_MAX excludes.
 *
 *	page_writer_init(&w, buf, cap);
 *	w.delta_max = PAGE_PACK_DELTA_MAX;
 *	... page_writer_add() ...
 *	n = page_pack_written(p, frame, &w);
 *	n > 0 ? send n bytes of frame : send page_writer_bytes(&w) of buf
 *
 * No clocks, no system calls but malloc's; one thread a packer or unpacker.
 */
#ifndef REMUS_PAGE_PACK_H
#define REMUS_PAGE_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "page_record.h"

#define PAGE_PACK_VERSION 2
/* By measurement: half a page is where XOR-RLE is no gain any more. */
#define PAGE_PACK_DELTA_MAX 2048
/* Records worth packing together, by measurement. */
#define PAGE_PACK_RECORDS_BYTES ((size_t)512 << 10)

struct page_packer;

/* 0 or -ENOMEM */
int page_packer_new(struct page_packer **out);
void page_packer_free(struct page_packer *p); /* NULL is allowed */

/*
 * Pack payload[0..len), which is of version 1 and has `records` records, into
 * dst[0..cap).  dst must not overlap payload.
 *
 *   > 0       bytes of the packed payload, <= cap
 *   -ENOSPC   it would be longer than cap; dst[0..cap) is unspecified
 */
int page_pack(struct page_packer *p, uint8_t *dst, size_t cap,
	      const uint8_t *payload, size_t len, uint64_t records);

/* The same for what is in a writer, into a dst with room for as many bytes;
 * -ENOSPC when it would not get shorter.  Where seven tenths of it are pages that
 * were rewritten with text, or come the first time, they are packed as these are
 * packed best. */
int page_pack_written(struct page_packer *p, uint8_t *dst,
		      const struct page_writer *w);

struct page_unpacker;

int page_unpacker_new(struct page_unpacker **out); /* 0 or -ENOMEM */
void page_unpacker_free(struct page_unpacker *u);  /* NULL is allowed */

/* A payload of version 1, for page_reader_init(). */
struct page_payload {
	const uint8_t *data;
	size_t bytes;
	uint64_t records; /* there must be so many; 0: any number */
};

/*
 * payload[0..len): any bytes of any length.  What does not begin with
 * PAGE_PACK_VERSION is handed on as it is, for page_reader_next() to judge.
 * Else *out is inside the unpacker, until its next call.
 *
 *   0          *out is the payload of version 1, not looked into yet
 *   -EBADMSG   it breaks a rule of remus-page-records(7)
 *   -ENOMEM
 *
 * npages is the VM's, or how many blocks a device state can have.  Memory and
 * work are bounded by WIRE_PAYLOAD_MAX, and by what `records`, which is at most
 * npages, can need: what claims more is refused before it is unpacked.  The
 * caller must refuse a payload that has another number of records in the end.
 */
int page_unpack(struct page_unpacker *u, const uint8_t *payload, size_t len,
		uint64_t npages, struct page_payload *out);

#endif
