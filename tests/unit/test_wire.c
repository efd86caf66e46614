/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_wire.c - the messages of remus-protocol(7), byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "wire_recode.h"

#define LE64(v)                                                               \
	(uint8_t)(v), (uint8_t)((v) >> 8), (uint8_t)((v) >> 16),              \
		(uint8_t)((v) >> 24), (uint8_t)((uint64_t)(v) >> 32),         \
		(uint8_t)((uint64_t)(v) >> 40),                               \
		(uint8_t)((uint64_t)(v) >> 48), (uint8_t)((uint64_t)(v) >> 56)

struct golden {
	unsigned int type;
	size_t bytes;
	uint8_t frame[128];
	union wire_any m;
};

#define BYTES(...)                                                            \
	.bytes = sizeof((uint8_t[]){ __VA_ARGS__ }), .frame = { __VA_ARGS__ }

static const struct golden goldens[] = {
	{ .type = WIRE_HELLO,
	  BYTES(0x58, 0, 0, 0, 1, 0, 0, 0,	      /* 88 bytes, HELLO */
		1, 0, 2, 1, 0x04, 0x03, 0x02, 0x01, /* versions, caps */
		2, 1, 0, 0, 0, 0x10, 0, 0,	      /* backup, protected */
		0, 0x80, 0, 0, 0, 0, 0, 0,	      /* 32768 pages */
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
		LE64(0x1112131415161718), LE64(0x2122232425262728),
		LE64(0x3132333435363738), LE64(0x4142434445464748),
		LE64(0x5152535455565758), 2, 'd', 'b', 4, 'n', 'o', 'd', 'e'),
	  .m.hello = { .version_min = 1,
		       .version_max = 0x102,
		       .capabilities = 0x01020304,
		       .role = WIRE_ROLE_BACKUP,
		       .ticket_state = WIRE_TICKET_PROTECTED,
		       .vm = "db",
		       .node = "node",
		       .page_bytes = 4096,
		       .npages = 32768,
		       .fingerprint = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
					12, 13, 14, 15 },
		       .generation = 0x1112131415161718,
		       .have_stream = 0x2122232425262728,
		       .have_epoch = 0x3132333435363738,
		       .have_chain = 0x4142434445464748,
		       .stream = 0x5152535455565758 } },
	{ .type = WIRE_REFUSE,
	  BYTES(18, 0, 0, 0, 2, 0, 0, 0, 5, 0, 2, 0, 0, 0, 0, 0, LE64(7), 'n',
		'o'),
	  .m.refuse = { .code = WIRE_REFUSE_SUPERSEDED,
			.generation = 7,
			.text = "no" } },
	{ .type = WIRE_BEGIN,
	  BYTES(32, 0, 0, 0, 3, 0, 0, 0, LE64(0x0102030405060708), LE64(9), 0,
		0, 0, 0, 0, 0, 0, 0, LE64(0x1122334455667788)),
	  .m.begin = { .stream = 0x0102030405060708,
		       .epoch = 9,
		       .base_chain = 0x1122334455667788 } },
	{ .type = WIRE_BEGIN,
	  BYTES(32, 0, 0, 0, 3, 0, 0, 0, LE64(1), LE64(1), 1, 0, 0, 0, 0, 0, 0,
		0, LE64(0)),
	  .m.begin = { .stream = 1, .epoch = 1, .flags = WIRE_BEGIN_DIRECT } },
	{ .type = WIRE_END,
	  BYTES(40, 0, 0, 0, 6, 0, 0, 0, LE64(9), LE64(1000), LE64(32768),
		LE64(0xa1a2a3a4a5a6a7a8), LE64(0xb1b2b3b4b5b6b7b8)),
	  .m.end = { .epoch = 9,
		     .page_records = 1000,
		     .device_bytes = 32768,
		     .digest = 0xa1a2a3a4a5a6a7a8,
		     .chain = 0xb1b2b3b4b5b6b7b8 } },
	{ .type = WIRE_ACK, /* the example of remus-protocol(7) */
	  BYTES(0x10, 0, 0, 0, 7, 0, 0, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0x88,
		0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11),
	  .m.ack = { .epoch = 42, .chain = 0x1122334455667788 } },
	{ .type = WIRE_TICKET,
	  BYTES(16, 0, 0, 0, 8, 0, 0, 0, LE64(3), 1, 0, 0, 0, 0, 0, 0, 0),
	  .m.ticket = { .generation = 3, .state = WIRE_TICKET_PROTECTED } },
	{ .type = WIRE_TICKET_ACK,
	  BYTES(16, 0, 0, 0, 9, 0, 0, 0, LE64(3), 2, 0, 0, 0, 0, 0, 0, 0),
	  .m.ticket = { .generation = 3, .state = WIRE_TICKET_ALONE } },
	{ .type = WIRE_HANDOVER,
	  BYTES(16, 0, 0, 0, 10, 0, 0, 0, LE64(3), LE64(77)),
	  .m.handover = { .generation = 3, .epoch = 77 } },
	{ .type = WIRE_HANDOVER_ACK,
	  BYTES(16, 0, 0, 0, 11, 0, 0, 0, LE64(3), LE64(77)),
	  .m.handover = { .generation = 3, .epoch = 77 } },
	{ .type = WIRE_HEARTBEAT,
	  BYTES(16, 0, 0, 0, 12, 0, 0, 0, LE64(123456789), LE64(0)),
	  .m.heartbeat = { .sent_ns = 123456789 } },
	{ .type = WIRE_HEARTBEAT,
	  BYTES(16, 0, 0, 0, 12, 0, 0, 0, LE64(0), LE64(123456789)),
	  .m.heartbeat = { .echo_ns = 123456789 } },
	{ .type = WIRE_PROGRESS,
	  BYTES(8, 0, 0, 0, 13, 0, 0, 0, LE64(0x0102030405060708)),
	  .m.progress = { .page_records = 0x0102030405060708 } },
};
#define NGOLDENS (sizeof(goldens) / sizeof(goldens[0]))

