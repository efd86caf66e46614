/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipc.h - the door of remusd for remusctl, through libqb IPC.
 *
 * The service is "remus-NAME".  A request is one JSON object, {"cmd": "...",
 * ...}, at most IPC_REQUEST_MAX bytes; each gets exactly one reply, at once or
 * later: {"ok": true, ...} or {"ok": false, "error": "one line"}.  Only root
 * and the configured group may connect.
 */
#ifndef REMUS_IPC_H
#define REMUS_IPC_H

#include <jansson.h>
#include <qb/qbloop.h>
#include <stddef.h>
#include <sys/types.h>

#define IPC_REQUEST_MAX ((size_t)8192)
#define IPC_REPLY_MAX ((size_t)65536)

/* ---- the daemon's side ---- */

struct ipc_server;
struct ipc_request; /* one outstanding request */

/* Called on the loop thread.  `args` is borrowed.  The handler, or something
 * later, must call exactly one of the ipc_reply functions for `req`. */
typedef void (*ipc_handler)(void *ctx, struct ipc_request *req,
			    const char *cmd, const json_t *args);

/* 0 or -errno with a line; -EADDRINUSE: a remusd of this VM already runs. */
int ipc_server_start(struct ipc_server **out, qb_loop_t *loop, const char *vm,
		     gid_t group, ipc_handler handler, void *ctx, char *err,
		     size_t err_bytes);
/* Outstanding requests are answered with an error.  Not from inside the
 * handler. */
void ipc_server_stop(struct ipc_server *s);

/* `more` (may be NULL) is merged into the reply; the reference is taken.  Safe
 * when the client is gone by now. */
void ipc_reply_ok(struct ipc_request *req, json_t *more);
void ipc_reply_error(struct ipc_request *req, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the client's side (blocking; remusctl) ---- */

struct ipc_client;
/* 0; -ENOENT: no remusd of that VM answers here (which does not prove that the
 * VM is stopped: S6); -EACCES: this user may not, or what answers belongs
 * neither to root nor to this user; -ETIMEDOUT: a remusd is there and hangs;
 * other -errno. */
int ipc_connect(struct ipc_client **out, const char *vm, int timeout_ms,
		char *err, size_t err_bytes);
/* Sends and waits.  0 with the reply (a new reference) in *reply, whether ok or
 * not; -ETIMEDOUT or -ECONNRESET (remusd ended meanwhile): the request may have
 * been carried out or not; other -errno. */
int ipc_call(struct ipc_client *c, const json_t *request, int timeout_ms,
	     json_t **reply, char *err, size_t err_bytes);
void ipc_disconnect(struct ipc_client *c);

#endif
