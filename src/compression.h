/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compression.h - how checkpoints are made smaller, and which way is chosen.
 *
 *   off    pages go as they are
 *   fast   XOR-RLE (codec_xrle.h): about as fast as memory is read
 *   tight  the new content of the same runs, packed by zstd (page_pack.h): takes
 *          half as long again to twice as long, makes two thirds to a fifth of
 *          the bytes
 *   auto   fast, and tight where that is acknowledged sooner
 *
 * The rule of auto, once for each checkpoint:
 *
 *   fast -> tight   when something of an earlier checkpoint was still unsent
 *                   at COMPRESSION_BEHIND checkpoints in a row, or a frame
 *                   found the connection's queue full: the link is behind by
 *                   more than an interval.
 *   otherwise       by trial.  What counts is the time from the end of the pause
 *                   to the acknowledgement, in which the clients wait for their
 *                   answers: it has encoding, link and backup in it.  When a
 *                   mode has lasted for `patience` checkpoints, and nothing was
 *                   unsent at the last COMPRESSION_CALM of them, the other one
 *                   is tried for as long as COMPRESSION_TRIAL acknowledgements
 *                   take, and the medians of both are compared: tight is worth
 *                   its processor time when it saves COMPRESSION_WORTH_NS and a
 *                   quarter; else it is fast.
 *
 * A trial that can gain nothing is not made.  Of tight: when less than
 * COMPRESSION_WORTH_NS, or than a quarter, goes by beside encoding.  Of fast:
 * when, the link's rate being known, COMPRESSION_GAIN times the bytes of the
 * last checkpoint would take more than half an interval; unless encoding
 * takes more than half of one.
 *
 * patience is COMPRESSION_CALM, doubled up to COMPRESSION_CALM * 16 with each
 * trial in vain; one that changes the mode makes it short again.  The link's
 * rate is seen only while something queues; it is taken for twice as much with
 * each further COMPRESSION_CALM checkpoints without a queue, until it is seen
 * again, so that a link that has become wide is found.  off is never chosen:
 * fast sends a page as it is when that is shorter, and costs hardly more than
 * its copying then.
 *
 * Pure: no clocks, no system calls.
 */
#ifndef REMUS_COMPRESSION_H
#define REMUS_COMPRESSION_H

#include <stdbool.h>
#include <stdint.h>

enum compression {
	COMPRESSION_OFF = 0,
	COMPRESSION_FAST,
	COMPRESSION_TIGHT,
	COMPRESSION_AUTO,
};
const char *compression_to_str(enum compression c); /* "off", ... */
/* A name as above, or "on", which is auto.  0 or -EINVAL. */
int compression_from_str(const char *name, enum compression *out);
#define COMPRESSION_NAMES "off|fast|tight|auto|on" /* for messages */

#define COMPRESSION_BEHIND 3u
#define COMPRESSION_CALM 32u
#define COMPRESSION_GAIN 4u
#define COMPRESSION_TRIAL 8u
#define COMPRESSION_WORTH_NS 1000000u

/* Zeroed it is ready, and fast. */
struct compression_auto {
	bool tight;
	bool trying;	       /* the present mode, for the first time */
	unsigned int behind;   /* checkpoints in a row */
	unsigned int calm;     /* checkpoints in a row */
	unsigned int lasted;   /* checkpoints in the present mode */
	unsigned int doubled;  /* times that patience was doubled */
	unsigned int acks;     /* seen in the present mode */
	uint64_t ack_ns[COMPRESSION_TRIAL]; /* the last of them */
	uint64_t other_ns;     /* trying: the median of the other mode */
	uint64_t last_ns, last_sent, last_unsent;
	uint64_t rate;	       /* bytes a second, as seen; 0: never */
	unsigned int age;      /* times that it was doubled since */
};

/* What is known when a checkpoint is about to be encoded. */
struct compression_sample {
	uint64_t now_ns;      /* any monotonic clock */
	uint64_t sent_bytes;  /* ever given to this connection */
	uint64_t unsent_bytes; /* of these, not yet taken by the network */
	uint64_t encode_ns;   /* that the last checkpoint took to encode */
	/* From the end of the last checkpoint's pause to its acknowledgement,
	 * or until now where there is none yet; 0: nothing was sent that could
	 * be acknowledged. */
	uint64_t ack_ns;
};

/* FAST or TIGHT, for this checkpoint. */
enum compression compression_next(struct compression_auto *a,
				  const struct compression_sample *s);
/* The connection's queue was full.  TIGHT. */
enum compression compression_full(struct compression_auto *a);
enum compression compression_now(const struct compression_auto *a);

#endif
