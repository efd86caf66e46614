/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conn_priv.h - what conn.c, conn_io.c and conn_listen.c share. */
#ifndef REMUS_CONN_PRIV_H
#define REMUS_CONN_PRIV_H

#include "conn.h"
#include "ring.h"
#include "tls.h"

#define CONN_WHY_MAX 384
#define CONN_PEER_MAX 80
#define CONN_FRAME_MAX (WIRE_PAYLOAD_MAX + WIRE_HEADER_BYTES)

enum conn_state { CONNECTING = 0, HANDSHAKE, UP, DEAD };

struct conn {
	enum conn_state state;
	unsigned int holds;
	qb_loop_t *loop;
	int fd;
	int events; /* what the loop polls for */
	struct tls *tls;
	const struct conn_ops *ops;
	void *ctx;
	struct conn_listener *listener; /* accepted, and not UP yet */
	uint32_t heartbeat_ms, timeout_ms;
	qb_loop_timer_handle timer, kick; /* 0: not armed */
	uint64_t began_ns;    /* of connect and handshake */
	uint64_t received_ns; /* when anything came last */
	uint64_t probed_ns;   /* when the last heartbeat was sent */
	uint64_t awake_boot_ns; /* the same, on a clock that a suspended host
				   does not stop */
	bool slept;	      /* longer than timeout_ms, once */
	uint64_t unanswered;  /* sent_ns of a heartbeat; 0: none */
	bool room_wanted;
	int send_rc; /* a write failed; see conn_io.c */
	char send_why[CONN_WHY_MAX];
	struct ring out;
	uint8_t *in; /* CONN_FRAME_MAX bytes, of which in_bytes are filled */
	size_t in_bytes;
	struct conn_stats stats;
	char peer[CONN_PEER_MAX];
};

/* ---- conn.c ---- */

/* The end, found out in the loop: everything but the memory is given back, and
 * the owner hears down() (or the listener, of a conn that never came up). */
void conn_end(struct conn *c, int rc, const char *what);
/* The same without a word to anybody. */
void conn_tear_down(struct conn *c);
/* Make the poll fit the state and the queue. */
void conn_poll(struct conn *c);
/* Come back to receiving and to room() from the loop, soon. */
void conn_kick(struct conn *c);

/* ---- conn_io.c; all but the last in state UP ---- */

void conn_send_some(struct conn *c);
void conn_receive_some(struct conn *c);
void conn_send_probe(struct conn *c);
void conn_offer_room(struct conn *c);
/* Send what the kernel takes now, say goodbye, tear down. */
void conn_close_gently(struct conn *c);

/* ---- conn_listen.c and its way to conn.c ---- */

/* "192.0.2.1:7070", "[2001:db8::1]:7070". */
void conn_addr_to_str(char out[CONN_PEER_MAX], const struct sockaddr *addr,
		      socklen_t addr_bytes);

/* An accepted socket begins its handshake.  Takes `fd`, also on failure.
 * `listener` is told by conn_listener_drop() when the conn has left its
 * handshake, one way or the other.  0, or -errno with a line in `err`. */
int conn_accepted(struct conn **out, const struct conn_params *p, int fd,
		  const char *peer, struct conn_listener *listener, char *err,
		  size_t err_bytes);

/* `why` is NULL when the handshake went well. */
void conn_listener_drop(struct conn_listener *l, struct conn *c,
			const char *why);

#endif
