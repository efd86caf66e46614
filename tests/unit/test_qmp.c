/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The QMP client against a scripted server at the other end of a pair. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmp.h"
#include "util.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define LONG_MS 60000

struct world {
	qb_loop_t *loop;
	struct qmp *q;
	int peer;
	char log[1024]; /* what happened, in order */
	int closed_rc;
	char closed_why[256];
	bool destroy_in_callback;
	int things; /* callbacks so far */
	int until;
};

static void happened(struct world *w, const char *what, const char *detail)
{
	size_t n = strlen(w->log);

	snprintf(w->log + n, sizeof(w->log) - n, "%s(%s) ", what, detail);
	if (w->destroy_in_callback) {
		qmp_destroy(w->q);
		w->q = NULL;
	}
	if (++w->things >= w->until)
		qb_loop_stop(w->loop);
}

static void on_event(void *ctx, const char *name, const json_t *data)
{
	const char *s = json_string_value(json_object_get(data, "reason"));
	char detail[128];

	snprintf(detail, sizeof(detail), "%s%s%s", name, s != NULL ? " " : "",
		 s != NULL ? s : "");
	happened(ctx, "event", detail);
}

static void on_closed(void *ctx, int rc, const char *why)
{
	struct world *w = ctx;

	w->closed_rc = rc;
	snprintf(w->closed_why, sizeof(w->closed_why), "%s", why);
	happened(w, "closed", "");
}

static void on_answer(void *ctx, int rc, const json_t *value, const char *why)
{
	char detail[256];

	snprintf(detail, sizeof(detail), "%d", rc == 0 ?
		 (int)json_integer_value(json_object_get(value, "n")) : rc);
	happened(ctx, "answer", rc == 0 ? detail : why);
}

static const struct qmp_ops world_ops = {
	.event = on_event,
	.closed = on_closed,
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	w->loop = qb_loop_create();
	w->peer = pair[1];
	assert_int_equal(qmp_create(&w->q, w->loop, pair[0], &world_ops, w), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	qmp_destroy(w->q);
	if (w->peer >= 0)
		close(w->peer);
	qb_loop_destroy(w->loop);
	free(w);
	return 0;
}

static void stop_loop(void *data)
{
	qb_loop_stop(data);
}

/* Turn the loop until `n` callbacks came; with 0: for a moment. */
static void turn(struct world *w, int n)
{
	qb_loop_timer_handle h;

	w->until = n > 0 ? w->things + n : 1000;
	qb_loop_timer_add(w->loop, QB_LOOP_LOW, (n > 0 ? 20000 : 20) *
			  UINT64_C(1000000), w->loop, stop_loop, &h);
	qb_loop_run(w->loop);
	qb_loop_timer_del(w->loop, h);
	if (n > 0)
		assert_true(w->things >= w->until);
}

static void say(struct world *w, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(write(w->peer, text, n), n);
}

static void heard(struct world *w, char *buf, size_t bytes)
{
	ssize_t n = recv(w->peer, buf, bytes - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	buf[n] = '\0';
}

static int send_one(struct world *w, const char *name, uint32_t timeout_ms)
{
	struct qmp_command c = { .name = name, .fn = on_answer,
				 .timeout_ms = timeout_ms };

	return qmp_send(w->q, &c, 1);
}

static void test_two_commands_in_one_write(void **state)
{
	struct world *w = *state;
	struct qmp_command c[2] = {
		{ .name = "stop", .fn = on_answer, .timeout_ms = LONG_MS },
		{ .name = "save", .fn = on_answer, .timeout_ms = LONG_MS },
	};
	char buf[512];

	c[1].args = json_pack("{s:s}", "filename", "a\"b\n");
	assert_int_equal(qmp_send(w->q, c, 2), 0);
	heard(w, buf, sizeof(buf));
	assert_string_equal(buf,
		"{\"execute\":\"stop\",\"id\":1}\n"
		"{\"execute\":\"save\",\"id\":2,\"arguments\":"
		"{\"filename\":\"a\\\"b\\n\"}}\n");
	say(w, GREETING);
	say(w, "{\"event\": \"STOP\", \"timestamp\": {}}\r\n"
	       "{\"return\": {\"n\": 11}, \"id\": 1}\r\n{\"return\": ");
	turn(w, 2);
	assert_string_equal(w->log, "event(STOP) answer(11) ");
	say(w, "{\"n\": 22}, \"id\": 2}\r\n");
	turn(w, 1);
	assert_string_equal(w->log, "event(STOP) answer(11) answer(22) ");
}

static void test_events_carry_data(void **state)
{
	struct world *w = *state;

	say(w, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, "
	       "\"reason\": \"guest-shutdown\"}}\r\n");
	turn(w, 1);
	assert_string_equal(w->log, "event(SHUTDOWN guest-shutdown) ");
}

static void test_an_error_is_an_answer(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_one(w, "save", LONG_MS), 0);
	say(w, "{\"error\": {\"class\": \"GenericError\", \"desc\": "
	       "\"no room\"}, \"id\": 1}\r\n");
	turn(w, 1);
	assert_string_equal(w->log, "answer(QEMU refuses 'save': no room) ");
	assert_int_equal(send_one(w, "save", LONG_MS), 0); /* it goes on */
}

static void test_lines_may_come_byte_by_byte(void **state)
{
	struct world *w = *state;
	const char *text = GREETING "\r\n\n{\"return\": {\"n\": 5}, \"id\": 1}\n";

	assert_int_equal(send_one(w, "x", LONG_MS), 0);
	for (; *text != '\0'; text++) {
		assert_int_equal(write(w->peer, text, 1), 1);
		if (text[1] == '\0')
			turn(w, 1);
		else
			turn(w, 0);
	}
	assert_string_equal(w->log, "answer(5) ");
}

static void closes_with(struct world *w, int rc)
{
	turn(w, 1);
	assert_string_equal(w->log, "closed() ");
	assert_int_equal(w->closed_rc, rc);
	assert_true(w->closed_why[0] != '\0');
	assert_int_equal(send_one(w, "x", LONG_MS), -ENOTCONN);
	turn(w, 0);
	assert_string_equal(w->log, "closed() ");
}

static void test_end_of_file_closes(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_one(w, "x", LONG_MS), 0);
	shutdown(w->peer, SHUT_WR);
	closes_with(w, -ENOTCONN);
}

