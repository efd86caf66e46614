/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_avx512.c - XOR-RLE with 64-byte comparisons: one a block, whose
 * result is the bitmap of its bytes.
 *
 * Where blocks are only read, and bytes only moved, vectors of 32 bytes are as
 * good (Intel has not been timed) or better (AMD EPYC, Zen 4: 3 to 8 %).
 *
 * Compiled with -mavx512f -mavx512bw -mbmi -mbmi2 where the compiler has them;
 * codec_xrle.c asks the CPU before it calls anything here.  Without those flags
 * the file offers no implementation.
 */
#include "codec_xrle.h"

extern const struct xrle_impl xrle_impl_avx512;

#if defined(__AVX512BW__) && defined(__BMI__) && defined(__BMI2__)
#include <immintrin.h>
#define XRLE_AVX512
#endif

/* A test on another CPU defines this, and brings the instructions. */
#ifdef XRLE_AVX512

static inline uint64_t xrle_diff(const uint8_t *old, const uint8_t *new)
{
	return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(old),
				       _mm512_loadu_si512(new));
}

static inline __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

/* Ones where the 64 bytes differ, in one half or the other. */
static inline __m256i diff_block(const uint8_t *a, const uint8_t *b)
{
	return _mm256_or_si256(_mm256_xor_si256(load(a), load(b)),
			       _mm256_xor_si256(load(a + 32), load(b + 32)));
}

static inline uint64_t is_other(__m256i diff)
{
	return (uint64_t)!_mm256_testz_si256(diff, diff);
}

/* 256 bytes at a time: on a page that did not change this is all that runs. */
static inline uint64_t xrle_blocks(const uint8_t *old, const uint8_t *new)
{
	uint64_t blocks = 0;

	for (unsigned int i = 0; i < 64; i += 4, old += 256, new += 256) {
		__m256i a = diff_block(old, new);
		__m256i b = diff_block(old + 64, new + 64);
		__m256i c = diff_block(old + 128, new + 128);
		__m256i d = diff_block(old + 192, new + 192);

		if (is_other(_mm256_or_si256(_mm256_or_si256(a, b),
					     _mm256_or_si256(c, d))))
			blocks |= (is_other(a) | is_other(b) << 1 |
				   is_other(c) << 2 | is_other(d) << 3) << i;
	}
	return blocks;
}

#define XRLE_WIDE 32
static inline void xrle_xor_wide(uint8_t *dst, const uint8_t *a,
				 const uint8_t *b)
{
	_mm256_storeu_si256((__m256i *)dst,
			    _mm256_xor_si256(load(a), load(b)));
}

#include "codec_xrle_impl.h"

const struct xrle_impl xrle_impl_avx512 = {"avx512bw", encode, decode, copy};

#else

const struct xrle_impl xrle_impl_avx512 = {NULL, NULL, NULL, NULL};

#endif
