/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page records: golden payloads (xrle_reference.py), what the writer chooses,
 * where it stops, and a reader that any bytes may be given to.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden_vector.h"
#include "page_record.h"
#include "wire.h"

#define PAGE REMUS_PAGE_SIZE

static const uint8_t zero_page[PAGE];
static const uint8_t garbage[PAGE] = { 0xa5, 1, 2 };
static uint8_t buf[WIRE_PAYLOAD_MAX + 4096];

static void golden_payload(const char *name, unsigned int pages)
{
	static struct golden g;
	struct page_writer w;
	struct page_reader r;
	struct page_record rec;

	assert_true(golden_load(&g, name));
	assert_int_equal(g.page_count, pages);
	page_writer_init(&w, buf, sizeof(buf));
	page_reader_init(&r, g.data, g.data_bytes, g.npages);
	for (unsigned int i = 0; i < pages; i++) {
		struct golden_page *p = &g.page[i];
		enum page_kind kind;

		assert_int_equal(page_writer_add(&w, p->gfn, p->old, p->new,
						 PAGE_ALLOW_ALL, &kind), 0);
		assert_string_equal(page_kind_to_str(kind), p->kind);
		assert_int_equal(page_reader_next(&r, &rec), 1);
		assert_int_equal(rec.gfn, p->gfn);
		assert_string_equal(page_kind_to_str(rec.kind), p->kind);
		assert_int_equal(page_record_apply(&rec, p->old), 0);
		assert_memory_equal(p->old, p->new, PAGE);
	}
	assert_int_equal(page_reader_next(&r, &rec), 0);
	assert_int_equal(page_reader_next(&r, &rec), 0);
	assert_int_equal(page_writer_bytes(&w), g.data_bytes);
	assert_memory_equal(buf, g.data, g.data_bytes);
}

static void golden_payloads(void **state)
{
	(void)state;
	golden_payload("records_manual.txt", 4);
	golden_payload("records_gaps.txt", 6);
}

static void chooses(const uint8_t *old, const uint8_t *new, unsigned int kinds,
		    enum page_kind want)
{
	struct page_writer w;
	struct page_reader r;
	struct page_record rec;
	enum page_kind kind = PAGE_KINDS;
	uint8_t page[PAGE];

	page_writer_init(&w, buf, sizeof(buf));
	assert_int_equal(page_writer_add(&w, 5, old, new, kinds, &kind), 0);
	assert_int_equal(kind, want);
	for (unsigned int k = 0; k < PAGE_KINDS; k++)
		assert_int_equal(w.records[k], k == want);
	page_reader_init(&r, buf, page_writer_bytes(&w), 6);
	assert_int_equal(page_reader_next(&r, &rec), 1);
	assert_int_equal(rec.kind, want);
	memcpy(page, old != NULL ? old : zero_page, PAGE);
	assert_int_equal(page_record_apply(&rec, page), 0);
	assert_memory_equal(page, new, PAGE);
	assert_int_equal(page_reader_next(&r, &rec), 0);
	memcpy(page, old != NULL ? old : garbage, PAGE);
	page_writer_update(&w, page, new);
	assert_memory_equal(page, new, PAGE);
}

static void writer_takes_the_best_kind(void **state)
{
	uint8_t a[PAGE], b[PAGE], other[PAGE];
	const unsigned int same = 1u << PAGE_SAME, zero = 1u << PAGE_ZERO;

	(void)state;
	fill_lcg(a, 1);
	fill_lcg(other, 2);
	memcpy(b, a, PAGE);
	b[77] ^= 1;
	chooses(a, a, PAGE_ALLOW_ALL, PAGE_SAME);
	chooses(zero_page, zero_page, PAGE_ALLOW_ALL, PAGE_SAME);
	chooses(a, b, PAGE_ALLOW_ALL, PAGE_DELTA);
	chooses(a, zero_page, PAGE_ALLOW_ALL, PAGE_ZERO);
	chooses(a, other, PAGE_ALLOW_ALL, PAGE_RAW);
	chooses(NULL, a, PAGE_ALLOW_ALL, PAGE_RAW);
	chooses(NULL, zero_page, PAGE_ALLOW_ALL, PAGE_ZERO);
	/* not allowed, not taken */
	chooses(a, a, PAGE_ALLOW_RAW, PAGE_RAW);
	chooses(a, b, PAGE_ALLOW_RAW, PAGE_RAW);
	chooses(a, zero_page, PAGE_ALLOW_RAW, PAGE_RAW);
	chooses(a, zero_page, 0, PAGE_RAW);
	chooses(a, b, same | zero, PAGE_RAW);
	chooses(a, a, same | zero, PAGE_SAME);
	chooses(a, a, PAGE_ALLOW_ALL & ~same, PAGE_RAW);
	chooses(zero_page, zero_page, PAGE_ALLOW_ALL & ~same, PAGE_ZERO);
}

