/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_stream.c - streams of Xen: the parser, and pack and unpack.
 *
 * What is packed and unpacked is the same bytes, in each mode, of each kind of
 * stream, fed in pieces of any size and cut off at any place; what is damaged
 * or lies about its sizes is refused with the offset.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "page_cache.h"
#include "pack_version2.h"
#include "page_pack.h"
#include "stream_make.h"
#include "stream_parse.h"
#include "stream_state.h"
#include "stream_unpack.h"
#include "util.h"

#define MEMORY ((uint64_t)1 << 20) /* more than the guest's 96 pages */

static const struct recipe recipes[] = {
	{ true, true, 3, false, 0, true, true, 1, false },
	{ true, true, 2, true, 0, true, false, 2, false },
	{ false, true, 3, false, 4, false, true, 3, false },
	{ false, true, 2, true, 3, false, false, 4, false },
	{ true, true, 3, true, 3, true, true, 5, false },
	{ false, false, 3, false, 0, true, false, 6, false },
	{ false, false, 2, true, 3, false, true, 7, false },
	{ true, true, 3, false, 5, false, true, 8, true },
	{ true, true, 3, true, 4, true, false, 9, true },
};

static struct made m;

static size_t round_trip(enum stream_mode mode, uint64_t memory, size_t bytes,
			 size_t step, int want);

struct bytes {
	uint8_t *data;
	size_t bytes, cap;
	unsigned int flushes;
};

static int append(void *ctx, const void *data, size_t bytes, bool flush)
{
	struct bytes *b = ctx;

	if (b->cap - b->bytes < bytes) {
		b->cap = 2 * b->cap + bytes;
		b->data = realloc(b->data, b->cap);
		assert_non_null(b->data);
	}
	if (bytes > 0)
		memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	b->flushes += flush;
	return 0;
}

/* ---- the parser ---- */

struct seen {
	struct bytes all;
	uint64_t next, pages, absent, checkpoints, ends, tails, records;
};

static int on_event(void *ctx, const struct stream_event *ev)
{
	struct seen *s = ctx;

	assert_int_equal(ev->offset, s->next);
	s->next += ev->bytes;
	if (ev->bytes > 0)
		append(&s->all, ev->data, ev->bytes, false);
	s->records += ev->kind == STREAM_RECORD || ev->kind == STREAM_PAGE_DATA;
	s->checkpoints += ev->kind == STREAM_CHECKPOINT;
	s->ends += ev->kind == STREAM_END;
	s->tails += ev->kind == STREAM_TAIL;
	if (ev->kind == STREAM_CHECKPOINT)
		assert_int_equal(s->next, m.checkpoint[s->checkpoints - 1]);
	if (ev->kind == STREAM_PAGE_DATA)
		s->absent += ev->pfns - ev->pages;
	if (ev->kind == STREAM_PAGES) {
		assert_int_equal(ev->bytes, ev->pages * REMUS_PAGE_SIZE);
		s->pages += ev->pages;
	}
	return 0;
}

/* In pieces of `step` bytes.  The result of feed or finish; why in err. */
static int parse(struct seen *s, const uint8_t *data, size_t bytes, size_t step,
		 char *err, size_t err_bytes)
{
	struct stream_parser *p = stream_parser_new(on_event, s);
	int rc = 0;

	assert_non_null(p);
	memset(s, 0, sizeof(*s));
	for (size_t at = 0; at < bytes && rc == 0; at += step)
		rc = stream_parser_feed(p, data + at, bytes - at < step
					? bytes - at : step);
	if (rc == 0)
		rc = stream_parser_finish(p);
	else
		assert_int_equal(stream_parser_feed(p, "x", 1), rc);
	if (err != NULL)
		snprintf(err, err_bytes, "%s", stream_parser_error(p));
	stream_parser_free(p);
	return rc;
}

static void all_kinds_are_read_in_pieces_of_any_size(void **state)
{
	static const size_t steps[] = { 1, 7, 4095, 4096, 65536, SIZE_MAX / 2 };
	struct seen s;

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(recipes); r++) {
		make_stream(&m, &recipes[r]);
		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			assert_int_equal(parse(&s, m.data, m.bytes, steps[i],
					       NULL, 0), 0);
			assert_int_equal(s.all.bytes, m.bytes);
			assert_memory_equal(s.all.data, m.data, m.bytes);
			assert_int_equal(s.pages, m.pages);
			assert_int_equal(s.absent, m.absent);
			assert_int_equal(s.checkpoints,
					 recipes[r].checkpoints);
			assert_int_equal(s.ends, recipes[r].end);
			assert_int_equal(s.tails, 0);
			free(s.all.data);
		}
		made_free(&m);
	}
}

