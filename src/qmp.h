/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp.h - a client of QEMU's machine protocol, on a qb_loop.
 *
 * Commands are answered in the order in which they were sent; several may be
 * on their way.  Callbacks come from the loop only, never from inside a call,
 * and may call any function here, qmp_destroy() included.
 *
 * Bounds (S8): a line longer than QMP_LINE_MAX, anything that is not a JSON
 * object, an answer that nobody asked for, or one that is later than its
 * command's time ends the connection: closed() comes once, and nothing after
 * it.  Commands without an answer then get none; closed() stands for them.
 */
#ifndef REMUS_QMP_H
#define REMUS_QMP_H

#include <jansson.h>
#include <qb/qbloop.h>
#include <stddef.h>
#include <stdint.h>

#define QMP_LINE_MAX ((size_t)1 << 20)
#define QMP_PENDING_MAX 8

struct qmp;

struct qmp_ops {
	/* `data` may be NULL; valid during the call. */
	void (*event)(void *ctx, const char *name, const json_t *data);
	/* rc < 0 and one line for people.  Call qmp_destroy() some time. */
	void (*closed)(void *ctx, int rc, const char *why);
};

/* rc 0 with the answer's "return", or -EREMOTEIO with QEMU's error text. */
typedef void (*qmp_answer_fn)(void *ctx, int rc, const json_t *value,
			      const char *why);

struct qmp_command {
	const char *name; /* must outlive the answer: a literal */
	json_t *args;	  /* taken over; NULL: none */
	qmp_answer_fn fn; /* NULL: only log an error */
	uint32_t timeout_ms; /* begins anew if this process stood still */
};

/* Takes `fd`, a connected stream socket, over (on failure, too).
 * 0 or -errno. */
int qmp_create(struct qmp **out, qb_loop_t *loop, int fd,
	       const struct qmp_ops *ops, void *ctx);

/* Send `n` commands in one write.  0; -ENOTCONN after closed(); -EBUSY when
 * more than QMP_PENDING_MAX would be pending; -ENOMEM.  On failure nothing was
 * sent.  The args are released in any case. */
int qmp_send(struct qmp *q, const struct qmp_command *cmd, size_t n);

/* No callback comes any more.  NULL is allowed. */
/* Wait at most `us` microseconds for something from QEMU and take it in, with
 * its callbacks, as the loop would; then nothing else of the loop runs in
 * between.  From the loop, never from inside a callback of this qmp; the qmp
 * may be gone afterwards if a callback destroyed it. */
void qmp_wait(struct qmp *q, uint64_t us);

void qmp_destroy(struct qmp *q);

#endif