/* A delta is taken up to the last length at which it is shorter. */
/* By deltas of one and two bytes of length, and by copies. */
static void writer_updates_the_old_page(void **state)
{
	uint8_t old[PAGE], new[PAGE];
	struct page_writer w;

	(void)state;
	page_writer_init(&w, buf, sizeof(buf));
	fill_lcg(old, 1);
	memcpy(new, old, PAGE);
	for (unsigned int i = 0; i < 180; i++) {
		uint8_t page[PAGE];

		new[i * 21] ^= 0x3c;
		assert_int_equal(page_writer_add(&w, i, old, new,
						 PAGE_ALLOW_ALL, NULL), 0);
		memcpy(page, old, PAGE);
		page_writer_update(&w, page, new);
		assert_memory_equal(page, new, PAGE);
	}
	assert_int_equal(w.records[PAGE_DELTA], 180);
}

static void delta_only_while_shorter(void **state)
{
	uint8_t a[PAGE], b[PAGE];

	(void)state;
	fill_lcg(a, 1);
	for (size_t changed = PAGE - 12; changed <= PAGE; changed++) {
		size_t delta = 1 + 2 + changed;

		memcpy(b, a, PAGE);
		for (size_t i = 0; i < changed; i++)
			b[i] ^= i % 64 == 9 || i % 64 == 10 ? 0 : 0x55;
		chooses(a, b, PAGE_ALLOW_ALL,
			delta + 2 < PAGE ? PAGE_DELTA : PAGE_RAW);
		if (delta + 2 < PAGE)
			assert_true(delta <= PAGE_DELTA_MAX);
	}
}

/* Short deltas have one byte of length, long ones two. */
/* Of a page that changed here and there all over, with any stride, the delta is
 * taken; a page of other content is not compared to its end. */
static void rewritten_is_what_differs_everywhere(void **state)
{
	uint8_t a[PAGE], b[PAGE];

	(void)state;
	fill_lcg(a, 1);
	for (size_t stride = 16; stride <= PAGE; stride *= 2)
		for (size_t first = 0; first < stride; first += 8) {
			memcpy(b, a, PAGE);
			for (size_t i = first; i < PAGE; i += stride)
				for (size_t j = 0; j < 8; j++)
					b[i + j] ^= 0x55;
			chooses(a, b, PAGE_ALLOW_ALL, PAGE_DELTA);
		}
	for (size_t changed = PAGE / 8; changed < PAGE; changed += 8) {
		memcpy(b, a, PAGE);
		for (size_t i = 0; i < changed; i++)
			b[i] ^= 0x55;
		if (changed < PAGE - 32)
			chooses(a, b, PAGE_ALLOW_ALL, PAGE_DELTA);
	}
	fill_lcg(b, 2);
	memcpy(b + 512, a + 512, 8);
	chooses(a, b, PAGE_ALLOW_ALL, PAGE_RAW);
}

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* What is known of the groups saves work, and changes nothing: pages of all kinds
 * behind each other, each with a few groups changed or all, in part or wholly. */