/* An empty one too.  What is left is told, and nothing of it is lost. */
static void a_stream_that_is_cut_off_is_told_from_a_whole_one(void **state)
{
	struct seen s;
	size_t cut = 0;
	char err[256];

	(void)state;
	make_stream(&m, &recipes[2]);
	for (; cut < m.bytes; cut += cut < 3000 ? 1 : 997) {
		assert_int_equal(parse(&s, m.data, cut, 1000, err,
				       sizeof(err)), 1);
		assert_non_null(strstr(err, "cut off at offset"));
		assert_int_equal(s.all.bytes, cut);
		free(s.all.data);
	}
	for (unsigned int i = 0; i < m.checkpoints; i++) {
		assert_int_equal(parse(&s, m.data, m.checkpoint[i], 1000, NULL,
				       0), 0);
		free(s.all.data);
	}
	made_free(&m);
}

/* Offsets in a bare libxc stream of version 2: the first record's header is at
 * 40 (X86_PV_INFO), the second's (X86_PV_P2M_FRAMES) at 56, then at 112
 * PAGE_DATA of 96 pages, the pfns from 128 on. */
static void lies_are_refused_with_their_offset(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		const char *why;
	} lies[] = {
		{ 0, 0, "offset 0: no stream" },
		{ 8, 0, "offset 0: no libxc stream" },
		{ 12, 0x09000000, "offset 12: libxc stream of version 9" },
		{ 16, 0x00000100, "offset 16: a big-endian" },
		{ 24, 77, "offset 24: a guest of unknown type 77" },
		{ 28, 13, "offset 28: pages of 2^13" },
		{ 40, 0x7fffffff, "offset 40: unknown record 0x7fffffff" },
		{ 40, 0x11, "offset 40: X86_CPUID_POLICY in a libxc stream" },
		{ 40, 0x10, "offset 44: STATIC_DATA_END with 8" },
		{ 44, 0xffffffff, "offset 44: X86_PV_INFO claims 4294967295" },
		{ 112, 0, "offset 116: END with" },
		{ 112, 0x0e, "offset 116: CHECKPOINT with" },
		{ 116, 0, "offset 120: PAGE_DATA of 0 bytes" },
		{ 116, 0xffffffff, "offset 116: PAGE_DATA claims" },
		{ 116, 128 << 20, "offset 116: PAGE_DATA of 134217728 bytes" },
		{ 120, 0, "offset 120: PAGE_DATA of no pages" },
		{ 120, 95, "offset 116: PAGE_DATA of " },
		{ 120, 60000, "bytes claims 60000 pages" },
		{ 120, 0xffffffff, "bytes claims 4294967295 pages" },
		{ 132, 0x50000000, "offset 128: a page of unknown type 5" },
		{ 132, 0x80000000, "offset 128: a page of unknown type 8" },
	};
	static const struct recipe r = { .version = 2, .end = true };
	uint8_t *copy;
	char err[256];
	struct seen s;

	(void)state;
	make_stream(&m, &r);
	copy = malloc(m.bytes);
	assert_non_null(copy);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		memcpy(copy, m.data, m.bytes);
		for (int b = 0; b < 4; b++)
			copy[lies[i].at + b] = (uint8_t)(lies[i].value >>
							 (8 * b));
		assert_int_equal(parse(&s, copy, m.bytes, 50, err,
				       sizeof(err)), -EBADMSG);
		if (strstr(err, lies[i].why) == NULL)
			fail_msg("'%s' instead of '%s'", err, lies[i].why);
		free(s.all.data);
	}
	free(copy);
	made_free(&m);
}

static void count_beyond_any_sane_record(void **state)
{
	struct seen s;
	char err[256];

	(void)state;
	memset(&m, 0, sizeof(m));
	put_headers(&m, &(struct recipe){ .version = 2 });
	put_number(&m, 1, 4, false);
	put_number(&m, 8 + 8 * 70000, 4, false);
	put_number(&m, 70000, 4, false);
	put_number(&m, 0, 4, false);
	assert_int_equal(parse(&s, m.data, m.bytes, 100, err, sizeof(err)),
			 -EBADMSG);
	assert_string_equal(err, "offset 48: PAGE_DATA of 70000 pages; at most "
			    "65536 are allowed");
	free(s.all.data);
	made_free(&m);
}

