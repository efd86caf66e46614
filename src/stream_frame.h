/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_frame.h - the frames of a packed stream; remus-stream(5).
 *
 * Only what packer and unpacker must agree on.
 */
#ifndef REMUS_STREAM_FRAME_H
#define REMUS_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "page_record.h"

#define STREAM_PACK_MAGIC "RemusStr"
/* 1 had no FRAME_STATE, 2 no page records version 3 */
#define STREAM_PACK_VERSION 3
#define STREAM_PACK_HEADER_BYTES 24
#define STREAM_FRAME_HEADER_BYTES 9
#define STREAM_FRAME_MAX ((uint32_t)1 << 20)
#define STREAM_BYTES_MAX ((size_t)64 << 10) /* of a frame of bytes */
#define STREAM_MARK_BYTES 17 /* flags, bytes, digest */
#define STREAM_END_CUT 1u    /* a flag */
/* Pages above this are never cached; nobody has so much memory. */
#define STREAM_CACHED_PAGES ((uint64_t)1 << 48)

enum stream_frame_type {
	FRAME_BYTES = 'B',	/* as they are */
	FRAME_STATE = 'S',	/* against those of the last epoch */
	FRAME_TAIL = 'T',	/* as they are; of a stream that was cut off */
	FRAME_PAGE_DATA = 'D',	/* what names the pages that follow */
	FRAME_PAGES = 'P',	/* page records */
	FRAME_CHECKPOINT = 'C', /* digest of all so far */
	FRAME_END = 'E',
};

struct stream_frame {
	uint8_t type;
	uint32_t length, checksum;
};

enum stream_mode { STREAM_OFF, STREAM_FAST, STREAM_TIGHT, STREAM_MODES };
const char *stream_mode_to_str(enum stream_mode mode);
bool stream_mode_parse(const char *text, enum stream_mode *out);

/* d is for this alone. */
uint32_t stream_checksum(struct digest *d, const uint8_t *head,
			 size_t head_bytes, const uint8_t *body, size_t bytes);

void stream_put16(uint8_t *p, uint16_t v);
void stream_put32(uint8_t *p, uint32_t v);
void stream_put64(uint8_t *p, uint64_t v);
uint16_t stream_get16(const uint8_t *p);
uint32_t stream_get32(const uint8_t *p);
uint64_t stream_get64(const uint8_t *p);

#endif
