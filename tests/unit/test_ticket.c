/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ticket.c - the order of tickets, and the file that keeps one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "ticket.h"
#include "util.h"

static char dir[64], file[128];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/remus-ticket-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/vm.ticket", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	rmdir(file);
	return rmdir(dir);
}

static void put(const char *text, size_t bytes)
{
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
}

static struct ticket make(uint64_t generation, enum ticket_state s,
			  const char *holder, const char *backup)
{
	struct ticket t = { .generation = generation, .state = s };

	strcpy(t.holder, holder);
	strcpy(t.backup, backup);
	return t;
}

static void is_refused(const char *text)
{
	struct ticket t;
	char err[512] = "";

	put(text, strlen(text));
	if (ticket_load(&t, file, err, sizeof(err)) != -EBADMSG)
		fail_msg("taken: %s", text);
	assert_non_null(strstr(err, file));
	assert_null(strchr(err, '\n'));
}

static void a_missing_file_is_none_of_generation_0(void **state)
{
	struct ticket t = make(7, TICKET_ALONE, "a", "");

	(void)state;
	assert_int_equal(ticket_load(&t, file, NULL, 0), 0);
	assert_int_equal(t.generation, 0);
	assert_int_equal(t.state, TICKET_NONE);
	assert_string_equal(t.holder, "");
	assert_string_equal(t.backup, "");
}

static void what_was_stored_is_loaded(void **state)
{
	char name[VM_NAME_MAX + 1];
	const struct ticket all[] = {
		make(0, TICKET_NONE, "", ""),
		make(9, TICKET_NONE, "", ""),
		make(1, TICKET_ALONE, "a", ""),
		make(2, TICKET_PROTECTED, "a", "node-b.example"),
		make(3, TICKET_ALONE, "quote\"back\\slash", ""),
		make(TICKET_GENERATION_MAX, TICKET_ALONE, "a", ""),
	};
	struct ticket t, longest;

	(void)state;
	memset(name, 'n', VM_NAME_MAX);
	name[VM_NAME_MAX] = '\0';
	longest = make(4, TICKET_PROTECTED, name, name);
	for (size_t i = 0; i <= ARRAY_LEN(all); i++) {
		const struct ticket *want = i < ARRAY_LEN(all) ? &all[i]
							       : &longest;

		assert_int_equal(ticket_store(want, file, NULL, 0), 0);
		memset(&t, 0xff, sizeof(t));
		assert_int_equal(ticket_load(&t, file, NULL, 0), 0);
		assert_true(ticket_equal(&t, want));
	}
}

static void a_generation_that_could_not_be_loaded_is_not_stored(void **state)
{
	struct ticket t = make(5, TICKET_ALONE, "a", ""), got;
	char err[256];

	(void)state;
	assert_int_equal(ticket_store(&t, file, NULL, 0), 0);
	t.generation = TICKET_GENERATION_MAX + 1;
	assert_int_equal(ticket_store(&t, file, err, sizeof(err)), -ERANGE);
	assert_non_null(strstr(err, file));
	t.generation = UINT64_MAX;
	assert_int_equal(ticket_store(&t, file, NULL, 0), -ERANGE);
	assert_int_equal(ticket_load(&got, file, NULL, 0), 0);
	assert_int_equal(got.generation, 5);
}

static void a_store_that_fails_says_so(void **state)
{
	struct ticket t = make(5, TICKET_ALONE, "a", "");
	char err[256] = "";

	(void)state;
	assert_int_equal(ticket_store(&t, "/nonexistent/t", err, sizeof(err)),
			 -ENOENT);
	assert_non_null(strstr(err, "/nonexistent/t"));
}