static void records_out_of_place_are_refused(void **state)
{
	static const struct {
		uint32_t first, second;
		const char *why;
	} pairs[] = {
		{ 4, 0, "CHECKPOINT_END without a CHECKPOINT" },
		{ 99, 0, "unknown record 0x00000063 of libxl" },
		{ 5, 4, "CHECKPOINT_END without a CHECKPOINT" },
	};
	struct seen s;
	char err[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		memset(&m, 0, sizeof(m));
		put(&m, "LibxlFmt\0\0\0\2\0\0\0\0", 16);
		put_record(&m, pairs[i].first, 0);
		put_record(&m, pairs[i].second, 0);
		assert_int_equal(parse(&s, m.data, m.bytes, 5, err,
				       sizeof(err)), -EBADMSG);
		assert_non_null(strstr(err, pairs[i].why));
		free(s.all.data);
		made_free(&m);
	}
	memset(&m, 0, sizeof(m));
	put_headers(&m, &(struct recipe){ .libxl = true, .version = 2 });
	put_record(&m, 0xe, 0); /* CHECKPOINT */
	put_record(&m, 0, 0);
	assert_int_equal(parse(&s, m.data, m.bytes, 5, err, sizeof(err)),
			 -EBADMSG);
	assert_non_null(strstr(err, "END in the middle of a checkpoint"));
	free(s.all.data);
	made_free(&m);
}

/* "domain is yours": a migration's last words. */
static void what_follows_the_end_is_handed_on(void **state)
{
	struct seen s;

	(void)state;
	make_stream(&m, &recipes[0]);
	put(&m, "domain is yours", 15);
	assert_int_equal(parse(&s, m.data, m.bytes, 13, NULL, 0), 0);
	assert_int_equal(s.all.bytes, m.bytes);
	assert_int_equal(s.ends, 1);
	free(s.all.data);
	round_trip(STREAM_FAST, MEMORY, m.bytes, 4096, 0);
	made_free(&m);
}

static void a_legacy_image_is_named_as_such(void **state)
{
	struct seen s;
	char err[256];

	(void)state;
	make_stream(&m, &recipes[0]);
	m.data[36] = 1; /* without the flag of version 2 */
	assert_int_equal(parse(&s, m.data, m.bytes, 512, err, sizeof(err)),
			 -EBADMSG);
	assert_non_null(strstr(err, "legacy"));
	free(s.all.data);
	made_free(&m);
}

/* ---- pack and unpack ---- */

static int pack(struct bytes *out, enum stream_mode mode, uint64_t memory,
		const uint8_t *data, size_t bytes, size_t step)
{
	struct stream_packer *p;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	assert_int_equal(stream_packer_new(&p, mode, memory, append, out), 0);
	for (size_t at = 0; at < bytes && rc == 0; at += step)
		rc = stream_packer_feed(p, data + at, bytes - at < step
					? bytes - at : step);
	if (rc == 0)
		rc = stream_packer_finish(p);
	stream_packer_free(p);
	return rc;
}

static int unpack(struct bytes *out, uint64_t memory, const uint8_t *data,
		  size_t bytes, size_t step, char *err, size_t err_bytes)
{
	struct stream_unpacker *u = stream_unpacker_new(memory, append, out);
	int rc = 0;

	assert_non_null(u);
	memset(out, 0, sizeof(*out));
	for (size_t at = 0; at < bytes && rc == 0; at += step)
		rc = stream_unpacker_feed(u, data + at, bytes - at < step
					  ? bytes - at : step);
	if (rc == 0)
		rc = stream_unpacker_finish(u);
	else
		assert_int_equal(stream_unpacker_feed(u, "x", 1), rc);
	if (err != NULL)
		snprintf(err, err_bytes, "%s", stream_unpacker_error(u));
	stream_unpacker_free(u);
	return rc;
}

static size_t round_trip(enum stream_mode mode, uint64_t memory, size_t bytes,
			 size_t step, int want)
{
	struct bytes packed, out;

	assert_int_equal(pack(&packed, mode, memory, m.data, bytes, step),
			 want);
	assert_int_equal(unpack(&out, memory, packed.data, packed.bytes, step,
				NULL, 0), want);
	assert_int_equal(out.bytes, bytes);
	if (bytes > 0)
		assert_memory_equal(out.data, m.data, bytes);
	free(packed.data);
	free(out.data);
	return packed.bytes;
}

static void unpacking_gives_the_same_bytes(void **state)
{
	static const uint64_t memories[] = { PAGE_CACHE_BYTES_MIN, MEMORY };

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(recipes); r++) {
		size_t n[STREAM_MODES];

		make_stream(&m, &recipes[r]);
		for (int mode = 0; mode < STREAM_MODES; mode++) {
			for (size_t i = 0; i < ARRAY_LEN(memories); i++)
				n[mode] = round_trip((enum stream_mode)mode,
						     memories[i], m.bytes,
						     30011, 0);
		}
		/* It is for something, and costs nothing. */
		assert_true(n[STREAM_OFF] < m.bytes);
		assert_true(n[STREAM_FAST] < n[STREAM_OFF]);
		assert_true(n[STREAM_TIGHT] < n[STREAM_FAST]);
		made_free(&m);
	}
}

