/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_segments.c - which frames are kept, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "segment_frames.h"

#define SECOND UINT64_C(1000000000)

static size_t segment6(uint8_t *f, uint8_t flags, size_t data)
{
	uint8_t v4[SEGMENT_BYTES_MAX];
	size_t tcp = segment4(v4, 1, flags, data, 6) - 34;

	memset(f, 0, 54);
	f[12] = 0x86;
	f[13] = 0xdd;
	f[14] = 0x60;
	f[18] = (uint8_t)(tcp >> 8);
	f[19] = (uint8_t)tcp;
	f[20] = 6;
	memcpy(f + 54, v4 + 34, tcp);
	return 54 + tcp;
}

struct given {
	unsigned int frames;
	size_t len;
	uint8_t last[SEGMENT_BYTES_MAX];
};

static void take(void *ctx, const void *frame, size_t len)
{
	struct given *g = ctx;

	g->frames++;
	g->len = len;
	memcpy(g->last, frame, len);
}

static struct given drain(struct segments *l, uint64_t now_ns)
{
	struct given g = { 0 };

	segments_drain(l, now_ns, take, &g);
	return g;
}

static int setup(void **state)
{
	*state = segments_new();
	return *state == NULL;
}

static int teardown(void **state)
{
	segments_free(*state);
	return 0;
}

static void newest_of_a_connection_once(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX];
	struct given g;

	segments_put(*state, f, segment4(f, 1000, ACK, 5, 'a'), 1);
	segments_put(*state, f, segment4(f, 1000, ACK, 7, 'b'), 2);
	g = drain(*state, 3);
	assert_int_equal(g.frames, 1);
	assert_int_equal(g.len, segment4(f, 1000, ACK, 7, 'b'));
	assert_memory_equal(g.last, f, g.len);
	assert_int_equal(drain(*state, 4).frames, 0);
}

static void one_for_each_connection(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX];
	unsigned int port;

	for (port = 1; port <= 8; port++)
		segments_put(*state, f, segment4(f, port, ACK, 5, 'a'), 1);
	segments_put(*state, f, segment6(f, ACK, 5), 1);
	/* Some may share a slot. */
	assert_in_range(drain(*state, 2).frames, 7, 9);
	segments_put(*state, f, segment6(f, ACK, 5), 1);
	assert_int_equal(drain(*state, 2).frames, 1);
}

static void bounded_whatever_comes(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX];
	unsigned int port;

	for (port = 1; port < 65536; port++)
		segments_put(*state, f, segment4(f, port, ACK, 5, 'a'), 1);
	assert_int_equal(drain(*state, 2).frames, SEGMENTS_MAX);
}

static void only_what_wants_an_answer(void **state)
{
	static const struct {
		uint8_t flags;
		size_t data;
		unsigned int kept;
	} c[] = { { ACK, 0, 0 }, { ACK, 1, 1 }, { SYN, 0, 1 },
		  { FIN | ACK, 0, 1 }, { RST, 0, 0 }, { RST | ACK, 3, 0 } };
	uint8_t f[SEGMENT_BYTES_MAX];
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		segments_put(*state, f,
				segment4(f, 1, c[i].flags, c[i].data, 0), 1);
		assert_int_equal(drain(*state, 1).frames, c[i].kept);
	}
}

/* Padding of the Ethernet is not data. */
static void padding_is_no_data(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX] = { 0 };
	size_t len = segment4(f, 1, ACK, 0, 0);

	segments_put(*state, f, len + 6, 1);
	assert_int_equal(drain(*state, 1).frames, 0);
}

static void other_protocols_are_not_doubled(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX];
	size_t len = segment4(f, 1, ACK, 5, 0);

	f[23] = 17; /* UDP */
	segments_put(*state, f, len, 1);
	len = segment4(f, 1, ACK, 5, 0);
	f[20] = 0x20; /* more fragments */
	segments_put(*state, f, len, 1);
	len = segment4(f, 1, ACK, 5, 0);
	f[21] = 1; /* not the first one */
	segments_put(*state, f, len, 1);
	len = segment4(f, 1, ACK, 5, 0);
	f[13] = 0x06; /* ARP */
	segments_put(*state, f, len, 1);
	assert_int_equal(drain(*state, 1).frames, 0);
}

static void old_ones_are_forgotten(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX];

	segments_put(*state, f, segment4(f, 1, ACK, 5, 0), SECOND);
	assert_int_equal(drain(*state, SECOND + SEGMENT_AGE_MAX_NS).frames, 1);
	segments_put(*state, f, segment4(f, 1, ACK, 5, 0), SECOND);
	assert_int_equal(drain(*state, SECOND + SEGMENT_AGE_MAX_NS + 1).frames, 0);
	assert_int_equal(drain(*state, SECOND).frames, 0);
}

static void clear_forgets(void **state)
{
	uint8_t f[SEGMENT_BYTES_MAX];

	segments_put(*state, f, segment4(f, 1, ACK, 5, 0), 1);
	segments_clear(*state);
	assert_int_equal(drain(*state, 1).frames, 0);
}

/* Every length is given a buffer of just that size: a look beyond it is seen by
 * the sanitizer and by valgrind. */
static void any_bytes(void **state)
{
	uint8_t whole[2][128], *f;
	size_t len[2], cut;
	unsigned int i, round;

	len[0] = segment4(whole[0], 1, ACK, 9, 0);
	len[1] = segment6(whole[1], ACK, 9);
	for (i = 0; i < 2; i++)
		for (cut = 0; cut < len[i]; cut++) {
			f = malloc(cut + 1);
			assert_non_null(f);
			memcpy(f + 1, whole[i], cut);
			segments_put(*state, f + 1, cut, 1);
			free(f);
			assert_int_equal(drain(*state, 1).frames, 0);
		}
	srand(1);
	for (round = 0; round < 20000; round++) {
		i = round % 2;
		f = malloc(len[i]);
		assert_non_null(f);
		memcpy(f, whole[i], len[i]);
		f[14 + (size_t)rand() % (len[i] - 14)] = (uint8_t)rand();
		f[14 + (size_t)rand() % (len[i] - 14)] = (uint8_t)rand();
		segments_put(*state, f, len[i], 1);
		free(f);
	}
	f = calloc(1, SEGMENT_BYTES_MAX + 1);
	assert_non_null(f);
	drain(*state, 1);
	segment4(f, 1, ACK, SEGMENT_BYTES_MAX + 1 - 54, 0);
	segments_put(*state, f, SEGMENT_BYTES_MAX + 1, 1);
	assert_int_equal(drain(*state, 1).frames, 0);
	free(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(newest_of_a_connection_once),
		T(one_for_each_connection),
		T(bounded_whatever_comes),
		T(only_what_wants_an_answer),
		T(padding_is_no_data),
		T(other_protocols_are_not_doubled),
		T(old_ones_are_forgotten),
		T(clear_forgets),
		T(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
