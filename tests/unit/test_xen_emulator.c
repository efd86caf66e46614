/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_xen_emulator.c - records of a device model, byte by byte, and its switch,
 * against a scripted QEMU behind a unix socket.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util.h"
#include "xen_emulator.h"

static char dir[64], path[96];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_xen_emulator.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/it", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* ---- records ---- */

static void pairs_of_xenstore_are_one_record(void **state)
{
	static const uint8_t want[] = {
		2, 0, 0, 0, 8 + 5, 0, 0, 0, /* EMULATOR_XENSTORE_DATA */
		2, 0, 0, 0, 0, 0, 0, 0,	    /* QEMU, the first */
		'k', 0, 'v', 'v', 0, 0, 0, 0,
	};
	struct xen_bytes out = { .data = NULL }, pairs = { .data = NULL };

	(void)state;
	assert_int_equal(xen_emulator_add_xenstore(&out, &pairs), 0);
	assert_int_equal(out.bytes, 0);
	assert_int_equal(xen_bytes_add(&pairs, "k\0vv", 5), 0);
	assert_int_equal(xen_emulator_add_xenstore(&out, &pairs), 0);
	assert_int_equal(out.bytes, sizeof(want));
	assert_memory_equal(out.data, want, sizeof(want));
	free(out.data);
	free(pairs.data);
}

static void write_it(size_t bytes)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (size_t i = 0; i < bytes; i++)
		assert_true(putc((int)(i % 251), f) != EOF);
	assert_int_equal(fclose(f), 0);
}

static void a_context_is_what_the_file_has(void **state)
{
	static const size_t sizes[] = { 1, 7, 8, 9, 4096, 70003 };
	char err[200];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
		struct xen_bytes out = { .data = NULL };
		size_t size = sizes[n], all = 16 + (size + 7) / 8 * 8;
		uint32_t head[4] = { 3, (uint32_t)size + 8, 2, 0 };

		write_it(size);
		assert_int_equal(xen_emulator_add_context(&out, path, err,
							  sizeof(err)), 0);
		assert_int_equal(out.bytes, all);
		assert_memory_equal(out.data, head, sizeof(head));
		for (size_t i = 16; i < all; i++)
			assert_int_equal(out.data[i], i - 16 < size
						      ? (i - 16) % 251 : 0);
		free(out.data);
	}
}

static void refused(int want, const char *part)
{
	struct xen_bytes out = { .data = NULL };
	char err[200] = "";

	assert_int_equal(xen_emulator_add_context(&out, path, err,
						  sizeof(err)), want);
	assert_non_null(strstr(err, path));
	assert_non_null(strstr(err, part));
	free(out.data);
}

static void a_context_that_is_none_is_refused(void **state)
{
	(void)state;
	unlink(path);
	refused(-ENOENT, "No such file");
	write_it(0);
	refused(-EBADMSG, "state of the device model");
	assert_int_equal(truncate(path, ((off_t)8 << 20) + 1), 0);
	refused(-E2BIG, "too long");
}

/* ---- the switch ---- */

/* Says hello, reads two commands, and answers the second as it is told: NULL
 * hangs up. */
static void be_qemu(int listener, const char *args, const char *answer)
{
	static const char hello[] = "{\"QMP\": {\"version\": {}}}\r\n";
	char in[1000] = "";
	size_t n = 0;
	int fd = accept(listener, NULL, NULL);

	if (fd < 0 || write_fully(fd, hello, strlen(hello)) < 0)
		_exit(1);
	while (n < sizeof(in) - 1 && strstr(in, "global-dirty-log") == NULL) {
		ssize_t got = read(fd, in + n, sizeof(in) - 1 - n);

		if (got <= 0)
			_exit(2);
		n += (size_t)got;
	}
	if (strstr(in, "qmp_capabilities") == NULL || strstr(in, args) == NULL)
		_exit(3);
	if (answer != NULL && write_fully(fd, answer, strlen(answer)) < 0)
		_exit(4);
	_exit(0);
}

static int ask(bool on, const char *args, const char *answer, char err[200])
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), status, rc;
	pid_t pid;

	unlink(path);
	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_qemu(fd, args, answer);
	rc = xen_emulator_log_dirty(path, on, err, 200);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	return rc;
}

static void it_is_switched_on_and_off(void **state)
{
	char err[200];

	(void)state;
	assert_int_equal(ask(true, "\"enable\":true",
			     "{\"return\": {}}\r\n{\"return\": {}}\r\n", err),
			 0);
	assert_int_equal(ask(false, "\"enable\":false",
			     "{\"event\": \"STOP\", \"timestamp\": {}}\r\n"
			     "{\"return\": {}}\r\n{\"return\": {}}\r\n", err),
			 0);
}

static void what_goes_wrong_is_told(void **state)
{
	char err[200] = "", far[200];

	(void)state;
	assert_true(ask(true, "true", "{\"return\": {}}\r\n{\"error\": "
			"{\"class\": \"GenericError\", \"desc\": \"no Xen\"}}"
			"\r\n", err) < 0);
	assert_non_null(strstr(err, "no Xen"));
	assert_true(ask(true, "true", NULL, err) < 0);
	assert_non_null(strstr(err, path));
	assert_true(ask(true, "true", "rubbish\r\n", err) < 0);
	unlink(path);
	assert_int_equal(xen_emulator_log_dirty(path, true, err, sizeof(err)),
			 -ENOENT);
	memset(far, 'x', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(xen_emulator_log_dirty(far, true, err, sizeof(err)),
			 -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_of_xenstore_are_one_record),
		cmocka_unit_test(a_context_is_what_the_file_has),
		cmocka_unit_test(a_context_that_is_none_is_refused),
		cmocka_unit_test(it_is_switched_on_and_off),
		cmocka_unit_test(what_goes_wrong_is_told),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
