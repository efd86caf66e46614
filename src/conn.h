/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.h - one authenticated connection to the peer, on a qb_loop.
 *
 * TCP, then TLS 1.3 with a pre-shared key (tls.h), then frames (wire.h).  The
 * owner sees whole frames of an authenticated peer and nothing else: before
 * the TLS handshake has proved the key, no byte reaches a parser of ours.
 *
 * conn answers HEARTBEAT by itself and sends its own every heartbeat_ms; a
 * peer from which nothing at all came for timeout_ms is down.
 *
 * Memory: at most CONN_QUEUE_MAX bytes wait to be sent, and one frame
 * (WIRE_PAYLOAD_MAX) is being received.  Nothing blocks.  Callbacks never come
 * from inside a call to conn; a callback may call any function here, conn_close
 * included.  After down() has come, or after conn_close(), no more callbacks.
 */
#ifndef REMUS_CONN_H
#define REMUS_CONN_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire.h"

#define CONN_QUEUE_MAX ((size_t)4 << 20)

struct conn;

struct conn_ops {
	/* TLS is established; frames may be sent. */
	void (*up)(void *ctx, struct conn *c);
	/* A whole frame, header checked (wire_get_header); `payload` is valid
	 * during the call.  HEARTBEATs do not come here. */
	void (*frame)(void *ctx, struct conn *c, unsigned int type,
		      const uint8_t *payload, size_t len);
	/* After conn_send() said -EAGAIN, or conn_want_room(): at least
	 * WIRE_PAYLOAD_MAX + WIRE_HEADER_BYTES bytes of queue are free. */
	void (*room)(void *ctx, struct conn *c);
	/* The connection is over, or, if it came from conn_connect(), never
	 * came up; `why` is one line for people, naming the peer's address.
	 * The conn is freed after this.  -EACCES: another key or VM name;
	 * -ETIMEDOUT: silence; -ESHUTDOWN: closed in order by the peer;
	 * -EBADMSG: a malformed frame (the peer was told); else what the
	 * system said. */
	void (*down)(void *ctx, struct conn *c, int rc, const char *why);
};

struct conn_params {
	qb_loop_t *loop;
	const char *psk_identity; /* the VM's name */
	const uint8_t *psk;	  /* copied */
	size_t psk_bytes;
	uint32_t heartbeat_ms;
	uint32_t timeout_ms;	  /* also of connect and handshake */
	const struct conn_ops *ops;
	void *ctx;
};

/* Begin to connect.  0, or -errno with a line in `err` (then no callback). */
int conn_connect(struct conn **out, const struct conn_params *p,
		 const struct sockaddr *addr, socklen_t addr_bytes, char *err,
		 size_t err_bytes);

/* A listening socket.  Every accepted connection becomes a struct conn whose
 * owner is p->ctx; up() comes after its handshake.  One that fails before that
 * is logged (at most once a second), and its owner never hears of it: who has
 * no key must not be able to make a callback.  At most CONN_PENDING_MAX
 * connections may be in their handshake at a time; more are closed at once. */
#define CONN_PENDING_MAX 8
struct conn_listener;
int conn_listen(struct conn_listener **out, const struct conn_params *p,
		const struct sockaddr *addr, socklen_t addr_bytes, char *err,
		size_t err_bytes);
void conn_listener_close(struct conn_listener *l);

/* Queue a whole frame; it is copied (the hot path uses conn_reserve below).
 * 0; -EAGAIN when the queue has no room (then room() will come: nothing was
 * queued); -ENOTCONN before up() or after the end. */
int conn_send(struct conn *c, const void *frame, size_t bytes);

/* The hot path: a place in the send queue to encode straight into.  Returns
 * room for at least min_bytes (at most WIRE_PAYLOAD_MAX + WIRE_HEADER_BYTES)
 * and sets *cap, or NULL when there is none (then room() will come, or the
 * connection is not up).  conn_commit() takes the first `bytes` of it, which
 * must be whole frames; conn_commit(c, 0) gives it back.  No other call on the
 * conn in between. */
uint8_t *conn_reserve(struct conn *c, size_t min_bytes, size_t *cap);
void conn_commit(struct conn *c, size_t bytes);

/* Ask for one room() call even though nothing failed (it comes from the loop,
 * as soon as at most half of CONN_QUEUE_MAX is queued). */
void conn_want_room(struct conn *c);

/* Bytes not yet taken by the kernel: ours and the socket's send queue. */
size_t conn_unsent_bytes(struct conn *c);

/* Our loop has not come by for timeout_ms, as after SIGSTOP or a suspend of the
 * host: the peer may have given us up meanwhile, and what is read now may be
 * older than that.  To be asked in frame(). */
bool conn_overslept(const struct conn *c);

/* CLOCK_BOOTTIME, ns: from then on what was heard before counts for nothing, if
 * our loop does not come by again; 0 once it has overslept. */
uint64_t conn_awake_until(const struct conn *c);

struct conn_stats {
	uint64_t sent_bytes;	 /* wire bytes before TLS */
	uint64_t received_bytes;
	uint64_t rtt_us;	 /* from heartbeats, so with what waits in both
				    queues; 0: not known yet */
};
void conn_stats(const struct conn *c, struct conn_stats *out);
const char *conn_peer_str(const struct conn *c); /* "192.0.2.1:7070" */

/* Send what is queued as far as it goes at once, then close.  No callback
 * comes; the conn is freed, inside a callback when that has returned.  NULL is
 * allowed. */
void conn_close(struct conn *c);

#endif
