/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_sums_avx2.c - page_sums.h with two products at a time, in 32-byte vectors.
 *
 * Compiled with -mavx2 -mvpclmulqdq where the compiler has them; page_sums.c asks
 * the CPU before it calls anything here.  Without those flags the file offers no
 * implementation.
 */
#include "page_sums.h"

extern const struct page_sums_impl page_sums_impl_avx2;

#if defined(__AVX2__) && defined(__VPCLMULQDQ__)

#include <immintrin.h>

#define VECTORS (PAGE_GROUP_BYTES / 32)

static inline __m256i products(const uint8_t *p, __m256i key)
{
	__m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)p),
				     key);

	return _mm256_clmulepi64_epi128(v, v, 0x10);
}

static inline __m128i add_lanes(__m256i v)
{
	return _mm_xor_si128(_mm256_castsi256_si128(v),
			     _mm256_extracti128_si256(v, 1));
}

/* As in page_sums_avx512.c. */
static inline __m256i reduced(__m256i v)
{
	const __m256i by = _mm256_set1_epi64x(0x1b);
	__m256i once = _mm256_clmulepi64_epi128(v, by, 0x01);
	__m256i twice = _mm256_clmulepi64_epi128(once, by, 0x01);

	return _mm256_xor_si256(v, _mm256_xor_si256(once, twice));
}

/* In 128 bits. */
static inline __m128i wide_sum(const uint8_t *group, const __m256i *k)
{
	__m256i a = products(group, k[0]), b = products(group + 32, k[1]);

	for (size_t i = 2; i < VECTORS; i += 2) {
		a = _mm256_xor_si256(a, products(group + 32 * i, k[i]));
		b = _mm256_xor_si256(b, products(group + 32 * i + 32,
						 k[i + 1]));
	}
	return add_lanes(_mm256_xor_si256(a, b));
}

static unsigned int sums(struct page_sums *out, const struct page_sums_key *key,
			 const uint8_t *page, const struct page_sums *kept)
{
	const __m256i *k = (const __m256i *)key->words;
	const uint8_t *end = page + REMUS_PAGE_SIZE;
	__m128i wide[PAGE_GROUPS] __attribute__((aligned(64)));
	unsigned int groups = 0;

	for (__m128i *w = wide; page != end; page += PAGE_GROUP_BYTES, w++) {
		*w = wide_sum(page, k);
		PAGE_SUMS_ROLLED_UP(page);
	}
	for (size_t i = 0; i < PAGE_GROUPS; i += 4) {
		const __m256i *w = (const __m256i *)(wide + i);
		/* 0 2 1 3 */
		__m256i s = _mm256_unpacklo_epi64(reduced(w[0]), reduced(w[1]));
		__m256i same;

		s = _mm256_permute4x64_epi64(s, 0xd8);
		_mm256_store_si256((__m256i *)(out->of + i), s);
		same = _mm256_cmpeq_epi64(
			s, _mm256_load_si256((const __m256i *)(kept->of + i)));
		groups |= ((unsigned int)_mm256_movemask_pd(
				   _mm256_castsi256_pd(same)) ^ 0xf) << i;
	}
	return groups;
}

const struct page_sums_impl page_sums_impl_avx2 = { "avx2", sums };

#else

const struct page_sums_impl page_sums_impl_avx2 = { NULL, NULL };

#endif