/* Unchanged pages of a second epoch cost a few bytes, and the list of them less
 * than their pfns. */
static void an_epoch_of_unchanged_pages_is_small(void **state)
{
	static const uint8_t page[MAKE_PAGE] = { 1, 2, 3 };
	size_t n[2];

	(void)state;
	memset(&m, 0, sizeof(m));
	put_headers(&m, &(struct recipe){ .version = 2 });
	for (int epoch = 0; epoch < 2; epoch++) {
		put_number(&m, 1, 4, false);
		put_number(&m, 8 + 1000 * (8 + MAKE_PAGE), 4, false);
		put_number(&m, 1000, 8, false);
		for (unsigned int i = 0; i < 1000; i++)
			put_number(&m, 3 * i, 8, false);
		for (unsigned int i = 0; i < 1000; i++)
			put(&m, page, MAKE_PAGE);
		put_record(&m, 0xe, 0);
		n[epoch] = round_trip(STREAM_FAST, MEMORY * 8, m.bytes, 65536,
				      0);
	}
	assert_in_range(n[1] - n[0], 2000, 2100);
	made_free(&m);
}

/* The bodies of all frames of a type, together. */
static size_t bytes_of(const struct bytes *packed, uint8_t type)
{
	size_t bytes = 0, at = STREAM_PACK_HEADER_BYTES;

	while (at < packed->bytes) {
		size_t n = stream_get32(packed->data + at + 1);

		if (packed->data[at] == type)
			bytes += n;
		at += STREAM_FRAME_HEADER_BYTES + n;
	}
	assert_int_equal(at, packed->bytes);
	return bytes;
}

/* The state of processors and devices is 80 KB, of which 8 bytes change. */
static void state_costs_what_changed(void **state)
{
	const struct recipe r = { .libxl = true, .version = 3, .hvm = true,
				  .checkpoints = 10, .seed = 11,
				  .steady = true };
	struct bytes packed;

	(void)state;
	make_stream(&m, &r);
	for (int mode = 0; mode < STREAM_MODES; mode++) {
		size_t first, others;

		round_trip((enum stream_mode)mode, MEMORY, m.bytes, 4096, 0);
		pack(&packed, (enum stream_mode)mode, MEMORY, m.data,
		     m.checkpoint[0], 4096);
		first = bytes_of(&packed, 'B');
		assert_int_equal(bytes_of(&packed, 'S'), 0);
		free(packed.data);
		pack(&packed, (enum stream_mode)mode, MEMORY, m.data, m.bytes,
		     4096);
		others = bytes_of(&packed, 'B') + bytes_of(&packed, 'S') -
			 first;
		if (mode == STREAM_OFF)
			assert_true(others > 9 * 78000);
		else
			assert_in_range(others, 9 * 20, 9 * 100);
		free(packed.data);
	}
	made_free(&m);
}

static size_t some_length(void)
{
	size_t n = made_random(&m) % 10;

	return n == 0 ? STREAM_STATE_BYTES - made_random(&m) % 3
		      : 1 + made_random(&m) % (n < 5 ? 50 : 20000);
}

/* An epoch's pieces of any length, some of them as they are, pages between them
 * or not, and some more than is remembered. */
static void state_of_any_length(void **state)
{
	static uint8_t data[STREAM_STATE_BYTES], body[STREAM_STATE_BODY_MAX],
		scratch[STREAM_STATE_SCRATCH];
	struct page_packer *packers[2] = { NULL, NULL };
	struct page_unpacker *u;
	size_t differences = 0, n, bytes;
	const uint8_t *out;

	(void)state;
	memset(&m, 0, sizeof(m));
	m.x = 77;
	assert_int_equal(page_packer_new(&packers[1]), 0);
	assert_int_equal(page_unpacker_new(&u), 0);
	for (int k = 0; k < 2; k++) {
		struct stream_state *to = stream_state_new();
		struct stream_state *from = stream_state_new();

		assert_true(to != NULL && from != NULL);
		for (int piece = 0; piece < 3000; piece++) {
			uint64_t what = made_random(&m);

			for (int i = 0; i < 4; i++)
				data[made_random(&m) % sizeof(data)] ^= 1;
			bytes = some_length();
			n = stream_state_pack(to, packers[k], body, scratch,
					      data, bytes);
			if (n == 0) {
				assert_int_equal(stream_state_add(to, data,
								  bytes), 0);
				assert_int_equal(stream_state_add(from, data,
								  bytes), 0);
			} else {
				differences++;
				assert_true(n < bytes);
				assert_int_equal(stream_state_unpack(
					from, u, body, n, &out, &bytes), 0);
				assert_int_equal(bytes, (size_t)stream_get16(
						body) + 1);
				assert_memory_equal(out, data, bytes);
			}
			if (what % 50 != 0 && what % 5 == 0) {
				stream_state_checkpoint(to);
				stream_state_checkpoint(from);
			} else if (what % 31 == 0) {
				stream_state_pages(to);
				stream_state_pages(from);
			}
		}
		stream_state_free(to);
		stream_state_free(from);
	}
	assert_true(differences > 1000);
	page_packer_free(packers[1]);
	page_unpacker_free(u);
}