static void test_no_json_closes(void **state)
{
	struct world *w = *state;

	say(w, "hello\r\n");
	closes_with(w, -EPROTO);
}

static void test_an_array_closes(void **state)
{
	struct world *w = *state;

	say(w, "[1, 2]\r\n");
	closes_with(w, -EPROTO);
}

static void test_unasked_answer_closes(void **state)
{
	struct world *w = *state;

	say(w, "{\"return\": {}}\r\n");
	closes_with(w, -EPROTO);
}

static void test_answer_to_another_closes(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_one(w, "a", LONG_MS), 0);
	assert_int_equal(send_one(w, "b", LONG_MS), 0);
	say(w, "{\"return\": {}, \"id\": 2}\r\n");
	closes_with(w, -EPROTO);
}

static void test_unknown_message_closes(void **state)
{
	struct world *w = *state;

	say(w, "{\"what\": 1}\r\n");
	closes_with(w, -EPROTO);
}

static void test_late_answer_closes(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_one(w, "stop", 30), 0);
	closes_with(w, -ETIMEDOUT);
	assert_non_null(strstr(w->closed_why, "'stop'"));
}

static void oversleep(void *data)
{
	(void)data;
	usleep(1300000);
}

/* The host was frozen, and QEMU with it. */
static void test_own_sleep_is_not_qemus(void **state)
{
	struct world *w = *state;
	qb_loop_timer_handle h;

	assert_int_equal(send_one(w, "stop", 200), 0);
	qb_loop_timer_add(w->loop, QB_LOOP_HIGH, 1, NULL, oversleep, &h);
	turn(w, 0);
	say(w, "{\"return\": {\"n\": 1}, \"id\": 1}\r\n");
	turn(w, 1);
	assert_string_equal(w->log, "answer(1) ");
	/* And once only. */
	assert_int_equal(send_one(w, "cont", 200), 0);
	qb_loop_timer_add(w->loop, QB_LOOP_HIGH, 1, NULL, oversleep, &h);
	turn(w, 1);
	assert_string_equal(w->log, "answer(1) closed() ");
	assert_int_equal(w->closed_rc, -ETIMEDOUT);
}

