/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - the messages between two remusd, and their bytes.
 *
 * The format is specified in remus-protocol(7).  Pure: bytes in, structs out;
 * no sockets, no clocks, no allocation.
 *
 * Hostile bytes (S8): every decoder takes any bytes of any length, reads
 * nothing outside [buf, buf+len), and returns -EBADMSG for anything that
 * remus-protocol(7) does not allow (wrong length, reserved bits, a number out
 * of range, a string without end, trailing bytes); then *out is unspecified.
 *
 * All integers are little-endian.
 *
 *   frame header   u32 payload length | u8 type | u8 flags (0) | u16 0
 */
#ifndef REMUS_WIRE_H
#define REMUS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION_MIN 1
#define WIRE_VERSION_MAX 1
#define WIRE_HEADER_BYTES 8
#define WIRE_PAYLOAD_MAX ((size_t)1 << 20)
#define WIRE_NAME_MAX 64  /* VM and node names, bytes, without the NUL */
#define WIRE_TEXT_MAX 256 /* reasons */
#define WIRE_DEVICE_STATE_MAX ((uint64_t)64 << 20) /* all DEVICEs of an epoch */

enum wire_type {
	WIRE_HELLO = 1,	    /* first frame in each direction */
	WIRE_REFUSE = 2,    /* instead of, or after HELLO; then the sender closes */
	WIRE_BEGIN = 3,	    /* primary: an epoch's data begin */
	WIRE_PAGES = 4,	    /* primary: page records (codec), see page_record.h */
	WIRE_DEVICE = 5,    /* primary: the device state, as records of blocks */
	WIRE_END = 6,	    /* primary: the epoch is whole, with its digest */
	WIRE_ACK = 7,	    /* backup: the epoch is committed */
	WIRE_TICKET = 8,    /* primary: protected(A,B) of this generation */
	WIRE_TICKET_ACK = 9,/* backup: has stored it */
	WIRE_HANDOVER = 10, /* primary: the guest has ended here at epoch n */
	WIRE_HANDOVER_ACK = 11,
	WIRE_HEARTBEAT = 12,/* both, whenever nothing else was sent for a while */
	WIRE_PROGRESS = 13, /* backup: live pages taken in so far (first sync) */
	WIRE_OUTPUT = 14,   /* primary: TCP segments that the epoch has sent, and
			       that nobody may have seen (WIRE_CAP_OUTPUT) */
};
/* "?" for an unknown type. */
const char *wire_type_to_str(unsigned int type);

struct wire_header {
	uint32_t payload_bytes; /* <= WIRE_PAYLOAD_MAX */
	uint8_t type;
};

/* In use when both HELLOs have the bit. */
#define WIRE_CAP_OUTPUT 0x1u
/* page records version 2 in PAGES and DEVICE (page_pack.h) */
#define WIRE_CAP_PACKED 0x2u
/* and version 3: no longer version 2 is sent */
#define WIRE_CAP_COLUMNS 0x4u
/* what this side can do */
#define WIRE_CAPABILITIES \
	(WIRE_CAP_OUTPUT | WIRE_CAP_PACKED | WIRE_CAP_COLUMNS)

enum wire_role { WIRE_ROLE_PRIMARY = 1, WIRE_ROLE_BACKUP = 2 };

enum wire_ticket_state {
	WIRE_TICKET_NONE = 0,
	WIRE_TICKET_PROTECTED = 1,
	WIRE_TICKET_ALONE = 2,
};

struct wire_hello {
	uint16_t version_min, version_max;
	uint32_t capabilities;	     /* bits, all unknown ones ignored; see man */
	uint8_t role;		     /* enum wire_role */
	uint8_t ticket_state;	     /* enum wire_ticket_state */
	char vm[WIRE_NAME_MAX + 1];
	char node[WIRE_NAME_MAX + 1];
	uint32_t page_bytes;
	uint64_t npages;
	uint8_t fingerprint[16];     /* driver_ops.fingerprint */
	uint64_t generation;	     /* of the ticket as this side knows it */
	/* backup: what it holds, for a resync of changed pages only */
	uint64_t have_stream;	     /* id of the stream it comes from; 0: none */
	uint64_t have_epoch;	     /* last committed epoch; 0: none */
	uint64_t have_chain;	     /* chain digest of that epoch */
	/* primary: id of the stream that it would continue */
	uint64_t stream;
};

enum wire_refusal {
	WIRE_REFUSE_VERSION = 1,
	WIRE_REFUSE_VM = 2,	    /* another VM's name */
	WIRE_REFUSE_GEOMETRY = 3,   /* memory or page size, fingerprint */
	WIRE_REFUSE_ROLE = 4,	    /* two primaries, two backups */
	WIRE_REFUSE_SUPERSEDED = 5, /* a newer generation runs here: step down */
	WIRE_REFUSE_STALE = 6,	    /* an older generation than stored here */
	WIRE_REFUSE_BUSY = 7,	    /* another connection is in use */
	WIRE_REFUSE_PROTOCOL = 8,   /* a frame out of order, or malformed */
	WIRE_REFUSE_DIGEST = 9,	    /* S5: full resync, please */
};
const char *wire_refusal_to_str(unsigned int code);

