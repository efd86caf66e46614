/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server runs in a child process, on a loop of its own, as in remusd; the
 * test is the client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those four */
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <qb/qbipcc.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc.h"
#include "ipc_name.h"
#include "qb_leftovers.h"

#define WAIT_MS 20000 /* long enough for valgrind on a busy machine */
#define OTHER_ID 54321 /* a user and group that nobody has */

static char vm[32];
static pid_t server;
static gid_t server_group;

/* ---- the server ---- */

static qb_loop_t *loop;
static struct ipc_server *srv;
static struct ipc_request *parked[128];
static size_t n_parked;

static void park(struct ipc_request *req)
{
	if (n_parked == sizeof(parked) / sizeof(*parked))
		_exit(9);
	parked[n_parked++] = req;
}

static void reply_parked(void)
{
	while (n_parked > 0)
		ipc_reply_ok(parked[--n_parked], json_pack("{s:b}", "late", 1));
}

static void reply_long(struct ipc_request *req, size_t bytes)
{
	char *text = malloc(bytes + 1);

	memset(text, 'x', bytes);
	text[bytes] = '\0';
	ipc_reply_ok(req, json_pack("{s:s}", "text", text));
	free(text);
}

static void stop_job(void *data)
{
	(void)data;
	ipc_server_stop(srv);
	srv = NULL;
	qb_loop_stop(loop);
}

static void handle(void *ctx, struct ipc_request *req, const char *cmd,
		   const json_t *args)
{
	if (ctx != &loop)
		_exit(6);
	if (strcmp(cmd, "echo") == 0)
		ipc_reply_ok(req, json_pack("{s:O}", "got",
					    json_object_get(args, "x")));
	else if (strcmp(cmd, "overrule") == 0)
		ipc_reply_ok(req, json_pack("{s:b}", "ok", 0));
	else if (strcmp(cmd, "plain") == 0)
		ipc_reply_ok(req, NULL);
	else if (strcmp(cmd, "park") == 0)
		park(req);
	else if (strcmp(cmd, "release") == 0)
		reply_parked(), ipc_reply_ok(req, NULL);
	else if (strcmp(cmd, "long") == 0)
		reply_long(req, (size_t)json_integer_value(
					json_object_get(args, "n")));
	else if (strcmp(cmd, "die") == 0)
		_exit(0);
	else if (strcmp(cmd, "stop") == 0)
		park(req), qb_loop_job_add(loop, QB_LOOP_LOW, NULL, stop_job);
	else
		ipc_reply_error(req, "no command %s", cmd);
}

