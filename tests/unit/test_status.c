/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those four */
#include <cmocka.h>

#include <string.h>

#include "status.h"
#include "util.h"

static struct hist h; /* 8 kB: not on the stack of every test */

static void nothing_recorded_gives_zeros(void **state)
{
	struct quantiles q;

	(void)state;
	memset(&h, 0, sizeof(h));
	q = hist_quantiles(&h);
	assert_int_equal(q.p50, 0);
	assert_int_equal(q.p99, 0);
	assert_int_equal(q.max, 0);
}

static void one_value_is_every_quantile(void **state)
{
	struct quantiles q;

	(void)state;
	memset(&h, 0, sizeof(h));
	hist_add(&h, 7);
	q = hist_quantiles(&h);
	assert_int_equal(q.p50, 7);
	assert_int_equal(q.p99, 7);
	assert_int_equal(q.max, 7);
}

static void quantiles_of_a_hundred(void **state)
{
	struct quantiles q;

	(void)state;
	memset(&h, 0, sizeof(h));
	for (uint64_t i = 100; i > 0; i--)
		hist_add(&h, i);
	q = hist_quantiles(&h);
	assert_int_equal(q.p50, 50);
	assert_int_equal(q.p99, 99);
	assert_int_equal(q.max, 100);
}

static void the_ring_forgets_and_the_maximum_does_not(void **state)
{
	struct quantiles q;

	(void)state;
	memset(&h, 0, sizeof(h));
	hist_add(&h, UINT64_MAX);
	for (uint64_t i = 0; i < HIST_SAMPLES; i++)
		hist_add(&h, 5);
	q = hist_quantiles(&h);
	assert_int_equal(q.p50, 5);
	assert_int_equal(q.p99, 5);
	assert_true(q.max == UINT64_MAX);
}

static void states_have_their_names(void **state)
{
	static const char *const names[] = { "syncing", "protected", "alone",
					     "standby", "active", "failed" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(vm_state_to_str((enum vm_state)i),
				    names[i]);
	assert_string_equal(vm_state_to_str((enum vm_state)99), "?");
	assert_string_equal(vm_role_to_str(ROLE_PRIMARY), "primary");
	assert_string_equal(vm_role_to_str(ROLE_BACKUP), "backup");
}

static long long num(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void json_has_every_member(void **state)
{
	static const char *const strings[] = {
		"vm", "node", "role", "state", "reason", "ticket",
		"witnesses", "peer",
		"peer_address", "driver", "tracker",
	};
	static const char *const numbers[] = {
		"generation", "epoch_committed", "interval_ms", "bytes_raw",
		"bytes_sent", "lag_ms", "rtt_us", "resyncs", "resyncs_full",
		"sync_done_pages", "sync_total_pages", "epochs",
		"held_pauses", "memory_bytes", "rss_bytes",
	};
	struct vm_status s = { .vm = "web", .role = ROLE_PRIMARY,
			       .state = STATE_PROTECTED, .bytes_raw = 4096,
			       .bytes_sent = 1024, .compression = COMPRESSION_AUTO,
			       .codec = COMPRESSION_FAST,
			       .encode_threads = 3,
			       .pause_us = { 1, 2, 3 },
			       .dirty_pages = { 4, 5, 6 },
			       .ack_us = { 7, 8, 9 },
			       .track_us = { 3, 2, 1 },
			       .gate = { .held = 10, .released = 11,
					 .dropped = 12, .held_bytes = 13,
					 .inbound = 14 },
			       .epoch_committed = UINT64_MAX };
	json_t *j = status_to_json(&s), *o;

	(void)state;
	assert_non_null(j);
	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		assert_true(json_is_string(json_object_get(j, strings[i])));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		assert_true(num(j, numbers[i]) >= 0);
	assert_int_equal(num(j, "bytes_raw"), 4096);
	assert_int_equal(num(j, "bytes_sent"), 1024);
	assert_true(json_real_value(json_object_get(j, "ratio")) == 4.0);
	assert_true(json_is_true(json_object_get(j, "compression")));
	assert_string_equal(json_string_value(json_object_get(
		j, "compression_mode")), "auto");
	assert_string_equal(json_string_value(json_object_get(j, "codec")),
			    "fast");
	assert_int_equal(num(j, "encode_threads"), 3);
	assert_true(json_is_false(json_object_get(j, "link_up")));
	o = json_object_get(j, "pause_us");
	assert_int_equal(num(o, "p50") * 100 + num(o, "p99") * 10 +
			 num(o, "max"), 123);
	o = json_object_get(j, "dirty_pages");
	assert_int_equal(num(o, "p50") * 100 + num(o, "p99") * 10 +
			 num(o, "max"), 456);
	o = json_object_get(j, "ack_us");
	assert_int_equal(num(o, "p50") * 100 + num(o, "p99") * 10 +
			 num(o, "max"), 789);
	o = json_object_get(j, "track_us");
	assert_int_equal(num(o, "p50") * 100 + num(o, "p99") * 10 +
			 num(o, "max"), 321);
	o = json_object_get(j, "gate");
	assert_int_equal(num(o, "held"), 10);
	assert_int_equal(num(o, "released"), 11);
	assert_int_equal(num(o, "dropped"), 12);
	assert_int_equal(num(o, "held_bytes"), 13);
	assert_int_equal(num(o, "inbound"), 14);
	assert_string_equal(json_string_value(json_object_get(o, "state")),
			    "closed");
	json_decref(j);
}

static void nothing_sent_is_ratio_zero(void **state)
{
	struct vm_status s = { .vm = "w\xff", .bytes_raw = 4096 };
	json_t *j = status_to_json(&s);

	(void)state;
	assert_non_null(j); /* in spite of a name that is not UTF-8 */
	assert_true(json_real_value(json_object_get(j, "ratio")) == 0.0);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_recorded_gives_zeros),
		cmocka_unit_test(one_value_is_every_quantile),
		cmocka_unit_test(quantiles_of_a_hundred),
		cmocka_unit_test(the_ring_forgets_and_the_maximum_does_not),
		cmocka_unit_test(states_have_their_names),
		cmocka_unit_test(json_has_every_member),
		cmocka_unit_test(nothing_sent_is_ratio_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
