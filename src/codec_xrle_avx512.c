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

#include "codec_xrle_256.h"
#include "codec_xrle_impl.h"

const struct xrle_impl xrle_impl_avx512 = {
	"avx512bw", encode, encode_groups, encode_apart, decode,
	decode_apart, copy
};

#else

const struct xrle_impl xrle_impl_avx512 = { .name = NULL };

#endif
