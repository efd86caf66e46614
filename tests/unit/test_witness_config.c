/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness_config.c - remus-witness.conf(5): what is taken and what not. */
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

#include "../../fence/witness_config.h"
#include "util.h"

static char dir[64], path[128], key[128], err[1024];

static int setup(void **state)
{
	FILE *f;

	(void)state;
	strcpy(dir, "/tmp/remus-witness-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/witness.conf", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	f = fopen(key, "we");
	if (f == NULL)
		return -1;
	fputs("0123456789abcdef0123456789abcdef", f);
	fclose(f);
	return chmod(key, 0600);
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(key);
	return rmdir(dir);
}

/* A file of `head`, the key, and `text`. */
static int load(struct witness_config **c, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f, "name = w1\nkey_file = %s\n%s", key, text);
	assert_int_equal(fclose(f), 0);
	return witness_config_load(c, path, NULL, err, sizeof(err));
}

#define NODES "node = alpha 1\nnode = beta 2\n"
#define VM NODES "vm = web alpha beta\n"

static void a_short_file_has_defaults(void **state)
{
	struct witness_config *c;

	(void)state;
	assert_int_equal(load(&c, "# nothing but\n" NODES), 0);
	assert_string_equal(c->name, "w1");
	assert_int_equal(c->listens, 1);
	assert_string_equal(c->listen[0].address, "0.0.0.0:7071");
	assert_string_equal(c->state_dir, "/var/lib/remus-witness");
	assert_int_equal(c->probe_interval_ms, 250);
	assert_int_equal(c->probe_timeout_ms, 1000);
	assert_int_equal(c->lease_max_ms, 10000);
	assert_int_equal(c->vote_lease_max_ms, 10000);
	assert_int_equal(c->time_window_ms, 30000);
	assert_int_equal(c->key.count, 32);
	assert_int_equal(c->node[1].id, 2);
	witness_config_free(c);
}

static void everything_is_read(void **state)
{
	struct witness_config *c;

	(void)state;
	assert_int_equal(load(&c, "listen = 192.0.2.7\n"
				  "listen = [2001:db8::7]:80\n"
				  "listen = [2001:db8::7]\n"
				  "cluster = c1\nlease_max = 5s\n" VM
				  "probe = web tcp:192.0.2.10:80\n"
				  "probe = web icmp:2001:db8::10\n"
				  "probe = web command:/bin/check -x  y\n"
				  "probe_interval = 100ms\n"),
			 0);
	assert_string_equal(c->listen[0].address, "192.0.2.7:7071");
	assert_string_equal(c->listen[1].address, "[2001:db8::7]:80");
	assert_string_equal(c->listen[2].address, "[2001:db8::7]:7071");
	assert_string_equal(c->cluster, "c1");
	assert_int_equal(c->lease_max_ms, 5000);
	assert_int_equal(c->vm[0].probes, 3);
	assert_int_equal(c->vm[0].probe[0].kind, PROBE_TCP);
	assert_string_equal(c->vm[0].probe[0].addr.address, "192.0.2.10:80");
	assert_int_equal(c->vm[0].probe[1].kind, PROBE_ICMP);
	assert_int_equal(c->vm[0].probe[2].kind, PROBE_COMMAND);
	assert_string_equal(c->vm[0].probe[2].argv[1], "-x");
	assert_string_equal(c->vm[0].probe[2].argv[2], "y");
	assert_null(c->vm[0].probe[2].argv[3]);
	assert_string_equal(c->vm[0].probe[2].text,
			    "command:/bin/check -x  y");
	witness_config_free(c);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{ "colour = red\n", ":3: unknown key 'colour'" },
		{ "listen\n", ":3: 'listen' is not 'key = value'" },
		{ "name = w2\n", ":3: name is given twice, first in line 1" },
		{ "cluster = a b\n", ":3: cluster" },
		{ "listen = localhost\n", ":3: listen is ADDRESS" },
		{ "listen = 2001:db8::7\n", ":3: listen is ADDRESS" },
		{ "listen = 192.0.2.1:0\n", ":3: listen is ADDRESS" },
		{ "node = alpha x\n", ":3: node is NAME" },
		{ "node = alpha 0\n", ":3: node is NAME" },
		{ NODES "node = gamma 2\n", ":5: node gamma: this name or id" },
		{ NODES "vm = web alpha\n", ":5: vm is NAME NODE NODE" },
		{ NODES "vm = web alpha gamma\n", ":5: vm web: no node 'gamma'"
		  " above" },
		{ NODES "vm = web beta beta\n", ":5: vm web: twice" },
		{ VM "vm = web beta alpha\n", ":6: vm web is given twice" },
		{ "probe = web tcp:192.0.2.1:80\n", ":3: probe: no vm 'web'" },
		{ VM "probe = web tcp:192.0.2.1\n", ":6: probe is VM and" },
		{ VM "probe = web tcp:host:80\n", ":6: probe is VM and" },
		{ VM "probe = web icmp:192.0.2.1:80\n", ":6: probe is VM" },
		{ VM "probe = web command:check\n", ":6: probe is VM and" },
		{ VM "probe = web ftp://192.0.2.1/\n", ":6: probe is VM and" },
		{ VM "probe = web\n", ":6: probe is VM and" },
		{ NODES "lease_max = 100\n", ":5: lease_max is a time from" },
		{ NODES "time_window = soon\n", ":5: time_window is a time" },
		{ NODES "state_dir = state\n", ":5: state_dir must be an" },
		{ NODES "tls_key = /key\n", ":5: tls_certificate and tls_key" },
		{ "", ":2: key 'node' is missing" },
		{ "cluster =\n", ":3: cluster has no value" },
		{ "cluster = \x01\n", ":3: control character 0x01" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct witness_config *c;

		assert_int_equal(load(&c, bad[i].text), -EINVAL);
		assert_null(c);
		if (strncmp(err, path, strlen(path)) != 0 ||
		    strncmp(err + strlen(path), bad[i].want,
			    strlen(bad[i].want)) != 0)
			fail_msg("'%s' gave: %s", bad[i].text, err);
	}
}

static void the_key_is_judged(void **state)
{
	struct witness_config *c;

	(void)state;
	chmod(key, 0640);
	assert_int_equal(load(&c, NODES), -EINVAL);
	assert_non_null(strstr(err, ":2: key_file"));
	chmod(key, 0600);
	assert_int_equal(load(&c, NODES), 0);
	witness_config_free(c);
	assert_int_equal(witness_config_load(&c, path, "/nonexistent/key", err,
					     sizeof(err)),
			 -EINVAL);
	truncate(key, 31) == 0 ? (void)0 : fail();
	assert_int_equal(load(&c, NODES), -EINVAL);
	assert_non_null(strstr(err, "too few"));
}

static void who_else_could_write_it_is_judged(void **state)
{
	struct witness_config *c;

	(void)state;
	assert_int_equal(load(&c, NODES), 0);
	witness_config_free(c);
	chmod(path, 0666);
	assert_int_equal(witness_config_load(&c, path, NULL, err, sizeof(err)),
			 -EINVAL);
	assert_int_equal(witness_config_load(&c, dir, NULL, err, sizeof(err)),
			 -EINVAL);
	assert_int_equal(witness_config_load(&c, "/nonexistent", NULL, err,
					     sizeof(err)),
			 -ENOENT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_short_file_has_defaults),
		T(everything_is_read),
		T(what_is_wrong_is_named_with_its_line),
		T(the_key_is_judged),
		T(who_else_could_write_it_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