/* Decode from memory of exactly this size, so that a sanitizer or valgrind sees
 * every byte read outside. */
static int get_exactly(unsigned int type, const uint8_t *p, size_t len,
		       union wire_any *m)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, p, len);
	if (len == 0) {
		free(copy);
		copy = NULL;
	}
	memset(m, 0xa5, sizeof(*m));
	rc = wire_get_any(type, copy, len, m);
	free(copy);
	return rc;
}

static void encodes_to_golden_bytes(void **state)
{
	uint8_t buf[WIRE_SMALL_MAX];

	(void)state;
	for (size_t i = 0; i < NGOLDENS; i++) {
		const struct golden *g = &goldens[i];

		assert_int_equal(wire_put_any(g->type, buf, &g->m), g->bytes);
		assert_memory_equal(buf, g->frame, g->bytes);
	}
}

static void decodes_golden_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < NGOLDENS; i++) {
		const struct golden *g = &goldens[i];
		uint8_t again[WIRE_SMALL_MAX];
		struct wire_header h;
		union wire_any m;

		assert_int_equal(wire_get_header(g->frame, &h), 0);
		assert_int_equal(h.type, g->type);
		assert_int_equal(h.payload_bytes,
				 g->bytes - WIRE_HEADER_BYTES);
		assert_int_equal(get_exactly(h.type,
					     g->frame + WIRE_HEADER_BYTES,
					     h.payload_bytes, &m), 0);
		assert_int_equal(wire_put_any(h.type, again, &m), g->bytes);
		assert_memory_equal(again, g->frame, g->bytes);
	}
}

static void decoded_hello_has_its_fields(void **state)
{
	const struct golden *g = &goldens[0];
	struct wire_hello m;

	(void)state;
	assert_int_equal(wire_get_hello(g->frame + WIRE_HEADER_BYTES,
					g->bytes - WIRE_HEADER_BYTES, &m), 0);
	assert_int_equal(m.version_max, 0x102);
	assert_int_equal(m.role, WIRE_ROLE_BACKUP);
	assert_string_equal(m.vm, "db");
	assert_string_equal(m.node, "node");
	assert_int_equal(m.npages, 32768);
	assert_memory_equal(m.fingerprint, g->m.hello.fingerprint, 16);
	assert_true(m.have_chain == 0x4142434445464748);
	assert_true(m.stream == 0x5152535455565758);
}

static void truncated_at_every_byte_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NGOLDENS; i++) {
		const struct golden *g = &goldens[i];
		union wire_any m;

		for (size_t n = 0; n < g->bytes - WIRE_HEADER_BYTES; n++)
			assert_int_equal(
				get_exactly(g->type,
					    g->frame + WIRE_HEADER_BYTES, n,
					    &m),
				-EBADMSG);
	}
}