static void run_server(int ready_fd)
{
	char err[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	loop = qb_loop_create();
	if (ipc_server_start(&srv, loop, vm, server_group, handle, &loop, err,
			     sizeof(err)) < 0)
		_exit(8);
	if (write(ready_fd, "r", 1) != 1)
		_exit(7);
	qb_loop_run(loop);
	qb_loop_destroy(loop);
	_exit(0);
}

static int begin(void **state)
{
	static unsigned int serial;
	int fds[2];
	char c;

	(void)state;
	snprintf(vm, sizeof(vm), "test%d-%u", (int)getpid(), serial++);
	if (pipe(fds) < 0)
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

static int begin_with_group(void **state)
{
	int rc;

	server_group = OTHER_ID;
	rc = begin(state);
	server_group = 0;
	return rc;
}

static int end(void **state)
{
	(void)state;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
		qb_leftovers_remove(server);
	}
	server = 0;
	return 0;
}

/* ---- the client ---- */

static struct ipc_client *dial(void)
{
	struct ipc_client *c = NULL;
	char err[256] = "";

	assert_int_equal(ipc_connect(&c, vm, WAIT_MS, err, sizeof(err)), 0);
	assert_string_equal(err, "");
	return c;
}

static json_t *call(struct ipc_client *c, json_t *request)
{
	json_t *reply = NULL;
	char err[256] = "";
	int rc = ipc_call(c, request, WAIT_MS, &reply, err, sizeof(err));

	json_decref(request);
	assert_string_equal(err, "");
	assert_int_equal(rc, 0);
	return reply;
}

static void assert_ok(json_t *reply)
{
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
}

static void assert_error(json_t *reply, const char *want)
{
	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(json_string_value(json_object_get(reply, "error")),
			    want);
	json_decref(reply);
}

/* ---- the tests ---- */

static void a_request_gets_its_reply(void **state)
{
	struct ipc_client *c = dial();
	json_t *r;

	(void)state;
	for (int i = 0; i < 100; i++) {
		r = call(c, json_pack("{s:s, s:i}", "cmd", "echo", "x", i));
		assert_int_equal(json_integer_value(json_object_get(r, "got")),
				 i);
		assert_ok(r);
	}
	assert_ok(call(c, json_pack("{s:s}", "cmd", "plain")));
	assert_error(call(c, json_pack("{s:s}", "cmd", "dance")),
		     "no command dance");
	/* what is merged in cannot turn the verdict round */
	assert_ok(call(c, json_pack("{s:s}", "cmd", "overrule")));
	ipc_disconnect(c);
}

static void a_request_without_cmd_is_refused(void **state)
{
	static const char want[] = "a request is a JSON object with \"cmd\"";
	struct ipc_client *c = dial();

	(void)state;
	assert_error(call(c, json_pack("{s:i}", "cmd", 5)), want);
	assert_error(call(c, json_pack("[s]", "cmd")), want);
	assert_error(call(c, json_pack("{}")), want);
	ipc_disconnect(c);
}

/* Straight through libqb: what ipc_call would never send. */
static void bytes_that_are_no_request_are_refused(void **state)
{
	static const char *const bodies[] = {
		"", "{", "\xff\xfe", "{\"cmd\":\"plain\",\"cmd\":\"die\"}",
		"[[[[[[[[", "{\"cmd\":\"plain\"} x",
	};
	char name[IPC_NAME_BYTES];
	static char buf[IPC_BUFFER_BYTES] __attribute__((aligned(8)));
	qb_ipcc_connection_t *c;

	(void)state;
	ipc_service_name(name, vm);
	c = qb_ipcc_connect(name, IPC_BUFFER_BYTES);
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		struct qb_ipc_request_header h;
		struct iovec iov[2] = {
			{ &h, sizeof(h) },
			{ (void *)(uintptr_t)bodies[i], strlen(bodies[i]) },
		};
		ssize_t n;

		memset(&h, 0, sizeof(h));
		h.id = (int32_t)i;
		h.size = (int32_t)(sizeof(h) + strlen(bodies[i]));
		assert_true(qb_ipcc_sendv(c, iov, 2) > 0);
		n = qb_ipcc_recv(c, buf, sizeof(buf) - 1, WAIT_MS);
		assert_true(n > (ssize_t)sizeof(struct qb_ipc_response_header));
		buf[n] = '\0';
		assert_non_null(strstr(
			buf + sizeof(struct qb_ipc_response_header),
			"a request is a JSON object"));
	}
	qb_ipcc_disconnect(c);
}

static void a_long_request_is_refused_before_it_is_sent(void **state)
{
	struct ipc_client *c = dial();
	char text[IPC_REQUEST_MAX + 1], err[256];
	json_t *reply, *req;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	req = json_pack("{s:s, s:s}", "cmd", "plain", "text", text);
	assert_int_equal(ipc_call(c, req, WAIT_MS, &reply, err, sizeof(err)),
			 -EMSGSIZE);
	json_decref(req);
	assert_ok(call(c, json_pack("{s:s}", "cmd", "plain")));
	ipc_disconnect(c);
}

static void a_long_reply_arrives_whole_or_as_an_error(void **state)
{
	struct ipc_client *c = dial();
	json_t *r;

	(void)state;
	r = call(c, json_pack("{s:s, s:i}", "cmd", "long", "n", 60000));
	assert_int_equal(json_string_length(json_object_get(r, "text")),
			 60000);
	assert_ok(r);
	assert_error(call(c, json_pack("{s:s, s:i}", "cmd", "long", "n",
				       IPC_REPLY_MAX)),
		     "the reply is too long");
	assert_ok(call(c, json_pack("{s:s}", "cmd", "plain")));
	ipc_disconnect(c);
}

