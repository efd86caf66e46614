/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_unpack.c - see stream_unpack.h.
 *
 * A frame is held whole and its checksum compared before it is looked at.
 */
#include "stream_unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page_cache.h"
#include "page_pack.h"
#include "stream_state.h"
#include "util.h"
#include "varint.h"

#define GATHERED_MAX 128 /* pages */

enum state { HEADER, FRAME, BODY, ENDED };

struct stream_unpacker {
	stream_write_fn *write;
	void *ctx;
	enum state state;
	enum stream_mode mode;
	unsigned int version;
	uint64_t memory_max;
	struct page_cache *cache;
	struct page_unpacker *unpacker;
	struct stream_state *others; /* bytes than pages */
	struct digest *all, *sum;
	uint64_t bytes;	 /* written */
	uint64_t offset; /* of what is held, in the packed stream */
	struct stream_frame frame;
	bool timed, tail, cut;
	uint64_t codec_ns;

	/* The record PAGE_DATA that we are in. */
	uint64_t *gfns;
	uint32_t pages, next;
	/* Of its pages those that are made and not given yet: where they lie.
	 * Of them in the cache, and the highest gfn of these. */
	const uint8_t *made[GATHERED_MAX];
	uint32_t gathered, in_cache;
	gfn_t last;

	int failed;
	char err[256];
	size_t have, want;
	uint8_t frame_head[STREAM_FRAME_HEADER_BYTES];
	uint8_t held[STREAM_FRAME_MAX];
	uint8_t head[STREAM_HELD_MAX]; /* of a PAGE_DATA */
};