static void trailing_bytes_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NGOLDENS; i++) {
		const struct golden *g = &goldens[i];
		uint8_t longer[256] = { 0 };
		union wire_any m;

		memcpy(longer, g->frame, g->bytes);
		for (size_t n = 1; n <= 9; n++)
			assert_int_equal(
				get_exactly(g->type, longer + WIRE_HEADER_BYTES,
					    g->bytes - WIRE_HEADER_BYTES + n,
					    &m),
				-EBADMSG);
	}
}

/* Every bit means something: flipped, the frame is refused or means exactly
 * what it now says. */
static void each_flipped_bit_is_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < NGOLDENS; i++) {
		const struct golden *g = &goldens[i];
		size_t first = 8 * WIRE_HEADER_BYTES;

		for (size_t bit = first; bit < 8 * g->bytes; bit++) {
			uint8_t bad[128], again[WIRE_SMALL_MAX];
			union wire_any m;

			memcpy(bad, g->frame, sizeof(bad));
			bad[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			if (get_exactly(g->type, bad + WIRE_HEADER_BYTES,
					g->bytes - WIRE_HEADER_BYTES, &m) != 0)
				continue;
			assert_int_equal(wire_put_any(g->type, again, &m),
					 g->bytes);
			assert_memory_equal(again, bad, g->bytes);
		}
	}
}

static void flipped_header_bits_are_refused_or_meant(void **state)
{
	(void)state;
	for (size_t i = 0; i < NGOLDENS; i++) {
		for (size_t bit = 0; bit < 8 * WIRE_HEADER_BYTES; bit++) {
			uint8_t bad[WIRE_HEADER_BYTES], again[WIRE_HEADER_BYTES];
			struct wire_header h;

			memcpy(bad, goldens[i].frame, sizeof(bad));
			bad[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			if (wire_get_header(bad, &h) != 0)
				continue;
			assert_true(bit < 40); /* not flags, not reserved */
			assert_true(h.payload_bytes <= WIRE_PAYLOAD_MAX);
			wire_put_header(again, h.type, h.payload_bytes);
			assert_memory_equal(again, bad, sizeof(bad));
		}
	}
}

static int header_rc(uint32_t bytes, uint8_t type)
{
	uint8_t buf[WIRE_HEADER_BYTES] = { (uint8_t)bytes,
					   (uint8_t)(bytes >> 8),
					   (uint8_t)(bytes >> 16),
					   (uint8_t)(bytes >> 24), type };
	struct wire_header h;

	return wire_get_header(buf, &h);
}

static void header_bounds_the_length_by_type(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t min, max;
	} bounds[] = {
		{ WIRE_HELLO, 84, 210 },	{ WIRE_REFUSE, 16, 272 },
		{ WIRE_BEGIN, 32, 32 },		{ WIRE_PAGES, 1, 1048576 },
		{ WIRE_DEVICE, 1, 1048576 },	{ WIRE_END, 40, 40 },
		{ WIRE_ACK, 16, 16 },		{ WIRE_TICKET, 16, 16 },
		{ WIRE_TICKET_ACK, 16, 16 },	{ WIRE_HANDOVER, 16, 16 },
		{ WIRE_HANDOVER_ACK, 16, 16 },	{ WIRE_HEARTBEAT, 16, 16 },
		{ WIRE_PROGRESS, 8, 8 },	{ WIRE_OUTPUT, 16, 1048576 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		assert_int_equal(header_rc(bounds[i].min, bounds[i].type), 0);
		assert_int_equal(header_rc(bounds[i].max, bounds[i].type), 0);
		assert_int_equal(header_rc(bounds[i].min - 1, bounds[i].type),
				 -EBADMSG);
		assert_int_equal(header_rc(bounds[i].max + 1, bounds[i].type),
				 -EBADMSG);
		assert_int_equal(header_rc(UINT32_MAX, bounds[i].type),
				 -EBADMSG);
	}
	for (unsigned int type = 0; type < 256; type++) {
		if (type < 1 || type > WIRE_OUTPUT)
			assert_int_equal(header_rc(16, (uint8_t)type),
					 -EBADMSG);
	}
}

static int frames_of(const uint8_t *payload, size_t len, unsigned int *n)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	const uint8_t *frame;
	size_t at = 0, bytes;
	int more;

	memcpy(copy, payload, len);
	*n = 0;
	while ((more = wire_get_output_frame(copy, len, &at, &frame,
					     &bytes)) == 1) {
		assert_true(frame >= copy && frame + bytes <= copy + at);
		assert_true(at <= len);
		++*n;
	}
	free(copy);
	return more;
}

