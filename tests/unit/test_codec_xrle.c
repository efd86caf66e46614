/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XOR-RLE: every implementation against golden vectors (made by
 * xrle_reference.py), against a plain byte-by-byte encoder, and against bytes
 * that no encoder made.  Source and destination end at a page that cannot be
 * touched, so that one byte too far is a crash.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "codec_xrle.h"
#include "golden_vector.h"

#define PAGE REMUS_PAGE_SIZE
#define ROOM (3 * PAGE)

extern const struct xrle_impl xrle_impl_emulated;

/* All that this CPU can run, and the one that few can, in plain C. */
static const struct xrle_impl *const *impls(size_t *count)
{
	static const struct xrle_impl *all[8];
	const struct xrle_impl *const *own = xrle_impls(count);

	assert_true(*count < sizeof(all) / sizeof(all[0]));
	memcpy(all, own, *count * sizeof(all[0]));
	all[(*count)++] = &xrle_impl_emulated;
	return all;
}

static uint64_t rnd_state = 88172645463325252u;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

/* `bytes` bytes that end where nothing may be read or written.  Kept for the
 * next call with the same index. */
static uint8_t *guarded(unsigned int index, size_t bytes)
{
	static uint8_t *area[4];

	if (area[index] == NULL) {
		area[index] = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(area[index], MAP_FAILED);
		assert_int_equal(mprotect(area[index] + ROOM, PAGE, PROT_NONE),
				 0);
	}
	assert_true(bytes <= ROOM);
	return area[index] + ROOM - bytes;
}

static size_t naive_len(uint8_t *p, size_t v)
{
	if (v < 128) {
		p[0] = (uint8_t)v;
		return 1;
	}
	p[0] = (uint8_t)(v % 128 + 128);
	p[1] = (uint8_t)(v / 128);
	return 2;
}

/* The man page, byte by byte. */
static size_t naive_encode(uint8_t *dst, const uint8_t *old, const uint8_t *new)
{
	size_t used = 0, at = 0, i = 0;

	while (i < PAGE) {
		size_t last, j;

		if (old[i] == new[i]) {
			i++;
			continue;
		}
		for (last = j = i; j < PAGE && j - last <= 3; j++)
			if (old[j] != new[j])
				last = j;
		used += naive_len(dst + used, i - at);
		used += naive_len(dst + used, last + 1 - i);
		for (; i <= last; i++)
			dst[used++] = old[i] ^ new[i];
		at = i;
	}
	return used;
}

/* With old and new where check_pair() has them: the same delta by those groups only
 * in which something changed, by all, and by some more. */
static void check_groups(const struct xrle_impl *impl, const uint8_t *want,
			 size_t bytes, uint64_t blocks)
{
	const uint8_t *old = guarded(0, PAGE), *new = guarded(1, PAGE);
	unsigned int groups[3] = { 0, PAGE_GROUPS_ALL, 0 };
	uint8_t *dst;
	uint64_t changed;

	for (unsigned int i = 0; i < 64; i++)
		groups[0] |= (unsigned int)(blocks >> i & 1)
			     << i * XRLE_BLOCK_BYTES / PAGE_GROUP_BYTES;
	groups[2] = groups[0] | (rnd() & PAGE_GROUPS_ALL);
	for (unsigned int i = 0; i < 3; i++) {
		changed = ~blocks;
		dst = guarded(2, bytes);
		assert_int_equal(impl->encode_groups(dst, bytes, old, new,
						     groups[i], &changed),
				 bytes);
		assert_memory_equal(dst, want, bytes);
		assert_true(changed == blocks);
	}
	changed = ~blocks;
	assert_int_equal(impl->encode_groups(guarded(2, bytes - 1), bytes - 1,
					     old, new, groups[0], &changed),
			 -ENOSPC);
	assert_true(changed == blocks);
	assert_int_equal(impl->encode_groups(guarded(2, 0), 0, old, new, 0,
					     &changed), 0);
	assert_true(changed == 0);
}

/* The naive delta, its lengths and its bytes apart. */
struct apart {
	uint8_t lengths[XRLE_LENGTHS_MAX], bytes[PAGE];
	size_t nlengths, nbytes;
};