/* The timer of an answered command must not hit the next one. */
static void test_timer_looks_at_the_oldest(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_one(w, "a", 40), 0);
	assert_int_equal(send_one(w, "b", LONG_MS), 0);
	say(w, "{\"return\": {\"n\": 1}, \"id\": 1}\r\n");
	turn(w, 1);
	for (int i = 0; i < 5; i++)
		turn(w, 0);
	say(w, "{\"return\": {\"n\": 2}, \"id\": 2}\r\n");
	turn(w, 1);
	assert_string_equal(w->log, "answer(1) answer(2) ");
}

static void test_endless_line_closes(void **state)
{
	struct world *w = *state;
	char junk[65536];
	size_t sent = 0;

	memset(junk, 'x', sizeof(junk));
	while (w->things == 0 && sent < 8 * QMP_LINE_MAX) {
		ssize_t n = send(w->peer, junk, sizeof(junk),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn(w, 0);
	}
	assert_string_equal(w->log, "closed() ");
	assert_int_equal(w->closed_rc, -EMSGSIZE);
	assert_true(sent <= 3 * QMP_LINE_MAX);
}

static void test_too_many_commands(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < QMP_PENDING_MAX; i++)
		assert_int_equal(send_one(w, "x", LONG_MS), 0);
	assert_int_equal(send_one(w, "x", LONG_MS), -EBUSY);
	say(w, "{\"return\": {}, \"id\": 1}\r\n");
	turn(w, 1);
	assert_int_equal(send_one(w, "x", LONG_MS), 0);
}

/* The kernel's buffer is full: what is left goes out later, in order. */
static void test_output_waits_for_room(void **state)
{
	struct world *w = *state;
	struct qmp_command c = { .name = "big", .timeout_ms = LONG_MS };
	char *text = calloc(1, 40000), buf[4096];
	size_t total = 0, newlines = 0;
	int small = 2048;

	memset(text, 'y', 39999);
	assert_int_equal(setsockopt(w->peer, SOL_SOCKET, SO_RCVBUF, &small,
				    sizeof(small)), 0);
	c.args = json_pack("{s:s}", "t", text);
	assert_int_equal(qmp_send(w->q, &c, 1), 0);
	for (int i = 0; i < 1000 && newlines == 0; i++) {
		ssize_t n;

		turn(w, 0);
		while ((n = recv(w->peer, buf, sizeof(buf),
				 MSG_DONTWAIT)) > 0) {
			total += (size_t)n;
			newlines += buf[n - 1] == '\n';
		}
	}
	assert_int_equal(newlines, 1);
	assert_true(total > 40000);
	/* more than the buffer can ever take is refused whole */
	c.args = json_array();
	for (int i = 0; i < 3; i++)
		json_array_append_new(c.args, json_string(text));
	assert_int_equal(qmp_send(w->q, &c, 1), -ENOMEM);
	free(text);
}

static void test_destroy_in_each_callback(void **state)
{
	struct world *w = *state;
	int pair[2];
	static const char *const says[] = {
		"{\"event\": \"A\"}\r\n{\"event\": \"B\"}\r\n",
		"{\"return\": {}, \"id\": 1}\r\n{\"event\": \"B\"}\r\n",
		"rubbish\r\n{\"event\": \"B\"}\r\n",
	};

	w->destroy_in_callback = true;
	for (size_t i = 0; i < ARRAY_LEN(says); i++) {
		w->things = 0;
		assert_int_equal(send_one(w, "x", LONG_MS), 0);
		say(w, says[i]);
		turn(w, 1);
		turn(w, 0);
		assert_int_equal(w->things, 1);
		close(w->peer);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		w->peer = pair[1];
		assert_int_equal(qmp_create(&w->q, w->loop, pair[0],
					    &world_ops, w), 0);
	}
	assert_int_equal(send_one(w, "x", 20), 0); /* in the time-out, too */
	turn(w, 1);
	assert_null(w->q);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_two_commands_in_one_write),
		T(test_events_carry_data),
		T(test_an_error_is_an_answer),
		T(test_lines_may_come_byte_by_byte),
		T(test_end_of_file_closes),
		T(test_no_json_closes),
		T(test_an_array_closes),
		T(test_unasked_answer_closes),
		T(test_answer_to_another_closes),
		T(test_unknown_message_closes),
		T(test_late_answer_closes),
		T(test_own_sleep_is_not_qemus),
		T(test_timer_looks_at_the_oldest),
		T(test_endless_line_closes),
		T(test_too_many_commands),
		T(test_output_waits_for_room),
		T(test_destroy_in_each_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
