/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * avx512_in_c.h - the instructions that codec_xrle_avx512.c uses, in plain C, so
 * that its results are tested on processors without them.
 */
#ifndef REMUS_AVX512_IN_C_H
#define REMUS_AVX512_IN_C_H

#include <stdint.h>
#include <string.h>

struct emulated_m512 {
	uint8_t b[64];
};

static inline struct emulated_m512 _mm512_loadu_si512(const void *p)
{
	struct emulated_m512 v;

	memcpy(v.b, p, sizeof(v.b));
	return v;
}

static inline uint64_t _mm512_cmpneq_epi8_mask(struct emulated_m512 x,
					       struct emulated_m512 y)
{
	uint64_t mask = 0;

	for (unsigned int i = 0; i < 64; i++)
		mask |= (uint64_t)(x.b[i] != y.b[i]) << i;
	return mask;
}

typedef struct emulated_m256 {
	uint64_t w[4];
} __attribute__((packed)) __m256i;

static inline __m256i _mm256_loadu_si256(const __m256i *p)
{
	return *p;
}

static inline void _mm256_storeu_si256(__m256i *p, __m256i v)
{
	*p = v;
}

static inline __m256i _mm256_xor_si256(__m256i x, __m256i y)
{
	for (unsigned int i = 0; i < 4; i++)
		x.w[i] ^= y.w[i];
	return x;
}

static inline __m256i _mm256_or_si256(__m256i x, __m256i y)
{
	for (unsigned int i = 0; i < 4; i++)
		x.w[i] |= y.w[i];
	return x;
}

/* 1: x & y has no bit set */
static inline int _mm256_testz_si256(__m256i x, __m256i y)
{
	uint64_t any = 0;

	for (unsigned int i = 0; i < 4; i++)
		any |= x.w[i] & y.w[i];
	return any == 0;
}

#endif