static void groups_make_the_same_payload(void **state)
{
	static uint8_t other[sizeof(buf)];
	static uint8_t old[PAGE], new[PAGE];
	const unsigned int kinds[] = {
		PAGE_ALLOW_ALL, PAGE_ALLOW_ALL & ~(1u << PAGE_DELTA),
		PAGE_ALLOW_ALL & ~(1u << PAGE_SAME), PAGE_ALLOW_RAW,
	};
	uint64_t records[PAGE_KINDS] = { 0 };

	(void)state;
	for (unsigned int k = 0; k < 4; k++) {
		struct page_writer w, v;

		page_writer_init(&w, buf, sizeof(buf));
		page_writer_init(&v, other, sizeof(other));
		for (unsigned int i = 0; i < 2000; i++) {
			unsigned int groups = 0, many = rnd() % 4;
			enum page_kind kind[2];
			int rc;

			fill_lcg(old, i % 9 == 0 ? rnd() : 1);
			memcpy(new, old, PAGE);
			if (many == 3)
				groups = PAGE_GROUPS_ALL & ~(1u << rnd() % 32);
			for (; many == 1 || many == 2; many--)
				groups |= 1u << rnd() % PAGE_GROUPS;
			for (unsigned int g = 0; g < PAGE_GROUPS; g++) {
				uint8_t *at = new + g * PAGE_GROUP_BYTES;
				size_t n = i % 3 == 0 ? PAGE_GROUP_BYTES
						      : 1 + rnd() % 20;

				for (; (groups >> g & 1) && n > 0; n--)
					at[n - 1] ^= 0x55;
			}
			if (i % 31 == 0) {
				memset(new, 0, PAGE);
				groups = PAGE_GROUPS_ALL;
			}
			rc = page_writer_add(&w, i, old, new, kinds[k],
					     &kind[0]);
			assert_int_equal(page_writer_add_groups(
						 &v, i, old, new, groups,
						 kinds[k], &kind[1]), rc);
			if (rc < 0) {
				assert_int_equal(rc, -ENOSPC);
				page_writer_init(&w, buf, sizeof(buf));
				page_writer_init(&v, other, sizeof(other));
				continue;
			}
			assert_int_equal(kind[0], kind[1]);
			assert_int_equal(page_writer_bytes(&w),
					 page_writer_bytes(&v));
			records[kind[0]]++;
			page_writer_update(&v, old, new);
			assert_memory_equal(old, new, PAGE);
		}
		assert_memory_equal(buf, other, page_writer_bytes(&w));
	}
	for (unsigned int k = 0; k < PAGE_KINDS; k++)
		assert_true(records[k] > 100);
}

static void length_of_delta_in_one_and_two_bytes(void **state)
{
	uint8_t a[PAGE], b[PAGE];

	(void)state;
	fill_lcg(a, 1);
	for (size_t changed = 120; changed < 132; changed++) {
		memcpy(b, a, PAGE);
		for (size_t i = 0; i < changed; i++)
			b[i] ^= 0x55;
		chooses(a, b, PAGE_ALLOW_ALL, PAGE_DELTA);
	}
}

static void writer_stops_before_the_end(void **state)
{
	struct page_writer w;
	uint8_t page[PAGE], *small;
	size_t bytes;

	(void)state;
	fill_lcg(page, 3);
	for (size_t cap = 0; cap < PAGE_WRITER_CAP_MIN; cap += 37) {
		page_writer_init(&w, buf, cap);
		assert_int_equal(page_writer_add(&w, 0, NULL, page,
						 PAGE_ALLOW_ALL, NULL),
				 -ENOSPC);
		assert_int_equal(page_writer_bytes(&w), 0);
	}
	/* The far end of what fits; malloc, so that ASan sees its border. */
	small = malloc(PAGE_WRITER_CAP_MIN);
	assert_non_null(small);
	page_writer_init(&w, small, PAGE_WRITER_CAP_MIN);
	assert_int_equal(page_writer_add(&w, PAGE_GFN_MAX - 2, NULL, page,
					 PAGE_ALLOW_ALL, NULL), 0);
	bytes = page_writer_bytes(&w);
	assert_true(bytes <= PAGE_WRITER_CAP_MIN);
	assert_int_equal(page_writer_add(&w, PAGE_GFN_MAX - 1, NULL, page,
					 PAGE_ALLOW_ALL, NULL), -ENOSPC);
	assert_int_equal(page_writer_bytes(&w), bytes);
	free(small);
}

static void payload_is_at_most_a_frame(void **state)
{
	struct page_writer w;
	uint8_t page[PAGE];
	gfn_t gfn = 0;

	(void)state;
	fill_lcg(page, 3);
	page_writer_init(&w, buf, sizeof(buf));
	while (page_writer_add(&w, gfn, NULL, page, PAGE_ALLOW_RAW, NULL) == 0)
		gfn++;
	assert_true(page_writer_bytes(&w) <= WIRE_PAYLOAD_MAX);
	assert_int_equal(gfn, WIRE_PAYLOAD_MAX / (PAGE + 1));
}