/* Pages named again and again in one record, changed each time or back to what they
 * were, and more of them than a small cache holds: each is given as it was then. */
static void a_page_may_come_twice_in_a_record(void **state)
{
	static const uint64_t memories[] = { PAGE_CACHE_BYTES_MIN, MEMORY };
	unsigned int gfn[400], n = ARRAY_LEN(gfn);

	(void)state;
	memset(&m, 0, sizeof(m));
	m.x = 1;
	put_headers(&m, &(struct recipe){ .version = 2 });
	put_number(&m, 1, 4, false);
	put_number(&m, 8 + n * (8 + MAKE_PAGE), 4, false);
	put_number(&m, n, 8, false);
	for (unsigned int i = 0; i < n; i++) {
		/* at first: all that are there have been used, and one more */
		gfn[i] = i < 16 ? i % 8 : i == 16 ? 8
				: (unsigned int)(made_random(&m) % 12);
		put_number(&m, gfn[i], 8, false);
	}
	for (unsigned int i = 0; i < n; i++) {
		m.guest[gfn[i]][i % 3 ? 100 : made_random(&m) % MAKE_PAGE] ^=
			0x55;
		put(&m, m.guest[gfn[i]], MAKE_PAGE);
	}
	put_record(&m, 0xe, 0);
	for (size_t i = 0; i < ARRAY_LEN(memories); i++) {
		round_trip(STREAM_FAST, memories[i], m.bytes, 65536, 0);
		round_trip(STREAM_TIGHT, memories[i], m.bytes, 65536, 0);
	}
	made_free(&m);
}

static void each_checkpoint_is_flushed(void **state)
{
	struct bytes packed;

	(void)state;
	make_stream(&m, &recipes[2]);
	assert_int_equal(pack(&packed, STREAM_FAST, MEMORY, m.data, m.bytes,
			      4096), 0);
	assert_int_equal(packed.flushes, recipes[2].checkpoints + 1);
	free(packed.data);
	made_free(&m);
}

static void cut_off_anywhere_it_is_kept_as_it_is(void **state)
{
	(void)state;
	make_stream(&m, &recipes[3]);
	for (size_t cut = 0; cut < m.bytes;
	     cut += cut < 300 ? 1 : cut < 9000 ? 211 : 15013)
		round_trip(STREAM_FAST, MEMORY, cut, 4096, 1);
	made_free(&m);
}

static void a_packed_stream_that_is_cut_off_gives_what_is_whole(void **state)
{
	struct bytes packed, out;
	size_t before = 0;

	(void)state;
	make_stream(&m, &recipes[2]);
	pack(&packed, STREAM_TIGHT, MEMORY, m.data, m.bytes, 4096);
	for (size_t cut = STREAM_PACK_HEADER_BYTES; cut < packed.bytes;
	     cut += 1009) {
		assert_int_equal(unpack(&out, MEMORY, packed.data, cut, 4096,
					NULL, 0), 2);
		assert_true(out.bytes >= before && out.bytes <= m.bytes);
		if (out.bytes > 0)
			assert_memory_equal(out.data, m.data, out.bytes);
		before = out.bytes;
		free(out.data);
	}
	assert_true(before > m.bytes / 2);
	free(packed.data);
	made_free(&m);
}

/* Whatever bit: refused, and what was written until then is right. */
static void each_damaged_bit_is_found(void **state)
{
	struct bytes packed, out;
	char err[256];

	(void)state;
	make_stream(&m, &recipes[2]);
	pack(&packed, STREAM_FAST, MEMORY, m.data, m.bytes, 4096);
	for (size_t bit = 0; bit < 8 * packed.bytes;
	     bit += bit < 8 * 600 ? 1 : 150001) {
		int rc;

		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = unpack(&out, MEMORY, packed.data, packed.bytes, SIZE_MAX,
			    err, sizeof(err));
		/* A length that reaches behind the end: it looks cut off. */
		assert_true(rc == -EBADMSG || rc == 2);
		assert_non_null(strstr(err, "offset"));
		assert_true(out.bytes <= m.bytes);
		if (out.bytes > 0)
			assert_memory_equal(out.data, m.data, out.bytes);
		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		free(out.data);
	}
	free(packed.data);
	made_free(&m);
}

