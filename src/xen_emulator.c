/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xen_emulator.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp.h"
#include "util.h"

#define ANSWER_MS 10000
#define EMULATOR_QEMU 2 /* the one of QEMU's own project */
#define HEAD_BYTES 16	/* of a record, and which emulator, and its index */

/* ---- log-dirty ---- */

struct asking {
	bool done;
	int rc;
	char why[200];
};

static void on_event(void *ctx, const char *name, const json_t *data)
{
	(void)ctx;
	(void)name;
	(void)data;
}

static void on_closed(void *ctx, int rc, const char *why)
{
	struct asking *a = ctx;

	if (a->done)
		return;
	a->done = true;
	a->rc = rc;
	snprintf(a->why, sizeof(a->why), "%s", why);
}

static void on_answer(void *ctx, int rc, const json_t *value, const char *why)
{
	(void)value;
	on_closed(ctx, rc, why);
}

static int call(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int ask(struct qmp *q, struct asking *a, bool on)
{
	uint64_t end = now_mono_ns() + ANSWER_MS * NS_PER_MS;
	struct qmp_command commands[] = {
		{ .name = "qmp_capabilities", .timeout_ms = ANSWER_MS },
		{ .name = "xen-set-global-dirty-log",
		  .args = json_pack("{s:b}", "enable", on), .fn = on_answer,
		  .timeout_ms = ANSWER_MS },
	};
	int rc = qmp_send(q, commands, ARRAY_LEN(commands));

	while (rc == 0 && !a->done && now_mono_ns() < end)
		qmp_wait(q, 100000);
	if (rc == 0 && !a->done)
		on_closed(a, -ETIMEDOUT, "no answer");
	return rc < 0 ? rc : a->rc;
}

int xen_emulator_log_dirty(const char *path, bool on, char *err,
			   size_t err_bytes)
{
	static const struct qmp_ops ops = {
		.event = on_event,
		.closed = on_closed,
	};
	struct asking a = { .done = false };
	qb_loop_t *loop = qb_loop_create();
	struct qmp *q;
	int fd = call(path), rc = fd;

	if (loop == NULL)
		rc = -ENOMEM;
	if (rc < 0 && fd >= 0)
		close(fd);
	if (rc >= 0)
		rc = qmp_create(&q, loop, fd, &ops, &a);
	if (rc == 0) {
		rc = ask(q, &a, on);
		qmp_destroy(q);
	}
	qb_loop_destroy(loop);
	return rc == 0 ? 0 : set_err(err, err_bytes, rc, "the device model "
				     "does not switch log-dirty (%s): %s", path,
				     a.why[0] != '\0' ? a.why : strerror(-rc));
}

/* ---- records ---- */

static int add_head(struct xen_bytes *out, uint32_t type, size_t bytes)
{
	uint32_t head[HEAD_BYTES / 4] = {
		htole32(type), htole32((uint32_t)bytes + 8),
		htole32(EMULATOR_QEMU), 0,
	};

	return xen_bytes_add(out, head, sizeof(head));
}

static int add_padding(struct xen_bytes *out, size_t bytes)
{
	static const uint8_t zeros[8];

	return xen_bytes_add(out, zeros, (8 - bytes % 8) % 8);
}

int xen_emulator_add_xenstore(struct xen_bytes *out,
			      const struct xen_bytes *pairs)
{
	int rc;

	if (pairs->bytes == 0)
		return 0;
	rc = add_head(out, XL_EMULATOR_XENSTORE_DATA, pairs->bytes);
	if (rc == 0)
		rc = xen_bytes_add(out, pairs->data, pairs->bytes);
	return rc < 0 ? rc : add_padding(out, pairs->bytes);
}

/* What the file has, which is `bytes`, no more and no less. */
static int add_file(struct xen_bytes *out, int fd, size_t bytes)
{
	uint8_t part[4096];
	size_t left = bytes;

	while (left > 0) {
		ssize_t n = read(fd, part,
				 left < sizeof(part) ? left : sizeof(part));
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		rc = xen_bytes_add(out, part, (size_t)n);
		if (rc < 0)
			return rc;
		left -= (size_t)n;
	}
	return add_padding(out, bytes);
}

int xen_emulator_add_context(struct xen_bytes *out, const char *path, char *err,
			     size_t err_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		rc = -errno;
	else if (st.st_size == 0)
		rc = -EBADMSG;
	else if (st.st_size > (off_t)XEN_RECORDS_MAX / 2)
		rc = -E2BIG;
	if (rc == 0)
		rc = add_head(out, XL_EMULATOR_CONTEXT, (size_t)st.st_size);
	if (rc == 0)
		rc = add_file(out, fd, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	return rc == 0 ? 0 : set_err(err, err_bytes, rc, "the state of the "
				     "device model, %s: %s", path,
				     strerror(-rc));
}
