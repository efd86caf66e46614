/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_impl.h - what the implementations of XOR-RLE share.
 *
 * Included once by each of them, after it defined two static functions:
 *
 *   uint64_t xrle_blocks(old, new)   bit i: the 64 bytes at 64 * i differ
 *   uint64_t xrle_diff(old, new)     of 64 bytes; bit i: byte i differs
 *
 * and, if it knows a wide one, XRLE_WIDE (bytes) with
 *
 *   void xrle_xor_wide(dst, a, b)    XRLE_WIDE bytes: dst = a ^ b
 *
 * The page is thus reduced to a bitmap of changed bytes; runs are found in it
 * with bit operations, never byte by byte.  xrle_blocks() runs at the speed of
 * a comparison, and all the rest follows the number of changed blocks.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "codec_xrle.h"

#define BLOCK_BYTES 64
#define BLOCKS (REMUS_PAGE_SIZE / BLOCK_BYTES)

#ifndef XRLE_WIDE
#define XRLE_WIDE 8
static inline void xrle_xor_wide(uint8_t *dst, const uint8_t *a,
				 const uint8_t *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	x ^= y;
	memcpy(dst, &x, sizeof(x));
}
#endif

struct xrle_out {
	uint8_t *dst;
	size_t cap, used;
	const uint8_t *old, *new;
	unsigned int end; /* of the last run: offset in the page */
};

static inline size_t put_len(uint8_t *dst, unsigned int v)
{
	if (v < 0x80) {
		dst[0] = (uint8_t)v;
		return 1;
	}
	dst[0] = (uint8_t)(v | 0x80);
	dst[1] = (uint8_t)(v >> 7);
	return 2;
}

static inline size_t len_bytes(unsigned int v)
{
	return v < 0x80 ? 1 : 2;
}

/* XOR len bytes.  Whole wide words may be written behind len, as long as they
 * stay within `room` (readable in a and b, writable in dst). */
static inline void xor_run(uint8_t *dst, const uint8_t *a, const uint8_t *b,
			   size_t len, size_t room)
{
	size_t i = 0;

	while (i < len && i + XRLE_WIDE <= room) {
		xrle_xor_wide(dst + i, a + i, b + i);
		i += XRLE_WIDE;
	}
	for (; i < len; i++)
		dst[i] = a[i] ^ b[i];
}

static inline int put_run(struct xrle_out *o, unsigned int start,
			  unsigned int end)
{
	unsigned int skip = start - o->end, len = end - start;
	size_t need = len_bytes(skip) + len_bytes(len) + len;
	size_t room = o->cap - o->used, in_page = REMUS_PAGE_SIZE - start;
	uint8_t *p = o->dst + o->used;

	if (need > room)
		return -ENOSPC;
	p += put_len(p, skip);
	p += put_len(p, len);
	room -= need - len;
	xor_run(p, o->old + start, o->new + start, len,
		room < in_page ? room : in_page);
	o->used += need;
	o->end = end;
	return 0;
}

/* Fill holes of one or two bytes between changed bytes (remus-page-records(7):
 * they are absorbed).  `before` and `after` are the neighbouring words. */
static inline uint64_t close_gaps(uint64_t before, uint64_t d, uint64_t after)
{
	uint64_t l1 = d << 1 | before >> 63, l2 = d << 2 | before >> 62;
	uint64_t r1 = d >> 1 | after << 63, r2 = d >> 2 | after << 62;

	return d | (l1 & r1) | (l1 & r2) | (l2 & r1);
}

/* diff and runs are indexed by block + 1, so that both neighbours exist; only
 * the words of changed blocks are written, and blocks next to them zeroed. */
static inline unsigned int find_diffs(uint64_t *runs, const uint8_t *old,
				      const uint8_t *new, uint64_t blocks)
{
	uint64_t diff[BLOCKS + 2];
	unsigned int changed = 0;

	for (uint64_t m = blocks; m != 0; m &= m - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(m);

		diff[i] = i > 0 && (blocks >> (i - 1) & 1) ? diff[i] : 0;
		diff[i + 1] = xrle_diff(old + i * BLOCK_BYTES,
					new + i * BLOCK_BYTES);
		diff[i + 2] = 0;
	}
	for (uint64_t m = blocks; m != 0; m &= m - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(m);

		runs[i] = close_gaps(diff[i], diff[i + 1], diff[i + 2]);
		changed += (unsigned int)__builtin_popcountll(runs[i]);
	}
	return changed;
}

