/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h - the output gate: where the guest's frames wait for the backup.
 *
 * Frames that the guest sends are queued under the open epoch.  barrier(n)
 * closes epoch n: what comes later belongs to epoch n+1.  release() lets out
 * the frames of acknowledged epochs, in order; open() lets frames straight
 * through while this node holds an `alone` ticket.
 *
 *          hold()                       open(permit)
 *   CLOSED ------> HOLDING <-------------------------> OPEN
 *     ^               |  barrier(n), release(permit)     |
 *     '---------------'------------- shut() -------------'
 *
 * Fail closed (S7): a gate starts CLOSED; it lives inside remusd, so that a
 * remusd that is killed, stopped or hung passes nothing.  When in doubt a gate
 * holds or drops, it never lets out.  Frames towards the guest are not held.
 *
 * Everything runs on the qb_loop thread; nothing here blocks.
 */
#ifndef REMUS_GATE_H
#define REMUS_GATE_H

#include <qb/qbloop.h>
#include <stddef.h>
#include <stdint.h>

#include "permit.h"
#include "segments.h"

enum gate_state {
	GATE_CLOSED = 0, /* guest frames are dropped (no guest should run) */
	GATE_HOLDING,	 /* guest frames wait for their epoch's permit */
	GATE_OPEN,	 /* guest frames pass while the ticket permit is live */
};
const char *gate_state_to_str(enum gate_state s);

struct gate_config {
	const char *vm;	      /* VM name, for logs */
	const char *tap;      /* TAP or vif name, at most IFNAMSIZ-1 bytes; NULL
				 (plug only): attach() will say */
	const char *bridge;   /* bridge that the TAP joins; NULL: none */
	size_t queue_bytes;   /* bound of the frames held; the newest are dropped
				 beyond it, and counted */
};

struct gate_stats {
	uint64_t held;		/* frames waiting now */
	uint64_t held_bytes;	/* as counted against queue_bytes */
	uint64_t released;	/* frames let out since creation */
	uint64_t dropped;	/* guest frames dropped: bound, closed gate, too
				   long or short, or let out but refused by the
				   interface; sent = held + released + dropped */
	uint64_t inbound;	/* frames passed towards the guest */
	uint64_t inbound_dropped; /* the guest was too slow, or there is none;
				     of these some come late (segments.h) */
};

struct gate;

struct gate_ops {
	const char *name; /* "relay", "plug" */

	/* Create a CLOSED gate.  0, or -errno with one line in `err` (always
	 * terminated) that names the interface and says what was expected.
	 * On failure nothing stays behind.  The config's strings are copied. */
	int (*create)(struct gate **out, const struct gate_config *cfg,
		      qb_loop_t *loop, char *err, size_t err_bytes);

	/* relay: returns the end of a datagram socket pair that carries one
	 * Ethernet frame per datagram and is to be handed to the guest's
	 * network device; owned by the gate, valid until the next call of
	 * this function or destroy().  Each call makes a new pair and drops
	 * whatever the old one still carried: it is called once per guest
	 * started.  -errno on failure; -EOPNOTSUPP: this gate needs no fd. */
	int (*guest_fd)(struct gate *g);

	/* The guest's interface is this one; it is there, and the guest does
	 * not run.  Asked for once per guest whose driver makes the interface
	 * together with the guest; a gate that makes the interface itself says
	 * -EOPNOTSUPP.  States stay what they are.  0, or -errno with a line:
	 * then nothing passes. */
	int (*attach)(struct gate *g, const char *name, char *err,
		      size_t err_bytes);

	/* CLOSED or OPEN -> HOLDING.  Frames read from now on belong to epoch
	 * `epoch` (the open one).  Idempotent while HOLDING: then it only
	 * asserts that nothing is renamed. */
	void (*hold)(struct gate *g, uint64_t epoch);

	/* Close epoch `epoch`.  Called only while the guest is suspended:
	 * first takes in everything the guest sent so far (without blocking),
	 * so that it counts as of this epoch; later frames belong to
	 * epoch + 1.  Allowed in HOLDING, and in OPEN as the step to HOLDING:
	 * what was taken in then still passes under the ticket.
	 * 0 or -errno; on failure the caller must not resume into a new epoch.
	 */
	int (*barrier)(struct gate *g, uint64_t epoch);

	/* Of the frames held of epochs <= `epoch`, put into `out` (which is
	 * empty) the segments that segments.h keeps: what the epoch's state
	 * has sent and nobody may have seen.  A gate that cannot look at what
	 * it holds puts none. */
	void (*segments)(const struct gate *g, uint64_t epoch,
			 struct segments *out);

	/* Take in a frame that this guest sent before it was here, as if it
	 * sent it now.  Called in HOLDING, before the guest runs; a gate that
	 * cannot hold it drops it.  (The state diagram is none the wiser: it
	 * leaves as every frame does.) */
	void (*put)(struct gate *g, const void *frame, size_t len);

	/* Let out, in order, all frames of epochs <= permit_epoch(p), each only
	 * while permit_in_time(): what is too late waits for the next
	 * acknowledgement.  A permit that is not PERMIT_ACK lets nothing out and
	 * returns -EPERM.  Returns the number of frames let out. */
	int (*release)(struct gate *g, const struct permit *p);

	/* HOLDING -> OPEN under a ticket: held frames leave, later ones pass
	 * at once, each only while permit_live().  When the permit runs out
	 * the gate goes back to HOLDING by itself.  Called again with a newer
	 * permit to renew.  -EPERM for a permit that is not a live ticket. */
	int (*open)(struct gate *g, const struct permit *p);

	/* -> CLOSED; held frames are dropped (not counted as released). */
	void (*shut)(struct gate *g);

	enum gate_state (*state)(const struct gate *g);
	void (*stats)(const struct gate *g, struct gate_stats *out);

	/* Removes every interface, queue and descriptor that create() made. */
	void (*destroy)(struct gate *g);
};

extern const struct gate_ops gate_relay_ops;
extern const struct gate_ops gate_plug_ops;
/* In memory, for tests and for the fake driver: see gate_fake.c. */
extern const struct gate_ops gate_fake_ops;

/* NULL when there is no gate of that name in this build. */
const struct gate_ops *gate_find(const char *name);

#endif
