/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_stream - libFuzzer target for streams of Xen (S8).
 *
 * The first byte says how the rest is taken:
 *
 *   even   as a stream: what the parser hands on is the stream, and what is
 *          packed of it and unpacked is the same bytes
 *   odd    as frames of a packed stream, type, length and body each, to which
 *          the right checksums are put: nothing but -EBADMSG may come of it
 *
 * The bits above it choose the mode, and the size of the pieces.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_check.h"
#include "page_cache.h"
#include "stream_unpack.h"

#define MEMORY PAGE_CACHE_BYTES_MIN
#define OUT_MAX ((size_t)64 << 20)

struct bytes {
	uint8_t *data;
	size_t bytes, cap;
};

static int append(void *ctx, const void *data, size_t bytes, bool flush)
{
	struct bytes *b = ctx;

	(void)flush;
	if (b->bytes + bytes > OUT_MAX)
		return -EFBIG;
	if (b->cap - b->bytes < bytes) {
		b->cap = 2 * b->cap + bytes;
		b->data = realloc(b->data, b->cap);
		CHECK(b->data != NULL);
	}
	if (bytes > 0)
		memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	return 0;
}

static int unpack(struct bytes *out, const struct bytes *in, size_t step)
{
	struct stream_unpacker *u = stream_unpacker_new(MEMORY, append, out);
	int rc = 0;

	CHECK(u != NULL);
	for (size_t at = 0; at < in->bytes && rc == 0; at += step)
		rc = stream_unpacker_feed(u, in->data + at, in->bytes - at <
					  step ? in->bytes - at : step);
	if (rc == 0)
		rc = stream_unpacker_finish(u);
	CHECK(rc >= 0 || *stream_unpacker_error(u) != '\0' || rc == -EFBIG);
	CHECK(stream_unpacker_bytes(u) >= out->bytes);
	stream_unpacker_free(u);
	return rc;
}

static void as_stream(const uint8_t *data, size_t size, enum stream_mode mode,
		      size_t step)
{
	struct bytes packed = { .data = NULL }, out = { .data = NULL };
	struct stream_packer *p;
	int rc = 0, r;

	CHECK(stream_packer_new(&p, mode, MEMORY, append, &packed) == 0);
	for (size_t at = 0; at < size && rc == 0; at += step)
		rc = stream_packer_feed(p, data + at, size - at < step
					? size - at : step);
	if (rc == 0)
		rc = stream_packer_finish(p);
	CHECK(rc == 0 || rc == 1 || rc == -EBADMSG);
	CHECK(rc == 0 || *stream_packer_error(p) != '\0');
	r = unpack(&out, &packed, step);
	if (rc >= 0) {
		CHECK(r == rc && out.bytes == size);
	} else {
		/* A header has to be whole before anything is written. */
		CHECK(r == 2 || (packed.bytes == 0 && r == -EBADMSG));
	}
	CHECK(out.bytes <= size);
	CHECK(out.bytes == 0 || memcmp(out.data, data, out.bytes) == 0);
	stream_packer_free(p);
	free(packed.data);
	free(out.data);
}

static void frame(struct bytes *b, uint8_t type, const uint8_t *body,
		  uint32_t bytes)
{
	uint8_t head[STREAM_FRAME_HEADER_BYTES];
	struct digest *d = digest_new();

	CHECK(d != NULL);
	head[0] = type;
	stream_put32(head + 1, bytes);
	stream_put32(head + 5, stream_checksum(d, head, 5, body, bytes));
	append(b, head, sizeof(head), false);
	append(b, body, bytes, false);
	digest_free(d);
}

/* TYPE LENGTH(2) BODY, again and again. */
static void as_frames(const uint8_t *data, size_t size, enum stream_mode mode,
		      size_t step)
{
	struct bytes packed = { .data = NULL }, out = { .data = NULL };
	struct stream_packer *p;
	int rc;

	/* Its end is cut away. */
	CHECK(stream_packer_new(&p, mode, MEMORY, append, &packed) == 0);
	CHECK(stream_packer_finish(p) == 1);
	stream_packer_free(p);
	packed.bytes = STREAM_PACK_HEADER_BYTES;
	while (size >= 3) {
		uint32_t n = data[1] | (uint32_t)data[2] << 8;

		n = n < size - 3 ? n : (uint32_t)(size - 3);
		frame(&packed, data[0], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
	}
	rc = unpack(&out, &packed, step);
	CHECK(rc >= 0 || rc == -EBADMSG || rc == -EFBIG);
	free(packed.data);
	free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1 << 20, 4096, 61, 5 };
	enum stream_mode mode;
	size_t step;

	if (size == 0)
		return 0;
	mode = (enum stream_mode)((data[0] >> 1) % STREAM_MODES);
	step = steps[data[0] >> 6];
	if (data[0] & 1)
		as_frames(data + 1, size - 1, mode, step);
	else
		as_stream(data + 1, size - 1, mode, step);
	return 0;
}