static size_t len_of(const uint8_t *p, size_t *v)
{
	*v = p[0] < 128 ? p[0] : p[0] - 128u + 128u * p[1];
	return p[0] < 128 ? 1 : 2;
}

static void take_apart(struct apart *a, const uint8_t *delta, size_t bytes,
		       const uint8_t *new)
{
	size_t at = 0, i = 0, skip, len, n;

	a->nlengths = a->nbytes = 0;
	while (i < bytes) {
		n = len_of(delta + i, &skip);
		n += len_of(delta + i + n, &len);
		memcpy(a->lengths + a->nlengths, delta + i, n);
		a->nlengths += n;
		at += skip;
		memcpy(a->bytes + a->nbytes, new + at, len);
		a->nbytes += len;
		at += len;
		i += n + len;
	}
}

/* As check_groups(). */
static void check_apart(const struct xrle_impl *impl, const struct apart *want,
			uint64_t blocks, unsigned int groups)
{
	const uint8_t *old = guarded(0, PAGE), *new = guarded(1, PAGE);
	uint8_t lengths[XRLE_LENGTHS_MAX + 1], *dst, *page = guarded(3, PAGE);
	size_t all = want->nlengths + want->nbytes, n = 7;
	uint64_t changed = ~blocks;

	lengths[XRLE_LENGTHS_MAX] = 0x5c;
	dst = guarded(2, all);
	assert_int_equal(impl->encode_apart(lengths, dst, all, old, new, groups,
					    &changed, &n), all);
	assert_true(changed == blocks);
	assert_int_equal(n, want->nlengths);
	assert_memory_equal(lengths, want->lengths, n);
	assert_memory_equal(dst, want->bytes, want->nbytes);
	assert_int_equal(lengths[XRLE_LENGTHS_MAX], 0x5c);
	if (all == 0)
		return;
	changed = ~blocks;
	assert_int_equal(impl->encode_apart(lengths, guarded(2, all - 1),
					    all - 1, old, new, groups, &changed,
					    &n), -ENOSPC);
	assert_true(changed == blocks);
	assert_int_equal(lengths[XRLE_LENGTHS_MAX], 0x5c);
	assert_int_equal(xrle_apart_bytes(want->lengths, want->nlengths),
			 want->nbytes);
	memcpy(page, old, PAGE);
	dst = guarded(2, want->nbytes);
	memcpy(dst, want->bytes, want->nbytes);
	assert_int_equal(impl->decode_apart(page, want->lengths,
					    want->nlengths, dst,
					    want->nbytes), 0);
	assert_memory_equal(page, new, PAGE);
	assert_int_equal(impl->decode_apart(page, want->lengths,
					    want->nlengths, dst + 1,
					    want->nbytes - 1), -EBADMSG);
	assert_int_equal(impl->decode_apart(page, want->lengths,
					    want->nlengths, dst - 1,
					    want->nbytes + 1), -EBADMSG);
}

