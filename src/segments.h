/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segments.h - of each TCP connection, the newest segment that wants an answer:
 * what the death of a host would make guest and client wait for.
 *
 * Who lost a segment asks again at 0.2, 0.6, 1.4, 3 ... s, each time waiting
 * twice as long, so that a guest may run again long before anybody is heard.
 * Kept are therefore
 *   - what came for a guest while it was between two hosts: given to it when it
 *     runs, a frame that the network delayed (gate_relay.c);
 *   - what the guest of a committed epoch has sent and its host may not have let
 *     out any more: sent by the host that takes over, as the guest itself would
 *     a while later (WIRE_OUTPUT).
 *
 * Only TCP, which knows a segment that it has had already.  To hand on any other
 * frame that was seen before would double it.
 *
 * SEGMENTS_MAX of at most SEGMENT_BYTES_MAX; two connections that fall into
 * the same slot share it, and the newer one wins.  Any bytes may come.
 */
#ifndef REMUS_SEGMENTS_H
#define REMUS_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

#define SEGMENTS_MAX 128
#define SEGMENT_BYTES_MAX 1518 /* Ethernet, MTU 1500, one more tag */
#define SEGMENT_AGE_MAX_NS (10 * UINT64_C(1000000000))

struct segments;

struct segments *segments_new(void); /* NULL: no memory */
void segments_free(struct segments *l); /* NULL is allowed */

/* A frame, in the order of time.  Seen at now_ns (of any clock that does not jump back).  Kept is a
 * TCP segment over IPv4 or IPv6, whole, with data, SYN or FIN and without RST;
 * all else is ignored. */
void segments_put(struct segments *l, const void *frame, size_t len,
		  uint64_t now_ns);

/* Give out those that are not older than SEGMENT_AGE_MAX_NS, and forget all. */
typedef void segment_fn(void *ctx, const void *frame, size_t len);
void segments_drain(struct segments *l, uint64_t now_ns, segment_fn *give,
		    void *ctx);

/* Forget all. */
void segments_clear(struct segments *l);

#endif
