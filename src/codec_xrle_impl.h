/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_impl.h - what the implementations of XOR-RLE share.
 *
 * Included once by each of them, after it defined two static functions:
 *
 *   uint64_t xrle_blocks(old, new)   bit i: the 64 bytes at 64 * i differ
 *   uint64_t xrle_diff(old, new)     of 64 bytes; bit i: byte i differs
 *
 * and, if it knows a wide one, XRLE_WIDE (bytes, up to 64) with
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

#define BLOCK_BYTES XRLE_BLOCK_BYTES
#define BLOCKS (REMUS_PAGE_SIZE / BLOCK_BYTES)
#define GROUP_BLOCKS (PAGE_GROUP_BYTES / BLOCK_BYTES)
/* Of each of the next two pages, by measurement: at once, and for each block
 * whose runs are written. */
#define NEXT_BYTES 256
#define NEXT_BLOCK_BYTES 128

#ifndef XRLE_WIDE
#define XRLE_WIDE 16
static inline void xrle_xor_wide(uint8_t *dst, const uint8_t *a,
				 const uint8_t *b)
{
	uint64_t x[2], y[2];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	x[0] ^= y[0];
	x[1] ^= y[1];
	memcpy(dst, x, sizeof(x));
}
#endif

/* lengths: where the next pair goes, or NULL: in front of its bytes.  Apart from
 * them it leaves less room for them all the same. */
struct xrle_out {
	uint8_t *at, *limit, *lengths;
	const uint8_t *old, *new;
	unsigned int end; /* of the last run: offset in the page */
};

static inline size_t len_bytes(unsigned int v)
{
	return v < 0x80 ? 1 : 2;
}

