/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * late_frames.h - what came for a guest while it was between two hosts.
 *
 * A client whose segment got lost with the old host asks again at 0.2, 0.6,
 * 1.4, 3 ... s, each time waiting twice as long.  Those that come while nobody
 * runs the guest are lost too, so that it may be heard again long before its
 * clients ask.  Of each TCP connection the newest segment that wants an answer
 * is kept here, and given to the guest when it runs: to it, a frame that the
 * network delayed.
 *
 * Only TCP, which knows a segment that it has had already.  To hand any other
 * frame to a guest that may have seen it before would double it.
 *
 * LATE_SLOTS frames of at most LATE_BYTES_MAX; two connections that fall into
 * the same slot share it, and the newer one wins.  Any bytes may come.
 */
#ifndef REMUS_LATE_FRAMES_H
#define REMUS_LATE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define LATE_SLOTS 128
#define LATE_BYTES_MAX 1518 /* Ethernet, MTU 1500, one more tag */
#define LATE_NS_MAX (10 * UINT64_C(1000000000))

struct late_frames;

struct late_frames *late_frames_new(void); /* NULL: no memory */
void late_frames_free(struct late_frames *l); /* NULL is allowed */

/* A frame came at now_ns (of any clock that does not jump back).  Kept is a
 * TCP segment over IPv4 or IPv6, whole, with data, SYN or FIN and without RST;
 * all else is ignored. */
void late_frames_put(struct late_frames *l, const void *frame, size_t len,
		     uint64_t now_ns);

/* Give out those that are not older than LATE_NS_MAX, and forget all. */
typedef void late_frame_fn(void *ctx, const void *frame, size_t len);
void late_frames_drain(struct late_frames *l, uint64_t now_ns,
		       late_frame_fn *give, void *ctx);

/* Forget all. */
void late_frames_clear(struct late_frames *l);

#endif
