/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_record.h - changed pages, packed into the payload of a PAGES frame.
 *
 * "Page records" of remus-page-records(7), version 1, and version 3: the same in
 * columns, for who compresses it (page_pack.h).  A payload stands alone:
 * it begins with its first gfn, and gfns ascend strictly within it.  Each
 * record costs one byte (more where 63 or more pages are left out) and the
 * page's content: none for SAME and ZERO, an XOR-RLE delta (codec_xrle.h)
 * against the old page, or the page.
 *
 * Pure: bytes in, bytes out; no allocation, no system calls, no clocks.
 *
 *	struct page_writer w;
 *	page_writer_init(&w, buf, cap);
 *	for each dirty page in ascending order:
 *		if (page_writer_add(&w, gfn, old, new, kinds, NULL) == -ENOSPC)
 *			send page_writer_bytes(&w) bytes of buf, init, add again
 */
#ifndef REMUS_PAGE_RECORD_H
#define REMUS_PAGE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec_xrle.h"
#include "page.h"
#include "page_sums.h"

#define PAGE_RECORD_VERSION 1
#define PAGE_COLUMNS_VERSION 3
/* npages must not be above this (2^64 bytes of memory). */
#define PAGE_GFN_MAX ((uint64_t)1 << 52)

enum page_kind {
	PAGE_SAME = 0,	/* content did not change */
	PAGE_ZERO = 1,
	PAGE_DELTA = 2, /* XOR-RLE against the old content */
	PAGE_RAW = 3,
};
#define PAGE_KINDS 4
/* "same", "zero", "delta", "raw"; "?" for any other number. */
const char *page_kind_to_str(unsigned int kind);

/* Which kinds a writer may choose: bits (1 << kind).  RAW is always allowed. */
#define PAGE_ALLOW_RAW (1u << PAGE_RAW) /* compression off */
#define PAGE_ALLOW_ALL 0x0fu

/* Bounds of lengths, in bytes.  A delta of PAGE_DELTA_MAX with its two bytes of
 * length is one byte shorter than a raw page. */
#define PAGE_DELTA_MAX (REMUS_PAGE_SIZE - 3)
#define PAGE_RECORD_MAX (1 + 8 + REMUS_PAGE_SIZE)
#define PAGE_PAYLOAD_HEADER_MAX (1 + 8)
/* In columns: tag, gap, number of bytes of lengths, lengths. */
#define PAGE_HEAD_MAX (1 + 8 + 2 + XRLE_LENGTHS_MAX)
/* Version, form, and how many records and bytes of heads; the heads' own is that of
 * version 1. */
#define PAGE_COLUMNS_HEADER_MAX (2 + 8 + 8 + PAGE_PAYLOAD_HEADER_MAX)
/* A writer with this cap takes at least one page. */
#define PAGE_WRITER_CAP_MIN (PAGE_COLUMNS_HEADER_MAX + PAGE_RECORD_MAX)
/* The least buffer of a writer of columns: a quarter of it is for heads, which seldom
 * need more. */
#define PAGE_COLUMNS_BUF_MIN (4 * (PAGE_PAYLOAD_HEADER_MAX + PAGE_HEAD_MAX))

/* Private, but for records[], which may be read: records of each kind since
 * page_writer_init(), and first, those of RAW whose old content was not known;
 * and for delta_max, which may be lowered after it: pages with a longer delta go
 * RAW (page_pack.h). */
struct page_writer {
	uint8_t *buf;
	size_t cap, used;
	/* columns: heads at buf, bytes behind heads_max of them; used: both, and the
	 * header that comes before them */
	size_t heads, heads_max, bytes;
	size_t delta_max;
	enum page_kind last;  /* of the last page */
	uint64_t changed;     /* if DELTA: which of its blocks */
	bool rewritten;		      /* the last page was */
	gfn_t next;		      /* lowest gfn that may come */
	uint64_t records[PAGE_KINDS], first;
};

/* buf belongs to the writer until the caller has sent it; cap bytes, of which
 * it uses at most WIRE_PAYLOAD_MAX.  Never fails. */
void page_writer_init(struct page_writer *w, uint8_t *buf, size_t cap);

/* The same in columns: buf has room for buf_bytes, at least PAGE_COLUMNS_BUF_MIN
 * (assert); page_writer_bytes() is at most cap, and counts the header as long as it
 * can get.  page_pack() makes a payload of it. */
void page_writer_init_columns(struct page_writer *w, uint8_t *buf,
			      size_t buf_bytes, size_t cap);
bool page_writer_has_columns(const struct page_writer *w);
uint64_t page_writer_records(const struct page_writer *w); /* of all kinds */

