/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness_auth.c - signatures of requests and answers. */
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
#include "witness_auth.h"

static const struct witness_key key = { .bytes = "0123456789abcdef0123456789"
						 "abcdef",
					.count = 32 };
static const char body[] = "{\"vm\":\"web\"}";

static struct witness_auth request(void)
{
	struct witness_auth a;

	assert_int_equal(witness_auth_new(&a, "alpha", "w1"), 0);
	assert_int_equal(witness_auth_sign(&a, &key, "POST", "/v1/vote", body,
					   sizeof(body) - 1),
			 0);
	return a;
}

static int check(const struct witness_auth *a)
{
	return witness_auth_check(a, &key, "POST", "/v1/vote", body,
				  sizeof(body) - 1);
}

static void a_signed_request_is_right(void **state)
{
	struct witness_auth a = request(), b;
	char header[WITNESS_AUTH_MAX];

	(void)state;
	assert_int_equal(check(&a), 0);
	witness_auth_to_header(&a, header);
	assert_int_equal(witness_auth_from_header(&b, header), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(check(&b), 0);
}

static void two_requests_differ(void **state)
{
	struct witness_auth a = request(), b = request();

	(void)state;
	assert_string_not_equal(a.nonce, b.nonce);
	assert_string_not_equal(a.mac, b.mac);
}

static void what_was_changed_is_not_what_was_signed(void **state)
{
	const struct witness_auth good = request();
	struct witness_key other = key;
	struct witness_auth a;

	(void)state;
	a = good;
	strcpy(a.node, "beta");
	assert_int_equal(check(&a), -EACCES);
	a = good;
	strcpy(a.witness, "w2");
	assert_int_equal(check(&a), -EACCES);
	a = good;
	a.time_ms++;
	assert_int_equal(check(&a), -EACCES);
	a = good;
	a.nonce[31] = a.nonce[31] == '0' ? '1' : '0';
	assert_int_equal(check(&a), -EACCES);
	a = good;
	a.mac[63] = a.mac[63] == '0' ? '1' : '0';
	assert_int_equal(check(&a), -EACCES);
	a = good;
	assert_int_equal(witness_auth_check(&a, &key, "GET", "/v1/vote", body,
					    sizeof(body) - 1),
			 -EACCES);
	assert_int_equal(witness_auth_check(&a, &key, "POST", "/v1/alive",
					    body, sizeof(body) - 1),
			 -EACCES);
	assert_int_equal(witness_auth_check(&a, &key, "POST", "/v1/vote",
					    body, sizeof(body) - 2),
			 -EACCES);
	other.bytes[0] ^= 1;
	assert_int_equal(witness_auth_check(&a, &other, "POST", "/v1/vote",
					    body, sizeof(body) - 1),
			 -EACCES);
}

static void every_truncated_header_is_refused(void **state)
{
	struct witness_auth a = request(), b;
	char header[WITNESS_AUTH_MAX];

	(void)state;
	witness_auth_to_header(&a, header);
	for (size_t len = strlen(header); len-- > 0;) {
		header[len] = '\0';
		assert_int_equal(witness_auth_from_header(&b, header),
				 -EBADMSG);
	}
}

static void a_header_of_another_form_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "1", "1 alpha w1 1",
		"2 alpha w1 1 %s %s", "1  alpha w1 1 %s %s",
		"1 alpha w1 1 %s %s ", "1 alpha w1 1 %s %s x",
		"1 al/pha w1 1 %s %s", "1 alpha -w1 1 %s %s",
		"1 alpha w1 -1 %s %s", "1 alpha w1 007 %s %s",
		"1 alpha w1 99999999999999999999 %s %s",
		"1 alpha w1 9223372036854775808 %s %s",
		"1\talpha w1 1 %s %s",
	};
	static const char nonce[] = "00112233445566778899aabbccddeeff";
	char mac[65], header[600];
	struct witness_auth a;

	(void)state;
	memset(mac, 'a', 64);
	mac[64] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		snprintf(header, sizeof(header), bad[i], nonce, mac);
#pragma GCC diagnostic pop
		assert_int_equal(witness_auth_from_header(&a, header),
				 -EBADMSG);
	}
	snprintf(header, sizeof(header), "1 alpha w1 7 %s %s", nonce, mac);
	assert_int_equal(witness_auth_from_header(&a, header), 0);
	mac[3] = 'A';
	snprintf(header, sizeof(header), "1 alpha w1 7 %s %s", nonce, mac);
	assert_int_equal(witness_auth_from_header(&a, header), -EBADMSG);
	memset(header, 'a', sizeof(header) - 1);
	header[sizeof(header) - 1] = '\0';
	assert_int_equal(witness_auth_from_header(&a, header), -EBADMSG);
}

static void an_answer_fits_one_request(void **state)
{
	struct witness_auth a = request(), b = request();
	char header[WITNESS_AUTH_MAX];

	(void)state;
	assert_int_equal(witness_auth_answer(&a, &key, 200, "{}", 2, header),
			 0);
	assert_int_equal(witness_auth_check_answer(&a, &key, 200, "{}", 2,
						   header),
			 0);
	assert_int_equal(witness_auth_check_answer(&b, &key, 200, "{}", 2,
						   header),
			 -EACCES);
	assert_int_equal(witness_auth_check_answer(&a, &key, 503, "{}", 2,
						   header),
			 -EACCES);
	assert_int_equal(witness_auth_check_answer(&a, &key, 200, "{ }", 3,
						   header),
			 -EACCES);
	assert_int_equal(witness_auth_check_answer(&a, &key, 200, "{}", 2, ""),
			 -EACCES);
	/* What another witness says to the same nonce is another's word. */
	strcpy(b.nonce, a.nonce);
	strcpy(b.witness, "w2");
	assert_int_equal(witness_auth_answer(&b, &key, 200, "{}", 2, header),
			 0);
	assert_int_equal(witness_auth_check_answer(&a, &key, 200, "{}", 2,
						   header),
			 -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signed_request_is_right),
		cmocka_unit_test(two_requests_differ),
		cmocka_unit_test(what_was_changed_is_not_what_was_signed),
		cmocka_unit_test(every_truncated_header_is_refused),
		cmocka_unit_test(a_header_of_another_form_is_refused),
		cmocka_unit_test(an_answer_fits_one_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