static void writer_refuses_a_gfn_out_of_order(void **state)
{
	struct page_writer w;
	size_t bytes;

	(void)state;
	page_writer_init(&w, buf, sizeof(buf));
	assert_int_equal(page_writer_add(&w, PAGE_GFN_MAX, NULL, zero_page,
					 PAGE_ALLOW_ALL, NULL), -EINVAL);
	assert_int_equal(page_writer_add(&w, 9, NULL, zero_page,
					 PAGE_ALLOW_ALL, NULL), 0);
	bytes = page_writer_bytes(&w);
	assert_int_equal(page_writer_add(&w, 9, NULL, zero_page,
					 PAGE_ALLOW_ALL, NULL), -EINVAL);
	assert_int_equal(page_writer_add(&w, 8, NULL, zero_page,
					 PAGE_ALLOW_ALL, NULL), -EINVAL);
	assert_int_equal(page_writer_bytes(&w), bytes);
}

/* Idle-like epochs: about one byte for a page's place. */
static void gaps_of_all_sizes(void **state)
{
	static const gfn_t gaps[] = {0, 1, 61, 62, 63, 64, 190, 191, 192, 16446,
				     16447, 1 << 20, (gfn_t)1 << 40};
	struct page_writer w;
	struct page_reader r;
	struct page_record rec;
	gfn_t gfn = 0;
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		page_writer_init(&w, buf, sizeof(buf));
		gfn = gaps[i];
		for (int n = 0; n < 4; n++, gfn += 1 + gaps[i])
			assert_int_equal(page_writer_add(&w, gfn, NULL,
							 zero_page,
							 PAGE_ALLOW_ALL, NULL),
					 0);
		page_reader_init(&r, buf, page_writer_bytes(&w), PAGE_GFN_MAX);
		gfn = gaps[i];
		while ((rc = page_reader_next(&r, &rec)) == 1) {
			assert_int_equal(rec.gfn, gfn);
			gfn += 1 + gaps[i];
		}
		assert_int_equal(rc, 0);
		assert_int_equal(gfn, 5 * gaps[i] + 4);
	}
}

/* Reads all; the copy has its exact size: ASan sees one byte too far. */
static int read_all(const uint8_t *src, size_t len, uint64_t npages)
{
	uint8_t *copy = malloc(len + 1), page[PAGE] = {0};
	struct page_reader r;
	struct page_record rec;
	gfn_t last = 0;
	int rc, n = 0;

	assert_non_null(copy);
	memcpy(copy + 1, src, len);
	page_reader_init(&r, copy + 1, len, npages);
	while ((rc = page_reader_next(&r, &rec)) == 1) {
		assert_true(rec.gfn < npages);
		assert_true(n == 0 || rec.gfn > last);
		assert_true(rec.data_bytes == 0 ||
			    (rec.data >= copy + 1 &&
			     rec.data + rec.data_bytes <= copy + 1 + len));
		last = rec.gfn;
		n++;
		if (page_record_apply(&rec, page) < 0) {
			rc = -EBADMSG;
			break;
		}
	}
	if (rc < 0)
		assert_int_equal(rc, -EBADMSG);
	free(copy);
	return rc < 0 ? rc : n;
}

#define READ(npages, ...)                                                     \
	read_all((const uint8_t[]){__VA_ARGS__},                              \
		 sizeof((const uint8_t[]){__VA_ARGS__}), npages)
#define REJECTED(...) assert_int_equal(READ(1024, __VA_ARGS__), -EBADMSG)

