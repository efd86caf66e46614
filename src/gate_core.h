/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate_core.h - what the gates that queue frames themselves (relay, fake) have
 * in common: the states of gate.h, the tags, and the one place from which a
 * frame leaves.
 *
 * Invariants:
 *   - a frame is emitted only by release() under a PERMIT_ACK, or while OPEN
 *     under a ticket permit, that was in time when the clock was read right
 *     before that very frame: a process can be stopped between any two of them;
 *   - frames leave in the order in which they were taken in;
 *   - release() never lets out the open epoch, whatever the permit says: no
 *     acknowledgement can be about an epoch without a barrier;
 *   - nothing is queued while CLOSED, and nothing stays queued while OPEN.
 */
#ifndef REMUS_GATE_CORE_H
#define REMUS_GATE_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "frame_queue.h"
#include "gate.h"

struct gate_core_ops {
	/* Put one frame on the outside.  0, or -errno: it was dropped there,
	 * as a network card drops; it is not tried again. */
	int (*emit)(void *ctx, const void *frame, size_t len);
	/* CLOCK_BOOTTIME, ns. */
	uint64_t (*now_boot_ns)(void *ctx);
};

struct gate_core {
	const struct gate_core_ops *ops;
	void *ctx;
	char *vm;
	enum gate_state state;
	uint64_t open_epoch;
	struct permit ticket; /* OPEN: why */
	struct frame_queue *queue;
	struct gate_stats n; /* but for held, held_bytes */
};

/* CLOSED.  0, or -errno with a line in `err`; then fini is not needed. */
int gate_core_init(struct gate_core *c, const struct gate_config *cfg,
		   const struct gate_core_ops *ops, void *ctx, char *err,
		   size_t err_bytes);
void gate_core_fini(struct gate_core *c);

/* After frame_queue_reserve(c->queue): the frame received in iov[slot] is
 * tagged, or dropped and counted (CLOSED, a length that no frame has, bound). */
void gate_core_take(struct gate_core *c, unsigned int slot, size_t len);
/* The same for one frame that is somewhere else. */
void gate_core_take_copy(struct gate_core *c, const void *frame, size_t len);
/* OPEN: let out what was taken in; on expiry of the ticket -> HOLDING. */
void gate_core_pass(struct gate_core *c);

/* The members of struct gate_ops of the same names; barrier() to be called
 * when everything that the guest has sent is taken in. */
void gate_core_hold(struct gate_core *c, uint64_t epoch);
int gate_core_barrier(struct gate_core *c, uint64_t epoch);
void gate_core_segments(const struct gate_core *c, uint64_t epoch,
			struct segments *out);
int gate_core_release(struct gate_core *c, const struct permit *p);
int gate_core_open(struct gate_core *c, const struct permit *p);
void gate_core_shut(struct gate_core *c);
/* HOLDING as soon as the ticket has run out, noticed or not. */
enum gate_state gate_core_state(const struct gate_core *c);
void gate_core_stats(const struct gate_core *c, struct gate_stats *out);

#endif