static void output_is_a_row_of_whole_frames(void **state)
{
	uint8_t frame[WIRE_OUTPUT_FRAME_MAX], row[4096];
	size_t len = 0, ends[4] = { 0 };
	unsigned int n;

	(void)state;
	memset(frame, 0x5a, sizeof(frame));
	len += wire_put_output_frame(row + len, frame, WIRE_OUTPUT_FRAME_MIN);
	ends[1] = len;
	len += wire_put_output_frame(row + len, frame, WIRE_OUTPUT_FRAME_MAX);
	ends[2] = len;
	len += wire_put_output_frame(row + len, frame, 60);
	ends[3] = len;
	assert_int_equal(row[0], 14);
	assert_int_equal(row[1], 0);
	for (size_t cut = 0; cut <= len; cut++) {
		unsigned int whole = cut >= ends[3]	? 3
				     : cut >= ends[2] ? 2
				     : cut >= ends[1] ? 1
						      : 0;

		assert_int_equal(frames_of(row, cut, &n),
				 cut == ends[whole] ? 0 : -EBADMSG);
		assert_int_equal(n, whole);
	}
	row[0] = 13;
	assert_int_equal(frames_of(row, len, &n), -EBADMSG);
	assert_int_equal(n, 0);
	row[0] = (WIRE_OUTPUT_FRAME_MAX + 1) & 0xff;
	row[1] = (WIRE_OUTPUT_FRAME_MAX + 1) >> 8;
	assert_int_equal(frames_of(row, len, &n), -EBADMSG);
	assert_int_equal(n, 0);
}

/* One byte of a golden payload set to something that its field forbids. */
static void assert_forbidden(unsigned int type, size_t nth, size_t offset,
			     uint8_t value)
{
	for (size_t i = 0; i < NGOLDENS; i++) {
		uint8_t bad[128];
		union wire_any m;

		if (goldens[i].type != type || nth-- > 0)
			continue;
		memcpy(bad, goldens[i].frame, sizeof(bad));
		assert_int_not_equal(bad[WIRE_HEADER_BYTES + offset], value);
		bad[WIRE_HEADER_BYTES + offset] = value;
		assert_int_equal(get_exactly(type, bad + WIRE_HEADER_BYTES,
					     goldens[i].bytes -
						     WIRE_HEADER_BYTES, &m),
				 -EBADMSG);
		return;
	}
	fail();
}

static void fields_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_forbidden(WIRE_HELLO, 0, 0, 0);	/* version_min 0 */
	assert_forbidden(WIRE_HELLO, 0, 1, 2);	/* min > max */
	assert_forbidden(WIRE_HELLO, 0, 8, 0);	/* role */
	assert_forbidden(WIRE_HELLO, 0, 8, 3);
	assert_forbidden(WIRE_HELLO, 0, 9, 3);	/* ticket_state */
	assert_forbidden(WIRE_HELLO, 0, 10, 1); /* reserved */
	assert_forbidden(WIRE_HELLO, 0, 13, 0);	   /* page_bytes 0 */
	assert_forbidden(WIRE_HELLO, 0, 13, 0x30); /* no power of two */
	assert_forbidden(WIRE_HELLO, 0, 13, 0x08); /* 2048 */
	assert_forbidden(WIRE_HELLO, 0, 17, 0);	   /* npages 0 */
	assert_forbidden(WIRE_HELLO, 0, 21, 1);	   /* npages > 2^40 */
	assert_forbidden(WIRE_HELLO, 0, 80, 0);	   /* name lengths */
	assert_forbidden(WIRE_HELLO, 0, 80, 3);
	assert_forbidden(WIRE_HELLO, 0, 81, 0);	   /* a NUL in a name */
	assert_forbidden(WIRE_HELLO, 0, 82, ' ');
	assert_forbidden(WIRE_HELLO, 0, 84, 0x7f);
	assert_forbidden(WIRE_REFUSE, 0, 0, 0);	 /* code 0 */
	assert_forbidden(WIRE_REFUSE, 0, 4, 1);	 /* reserved */
	assert_forbidden(WIRE_REFUSE, 0, 16, '\n');
	assert_forbidden(WIRE_BEGIN, 0, 8, 0);	 /* epoch 0 */
	assert_forbidden(WIRE_BEGIN, 0, 16, 2);	 /* unknown flag */
	assert_forbidden(WIRE_BEGIN, 0, 16, 1);	 /* DIRECT with a base */
	assert_forbidden(WIRE_BEGIN, 0, 20, 1);	 /* reserved */
	assert_forbidden(WIRE_BEGIN, 1, 0, 0);	 /* stream 0 */
	assert_forbidden(WIRE_END, 0, 0, 0);	 /* epoch 0 */
	assert_forbidden(WIRE_END, 0, 19, 5);	 /* device_bytes > 64 MiB */
	assert_forbidden(WIRE_ACK, 0, 0, 0);
	assert_forbidden(WIRE_TICKET, 0, 8, 3);
	assert_forbidden(WIRE_TICKET, 0, 15, 1);
	assert_forbidden(WIRE_HANDOVER, 0, 8, 0);
	assert_forbidden(WIRE_HEARTBEAT, 0, 8, 1); /* probe and answer */
}

