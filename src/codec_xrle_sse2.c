/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_sse2.c - XOR-RLE with 16-byte vectors: what every x86-64 has.
 */
#include "codec_xrle.h"

extern const struct xrle_impl xrle_impl_sse2;

#ifdef __SSE2__

#include <emmintrin.h>

static inline __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

static inline __m128i same(const uint8_t *a, const uint8_t *b)
{
	return _mm_cmpeq_epi8(load(a), load(b));
}

static inline __m128i same32(const uint8_t *a, const uint8_t *b)
{
	return _mm_and_si128(same(a, b), same(a + 16, b + 16));
}

static inline uint64_t xrle_blocks(const uint8_t *old, const uint8_t *new)
{
	uint64_t blocks = 0;

	for (unsigned int i = 0; i < 64; i++, old += 64, new += 64) {
		__m128i a = _mm_and_si128(same32(old, new),
					  same32(old + 32, new + 32));

		if (_mm_movemask_epi8(a) != 0xffff)
			blocks |= (uint64_t)1 << i;
	}
	return blocks;
}

static inline uint64_t differ(const uint8_t *a, const uint8_t *b)
{
	return (uint16_t)~_mm_movemask_epi8(same(a, b));
}

static inline uint64_t xrle_diff(const uint8_t *old, const uint8_t *new)
{
	return differ(old, new) | differ(old + 16, new + 16) << 16 |
	       differ(old + 32, new + 32) << 32 |
	       differ(old + 48, new + 48) << 48;
}

#define XRLE_WIDE 16
static inline void xrle_xor_wide(uint8_t *dst, const uint8_t *a,
				 const uint8_t *b)
{
	_mm_storeu_si128((__m128i *)dst, _mm_xor_si128(load(a), load(b)));
}

#include "codec_xrle_impl.h"

const struct xrle_impl xrle_impl_sse2 = {
	"sse2", encode, encode_groups, encode_apart, decode,
	decode_apart, copy
};

#else

const struct xrle_impl xrle_impl_sse2 = { .name = NULL };

#endif