static void more_memory_than_allowed_is_refused(void **state)
{
	struct bytes packed, out;
	char err[256];

	(void)state;
	make_stream(&m, &recipes[0]);
	pack(&packed, STREAM_FAST, MEMORY, m.data, m.bytes, 4096);
	assert_int_equal(unpack(&out, MEMORY - 1, packed.data, packed.bytes,
				4096, err, sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "--memory"));
	assert_int_equal(out.bytes, 0);
	free(packed.data);
	made_free(&m);
}

/* Of a file in the sources: hexadecimal bytes, and comments. */
static size_t read_golden(const char *name, uint8_t *bytes)
{
	const char *src = getenv("top_srcdir");
	char path[4096], line[256];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/unit/golden/%s",
		 src == NULL ? "." : src, name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned int b;

		for (const char *at = line; sscanf(at, "%2x", &b) == 1; at += 3)
			bytes[n++] = (uint8_t)b;
	}
	fclose(f);
	return n;
}

/* Two epochs. */
static void make_example(void)
{
	static const uint8_t page[MAKE_PAGE];

	memset(&m, 0, sizeof(m));
	put_headers(&m, &(struct recipe){ .version = 3 });
	for (uint64_t epoch = 0; epoch < 2; epoch++) {
		put_number(&m, 1, 4, false);
		put_number(&m, 8 + 8 + MAKE_PAGE, 4, false);
		put_number(&m, 1, 8, false);
		put_number(&m, 5, 8, false);
		put(&m, page, MAKE_PAGE);
		put_number(&m, 8, 8, false); /* X86_TSC_INFO */
		m.data[m.bytes - 4] = 24;
		put_number(&m, 1, 8, false);
		put_number(&m, 1000 + epoch, 8, false);
		put_number(&m, 0, 8, false);
		put_record(&m, 0xe, 0);
	}
}

/* The format does not change unnoticed. */
static void the_example_of_the_manual(void **state)
{
	uint8_t want[1024];
	struct bytes packed;
	size_t n = read_golden("stream_manual.txt", want);

	(void)state;
	make_example();
	assert_int_equal(pack(&packed, STREAM_FAST, PAGE_CACHE_BYTES_MIN,
			      m.data, m.bytes, 100), 0);
	assert_int_equal(packed.bytes, n);
	assert_memory_equal(packed.data, want, n);
	free(packed.data);
	made_free(&m);
}

/* A header that says it is of this version, its checksum right. */
static void set_version(uint8_t *header, uint16_t version)
{
	struct digest *d = digest_new();

	assert_non_null(d);
	stream_put16(header + 8, version);
	stream_put32(header + 20, stream_checksum(d, header, 20, header, 0));
	digest_free(d);
}

/* Nobody packs so any more, but files may be old. */
static void older_versions_are_still_unpacked(void **state)
{
	uint8_t old[1024];
	struct bytes out;
	size_t n = read_golden("stream_version1.txt", old);
	char err[256];

	(void)state;
	for (uint16_t version = 1; version <= STREAM_PACK_VERSION; version++) {
		if (version > 1)
			set_version(old, version);
		assert_int_equal(unpack(&out, MEMORY, old, n, 100, err,
					sizeof(err)), 0);
		assert_int_equal(out.bytes, 40 + 24 + MAKE_PAGE + 8);
		free(out.data);
	}
	for (uint16_t version = 0; version <= STREAM_PACK_VERSION + 1;
	     version += STREAM_PACK_VERSION + 1) {
		set_version(old, version);
		assert_int_equal(unpack(&out, MEMORY, old, n, 100, err,
					sizeof(err)), -EBADMSG);
		assert_non_null(strstr(err, "another version"));
	}
}

/* ---- frames that a packer never makes, with right checksums ---- */

static void put_frame(struct bytes *b, uint8_t type, const void *body,
		      size_t bytes)
{
	uint8_t head[STREAM_FRAME_HEADER_BYTES];
	struct digest *d = digest_new();

	assert_non_null(d);
	head[0] = type;
	stream_put32(head + 1, (uint32_t)bytes);
	stream_put32(head + 5, stream_checksum(d, head, 5, body, bytes));
	append(b, head, sizeof(head), false);
	append(b, body, bytes, false);
	digest_free(d);
}

