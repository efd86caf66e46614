/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn_io.c - what goes out of a conn that is up, and what comes in.
 *
 * Sending and receiving both stop after BURST_BYTES, so that the guest's
 * network and the monitor get their turn; the level-triggered poll brings us
 * back.  What no poll would tell (bytes that TLS holds) a kick brings back.
 *
 * A failed write does not end the conn at once: what the peer said before it
 * closed (REFUSE, most likely) is still to be read, and tells why.
 */
#include "conn_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

#define BURST_BYTES ((size_t)512 << 10)
#define TLS_RECORD_BYTES ((size_t)16384)

/* ---- sending ---- */

/* Hand up to `budget` bytes to TLS; stops where the kernel does. */
static void write_some(struct conn *c, size_t budget)
{
	while (c->out.used > 0 && budget > 0 && c->send_rc == 0) {
		size_t bytes = c->out.used < TLS_RECORD_BYTES ?
				       c->out.used : TLS_RECORD_BYTES;
		ssize_t n = tls_send(c->tls, ring_head(&c->out), bytes,
				     c->send_why, sizeof(c->send_why));

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			c->send_rc = (int)n;
			conn_kick(c); /* to read what is left */
			break;
		}
		ring_consume(&c->out, (size_t)n);
		c->stats.sent_bytes += (uint64_t)n;
		budget -= (size_t)n < budget ? (size_t)n : budget;
	}
}

static bool queue_small(struct conn *c, const uint8_t *frame, size_t bytes)
{
	if (ring_room(&c->out) < bytes)
		return false;
	memcpy(ring_tail(&c->out), frame, bytes);
	ring_produce(&c->out, bytes);
	conn_poll(c);
	return true;
}

/* A queue too full for this needs no probe, and answers when it has drained. */
static void answer_heartbeat(struct conn *c)
{
	struct wire_heartbeat hb = { 0, c->unanswered };
	uint8_t frame[WIRE_SMALL_MAX];

	if (c->unanswered != 0 &&
	    queue_small(c, frame, wire_put_heartbeat(frame, &hb)))
		c->unanswered = 0;
}

void conn_send_probe(struct conn *c)
{
	struct wire_heartbeat hb = { now_mono_ns(), 0 };
	uint8_t frame[WIRE_SMALL_MAX];

	c->probed_ns = hb.sent_ns;
	/* What waits in the socket is not new for having been read later. */
	if (c->awake_boot_ns != 0 && conn_overslept(c))
		c->slept = true;
	c->awake_boot_ns = now_boot_ns();
	queue_small(c, frame, wire_put_heartbeat(frame, &hb));
}

void conn_offer_room(struct conn *c)
{
	if (c->state != UP || !c->room_wanted ||
	    c->out.used > CONN_QUEUE_MAX / 2)
		return;
	c->room_wanted = false;
	c->ops->room(c->ctx, c);
}

void conn_send_some(struct conn *c)
{
	write_some(c, BURST_BYTES);
	answer_heartbeat(c);
	conn_poll(c);
	conn_offer_room(c);
}

void conn_close_gently(struct conn *c)
{
	if (c->state == UP && c->send_rc == 0) {
		write_some(c, CONN_QUEUE_MAX);
		if (c->send_rc == 0)
			tls_bye(c->tls);
	}
	conn_tear_down(c);
}

/* ---- receiving ---- */

/* Malformed bytes from a peer that has the key. */
static void end_malformed(struct conn *c, unsigned int type)
{
	struct wire_refuse m = { .code = WIRE_REFUSE_PROTOCOL };
	uint8_t frame[WIRE_SMALL_MAX];
	char why[CONN_WHY_MAX];

	snprintf(m.text, sizeof(m.text), "malformed frame, type %u (%s)", type,
		 wire_type_to_str(type));
	queue_small(c, frame, wire_put_refuse(frame, &m));
	snprintf(why, sizeof(why), "%s: the peer sent a %s", c->peer, m.text);
	conn_close_gently(c);
	c->ops->down(c->ctx, c, -EBADMSG, why);
}

static void take_heartbeat(struct conn *c, const uint8_t *payload, size_t len)
{
	uint64_t now = now_mono_ns();
	struct wire_heartbeat hb;

	if (wire_get_heartbeat(payload, len, &hb) < 0) {
		end_malformed(c, WIRE_HEARTBEAT);
		return;
	}
	if (hb.sent_ns != 0) {
		c->unanswered = hb.sent_ns;
		answer_heartbeat(c);
	} else if (hb.echo_ns <= now &&
		   now - hb.echo_ns <= c->timeout_ms * NS_PER_MS) {
		c->stats.rtt_us = (now - hb.echo_ns) / 1000 + 1;
	}
}

/* Deliver the whole frames in `in`, and move what is left to its front: less
 * than one TLS record, unless it is a frame's beginning that stays in place. */
static void deliver(struct conn *c)
{
	size_t at = 0;

	while (c->in_bytes - at >= WIRE_HEADER_BYTES) {
		const uint8_t *payload = c->in + at + WIRE_HEADER_BYTES;
		struct wire_header h;

		if (wire_get_header(c->in + at, &h) < 0) {
			end_malformed(c, h.type);
			return;
		}
		if (c->in_bytes - at < WIRE_HEADER_BYTES + h.payload_bytes)
			break;
		if (h.type == WIRE_HEARTBEAT)
			take_heartbeat(c, payload, h.payload_bytes);
		else
			c->ops->frame(c->ctx, c, h.type, payload,
				      h.payload_bytes);
		if (c->state != UP)
			return;
		at += WIRE_HEADER_BYTES + h.payload_bytes;
	}
	if (at > 0)
		memmove(c->in, c->in + at, c->in_bytes - at);
	c->in_bytes -= at;
}

static void end_of_input(struct conn *c, ssize_t n, const char *why)
{
	if (n == 0 && c->in_bytes > 0)
		conn_end(c, -ECONNRESET, "the peer closed in the middle of a frame");
	else if (n == 0)
		conn_end(c, -ESHUTDOWN, "the peer closed the connection");
	else
		conn_end(c, (int)n, why);
}

void conn_receive_some(struct conn *c)
{
	size_t taken = 0;
	char why[CONN_WHY_MAX];

	while (taken < BURST_BYTES) {
		/* deliver() leaves no whole frame: there is room. */
		ssize_t n = tls_recv(c->tls, c->in + c->in_bytes,
				     CONN_FRAME_MAX - c->in_bytes, why, sizeof(why));

		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			end_of_input(c, n, why);
			return;
		}
		c->received_ns = now_mono_ns();
		c->stats.received_bytes += (uint64_t)n;
		c->in_bytes += (size_t)n;
		taken += (size_t)n;
		deliver(c);
		if (c->state != UP)
			return;
	}
	if (taken >= BURST_BYTES)
		conn_kick(c); /* TLS may hold bytes of which no poll tells */
	else if (c->send_rc != 0)
		conn_end(c, c->send_rc, c->send_why);
}
