/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_state.c - see stream_state.h.
 *
 * Behind what is known both buffers are zero, so that a block may reach beyond
 * it.
 */
#include "stream_state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stream_frame.h"

struct stream_state {
	uint8_t *last, *now; /* cap bytes and a block each */
	size_t cap, last_bytes, bytes;
	uint8_t old_tail[REMUS_PAGE_SIZE], new_tail[REMUS_PAGE_SIZE];
};

struct stream_state *stream_state_new(void)
{
	return calloc(1, sizeof(struct stream_state));
}

void stream_state_free(struct stream_state *s)
{
	if (s == NULL)
		return;
	free(s->last);
	free(s->now);
	free(s);
}

static bool grow(uint8_t **buf, size_t from, size_t to)
{
	uint8_t *more = realloc(*buf, to + REMUS_PAGE_SIZE);

	if (more == NULL)
		return false;
	*buf = more;
	/* The block behind `from` is zero already, if there was one. */
	memset(more + from, 0, to + REMUS_PAGE_SIZE - from);
	return true;
}

/* For `bytes` more, which are not too many. */
static bool make_room(struct stream_state *s, size_t bytes)
{
	size_t cap = s->cap > 0 ? s->cap : STREAM_STATE_BYTES / 4;

	while (cap < s->bytes + bytes)
		cap *= 2;
	if (cap == s->cap)
		return true;
	if (!grow(&s->last, s->cap, cap) || !grow(&s->now, s->cap, cap))
		return false;
	s->cap = cap;
	return true;
}

static void add(struct stream_state *s, const uint8_t *data, size_t bytes)
{
	if (bytes > 0)
		memcpy(s->now + s->bytes, data, bytes);
	s->bytes += bytes;
}

int stream_state_add(struct stream_state *s, const uint8_t *data, size_t bytes)
{
	if (bytes > STREAM_STATE_MAX - s->bytes)
		bytes = STREAM_STATE_MAX - s->bytes;
	if (!make_room(s, bytes))
		return -ENOMEM;
	add(s, data, bytes);
	return 0;
}

void stream_state_pages(struct stream_state *s)
{
	if (s->bytes > 0)
		memset(s->now, 0, s->bytes);
	s->bytes = 0;
}

void stream_state_checkpoint(struct stream_state *s)
{
	uint8_t *spare = s->last;

	if (s->last_bytes > 0)
		memset(spare, 0, s->last_bytes);
	s->last = s->now;
	s->last_bytes = s->bytes;
	s->now = spare;
	s->bytes = 0;
}

size_t stream_state_pack(struct stream_state *s, struct page_packer *p,
			 uint8_t *dst, uint8_t *scratch, const uint8_t *data,
			 size_t bytes)
{
	const uint8_t *old;
	struct page_writer w;
	size_t n;

	/* Of what was not there before nothing is known. */
	if (s->bytes >= s->last_bytes ||
	    bytes > STREAM_STATE_MAX - s->bytes || !make_room(s, bytes))
		return 0;
	old = s->last + s->bytes;
	if (p != NULL)
		page_pack_begin(&w, scratch, STREAM_STATE_SCRATCH,
				STREAM_STATE_BODY_MAX - STREAM_STATE_HEAD);
	else
		page_writer_init(&w, dst + STREAM_STATE_HEAD,
				 STREAM_STATE_BODY_MAX - STREAM_STATE_HEAD);
	for (size_t i = 0, at = 0; at < bytes; i++, at += REMUS_PAGE_SIZE)
		if (page_writer_add(&w, i,
				    page_block(s->old_tail, old + at, bytes - at),
				    page_block(s->new_tail, data + at, bytes - at),
				    PAGE_ALLOW_ALL, NULL) < 0)
			return 0;
	n = p != NULL ? page_pack(p, dst + STREAM_STATE_HEAD, &w)
		      : page_writer_bytes(&w);
	if (STREAM_STATE_HEAD + n >= bytes)
		return 0;
	stream_put16(dst, (uint16_t)(bytes - 1));
	add(s, data, bytes);
	return STREAM_STATE_HEAD + n;
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
	return bytes == 0 || (data[0] == 0 &&
			      memcmp(data, data + 1, bytes - 1) == 0);
}

/* The blocks of the records, one after the other, at `to`. */
static int make(struct stream_state *s, const struct page_payload *payload,
		uint8_t *to, size_t bytes)
{
	const uint8_t *old = s->last + s->bytes;
	struct page_reader r;
	struct page_record rec;
	uint64_t records = 0;
	size_t at = 0;
	int rc;

	page_unpack_read(payload, page_blocks(bytes), &r);
	while ((rc = page_reader_next(&r, &rec)) == 1) {
		size_t left = bytes - at;

		if (rec.gfn != records++)
			return -EBADMSG;
		left = left < REMUS_PAGE_SIZE ? left : REMUS_PAGE_SIZE;
		page_padded(to + at, old + at, left);
		if (page_record_apply(&rec, to + at) < 0)
			return -EBADMSG;
		at += left;
	}
	/* Every block, and nothing behind the last. */
	if (rc < 0 || at != bytes ||
	    (payload->records != 0 && payload->records != records) ||
	    !is_zero(to + at, page_blocks(bytes) * REMUS_PAGE_SIZE - bytes))
		return -EBADMSG;
	return 0;
}

int stream_state_unpack(struct stream_state *s, struct page_unpacker *u,
			const uint8_t *body, size_t len, const uint8_t **data,
			size_t *bytes)
{
	struct page_payload payload;
	size_t n;
	int rc;

	if (len <= STREAM_STATE_HEAD)
		return -EBADMSG;
	n = (size_t)stream_get16(body) + 1;
	if (n > STREAM_STATE_MAX - s->bytes)
		return -EBADMSG;
	if (!make_room(s, n))
		return -ENOMEM;
	rc = page_unpack(u, body + STREAM_STATE_HEAD, len - STREAM_STATE_HEAD,
			 page_blocks(n), &payload);
	if (rc == 0)
		rc = make(s, &payload, s->now + s->bytes, n);
	if (rc < 0)
		return rc;
	*data = s->now + s->bytes;
	*bytes = n;
	s->bytes += n;
	return 0;
}