/* Of a writer of columns, with a record at least: the content, heads and bytes
 * behind them, which is moved together in its buffer.  *heads of *bytes are heads.
 * Nothing can be added afterwards. */
const uint8_t *page_writer_columns(struct page_writer *w, size_t *heads,
				   size_t *bytes);

/*
 * Add page gfn, whose content is new[4096].
 *
 * old is the content that the receiver has for it (it must be exactly that:
 * S5), or NULL when it is not known; then the record is ZERO or RAW.  kinds is
 * PAGE_ALLOW_...; among the allowed kinds it takes SAME when old equals new,
 * else ZERO, else DELTA when its record is shorter than RAW's, else RAW.  (A
 * page that differs in 16 words all over it, in nearly every byte of them, goes
 * RAW without reading the rest of old; next to such a one 2 words do.)
 * *kind (may be NULL) is what it took.
 *
 *   0         added
 *   -ENOSPC   fewer than PAGE_RECORD_MAX (and, before the first record,
 *             PAGE_PAYLOAD_HEADER_MAX more) bytes are free; the payload is as
 *             it was.  Found out before any work is done on the page.
 *   -EINVAL   gfn is not above the one before it, or >= PAGE_GFN_MAX; the
 *             payload is as it was (the caller may start another payload)
 *
 * old and new must not change during the call (copy the page of a running
 * guest first), and must not overlap buf.  Bytes of buf behind
 * page_writer_bytes() are unspecified afterwards.
 */
int page_writer_add(struct page_writer *w, gfn_t gfn, const uint8_t *old,
		    const uint8_t *new, unsigned int kinds,
		    enum page_kind *kind);

/* The same record, of a page of which is known that it equals old outside
 * `groups` (page_sums.h); PAGE_GROUPS_ALL: nothing is known. */
int page_writer_add_groups(struct page_writer *w, gfn_t gfn, const uint8_t *old,
			   const uint8_t *new, unsigned int groups,
			   unsigned int kinds, enum page_kind *kind);

/*
 * Behind one of these that returned 0: make the new content of the page
 * at `page`, which holds what was its old content then (any, if that was NULL).
 * The same as copying new[4096], but memory is written only where something
 * changed, and most of a page did not.
 */
void page_writer_update(const struct page_writer *w, uint8_t *page,
			const uint8_t *new);

/* Bytes of the payload so far; 0 before the first record: there is no payload
 * without a record. */
size_t page_writer_bytes(const struct page_writer *w);

/* One record, as read.  data points into the payload: data_bytes bytes of delta
 * (PAGE_DELTA, not yet checked inside) or REMUS_PAGE_SIZE bytes (PAGE_RAW);
 * NULL and 0 for the others.  Of a DELTA in columns lengths is not NULL, and data
 * are the new bytes. */
struct page_record {
	gfn_t gfn;
	enum page_kind kind;
	const uint8_t *data, *lengths;
	size_t data_bytes, lengths_bytes;
};

/* Private. */
struct page_reader {
	const uint8_t *at, *end;
	const uint8_t *bytes, *bytes_end; /* columns; else NULL */
	uint64_t npages;
	gfn_t next;
	int state;
};

/* Read the payload buf[0..len), any bytes of any length, which must stay in
 * place and unchanged while the reader and its records are in use.  npages is
 * the VM's; a gfn at or above it is malformed.  Never fails: what is wrong with
 * the payload is told by page_reader_next(). */
void page_reader_init(struct page_reader *r, const uint8_t *buf, size_t len,
		      uint64_t npages);

/* The same of the content of columns, of which heads (<= len) bytes are heads. */
void page_reader_init_columns(struct page_reader *r, const uint8_t *content,
			      size_t len, size_t heads, uint64_t npages);

/*
 *   1          *out is the next record; its gfn is < npages and above the last
 *   0          clean end: the payload ended with the record before (and it had
 *              one at least); again at each further call
 *   -EBADMSG   the payload breaks a rule of remus-page-records(7); *out is
 *              unspecified; again at each further call
 *
 * Reads nothing outside buf[0..len).  Records before a malformed one have been
 * handed out already: a receiver must keep them apart from committed state
 * until the epoch is whole (S2).
 */
int page_reader_next(struct page_reader *r, struct page_record *out);

/*
 * Make the new content of a page.  page[4096] holds the old content on entry,
 * which matters for SAME and DELTA only.
 *
 *   0          page holds the new content
 *   -EBADMSG   the delta is malformed, or rec is not one that
 *              page_reader_next() can have made; page is as it was (but for
 *              columns, whose deltas page_reader_next() has checked)
 */
int page_record_apply(const struct page_record *rec, uint8_t *page);

#endif