static void check_pair(const uint8_t *old_, const uint8_t *new_)
{
	uint8_t want[PAGE * 2], *old = guarded(0, PAGE), *new = guarded(1, PAGE);
	size_t n, bytes = naive_encode(want, old_, new_);
	const struct xrle_impl *const *all = impls(&n);
	unsigned int groups = 0;
	uint64_t changed, blocks = 0;
	struct apart apart;

	memcpy(old, old_, PAGE);
	memcpy(new, new_, PAGE);
	assert_true(bytes <= xrle_bound());
	take_apart(&apart, want, bytes, new);
	for (size_t at = 0; at < PAGE; at += XRLE_BLOCK_BYTES)
		blocks |= (uint64_t)(memcmp(old + at, new + at,
					    XRLE_BLOCK_BYTES) != 0)
			  << at / XRLE_BLOCK_BYTES;
	for (unsigned int i = 0; i < 64; i++)
		groups |= (unsigned int)(blocks >> i & 1)
			  << i * XRLE_BLOCK_BYTES / PAGE_GROUP_BYTES;
	for (size_t i = 0; i < n; i++) {
		check_apart(all[i], &apart, blocks, groups);
		check_apart(all[i], &apart, blocks, PAGE_GROUPS_ALL);
		/* exactly as much room as it needs, then one byte less */
		uint8_t *dst = guarded(2, bytes), *page = guarded(3, PAGE);
		uint8_t *short_dst;

		changed = ~blocks;
		assert_int_equal(all[i]->encode(dst, bytes, old, new, &changed),
				 bytes);
		assert_memory_equal(dst, want, bytes);
		assert_true(changed == blocks);
		memcpy(page, old, PAGE);
		assert_int_equal(all[i]->decode(page, dst, bytes),
				 bytes > 0 ? 0 : -EBADMSG);
		assert_memory_equal(page, new, PAGE);
		if (bytes == 0)
			continue;
		short_dst = guarded(2, bytes - 1);
		changed = ~blocks;
		assert_int_equal(all[i]->encode(short_dst, bytes - 1, old, new,
						&changed), -ENOSPC);
		assert_true(changed == blocks);
		dst = guarded(2, ROOM);
		memset(dst + XRLE_BOUND, 0x5c, 64);
		assert_int_equal(all[i]->encode(dst, XRLE_BOUND, old, new,
						&changed), bytes);
		assert_memory_equal(dst, want, bytes);
		for (size_t j = 0; j < 64; j++)
			assert_int_equal(dst[XRLE_BOUND + j], 0x5c);
		check_groups(all[i], want, bytes, blocks);
	}
}

static void golden_vectors(void **state)
{
	static struct golden g;
	char path[4096];
	unsigned int seen = 0;
	struct dirent *e;
	DIR *d;

	(void)state;
	golden_dir(path, sizeof(path));
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		uint8_t out[XRLE_BOUND];

		if (e->d_name[0] == '.' || !golden_load(&g, e->d_name) ||
		    g.page_count > 0)
			continue;
		assert_int_equal(xrle_encode(out, sizeof(out), g.old, g.new,
					     NULL),
				 g.data_bytes);
		assert_memory_equal(out, g.data, g.data_bytes);
		assert_int_equal(page_equal(g.old, g.new), g.equal);
		check_pair(g.old, g.new);
		seen++;
	}
	closedir(d);
	assert_true(seen >= 10);
}

static void random_changes(void **state)
{
	uint8_t old[PAGE], new[PAGE];

	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		size_t runs = rnd() % (round % 7 == 0 ? 400 : 12);

		fill_lcg(old, rnd());
		memcpy(new, old, PAGE);
		for (size_t i = 0; i < runs; i++) {
			size_t at = rnd() % PAGE;
			size_t len = 1 + rnd() % (round % 5 == 0 ? 300 : 16);

			for (; len > 0 && at < PAGE; len--, at++)
				new[at] ^= (uint8_t)(rnd() >> 32);
		}
		check_pair(old, new);
	}
}

/* Random bitmaps of changes at each density: every gap and run length. */
static void random_densities(void **state)
{
	uint8_t old[PAGE], new[PAGE];

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		unsigned int density = round % 256;

		fill_lcg(old, round);
		memcpy(new, old, PAGE);
		for (size_t i = 0; i < PAGE; i++)
			if ((rnd() >> 40 & 0xff) < density)
				new[i] ^= 0x80;
		check_pair(old, new);
	}
}

/* Whatever compares more than a byte at once must see each. */
static void every_bit_is_seen(void **state)
{
	uint8_t old[PAGE], new[PAGE], out[XRLE_BOUND];
	size_t n;
	const struct xrle_impl *const *all = impls(&n);
	uint64_t changed;

	(void)state;
	fill_lcg(old, 1);
	memcpy(new, old, PAGE);
	for (size_t bit = 0; bit < PAGE * 8; bit++) {
		size_t at = bit / 8;
		uint8_t flip = (uint8_t)(1u << bit % 8);

		new[at] ^= flip;
		for (size_t i = 0; i < n; i++) {
			int bytes = all[i]->encode(out, sizeof(out), old, new,
						   &changed);

			assert_int_equal(bytes, at < 0x80 ? 3 : 4);
			assert_int_equal(out[bytes - 1], flip);
			assert_true(changed ==
				    (uint64_t)1 << at / XRLE_BLOCK_BYTES);
		}
		new[at] ^= flip;
	}
}

