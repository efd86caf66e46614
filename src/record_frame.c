/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_frame.c - see record_frame.h. */
#include "record_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static bool can_pack(struct record_frame *f)
{
	if (f->records == NULL)
		f->records = malloc(PAGE_PACK_RECORDS_BYTES);
	if (f->packer == NULL && page_packer_new(&f->packer) < 0)
		f->packer = NULL;
	return f->records != NULL && f->packer != NULL;
}

int record_frame_begin(struct record_frame *f, struct conn *c, bool packed)
{
	size_t cap, most;

	f->conn = c;
	f->frame = conn_reserve(c, RECORD_FRAME_MIN + RECORD_FRAME_SPARE, &cap);
	if (f->frame == NULL)
		return -EAGAIN;
	f->packed = packed && can_pack(f);
	/* Packed or not, the records must fit: packing may be no gain. */
	cap -= WIRE_HEADER_BYTES + RECORD_FRAME_SPARE;
	most = f->packed ? PAGE_PACK_RECORDS_BYTES : RECORD_FRAME_BYTES;
	page_writer_init(&f->w,
			 f->packed ? f->records : f->frame + WIRE_HEADER_BYTES,
			 cap < most ? cap : most);
	if (f->packed)
		f->w.delta_max = PAGE_PACK_DELTA_MAX;
	return 0;
}

size_t record_frame_commit(struct record_frame *f, unsigned int type)
{
	size_t bytes = page_writer_bytes(&f->w);
	uint8_t *payload = f->frame + WIRE_HEADER_BYTES;

	if (f->packed) {
		int n = page_pack_written(f->packer, payload, &f->w);

		if (n < 0)
			memcpy(payload, f->records, bytes);
		else
			bytes = (size_t)n;
	}
	wire_put_header(f->frame, type, bytes);
	bytes += WIRE_HEADER_BYTES;
	conn_commit(f->conn, bytes);
	f->frame = NULL;
	return bytes;
}

void record_frame_release(struct record_frame *f)
{
	page_packer_free(f->packer);
	free(f->records);
	f->packer = NULL;
	f->records = NULL;
}
