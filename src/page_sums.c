/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_sums.c - see page_sums.h: the definition, and the choice. */
#include "page_sums.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* x^4 + x^3 + x + 1: what x^64 is in the field */
#define REDUCED 0x1bu

static uint64_t word_at(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return le64toh(w);
}

static uint64_t product(uint64_t a, uint64_t b)
{
	uint64_t r = 0;

	for (; b != 0; b >>= 1) {
		r ^= a & -(b & 1);
		a = a << 1 ^ (REDUCED & -(a >> 63));
	}
	return r;
}

static uint64_t sum(const uint64_t *key, const uint8_t *group)
{
	uint64_t s = 0;

	for (size_t i = 0; i < PAGE_GROUP_BYTES / 8; i += 2)
		s ^= product(word_at(group + 8 * i) ^ key[i],
			     word_at(group + 8 * i + 8) ^ key[i + 1]);
	return s;
}

static unsigned int sums(struct page_sums *out, const struct page_sums_key *key,
			 const uint8_t *page, const struct page_sums *kept)
{
	unsigned int groups = 0;

	for (unsigned int i = 0; i < PAGE_GROUPS; i++) {
		out->of[i] = sum(key->words, page + i * PAGE_GROUP_BYTES);
		groups |= (unsigned int)(out->of[i] != kept->of[i]) << i;
	}
	return groups;
}

static const struct page_sums_impl impl_plain = { "plain", sums };

/* In files of their own; without a name when the compiler had no such flags. */
extern const struct page_sums_impl page_sums_impl_avx2, page_sums_impl_avx512;

#if defined(__x86_64__) || defined(__i386__)
static bool cpu_has(const struct page_sums_impl *impl)
{
	return __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("vpclmulqdq") &&
	       (impl == &page_sums_impl_avx2 ||
		__builtin_cpu_supports("avx512f"));
}
#else
static bool cpu_has(const struct page_sums_impl *impl)
{
	(void)impl;
	return false;
}
#endif

const struct page_sums_impl *const *page_sums_impls(size_t *count)
{
	static const struct page_sums_impl *const known[] = {
		&impl_plain, &page_sums_impl_avx2, &page_sums_impl_avx512,
	};

	/* Who has one of them has those before it. */
	*count = 1;
	while (*count < sizeof(known) / sizeof(known[0]) &&
	       known[*count]->name != NULL && cpu_has(known[*count]))
		++*count;
	return known;
}

page_sums_fn *page_sums_fast(void)
{
	size_t n;
	const struct page_sums_impl *const *impls = page_sums_impls(&n);

	return n > 1 ? impls[n - 1]->sums : NULL;
}

int page_sums_new_key(struct page_sums_key *key)
{
	uint8_t *at = (uint8_t *)key->words;
	size_t left = sizeof(key->words);

	while (left > 0) {
		ssize_t n = getrandom(at, left, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}
