/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * receiver.h - the backup's side of an epoch's data: records in, pages staged,
 * digest checked, committed.
 *
 * It decides nothing: commit.c says when to start, commit or drop.  Peer's bytes
 * are checked here (S8): a failing call leaves the committed image and device
 * state untouched, unless the epoch is a direct one.
 */
#ifndef REMUS_RECEIVER_H
#define REMUS_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"
#include "segments.h"
#include "wire.h"

struct receiver;

/* `image`: npages writable pages that outlive the receiver.  0 or -ENOMEM. */
int receiver_new(struct receiver **out, uint8_t *image, uint64_t npages);
void receiver_free(struct receiver *r);

/* An epoch begins: staged beside the image, or direct into it. */
void receiver_begin(struct receiver *r, const struct wire_begin *b);

/* Payload of a PAGES or DEVICE frame.  0, -EBADMSG (PAGES behind DEVICE among
 * it) or -ENOMEM. */
int receiver_pages(struct receiver *r, const uint8_t *payload, size_t len);
int receiver_device(struct receiver *r, const uint8_t *payload, size_t len);

/* Payload of an OUTPUT frame.  0 or -EBADMSG. */
int receiver_output(struct receiver *r, const uint8_t *payload, size_t len);

/* Does END describe exactly what was received?  Counts, lengths, digest and
 * chain.  On false `why` says what differs.  To be asked once an epoch; then
 * comes receiver_commit() or receiver_drop(). */
bool receiver_matches(struct receiver *r, const struct wire_end *end,
		      char *why, size_t why_bytes);

/* Staged pages, device state and output become those of the committed epoch. */
void receiver_commit(struct receiver *r);
/* What was received of the open epoch is forgotten. */
void receiver_drop(struct receiver *r);

/* Page records since receiver_begin(). */
uint64_t receiver_records(const struct receiver *r);
/* Device state of the committed epoch. */
const void *receiver_device_state(const struct receiver *r, size_t *bytes);
/* Pages of the image that may have changed since these bits were cleared, which
 * is the caller's to do. */
struct page_bitmap *receiver_changed(struct receiver *r);
/* Give out the output of the committed epoch, and forget it. */
void receiver_drain_output(struct receiver *r, segment_fn *give, void *ctx);

#endif
