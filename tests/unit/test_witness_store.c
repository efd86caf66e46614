/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness_store.c - the state directory of a witness. */
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

#include "../../fence/witness_store.h"
#include "util.h"

static char dir[64], err[512];
static struct witness_config c;

static const char *file(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/remus-witness-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	memset(&c, 0, sizeof(c));
	strcpy(c.name, "w1");
	c.path = (char *)"/witness.conf";
	c.state_dir = dir;
	c.vms = 2;
	strcpy(c.vm[0].name, "web");
	strcpy(c.vm[1].name, "db");
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "identity", "lock",
					     "web.register", "db.register",
					     "mail.register" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(file(names[i]));
	return rmdir(dir);
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(file(name), "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static size_t get(const char *name, char *text, size_t bytes)
{
	FILE *f = fopen(file(name), "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, bytes - 1, f);
	text[n] = '\0';
	fclose(f);
	return n;
}

static struct ticket_acceptor some(void)
{
	struct ticket_acceptor a;

	memset(&a, 0, sizeof(a));
	a.stored.promised = (struct ballot){ 9, UINT64_MAX };
	a.stored.accepted = (struct ballot){ 8, 1 };
	a.stored.value = (struct ticket){ 3, TICKET_PROTECTED, "alpha",
					  "beta" };
	return a;
}

static void what_is_saved_is_loaded(void **state)
{
	struct ticket_acceptor a = some(), b;
	struct store s;

	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	memset(&b, 0, sizeof(b));
	assert_int_equal(store_load(&s, "web", &b, err, sizeof(err)), 0);
	assert_int_equal(b.stored.promised.n, 0);
	assert_int_equal(store_save(&s, "web", &a, err, sizeof(err)), 0);
	assert_int_equal(store_load(&s, "web", &b, err, sizeof(err)), 0);
	assert_memory_equal(&a.stored, &b.stored, sizeof(a.stored));
	store_close(&s);
}

static void it_is_made_once(void **state)
{
	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	assert_int_equal(store_init(&c, err, sizeof(err)), -EEXIST);
	/* nor over a promise whose identity is gone */
	unlink(file("identity"));
	put("db.register", "{\"promised\":{\"n\":1,\"proposer\":"
			   "\"0000000000000001\"},\"accepted\":{\"n\":0,"
			   "\"proposer\":\"0000000000000000\"}}");
	assert_int_equal(store_init(&c, err, sizeof(err)), -EEXIST);
	put("db.register", "");
	assert_int_equal(store_init(&c, err, sizeof(err)), -EEXIST);
}

static void an_init_that_was_cut_short_is_done_again(void **state)
{
	struct ticket_acceptor a;
	struct store s;

	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	unlink(file("identity"));
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), -ENOENT);
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_load(&s, "web", &a, err, sizeof(err)), 0);
	store_close(&s);
}

static void nothing_starts_from_nothing(void **state)
{
	struct ticket_acceptor a;
	struct store s;

	(void)state;
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "--init"));
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	unlink(file("web.register"));
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_load(&s, "web", &a, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "--add-vm web"));
	store_close(&s);
}

static void a_new_machine_is_added_by_name_only(void **state)
{
	struct ticket_acceptor a;
	struct store s;

	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	assert_int_equal(store_add(&c, "mail", err, sizeof(err)), -ENOENT);
	strcpy(c.vm[c.vms++].name, "mail");
	assert_int_equal(store_add(&c, "web", err, sizeof(err)), -EEXIST);
	assert_int_equal(store_add(&c, "mail", err, sizeof(err)), 0);
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_load(&s, "mail", &a, err, sizeof(err)), 0);
	/* two at a time do not run */
	assert_int_equal(store_add(&c, "mail", err, sizeof(err)),
			 -EADDRINUSE);
	store_close(&s);
}

static void another_witnesses_state_is_refused(void **state)
{
	struct ticket_acceptor a;
	char text[1024];
	struct store s;

	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	strcpy(c.name, "w2");
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), -EINVAL);
	strcpy(c.name, "w1");
	get("web.register", text, sizeof(text));
	put("db.register", text); /* another machine's */
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_load(&s, "db", &a, err, sizeof(err)), -EBADMSG);
	store_close(&s);
	unlink(file("identity"));
	unlink(file("db.register"));
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	put("web.register", text); /* another id's */
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_load(&s, "web", &a, err, sizeof(err)),
			 -EBADMSG);
	store_close(&s);
}

static void every_damaged_file_is_refused(void **state)
{
	struct ticket_acceptor a = some(), b;
	char text[1024], bad[1024];
	struct store s;
	size_t len;

	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_save(&s, "web", &a, err, sizeof(err)), 0);
	len = get("web.register", text, sizeof(text));
	for (size_t cut = 0; cut < len; cut++) {
		snprintf(bad, sizeof(bad), "%.*s", (int)cut, text);
		put("web.register", bad);
		assert_int_equal(store_load(&s, "web", &b, err, sizeof(err)),
				 -EBADMSG);
	}
	put("web.register", text);
	assert_int_equal(store_load(&s, "web", &b, err, sizeof(err)), 0);
	/* accepted what was never promised */
	strstr(text, "\"n\":9")[4] = '7';
	put("web.register", text);
	assert_int_equal(store_load(&s, "web", &b, err, sizeof(err)),
			 -EBADMSG);
	store_close(&s);
}

static void a_disk_that_fails_leaves_what_was_there(void **state)
{
	struct ticket_acceptor a = some(), b;
	struct store s;

	(void)state;
	assert_int_equal(store_init(&c, err, sizeof(err)), 0);
	assert_int_equal(store_open(&s, &c, err, sizeof(err)), 0);
	assert_int_equal(store_save(&s, "web", &a, err, sizeof(err)), 0);
	/* The temporary file cannot be made: it is a directory. */
	assert_int_equal(mkdir(file("web.register.new"), 0700), 0);
	b = a;
	b.stored.promised.n = 10;
	assert_true(store_save(&s, "web", &b, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, "cannot store"));
	rmdir(file("web.register.new"));
	assert_int_equal(store_load(&s, "web", &b, err, sizeof(err)), 0);
	assert_int_equal(b.stored.promised.n, 9);
	store_close(&s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_saved_is_loaded),
		T(it_is_made_once),
		T(an_init_that_was_cut_short_is_done_again),
		T(nothing_starts_from_nothing),
		T(a_new_machine_is_added_by_name_only),
		T(another_witnesses_state_is_refused),
		T(every_damaged_file_is_refused),
		T(a_disk_that_fails_leaves_what_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
