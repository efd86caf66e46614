/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sender.h - the primary's side of an epoch's data: pages encoded straight into
 * the connection's queue, with the digest, at the pace of the connection.
 *
 * It keeps the page cache (the content that the backup has) and nothing of the
 * protocol's decisions: epoch.c says what to send when.  One thing is being
 * sent at a time: a live pass, or a captured epoch.  Work is done in slices of
 * SENDER_SLICE_PAGES from the loop, so that nothing else waits long; a slice
 * ends when the connection has no room.
 *
 * What is packed together is at most a slice, and text is found again in other
 * pages of it: one thread that packs takes larger ones.
 *
 * With more than one thread the others pack (record_frame.h) and digest a
 * capture's pages (capture_digest.h).  What depends on the cache stays with the
 * loop's: XOR-RLE and the copy to the old page.  Every page comes in the order
 * in which one thread would send it, with the same bytes for any number of them
 * where the connection has room; live_done(), output() and END come behind all.
 */
#ifndef REMUS_SENDER_H
#define REMUS_SENDER_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture.h"
#include "compression.h"
#include "conn.h"
#include "page.h"
#include "segments.h"

#define SENDER_SLICE_PAGES 256
#define SENDER_SLICE_PAGES_PACKED 1024 /* by the loop's thread */

struct sender;

struct sender_events {
	/* The live pass is handed to the connection. */
	void (*live_done)(void *ctx);
	/* All of the epoch but its END is: what has it sent that nobody may
	 * have seen?  Put into `out`, which is empty.  Asked only when the
	 * backup takes it. */
	void (*output)(void *ctx, uint64_t epoch, struct segments *out);
	/* END of the epoch is. */
	void (*sent)(void *ctx, uint64_t epoch, uint64_t chain);
};

struct sender_params {
	qb_loop_t *loop;
	const uint8_t *ram; /* guest memory, which may change while we read */
	uint64_t npages;
	uint64_t cache_bytes;
	enum compression compression;
	unsigned int threads; /* that encode, the loop's among them; 0: 1 */
	const struct sender_events *events;
	void *ctx;
};

/* 0 or -errno. */
int sender_new(struct sender **out, const struct sender_params *p);
void sender_free(struct sender *s);
/* AUTO begins with fast, and sees only what is sent from here on. */
void sender_set_compression(struct sender *s, enum compression c);

/* The connection to send to, or NULL when it is gone; `capabilities` are those
 * that both sides have.  Whatever was being sent is given up, with no event;
 * without a connection nothing is sent at all.  When this returns no thread
 * reads the capture; the guest's memory none ever does but the loop's. */
void sender_set_conn(struct sender *s, struct conn *c, uint32_t capabilities);
/* To be called by conn's room(). */
void sender_room(struct sender *s);

/* Queue BEGIN.  `sent` collects every page sent in this epoch and must live
 * until its END. */
void sender_begin(struct sender *s, uint64_t stream, uint64_t epoch,
		  bool direct, uint64_t base_chain, struct page_bitmap *sent);
/* Has BEGIN been queued and END not? */
bool sender_is_open(const struct sender *s);

/* Send the pages set in `todo`, read from the running guest, clearing each bit
 * as its page is sent.  The tracker must have been armed before.
 * -> live_done() */
void sender_live(struct sender *s, struct page_bitmap *todo);

/* Send pages, device state and output of the capture, and END.
 * -> output(), sent() */
void sender_capture(struct sender *s, const struct capture *c);

/* The backup has acknowledged this epoch; AUTO goes by how long that took. */
void sender_acked(struct sender *s, uint64_t epoch);

/* The backup may have other content for this page than we sent last. */
void sender_distrust(struct sender *s, gfn_t gfn);
void sender_distrust_all(struct sender *s);

struct sender_stats {
	/* captured epochs: pages * REMUS_PAGE_SIZE, and all of their frames,
	 * headers and device state counted */
	uint64_t bytes_raw, bytes_sent;
	/* the same of live passes, that is, of full and partial syncs */
	uint64_t live_bytes_raw, live_bytes_sent;
	uint64_t cache_bytes;
	/* what is in use: not AUTO, and TIGHT only when the backup takes it */
	enum compression compression;
	unsigned int threads;
};
void sender_stats(const struct sender *s, struct sender_stats *out);

#endif
