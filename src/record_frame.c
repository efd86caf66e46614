/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_frame.c - see record_frame.h. */
#include "record_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static bool can_pack(struct record_frame *f)
{
	if (f->pool != NULL)
		return f->queue != NULL ||
		       pack_queue_new(&f->queue, f->pool) == 0;
	if (f->records == NULL)
		f->records = malloc(PAGE_PACK_RECORDS_BYTES);
	if (f->packer == NULL && page_packer_new(&f->packer) < 0)
		f->packer = NULL;
	return f->records != NULL && f->packer != NULL;
}

static int begin_in_queue(struct record_frame *f)
{
	uint8_t *records = pack_queue_begin(f->queue);

	if (records == NULL)
		return -EBUSY;
	f->frame = NULL;
	page_pack_begin(&f->w, records, PAGE_PACK_RECORDS_BYTES,
			PAGE_PACK_RECORDS_BYTES);
	return 0;
}

int record_frame_begin(struct record_frame *f, struct conn *c, bool packed)
{
	size_t cap;

	f->conn = c;
	f->packed = packed && can_pack(f);
	if (f->packed && f->queue != NULL)
		return begin_in_queue(f);
	if (f->queue != NULL && !pack_queue_empty(f->queue))
		return -EBUSY;
	f->frame = conn_reserve(c, RECORD_FRAME_MIN + RECORD_FRAME_SPARE, &cap);
	if (f->frame == NULL)
		return -EAGAIN;
	/* Packed or not, the records must fit: packing may be no gain. */
	cap -= WIRE_HEADER_BYTES + RECORD_FRAME_SPARE;
	if (f->packed)
		page_pack_begin(&f->w, f->records, PAGE_PACK_RECORDS_BYTES,
				cap);
	else
		page_writer_init(&f->w, f->frame + WIRE_HEADER_BYTES,
				 cap < RECORD_FRAME_BYTES ? cap
							  : RECORD_FRAME_BYTES);
	return 0;
}

size_t record_frame_commit(struct record_frame *f, unsigned int type, bool more)
{
	size_t bytes = page_writer_bytes(&f->w);
	uint8_t *payload;

	if (f->frame == NULL) {
		pack_queue_commit(f->queue, &f->w, type, more);
		return 0;
	}
	payload = f->frame + WIRE_HEADER_BYTES;
	if (f->packed)
		bytes = page_pack(f->packer, payload, &f->w);
	wire_put_header(f->frame, type, bytes);
	bytes += WIRE_HEADER_BYTES;
	conn_commit(f->conn, bytes);
	f->frame = NULL;
	return bytes;
}

int record_frame_push(struct record_frame *f, struct conn *c, size_t *bytes)
{
	struct packed_payload p;
	int rc;

	if (f->queue == NULL)
		return 0;
	while ((rc = pack_queue_first(f->queue, &p)) == 0) {
		size_t cap, n = WIRE_HEADER_BYTES + p.bytes;
		uint8_t *frame = conn_reserve(c, n + RECORD_FRAME_SPARE, &cap);

		if (frame == NULL)
			return -EAGAIN;
		wire_put_header(frame, p.type, p.bytes);
		memcpy(frame + WIRE_HEADER_BYTES, p.data, p.bytes);
		conn_commit(c, n);
		pack_queue_pop(f->queue);
		*bytes += n;
	}
	return rc == -ENOENT ? 0 : rc;
}

void record_frame_drop(struct record_frame *f)
{
	if (f->queue != NULL)
		pack_queue_drop(f->queue);
}

void record_frame_rest(struct record_frame *f)
{
	if (f->queue == NULL || pack_queue_empty(f->queue))
		record_frame_release(f);
}

void record_frame_release(struct record_frame *f)
{
	page_packer_free(f->packer);
	free(f->records);
	pack_queue_free(f->queue);
	f->packer = NULL;
	f->records = NULL;
	f->queue = NULL;
}
