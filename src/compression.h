/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compression.h - how checkpoints are made smaller, and which way is chosen.
 *
 *   off    pages go as they are
 *   fast   XOR-RLE (codec_xrle.h): about as fast as memory is read
 *   tight  and what that leaves is packed by zstd (page_pack.h): takes about
 *          twice the time, makes a half to a quarter of the bytes
 *   auto   fast, and tight while the link is what checkpoints wait for
 *
 * The rule of auto, once for each checkpoint:
 *
 *   fast -> tight   when something of an earlier checkpoint was still unsent
 *                   at COMPRESSION_BEHIND checkpoints in a row, or a frame
 *                   found the connection's queue full: the link is behind by
 *                   more than an interval.
 *   tight -> fast   when tight has lasted for `patience` checkpoints, nothing
 *                   was unsent at the last COMPRESSION_CALM of them, and
 *                   either (if the link's rate is known) COMPRESSION_GAIN times
 *                   the bytes of the last one would take at most half an
 *                   interval, or encoding it took more than half of one: then
 *                   it is the processor that checkpoints wait for.
 *
 * patience is COMPRESSION_CALM, doubled up to COMPRESSION_CALM * 16 whenever
 * fast lasted for less than COMPRESSION_CALM, so that a link between the two is
 * not tried over and over.  The link's rate is seen only while something
 * queues; it is taken for twice as much with each further COMPRESSION_CALM
 * checkpoints without a queue, until it is seen again, so that a link that has
 * become wide is found.  off is never chosen: fast sends a page as it is when that is
 * shorter, and costs hardly more than its copying then.
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

/* Zeroed it is ready, and fast. */
struct compression_auto {
	bool tight;
	bool again;	       /* fast, after it was tight */
	unsigned int behind;   /* checkpoints in a row */
	unsigned int calm;     /* checkpoints in a row */
	unsigned int lasted;   /* checkpoints in the present mode */
	unsigned int doubled;  /* times that patience was doubled */
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
};

/* FAST or TIGHT, for this checkpoint. */
enum compression compression_next(struct compression_auto *a,
				  const struct compression_sample *s);
/* The connection's queue was full.  TIGHT. */
enum compression compression_full(struct compression_auto *a);
enum compression compression_now(const struct compression_auto *a);

#endif