struct wire_refuse {
	uint16_t code;
	uint64_t generation;
	char text[WIRE_TEXT_MAX + 1];
};

/* BEGIN: flags */
#define WIRE_BEGIN_DIRECT 0x01u /* no earlier state is kept: pages go straight
				   into the image (first or full sync) */

struct wire_begin {
	uint64_t stream;
	uint64_t epoch;	     /* greater than the last committed; any >= 1 with
				DIRECT */
	uint32_t flags;
	uint64_t base_chain; /* chain digest that this epoch builds on; 0 with
				DIRECT */
};

struct wire_end {
	uint64_t epoch;
	uint64_t page_records; /* in all PAGES frames since BEGIN */
	uint64_t device_bytes;	/* the last block is padded with zeroes */
	uint64_t digest; /* of this epoch's pages and device state */
	uint64_t chain;	 /* digest of (base_chain, epoch, digest) */
};

struct wire_ack {
	uint64_t epoch;
	uint64_t chain;
};

struct wire_ticket {
	uint64_t generation;
	uint8_t state; /* enum wire_ticket_state */
};

struct wire_handover {
	uint64_t generation;
	uint64_t epoch;
};

/* A probe, or the answer to one: exactly one of the two is 0.  An answer gets
 * no answer, else two peers would go on for ever. */
struct wire_heartbeat {
	uint64_t sent_ns; /* probe: sender's CLOCK_MONOTONIC */
	uint64_t echo_ns; /* answer: newest sent_ns received from the peer */
};

struct wire_progress {
	uint64_t page_records;
};

/* OUTPUT is a row of frames; each costs WIRE_OUTPUT_FRAME_BYTES and its own. */
#define WIRE_OUTPUT_FRAME_BYTES 2
#define WIRE_OUTPUT_FRAME_MIN 14
#define WIRE_OUTPUT_FRAME_MAX 1518

/* Longest encoding of any message but PAGES, DEVICE and OUTPUT, with its
 * header. */
#define WIRE_SMALL_MAX 512

/* Encoders write header and payload into buf (WIRE_SMALL_MAX bytes) and return
 * the number of bytes written.  What a decoder would not take is a bug of ours
 * (assert); names are 1..WIRE_NAME_MAX bytes of printable ASCII without space.
 * In a REFUSE's text, bytes that are not printable ASCII become '?'. */
size_t wire_put_header(uint8_t buf[WIRE_HEADER_BYTES], unsigned int type,
		       size_t payload_bytes);
size_t wire_put_hello(uint8_t *buf, const struct wire_hello *m);
size_t wire_put_refuse(uint8_t *buf, const struct wire_refuse *m);
size_t wire_put_begin(uint8_t *buf, const struct wire_begin *m);
size_t wire_put_end(uint8_t *buf, const struct wire_end *m);
size_t wire_put_ack(uint8_t *buf, const struct wire_ack *m);
size_t wire_put_ticket(uint8_t *buf, unsigned int type,
		       const struct wire_ticket *m); /* TICKET, TICKET_ACK */
size_t wire_put_handover(uint8_t *buf, unsigned int type,
			 const struct wire_handover *m); /* both HANDOVERs */
size_t wire_put_heartbeat(uint8_t *buf, const struct wire_heartbeat *m);
size_t wire_put_progress(uint8_t *buf, const struct wire_progress *m);
/* One frame of OUTPUT's payload; returns its bytes.  WIRE_OUTPUT_FRAME_MIN <=
 * len <= WIRE_OUTPUT_FRAME_MAX. */
size_t wire_put_output_frame(uint8_t *buf, const void *frame, size_t len);

/* buf holds WIRE_HEADER_BYTES.  0; -EBADMSG for a type, flag or length that no
 * frame can have (each type has its own bounds of length). */
int wire_get_header(const uint8_t *buf, struct wire_header *out);

/* buf/len: the payload alone.  0 or -EBADMSG. */
int wire_get_hello(const uint8_t *buf, size_t len, struct wire_hello *out);
int wire_get_refuse(const uint8_t *buf, size_t len, struct wire_refuse *out);
int wire_get_begin(const uint8_t *buf, size_t len, struct wire_begin *out);
int wire_get_end(const uint8_t *buf, size_t len, struct wire_end *out);
int wire_get_ack(const uint8_t *buf, size_t len, struct wire_ack *out);
int wire_get_ticket(const uint8_t *buf, size_t len, struct wire_ticket *out);
int wire_get_handover(const uint8_t *buf, size_t len, struct wire_handover *out);
int wire_get_heartbeat(const uint8_t *buf, size_t len,
		       struct wire_heartbeat *out);
int wire_get_progress(const uint8_t *buf, size_t len,
		      struct wire_progress *out);
/* The frames of OUTPUT one by one, *at being 0 before the first: 1 with *frame
 * and *frame_len, which point into buf; 0 behind the last; -EBADMSG. */
int wire_get_output_frame(const uint8_t *buf, size_t len, size_t *at,
			  const uint8_t **frame, size_t *frame_len);

#endif
