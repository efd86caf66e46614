/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec_xrle.c - XOR-RLE with 64-bit words, and the choice of implementation.
 *
 * The plain version runs anywhere and is the measure of the others.  Wider ones
 * live in files of their own, because they need compiler flags that must not
 * leak into code that runs on every CPU.
 */
#include "codec_xrle.h"

#include <endian.h>
#include <string.h>

static inline uint64_t load_xor(const uint8_t *a, const uint8_t *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x ^ y;
}

static inline uint64_t xrle_blocks(const uint8_t *old, const uint8_t *new)
{
	uint64_t blocks = 0;

	for (unsigned int i = 0; i < 64; i++, old += 64, new += 64) {
		uint64_t x = 0;

		for (unsigned int j = 0; j < 64; j += 8)
			x |= load_xor(old + j, new + j);
		blocks |= (uint64_t)(x != 0) << i;
	}
	return blocks;
}

/* Bit i: byte i of the word is not 0.  The product gathers the eight bits in the
 * top byte. */
static inline uint64_t nonzero_bits(uint64_t x)
{
	return ((nonzero_bytes(x) >> 7) * 0x0102040810204080u) >> 56;
}

static inline uint64_t xrle_diff(const uint8_t *old, const uint8_t *new)
{
	uint64_t d = 0;

	for (unsigned int j = 0; j < 64; j += 8)
		d |= nonzero_bits(le64toh(load_xor(old + j, new + j))) << j;
	return d;
}

#include "codec_xrle_impl.h"

static const struct xrle_impl impl_scalar = {
	"scalar", encode, encode_groups, encode_apart, decode, decode_apart, copy
};

/* In files of their own; without a name when the compiler had no such flags. */
extern const struct xrle_impl xrle_impl_sse2, xrle_impl_avx2, xrle_impl_avx512;

#if defined(__x86_64__) || defined(__i386__)
static bool cpu_has(const struct xrle_impl *impl)
{
	if (impl == &xrle_impl_sse2)
		return __builtin_cpu_supports("sse2");
	return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       (impl == &xrle_impl_avx2
			? __builtin_cpu_supports("avx2")
			: __builtin_cpu_supports("avx512f") &&
				  __builtin_cpu_supports("avx512bw"));
}
#else
static bool cpu_has(const struct xrle_impl *impl)
{
	(void)impl;
	return false;
}
#endif

const struct xrle_impl *const *xrle_impls(size_t *count)
{
	static const struct xrle_impl *const all[] = {
		&impl_scalar, &xrle_impl_sse2, &xrle_impl_avx2,
		&xrle_impl_avx512,
	};

	/* Who has one of them has those before it. */
	*count = 1;
	while (*count < sizeof(all) / sizeof(all[0]) &&
	       all[*count]->name != NULL && cpu_has(all[*count]))
		++*count;
	return all;
}

/* Asked for every page, found out once.  Threads that find it out at the same
 * time find the same. */
static const struct xrle_impl *best(void)
{
	static const struct xrle_impl *found;
	const struct xrle_impl *impl = __atomic_load_n(&found,
						       __ATOMIC_RELAXED);

	if (impl == NULL) {
		size_t n;

		impl = xrle_impls(&n)[n - 1];
		__atomic_store_n(&found, impl, __ATOMIC_RELAXED);
	}
	return impl;
}

int xrle_encode(uint8_t *dst, size_t cap, const uint8_t *old,
		const uint8_t *new, uint64_t *changed)
{
	uint64_t unused;

	return best()->encode(dst, cap, old, new,
			      changed != NULL ? changed : &unused);
}

int xrle_encode_groups(uint8_t *dst, size_t cap, const uint8_t *old,
		       const uint8_t *new, unsigned int groups,
		       uint64_t *changed)
{
	uint64_t unused;

	return best()->encode_groups(dst, cap, old, new, groups,
				     changed != NULL ? changed : &unused);
}

int xrle_encode_apart(uint8_t *lengths, uint8_t *bytes, size_t cap,
		      const uint8_t *old, const uint8_t *new,
		      unsigned int groups, uint64_t *changed,
		      size_t *lengths_bytes)
{
	return best()->encode_apart(lengths, bytes, cap, old, new, groups,
				    changed, lengths_bytes);
}

int xrle_apart_bytes(const uint8_t *lengths, size_t lengths_bytes)
{
	const uint8_t *end = lengths + lengths_bytes;
	unsigned int at = 0, len = 0, sum = 0;

	if (lengths_bytes == 0)
		return -EBADMSG;
	while (lengths != end) {
		if (!get_lengths(&lengths, end, &at, &len))
			return -EBADMSG;
		at += len;
		sum += len;
	}
	return (int)sum;
}

int xrle_decode_apart(uint8_t *page, const uint8_t *lengths,
		      size_t lengths_bytes, const uint8_t *bytes, size_t n)
{
	return best()->decode_apart(page, lengths, lengths_bytes, bytes, n);
}

int xrle_decode(uint8_t *page, const uint8_t *src, size_t len)
{
	return best()->decode(page, src, len);
}

void page_copy(uint8_t *dst, const uint8_t *src)
{
	best()->copy(dst, src);
}

bool page_is_zero(const uint8_t *page)
{
	/* Most pages that are not zero show it early; then, a page whose first
	 * 8 bytes are 0 and that equals itself moved by 8 is 0 throughout. */
	uint64_t first;

	memcpy(&first, page, sizeof(first));
	return first == 0 && memcmp(page, page + sizeof(first),
				    REMUS_PAGE_SIZE - sizeof(first)) == 0;
}

bool page_equal(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, REMUS_PAGE_SIZE) == 0;
}
