/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_avx512.c - XOR-RLE with 64-byte vectors: one a block.
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

/* A test on another CPU defines this, and brings the four instructions. */
#ifdef XRLE_AVX512

static inline uint64_t xrle_diff(const uint8_t *old, const uint8_t *new)
{
	return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(old),
				       _mm512_loadu_si512(new));
}

/* 256 bytes at a time: on a page that did not change this is all that runs. */
static inline uint64_t xrle_blocks(const uint8_t *old, const uint8_t *new)
{
	uint64_t blocks = 0;

	for (unsigned int i = 0; i < 64; i += 4, old += 256, new += 256) {
		uint64_t a = xrle_diff(old, new);
		uint64_t b = xrle_diff(old + 64, new + 64);
		uint64_t c = xrle_diff(old + 128, new + 128);
		uint64_t d = xrle_diff(old + 192, new + 192);

		if ((a | b | c | d) != 0)
			blocks |= ((uint64_t)(a != 0) | (uint64_t)(b != 0) << 1 |
				   (uint64_t)(c != 0) << 2 |
				   (uint64_t)(d != 0) << 3) << i;
	}
	return blocks;
}

#define XRLE_WIDE 64
static inline void xrle_xor_wide(uint8_t *dst, const uint8_t *a,
				 const uint8_t *b)
{
	_mm512_storeu_si512(dst, _mm512_xor_si512(_mm512_loadu_si512(a),
						  _mm512_loadu_si512(b)));
}

#include "codec_xrle_impl.h"

const struct xrle_impl xrle_impl_avx512 = {"avx512bw", encode, decode, copy};

#else

const struct xrle_impl xrle_impl_avx512 = {NULL, NULL, NULL, NULL};

#endif
