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

static inline __m256i _mm256_setzero_si256(void)
{
	return (__m256i){.w = {0}};
}

static inline int32_t saturated(int32_t v, int32_t max)
{
	if (v > max)
		return max;
	return v < -max - 1 ? -max - 1 : v;
}

/* In each half: of x, then of y. */
static inline __m256i _mm256_packs_epi32(__m256i x, __m256i y)
{
	int32_t from[2][8];
	int16_t to[16];

	memcpy(from[0], &x, sizeof(x));
	memcpy(from[1], &y, sizeof(y));
	for (unsigned int i = 0; i < 16; i++)
		to[i] = (int16_t)saturated(from[i / 4 % 2][i / 8 * 4 + i % 4],
					   INT16_MAX);
	memcpy(&x, to, sizeof(x));
	return x;
}

static inline __m256i _mm256_packs_epi16(__m256i x, __m256i y)
{
	int16_t from[2][16];
	int8_t to[32];

	memcpy(from[0], &x, sizeof(x));
	memcpy(from[1], &y, sizeof(y));
	for (unsigned int i = 0; i < 32; i++)
		to[i] = (int8_t)saturated(from[i / 8 % 2][i / 16 * 8 + i % 8],
					  INT8_MAX);
	memcpy(&x, to, sizeof(x));
	return x;
}

/* Bits 0 and 1 of `which` choose the low half, bits 4 and 5 the high one. */
static inline __m256i _mm256_permute2x128_si256(__m256i x, __m256i y,
						unsigned int which)
{
	const uint64_t halves[4][2] = {
		{x.w[0], x.w[1]}, {x.w[2], x.w[3]},
		{y.w[0], y.w[1]}, {y.w[2], y.w[3]},
	};
	__m256i v;

	memcpy(v.w, halves[which & 3], sizeof(halves[0]));
	memcpy(v.w + 2, halves[which >> 4 & 3], sizeof(halves[0]));
	return v;
}

static inline __m256i _mm256_cmpeq_epi32(__m256i x, __m256i y)
{
	uint32_t a[8], b[8];

	memcpy(a, &x, sizeof(x));
	memcpy(b, &y, sizeof(y));
	for (unsigned int i = 0; i < 8; i++)
		a[i] = a[i] == b[i] ? UINT32_MAX : 0;
	memcpy(&x, a, sizeof(x));
	return x;
}

static inline __m256i _mm256_castsi256_ps(__m256i x)
{
	return x;
}

static inline int _mm256_movemask_ps(__m256i x)
{
	uint32_t a[8];
	uint32_t mask = 0;

	memcpy(a, &x, sizeof(x));
	for (unsigned int i = 0; i < 8; i++)
		mask |= a[i] >> 31 << i;
	return (int)mask;
}

#endif