static void malformed_payloads(void **state)
{
	(void)state;
	assert_int_equal(READ(1024, 1, 0, 0x40), 1);
	assert_int_equal(read_all(buf, 0, 1024), -EBADMSG);
	REJECTED(1);
	REJECTED(1, 0);			   /* no record */
	REJECTED(0, 0, 0x40);		   /* versions */
	REJECTED(2, 0, 0x40);
	REJECTED(1, 0, 0x41);		   /* a gap in the first record */
	REJECTED(1, 0, 0x7f, 0x00);
	REJECTED(1, 0x80, 0x00, 0x40);	   /* 0 in two bytes */
	REJECTED(1, 0, 0x40, 0x7f);	   /* no more_gap */
	REJECTED(1, 0, 0x40, 0x7f, 0x80);
	REJECTED(1, 0, 0x40, 0x7f, 0x81, 0x00);
	assert_int_equal(READ(1024, 1, 0, 0x40, 0x7f, 0x00), 2);
	REJECTED(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0);
	/* gfn bounds */
	assert_int_equal(READ(8, 1, 7, 0x40), 1);
	assert_int_equal(READ(7, 1, 7, 0x40), -EBADMSG);
	assert_int_equal(READ(8, 1, 6, 0x40, 0x40), 2);
	assert_int_equal(READ(7, 1, 6, 0x40, 0x40), -EBADMSG);
	assert_int_equal(READ(0, 1, 0, 0x40), -EBADMSG);
	assert_int_equal(READ(UINT64_MAX, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			      0xff, 0x7f, 0x40), -EBADMSG);
	/* deltas: short, long, cut, with bytes left over */
	assert_int_equal(READ(1024, 1, 0, 0x80, 3, 0, 1, 9), 1);
	REJECTED(1, 0, 0x80);
	REJECTED(1, 0, 0x80, 0);
	REJECTED(1, 0, 0x80, 2, 0, 1);
	REJECTED(1, 0, 0x80, 3, 0, 1);
	REJECTED(1, 0, 0x80, 0x83, 0x00, 0, 1, 9);
	REJECTED(1, 0, 0x80, 4, 0, 1, 9, 0);
	REJECTED(1, 0, 0xc0);		   /* raw without a page */
}

static void lengths_of_delta_and_raw(void **state)
{
	uint8_t p[PAGE + 64] = {1, 0, 0x80, 0xfe, 0x1f, 0x00};

	(void)state;
	/* 4094: not shorter than raw, refused although it is all there */
	p[6] = 0xfb, p[7] = 0x1f;
	memset(p + 8, 1, sizeof(p) - 8);
	assert_int_equal(read_all(p, 5 + 4094, 8), -EBADMSG);
	p[3] = 0xfd, p[6] = 0xfa;	   /* 4093 */
	assert_int_equal(read_all(p, 5 + 4093, 8), 1);
	p[2] = 0xc0;
	assert_int_equal(read_all(p, 3 + PAGE, 8), 1);
	assert_int_equal(read_all(p, 3 + PAGE - 1, 8), -EBADMSG);
	assert_int_equal(read_all(p, 3 + PAGE + 1, 8), 2); /* 01 is SAME */
	memset(buf, 0, sizeof(buf));	   /* SAME records to the end */
	buf[0] = 1;
	assert_int_equal(read_all(buf, WIRE_PAYLOAD_MAX, (uint64_t)1 << 30),
			 WIRE_PAYLOAD_MAX - 2);
	assert_int_equal(read_all(buf, WIRE_PAYLOAD_MAX + 1, (uint64_t)1 << 30),
			 -EBADMSG);
}