static void a_heartbeat_of_zeros_is_refused(void **state)
{
	uint8_t zeros[16] = { 0 };
	struct wire_heartbeat m;

	(void)state;
	assert_int_equal(wire_get_heartbeat(zeros, 16, &m), -EBADMSG);
}

static void longest_names_and_text_fit(void **state)
{
	struct wire_hello hello = goldens[0].m.hello, hello2;
	struct wire_refuse refuse = { .code = 1 }, refuse2;
	uint8_t buf[WIRE_SMALL_MAX];
	size_t n;

	(void)state;
	memset(hello.vm, 'v', WIRE_NAME_MAX);
	memset(hello.node, 'n', WIRE_NAME_MAX);
	n = wire_put_hello(buf, &hello);
	assert_int_equal(n, WIRE_HEADER_BYTES + 210);
	assert_int_equal(wire_get_hello(buf + WIRE_HEADER_BYTES, 210, &hello2),
			 0);
	assert_string_equal(hello2.vm, hello.vm);
	assert_string_equal(hello2.node, hello.node);
	memset(refuse.text, 't', WIRE_TEXT_MAX);
	n = wire_put_refuse(buf, &refuse);
	assert_true(n <= WIRE_SMALL_MAX);
	assert_int_equal(wire_get_refuse(buf + WIRE_HEADER_BYTES,
					 n - WIRE_HEADER_BYTES, &refuse2), 0);
	assert_string_equal(refuse2.text, refuse.text);
}

static void text_for_people_is_made_printable(void **state)
{
	struct wire_refuse m = { .code = 1, .text = "a\nb\xc3\xa9" }, out;
	uint8_t buf[WIRE_SMALL_MAX];
	size_t n = wire_put_refuse(buf, &m);

	(void)state;
	assert_int_equal(wire_get_refuse(buf + WIRE_HEADER_BYTES,
					 n - WIRE_HEADER_BYTES, &out), 0);
	assert_string_equal(out.text, "a?b??");
}

static void names_of_types_and_refusals(void **state)
{
	(void)state;
	assert_string_equal(wire_type_to_str(WIRE_HANDOVER_ACK),
			    "HANDOVER_ACK");
	assert_string_equal(wire_type_to_str(0), "?");
	assert_string_equal(wire_type_to_str(WIRE_OUTPUT + 1), "?");
	assert_string_equal(wire_refusal_to_str(WIRE_REFUSE_DIGEST), "digest");
	assert_string_equal(wire_refusal_to_str(0), "?");
	assert_string_equal(wire_refusal_to_str(10), "?");
}

/* --corpus DIR: write one seed for fuzz_wire per golden frame, and no test. */
static int write_corpus(const char *dir)
{
	for (size_t i = 0; i < NGOLDENS; i++) {
		char path[4096];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%02zu-%s", dir, i,
			 wire_type_to_str(goldens[i].type));
		f = fopen(path, "wb");
		if (f == NULL)
			return 1;
		fwrite(goldens[i].frame, 1, goldens[i].bytes, f);
		if (fclose(f) != 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_to_golden_bytes),
		cmocka_unit_test(decodes_golden_bytes),
		cmocka_unit_test(decoded_hello_has_its_fields),
		cmocka_unit_test(truncated_at_every_byte_is_refused),
		cmocka_unit_test(trailing_bytes_are_refused),
		cmocka_unit_test(each_flipped_bit_is_seen),
		cmocka_unit_test(flipped_header_bits_are_refused_or_meant),
		cmocka_unit_test(header_bounds_the_length_by_type),
		cmocka_unit_test(output_is_a_row_of_whole_frames),
		cmocka_unit_test(fields_out_of_range_are_refused),
		cmocka_unit_test(a_heartbeat_of_zeros_is_refused),
		cmocka_unit_test(longest_names_and_text_fit),
		cmocka_unit_test(text_for_people_is_made_printable),
		cmocka_unit_test(names_of_types_and_refusals),
	};

	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
