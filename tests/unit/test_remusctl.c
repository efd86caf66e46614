/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real remusctl against a server that plays remusd: what it asks, what it
 * prints, and above all its exit codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those four */
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc.h"
#include "qb_leftovers.h"
#include "status.h"

static char vm[32], dir[] = "/tmp/test_remusctl.XXXXXX", program[4096];
static pid_t server;

/* ---- the server ---- */

static void play_status(struct ipc_request *req)
{
	struct vm_status s = {
		.vm = vm, .node = "alpha", .role = ROLE_PRIMARY,
		.state = STATE_SYNCING, .generation = 3,
		.reason = "it's \"so\" $(exit 9) `exit 9` \\",
		.ticket = "protected(alpha,beta)", .epoch_committed = 41,
		.interval_ms = 25, .pause_us = { 900, 1500, 2500 },
		.dirty_pages = { 100, 200, 300 }, .ack_us = { 1, 2, 3000000 },
		.bytes_raw = 8192000, .bytes_sent = 1024000,
		.gate = { .held = 5, .released = 6, .dropped = 7 },
		.gate_name = "relay", .gate_state = GATE_HOLDING,
		.peer = "beta", .peer_address = "192.0.2.2:7070",
		.link_up = true, .rtt_us = 120, .sync_done_pages = 25,
		.sync_total_pages = 100, .driver = "fake", .tracker = "none",
		.compression = COMPRESSION_AUTO, .codec = COMPRESSION_TIGHT,
		.encode_threads = 2,
	};

	ipc_reply_ok(req, status_to_json(&s));
}

static void handle(void *ctx, struct ipc_request *req, const char *cmd,
		   const json_t *args)
{
	char *text;

	(void)ctx;
	if (strcmp(cmd, "status") == 0)
		play_status(req);
	else if (strcmp(cmd, "start") == 0)
		ipc_reply_error(req, "the guest runs already");
	else if (strcmp(cmd, "checkpoint") == 0)
		return; /* and never answer */
	else if (strcmp(cmd, "demote") == 0)
		_exit(0);
	else {
		/* say what was asked */
		text = json_dumps(args, JSON_SORT_KEYS | JSON_COMPACT);
		ipc_reply_ok(req, json_pack("{s:s}", "message", text));
		free(text);
	}
}

static void run_server(int ready_fd)
{
	qb_loop_t *loop = qb_loop_create();
	struct ipc_server *s;
	char err[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ipc_server_start(&s, loop, vm, 0, handle, NULL, err,
			     sizeof(err)) < 0 ||
	    write(ready_fd, "r", 1) != 1)
		_exit(8);
	qb_loop_run(loop);
	_exit(0);
}

static int begin(void **state)
{
	static unsigned int serial;
	int fds[2];
	char c;

	(void)state;
	snprintf(vm, sizeof(vm), "ctl%d-%u", (int)getpid(), serial++);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fflush(NULL);
	server = fork();
	if (server == 0)
		run_server(fds[1]);
	close(fds[1]);
	if (read(fds[0], &c, 1) != 1)
		return -1;
	close(fds[0]);
	return 0;
}

static int end(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	qb_leftovers_remove(server);
	return 0;
}

/* ---- running remusctl ---- */

static char out[65536], errs[65536];

static void drain(int fd, char *buf, size_t bytes)
{
	size_t n = 0;
	ssize_t r;

	while ((r = read(fd, buf + n, bytes - 1 - n)) > 0)
		n += (size_t)r;
	buf[n] = '\0';
	close(fd);
}

/* Runs `remusctl WORDS` (split at blanks, no quoting; "VM" stands for the
 * server's name, "DIR" for the folder) and returns its exit code. */
