/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipc_client.c - remusctl's side of ipc.h.
 *
 * A reply carries the number of its request, so that one which comes after its
 * request timed out is not taken for the next one's.
 */
#include <errno.h>
#include <poll.h>
#include <qb/qbipcc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc.h"
#include "ipc_name.h"
#include "util.h"

#define SLICE_MS 100

struct ipc_client {
	qb_ipcc_connection_t *conn;
	int32_t next_id;
	char buf[IPC_BUFFER_BYTES + 1]
		__attribute__((aligned(8))); /* libqb's headers want it */
};

static int connect_error(int rc, const char *vm, char *err, size_t err_bytes)
{
	switch (rc) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -EADDRNOTAVAIL:
		return set_err(err, err_bytes, -ENOENT,
			       "no remusd of %s answers on this node", vm);
	case -ETIMEDOUT:
	case -EAGAIN:
		return set_err(err, err_bytes, -ETIMEDOUT,
			       "the remusd of %s hangs: it does not answer", vm);
	case -EACCES:
	case -EPERM:
		return set_err(err, err_bytes, -EACCES,
			       "you may not talk to the remusd of %s", vm);
	}
	return set_err(err, err_bytes, rc, "cannot connect to the remusd of "
		       "%s: %s", vm, strerror(-rc));
}

/* Any local user can take the name of a service that is not running, and say
 * "stopped": believe only root, and oneself. */
static int check_server(struct ipc_client *c, const char *vm, char *err,
			size_t err_bytes)
{
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int rc = qb_ipcc_auth_get(c->conn, &pid, &uid, &gid);

	if (rc < 0)
		return connect_error(rc, vm, err, err_bytes);
	if (uid != 0 && uid != geteuid())
		return set_err(err, err_bytes, -EACCES,
			       "what answers for %s belongs to user %u, not to "
			       "root", vm, (unsigned int)uid);
	return 0;
}

static int wait_readable(int fd, int timeout_ms)
{
	uint64_t end = now_mono_ns() + (uint64_t)timeout_ms * 1000000u;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = now_mono_ns();
		int r = poll(&p, 1, now >= end ? 0
				    : (int)((end - now) / 1000000u) + 1);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (now_mono_ns() >= end)
			return -ETIMEDOUT;
	}
}

static int connect_service(struct ipc_client *c, const char *vm,
			   int timeout_ms)
{
	char name[IPC_NAME_BYTES];
	int fd = -1, rc;

	ipc_service_name(name, vm);
	errno = 0;
	c->conn = qb_ipcc_connect_async(name, IPC_BUFFER_BYTES, &fd);
	if (c->conn == NULL)
		return errno == 0 ? -EIO : -errno;
	rc = wait_readable(fd, timeout_ms);
	if (rc < 0) {
		qb_ipcc_disconnect(c->conn);
		c->conn = NULL;
		return rc;
	}
	rc = qb_ipcc_connect_continue(c->conn);
	if (rc != 0)
		c->conn = NULL; /* freed by libqb */
	return rc > 0 ? -EIO : rc;
}

int ipc_connect(struct ipc_client **out, const char *vm, int timeout_ms,
		char *err, size_t err_bytes)
{
	struct ipc_client *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (c == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	rc = connect_service(c, vm, timeout_ms);
	if (rc < 0)
		rc = connect_error(rc, vm, err, err_bytes);
	else
		rc = check_server(c, vm, err, err_bytes);
	if (rc < 0)
		ipc_disconnect(c);
	else
		*out = c;
	return rc;
}

static int send_request(struct ipc_client *c, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	struct qb_ipc_request_header h;
	struct iovec iov[2] = { { .iov_base = &h, .iov_len = sizeof(h) } };
	ssize_t r;

	if (text == NULL)
		return -EINVAL;
	memset(&h, 0, sizeof(h)); /* it has padding, and that is sent too */
	h.id = c->next_id++;
	iov[1].iov_base = text;
	iov[1].iov_len = strlen(text);
	h.size = (int32_t)(sizeof(h) + iov[1].iov_len);
	r = iov[1].iov_len > IPC_REQUEST_MAX
		    ? -EMSGSIZE
		    : qb_ipcc_sendv(c->conn, iov, 2);
	free(text);
	return r < 0 ? (int)r : 0;
}

/* libqb looks whether the daemon is still there only when a wait is over, so
 * wait in slices. */
static int slice_ms(uint64_t end)
{
	uint64_t now = now_mono_ns(), left = now < end ? end - now : 0;

	return left > SLICE_MS * 1000000u ? SLICE_MS
					  : (int)(left / 1000000u) + 1;
}

/* Wait a little for the reply to the newest request; -EAGAIN: not yet. */
static int receive(struct ipc_client *c, uint64_t end, size_t *len)
{
	struct qb_ipc_response_header h;
	ssize_t r;

	r = qb_ipcc_recv(c->conn, c->buf, IPC_BUFFER_BYTES, slice_ms(end));
	if (r == -ETIMEDOUT || r == -EAGAIN || r == -EINTR)
		return now_mono_ns() >= end ? -ETIMEDOUT : -EAGAIN;
	if (r < 0)
		return -ECONNRESET;
	memcpy(&h, c->buf, sizeof(h));
	if ((size_t)r < sizeof(h) || h.id != c->next_id - 1)
		return -EAGAIN;
	*len = (size_t)r - sizeof(h);
	return 0;
}

static int call_error(int rc, char *err, size_t err_bytes)
{
	switch (rc) {
	case -ETIMEDOUT:
		return set_err(err, err_bytes, rc,
			       "no answer in time; the outcome is unknown");
	case -ENOTCONN:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EPIPE:
		return set_err(err, err_bytes, -ECONNRESET,
			       "remusd ended before it answered; the outcome "
			       "is unknown");
	case -EMSGSIZE:
		return set_err(err, err_bytes, rc, "the request is too long");
	}
	return set_err(err, err_bytes, rc, "ipc: %s", strerror(-rc));
}

int ipc_call(struct ipc_client *c, const json_t *request, int timeout_ms,
	     json_t **reply, char *err, size_t err_bytes)
{
	uint64_t end = now_mono_ns() + (uint64_t)timeout_ms * 1000000u;
	size_t len = 0;
	int rc = send_request(c, request);

	*reply = NULL;
	if (rc < 0)
		return call_error(rc, err, err_bytes);
	do {
		rc = receive(c, end, &len);
	} while (rc == -EAGAIN);
	if (rc < 0)
		return call_error(rc, err, err_bytes);
	*reply = json_loadb(c->buf + sizeof(struct qb_ipc_response_header),
			    len, 0, NULL);
	if (json_is_boolean(json_object_get(*reply, "ok")))
		return 0;
	json_decref(*reply);
	*reply = NULL;
	return set_err(err, err_bytes, -EBADMSG, "remusd's answer makes no "
		       "sense; the outcome is unknown");
}

void ipc_disconnect(struct ipc_client *c)
{
	if (c == NULL)
		return;
	if (c->conn != NULL)
		qb_ipcc_disconnect(c->conn);
	free(c);
}
