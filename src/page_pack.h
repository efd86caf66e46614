/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_pack.h - a payload of page records, made smaller once more.
 *
 * Page records in columns, version 3 of remus-page-records(7), as one zstd frame.
 * What XOR-RLE leaves is little, so this costs little; and less, and is worth more,
 * where lengths and bytes stand apart and the bytes are the new ones: those were
 * written elsewhere lately, their difference from what was here before was not.
 *
 *	page_pack_begin(&w, buf, sizeof(buf), cap);
 *	... page_writer_add() ...
 *	send page_pack(p, frame, &w) bytes of frame
 *
 * No clocks, no system calls but malloc's; one thread a packer or unpacker.
 */
#ifndef REMUS_PAGE_PACK_H
#define REMUS_PAGE_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "page_record.h"

#define PAGE_PACK_VERSION 2 /* is only read */
/* By measurement: half a page is where leaving out the rest is no gain any more. */
#define PAGE_PACK_DELTA_MAX 2048
/* Records worth packing together, by measurement: so many bytes of buffer, of which
 * three quarters are payload at most. */
#define PAGE_PACK_RECORDS_BYTES ((size_t)640 << 10)

struct page_packer;

/* 0 or -ENOMEM */
int page_packer_new(struct page_packer **out);
void page_packer_free(struct page_packer *p); /* NULL is allowed */

/* Columns into buf, for page_pack(): as page_writer_init_columns(). */
void page_pack_begin(struct page_writer *w, uint8_t *buf, size_t buf_bytes,
		     size_t cap);

/* The payload of what is in such a writer, with a record at least, into dst, which
 * has room for page_writer_bytes() bytes and does not overlap the writer's buffer.
 * Returns its bytes, which are never more than that: where zstd makes it no shorter,
 * or has no memory, it goes as it is. */
size_t page_pack(struct page_packer *p, uint8_t *dst, struct page_writer *w);

struct page_unpacker;

int page_unpacker_new(struct page_unpacker **out); /* 0 or -ENOMEM */
void page_unpacker_free(struct page_unpacker *u);  /* NULL is allowed */

/* What page_reader_init() or, if heads is not 0, page_reader_init_columns() takes. */
struct page_payload {
	const uint8_t *data;
	size_t bytes, heads;
	uint64_t records; /* there must be so many; 0: any number */
};

/*
 * payload[0..len): any bytes of any length.  What begins with neither
 * PAGE_PACK_VERSION nor PAGE_COLUMNS_VERSION is handed on as it is, for
 * page_reader_next() to judge.  Else *out is in payload, or inside the unpacker,
 * until its next call.
 *
 *   0          *out has records, not looked into yet
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

/* The reader of it, of the same npages or fewer. */
void page_unpack_read(const struct page_payload *p, uint64_t npages,
		      struct page_reader *r);

#endif