static int ctl(const char *words)
{
	char line[1024], *argv[32] = { program }, *save = NULL;
	int o[2], e[2], argc = 1, status;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", words);
	for (char *w = strtok_r(line, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(w, "VM") == 0    ? vm
			       : strcmp(w, "DIR") == 0 ? dir
						       : w;
	assert_int_equal(pipe2(o, O_CLOEXEC), 0);
	assert_int_equal(pipe2(e, O_CLOEXEC), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(o[1], 1);
		dup2(e[1], 2);
		execv(program, argv);
		_exit(127);
	}
	close(o[1]);
	close(e[1]);
	drain(o[0], out, sizeof(out)); /* stderr is a few lines at most */
	drain(e[0], errs, sizeof(errs));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_err(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static void assert_err(const char *fmt, ...)
{
	char want[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	assert_string_equal(errs, want);
}

static void assert_out(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static void assert_out(const char *fmt, ...)
{
	char want[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	assert_string_equal(out, want);
}

static void has(const char *part)
{
	if (strstr(out, part) == NULL)
		fail_msg("'%s' is not in:\n%s", part, out);
}

/* ---- the tests ---- */

static const struct {
	const char *words, *want;
} misuse[] = {
	{ "", "which command? (remusctl help)" },
	{ "dance", "unknown command 'dance' (remusctl help)" },
	{ "status", "status which VM?" },
	{ "status ../x", "'../x' is not the name of a VM" },
	{ "status VM extra", "status does not take 'extra'" },
	{ "list extra", "list does not take 'extra'" },
	{ "--bogus status VM",
	  "unknown option, or one without its value: '--bogus'" },
	{ "--timeout 0 status VM",
	  "--timeout is 1 to 3600 seconds, not '0'" },
	{ "--timeout x status VM",
	  "--timeout is 1 to 3600 seconds, not 'x'" },
	{ "status VM --timeout",
	  "unknown option, or one without its value: '--timeout'" },
	{ "--count 0 top VM", "--count is a number from 1, not '0'" },
	{ "stop VM --peer-is-dead", "stop does not take --peer-is-dead" },
	{ "protect VM --peer-is-dead",
	  "protect does not take --peer-is-dead" },
	{ "set VM", "set what? interval=TIME or compression=off|fast|tight|auto|on" },
	{ "set VM interval=4",
	  "interval is a time from 5ms to 10000ms, not '4'" },
	{ "set VM interval=10001",
	  "interval is a time from 5ms to 10000ms, not '10001'" },
	{ "set VM interval=", "interval is a time from 5ms to 10000ms, not "
			      "''" },
	{ "set VM compression=yes", "compression is one of off|fast|tight|auto|on, not 'yes'" },
	{ "set VM memory=1G", "'memory=1G' cannot be set; interval=TIME and "
			      "compression=off|fast|tight|auto|on can" },
	{ "set VM interval=50 bogus",
	  "'bogus' cannot be set; interval=TIME and compression=off|fast|tight|auto|on can" },
};

static void wrong_usage_is_2(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(misuse) / sizeof(*misuse); i++) {
		assert_int_equal(ctl(misuse[i].words), 2);
		assert_err("remusctl: %s\n", misuse[i].want);
		assert_out("%s", "");
	}
}

static void a_refusal_is_1(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(ctl("start VM"), 1);
	assert_err("remusctl: %s: the guest runs already\n", vm);
	assert_out("%s", "");
	assert_int_equal(ctl("--json start VM"), 1);
	assert_err("remusctl: %s: the guest runs already\n", vm);
	j = json_loads(out, 0, NULL);
	assert_true(json_is_false(json_object_get(j, "ok")));
	assert_string_equal(json_string_value(json_object_get(j, "error")),
			    "the guest runs already");
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 1);
	json_decref(j);
}

static void nobody_there_is_3_and_never_called_stopped(void **state)
{
	static const char *const cmds[] = {
		"status", "start", "stop", "protect", "activate", "demote",
		"checkpoint", "alone", "top", "set",
	};
	char words[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cmds) / sizeof(*cmds); i++) {
		snprintf(words, sizeof(words), "%s no-such-vm%s", cmds[i],
			 strcmp(cmds[i], "set") == 0 ? " interval=50" : "");
		assert_int_equal(ctl(words), 3);
		assert_err("remusctl: no-such-vm: no remusd of no-such-vm "
			   "answers on this node\n");
		assert_out("%s", "");
	}
	assert_int_equal(ctl("--json status no-such-vm"), 3);
	has("\"exit\": 3");
	assert_null(strstr(out, "stopped"));
}

static void a_remusd_that_hangs_is_3(void **state)
{
	(void)state;
	kill(server, SIGSTOP);
	assert_int_equal(waitpid(server, NULL, WUNTRACED), server);
	assert_int_equal(ctl("--timeout 200ms status VM"), 3);
	assert_err("remusctl: %s: the remusd of %s hangs: it does not "
		   "answer\n", vm, vm);
	assert_out("%s", "");
}

static void no_answer_in_time_is_4(void **state)
{
	(void)state;
	assert_int_equal(ctl("--timeout 300ms checkpoint VM"), 4);
	assert_err("remusctl: %s: no answer in time; the outcome is "
		   "unknown\n", vm);
	assert_out("%s", "");
	assert_int_equal(ctl("-j --timeout 300ms checkpoint VM"), 4);
	has("\"exit\": 4");
}

static void a_remusd_that_dies_before_its_answer_is_4(void **state)
{
	(void)state;
	assert_int_equal(ctl("demote VM"), 4);
	assert_err("remusctl: %s: remusd ended before it answered; the "
		   "outcome is unknown\n", vm);
	assert_out("%s", "");
}

static void requests_carry_what_was_said(void **state)
{
	(void)state;
	assert_int_equal(ctl("stop VM"), 0);
	assert_out("%s: stop: done: {\"cmd\":\"stop\"}\n", vm);
	assert_int_equal(ctl("protect VM"), 0);
	assert_out("%s: protect: done: {\"cmd\":\"protect\"}\n", vm);
	assert_int_equal(ctl("activate VM"), 0);
	assert_out("%s: activate: done: {\"cmd\":\"activate\"}\n", vm);
	assert_int_equal(ctl("activate VM --peer-is-dead"), 0);
	assert_out("%s: activate: done: {\"cmd\":\"activate\",\"peer_is_dead\":true}\n", vm);
	assert_int_equal(ctl("--peer-is-dead alone VM"), 0);
	assert_out("%s: alone: done: {\"cmd\":\"alone\",\"peer_is_dead\":true}\n", vm);
	assert_int_equal(ctl("alone VM"), 0);
	assert_out("%s: alone: done: {\"cmd\":\"alone\"}\n", vm);
	assert_int_equal(ctl("set VM interval=2s compression=off"), 0);
	assert_out("%s: set: done: {\"cmd\":\"set\",\"compression\":\"off\","
		   "\"interval\":\"2s\"}\n", vm);
	assert_err("%s", "");
}

/* Its lines are for eval: nothing in a value may become a command. */
static void status_is_for_a_shell(void **state)
{
	(void)state;
	assert_int_equal(ctl("status VM --shell"), 0);
	assert_non_null(strstr(out, "remus_state='syncing'\n"));
	assert_non_null(strstr(out, "remus_link_up='true'\n"));
	assert_non_null(strstr(out, "remus_pause_us_p99='1500'\n"));
	assert_non_null(strstr(out, "remus_gate_state='holding'\n"));
	assert_non_null(strstr(out, "remus_ratio='8.00'\n"));
	assert_non_null(strstr(out, "remus_reason='it'\\''s \"so\" "
				    "$(exit 9) `exit 9` \\'\n"));
	for (const char *line = out; *line != '\0';
	     line = strchr(line, '\n') + 1)
		assert_int_equal(strncmp(line, "remus_", 6), 0);
	assert_int_equal(ctl("status VM --shell --json"), 2);
	assert_int_equal(ctl("stop VM --shell"), 2);
	assert_int_equal(ctl("stop VM --end"), 2);
	assert_int_equal(ctl("stop VM --generation-above 3"), 2);
	assert_int_equal(ctl("start VM --generation-above x"), 2);
}

static void status_is_text_or_json(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(ctl("status VM"), 0);
	has(" on alpha: primary, syncing 25 %\n");
	has("beta 192.0.2.2:7070, connected, round trip 120 us\n");
	has("protected(alpha,beta), generation 3\n");
	has("41 committed; 0 checkpoints, one every 25 ms; lag 0 ms\n");
	has("pause      p50 900 us, p99 1.5 ms, max 2.5 ms\n");
	has("ack        p50 1 us, p99 2 us, max 3.0 s\n");
	has("dirty      p50 100, p99 200, max 300 pages\n");
	has("1.0 MB sent for 8.2 MB of pages: ratio 8.00, compression auto, now tight, 2 threads\n");
	has("relay, holding: held 5, released 6, dropped 7\n");
	assert_int_equal(ctl("status VM --json"), 0);
	j = json_loads(out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(j, "vm")), vm);
	assert_string_equal(json_string_value(json_object_get(j, "state")),
			    "syncing");
	assert_true(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
}

static void put(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static void drop(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

static void put_conf(const char *name, const char *key_file)
{
	char text[2048], file[64];

	snprintf(text, sizeof(text),
		 "name = %s\nmemory = 2M\ndriver = fake\n"
		 "node = alpha 192.0.2.1\nnode = beta 192.0.2.2\n"
		 "key_file = %s/%s\n", name, dir, key_file);
	snprintf(file, sizeof(file), "%s.conf", name);
	put(file, text);
}

static void check_tells_good_from_bad(void **state)
{
	char words[600];

	(void)state;
	put("key", "0123456789abcdef0123456789abcdef");
	put_conf("good", "key");
	put_conf("bad", "nokey");
	assert_int_equal(ctl("--config-dir DIR check good"), 0);
	assert_out("%s/good.conf: good\n", dir);
	snprintf(words, sizeof(words), "check %s/good.conf", dir);
	assert_int_equal(ctl(words), 0);
	assert_int_equal(ctl("--config-dir DIR check bad"), 2);
	assert_err("remusctl: %s/bad.conf:6: key_file '%s/nokey': No such "
		   "file or directory\n", dir, dir);
	assert_int_equal(ctl("--config-dir DIR check none"), 2);
	assert_err("remusctl: %s/none.conf: No such file or directory\n", dir);
	drop("key"), drop("good.conf"), drop("bad.conf");
}

static void list_shows_who_answers_and_who_does_not(void **state)
{
	char conf[64], line[256];
	json_t *j, *vms, *one;

	(void)state;
	put("key", "0123456789abcdef0123456789abcdef");
	put_conf("asleep", "key");
	put_conf(vm, "nokey");
	put("README", "no definition\n");
	assert_int_equal(ctl("--config-dir DIR list"), 0);
	has("asleep               unknown: no remusd of asleep answers on "
	    "this node\n");
	snprintf(line, sizeof(line), "%-20s primary, syncing 25 %%\n", vm);
	has(line);
	has("nokey': No such file or directory\n");
	assert_null(strstr(out, "README"));
	assert_int_equal(ctl("--json --config-dir DIR list"), 0);
	j = json_loads(out, 0, NULL);
	vms = json_object_get(j, "vms");
	assert_int_equal(json_array_size(vms), 2);
	one = json_array_get(vms, 0);
	assert_true(json_is_false(json_object_get(one, "answers")));
	assert_null(json_object_get(one, "state"));
	one = json_array_get(vms, 1);
	assert_true(json_is_true(json_object_get(one, "answers")));
	assert_string_equal(json_string_value(json_object_get(one, "role")),
			    "primary");
	json_decref(j);
	assert_int_equal(ctl("--config-dir /no/such/dir list"), 2);
	snprintf(conf, sizeof(conf), "%s.conf", vm);
	drop("key"), drop("asleep.conf"), drop(conf), drop("README");
}

static void top_in_a_pipe_is_lines(void **state)
{
	const char *nl;

	(void)state;
	assert_int_equal(ctl("--count 2 top VM"), 0);
	has(": primary, syncing 25 %; epoch 41; pause_us p50 900 p99 1500; "
	    "dirty_pages p50 100 p99 200; ratio 8.00; lag_ms 0; held 5;");
	assert_null(strchr(out, '\033'));
	nl = strchr(out, '\n');
	assert_non_null(nl);
	assert_non_null(strchr(nl + 1, '\n'));
	assert_int_equal(strlen(strchr(nl + 1, '\n')), 1);
}

static void help_and_version(void **state)
{
	(void)state;
	assert_int_equal(ctl("help"), 0);
	has("usage: remusctl");
	assert_int_equal(ctl("--help"), 0);
	has("usage: remusctl");
	assert_int_equal(ctl("--version"), 0);
	has("remusctl (remus-ha) ");
	assert_int_equal(ctl("version --json"), 0);
	has("\"version\"");
}

static int find_program(void **state)
{
	const char *top = getenv("top_builddir");

	(void)state;
	snprintf(program, sizeof(program), "%s/src/remusctl",
		 top == NULL ? "." : top);
	return mkdtemp(dir) == NULL ? -1 : access(program, X_OK);
}

static int drop_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(wrong_usage_is_2),
		WITH_SERVER(a_refusal_is_1),
		cmocka_unit_test(nobody_there_is_3_and_never_called_stopped),
		WITH_SERVER(a_remusd_that_hangs_is_3),
		WITH_SERVER(no_answer_in_time_is_4),
		WITH_SERVER(a_remusd_that_dies_before_its_answer_is_4),
		WITH_SERVER(requests_carry_what_was_said),
		WITH_SERVER(status_is_for_a_shell),
		WITH_SERVER(status_is_text_or_json),
		cmocka_unit_test(check_tells_good_from_bad),
		WITH_SERVER(list_shows_who_answers_and_who_does_not),
		WITH_SERVER(top_in_a_pipe_is_lines),
		cmocka_unit_test(help_and_version),
	};

	return cmocka_run_group_tests(tests, find_program, drop_dir);
}
