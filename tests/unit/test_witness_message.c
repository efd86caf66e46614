/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness_message.c - the ticket's messages as JSON. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "util.h"
#include "witness_client.h"
#include "witness_message.h"

static struct ticket_message message(enum ticket_question q,
				     enum ticket_purpose p)
{
	struct ticket_message m = { .question = q };

	strcpy(m.vm, "web");
	strcpy(m.from, "beta");
	if (q != TICKET_RENEW) {
		m.ballot = (struct ballot){ 7, UINT64_MAX - 1 };
		m.purpose = p;
		if (p == TICKET_FOR_FENCE)
			strcpy(m.target, "alpha");
	}
	if (q != TICKET_PREPARE) {
		m.value = (struct ticket){ .generation = INT64_MAX,
					   .state = TICKET_ALONE,
					   .holder = "beta" };
		m.lease_ms = 2000;
	}
	return m;
}

static struct ticket_answer answer(enum ticket_reply r)
{
	struct ticket_answer a = {
		.reply = r, .ballot = { INT64_MAX, 1 },
		.value = { .generation = 3, .state = TICKET_PROTECTED,
			   .holder = "alpha", .backup = "beta" },
		.lease_left_ms = UINT32_MAX, .why = "\"why\"",
	};

	return a;
}

static void messages_come_back(void **state)
{
	(void)state;
	for (int q = TICKET_PREPARE; q <= TICKET_RENEW; q++) {
		for (int p = TICKET_FOR_READ; p <= TICKET_FOR_FENCE; p++) {
			struct ticket_message m =
				message((enum ticket_question)q,
					(enum ticket_purpose)p), again;
			json_t *j = ticket_message_to_json(&m), *k;
			char err[128] = "";

			assert_int_equal(ticket_message_from_json(
						 &again, j, err, sizeof(err)),
					 0);
			k = ticket_message_to_json(&again);
			assert_true(json_equal(j, k));
			json_decref(j);
			json_decref(k);
		}
	}
}

static void answers_come_back(void **state)
{
	(void)state;
	for (int r = TICKET_PROMISE; r <= TICKET_REFUSED_BAD; r++) {
		struct ticket_answer a = answer((enum ticket_reply)r), again;
		json_t *j = ticket_answer_to_json(&a), *k;

		assert_int_equal(ticket_answer_from_json(&again, j, NULL, 0),
				 0);
		assert_int_equal(again.reply, r);
		assert_string_equal(again.why, a.why);
		k = ticket_answer_to_json(&again);
		assert_true(json_equal(j, k));
		json_decref(j);
		json_decref(k);
	}
}

/* `o` with each member, and each member's member, in turn taken out or of
 * another kind: never taken for whole unless it may be missing. */
static void spoil(json_t *o, json_t *sub, const char *may_miss,
		  int (*from)(const json_t *o, char *err, size_t n))
{
	static const char *const values[] = {
		"null", "true", "-1", "1.5", "\"\\u00e9 /\"", "[]", "{}",
		"9223372036854775807", "18446744073709551616", "\"\""
	};
	json_t *all = json_copy(sub), *was;
	const char *name;

	json_object_foreach(all, name, was) {
		char err[256] = "";

		if (json_is_object(was))
			spoil(o, was, may_miss, from);
		json_object_del(sub, name);
		if (strstr(may_miss, name) == NULL) {
			assert_int_equal(from(o, err, sizeof(err)), -EBADMSG);
			assert_string_not_equal(err, "");
		}
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			json_t *bad = json_loads(values[i], JSON_DECODE_ANY,
						 NULL);

			if (bad == NULL)
				continue; /* more than an integer holds */
			json_object_set_new(sub, name, bad);
			/* A few of these are right by chance; but no crash,
			 * and what is refused is explained. */
			err[0] = '\0';
			if (from(o, err, sizeof(err)) != 0)
				assert_string_not_equal(err, "");
			else
				assert_int_equal(json_typeof(was),
						 json_typeof(bad));
		}
		json_object_set(sub, name, was);
	}
	json_decref(all);
	assert_int_equal(from(o, NULL, 0), 0);
}

