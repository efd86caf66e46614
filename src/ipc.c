/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipc.c - the daemon's side of ipc.h; ipc_client.c is the other.
 *
 * A request lives from msg_process until its reply.  Its client may go away
 * before that: closed() then takes the connection out of the request, and the
 * reply goes nowhere.  libqb's poll handlers carry no context, hence the one
 * static loop: a process has one server.
 */
#include "ipc.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <qb/qbdefs.h>
#include <qb/qbipcs.h>
#include <qb/qblog.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc_name.h"
#include "util.h"

#define OUTSTANDING_MAX 64
#define GROUPS_MAX 256

struct ipc_request {
	struct ipc_request *next;
	struct ipc_server *server;
	qb_ipcs_connection_t *conn; /* NULL: the client is gone */
	int32_t id;
};

struct ipc_server {
	qb_ipcs_service_t *service;
	gid_t group;
	ipc_handler handler;
	void *ctx;
	struct ipc_request *requests;
	unsigned int outstanding;
};

static qb_loop_t *the_loop;

static int32_t job_add(enum qb_loop_priority p, void *data,
		       qb_loop_job_dispatch_fn fn)
{
	return qb_loop_job_add(the_loop, p, data, fn);
}

static int32_t dispatch_add(enum qb_loop_priority p, int32_t fd, int32_t events,
			    void *data, qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_add(the_loop, p, fd, events, data, fn);
}

static int32_t dispatch_mod(enum qb_loop_priority p, int32_t fd, int32_t events,
			    void *data, qb_ipcs_dispatch_fn_t fn)
{
	return qb_loop_poll_mod(the_loop, p, fd, events, data, fn);
}

static int32_t dispatch_del(int32_t fd)
{
	return qb_loop_poll_del(the_loop, fd);
}

/* ---- who may connect ---- */

/* The kernel tells only the client's primary group.  The user database is asked
 * only for users who are not root, and only where a group is configured. */
static bool has_group(uid_t uid, gid_t gid, gid_t wanted)
{
	const struct passwd *pw;
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX;

	if (gid == wanted)
		return true;
	pw = getpwuid(uid);
	if (pw == NULL)
		return false;
	if (getgrouplist(pw->pw_name, gid, groups, &n) < 0)
		n = GROUPS_MAX;
	while (n-- > 0) {
		if (groups[n] == wanted)
			return true;
	}
	return false;
}