/* Two changes of all small lengths at all distances around each border. */
static void borders(void **state)
{
	uint8_t old[PAGE], new[PAGE];

	(void)state;
	memset(old, 0xff, PAGE);
	for (size_t border = 64; border <= PAGE; border *= 2)
		for (size_t before = 0; before < 6; before++)
			for (size_t gap = 1; gap < 140; gap += gap < 70 ? 1 : 7) {
				size_t at = border - 1 - before;

				memcpy(new, old, PAGE);
				new[at] = 1;
				if (at + gap < PAGE)
					new[at + gap] = 2;
				check_pair(old, new);
			}
}

static void bound_is_reached_and_holds(void **state)
{
	uint8_t old[PAGE], new[PAGE], out[XRLE_BOUND];

	(void)state;
	memset(old, 0, PAGE);
	memset(new, 1, PAGE);
	assert_int_equal(xrle_encode(out, sizeof(out), old, new, NULL),
			 XRLE_BOUND);
	check_pair(old, new);
	assert_int_equal(xrle_encode(out, 0, old, new, NULL), -ENOSPC);
	assert_int_equal(xrle_encode(out, 0, old, old, NULL), 0);
	assert_int_equal(xrle_encode_groups(out, 0, old, old, PAGE_GROUPS_ALL,
					    NULL), 0);
	for (size_t first = 0; first < 300; first++) {
		new[first] = 0;
		check_pair(old, new);
	}
}

/* Each fourth byte: no page has more runs. */
static void most_lengths(void **state)
{
	uint8_t old[PAGE], new[PAGE];

	(void)state;
	memset(old, 0, PAGE);
	for (size_t first = 0; first < 4; first++) {
		memset(new, 0, PAGE);
		for (size_t i = first; i < PAGE; i += 4)
			new[i] = 1;
		check_pair(old, new);
	}
	assert_int_equal(PAGE / 4 * 2 < XRLE_LENGTHS_MAX, 1);
}

static void lengths_that_cannot_be_are_refused(void **state)
{
	static const struct {
		size_t n;
		uint8_t lengths[6];
	} bad[] = {
		{ 0, { 0 } },		       /* none */
		{ 1, { 1 } },		       /* half a pair */
		{ 3, { 1, 1, 1 } },	       /* one and a half */
		{ 2, { 1, 0 } },	       /* nothing changed */
		{ 4, { 1, 1, 0, 1 } },	       /* no gap */
		{ 2, { 1, 0x80 } },	       /* cut */
		{ 3, { 1, 0x81, 0 } },	       /* not the shortest */
		{ 4, { 1, 0x80, 0x80, 1 } },   /* three bytes */
		{ 3, { 0, 0x81, 0x20 } },      /* 4097 changed */
		{ 3, { 1, 0x80, 0x20 } },      /* to behind the page */
		{ 5, { 0xff, 0x1f, 1, 1, 1 } },
	};
	size_t n;
	const struct xrle_impl *const *all = impls(&n);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t *l = guarded(2, bad[i].n), *page = guarded(3, PAGE);

		memcpy(l, bad[i].lengths, bad[i].n);
		assert_int_equal(xrle_apart_bytes(l, bad[i].n), -EBADMSG);
		/* None are none, if no byte belongs to them. */
		for (size_t k = 0; k < n && bad[i].n > 0; k++)
			assert_int_equal(all[k]->decode_apart(
						 page, l, bad[i].n,
						 guarded(0, PAGE), PAGE),
					 -EBADMSG);
	}
}

static void rejected(const uint8_t *src, size_t len)
{
	uint8_t *s = guarded(0, len), *page = guarded(3, PAGE), before[PAGE];
	size_t n;
	const struct xrle_impl *const *all = impls(&n);

	memmove(s, src, len);
	fill_lcg(before, 42);
	for (size_t i = 0; i < n; i++) {
		memcpy(page, before, PAGE);
		assert_int_equal(all[i]->decode(page, s, len), -EBADMSG);
		assert_memory_equal(page, before, PAGE);
	}
}

#define REJECTED(...)                                                         \
	do {                                                                  \
		const uint8_t b_[] = {__VA_ARGS__};                           \
		rejected(b_, sizeof(b_));                                     \
	} while (0)

