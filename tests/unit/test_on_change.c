/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command is a script that adds a line to a file, and waits for another
 * file to be there when told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those four */
#include <cmocka.h>

#include <fcntl.h>
#include <qb/qbloop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "on_change.h"
#include "util.h"

#define DEADLINE_NS 20000000000u

static char dir[] = "/tmp/test_on_change.XXXXXX";
static char script[256], runs[256], gate[256];
static char *argv[] = { script, runs, gate, NULL };
static qb_loop_t *loop;
static const char *seen;
static unsigned int looks;

static void look(void *ctx, char *line, size_t bytes)
{
	(void)ctx;
	looks++;
	snprintf(line, bytes, "%s", seen);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static unsigned int lines(void)
{
	FILE *f = fopen(runs, "r");
	unsigned int n = 0;
	int c;

	if (f == NULL)
		return 0;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* The loop runs until this many looks and lines are there. */
static unsigned int want_looks, want_lines;
static uint64_t end_ns;

static void on_poll(void *data)
{
	qb_loop_timer_handle t;

	(void)data;
	if ((looks >= want_looks && lines() >= want_lines) ||
	    now_mono_ns() > end_ns)
		qb_loop_stop(loop);
	else
		qb_loop_timer_add(loop, QB_LOOP_LOW, 5000000, NULL, on_poll,
				  &t);
}

static void run_until(unsigned int n_looks, unsigned int n_lines)
{
	want_looks = looks + n_looks;
	want_lines = n_lines;
	end_ns = now_mono_ns() + DEADLINE_NS;
	on_poll(NULL);
	qb_loop_run(loop);
	assert_true(looks >= want_looks);
	assert_true(lines() >= want_lines);
}

static struct on_change *begin(void)
{
	struct on_change *o;

	unlink(runs);
	write_file(gate, "");
	loop = qb_loop_create();
	seen = "backup";
	assert_int_equal(on_change_new(&o, loop, argv, look, NULL), 0);
	return o;
}

static void end(struct on_change *o)
{
	on_change_free(o);
	qb_loop_destroy(loop);
}

static void runs_once_for_a_change(void **state)
{
	struct on_change *o = begin();

	(void)state;
	run_until(3, 0);
	assert_int_equal(lines(), 0); /* what is at first is known */
	seen = "primary";
	run_until(1, 1);
	run_until(4, 1);
	assert_int_equal(lines(), 1);
	seen = "backup";
	run_until(1, 2);
	end(o);
}

static void many_changes_while_it_runs_are_one_more(void **state)
{
	struct on_change *o = begin();

	(void)state;
	unlink(gate);
	seen = "1";
	run_until(1, 1);
	seen = "2";
	run_until(2, 1);
	seen = "3";
	run_until(2, 1);
	assert_int_equal(lines(), 1); /* the loop went on meanwhile */
	write_file(gate, "");
	run_until(1, 2);
	run_until(4, 2);
	assert_int_equal(lines(), 2);
	end(o);
}

static void has_none_of_our_descriptors(void **state)
{
	char *words[] = { script, runs, gate, "fds", NULL };
	int fd = open("/dev/zero", O_RDONLY); /* no O_CLOEXEC */
	struct on_change *o;

	(void)state;
	assert_true(fd > 2);
	unlink(runs);
	write_file(gate, "");
	loop = qb_loop_create();
	seen = "a";
	assert_int_equal(on_change_new(&o, loop, words, look, NULL), 0);
	seen = "b";
	/* its own line; none for a descriptor that leads to /dev/zero */
	run_until(1, 1);
	run_until(4, 1);
	assert_int_equal(lines(), 1);
	close(fd);
	end(o);
}

static void a_missing_program_harms_nobody(void **state)
{
	char *none[] = { "/nonexistent/program", NULL };
	struct on_change *o;

	(void)state;
	unlink(runs);
	loop = qb_loop_create();
	seen = "a";
	assert_int_equal(on_change_new(&o, loop, none, look, NULL), 0);
	seen = "b";
	run_until(3, 0);
	end(o);
}

static void freed_while_it_runs(void **state)
{
	struct on_change *o = begin();

	(void)state;
	unlink(gate);
	seen = "1";
	run_until(1, 1);
	end(o);
	write_file(gate, "");
}

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(script, sizeof(script), "%s/script", dir);
	snprintf(runs, sizeof(runs), "%s/runs", dir);
	snprintf(gate, sizeof(gate), "%s/gate", dir);
	write_file(script,
		   "#!/bin/sh\n"
		   "echo ran >>\"$1\"\n"
		   "[ \"$3\" != fds ] || readlink /proc/$$/fd/* |"
		   " grep /dev/zero >>\"$1\"\n"
		   "until [ -e \"$2\" ] || [ ! -d \"${2%/*}\" ]; do"
		   " sleep 0.02; done\n");
	return chmod(script, 0755);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(script);
	unlink(runs);
	unlink(gate);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_once_for_a_change),
		cmocka_unit_test(many_changes_while_it_runs_are_one_more),
		cmocka_unit_test(has_none_of_our_descriptors),
		cmocka_unit_test(a_missing_program_harms_nobody),
		cmocka_unit_test(freed_while_it_runs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
