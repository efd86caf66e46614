/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle_256.h - blocks compared, and bytes moved, with vectors of 32 bytes:
 * what the implementations for AVX2 and AVX-512 share.
 *
 * Included once by each of them, in front of codec_xrle_impl.h and behind what
 * brings the instructions.
 */
#include <stdint.h>

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

/* Of four blocks; each is narrowed to four bytes in each half of the vector,
 * which are all 0 if it was: packing saturates. */
static inline __m256i diff_4_blocks(const uint8_t *a, const uint8_t *b)
{
	__m256i first = _mm256_packs_epi32(diff_block(a, b),
					   diff_block(a + 64, b + 64));
	__m256i second = _mm256_packs_epi32(diff_block(a + 128, b + 128),
					    diff_block(a + 192, b + 192));

	return _mm256_packs_epi16(first, second);
}

/* Without a branch on what changed: which blocks do is not to be guessed, and
 * who guesses wrong has to wait for memory once more. */
static inline uint64_t xrle_blocks(const uint8_t *old, const uint8_t *new)
{
	uint64_t blocks = 0;

	for (unsigned int i = 0; i < 64; i += 8, old += 512, new += 512) {
		__m256i a = diff_4_blocks(old, new);
		__m256i b = diff_4_blocks(old + 256, new + 256);
		__m256i all = _mm256_or_si256(
			_mm256_permute2x128_si256(a, b, 0x20),
			_mm256_permute2x128_si256(a, b, 0x31));
		__m256i same = _mm256_cmpeq_epi32(all, _mm256_setzero_si256());
		int bits = _mm256_movemask_ps(_mm256_castsi256_ps(same));

		blocks |= (uint64_t)(uint8_t)~bits << i;
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