static int message_from(const json_t *o, char *err, size_t n)
{
	struct ticket_message m;

	return ticket_message_from_json(&m, o, err, n);
}

static int answer_from(const json_t *o, char *err, size_t n)
{
	struct ticket_answer a;

	return ticket_answer_from_json(&a, o, err, n);
}

static void wrong_members_are_refused(void **state)
{
	(void)state;
	for (int q = TICKET_PREPARE; q <= TICKET_RENEW; q++) {
		struct ticket_message m = message((enum ticket_question)q,
						  TICKET_FOR_BOOT);
		json_t *j = ticket_message_to_json(&m);

		spoil(j, j, "target lease_ms backup", message_from);
		json_decref(j);
	}
	for (int r = TICKET_PROMISE; r <= TICKET_REFUSED_BAD; r++) {
		struct ticket_answer a = answer((enum ticket_reply)r);
		json_t *j = ticket_answer_to_json(&a);

		spoil(j, j, "", answer_from);
		json_decref(j);
	}
}

static void tickets_make_sense(void **state)
{
	static const char *const bad[] = {
		"{\"generation\":0,\"state\":\"alone\",\"holder\":\"a\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":\"b\"}",
		"{\"generation\":1,\"state\":\"none\",\"holder\":\"a\"}",
		"{\"generation\":1,\"state\":\"protected\",\"holder\":\"a\"}",
		"{\"generation\":1,\"state\":\"protected\",\"holder\":\"a\","
		"\"backup\":\"a\"}",
		"{\"generation\":1,\"state\":\"ALONE\",\"holder\":\"a\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"../a\"}",
		"{\"generation\":1,\"state\":\"alone\","
		"\"holder\":\"a\\u0000b\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *o = json_object();
		struct ticket t;
		char err[256];

		json_object_set_new(o, "value",
				    json_loads(bad[i], JSON_ALLOW_NUL, NULL));
		assert_non_null(json_object_get(o, "value"));
		assert_int_equal(member_ticket(o, "value", &t, err,
					       sizeof(err)),
				 -EBADMSG);
		json_decref(o);
	}
}

static void every_truncation_is_no_object(void **state)
{
	struct ticket_message m = message(TICKET_ACCEPT, TICKET_FOR_FENCE);
	json_t *j = ticket_message_to_json(&m);
	char *text = json_dumps(j, 0), err[256];

	(void)state;
	for (size_t len = 0; len < strlen(text); len++)
		assert_null(witness_json_parse(text, len, err, sizeof(err)));
	free(text);
	json_decref(j);
}

static void deep_and_doubled_and_trailing_is_refused(void **state)
{
	static const char *const bad[] = {
		"{\"a\":1,\"a\":2}", "{} {}", "[]", "1", "", "{\"a\":\"\xff\"}",
		"{\"a\":[[[[[[[[]]]]]]]]}", "{\"a\":\"\\u0000\"}",
	};
	static const char brackets[] = "{\"a\":\"\\\"[[[[[[[[[[[[\"}";
	char deep[16384], err[256];
	json_t *o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_null(witness_json_parse(bad[i], strlen(bad[i]), err,
					       sizeof(err)));
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"a\":", 5);
	assert_null(witness_json_parse(deep, sizeof(deep), err, sizeof(err)));
	assert_string_equal(err, "JSON is nested too deep");
	/* Brackets in a string are none. */
	o = witness_json_parse(brackets, strlen(brackets), err, sizeof(err));
	assert_non_null(o);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_back),
		cmocka_unit_test(answers_come_back),
		cmocka_unit_test(wrong_members_are_refused),
		cmocka_unit_test(tickets_make_sense),
		cmocka_unit_test(every_truncation_is_no_object),
		cmocka_unit_test(deep_and_doubled_and_trailing_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
