/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_avx2.c - XOR-RLE with 32-byte vectors.
 *
 * Compiled with -mavx2 -mbmi -mbmi2 where the compiler has them; codec_xrle.c
 * asks the CPU before it calls anything here.  Without those flags the file
 * offers no implementation.
 */
#include "codec_xrle.h"

extern const struct xrle_impl xrle_impl_avx2;

#if defined(__AVX2__) && defined(__BMI__) && defined(__BMI2__)

#include <immintrin.h>

static inline __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

static inline __m256i same(const uint8_t *a, const uint8_t *b)
{
	return _mm256_cmpeq_epi8(load(a), load(b));
}

static inline __m256i same_block(const uint8_t *a, const uint8_t *b)
{
	return _mm256_and_si256(same(a, b), same(a + 32, b + 32));
}

static inline uint64_t is_other(__m256i block)
{
	return (uint64_t)!_mm256_testc_si256(block, _mm256_set1_epi8(-1));
}

/* 256 bytes at a time: on a page that did not change this is all that runs, and
 * where a page changes it is little: the fewer branches the fewer that are
 * guessed wrong. */
static inline uint64_t xrle_blocks(const uint8_t *old, const uint8_t *new)
{
	uint64_t blocks = 0;

	for (unsigned int i = 0; i < 64; i += 4, old += 256, new += 256) {
		__m256i a = same_block(old, new);
		__m256i b = same_block(old + 64, new + 64);
		__m256i c = same_block(old + 128, new + 128);
		__m256i d = same_block(old + 192, new + 192);

		if (is_other(_mm256_and_si256(_mm256_and_si256(a, b),
					      _mm256_and_si256(c, d))))
			blocks |= (is_other(a) | is_other(b) << 1 |
				   is_other(c) << 2 | is_other(d) << 3) << i;
	}
	return blocks;
}

static inline uint64_t xrle_diff(const uint8_t *old, const uint8_t *new)
{
	uint32_t a = (uint32_t)_mm256_movemask_epi8(same(old, new));
	uint32_t b = (uint32_t)_mm256_movemask_epi8(same(old + 32, new + 32));

	return ~((uint64_t)b << 32 | a);
}

#define XRLE_WIDE 32
static inline void xrle_xor_wide(uint8_t *dst, const uint8_t *a,
				 const uint8_t *b)
{
	_mm256_storeu_si256((__m256i *)dst,
			    _mm256_xor_si256(load(a), load(b)));
}

#include "codec_xrle_impl.h"

const struct xrle_impl xrle_impl_avx2 = {"avx2", encode, decode, copy};

#else

const struct xrle_impl xrle_impl_avx2 = {NULL, NULL, NULL, NULL};

#endif
