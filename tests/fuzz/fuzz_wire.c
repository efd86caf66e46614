/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_wire.c - any bytes as a sequence of frames.
 *
 * Walks the input as conn does: header, payload, next.  A payload that a
 * decoder takes must encode to the same bytes again; then every decoder gets
 * it, too, whatever its type says.
 */
#include <stdlib.h>

#include "../unit/wire_recode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_recoding(unsigned int type, const uint8_t *payload,
			   size_t len)
{
	uint8_t again[WIRE_SMALL_MAX];
	union wire_any m;
	size_t bytes;

	if (wire_get_any(type, payload, len, &m) != 0)
		return;
	bytes = wire_put_any(type, again, &m);
	if (bytes != WIRE_HEADER_BYTES + len ||
	    memcmp(again + WIRE_HEADER_BYTES, payload, len) != 0)
		abort();
}

static void walk_output(const uint8_t *payload, size_t len)
{
	uint8_t again[WIRE_OUTPUT_FRAME_BYTES + WIRE_OUTPUT_FRAME_MAX];
	size_t at = 0, from = 0, frame_len;
	const uint8_t *frame;

	while (wire_get_output_frame(payload, len, &at, &frame,
				     &frame_len) == 1) {
		if (wire_put_output_frame(again, frame, frame_len) !=
			    at - from ||
		    memcmp(again, payload + from, at - from) != 0)
			abort();
		from = at;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size >= WIRE_HEADER_BYTES) {
		uint8_t again[WIRE_HEADER_BYTES];
		struct wire_header h;
		size_t len;

		if (wire_get_header(data, &h) == 0) {
			wire_put_header(again, h.type, h.payload_bytes);
			if (memcmp(again, data, sizeof(again)) != 0)
				abort();
			len = h.payload_bytes;
		} else {
			len = size - WIRE_HEADER_BYTES;
		}
		data += WIRE_HEADER_BYTES;
		size -= WIRE_HEADER_BYTES;
		if (len > size)
			len = size; /* a torn frame: the decoders must see it */
		for (unsigned int type = 0; type < 16; type++)
			check_recoding(type, data, len);
		walk_output(data, len);
		data += len;
		size -= len;
	}
	return 0;
}
