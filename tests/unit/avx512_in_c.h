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

static inline void _mm512_storeu_si512(void *p, struct emulated_m512 v)
{
	memcpy(p, v.b, sizeof(v.b));
}

static inline struct emulated_m512 _mm512_xor_si512(struct emulated_m512 x,
						    struct emulated_m512 y)
{
	for (unsigned int i = 0; i < 64; i++)
		x.b[i] ^= y.b[i];
	return x;
}

static inline uint64_t _mm512_cmpneq_epi8_mask(struct emulated_m512 x,
					       struct emulated_m512 y)
{
	uint64_t mask = 0;

	for (unsigned int i = 0; i < 64; i++)
		mask |= (uint64_t)(x.b[i] != y.b[i]) << i;
	return mask;
}

#endif
