/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_acceptor.h - a witness's part in the register of one VM
 * (ticket_register.h).  Pure: no clock, no file, no socket.
 *
 * What must be durable is `stored`; the caller writes it (and syncs) before it
 * sends the answer whenever ticket_acceptor_on() says so, and sends nothing if
 * that fails; it then puts the old `stored` back.
 */
#ifndef REMUS_TICKET_ACCEPTOR_H
#define REMUS_TICKET_ACCEPTOR_H

#include "ticket_register.h"

struct ticket_acceptor {
	struct {
		struct ballot promised;
		struct ballot accepted; /* n 0: nothing yet: none, gen. 0 */
		struct ticket value;
	} stored;
	/* A lease that was given and may not have run out.  Its holder's own
	 * ACCEPT for PROTECTED or END gives it back (the holder's output has
	 * stopped before); nothing else does: who reads, or fences another,
	 * may do so on the holder's node and know nothing of its output. */
	char leased_to[VM_NAME_MAX + 1];
	uint64_t leased_until_ms; /* drift included */
};

/* What this witness sees, as of now, of copies other than on `from`, or, of
 * FENCE, on `target`: the caller's probes decide.  For TAKEOVER, BOOT and FENCE
 * a `seen` copy refuses the promise. */
struct ticket_evidence {
	bool seen;
	const char *why; /* "alpha's remusd served 120 ms ago", … */
};

/* From what was stored.  Any lease may have been given just before: one of
 * lease_max_ms counts from now for the holder of alone(X), and where nothing
 * tells the holder, for everybody ("*": nobody gets alone() until then).  Who
 * never promised anything has given none. */
void ticket_acceptor_restart(struct ticket_acceptor *a, uint64_t now_ms,
			     uint32_t lease_max_ms);

/* *store: `stored` changed and has to be durable before `answer` leaves. */
void ticket_acceptor_on(struct ticket_acceptor *a,
			const struct ticket_message *m,
			const struct ticket_evidence *seen, uint64_t now_ms,
			uint32_t lease_max_ms, struct ticket_answer *answer,
			bool *store);

#endif