/* Without a branch: both bytes are written, one or two are kept. */
static inline uint8_t *put_len(uint8_t *dst, unsigned int v)
{
	unsigned int more = v >= 0x80;

	dst[0] = (uint8_t)((v & 0x7f) | more << 7);
	dst[1] = (uint8_t)(v >> 7);
	return dst + 1 + more;
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

/* The same with the new bytes as they are. */
static inline void copy_run(uint8_t *dst, const uint8_t *new, size_t len,
			    size_t room)
{
	size_t i = 0;

	for (; i < len && i + XRLE_WIDE <= room; i += XRLE_WIDE)
		memcpy(dst + i, new + i, XRLE_WIDE);
	if (i < len)
		memcpy(dst + i, new + i, len - i);
}

/* A run of any length, anywhere. */
static bool put_any_run(struct xrle_out *o, unsigned int start,
			unsigned int end)
{
	unsigned int skip = start - o->end, len = end - start;
	size_t lengths = len_bytes(skip) + len_bytes(len);
	size_t room = REMUS_PAGE_SIZE - start;
	uint8_t *p = o->at;

	/* Behind the lengths put_len() may write one byte of garbage, where
	 * the first of the xor bytes belongs: there is at least one. */
	if (lengths + len > (size_t)(o->limit - p))
		return false;
	if (o->lengths != NULL) {
		o->lengths = put_len(put_len(o->lengths, skip), len);
		o->limit -= lengths;
	} else {
		p = put_len(put_len(p, skip), len);
	}
	if (room > (size_t)(o->limit - p))
		room = (size_t)(o->limit - p);
	if (o->lengths != NULL)
		copy_run(p, o->new + start, len, room);
	else
		xor_run(p, o->old + start, o->new + start, len, room);
	o->at = p + len;
	o->end = end;
	return true;
}

/* False when there is no room.  Most runs are short and have all the room that
 * one wide word needs. */
static inline bool put_run(struct xrle_out *o, unsigned int start,
			   unsigned int end)
{
	unsigned int len = end - start;
	uint8_t *p = o->at;

	if (len > XRLE_WIDE || start > REMUS_PAGE_SIZE - XRLE_WIDE ||
	    (size_t)(o->limit - p) < 3 + XRLE_WIDE)
		return put_any_run(o, start, end);
	if (o->lengths != NULL) {
		uint8_t *l = put_len(o->lengths, start - o->end);

		*l++ = (uint8_t)len; /* below 128 */
		o->limit -= l - o->lengths;
		o->lengths = l;
		memcpy(p, o->new + start, XRLE_WIDE);
	} else {
		p = put_len(p, start - o->end);
		*p++ = (uint8_t)len;
		xrle_xor_wide(p, o->old + start, o->new + start);
	}
	o->at = p + len;
	o->end = end;
	return true;
}

/* Fill holes of one or two bytes between changed bytes (remus-page-records(7):
 * they are absorbed).  `before` and `after` are the neighbouring blocks. */
static inline uint64_t close_gaps(uint64_t before, uint64_t d, uint64_t after)
{
	uint64_t l1 = d << 1 | before >> 63, l2 = d << 2 | before >> 62;
	uint64_t r1 = d >> 1 | after << 63, r2 = d >> 2 | after << 62;

	return d | (l1 & r1) | (l1 & r2) | (l2 & r1);
}

/* Behind the last one of the run of ones that begins at `lowest`, a single bit:
 * 64 when it is the last bit. */
static inline unsigned int run_end(uint64_t runs, uint64_t lowest)
{
	uint64_t sum = runs + lowest; /* carried up to there, or out of it */

	return sum != 0 ? (unsigned int)__builtin_ctzll(sum) : BLOCK_BYTES;
}

/* diff[i + 1]: block i, bit by bit, of those that changed; and 0 before and behind
 * each of these, if nothing changed there.  All of them before the runs of the
 * first are written: of those there is no telling how many, and who guesses
 * wrong begins again; but what is done by then is done. */
static inline void find_diffs(uint64_t *diff, uint64_t blocks,
			      const uint8_t *old, const uint8_t *new)
{
	for (uint64_t left = blocks; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(left);

		diff[i] = diff[i + 2] = 0;
	}
	for (uint64_t left = blocks; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(left);

		diff[i + 1] = xrle_diff(old + i * BLOCK_BYTES,
					new + i * BLOCK_BYTES);
	}
}

/* The runs of one block.  *open: 0, or where the run that begins at *start has
 * got to so far: the end of a block.  False when there is no room. */
static inline bool put_block(struct xrle_out *o, unsigned int base,
			     uint64_t runs, unsigned int *start,
			     unsigned int *open)
{
	unsigned int len;

	if (*open != 0) {
		/* goes on here, or ended with its block */
		len = *open == base && (runs & 1) ? run_end(runs, 1) : 0;
		*open += len;
		if (len == BLOCK_BYTES)
			return true;
		if (!put_run(o, *start, *open))
			return false;
		*open = 0;
		runs &= ~(uint64_t)0 << len;
	}
	while (runs != 0) {
		uint64_t lowest = runs & -runs;
		unsigned int first = (unsigned int)__builtin_ctzll(runs);
		unsigned int end = run_end(runs, lowest);

		if (end == BLOCK_BYTES) {
			*start = base + first;
			*open = base + BLOCK_BYTES;
			return true;
		}
		if (!put_run(o, base + first, base + end))
			return false;
		runs &= runs + lowest;
	}
	return true;
}

/* `bytes` from `at` on of the page at `page`, a number: likely it comes next, and
 * memory has nothing to do while the runs of this one are written.  A guess costs
 * little when it is wrong, and an address that is not mapped nothing at all. */
static inline void fetch(uintptr_t page, size_t at, size_t bytes)
{
	size_t end = at + bytes;

	for (; at < end && at < REMUS_PAGE_SIZE; at += BLOCK_BYTES)
		__builtin_prefetch((const void *)(page + at));
}

/* The runs of what differs in `blocks` by diff[]: false when there is no room.
 * Meanwhile more is fetched of the page `next`, and of next_too if that is not 0:
 * from `fetched` on. */
static inline bool put_runs(struct xrle_out *o, uint64_t blocks,
			    const uint64_t *diff, uintptr_t next,
			    uintptr_t next_too, size_t fetched)
{
	unsigned int start = 0, open = 0;

	for (; blocks != 0; blocks &= blocks - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(blocks);

		/* As much as there is to do meanwhile: all at once, loads
		 * would wait behind it. */
		fetch(next, fetched, NEXT_BLOCK_BYTES);
		if (next_too != 0)
			fetch(next_too, fetched, NEXT_BLOCK_BYTES);
		fetched += NEXT_BLOCK_BYTES;
		if (!put_block(o, i * BLOCK_BYTES,
			       close_gaps(diff[i], diff[i + 1], diff[i + 2]),
			       &start, &open))
			return false;
	}
	return open == 0 || put_run(o, start, open);
}

static inline bool put_page(struct xrle_out *o, uint64_t *changed)
{
	uint64_t blocks = xrle_blocks(o->old, o->new), diff[BLOCKS + 2];
	uintptr_t next_old = (uintptr_t)o->old + REMUS_PAGE_SIZE;
	uintptr_t next_new = (uintptr_t)o->new + REMUS_PAGE_SIZE;

	*changed = blocks;
	if (blocks == 0)
		return true;
	fetch(next_old, 0, NEXT_BYTES);
	fetch(next_new, 0, NEXT_BYTES);
	find_diffs(diff, blocks, o->old, o->new);
	return put_runs(o, blocks, diff, next_old, next_new, NEXT_BYTES);
}

/* The next new pages have been looked at, but for their last (page_cache.h). */
static inline bool put_groups(struct xrle_out *o, unsigned int groups,
			      uint64_t *changed)
{
	uint64_t blocks = 0, diff[BLOCKS + 2];
	const uint8_t *old = o->old, *new = o->new;

	*changed = 0;
	if (groups == 0)
		return true;
	memset(diff, 0, sizeof(diff));
	for (; groups != 0; groups &= groups - 1) {
		unsigned int i = GROUP_BLOCKS *
				 (unsigned int)__builtin_ctz(groups);

		for (unsigned int end = i + GROUP_BLOCKS; i < end; i++) {
			diff[i + 1] = xrle_diff(old + i * BLOCK_BYTES,
						new + i * BLOCK_BYTES);
			blocks |= (uint64_t)(diff[i + 1] != 0) << i;
		}
	}
	*changed = blocks;
	return put_runs(o, blocks, diff,
			(uintptr_t)new + PAGE_LOOK_AHEAD * REMUS_PAGE_SIZE, 0,
			PAGE_LOOK_BYTES);
}

static inline int encode(uint8_t *dst, size_t cap, const uint8_t *old,
			 const uint8_t *new, uint64_t *changed)
{
	struct xrle_out o = { .at = dst, .limit = dst + cap, .old = old,
			      .new = new };

	return put_page(&o, changed) ? (int)(o.at - dst) : -ENOSPC;
}

static inline int encode_groups(uint8_t *dst, size_t cap, const uint8_t *old,
				const uint8_t *new, unsigned int groups,
				uint64_t *changed)
{
	struct xrle_out o = { .at = dst, .limit = dst + cap, .old = old,
			      .new = new };

	return put_groups(&o, groups, changed) ? (int)(o.at - dst) : -ENOSPC;
}

static inline int encode_apart(uint8_t *lengths, uint8_t *bytes, size_t cap,
			       const uint8_t *old, const uint8_t *new,
			       unsigned int groups, uint64_t *changed,
			       size_t *lengths_bytes)
{
	struct xrle_out o = { .at = bytes, .limit = bytes + cap,
			      .lengths = lengths, .old = old, .new = new };
	bool put = groups == PAGE_GROUPS_ALL ? put_page(&o, changed)
					     : put_groups(&o, groups, changed);

	*lengths_bytes = (size_t)(o.lengths - lengths);
	return put ? (int)((size_t)(o.at - bytes) + *lengths_bytes) : -ENOSPC;
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

/* *at, behind the run before, moves on to where a run of *len begins. */
static inline bool get_lengths(const uint8_t **src, const uint8_t *end,
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
	*at += skip;
	return true;
}

/* One pair; *src moves on to its xor bytes.  Everything is checked. */
static inline bool get_pair(const uint8_t **src, const uint8_t *end,
			    unsigned int *at, unsigned int *len)
{
	if (!get_lengths(src, end, at, len) || *len > (size_t)(end - *src))
		return false;
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

/* Most are a few bytes long. */
static inline void copy_into(uint8_t *page, const uint8_t *src, size_t len)
{
	size_t i = 0;

	for (; i + XRLE_WIDE <= len; i += XRLE_WIDE)
		memcpy(page + i, src + i, XRLE_WIDE);
	for (; i + 8 <= len; i += 8)
		memcpy(page + i, src + i, 8);
	for (; i < len; i++)
		page[i] = src[i];
}

static inline int decode_apart(uint8_t *page, const uint8_t *lengths,
			       size_t lengths_bytes, const uint8_t *bytes,
			       size_t n)
{
	const uint8_t *end = lengths + lengths_bytes;
	unsigned int at = 0, len = 0;

	while (lengths != end) {
		if (!get_lengths(&lengths, end, &at, &len) || len > n)
			return -EBADMSG;
		copy_into(page + at, bytes, len);
		at += len;
		bytes += len;
		n -= len;
	}
	return n == 0 ? 0 : -EBADMSG;
}

/* Not one memcpy(): as one instruction, which it often is, it would let nothing
 * of the next page be fetched meanwhile.  The wider the registers, the fewer
 * instructions, and the more of the page is under way from memory at once. */
static inline void copy(uint8_t *dst, const uint8_t *src)
{
	typedef uint64_t wide __attribute__((vector_size(XRLE_WIDE)));
	wide a, b, c, d;

	for (size_t i = 0; i < REMUS_PAGE_SIZE; i += 4 * XRLE_WIDE) {
		memcpy(&a, src + i, sizeof(a));
		memcpy(&b, src + i + XRLE_WIDE, sizeof(b));
		memcpy(&c, src + i + 2 * XRLE_WIDE, sizeof(c));
		memcpy(&d, src + i + 3 * XRLE_WIDE, sizeof(d));
		memcpy(dst + i, &a, sizeof(a));
		memcpy(dst + i + XRLE_WIDE, &b, sizeof(b));
		memcpy(dst + i + 2 * XRLE_WIDE, &c, sizeof(c));
		memcpy(dst + i + 3 * XRLE_WIDE, &d, sizeof(d));
		/* nor is the compiler to make one of it */
		__asm__ volatile("" : : : "memory");
	}
}
