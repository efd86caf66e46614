/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate_fake.h - a gate in memory, for tests and simulation: the queue and the
 * states of the relay gate, without sockets, interfaces or a clock of its own.
 *
 *   guest --gate_fake_guest_send--> [wire] --take in--> queue --> on_output
 *
 * A frame that the guest sent is on the `wire` (the relay's socket) until the
 * gate takes it in: at once, or, when lazy, only in gate_fake_take_in(),
 * barrier() and shut(), as happens to a relay whose loop is busy.
 * The struct gate is one made by gate_fake_ops.create(); its loop may be NULL.
 */
#ifndef REMUS_GATE_FAKE_H
#define REMUS_GATE_FAKE_H

#include <stdbool.h>

#include "gate.h"

typedef void (*gate_fake_frame_fn)(void *ctx, const void *frame, size_t len);

/* Who sees the frames that leave the host, and those that reach the guest;
 * NULL: nobody.  They must not call the gate. */
void gate_fake_on_output(struct gate *g, gate_fake_frame_fn fn, void *ctx);
void gate_fake_on_inbound(struct gate *g, gate_fake_frame_fn fn, void *ctx);

/* NULL: now_boot_ns(). */
void gate_fake_set_clock(struct gate *g, uint64_t (*fn)(void *ctx), void *ctx);
void gate_fake_set_lazy(struct gate *g, bool lazy);

/* The guest sends.  0, or -EAGAIN: the wire is full, nothing was sent. */
int gate_fake_guest_send(struct gate *g, const void *frame, size_t len);
/* The gate takes in what is on the wire. */
void gate_fake_take_in(struct gate *g);
/* The outside sends to the guest. */
void gate_fake_net_send(struct gate *g, const void *frame, size_t len);
/* Make the outside refuse output (-ENOBUFS), as a full interface does. */
void gate_fake_set_full(struct gate *g, bool full);

#endif