static void an_error_stays(void **state)
{
	const uint8_t bad[] = {1, 0, 0x40, 0x80, 0, 0x40, 0x40};
	struct page_reader r;
	struct page_record rec;

	(void)state;
	page_reader_init(&r, bad, sizeof(bad), 1024);
	assert_int_equal(page_reader_next(&r, &rec), 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(page_reader_next(&r, &rec), -EBADMSG);
}

static void refused_records_leave_the_page(void **state)
{
	const uint8_t delta[] = {0, 1, 9, 0, 1, 1};
	struct page_record rec = { .kind = PAGE_DELTA, .data = delta,
				   .data_bytes = sizeof(delta) };
	uint8_t page[PAGE], before[PAGE];

	(void)state;
	fill_lcg(before, 1);
	memcpy(page, before, PAGE);
	assert_int_equal(page_record_apply(&rec, page), -EBADMSG);
	rec.kind = PAGE_RAW;
	assert_int_equal(page_record_apply(&rec, page), -EBADMSG);
	rec.kind = (enum page_kind)7;
	assert_int_equal(page_record_apply(&rec, page), -EBADMSG);
	assert_memory_equal(page, before, PAGE);
}

static size_t make_payload(void)
{
	struct page_writer w;
	uint8_t old[PAGE], new[PAGE];

	page_writer_init(&w, buf, sizeof(buf));
	for (gfn_t gfn = 3; gfn < 2000; gfn += 1 + gfn / 2) {
		fill_lcg(old, gfn);
		memcpy(new, old, PAGE);
		for (size_t i = gfn % 5; i < PAGE; i += 300 + gfn)
			new[i] ^= 0x21;
		assert_int_equal(page_writer_add(&w, gfn,
						 gfn % 4 == 0 ? NULL : old,
						 gfn % 3 == 0 ? old : new,
						 PAGE_ALLOW_ALL, NULL), 0);
	}
	assert_true(w.records[PAGE_DELTA] > 2 && w.records[PAGE_RAW] > 2);
	return page_writer_bytes(&w);
}

static void truncation_at_every_byte(void **state)
{
	size_t bytes = make_payload();
	int whole = read_all(buf, bytes, 2000), clean = 0;

	(void)state;
	assert_true(whole > 8);
	for (size_t n = 0; n < bytes; n++) {
		int rc = read_all(buf, n, 2000);

		assert_true(rc == -EBADMSG || (rc > 0 && rc < whole));
		clean += rc > 0;
	}
	assert_int_equal(clean, whole - 1); /* cut between two records only */
}

static void bit_flips(void **state)
{
	size_t bytes = make_payload();
	uint8_t *copy = malloc(bytes);

	(void)state;
	assert_non_null(copy);
	for (size_t bit = 0; bit < 8 * bytes; bit += bit < 2000 ? 1 : 61) {
		memcpy(copy, buf, bytes);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		(void)read_all(copy, bytes, 2000);
	}
	free(copy);
}

/* ---- columns ---- */

#define COLUMNS ((size_t)256 << 10)

/* A page and what it was; NULL: not known. */
static const uint8_t *some_page(unsigned int i, uint8_t *old, uint8_t *new)
{
	fill_lcg(old, i % 40);
	memcpy(new, old, PAGE);
	for (uint64_t n = i % 6 == 5 ? 0 : rnd() % (i % 11 == 0 ? 900 : 20);
	     n > 0; n--)
		new[rnd() % PAGE] ^= (uint8_t)rnd();
	if (i % 13 == 0)
		fill_lcg(new, i + 1000);
	if (i % 17 == 0)
		memset(new, 0, PAGE);
	/* Changed to zeroes, in part: the delta is no short one. */
	if (i % 34 == 0)
		memset(old + 100, 0, PAGE - 200);
	return i % 7 == 0 ? NULL : old;
}

/* Both versions say the same of the same pages, and columns take no more. */
static void columns_say_the_same(void **state)
{
	static uint8_t plain[COLUMNS], columns[COLUMNS], olds[300][PAGE];
	uint64_t seen[PAGE_KINDS] = { 0 };
	gfn_t gfn = 0;

	(void)state;
	for (unsigned int k = 0; k < 40; k++) {
		struct page_writer v, w;
		struct page_reader r, s;
		struct page_record a, b;
		uint8_t new[PAGE], page[2][PAGE];
		size_t heads, bytes, n = 0;
		const uint8_t *content;
		int rc, end;

		page_writer_init(&v, plain, sizeof(plain));
		page_writer_init_columns(&w, columns, sizeof(columns),
					 sizeof(columns));
		assert_true(page_writer_has_columns(&w) &&
			    !page_writer_has_columns(&v));
		gfn = k == 39 ? PAGE_GFN_MAX - 1000 : gfn + k;
		for (;; n++) {
			const uint8_t *old = some_page(k * 100 + (unsigned int)n,
						       olds[n], new);
			enum page_kind kind[2];
			size_t was = page_writer_bytes(&w);

			gfn += n % 50 == 49 ? 100 : rnd() % 2;
			rc = page_writer_add(&w, gfn, old, new, PAGE_ALLOW_ALL,
					     &kind[0]);
			if (rc < 0) {
				assert_int_equal(page_writer_bytes(&w), was);
				break;
			}
			assert_int_equal(page_writer_add(&v, gfn, old, new,
							 PAGE_ALLOW_ALL,
							 &kind[1]), 0);
			assert_int_equal(kind[0], kind[1]);
			seen[kind[0]]++;
			memcpy(page[0], olds[n], PAGE);
			page_writer_update(&w, page[0], new);
			assert_memory_equal(page[0], new, PAGE);
			gfn++;
		}
		assert_int_equal(rc, -ENOSPC);
		assert_true(n > 30 && n < 300);
		assert_int_equal(page_writer_records(&w), n);
		content = page_writer_columns(&w, &heads, &bytes);
		assert_true(bytes <= page_writer_bytes(&v) + 8);
		assert_true(bytes <= page_writer_bytes(&w));
		page_reader_init(&r, plain, page_writer_bytes(&v),
				 PAGE_GFN_MAX);
		page_reader_init_columns(&s, content, bytes, heads,
					 PAGE_GFN_MAX);
		for (size_t i = 0;; i++) {
			rc = page_reader_next(&r, &a);
			end = page_reader_next(&s, &b);
			assert_int_equal(rc, end);
			if (rc == 0) {
				assert_int_equal(i, n);
				break;
			}
			assert_int_equal(a.gfn, b.gfn);
			assert_int_equal(a.kind, b.kind);
			memcpy(page[0], olds[i], PAGE);
			memcpy(page[1], olds[i], PAGE);
			assert_int_equal(page_record_apply(&a, page[0]), 0);
			assert_int_equal(page_record_apply(&b, page[1]), 0);
			assert_memory_equal(page[0], page[1], PAGE);
		}
	}
	for (unsigned int i = 0; i < PAGE_KINDS; i++)
		assert_true(seen[i] > 50);
}

/* Of pages with many changes the heads are what is full first. */
static void columns_stop_before_the_end(void **state)
{
	static uint8_t columns[COLUMNS];
	uint8_t old[PAGE], new[PAGE];
	struct page_writer w;
	gfn_t gfn = 0;

	(void)state;
	fill_lcg(old, 1);
	memcpy(new, old, PAGE);
	for (size_t i = 0; i < PAGE; i += 4)
		new[i] ^= 1;
	page_writer_init_columns(&w, columns, sizeof(columns), sizeof(columns));
	while (page_writer_add(&w, gfn, old, new, PAGE_ALLOW_ALL, NULL) == 0)
		gfn++;
	assert_int_equal(gfn, (COLUMNS / 4 - PAGE_PAYLOAD_HEADER_MAX) /
			      (1 + 2 + 2 * PAGE / 4));
	/* No more than is allowed, whatever the buffer has. */
	for (size_t cap = PAGE_WRITER_CAP_MIN + 1;
	     cap < PAGE_WRITER_CAP_MIN + 9000; cap += 500) {
		page_writer_init_columns(&w, columns, sizeof(columns), cap);
		gfn = 0;
		while (page_writer_add(&w, gfn, NULL, old, PAGE_ALLOW_ALL,
				       NULL) == 0)
			gfn++;
		assert_true(gfn > 0);
		/* One byte of gfn, and of the last page's gap 8 that it might
		 * have needed. */
		assert_int_equal(gfn, (cap - PAGE_COLUMNS_HEADER_MAX - 1 - 8) /
				      (PAGE + 1));
		assert_true(page_writer_bytes(&w) <= cap);
	}
	for (size_t less = 0; less < 2; less++) {
		page_writer_init_columns(&w, columns, sizeof(columns),
					 PAGE_WRITER_CAP_MIN - less);
		assert_int_equal(page_writer_add(&w, 0, NULL, old,
						 PAGE_ALLOW_ALL, NULL),
				 less == 0 ? 0 : -ENOSPC);
	}
}

/* The example of remus-page-records(7). */
static const uint8_t manual[] = {
	0x10, 0x00, 0x40, 0x81, 0x02, 0x08, 0x04, 0xbf, 0x11, 0x05, 0x00, 0x03,
	0xc5, 0x01, 0x01,
	1, 2, 3, 4, 0x5a, 0x00, 0x5a, 0x5a,
};
#define MANUAL_HEADS 15

static int read_columns(const uint8_t *content, size_t bytes, size_t heads)
{
	uint8_t *copy = malloc(bytes + 1), page[PAGE] = { 0 };
	struct page_reader r;
	struct page_record rec;
	int rc, n = 0;

	assert_non_null(copy);
	memcpy(copy + 1, content, bytes);
	page_reader_init_columns(&r, copy + 1, bytes, heads, 1024);
	while ((rc = page_reader_next(&r, &rec)) == 1) {
		assert_true(rec.data == NULL ||
			    rec.data + rec.data_bytes <= copy + 1 + bytes);
		assert_int_equal(page_record_apply(&rec, page), 0);
		n++;
	}
	assert_int_equal(page_reader_next(&r, &rec), rc);
	free(copy);
	return rc < 0 ? rc : n;
}

/* A delta is shorter than the page. */
static void columns_of_a_delta_too_long(void **state)
{
	uint8_t content[6 + PAGE] = { 0, 0x80, 3, 0 };

	(void)state;
	for (unsigned int changed = 4089; changed <= 4092; changed++) {
		content[4] = (uint8_t)(changed % 128 + 128);
		content[5] = (uint8_t)(changed / 128);
		assert_int_equal(read_columns(content, 6 + changed, 6),
				 changed <= 4090 ? 1 : -EBADMSG);
	}
}

static void columns_of_the_manual(void **state)
{
	static uint8_t columns[COLUMNS];
	uint8_t old[PAGE] = { 0 }, new[PAGE] = { 0 };
	struct page_writer w;
	const uint8_t *content;
	size_t heads, bytes;

	(void)state;
	page_writer_init_columns(&w, columns, sizeof(columns), sizeof(columns));
	fill_lcg(old, 1);
	page_writer_add(&w, 16, old, old, PAGE_ALLOW_ALL, NULL);
	page_writer_add(&w, 17, old, new, PAGE_ALLOW_ALL, NULL);
	memset(old, 0, PAGE);
	old[PAGE - 1] = new[PAGE - 1] = 7;
	memcpy(new + 8, "\1\2\3\4", 4);
	page_writer_add(&w, 19, old, new, PAGE_ALLOW_ALL, NULL);
	memset(old, 0xa5, PAGE);
	memset(new, 0xa5, PAGE);
	new[0] = new[2] = new[200] = 0x5a;
	old[1] = new[1] = 0;
	page_writer_add(&w, 100, old, new, PAGE_ALLOW_ALL, NULL);
	content = page_writer_columns(&w, &heads, &bytes);
	assert_int_equal(heads, MANUAL_HEADS);
	assert_int_equal(bytes, sizeof(manual));
	assert_memory_equal(content, manual, bytes);
	assert_int_equal(read_columns(manual, sizeof(manual), heads), 4);
}

static void columns_cut_or_changed(void **state)
{
	uint8_t bad[sizeof(manual) + 1];
	int cut = 0;

	(void)state;
	/* Another border between heads and bytes, and fewer or more bytes. */
	for (size_t heads = 0; heads <= sizeof(manual); heads++)
		if (heads != MANUAL_HEADS)
			assert_int_equal(read_columns(manual, sizeof(manual),
						      heads), -EBADMSG);
	for (size_t n = MANUAL_HEADS; n < sizeof(manual); n++)
		assert_int_equal(read_columns(manual, n, MANUAL_HEADS),
				 -EBADMSG);
	memcpy(bad, manual, sizeof(manual));
	bad[sizeof(manual)] = 0;
	assert_int_equal(read_columns(bad, sizeof(bad), MANUAL_HEADS), -EBADMSG);
	for (size_t bit = 0; bit < 8 * MANUAL_HEADS; bit++) {
		memcpy(bad, manual, sizeof(manual));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cut += read_columns(bad, sizeof(manual), MANUAL_HEADS) < 0;
	}
	assert_true(cut > 4 * MANUAL_HEADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_payloads),
		cmocka_unit_test(columns_say_the_same),
		cmocka_unit_test(columns_stop_before_the_end),
		cmocka_unit_test(columns_of_the_manual),
		cmocka_unit_test(columns_cut_or_changed),
		cmocka_unit_test(columns_of_a_delta_too_long),
		cmocka_unit_test(writer_takes_the_best_kind),
		cmocka_unit_test(writer_updates_the_old_page),
		cmocka_unit_test(delta_only_while_shorter),
		cmocka_unit_test(rewritten_is_what_differs_everywhere),
		cmocka_unit_test(groups_make_the_same_payload),
		cmocka_unit_test(length_of_delta_in_one_and_two_bytes),
		cmocka_unit_test(writer_stops_before_the_end),
		cmocka_unit_test(payload_is_at_most_a_frame),
		cmocka_unit_test(writer_refuses_a_gfn_out_of_order),
		cmocka_unit_test(gaps_of_all_sizes),
		cmocka_unit_test(malformed_payloads),
		cmocka_unit_test(lengths_of_delta_and_raw),
		cmocka_unit_test(an_error_stays),
		cmocka_unit_test(refused_records_leave_the_page),
		cmocka_unit_test(truncation_at_every_byte),
		cmocka_unit_test(bit_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