static void malformed_deltas(void **state)
{
	uint8_t big[PAGE + 8] = {0};

	(void)state;
	rejected(big, 0);
	REJECTED(0x00);
	REJECTED(0x00, 0x01);		     /* no xor byte */
	REJECTED(0x00, 0x00, 0x01);	     /* no change */
	REJECTED(0x00, 0x01, 0x00);	     /* change to the same */
	REJECTED(0x00, 0x02, 0x01, 0x00);    /* run ends unchanged */
	REJECTED(0x00, 0x02, 0x00, 0x01);    /* run begins unchanged */
	REJECTED(0x00, 0x01, 0x01, 0x00);    /* cut in the second pair */
	REJECTED(0x00, 0x01, 0x01, 0x00, 0x01, 0x01); /* runs that touch */
	REJECTED(0x00, 0x01, 0x01, 0x05);
	REJECTED(0x80, 0x00, 0x01, 0x01);    /* 0 in two bytes */
	REJECTED(0xff, 0x00, 0x01, 0x01);    /* 127 in two bytes */
	REJECTED(0x81, 0x80, 0x00, 0x01, 0x01); /* three bytes */
	REJECTED(0x80, 0x80, 0x01, 0x01, 0x01); /* 16384 */
	REJECTED(0x80, 0x20, 0x01, 0x01);    /* offset 4096 */
	REJECTED(0xff, 0x1f, 0x02, 0x01, 0x01); /* 4095 + 2 */
	REJECTED(0xff, 0x7f, 0x01, 0x01);
	REJECTED(0xff, 0x1f, 0x01, 0x01, 0x01, 0x01, 0x01); /* behind the end */
	memset(big, 1, sizeof(big));
	big[0] = 0, big[1] = 0x81, big[2] = 0x20; /* a run of 4097 */
	rejected(big, 3 + 4097);
}

static void last_byte_is_reachable(void **state)
{
	const uint8_t src[] = {0xff, 0x1f, 0x01, 0x80};
	uint8_t *page = guarded(3, PAGE);

	(void)state;
	memset(page, 0, PAGE);
	assert_int_equal(xrle_decode(page, src, sizeof(src)), 0);
	assert_int_equal(page[PAGE - 1], 0x80);
}

/* A delta cut at any byte is refused, unless the cut is between two pairs: then
 * it is another delta. */
static void truncation_at_every_byte(void **state)
{
	uint8_t old[PAGE], new[PAGE], delta[XRLE_BOUND], page[PAGE];
	int bytes, accepted = 0;

	(void)state;
	fill_lcg(old, 11);
	memcpy(new, old, PAGE);
	for (size_t i = 100; i < 4000; i += 130)
		for (size_t j = 0; j < 1 + i % 9; j++)
			new[i + j] ^= 0x11;
	bytes = xrle_encode(delta, sizeof(delta), old, new, NULL);
	assert_true(bytes > 90);
	for (int n = 0; n < bytes; n++) {
		uint8_t *s = guarded(0, (size_t)n), again[XRLE_BOUND];

		memcpy(s, delta, (size_t)n);
		memcpy(page, old, PAGE);
		if (xrle_decode(page, s, (size_t)n) < 0) {
			rejected(s, (size_t)n);
			continue;
		}
		accepted++;
		assert_int_equal(xrle_encode(again, sizeof(again), old, page,
					     NULL), n);
		assert_memory_equal(again, delta, (size_t)n);
	}
	assert_int_equal(accepted, 30 - 1);
}

/* Any bytes: all implementations agree, and refused bytes change nothing. */
static void hostile_bytes(void **state)
{
	uint8_t old[PAGE], src[600], want[PAGE];
	unsigned int accepted = 0;
	size_t n;
	const struct xrle_impl *const *all = impls(&n);

	(void)state;
	fill_lcg(old, 5);
	for (unsigned int round = 0; round < 60000; round++) {
		size_t len = rnd() % (round % 3 == 0 ? sizeof(src) : 12);
		uint8_t *s = guarded(0, len), *page = guarded(3, PAGE);
		int first = 0;

		for (size_t i = 0; i < len; i++)
			s[i] = (uint8_t)(rnd() >> 33) & (round & 1 ? 0xff : 7);
		for (size_t i = 0; i < n; i++) {
			int rc;

			memcpy(page, old, PAGE);
			rc = all[i]->decode(page, s, len);
			if (i == 0) {
				first = rc;
				memcpy(want, page, PAGE);
			}
			assert_int_equal(rc, first);
			assert_memory_equal(page, want, PAGE);
			if (rc < 0)
				assert_memory_equal(page, old, PAGE);
		}
		accepted += first == 0;
	}
	assert_true(accepted > 100);
}

