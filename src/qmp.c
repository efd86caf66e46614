/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define QMP_BUFFER_START 4096
#define QMP_OUT_MAX ((size_t)1 << 16)
/* Whose timer is so late was stopped itself, and QEMU with it, perhaps. */
#define OVERSLEPT_NS 1000000000u

struct pending {
	uint64_t id;
	uint64_t deadline_ns, timeout_ns;
	const char *name;
	qmp_answer_fn fn;
};

struct qmp {
	qb_loop_t *loop;
	int fd;
	const struct qmp_ops *ops;
	void *ctx;

	/* A ring would save little: at most QMP_PENDING_MAX, mostly two. */
	struct pending pending[QMP_PENDING_MAX];
	size_t npending;
	uint64_t next_id;

	char *in;
	size_t in_bytes, in_cap;
	char *out;
	size_t out_bytes;
	bool want_write;

	qb_loop_timer_handle timer;
	bool timer_set;
	uint64_t timer_at_ns;

	bool dead;	   /* closed() was given, or destroy() called */
	bool in_dispatch;  /* free only after the dispatcher is out */
	bool destroyed;
};

static int on_fd(int32_t fd, int32_t revents, void *data);

static void disconnect(struct qmp *q)
{
	if (q->fd >= 0) {
		qb_loop_poll_del(q->loop, q->fd);
		close(q->fd);
		q->fd = -1;
	}
	if (q->timer_set)
		qb_loop_timer_del(q->loop, q->timer);
	q->timer_set = false;
}

static void fail(struct qmp *q, int rc, const char *why)
{
	if (q->dead)
		return;
	q->dead = true;
	disconnect(q);
	q->ops->closed(q->ctx, rc, why);
}

static void free_qmp(struct qmp *q)
{
	free(q->in);
	free(q->out);
	free(q);
}

/* ---- time-outs ---- */

static void on_timer(void *data);

static void arm_timer(struct qmp *q)
{
	uint64_t now = now_mono_ns();
	uint64_t at;

	if (q->timer_set || q->npending == 0 || q->dead)
		return;
	at = q->pending[0].deadline_ns;
	q->timer_at_ns = at > now ? at : now;
	q->timer_set = qb_loop_timer_add(q->loop, QB_LOOP_MED,
					 at > now ? at - now : 1, q, on_timer,
					 &q->timer) == 0;
}

/* A host that was frozen says nothing of QEMU: its answer may lie there, or may
 * have had no time to be made. */
static void forgive_oversleeping(struct qmp *q, uint64_t now)
{
	if (now < q->timer_at_ns + OVERSLEPT_NS)
		return;
	for (size_t i = 0; i < q->npending; i++)
		q->pending[i].deadline_ns = now + q->pending[i].timeout_ns;
}

/* Left running when its command was answered: it looks at the oldest command
 * that is pending now, and sets itself anew.  So sending costs no timer. */
static void on_timer(void *data)
{
	uint64_t now = now_mono_ns();
	struct qmp *q = data;
	char why[160];

	q->timer_set = false;
	forgive_oversleeping(q, now);
	if (q->npending > 0 && q->pending[0].deadline_ns <= now) {
		set_err(why, sizeof(why), 0,
			"QEMU did not answer '%s' in time",
			q->pending[0].name);
		q->in_dispatch = true;
		fail(q, -ETIMEDOUT, why);
		q->in_dispatch = false;
		if (q->destroyed)
			free_qmp(q);
		return;
	}
	arm_timer(q);
}

/* ---- input ---- */

static void answer(struct qmp *q, const json_t *msg)
{
	const json_t *id = json_object_get(msg, "id");
	const json_t *error = json_object_get(msg, "error");
	const char *text = json_string_value(json_object_get(error, "desc"));
	struct pending p;
	char why[512] = "";

	if (q->npending == 0 ||
	    (id != NULL && (uint64_t)json_integer_value(id) !=
	     q->pending[0].id)) {
		fail(q, -EPROTO, "QEMU answered what nobody asked");
		return;
	}
	p = q->pending[0];
	q->npending--;
	memmove(q->pending, q->pending + 1, q->npending * sizeof(p));
	if (error != NULL)
		set_err(why, sizeof(why), 0, "QEMU refuses '%s': %s", p.name,
			text == NULL ? "?" : text);
	if (p.fn != NULL)
		p.fn(q->ctx, error == NULL ? 0 : -EREMOTEIO,
		     json_object_get(msg, "return"), why);
	else if (error != NULL)
		qb_log(LOG_WARNING, "%s", why);
}

static void one_line(struct qmp *q, const char *line, size_t bytes)
{
	json_error_t je;
	json_t *msg = json_loadb(line, bytes, 0, &je);
	const char *event;

	if (!json_is_object(msg)) {
		json_decref(msg);
		fail(q, -EPROTO, "QEMU sent a line that is no JSON object");
		return;
	}
	event = json_string_value(json_object_get(msg, "event"));
	if (event != NULL)
		q->ops->event(q->ctx, event, json_object_get(msg, "data"));
	else if (json_object_get(msg, "return") != NULL ||
		 json_object_get(msg, "error") != NULL)
		answer(q, msg);
	else if (json_object_get(msg, "QMP") == NULL) /* the greeting */
		fail(q, -EPROTO, "QEMU sent a message of no known kind");
	json_decref(msg);
}

static bool is_blank(const char *line, size_t bytes)
{
	return bytes == 0 || (bytes == 1 && line[0] == '\r');
}