static int bad(struct stream_unpacker *u, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static int bad(struct stream_unpacker *u, const char *fmt, ...)
{
	char why[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return set_err(u->err, sizeof(u->err), -EBADMSG,
		       "offset %" PRIu64 ": %s", u->offset, why);
}

static int give(struct stream_unpacker *u, const uint8_t *data, size_t bytes)
{
	digest_bytes(u->all, data, bytes);
	u->bytes += bytes;
	return u->write(u->ctx, data, bytes, false);
}

static int header(struct stream_unpacker *u)
{
	const uint8_t *h = u->held;
	uint64_t cache_bytes = stream_get64(h + 12);

	if (memcmp(h, STREAM_PACK_MAGIC, 8) != 0)
		return bad(u, "this is not a packed stream");
	u->version = stream_get16(h + 8);
	if (u->version < 1 || u->version > STREAM_PACK_VERSION)
		return bad(u, "packed by another version, %u", u->version);
	if (stream_checksum(u->sum, h, 20, h, 0) != stream_get32(h + 20))
		return bad(u, "the checksum of the header is wrong");
	u->mode = (enum stream_mode)stream_get16(h + 10);
	if (cache_bytes > u->memory_max)
		return bad(u, "it needs %" PRIu64 " bytes of memory; allowed "
			   "are %" PRIu64 " (--memory)", cache_bytes,
			   u->memory_max);
	if (cache_bytes > 0) {
		int rc = page_cache_create(&u->cache, STREAM_CACHED_PAGES,
					   cache_bytes);

		if (rc == -EINVAL)
			return bad(u, "a cache of %" PRIu64 " bytes",
				   cache_bytes);
		if (rc < 0)
			return set_err(u->err, sizeof(u->err), rc,
				       "no memory for a cache of %" PRIu64
				       " bytes", cache_bytes);
		page_cache_use_huge_pages(u->cache);
	}
	return 0;
}

/* ---- pages ---- */

static bool get_pfn(const uint8_t **at, const uint8_t *end, uint64_t *expected,
		    uint64_t *top, uint64_t *pfn)
{
	uint64_t v, gfn;
	int64_t gap;

	if (!varint_get(at, end, &v))
		return false;
	if (v & 1) {
		if (end - *at < 2 || (stream_get16(*at) == *top))
			return false;
		*top = stream_get16(*at);
		*at += 2;
	}
	v >>= 1;
	gap = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
	gfn = *expected + (uint64_t)gap;
	if (gfn > STREAM_PFN_MASK)
		return false;
	*expected = gfn + 1;
	*pfn = *top << 52 | gfn;
	return true;
}

static int page_data(struct stream_unpacker *u)
{
	const uint8_t *at = u->held, *end = at + u->frame.length;
	uint64_t count, reserved, expected = 0, top = 0, pfn;
	size_t head;

	if (!varint_get(&at, end, &count) || !varint_get(&at, end, &reserved) ||
	    count == 0 || count > STREAM_PFNS_MAX || reserved > UINT32_MAX)
		return bad(u, "a frame that names pages is malformed");
	u->pages = u->next = 0;
	for (uint64_t i = 0; i < count; i++) {
		if (!get_pfn(&at, end, &expected, &top, &pfn))
			return bad(u, "a frame that names pages is malformed");
		stream_put64(u->head + STREAM_PAGE_HEAD + 8 * i, pfn);
		if (stream_pfn_has_data(pfn))
			u->gfns[u->pages++] = pfn & STREAM_PFN_MASK;
	}
	if (at != end)
		return bad(u, "a frame that names pages is malformed");
	stream_state_pages(u->others);
	head = STREAM_PAGE_HEAD + 8 * (size_t)count;
	stream_put32(u->head, 1); /* PAGE_DATA */
	stream_put32(u->head + 4, (uint32_t)(head - 8 +
					    u->pages * REMUS_PAGE_SIZE));
	stream_put32(u->head + 8, (uint32_t)count);
	stream_put32(u->head + 12, (uint32_t)reserved);
	return give(u, u->head, head);
}

static bool is_behind(const uint8_t *page, const uint8_t *other)
{
	return (uintptr_t)page == (uintptr_t)other + REMUS_PAGE_SIZE;
}

/* Neighbours in one go. */
static int give_made(struct stream_unpacker *u, uint32_t n)
{
	int rc = 0;

	for (uint32_t i = 0, end; i < n && rc == 0; i = end) {
		for (end = i + 1; end < n; end++)
			if (!is_behind(u->made[end], u->made[end - 1]))
				break;
		rc = give(u, u->made[i], (end - i) * REMUS_PAGE_SIZE);
	}
	return rc;
}

static int give_gathered(struct stream_unpacker *u)
{
	uint64_t begin = u->timed ? now_thread_ns() : 0;
	int rc = give_made(u, u->gathered);

	u->gathered = u->in_cache = 0;
	if (u->timed) /* that was no decoding */
		u->codec_ns -= now_thread_ns() - begin;
	return rc;
}

/* The record's page is about to be written into the cache.  What is to be given
 * from there must not change before: neither is it given up for a new page nor,
 * as gfns ascend nearly always, written again. */
static bool must_give(const struct stream_unpacker *u, gfn_t gfn, bool known)
{
	return u->gathered == GATHERED_MAX ||
	       (u->in_cache > 0 && (!known || gfn <= u->last));
}

static int one_page(struct stream_unpacker *u, const struct page_record *rec)
{
	static const uint8_t zeroes[REMUS_PAGE_SIZE];
	gfn_t gfn = u->gfns[u->next];
	bool cached = u->cache != NULL && gfn < STREAM_CACHED_PAGES;
	bool known = cached && page_cache_lookup(u->cache, gfn) != NULL;
	const uint8_t *page = rec->kind == PAGE_ZERO ? zeroes : rec->data;
	bool change = rec->kind == PAGE_SAME || rec->kind == PAGE_DELTA;
	int rc = 0;

	if (rec->gfn != u->next)
		return bad(u, "pages are missing");
	if (!known && change)
		return bad(u, "a change of a page that is not known");
	if (must_give(u, gfn, known))
		rc = give_gathered(u);
	if (cached) {
		uint8_t *place = page_cache_insert(u->cache, gfn);

		if (page_record_apply(rec, place) < 0)
			return bad(u, "a page is malformed");
		if (change) {
			page = place;
			u->last = gfn;
			u->in_cache++;
		}
	}
	u->made[u->gathered++] = page;
	u->next++;
	return rc;
}

static int pages(struct stream_unpacker *u)
{
	struct page_payload payload;
	struct page_reader r;
	struct page_record rec;
	uint64_t records = 0;
	int rc = page_unpack(u->unpacker, u->held, u->frame.length,
			     u->pages - u->next, &payload);

	if (rc == -EBADMSG)
		return bad(u, "page records are malformed");
	if (rc < 0)
		return rc;
	page_unpack_read(&payload, u->pages, &r);
	while ((rc = page_reader_next(&r, &rec)) == 1) {
		records++;
		rc = one_page(u, &rec);
		if (rc < 0)
			return rc;
	}
	if (rc < 0 || (payload.records != 0 && payload.records != records))
		return bad(u, "page records are malformed");
	return give_gathered(u);
}

static int timed_pages(struct stream_unpacker *u)
{
	uint64_t begin = u->timed ? now_thread_ns() : 0;
	int rc = pages(u);

	if (u->timed)
		u->codec_ns += now_thread_ns() - begin;
	return rc;
}

/* ---- other bytes ---- */

static int as_they_are(struct stream_unpacker *u)
{
	int rc = stream_state_add(u->others, u->held, u->frame.length);

	return rc < 0 ? rc : give(u, u->held, u->frame.length);
}

static int changed(struct stream_unpacker *u)
{
	const uint8_t *data;
	size_t n;
	int rc = stream_state_unpack(u->others, u->unpacker, u->held,
				     u->frame.length, &data, &n);

	if (rc == -EBADMSG)
		return bad(u, "a difference from the last epoch is malformed");
	return rc < 0 ? rc : give(u, data, n);
}

/* ---- frames ---- */

static int mark(struct stream_unpacker *u)
{
	if (u->frame.length != STREAM_MARK_BYTES)
		return bad(u, "a mark of %" PRIu32 " bytes", u->frame.length);
	if (stream_get64(u->held + 1) != u->bytes ||
	    stream_get64(u->held + 9) != digest_value(u->all))
		return bad(u, "what was unpacked is not what was packed");
	if (u->frame.type == FRAME_CHECKPOINT) {
		stream_state_checkpoint(u->others);
		return u->write(u->ctx, u->held, 0, true);
	}
	u->cut = u->held[0] & STREAM_END_CUT;
	u->state = ENDED;
	return 0;
}

/* A whole frame, its checksum right. */
static int take(struct stream_unpacker *u)
{
	uint8_t type = u->frame.type;

	if (u->tail && type != FRAME_TAIL && type != FRAME_END)
		return bad(u, "a frame behind the tail");
	if (u->next < u->pages && type != FRAME_PAGES && type != FRAME_TAIL &&
	    type != FRAME_END)
		return bad(u, "pages are missing");
	switch (type) {
	case FRAME_TAIL:
		u->tail = true;
		return give(u, u->held, u->frame.length);
	case FRAME_BYTES:
		return as_they_are(u);
	case FRAME_STATE:
		if (u->version < 2)
			break;
		return changed(u);
	case FRAME_PAGE_DATA:
		return page_data(u);
	case FRAME_PAGES:
		return timed_pages(u);
	case FRAME_CHECKPOINT:
	case FRAME_END:
		return mark(u);
	}
	return bad(u, "a frame of unknown type 0x%02x", type);
}

static int frame_header(struct stream_unpacker *u)
{
	const uint8_t *h = u->held;

	u->frame = (struct stream_frame){ .type = h[0],
					  .length = stream_get32(h + 1),
					  .checksum = stream_get32(h + 5) };
	if (u->frame.length == 0 || u->frame.length > STREAM_FRAME_MAX)
		return bad(u, "a frame of %" PRIu32 " bytes; 1 to %" PRIu32
			   " are allowed", u->frame.length, STREAM_FRAME_MAX);
	memcpy(u->frame_head, h, sizeof(u->frame_head));
	return 0;
}

static int handle_held(struct stream_unpacker *u)
{
	int rc;

	switch (u->state) {
	case HEADER:
		rc = header(u);
		break;
	case FRAME:
		rc = frame_header(u);
		u->state = BODY;
		u->want = u->frame.length;
		u->have = 0;
		return rc;
	default:
		if (stream_checksum(u->sum, u->frame_head, 5, u->held,
				    u->have) != u->frame.checksum)
			return bad(u, "the checksum of a frame is wrong");
		rc = take(u);
		u->offset += STREAM_FRAME_HEADER_BYTES;
	}
	u->offset += u->have;
	u->have = 0;
	u->want = STREAM_FRAME_HEADER_BYTES;
	if (u->state != ENDED)
		u->state = FRAME;
	return rc;
}

int stream_unpacker_feed(struct stream_unpacker *u, const void *data,
			 size_t bytes)
{
	const uint8_t *at = data;

	while (u->failed == 0 && bytes > 0) {
		size_t n = u->want - u->have;

		if (u->state == ENDED) {
			u->failed = bad(u, "something follows the end");
			break;
		}
		n = n < bytes ? n : bytes;
		memcpy(u->held + u->have, at, n);
		u->have += n;
		at += n;
		bytes -= n;
		if (u->have == u->want)
			u->failed = handle_held(u);
	}
	return u->failed;
}

int stream_unpacker_finish(struct stream_unpacker *u)
{
	if (u->failed != 0)
		return u->failed;
	if (u->state == HEADER)
		return u->failed = bad(u, "this is not a packed stream");
	if (u->state != ENDED) {
		set_err(u->err, sizeof(u->err), 0, "the packed stream is cut "
			"off at offset %" PRIu64 "; %" PRIu64 " bytes of the "
			"stream are there", u->offset, u->bytes);
		return 2;
	}
	if (!u->cut)
		return 0;
	set_err(u->err, sizeof(u->err), 0, "the stream was cut off at offset %"
		PRIu64 " before it was packed", u->bytes);
	return 1;
}

/* ---- life ---- */

struct stream_unpacker *stream_unpacker_new(uint64_t memory_max,
					    stream_write_fn *write, void *ctx)
{
	struct stream_unpacker *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->write = write;
	u->ctx = ctx;
	u->memory_max = memory_max;
	u->want = STREAM_PACK_HEADER_BYTES;
	u->all = digest_new();
	u->sum = digest_new();
	u->gfns = malloc(STREAM_PFNS_MAX * sizeof(*u->gfns));
	u->others = stream_state_new();
	if (u->all == NULL || u->sum == NULL || u->gfns == NULL ||
	    u->others == NULL ||
	    page_unpacker_new(&u->unpacker) < 0) {
		stream_unpacker_free(u);
		return NULL;
	}
	return u;
}

void stream_unpacker_free(struct stream_unpacker *u)
{
	if (u == NULL)
		return;
	page_cache_destroy(u->cache);
	page_unpacker_free(u->unpacker);
	stream_state_free(u->others);
	digest_free(u->all);
	digest_free(u->sum);
	free(u->gfns);
	free(u);
}

void stream_unpacker_time(struct stream_unpacker *u)
{
	u->timed = true;
}

const char *stream_unpacker_error(const struct stream_unpacker *u)
{
	return u->failed == -ENOMEM && u->err[0] == '\0' ? "no memory" : u->err;
}

uint64_t stream_unpacker_bytes(const struct stream_unpacker *u)
{
	return u->bytes;
}

uint64_t stream_unpacker_codec_ns(const struct stream_unpacker *u)
{
	return u->codec_ns;
}

enum stream_mode stream_unpacker_mode(const struct stream_unpacker *u)
{
	return u->mode;
}