static void a_file_torn_anywhere_is_refused(void **state)
{
	struct ticket t = make(12, TICKET_PROTECTED, "a", "b");
	char text[512], err[256];
	size_t n, end;
	FILE *f;

	(void)state;
	assert_int_equal(ticket_store(&t, file, NULL, 0), 0);
	f = fopen(file, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	end = n; /* white space behind the object may be missing */
	while (text[end - 1] != '}')
		end--;
	for (size_t i = 0; i < end; i++) {
		put(text, i);
		assert_int_equal(ticket_load(&t, file, err, sizeof(err)),
				 -EBADMSG);
	}
	put(text, end);
	assert_int_equal(ticket_load(&t, file, NULL, 0), 0);
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "garbage", "[]", "7", "null", "{}", "{} {}",
		/* wrong types */
		"{\"generation\":\"1\",\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":1.5,\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":1,\"state\":2,\"holder\":\"a\",\"backup\":"
		"\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":[\"a\"],"
		"\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":null}",
		/* missing */
		"{\"state\":\"alone\",\"holder\":\"a\",\"backup\":\"\"}",
		"{\"generation\":1,\"holder\":\"a\",\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"a\"}",
		/* twice */
		"{\"generation\":1,\"generation\":2,\"state\":\"alone\","
		"\"holder\":\"a\",\"backup\":\"\"}",
		/* out of range, or no ticket at all */
		"{\"generation\":-1,\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":9223372036854775808,\"state\":\"alone\","
		"\"holder\":\"a\",\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"Alone\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":0,\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"\","
		"\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"a\","
		"\"backup\":\"b\"}",
		"{\"generation\":1,\"state\":\"protected\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"none\",\"holder\":\"a\","
		"\"backup\":\"\"}",
		"{\"generation\":1,\"state\":\"alone\",\"holder\":\"a\\u0000b"
		"\",\"backup\":\"\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		is_refused(bad[i]);
}

static void a_name_too_long_is_refused(void **state)
{
	char text[512], name[VM_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', VM_NAME_MAX + 1);
	name[VM_NAME_MAX + 1] = '\0';
	snprintf(text, sizeof(text),
		 "{\"generation\":1,\"state\":\"alone\",\"holder\":\"%s\","
		 "\"backup\":\"\"}", name);
	is_refused(text);
	snprintf(text, sizeof(text),
		 "{\"generation\":1,\"state\":\"protected\",\"holder\":\"a\","
		 "\"backup\":\"%s\"}", name);
	is_refused(text);
}

static void a_huge_file_is_refused(void **state)
{
	char *text = malloc(1 << 20);
	struct ticket t = make(12, TICKET_ALONE, "a", "");
	char err[256];
	size_t n;
	FILE *f;

	(void)state;
	assert_non_null(text);
	/* A right one, but for the space in front of it. */
	assert_int_equal(ticket_store(&t, file, NULL, 0), 0);
	memset(text, ' ', 1 << 20);
	f = fopen(file, "re");
	assert_non_null(f);
	n = fread(text + (1 << 20) - 512, 1, 512, f);
	fclose(f);
	assert_true(n > 0);
	put(text, (1 << 20) - 512 + n);
	free(text);
	assert_int_equal(ticket_load(&t, file, err, sizeof(err)), -EBADMSG);
}

static void what_is_no_file_is_refused_without_reading(void **state)
{
	struct ticket t;
	char err[256];

	(void)state;
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(ticket_load(&t, file, err, sizeof(err)), -EBADMSG);
	assert_int_equal(rmdir(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0); /* reading it would hang */
	assert_int_equal(ticket_load(&t, file, err, sizeof(err)), -EBADMSG);
	/* A path through something that is no directory is not "missing". */
	assert_int_equal(unlink(file), 0);
	put("", 0);
	strcat(file, "/x");
	assert_int_equal(ticket_load(&t, file, err, sizeof(err)), -ENOTDIR);
	*strrchr(file, '/') = '\0';
}

static void order_is_generation_then_protected_none_alone(void **state)
{
	const struct ticket up[] = {
		make(0, TICKET_NONE, "", ""),
		make(1, TICKET_PROTECTED, "a", "b"),
		make(1, TICKET_NONE, "", ""),
		make(1, TICKET_ALONE, "b", ""),
		make(2, TICKET_PROTECTED, "b", "a"),
		make(2, TICKET_NONE, "", ""),
		make(2, TICKET_ALONE, "b", ""),
		make(UINT64_MAX, TICKET_PROTECTED, "b", "a"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(up); i++)
		for (size_t j = 0; j < ARRAY_LEN(up); j++) {
			int c = ticket_cmp(&up[i], &up[j]);

			assert_int_equal(c < 0, i < j);
			assert_int_equal(c > 0, i > j);
			assert_int_equal(ticket_equal(&up[i], &up[j]), i == j);
		}
}

static void two_holders_are_as_new_but_not_equal(void **state)
{
	struct ticket a = make(3, TICKET_ALONE, "a", "");
	struct ticket b = make(3, TICKET_ALONE, "b", "");
	struct ticket p = make(3, TICKET_PROTECTED, "a", "b");
	struct ticket q = make(3, TICKET_PROTECTED, "a", "c");
	struct ticket dirty;

	(void)state;
	assert_int_equal(ticket_cmp(&a, &b), 0);
	assert_false(ticket_equal(&a, &b));
	assert_int_equal(ticket_cmp(&p, &q), 0);
	assert_false(ticket_equal(&p, &q));
	/* Neither padding nor what stands behind a name counts. */
	memset(&dirty, 0xff, sizeof(dirty));
	dirty.generation = 3;
	dirty.state = TICKET_ALONE;
	strcpy(dirty.holder, "a");
	strcpy(dirty.backup, "");
	assert_true(ticket_equal(&a, &dirty));
}

static void strings_name_state_and_holders(void **state)
{
	struct ticket none = make(0, TICKET_NONE, "", "");
	struct ticket alone = make(1, TICKET_ALONE, "a", "");
	struct ticket prot = make(1, TICKET_PROTECTED, "a", "b");
	char name[VM_NAME_MAX + 1], buf[TICKET_STR_MAX];

	(void)state;
	assert_string_equal(ticket_to_str(&none, buf, sizeof(buf)), "none");
	assert_string_equal(ticket_to_str(&alone, buf, sizeof(buf)),
			    "alone(a)");
	assert_string_equal(ticket_to_str(&prot, buf, sizeof(buf)),
			    "protected(a,b)");
	memset(name, 'n', VM_NAME_MAX);
	name[VM_NAME_MAX] = '\0';
	prot = make(1, TICKET_PROTECTED, name, name);
	assert_int_equal(strlen(ticket_to_str(&prot, buf, sizeof(buf))),
			 2 * VM_NAME_MAX + strlen("protected(,)"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_file_is_none_of_generation_0),
		TEST(what_was_stored_is_loaded),
		TEST(a_generation_that_could_not_be_loaded_is_not_stored),
		TEST(a_store_that_fails_says_so),
		TEST(a_file_torn_anywhere_is_refused),
		TEST(anything_else_is_refused),
		TEST(a_name_too_long_is_refused),
		TEST(a_huge_file_is_refused),
		TEST(what_is_no_file_is_refused_without_reading),
		cmocka_unit_test(order_is_generation_then_protected_none_alone),
		cmocka_unit_test(two_holders_are_as_new_but_not_equal),
		cmocka_unit_test(strings_name_state_and_holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