static void put_pack_header(struct bytes *b)
{
	struct bytes whole;

	/* That of an empty stream. */
	pack(&whole, STREAM_FAST, MEMORY, NULL, 0, 1);
	memset(b, 0, sizeof(*b));
	append(b, whole.data, STREAM_PACK_HEADER_BYTES, false);
	free(whole.data);
}

static void hostile_frames_are_refused(void **state)
{
	/* one page, 5; SAME; a second page; ZERO twice */
	static const uint8_t names[] = { 1, 0, 20 }, same[] = { 1, 0, 0x00 },
		zero[] = { 1, 0, 0x40 }, two[] = { 1, 0, 0x40, 0x40 },
		late[] = { 1, 1, 0x40 }, many[] = { 0x81, 0x80, 4, 0, 20 },
		more[] = { 1, 0, 20, 0 }, top[] = { 1, 0, 21, 0, 0 },
		none[] = { 0, 0 }, below[] = { 1, 0, 2 },
		pair[] = { 2, 0, 20, 0 },
		odd[STREAM_MARK_BYTES] = { 0 },
		wrong[STREAM_MARK_BYTES] = { 0, 3 },
		/* Blocks: no record; one of two; from the second on; two of
		 * one; a byte behind the end. */
		empty[] = { 0, 0 }, half[] = { 0, 16, 1, 0, 0 },
		second[] = { 0, 16, 1, 1, 0 }, third[] = { 0, 0, 1, 0, 0, 0 },
		junk[5 + MAKE_PAGE] = { 0, 0, 1, 0, 0xc0, 7, 7 };
	static const struct {
		uint8_t type[2];
		const uint8_t *body[2];
		size_t bytes[2];
		const char *why;
	} c[] = {
		{ "DP", { names, same }, { 3, 3 }, "not known" },
		{ "DP", { names, late }, { 3, 3 }, "malformed" },
		{ "DP", { pair, late }, { 4, 3 }, "pages are missing" },
		{ "DP", { names, two }, { 3, 4 }, "malformed" },
		{ "DB", { names, zero }, { 3, 3 }, "pages are missing" },
		{ "DD", { names, names }, { 3, 3 }, "pages are missing" },
		{ "PP", { zero, zero }, { 3, 3 }, "malformed" },
		{ "DP", { many, zero }, { 5, 3 }, "names pages" },
		{ "DP", { more, zero }, { 4, 3 }, "names pages" },
		{ "DP", { top, zero }, { 5, 3 }, "names pages" },
		{ "DP", { none, zero }, { 2, 3 }, "names pages" },
		{ "DP", { below, zero }, { 3, 3 }, "names pages" },
		{ "DP", { names, zero }, { 2, 3 }, "names pages" },
		{ "TB", { names, names }, { 3, 3 }, "behind the tail" },
		{ "BC", { names, odd }, { 3, 17 }, "not what was packed" },
		{ "BE", { names, wrong }, { 3, 17 }, "not what was packed" },
		{ "BE", { names, odd }, { 3, 16 }, "a mark of 16" },
		{ "BX", { names, odd }, { 3, 3 }, "unknown type 0x58" },
		{ "BS", { names, empty }, { 3, 2 }, "the last epoch" },
		{ "BS", { names, half }, { 3, 5 }, "the last epoch" },
		{ "BS", { names, second }, { 3, 5 }, "the last epoch" },
		{ "BS", { names, third }, { 3, 6 }, "the last epoch" },
		{ "BS", { names, junk }, { 3, sizeof(junk) }, "the last epoch" },
	};
	struct bytes b, out;
	char err[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		put_pack_header(&b);
		for (int f = 0; f < 2; f++)
			put_frame(&b, c[i].type[f], c[i].body[f],
				  c[i].bytes[f]);
		assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, 1000,
					err, sizeof(err)), -EBADMSG);
		if (strstr(err, c[i].why) == NULL)
			fail_msg("%zu: '%s' instead of '%s'", i, err, c[i].why);
		free(b.data);
		free(out.data);
	}
}

/* What is remembered of an epoch has a bound, and version 1 had none of it. */
static void no_more_of_an_epoch_than_is_remembered(void **state)
{
	/* 65536 bytes: 16 blocks that are as they were */
	static const uint8_t body[2 + 2 + 16] = { 0xff, 0xff, 1 };
	struct bytes b, out;
	char err[256];

	(void)state;
	for (size_t most = STREAM_STATE_MAX / STREAM_STATE_BYTES, n = most;
	     n <= most + 1; n++) {
		put_pack_header(&b);
		for (size_t i = 0; i < n; i++)
			put_frame(&b, 'S', body, sizeof(body));
		assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, 1000,
					err, sizeof(err)),
				 n == most ? 2 : -EBADMSG);
		assert_int_equal(out.bytes, STREAM_STATE_MAX);
		free(b.data);
		free(out.data);
	}
	put_pack_header(&b);
	set_version(b.data, 1);
	put_frame(&b, 'S', body, sizeof(body));
	assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, 1000, err,
				sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "unknown type 0x53"));
	free(b.data);
}