static void bit_flips(void **state)
{
	uint8_t old[PAGE], new[PAGE], delta[XRLE_BOUND], page[PAGE];
	int bytes;

	(void)state;
	fill_lcg(old, 3);
	memcpy(new, old, PAGE);
	for (size_t i = 7; i < PAGE; i += 200)
		new[i] ^= 0x3c, new[i + 3] ^= 1, new[i + 9] ^= 0xff;
	bytes = xrle_encode(delta, sizeof(delta), old, new, NULL);
	assert_true(bytes > 0);
	for (int bit = 0; bit < 8 * bytes; bit++) {
		uint8_t *s = guarded(0, (size_t)bytes);

		memcpy(s, delta, (size_t)bytes);
		s[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(page, old, PAGE);
		if (xrle_decode(page, s, (size_t)bytes) == 0)
			assert_memory_not_equal(page, new, PAGE);
		else
			assert_memory_equal(page, old, PAGE);
	}
}

static void zero_and_equal_pages(void **state)
{
	uint8_t *a = guarded(0, PAGE), *b = guarded(1, PAGE);

	(void)state;
	memset(a, 0, PAGE);
	memset(b, 0, PAGE);
	assert_true(page_is_zero(a));
	assert_true(page_equal(a, b));
	for (size_t i = 0; i < PAGE; i++) {
		a[i] = 0x80;
		assert_false(page_is_zero(a));
		assert_false(page_equal(a, b));
		a[i] = 0;
	}
}

static void pages_are_copied_whole(void **state)
{
	static uint8_t room[PAGE + 64 + 8];
	size_t n;
	const struct xrle_impl *const *all = impls(&n);
	uint8_t *src = guarded(0, PAGE), *end = guarded(1, PAGE);

	(void)state;
	for (size_t i = 0; i < PAGE; i++)
		src[i] = (uint8_t)(i * 167 + i / 256);
	for (size_t k = 0; k < n; k++) {
		for (size_t at = 1; at < 64; at += 7) {
			memset(room, 0x5c, sizeof(room));
			all[k]->copy(room + at, src);
			assert_memory_equal(room + at, src, PAGE);
			assert_int_equal(room[at - 1], 0x5c);
			assert_int_equal(room[at + PAGE], 0x5c);
		}
		memset(end, 0, PAGE);
		all[k]->copy(end, src);
		assert_memory_equal(end, src, PAGE);
	}
	memset(end, 0, PAGE);
	page_copy(end, src);
	assert_memory_equal(end, src, PAGE);
}

static void implementations_are_named(void **state)
{
	size_t n;
	const struct xrle_impl *const *all = xrle_impls(&n);

	(void)state;
	assert_true(n >= 1);
	assert_string_equal(all[0]->name, "scalar");
	for (size_t i = 0; i < n; i++)
		print_message("xrle: %s\n", all[i]->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(implementations_are_named),
		cmocka_unit_test(golden_vectors),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(random_densities),
		cmocka_unit_test(every_bit_is_seen),
		cmocka_unit_test(borders),
		cmocka_unit_test(bound_is_reached_and_holds),
		cmocka_unit_test(most_lengths),
		cmocka_unit_test(lengths_that_cannot_be_are_refused),
		cmocka_unit_test(malformed_deltas),
		cmocka_unit_test(last_byte_is_reachable),
		cmocka_unit_test(truncation_at_every_byte),
		cmocka_unit_test(bit_flips),
		cmocka_unit_test(hostile_bytes),
		cmocka_unit_test(zero_and_equal_pages),
		cmocka_unit_test(pages_are_copied_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
