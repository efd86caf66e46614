/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_util.c - error lines, clocks, and the durable writing of a file: in what
 * order it is done, and what is left when one of the steps fails.
 *
 * The system calls of write_file_durably() are this program's own: each notes
 * that it was called, and the one named by fail_at fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "util.h"

static char log_[256];
static const char *fail_at; /* name of the step that fails; NULL: none */
static int fail_errno;
static size_t write_max; /* a write takes at most so much; 0: all */
static bool interrupted; /* the next write is */
static char dir[64], file[128], file_new[160];

static bool step(const char *name)
{
	strcat(log_, log_[0] ? " " : "");
	strcat(log_, name);
	if (fail_at == NULL || strcmp(fail_at, name) != 0)
		return true;
	errno = fail_errno;
	return false;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	if (fd <= 2)
		return syscall(SYS_write, fd, data, bytes);
	if (interrupted) {
		interrupted = false;
		errno = EINTR;
		return -1;
	}
	if (!step("write"))
		return -1;
	if (write_max > 0 && bytes > write_max)
		bytes = write_max;
	return syscall(SYS_write, fd, data, bytes);
}

int fsync(int fd)
{
	struct stat st;

	fstat(fd, &st);
	return step(S_ISDIR(st.st_mode) ? "fsync-dir" : "fsync") ? 0 : -1;
}

int rename(const char *from, const char *to)
{
	if (!step("rename"))
		return -1;
	return (int)syscall(SYS_rename, from, to);
}

static void content_is(const char *path, const char *want)
{
	char buf[256] = "";
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf) - 1, f), strlen(want));
	assert_string_equal(buf, want);
	fclose(f);
}

static int store(const char *text)
{
	log_[0] = '\0';
	return write_file_durably(file, text, strlen(text));
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/remus-util-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/x", dir);
	snprintf(file_new, sizeof(file_new), "%s.new", file);
	fail_at = NULL;
	write_max = 0;
	interrupted = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file_new);
	unlink(file);
	return rmdir(dir);
}

static void content_is_synced_before_it_gets_its_name(void **state)
{
	struct stat st;

	(void)state;
	umask(0);
	assert_int_equal(store("one"), 0);
	assert_string_equal(log_, "write fsync rename fsync-dir");
	content_is(file, "one");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(file_new, F_OK), -1);
}

static void a_later_content_replaces_all_of_an_earlier_one(void **state)
{
	(void)state;
	assert_int_equal(store("a long one"), 0);
	assert_int_equal(store("short"), 0);
	content_is(file, "short");
	assert_int_equal(store(""), 0);
	content_is(file, "");
}

static void short_and_interrupted_writes_go_on(void **state)
{
	(void)state;
	write_max = 2;
	interrupted = true;
	assert_int_equal(store("seven b"), 0);
	assert_string_equal(log_, "write write write write fsync rename "
				  "fsync-dir");
	content_is(file, "seven b");
}

static void any_step_that_fails_leaves_the_old_content(void **state)
{
	static const char *const steps[] = { "write", "fsync", "rename" };

	(void)state;
	assert_int_equal(store("old"), 0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		fail_at = steps[i];
		fail_errno = ENOSPC;
		assert_int_equal(store("new"), -ENOSPC);
		content_is(file, "old");
		assert_int_equal(access(file_new, F_OK), -1);
	}
}

static void a_name_that_may_not_last_is_a_failure(void **state)
{
	(void)state;
	fail_at = "fsync-dir";
	fail_errno = EIO;
	assert_int_equal(store("new"), -EIO);
	content_is(file, "new"); /* whole, though nobody may rely on it */
}

static void a_torn_temporary_file_is_overwritten(void **state)
{
	FILE *f = fopen(file_new, "we");

	(void)state;
	assert_non_null(f);
	fputs("left by a crash, longer than what comes", f);
	fclose(f);
	assert_int_equal(store("good"), 0);
	content_is(file, "good");
}

static void a_place_that_cannot_be_written_is_told(void **state)
{
	char longer[PATH_MAX + 8];

	(void)state;
	assert_int_equal(write_file_durably("/nonexistent/x", "a", 1),
			 -ENOENT);
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(write_file_durably(longer, "a", 1), -ENAMETOOLONG);
	longer[PATH_MAX - 1] = '\0'; /* fits, but not with its suffix */
	assert_int_equal(write_file_durably(longer, "a", 1), -ENAMETOOLONG);
}

static void a_bare_name_is_in_the_working_directory(void **state)
{
	char *was = getcwd(NULL, 0);

	(void)state;
	assert_non_null(was);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(write_file_durably("x", "bare", 4), 0);
	assert_int_equal(chdir(was), 0);
	free(was);
	content_is(file, "bare");
}

static void an_error_line_is_cut_but_ended(void **state)
{
	char err[8];

	(void)state;
	memset(err, '#', sizeof(err));
	assert_int_equal(set_err(err, sizeof(err), -EINVAL, "%s:%d", "f", 7),
			 -EINVAL);
	assert_string_equal(err, "f:7");
	assert_int_equal(set_err(err, 5, 0, "%s", "123456789"), 0);
	assert_string_equal(err, "1234");
	err[0] = '#';
	assert_int_equal(set_err(err, 0, -1, "x"), -1);
	assert_int_equal(err[0], '#');
	assert_int_equal(set_err(NULL, 8, -2, "x"), -2);
}

static void clocks_do_not_go_back(void **state)
{
	uint64_t mono = now_mono_ns(), boot = now_boot_ns();

	(void)state;
	assert_true(mono > 0 && boot >= mono); /* it runs through suspend */
	for (int i = 0; i < 1000; i++) {
		assert_true(now_mono_ns() >= mono);
		assert_true(now_boot_ns() >= boot);
		mono = now_mono_ns();
		boot = now_boot_ns();
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(content_is_synced_before_it_gets_its_name),
		TEST(a_later_content_replaces_all_of_an_earlier_one),
		TEST(short_and_interrupted_writes_go_on),
		TEST(any_step_that_fails_leaves_the_old_content),
		TEST(a_name_that_may_not_last_is_a_failure),
		TEST(a_torn_temporary_file_is_overwritten),
		TEST(a_place_that_cannot_be_written_is_told),
		TEST(a_bare_name_is_in_the_working_directory),
		TEST(an_error_line_is_cut_but_ended),
		TEST(clocks_do_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
