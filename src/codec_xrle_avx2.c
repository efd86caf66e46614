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

#include "codec_xrle_256.h"

static inline uint32_t same_bytes(const uint8_t *a, const uint8_t *b)
{
	return (uint32_t)_mm256_movemask_epi8(
		_mm256_cmpeq_epi8(load(a), load(b)));
}

static inline uint64_t xrle_diff(const uint8_t *old, const uint8_t *new)
{
	return ~((uint64_t)same_bytes(old + 32, new + 32) << 32 |
		 same_bytes(old, new));
}

#include "codec_xrle_impl.h"

const struct xrle_impl xrle_impl_avx2 = {
	"avx2", encode, encode_groups, encode_apart, decode,
	decode_apart, copy
};

#else

const struct xrle_impl xrle_impl_avx2 = { .name = NULL };

#endif
