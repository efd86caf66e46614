/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handshake.h - may these two HELLOs work together?  Pure.
 *
 * Both sides judge by the same table (remus-protocol(7), "HELLO IN DETAIL").
 * Where the peer's ticket is newer (ticket.h), this side's guest is obsolete
 * whatever it thinks: then it steps down.
 */
#ifndef REMUS_HANDSHAKE_H
#define REMUS_HANDSHAKE_H

#include "wire.h"

enum handshake_verdict {
	HANDSHAKE_OK = 0,
	HANDSHAKE_REFUSE,    /* send *refuse, close */
	HANDSHAKE_STEP_DOWN, /* the same, and end the guest here */
};

/* `peer_node`: the name that the peer should have.  `refuse` is filled unless
 * the verdict is HANDSHAKE_OK. */
enum handshake_verdict handshake_judge(const struct wire_hello *local,
				       const struct wire_hello *remote,
				       const char *peer_node,
				       struct wire_refuse *refuse);

/* The peer refused us, a primary, with this: is our guest obsolete? */
int handshake_refusal_is_final(const struct wire_refuse *refuse,
			       const struct wire_hello *local);

#endif