static int32_t may_connect(qb_ipcs_connection_t *c, uid_t uid, gid_t gid)
{
	const struct ipc_server *s = qb_ipcs_connection_service_context_get(c);

	if (uid == 0 || uid == geteuid())
		return 0;
	if (s->group == 0 || !has_group(uid, gid, s->group)) {
		qb_log(LOG_NOTICE, "ipc: user %u may not connect",
		       (unsigned int)uid);
		return -EACCES;
	}
	/* (uid_t)-1: the owner of the connection's files stays who we are. */
	qb_ipcs_connection_auth_set(c, (uid_t)-1, s->group,
				    S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
	return 0;
}

/* ---- replies ---- */

static void send_text(struct ipc_request *req, const char *text, size_t len)
{
	struct qb_ipc_response_header h;
	struct iovec iov[2] = { { .iov_base = &h, .iov_len = sizeof(h) },
				{ .iov_base = (void *)(uintptr_t)text,
				  .iov_len = len } };
	ssize_t r;

	if (req->conn == NULL)
		return;
	memset(&h, 0, sizeof(h)); /* it has padding, and that is sent too */
	h.id = req->id;
	h.size = (int32_t)(sizeof(h) + len);
	r = qb_ipcs_response_sendv(req->conn, iov, 2);
	if (r < 0)
		qb_log(LOG_WARNING, "ipc: a reply could not be sent: %s",
		       strerror((int)-r));
}

static void forget(struct ipc_request *req)
{
	struct ipc_request **at = &req->server->requests;

	while (*at != req)
		at = &(*at)->next;
	*at = req->next;
	req->server->outstanding--;
	if (req->conn != NULL)
		qb_ipcs_connection_unref(req->conn);
	free(req);
}

/* Takes `reply` (NULL: there was no memory for it) and ends the request. */
static void finish(struct ipc_request *req, json_t *reply)
{
	static const char no_memory[] =
		"{\"ok\": false, \"error\": \"out of memory\"}";
	static const char too_long[] =
		"{\"ok\": false, \"error\": \"the reply is too long\"}";
	char *text = reply == NULL ? NULL : json_dumps(reply, JSON_COMPACT);

	if (text == NULL)
		send_text(req, no_memory, sizeof(no_memory) - 1);
	else if (strlen(text) > IPC_REPLY_MAX)
		send_text(req, too_long, sizeof(too_long) - 1);
	else
		send_text(req, text, strlen(text));
	free(text);
	json_decref(reply);
	forget(req);
}

void ipc_reply_ok(struct ipc_request *req, json_t *more)
{
	json_t *reply = json_pack("{s:b}", "ok", 1);

	if (more != NULL && reply != NULL &&
	    json_object_update_missing(reply, more) < 0) {
		json_decref(reply);
		reply = NULL;
	}
	json_decref(more);
	finish(req, reply);
}

void ipc_reply_error(struct ipc_request *req, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	json_t *j;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	j = json_string(text);
	if (j == NULL) /* not UTF-8, perhaps cut in a character */
		j = json_string("failed, for a reason that cannot be shown");
	finish(req, json_pack("{s:b, s:o}", "ok", 0, "error", j));
}

/* ---- requests ---- */

static void dispatch(struct ipc_request *req, const char *body, size_t len)
{
	json_t *args = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	const char *cmd = json_string_value(json_object_get(args, "cmd"));

	if (cmd == NULL)
		ipc_reply_error(req, "a request is a JSON object with \"cmd\"");
	else
		req->server->handler(req->server->ctx, req, cmd, args);
	json_decref(args);
}

/* `size` is what the client's header claims; the buffer holds more than
 * IPC_REQUEST_MAX (see ipc_server_start), so this check is the bound. */
static int32_t on_message(qb_ipcs_connection_t *c, void *data, size_t size)
{
	struct ipc_server *s = qb_ipcs_connection_service_context_get(c);
	const struct qb_ipc_request_header *h = data;
	struct ipc_request *req = calloc(1, sizeof(*req));

	if (req == NULL)
		return -ENOMEM;
	req->server = s;
	req->conn = c;
	req->id = h->id;
	req->next = s->requests;
	s->requests = req;
	s->outstanding++;
	qb_ipcs_connection_ref(c);
	if (size < sizeof(*h) || size - sizeof(*h) > IPC_REQUEST_MAX)
		ipc_reply_error(req, "the request is too long");
	else if (s->outstanding > OUTSTANDING_MAX)
		ipc_reply_error(req, "too many requests are waiting");
	else
		dispatch(req, (const char *)(h + 1), size - sizeof(*h));
	return 0;
}

static void created(qb_ipcs_connection_t *c)
{
	(void)c;
}

static int32_t closed(qb_ipcs_connection_t *c)
{
	struct ipc_server *s = qb_ipcs_connection_service_context_get(c);

	for (struct ipc_request *r = s->requests; r != NULL; r = r->next) {
		if (r->conn != c)
			continue;
		r->conn = NULL;
		qb_ipcs_connection_unref(c);
	}
	return 0;
}

static void destroyed(qb_ipcs_connection_t *c)
{
	(void)c;
}

/* ---- the server ---- */

static int run_service(struct ipc_server *s, const char *vm)
{
	static struct qb_ipcs_service_handlers handlers = {
		.connection_accept = may_connect,
		.connection_created = created,
		.msg_process = on_message,
		.connection_closed = closed,
		.connection_destroyed = destroyed,
	};
	static struct qb_ipcs_poll_handlers poll = {
		.job_add = job_add,
		.dispatch_add = dispatch_add,
		.dispatch_mod = dispatch_mod,
		.dispatch_del = dispatch_del,
	};
	char name[IPC_NAME_BYTES];

	ipc_service_name(name, vm);
	s->service = qb_ipcs_create(name, 0, QB_IPC_SOCKET, &handlers);
	if (s->service == NULL)
		return -ENOMEM;
	qb_ipcs_poll_handlers_set(s->service, &poll);
	qb_ipcs_service_context_set(s->service, s);
	qb_ipcs_enforce_buffer_size(s->service, IPC_BUFFER_BYTES);
	return qb_ipcs_run(s->service); /* on failure it frees the service */
}

int ipc_server_start(struct ipc_server **out, qb_loop_t *loop, const char *vm,
		     gid_t group, ipc_handler handler, void *ctx, char *err,
		     size_t err_bytes)
{
	struct ipc_server *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (s == NULL)
		return set_err(err, err_bytes, -ENOMEM, "ipc: out of memory");
	the_loop = loop;
	s->group = group;
	s->handler = handler;
	s->ctx = ctx;
	rc = run_service(s, vm);
	if (rc == 0) {
		*out = s;
		return 0;
	}
	free(s);
	if (rc == -EADDRINUSE)
		return set_err(err, err_bytes, rc,
			       "a remusd of %s runs here already", vm);
	return set_err(err, err_bytes, rc, "ipc: cannot listen for %s: %s", vm,
		       strerror(-rc));
}

void ipc_server_stop(struct ipc_server *s)
{
	if (s == NULL)
		return;
	while (s->requests != NULL)
		ipc_reply_error(s->requests, "remusd is ending");
	qb_ipcs_destroy(s->service);
	free(s);
}
