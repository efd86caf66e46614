/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_fence_options.c - options by command line and standard input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fence_options.h"
#include "util.h"

static struct fence_options o;
static char err[1024];

static int by_stdin(const char *text)
{
	FILE *f = tmpfile();
	int rc = fence_options_init(&o, err, sizeof(err));

	assert_int_equal(rc, 0);
	assert_non_null(f);
	fputs(text, f);
	rewind(f);
	rc = fence_options_stdin(&o, f, err, sizeof(err));
	fclose(f);
	if (rc == 0)
		rc = fence_options_check(&o, err, sizeof(err));
	return rc;
}

static int by_argv(const char *line)
{
	char copy[1024], *argv[32] = { (char *)"fence_clientprobe" };
	int argc = 1, rc = fence_options_init(&o, err, sizeof(err));
	char *save = NULL;

	assert_int_equal(rc, 0);
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	rc = fence_options_argv(&o, argc, argv, err, sizeof(err));
	if (rc == 0)
		rc = fence_options_check(&o, err, sizeof(err));
	return rc;
}

#define BASE "witnesses=w1=http://192.0.2.1:7071 w2=https://w2.example:7071\n" \
	     "key_file=/etc/remus/witness.key\nself=beta\n"

static void both_ways(void **state)
{
	(void)state;
	assert_int_equal(by_stdin(BASE "# a remark\n\nno equals\n"
				  "option=unheard_of\n"
				  "action = off \nplug=alpha\nvms=web, db;web\n"
				  "timeout=12\ngrace=250ms\n"), 0);
	assert_int_equal(o.action, ACTION_OFF);
	assert_string_equal(o.plug, "alpha");
	assert_int_equal(o.witnesses, 2);
	assert_string_equal(o.witness[1].name, "w2");
	assert_string_equal(o.witness[1].url, "https://w2.example:7071");
	assert_int_equal(o.vms, 2);
	assert_string_equal(o.vm[1], "db");
	assert_int_equal(o.timeout_ms, 12000);
	assert_int_equal(o.grace_ms, 250);
	assert_int_equal(o.request_timeout_ms, 1000);

	assert_int_equal(by_argv("-o status -nalpha "
				 "--witnesses=w1=http://192.0.2.1:7071 "
				 "--witnesses w2=http://192.0.2.2:7071 "
				 "--key-file=/k -s beta -v"), 0);
	assert_int_equal(o.action, ACTION_STATUS);
	assert_string_equal(o.plug, "alpha");
	assert_int_equal(o.witnesses, 2);
	assert_string_equal(o.key_file, "/k");
	assert_true(o.verbose);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(by_stdin(BASE "nodename=alpha\n"), 0);
	assert_int_equal(o.action, ACTION_REBOOT);
	assert_string_equal(o.plug, "alpha");
	assert_int_equal(o.timeout_ms, 30000);
	assert_int_equal(o.grace_ms, 5000);
	/* The name that a map gives goes before the node's. */
	assert_int_equal(by_stdin(BASE "nodename=a\nport=b\nplug=c\n"), 0);
	assert_string_equal(o.plug, "c");
	assert_int_equal(by_stdin(BASE "nodename=a\nport=b\nplug=\n"), 0);
	assert_string_equal(o.plug, "b");
	assert_int_equal(by_stdin("action=metadata\n"), 0);
	assert_int_equal(by_stdin(BASE "action=monitor\n"), 0);
}

static void refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ BASE "action=off\n", "which node?" },
		{ BASE "action=status\n", "which node?" },
		{ BASE "action=on\nplug=alpha\n", "'on' is not there" },
		{ BASE "action=burn\n", "unknown action 'burn'" },
		{ BASE "action=\n", "action is empty" },
		{ BASE "plug=beta\n", "none fences itself" },
		{ BASE "plug=a/b\n", "not the name of a node" },
		{ "plug=alpha\n", "no witnesses" },
		{ "witnesses=\nplug=alpha\n", "witnesses is empty" },
		{ "witnesses=w1=http://192.0.2.1:7071\nplug=alpha\n",
		  "no key_file" },
		{ "witnesses=http://192.0.2.1:7071\n", "expected NAME=" },
		{ "witnesses=w1=ftp://192.0.2.1:7071\n", "expected NAME=" },
		{ "witnesses=w1=http://192.0.2.1\n", "expected NAME=" },
		{ "witnesses=w1=http://a:1/x\n", "expected NAME=" },
		{ "witnesses=w1=http://a:1 w1=http://b:1\n", "once more" },
		{ "witnesses=w1=http://a:1 w2=http://a:1\n", "once more" },
		{ "witnesses=a=http://a:1 b=http://b:1 c=http://c:1 "
		  "d=http://d:1 e=http://e:1 f=http://f:1 g=http://g:1 "
		  "h=http://h:1 i=http://i:1 j=http://j:1\n", "more than 9" },
		{ BASE "key_file=witness.key\n", "absolute path" },
		{ BASE "ca_file=/no/such\nplug=alpha\n", "ca_file '/no/such'" },
		{ BASE "vms=a/b\n", "not the name of a virtual machine" },
		{ BASE "vms=,\n", "vms: names none" },
		{ BASE "timeout=0\n", "timeout is a time" },
		{ BASE "timeout=-1\n", "timeout is a time" },
		{ BASE "timeout=601\n", "timeout is a time" },
		{ BASE "timeout=10x\n", "timeout is a time" },
		{ BASE "timeout=4294967297\n", "timeout is a time" },
		{ BASE "plug=alpha\ntimeout=5\ngrace=5\n", "grace must be" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		err[0] = '\0';
		if (by_stdin(rows[i].text) >= 0 ||
		    strstr(err, rows[i].why) == NULL)
			fail_msg("%s: '%s'", rows[i].text, err);
	}
	assert_true(by_argv("--no-such-thing") < 0);
	assert_non_null(strstr(err, "--no-such-thing"));
	assert_true(by_argv("off") < 0);
	assert_true(by_argv("-") < 0);
	assert_true(by_argv("--") < 0);
	assert_true(by_argv("-o") < 0);
	assert_non_null(strstr(err, "wants a value"));
	assert_true(by_argv("--help=7") < 0);
}

static void long_lines(void **state)
{
	static char text[40000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_true(by_stdin(text) < 0);
	memcpy(text, "vms=", 4);
	text[16000] = '\n';
	text[16001] = '\0';
	assert_true(by_stdin(text) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(defaults),
		cmocka_unit_test(refused),
		cmocka_unit_test(long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
