/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sender_end.c - what follows an epoch's pages: device state, output, END. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender_priv.h"

/* The device state goes as records too, one for each block of a page's size:
 * from one epoch to the next little of it changes. */
static uint64_t device_blocks(const struct sender *s)
{
	return page_blocks(s->capture->device_bytes);
}

static bool keep_device_blocks(struct sender *s, uint64_t blocks)
{
	uint8_t *bigger;

	if (blocks <= s->device_old_cap)
		return true;
	bigger = realloc(s->device_old, blocks * REMUS_PAGE_SIZE);
	if (bigger == NULL)
		return false; /* then no delta: a matter of size only */
	s->device_old = bigger;
	s->device_old_cap = blocks;
	return true;
}

static const uint8_t *device_block(struct sender *s, uint64_t i)
{
	size_t at = (size_t)i * REMUS_PAGE_SIZE;

	return page_block(s->scratch[0], s->capture->device + at,
			  s->capture->device_bytes - at);
}

static void fill_frame_of_device(struct sender *s, bool keep)
{
	uint64_t blocks = device_blocks(s);

	for (; s->device_next < blocks; s->device_next++) {
		uint64_t i = s->device_next;
		uint8_t *kept = keep ? s->device_old + i * REMUS_PAGE_SIZE
				     : NULL;
		const uint8_t *old = i < s->device_old_blocks ? kept : NULL;
		const uint8_t *block = device_block(s, i);

		if (page_writer_add(&s->frame.w, i, old, block, sender_kinds(s),
				    NULL) < 0)
			return;
		if (keep)
			memcpy(kept, block, REMUS_PAGE_SIZE);
	}
}

/* 0: all is in frames; -EAGAIN, -EBUSY */
static int send_device(struct sender *s)
{
	uint64_t blocks = device_blocks(s);
	int rc;

	if (s->device_next == 0)
		s->device_keep = keep_device_blocks(s, blocks);
	while (s->device_next < blocks) {
		rc = sender_begin_frame(s);
		if (rc < 0)
			return rc;
		fill_frame_of_device(s, s->device_keep);
		sender_count(s, record_frame_commit(&s->frame, WIRE_DEVICE,
						  s->device_next < blocks));
	}
	return 0;
}

/* 0: the digest is whole; -EBUSY */
static int end_digest(struct sender *s)
{
	uint64_t blocks = device_blocks(s);

	if (s->device_done)
		return 0;
	if (s->digest_apart && capture_digest_busy(&s->apart, s->pool))
		return -EBUSY;
	s->digest_apart = false;
	s->device_done = true;
	s->device_old_blocks = s->device_keep ? blocks : 0;
	if (blocks > 0)
		digest_bytes(s->digest, s->capture->device,
			     s->capture->device_bytes);
	s->epoch_digest = digest_value(s->digest);
	return 0;
}

struct output_writer {
	uint8_t *at;
	size_t room;
};

/* What has no room is left out. */
static void write_segment(void *ctx, const void *frame, size_t len)
{
	struct output_writer *w = ctx;
	size_t bytes = WIRE_OUTPUT_FRAME_BYTES + len;

	if (bytes > w->room)
		return;
	w->at += wire_put_output_frame(w->at, frame, len);
	w->room -= bytes;
}

/* 0: sent, or nothing is; -EAGAIN */
static int send_output(struct sender *s)
{
	struct output_writer w;
	uint8_t *frame;
	size_t bytes;

	if (!s->takes_output || s->output_done)
		return 0;
	frame = conn_reserve(s->conn, RECORD_FRAME_MIN + RECORD_FRAME_SPARE, &w.room);
	if (frame == NULL)
		return -EAGAIN;
	w.at = frame + WIRE_HEADER_BYTES;
	w.room -= WIRE_HEADER_BYTES + RECORD_FRAME_SPARE;
	if (w.room > RECORD_FRAME_BYTES)
		w.room = RECORD_FRAME_BYTES;
	s->p.events->output(s->p.ctx, s->epoch, s->output);
	segments_drain(s->output, 0, write_segment, &w);
	s->output_done = true;
	bytes = (size_t)(w.at - frame);
	if (bytes == WIRE_HEADER_BYTES)
		bytes = 0;
	else
		wire_put_header(frame, WIRE_OUTPUT, bytes - WIRE_HEADER_BYTES);
	conn_commit(s->conn, bytes);
	sender_count(s, bytes);
	return 0;
}

static int send_end(struct sender *s)
{
	struct wire_end end = {
		.epoch = s->epoch,
		.page_records = s->records,
		.device_bytes = s->capture->device_bytes,
		.digest = s->epoch_digest,
		.chain = digest_chain(s->base_chain, s->epoch,
				      s->epoch_digest),
	};
	uint8_t frame[WIRE_SMALL_MAX];
	size_t bytes = wire_put_end(frame, &end);

	if (conn_send(s->conn, frame, bytes) < 0)
		return -EAGAIN;
	sender_count(s, bytes);
	s->job = JOB_NONE;
	s->open = false;
	sender_rest(s);
	s->p.events->sent(s->p.ctx, s->epoch, end.chain);
	return 0;
}

int sender_end_capture(struct sender *s)
{
	int rc = send_device(s);

	/* Behind all that was packed, and not only written. */
	if (rc == 0)
		rc = sender_push(s);
	if (rc == 0)
		rc = end_digest(s);
	if (rc == 0)
		rc = send_output(s);
	return rc == 0 ? send_end(s) : rc;
}