static inline int encode(uint8_t *dst, size_t cap, const uint8_t *old,
			 const uint8_t *new)
{
	struct xrle_out o = {.dst = dst, .cap = cap, .old = old, .new = new};
	uint64_t blocks = xrle_blocks(old, new), runs[BLOCKS], open = 0;
	unsigned int start = 0, at = 0;

	if (blocks == 0)
		return 0;
	/* A page rewritten whole is given up before anything is written. */
	if (find_diffs(runs, old, new, blocks) >= cap)
		return -ENOSPC;
	for (uint64_t m = blocks; m != 0; m &= m - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(m);
		uint64_t edges;

		/* A run up to the end of a block whose successor is equal. */
		if (open && i * BLOCK_BYTES != at) {
			if (put_run(&o, start, at) < 0)
				return -ENOSPC;
			open = 0;
		}
		edges = runs[i] ^ (runs[i] << 1 | open);
		for (; edges != 0; edges &= edges - 1) {
			at = i * BLOCK_BYTES +
			     (unsigned int)__builtin_ctzll(edges);
			if (!open)
				start = at;
			else if (put_run(&o, start, at) < 0)
				return -ENOSPC;
			open ^= 1;
		}
		at = (i + 1) * BLOCK_BYTES;
	}
	if (open && put_run(&o, start, at) < 0)
		return -ENOSPC;
	return (int)o.used;
}

/* A length of at most two bytes in its shortest form.  False when there is
 * none in [*src, end). */
static inline bool get_len(const uint8_t **src, const uint8_t *end,
			   unsigned int *v)
{
	const uint8_t *p = *src;

	if (p == end)
		return false;
	*v = *p++;
	if (*v >= 0x80) {
		/* 0: not the shortest; >= 0x80: a third byte, > 4096 anyway */
		if (p == end || *p == 0 || *p >= 0x80)
			return false;
		*v = (*v & 0x7f) | (unsigned int)*p++ << 7;
	}
	*src = p;
	return true;
}

/* One pair; *src moves on to its xor bytes.  Everything is checked. */
static inline bool get_pair(const uint8_t **src, const uint8_t *end,
			    unsigned int *at, unsigned int *len)
{
	unsigned int skip;
	bool first = *at == 0;

	if (!get_len(src, end, &skip) || !get_len(src, end, len))
		return false;
	if ((skip == 0 && !first) || *len == 0)
		return false;
	if (skip + *len > REMUS_PAGE_SIZE - *at)
		return false;
	if (*len > (size_t)(end - *src))
		return false;
	*at += skip;
	return (*src)[0] != 0 && (*src)[*len - 1] != 0;
}

static inline bool delta_is_valid(const uint8_t *src, size_t src_bytes)
{
	const uint8_t *end = src + src_bytes;
	unsigned int at = 0, len;

	if (src_bytes < XRLE_MIN)
		return false;
	while (src != end) {
		if (!get_pair(&src, end, &at, &len))
			return false;
		at += len;
		src += len;
	}
	return true;
}

/* page ^= src, exactly len bytes; wide words read behind len where both have
 * the bytes, but write back what was there. */
static inline void xor_into(uint8_t *page, const uint8_t *src, size_t len,
			    size_t room)
{
	size_t i = 0;

	for (; i + XRLE_WIDE <= len; i += XRLE_WIDE)
		xrle_xor_wide(page + i, page + i, src + i);
	for (; i + 8 <= len; i += 8) {
		uint64_t a, b;

		memcpy(&a, page + i, 8);
		memcpy(&b, src + i, 8);
		a ^= b;
		memcpy(page + i, &a, 8);
	}
	if (i < len && i + 8 <= room) {
		uint64_t a, b, mask = ((uint64_t)1 << (8 * (len - i))) - 1;

		memcpy(&a, page + i, 8);
		memcpy(&b, src + i, 8);
		a ^= b & htole64(mask);
		memcpy(page + i, &a, 8);
		return;
	}
	for (; i < len; i++)
		page[i] ^= src[i];
}

static inline int decode(uint8_t *page, const uint8_t *src, size_t src_bytes)
{
	const uint8_t *end = src + src_bytes;
	unsigned int at = 0, len = 0;

	if (!delta_is_valid(src, src_bytes))
		return -EBADMSG;
	while (src != end && get_pair(&src, end, &at, &len)) {
		size_t in_page = REMUS_PAGE_SIZE - at;
		size_t in_src = (size_t)(end - src);

		xor_into(page + at, src, len,
			 in_page < in_src ? in_page : in_src);
		at += len;
		src += len;
	}
	return 0;
}
