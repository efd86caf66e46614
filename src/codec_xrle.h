/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle.h - XOR-RLE: a page as its difference from the page it was.
 *
 * The format is specified in remus-page-records(7).  The idea (XOR with the
 * cached old page, then run lengths) is that of the paper "Optimised hot
 * standby on Remus"; format and code are this project's own.
 *
 * Every buffer called `page`, `old` or `new` is REMUS_PAGE_SIZE (4096) bytes.
 * No alignment is needed.  No function allocates, blocks, or keeps state;
 * all may be called from several threads at once.
 *
 * A pair (old, new) has exactly one delta: every implementation below makes
 * the same bytes.
 */
#ifndef REMUS_CODEC_XRLE_H
#define REMUS_CODEC_XRLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"
#include "page_sums.h"

/* The longest delta that xrle_encode() can make: 1 + 2 bytes of lengths for one
 * run of 4096.  (Each further pair costs at most 4 bytes where it leaves out
 * 128 or more, and at most 3 where it leaves out 3 or more.) */
#define XRLE_BOUND (REMUS_PAGE_SIZE + 3)
/* The shortest delta: one byte changed. */
#define XRLE_MIN 3
#define XRLE_BLOCK_BYTES 64

static inline size_t xrle_bound(void)
{
	return XRLE_BOUND;
}

/*
 * Encode new against old into dst, never writing at or behind dst + cap.
 *
 *   > 0       bytes of the delta, <= cap; the rest of dst[0..cap) is
 *             unspecified
 *   0         the pages are equal (there is no delta)
 *   -ENOSPC   the delta is longer than cap; dst[0..cap) is unspecified.  Give
 *             as cap the longest delta that is a gain, and send the page raw.
 *
 * In all cases bit i of *changed (may be NULL) is set when the XRLE_BLOCK_BYTES
 * from XRLE_BLOCK_BYTES * i on differ.
 *
 * With cap >= XRLE_BOUND it never returns -ENOSPC.  dst must not overlap old
 * or new; old and new may be the same page.
 *
 * old and new must not change during the call: copy the page of a running guest
 * first.  If they do change, memory stays safe (nothing outside dst is
 * written), but the delta may be one that no decoder accepts.
 */
int xrle_encode(uint8_t *dst, size_t cap, const uint8_t *old,
		const uint8_t *new, uint64_t *changed);

/* The same delta, of which is known that old and new are equal outside `groups`
 * (page_sums.h): nothing else of them is read.  (If they are not, what differs
 * there is left out.) */
int xrle_encode_groups(uint8_t *dst, size_t cap, const uint8_t *old,
		       const uint8_t *new, unsigned int groups,
		       uint64_t *changed);

/* The most bytes of lengths of one page: 1024 runs, and a byte that is written
 * behind them and means nothing. */
#define XRLE_LENGTHS_MAX (2 * REMUS_PAGE_SIZE / 4 + 4)

/*
 * The runs of the same delta, in two: their lengths, pair behind pair, and the new
 * content of each, not XORed, at bytes[0..cap).  groups: as above, or
 * PAGE_GROUPS_ALL.
 *
 *   > 0       bytes of both together, <= cap; *lengths_bytes of it are lengths.
 *             The rest of bytes[0..cap) and of lengths[XRLE_LENGTHS_MAX] is
 *             unspecified
 *   0, -ENOSPC, *changed   as above
 */
int xrle_encode_apart(uint8_t *lengths, uint8_t *bytes, size_t cap,
		      const uint8_t *old, const uint8_t *new,
		      unsigned int groups, uint64_t *changed,
		      size_t *lengths_bytes);

/* How many bytes belong to these lengths, any bytes; -EBADMSG: they are no pairs
 * that remus-page-records(7) allows. */
int xrle_apart_bytes(const uint8_t *lengths, size_t lengths_bytes);

/* Make of `page`, which holds the old content, the new one.  0, or -EBADMSG when
 * xrle_apart_bytes() does not say n of these lengths: then page is unspecified, but
 * nothing outside it is written, and nothing outside bytes[0..n) read. */
int xrle_decode_apart(uint8_t *page, const uint8_t *lengths,
		      size_t lengths_bytes, const uint8_t *bytes, size_t n);

/*
 * Apply the delta src[0..len) to `page`, which holds the old content.
 *
 *   0          page holds the new content
 *   -EBADMSG   src is not a delta that remus-page-records(7) allows; page is as
 *              it was: the whole delta is checked before the first write
 *
 * src may be any bytes of any length: nothing outside src[0..len) is read and
 * nothing outside page is written.  src must not overlap page, nor change
 * during the call.  A well-formed delta against another old page than the
 * encoder's gives a wrong page and 0: the epoch's digest is for that (S5).
 */
int xrle_decode(uint8_t *page, const uint8_t *src, size_t len);

/* Same contracts as above, one CPU feature set each; changed is not NULL. */
struct xrle_impl {
	const char *name; /* "scalar", "sse2", "avx2", "avx512bw" */
	int (*encode)(uint8_t *dst, size_t cap, const uint8_t *old,
		      const uint8_t *new, uint64_t *changed);
	int (*encode_groups)(uint8_t *dst, size_t cap, const uint8_t *old,
			     const uint8_t *new, unsigned int groups,
			     uint64_t *changed);
	int (*encode_apart)(uint8_t *lengths, uint8_t *bytes, size_t cap,
			    const uint8_t *old, const uint8_t *new,
			    unsigned int groups, uint64_t *changed,
			    size_t *lengths_bytes);
	int (*decode)(uint8_t *page, const uint8_t *src, size_t len);
	int (*decode_apart)(uint8_t *page, const uint8_t *lengths,
			    size_t lengths_bytes, const uint8_t *bytes, size_t n);
	void (*copy)(uint8_t *dst, const uint8_t *src); /* page_copy() */
};

/* Those that this CPU can run, the plainest first, the one that xrle_encode()
 * and xrle_decode() use last.  At least one. */
const struct xrle_impl *const *xrle_impls(size_t *count);

bool page_is_zero(const uint8_t *page);
bool page_equal(const uint8_t *a, const uint8_t *b);
/* memcpy() of a page, faster where page follows page into a payload.  dst and
 * src must not overlap. */
void page_copy(uint8_t *dst, const uint8_t *src);

#endif
