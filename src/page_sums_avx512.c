/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_sums_avx512.c - page_sums.h with four products at a time, in 64-byte
 * vectors.
 *
 * Compiled with -mavx512f -mvpclmulqdq where the compiler has them; page_sums.c
 * asks the CPU before it calls anything here.  Without those flags the file offers
 * no implementation.
 */
#include "page_sums.h"

extern const struct page_sums_impl page_sums_impl_avx512;

#if defined(__AVX512F__) && defined(__VPCLMULQDQ__)

#include <immintrin.h>

/* (m[0] + k[0]) (m[1] + k[1]), as 128 bits, in each of four lanes. */
static inline __m512i products(const uint8_t *p, __m512i key)
{
	__m512i v = _mm512_xor_si512(_mm512_loadu_si512(p), key);

	return _mm512_clmulepi64_epi128(v, v, 0x10);
}

static inline __m128i add_lanes(__m512i v)
{
	__m256i w = _mm256_xor_si256(_mm512_castsi512_si256(v),
				     _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(w),
			     _mm256_extracti128_si256(w, 1));
}

/* Of the 128 bits in each lane, reduced; in its lower half.  The upper half times
 * what x^64 is has up to 67 bits, whose upper half goes the same way. */
static inline __m512i reduced(__m512i v)
{
	const __m512i by = _mm512_set1_epi64(0x1b);
	__m512i once = _mm512_clmulepi64_epi128(v, by, 0x01);
	__m512i twice = _mm512_clmulepi64_epi128(once, by, 0x01);

	return _mm512_xor_si512(v, _mm512_xor_si512(once, twice));
}

struct keys {
	__m512i k[4];
};

static inline struct keys load(const struct page_sums_key *key)
{
	struct keys k;

	for (size_t i = 0; i < 4; i++)
		k.k[i] = _mm512_load_si512(key->words + 8 * i);
	return k;
}

/* In 128 bits. */
static inline __m128i wide_sum(const uint8_t *group, const struct keys *k)
{
	__m512i a = _mm512_xor_si512(products(group, k->k[0]),
				     products(group + 64, k->k[1]));
	__m512i b = _mm512_xor_si512(products(group + 128, k->k[2]),
				     products(group + 192, k->k[3]));

	return add_lanes(_mm512_xor_si512(a, b));
}

static unsigned int sums(struct page_sums *out, const struct page_sums_key *key,
			 const uint8_t *page, const struct page_sums *kept)
{
	const __m512i lower = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
	const struct keys k = load(key);
	const uint8_t *end = page + REMUS_PAGE_SIZE;
	__m128i wide[PAGE_GROUPS] __attribute__((aligned(64)));
	unsigned int groups = 0;

	for (__m128i *w = wide; page != end; page += PAGE_GROUP_BYTES, w++) {
		*w = wide_sum(page, &k);
		PAGE_SUMS_ROLLED_UP(page);
	}
	for (size_t i = 0; i < PAGE_GROUPS; i += 8) {
		__m512i s = _mm512_permutex2var_epi64(
			reduced(_mm512_load_si512(wide + i)), lower,
			reduced(_mm512_load_si512(wide + i + 4)));

		_mm512_store_si512(out->of + i, s);
		groups |= (unsigned int)_mm512_cmpneq_epi64_mask(
				  s, _mm512_load_si512(kept->of + i)) << i;
	}
	return groups;
}

const struct page_sums_impl page_sums_impl_avx512 = { "avx512", sums };

#else

const struct page_sums_impl page_sums_impl_avx512 = { NULL, NULL };

#endif