static void a_reply_may_come_later(void **state)
{
	struct ipc_client *a = dial(), *b = dial();
	json_t *reply, *req = json_pack("{s:s}", "cmd", "park");
	char err[256];

	(void)state;
	/* a's request waits... */
	assert_int_equal(ipc_call(a, req, 50, &reply, err, sizeof(err)),
			 -ETIMEDOUT);
	assert_null(reply);
	assert_string_equal(err, "no answer in time; the outcome is unknown");
	/* ...is answered through b, and is not taken for the next one's. */
	assert_ok(call(b, json_pack("{s:s}", "cmd", "release")));
	reply = call(a, json_pack("{s:s, s:i}", "cmd", "echo", "x", 1));
	assert_null(json_object_get(reply, "late"));
	assert_int_equal(json_integer_value(json_object_get(reply, "got")), 1);
	assert_ok(reply);
	json_decref(req);
	ipc_disconnect(a);
	ipc_disconnect(b);
}

static void a_reply_to_a_client_that_is_gone_goes_nowhere(void **state)
{
	struct ipc_client *a, *b = dial();
	json_t *reply, *req = json_pack("{s:s}", "cmd", "park");
	char err[256];

	(void)state;
	for (int i = 0; i < 20; i++) {
		a = dial();
		assert_int_equal(ipc_call(a, req, 1, &reply, err, sizeof(err)),
				 -ETIMEDOUT);
		ipc_disconnect(a);
	}
	assert_ok(call(b, json_pack("{s:s}", "cmd", "plain")));
	assert_ok(call(b, json_pack("{s:s}", "cmd", "release")));
	assert_ok(call(b, json_pack("{s:s}", "cmd", "plain")));
	json_decref(req);
	ipc_disconnect(b);
}

static void too_many_waiting_requests_are_refused(void **state)
{
	struct ipc_client *c = dial();
	json_t *reply, *req = json_pack("{s:s}", "cmd", "park");
	char err[256];
	int rc = -ETIMEDOUT, n = 0;

	(void)state;
	for (; rc == -ETIMEDOUT && n < 100; n++)
		rc = ipc_call(c, req, 20, &reply, err, sizeof(err));
	if (rc == -ETIMEDOUT) /* slow: the refusal is still to come */
		reply = call(c, json_incref(req));
	assert_error(reply, "too many requests are waiting");
	assert_true(n > 60);
	json_decref(req);
	ipc_disconnect(c);
}

static void a_stopping_server_answers_what_waits(void **state)
{
	struct ipc_client *c = dial();

	(void)state;
	assert_error(call(c, json_pack("{s:s}", "cmd", "stop")),
		     "remusd is ending");
	ipc_disconnect(c);
	assert_int_equal(waitpid(server, NULL, 0), server);
	server = 0;
}

static void a_dying_server_is_no_success(void **state)
{
	struct ipc_client *c = dial();
	json_t *reply, *req = json_pack("{s:s}", "cmd", "die");
	char err[256];

	(void)state;
	assert_int_equal(ipc_call(c, req, WAIT_MS, &reply, err, sizeof(err)),
			 -ECONNRESET);
	assert_null(reply);
	assert_string_equal(err, "remusd ended before it answered; the "
				 "outcome is unknown");
	assert_int_equal(ipc_call(c, req, WAIT_MS, &reply, err, sizeof(err)),
			 -ECONNRESET);
	json_decref(req);
	ipc_disconnect(c);
}

static void a_hanging_server_times_out(void **state)
{
	struct ipc_client *c = dial(), *late = NULL;
	json_t *reply, *req = json_pack("{s:s}", "cmd", "plain");
	char err[256], want[256];

	(void)state;
	assert_int_equal(kill(server, SIGSTOP), 0);
	assert_int_equal(waitpid(server, NULL, WUNTRACED), server);
	assert_int_equal(ipc_call(c, req, 100, &reply, err, sizeof(err)),
			 -ETIMEDOUT);
	assert_int_equal(ipc_connect(&late, vm, 100, err, sizeof(err)),
			 -ETIMEDOUT);
	assert_null(late);
	snprintf(want, sizeof(want),
		 "the remusd of %s hangs: it does not answer", vm);
	assert_string_equal(err, want);
	json_decref(req);
	ipc_disconnect(c);
}

