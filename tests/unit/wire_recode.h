/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_recode.h - decode a payload by its type and encode it again.
 *
 * The format has one encoding for each message, so whatever a decoder takes
 * must come out again as the same bytes.  Shared by test_wire and fuzz_wire.
 */
#ifndef REMUS_WIRE_RECODE_H
#define REMUS_WIRE_RECODE_H

#include <errno.h>
#include <string.h>

#include "wire.h"

union wire_any {
	struct wire_hello hello;
	struct wire_refuse refuse;
	struct wire_begin begin;
	struct wire_end end;
	struct wire_ack ack;
	struct wire_ticket ticket;
	struct wire_handover handover;
	struct wire_heartbeat heartbeat;
	struct wire_progress progress;
};

/* 0 or what the decoder said; -ENOENT for a type without a decoder. */
static inline int wire_get_any(unsigned int type, const uint8_t *p, size_t len,
			       union wire_any *m)
{
	switch (type) {
	case WIRE_HELLO: return wire_get_hello(p, len, &m->hello);
	case WIRE_REFUSE: return wire_get_refuse(p, len, &m->refuse);
	case WIRE_BEGIN: return wire_get_begin(p, len, &m->begin);
	case WIRE_END: return wire_get_end(p, len, &m->end);
	case WIRE_ACK: return wire_get_ack(p, len, &m->ack);
	case WIRE_TICKET:
	case WIRE_TICKET_ACK: return wire_get_ticket(p, len, &m->ticket);
	case WIRE_HANDOVER:
	case WIRE_HANDOVER_ACK: return wire_get_handover(p, len, &m->handover);
	case WIRE_HEARTBEAT: return wire_get_heartbeat(p, len, &m->heartbeat);
	case WIRE_PROGRESS: return wire_get_progress(p, len, &m->progress);
	default: return -ENOENT;
	}
}

/* Bytes written into buf (WIRE_SMALL_MAX), header included. */
static inline size_t wire_put_any(unsigned int type, uint8_t *buf,
				  const union wire_any *m)
{
	switch (type) {
	case WIRE_HELLO: return wire_put_hello(buf, &m->hello);
	case WIRE_REFUSE: return wire_put_refuse(buf, &m->refuse);
	case WIRE_BEGIN: return wire_put_begin(buf, &m->begin);
	case WIRE_END: return wire_put_end(buf, &m->end);
	case WIRE_ACK: return wire_put_ack(buf, &m->ack);
	case WIRE_TICKET:
	case WIRE_TICKET_ACK: return wire_put_ticket(buf, type, &m->ticket);
	case WIRE_HANDOVER:
	case WIRE_HANDOVER_ACK:
		return wire_put_handover(buf, type, &m->handover);
	case WIRE_HEARTBEAT: return wire_put_heartbeat(buf, &m->heartbeat);
	case WIRE_PROGRESS: return wire_put_progress(buf, &m->progress);
	default: return 0;
	}
}

#endif