static void take_lines(struct qmp *q)
{
	size_t at = 0;

	while (!q->dead && at < q->in_bytes) {
		char *line = q->in + at;
		char *nl = memchr(line, '\n', q->in_bytes - at);

		if (nl == NULL)
			break;
		at += (size_t)(nl - line) + 1;
		if (!is_blank(line, (size_t)(nl - line)))
			one_line(q, line, (size_t)(nl - line));
	}
	memmove(q->in, q->in + at, q->in_bytes - at);
	q->in_bytes -= at;
}

static bool make_room(struct qmp *q)
{
	size_t cap = q->in_cap == 0 ? QMP_BUFFER_START : q->in_cap * 2;
	char *p;

	if (q->in_bytes < q->in_cap)
		return true;
	if (q->in_cap >= QMP_LINE_MAX) {
		fail(q, -EMSGSIZE, "QEMU sent a line that is too long");
		return false;
	}
	p = realloc(q->in, cap);
	if (p == NULL) {
		fail(q, -ENOMEM, "out of memory");
		return false;
	}
	q->in = p;
	q->in_cap = cap;
	return true;
}

static void receive(struct qmp *q)
{
	bool more = true;
	ssize_t n;

	/* A short read was all there is: the loop's poll tells of the rest. */
	while (more && !q->dead && make_room(q)) {
		n = recv(q->fd, q->in + q->in_bytes, q->in_cap - q->in_bytes,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			fail(q, n < 0 ? -errno : -ENOTCONN,
			     "QEMU closed its control connection");
			return;
		}
		q->in_bytes += (size_t)n;
		more = q->in_bytes == q->in_cap;
		take_lines(q);
	}
}

/* ---- output ---- */

static void flush_out(struct qmp *q)
{
	size_t at = 0;
	bool more;
	ssize_t n;

	while (at < q->out_bytes) {
		n = send(q->fd, q->out + at, q->out_bytes - at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) /* reading will say so, from the loop */
			at = q->out_bytes;
		else
			at += (size_t)n;
	}
	memmove(q->out, q->out + at, q->out_bytes - at);
	q->out_bytes -= at;
	more = q->out_bytes > 0;
	if (more != q->want_write)
		qb_loop_poll_mod(q->loop, QB_LOOP_HIGH, q->fd,
				 POLLIN | (more ? POLLOUT : 0), q, on_fd);
	q->want_write = more;
}

static int on_fd(__attribute__((unused)) int32_t fd, int32_t revents,
		 void *data)
{
	struct qmp *q = data;

	q->in_dispatch = true;
	if (revents & (POLLIN | POLLHUP | POLLERR))
		receive(q);
	if (!q->dead && (revents & POLLOUT))
		flush_out(q);
	q->in_dispatch = false;
	if (q->destroyed)
		free_qmp(q);
	return 0;
}

void qmp_wait(struct qmp *q, uint64_t us)
{
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	struct timespec ts = {
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000) * 1000,
	};

	if (!q->dead && ppoll(&p, 1, &ts, NULL) > 0)
		on_fd(q->fd, p.revents, q);
}

/* Append one command to q->out; false when it does not fit. */
static bool put_command(struct qmp *q, const struct qmp_command *c,
			uint64_t id)
{
	json_t *msg = json_pack("{s:s, s:I}", "execute", c->name, "id",
				(json_int_t)id);
	size_t n = 0, room = QMP_OUT_MAX - q->out_bytes;

	if (msg != NULL && c->args != NULL)
		json_object_set(msg, "arguments", c->args);
	if (msg != NULL)
		n = json_dumpb(msg, q->out + q->out_bytes, room, JSON_COMPACT);
	json_decref(msg);
	if (n == 0 || n + 1 > room)
		return false;
	q->out_bytes += n;
	q->out[q->out_bytes++] = '\n';
	return true;
}

static int queue_commands(struct qmp *q, const struct qmp_command *cmd,
			  size_t n)
{
	size_t before = q->out_bytes;
	uint64_t now = now_mono_ns();

	if (q->dead)
		return -ENOTCONN;
	if (q->npending + n > QMP_PENDING_MAX)
		return -EBUSY;
	for (size_t i = 0; i < n; i++) {
		if (!put_command(q, &cmd[i], q->next_id + i)) {
			q->out_bytes = before;
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < n; i++)
		q->pending[q->npending++] = (struct pending){
			.id = q->next_id++,
			.timeout_ns = cmd[i].timeout_ms * UINT64_C(1000000),
			.deadline_ns = now + cmd[i].timeout_ms *
				       UINT64_C(1000000),
			.name = cmd[i].name,
			.fn = cmd[i].fn,
		};
	return 0;
}

int qmp_send(struct qmp *q, const struct qmp_command *cmd, size_t n)
{
	int rc = queue_commands(q, cmd, n);

	for (size_t i = 0; i < n; i++)
		json_decref(cmd[i].args);
	if (rc < 0)
		return rc;
	flush_out(q);
	arm_timer(q);
	return 0;
}

int qmp_create(struct qmp **out, qb_loop_t *loop, int fd,
	       const struct qmp_ops *ops, void *ctx)
{
	struct qmp *q = calloc(1, sizeof(*q));
	int rc = -ENOMEM;

	if (q != NULL)
		q->out = malloc(QMP_OUT_MAX);
	if (q != NULL && q->out != NULL) {
		q->loop = loop;
		q->fd = fd;
		q->ops = ops;
		q->ctx = ctx;
		q->next_id = 1;
		rc = qb_loop_poll_add(loop, QB_LOOP_HIGH, fd, POLLIN, q, on_fd);
	}
	if (rc < 0) {
		if (q != NULL)
			free_qmp(q);
		close(fd);
		return rc;
	}
	*out = q;
	return 0;
}

void qmp_destroy(struct qmp *q)
{
	if (q == NULL)
		return;
	q->dead = true;
	disconnect(q);
	q->destroyed = true;
	if (!q->in_dispatch)
		free_qmp(q);
}