/* A packed payload says how many records it has; one more or less is a lie,
 * though all that is in it can be read. */
static void another_number_of_records_than_said_is_refused(void **state)
{
	static const uint8_t names[] = { 2, 0, 20, 0 }, /* two pages, 5 and 6 */
		zero[] = { 1, 0, 0x40, 0x40 };
	static const struct {
		size_t bytes; /* of zero */
		uint64_t said;
		int rc;
	} c[] = { { 4, 2, 2 }, { 4, 1, -EBADMSG }, { 3, 2, -EBADMSG } };
	uint8_t packed[64];
	struct bytes b, out;
	char err[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		size_t n = pack_version2(packed, sizeof(packed), zero,
					 c[i].bytes, c[i].said);

		assert_true(n > 0);
		put_pack_header(&b);
		put_frame(&b, 'D', names, sizeof(names));
		put_frame(&b, 'P', packed, n);
		assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, 1000,
					err, sizeof(err)), c[i].rc);
		if (c[i].rc < 0)
			assert_non_null(strstr(err, "malformed"));
		free(b.data);
		free(out.data);
	}
}

static void more_pages_than_a_record_may_name_are_refused(void **state)
{
	static uint8_t body[4 + STREAM_PFNS_MAX + 1] = { 0x81, 0x80, 4 };
	struct bytes b, out;
	char err[256];

	(void)state;
	put_pack_header(&b);
	put_frame(&b, 'D', body, sizeof(body)); /* all of them there */
	assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, 65536, err,
				sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "names pages"));
	free(b.data);
}

static void a_frame_longer_than_any_is_refused_at_once(void **state)
{
	static const uint8_t head[] = { 'B', 1, 0, 16, 0, 0, 0, 0, 0 };
	struct bytes b, out;
	char err[256];

	(void)state;
	put_pack_header(&b);
	append(&b, head, sizeof(head), false);
	assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, 1000, err,
				sizeof(err)), -EBADMSG);
	assert_string_equal(err, "offset 24: a frame of 1048577 bytes; 1 to "
			    "1048576 are allowed");
	free(b.data);
}

static void what_follows_a_packed_end_is_refused(void **state)
{
	struct bytes b, out;

	(void)state;
	make_stream(&m, &recipes[0]);
	pack(&b, STREAM_FAST, MEMORY, m.data, m.bytes, 4096);
	append(&b, "x", 1, false);
	assert_int_equal(unpack(&out, MEMORY, b.data, b.bytes, SIZE_MAX, NULL,
				0), -EBADMSG);
	free(b.data);
	free(out.data);
	made_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_are_read_in_pieces_of_any_size),
		cmocka_unit_test(a_stream_that_is_cut_off_is_told_from_a_whole_one),
		cmocka_unit_test(lies_are_refused_with_their_offset),
		cmocka_unit_test(count_beyond_any_sane_record),
		cmocka_unit_test(records_out_of_place_are_refused),
		cmocka_unit_test(what_follows_the_end_is_handed_on),
		cmocka_unit_test(a_legacy_image_is_named_as_such),
		cmocka_unit_test(unpacking_gives_the_same_bytes),
		cmocka_unit_test(an_epoch_of_unchanged_pages_is_small),
		cmocka_unit_test(state_costs_what_changed),
		cmocka_unit_test(state_of_any_length),
		cmocka_unit_test(a_page_may_come_twice_in_a_record),
		cmocka_unit_test(each_checkpoint_is_flushed),
		cmocka_unit_test(cut_off_anywhere_it_is_kept_as_it_is),
		cmocka_unit_test(a_packed_stream_that_is_cut_off_gives_what_is_whole),
		cmocka_unit_test(each_damaged_bit_is_found),
		cmocka_unit_test(more_memory_than_allowed_is_refused),
		cmocka_unit_test(the_example_of_the_manual),
		cmocka_unit_test(older_versions_are_still_unpacked),
		cmocka_unit_test(hostile_frames_are_refused),
		cmocka_unit_test(no_more_of_an_epoch_than_is_remembered),
		cmocka_unit_test(another_number_of_records_than_said_is_refused),
		cmocka_unit_test(more_pages_than_a_record_may_name_are_refused),
		cmocka_unit_test(a_frame_longer_than_any_is_refused_at_once),
		cmocka_unit_test(what_follows_a_packed_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