static void nobody_there(void **state)
{
	struct ipc_client *c = (struct ipc_client *)1;
	char err[256];

	(void)state;
	assert_int_equal(ipc_connect(&c, "no-such-vm", WAIT_MS, err,
				     sizeof(err)), -ENOENT);
	assert_null(c);
	assert_string_equal(err,
			    "no remusd of no-such-vm answers on this node");
}

static void a_second_server_of_one_name_is_refused(void **state)
{
	qb_loop_t *l = qb_loop_create();
	struct ipc_server *second = (struct ipc_server *)1;
	char err[256], want[256];

	(void)state;
	assert_int_equal(ipc_server_start(&second, l, vm, 0, handle, &loop,
					  err, sizeof(err)), -EADDRINUSE);
	assert_null(second);
	snprintf(want, sizeof(want), "a remusd of %s runs here already", vm);
	assert_string_equal(err, want);
	qb_loop_destroy(l);
}

/* In a child that has become somebody else: what does ipc_connect say, and if
 * it says 0, does a request work? */
static int connect_as(uid_t uid, gid_t gid, gid_t extra)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		json_t *reply = NULL, *req = json_pack("{s:s}", "cmd", "plain");
		struct ipc_client *c;
		char err[256];
		int rc;

		if (setgroups(extra != 0, &extra) < 0 || setgid(gid) < 0 ||
		    setuid(uid) < 0)
			_exit(100);
		rc = ipc_connect(&c, vm, WAIT_MS, err, sizeof(err));
		if (rc == 0)
			rc = ipc_call(c, req, WAIT_MS, &reply, err,
				      sizeof(err));
		ipc_disconnect(c);
		json_decref(reply);
		json_decref(req);
		_exit(-rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void only_root_and_the_group_may_connect(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("needs root: skipped\n");
		skip();
	}
	assert_int_equal(connect_as(OTHER_ID, OTHER_ID, 0), 0);
	assert_int_equal(connect_as(OTHER_ID, OTHER_ID + 1, 0), EACCES);
	assert_int_equal(connect_as(0, 0, 0), 0);
}

static void without_a_group_only_root_may_connect(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("needs root: skipped\n");
		skip();
	}
	assert_int_equal(connect_as(OTHER_ID, OTHER_ID, 0), EACCES);
	assert_int_equal(connect_as(OTHER_ID, 0, 0), EACCES);
}

/* The name of a service that is not running is free for everybody. */
static void an_impostor_is_not_believed(void **state)
{
	struct ipc_client *c;
	char err[256], go;
	int fds[2];
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("needs root: skipped\n");
		skip();
	}
	snprintf(vm, sizeof(vm), "impostor%d", (int)getpid());
	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(OTHER_ID) < 0 ||
		    setuid(OTHER_ID) < 0)
			_exit(100);
		run_server(fds[1]);
	}
	server = pid;
	assert_int_equal(read(fds[0], &go, 1), 1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(ipc_connect(&c, vm, WAIT_MS, err, sizeof(err)),
			 -EACCES);
	assert_null(c);
}

#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(a_request_gets_its_reply),
		WITH_SERVER(a_request_without_cmd_is_refused),
		WITH_SERVER(bytes_that_are_no_request_are_refused),
		WITH_SERVER(a_long_request_is_refused_before_it_is_sent),
		WITH_SERVER(a_long_reply_arrives_whole_or_as_an_error),
		WITH_SERVER(a_reply_may_come_later),
		WITH_SERVER(a_reply_to_a_client_that_is_gone_goes_nowhere),
		WITH_SERVER(too_many_waiting_requests_are_refused),
		WITH_SERVER(a_stopping_server_answers_what_waits),
		WITH_SERVER(a_dying_server_is_no_success),
		WITH_SERVER(a_hanging_server_times_out),
		WITH_SERVER(a_second_server_of_one_name_is_refused),
		WITH_SERVER(without_a_group_only_root_may_connect),
		cmocka_unit_test_setup_teardown(
			only_root_and_the_group_may_connect, begin_with_group,
			end),
		cmocka_unit_test_teardown(an_impostor_is_not_believed, end),
		cmocka_unit_test(nobody_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
