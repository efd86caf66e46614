/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_pack.c - see stream_pack.h.
 *
 * parser -> events -> frames.  Bytes are gathered and written as one frame
 * before any other kind of frame; page records are written when the record
 * PAGE_DATA that they belong to is complete, or when there are enough of them.
 */
#include "stream_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "page_pack.h"
#include "stream_state.h"
#include "util.h"
#include "varint.h"

/* Page records worth a frame. */
#define PAYLOAD_BYTES PAGE_PACK_RECORDS_BYTES

_Static_assert(STREAM_BYTES_MAX <= STREAM_STATE_BYTES &&
		       STREAM_STATE_SCRATCH <= PAYLOAD_BYTES,
	       "what is gathered goes into one frame, and its body fits");

struct stream_packer {
	struct stream_parser *parser;
	enum stream_mode mode;
	unsigned int kinds;
	stream_write_fn *write;
	void *ctx;
	stream_watch_fn *watch;
	void *watch_ctx;
	bool header_written, timed;
	uint64_t cache_bytes;
	struct page_cache *cache; /* NULL in mode off */
	struct page_packer *packer; /* mode tight */
	struct stream_state *others; /* bytes than pages; NULL in mode off */
	struct digest *all, *sum; /* of the stream; for checksums */
	uint64_t bytes;		  /* of the stream, in frames or about to be */
	struct stream_pack_stats stats;
	uint64_t frames_ns; /* spent with writing frames: no encoding */

	/* The record PAGE_DATA that we are in. */
	uint64_t *gfns; /* of its pages with content */
	uint32_t pages, next;
	struct page_writer w;

	size_t held; /* of bytes[] */
	uint8_t held_bytes[STREAM_BYTES_MAX];
	uint8_t payload[PAYLOAD_BYTES], packed[PAYLOAD_BYTES];
	/* Worst case of FRAME_PAGE_DATA: 8 bytes of varint and 2 of type. */
	uint8_t page_data[16 + 10 * STREAM_PFNS_MAX];
};

static int frame(struct stream_packer *p, enum stream_frame_type type,
		 const uint8_t *body, size_t bytes)
{
	uint8_t head[STREAM_FRAME_HEADER_BYTES];
	bool flush = type == FRAME_CHECKPOINT || type == FRAME_END;
	uint64_t begin = p->timed ? now_thread_ns() : 0;
	int rc;

	head[0] = (uint8_t)type;
	stream_put32(head + 1, (uint32_t)bytes);
	stream_put32(head + 5, stream_checksum(p->sum, head, 5, body, bytes));
	rc = p->write(p->ctx, head, sizeof(head), false);
	if (rc == 0)
		rc = p->write(p->ctx, body, bytes, flush);
	if (p->timed)
		p->frames_ns += now_thread_ns() - begin;
	return rc;
}

static int header(struct stream_packer *p)
{
	uint8_t head[STREAM_PACK_HEADER_BYTES];

	if (p->header_written)
		return 0;
	p->header_written = true;
	memcpy(head, STREAM_PACK_MAGIC, 8);
	stream_put16(head + 8, STREAM_PACK_VERSION);
	stream_put16(head + 10, (uint16_t)p->mode);
	stream_put64(head + 12, p->cache_bytes);
	stream_put32(head + 20, stream_checksum(p->sum, head, 20, head, 0));
	return p->write(p->ctx, head, sizeof(head), false);
}

/* No page record is held when there are bytes. */
static int flush_bytes(struct stream_packer *p)
{
	size_t n = p->held, packed;
	int rc;

	p->held = 0;
	if (n == 0)
		return 0;
	if (p->others != NULL) {
		packed = stream_state_pack(p->others, p->packer, p->payload,
					   p->packed, p->held_bytes, n);
		if (packed > 0)
			return frame(p, FRAME_STATE, p->payload, packed);
		rc = stream_state_add(p->others, p->held_bytes, n);
		if (rc < 0)
			return rc;
	}
	return frame(p, FRAME_BYTES, p->held_bytes, n);
}

static int add_bytes(struct stream_packer *p, const uint8_t *data, size_t bytes)
{
	while (bytes > 0) {
		size_t n = STREAM_BYTES_MAX - p->held;
		int rc;

		n = n < bytes ? n : bytes;
		memcpy(p->held_bytes + p->held, data, n);
		p->held += n;
		data += n;
		bytes -= n;
		rc = p->held == STREAM_BYTES_MAX ? flush_bytes(p) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- pages ---- */

static void begin_pages(struct stream_packer *p)
{
	if (p->mode == STREAM_TIGHT)
		page_pack_begin(&p->w, p->payload, PAYLOAD_BYTES,
				PAYLOAD_BYTES);
	else
		page_writer_init(&p->w, p->payload, PAYLOAD_BYTES);
}

static uint64_t zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static int page_data(struct stream_packer *p, const struct stream_event *ev)
{
	const uint8_t *pfns = ev->data + STREAM_PAGE_HEAD;
	uint8_t *at = p->page_data;
	uint64_t expected = 0, top = 0;
	int rc = flush_bytes(p);

	if (p->others != NULL)
		stream_state_pages(p->others);
	at += varint_put(at, ev->pfns);
	at += varint_put(at, stream_get32(ev->data + 12)); /* reserved */
	p->pages = 0;
	for (uint32_t i = 0; i < ev->pfns; i++) {
		uint64_t pfn = stream_get64(pfns + 8 * (size_t)i);
		uint64_t gfn = pfn & STREAM_PFN_MASK;
		bool other = pfn >> 52 != top;

		top = pfn >> 52;
		at += varint_put(at, zigzag((int64_t)(gfn - expected)) << 1 |
				     other);
		if (other) {
			stream_put16(at, (uint16_t)top);
			at += 2;
		}
		expected = gfn + 1;
		if (stream_pfn_has_data(pfn))
			p->gfns[p->pages++] = gfn;
	}
	p->next = 0;
	begin_pages(p);
	return rc < 0 ? rc : frame(p, FRAME_PAGE_DATA, p->page_data,
				   (size_t)(at - p->page_data));
}

static int flush_pages(struct stream_packer *p)
{
	size_t n = page_writer_bytes(&p->w);
	const uint8_t *body = p->payload;

	if (n == 0)
		return 0;
	for (int k = 0; k < PAGE_KINDS; k++)
		p->stats.records[k] += p->w.records[k];
	if (p->packer != NULL) {
		n = page_pack(p->packer, p->packed, &p->w);
		body = p->packed;
	}
	begin_pages(p);
	return frame(p, FRAME_PAGES, body, n);
}

static bool is_cached(const struct stream_packer *p, gfn_t gfn)
{
	return p->cache != NULL && gfn < STREAM_CACHED_PAGES;
}

static int write_page(struct stream_packer *p, const uint8_t *old,
		      const uint8_t *new, const struct page_look *look,
		      enum page_kind *kind)
{
	return page_writer_add_groups(&p->w, p->next, old, new,
				      page_look_groups(look, old), p->kinds,
				      kind);
}

/* Page `next` of the record.  The unpacker does the same with its cache. */
static int add_page(struct stream_packer *p, const uint8_t *new,
		    const struct page_look *look)
{
	gfn_t gfn = p->gfns[p->next];
	bool cached = is_cached(p, gfn);
	uint8_t *old = cached ? page_cache_lookup(p->cache, gfn) : NULL;
	enum page_kind kind;
	int rc = write_page(p, old, new, look, &kind);

	if (rc == -ENOSPC) {
		rc = flush_pages(p);
		if (rc == 0)
			rc = write_page(p, old, new, look, &kind);
	}
	if (rc < 0)
		return rc;
	p->next++;
	if (cached)
		page_cache_sent(p->cache, gfn, old, new, look, &p->w, kind);
	return 0;
}

/* Into *out.  gfns[0..ahead) come before its turn, gfns[ahead] is its own: if that
 * is among them, what it will be compared with is not there yet. */
static void look_at(const struct stream_packer *p, const uint64_t *gfns,
		    uint32_t ahead, const uint8_t *new, struct page_look *out)
{
	bool again = false;

	for (uint32_t i = 0; i < ahead; i++)
		again = again || gfns[i] == gfns[ahead];
	if (is_cached(p, gfns[ahead]) && !again)
		page_cache_look(p->cache, gfns[ahead], new, out);
	else
		*out = (struct page_look){ .groups = PAGE_GROUPS_ALL };
}

static int add_pages(struct stream_packer *p, const uint8_t *data,
		     uint32_t count)
{
	struct page_look looks[PAGE_LOOK_AHEAD];
	uint32_t seen = 0;
	int rc = 0;

	for (uint32_t i = 0; i < count && rc == 0; i++) {
		for (; seen < count && seen < i + PAGE_LOOK_AHEAD; seen++)
			look_at(p, p->gfns + p->next, seen - i,
				data + (size_t)seen * REMUS_PAGE_SIZE,
				&looks[seen % PAGE_LOOK_AHEAD]);
		rc = add_page(p, data + (size_t)i * REMUS_PAGE_SIZE,
			      &looks[i % PAGE_LOOK_AHEAD]);
	}
	return rc;
}

static int pages(struct stream_packer *p, const struct stream_event *ev)
{
	uint64_t begin;
	int rc;

	if (p->watch != NULL)
		p->watch(p->watch_ctx, p->cache, p->gfns + p->next, ev->data,
			 ev->pages);
	begin = p->timed ? now_thread_ns() - p->frames_ns : 0;
	rc = add_pages(p, ev->data, ev->pages);
	if (rc == 0 && p->next == p->pages)
		rc = flush_pages(p);
	p->stats.pages += ev->pages;
	p->stats.pages_bytes += ev->bytes;
	if (p->timed)
		p->stats.codec_ns += now_thread_ns() - p->frames_ns - begin;
	return rc;
}

/* ---- events ---- */

static int mark(struct stream_packer *p, enum stream_frame_type type,
		unsigned int flags)
{
	uint8_t body[STREAM_MARK_BYTES];
	int rc = flush_bytes(p);

	if (p->others != NULL)
		stream_state_checkpoint(p->others);
	body[0] = (uint8_t)flags;
	stream_put64(body + 1, p->bytes);
	stream_put64(body + 9, digest_value(p->all));
	return rc < 0 ? rc : frame(p, type, body, sizeof(body));
}

static int tail(struct stream_packer *p, const uint8_t *data, size_t bytes)
{
	int rc = flush_bytes(p);

	while (rc == 0 && bytes > 0) {
		size_t n = bytes < STREAM_BYTES_MAX ? bytes : STREAM_BYTES_MAX;

		rc = frame(p, FRAME_TAIL, data, n);
		data += n;
		bytes -= n;
	}
	return rc;
}

static int on_event(void *ctx, const struct stream_event *ev)
{
	struct stream_packer *p = ctx;
	int rc = header(p);

	if (rc < 0)
		return rc;
	digest_bytes(p->all, ev->data, ev->bytes);
	p->bytes += ev->bytes;
	switch (ev->kind) {
	case STREAM_HEADER:
	case STREAM_RECORD:
	case STREAM_BODY:
		return add_bytes(p, ev->data, ev->bytes);
	case STREAM_PAGE_DATA:
		return page_data(p, ev);
	case STREAM_PAGES:
		return pages(p, ev);
	case STREAM_CHECKPOINT:
		return mark(p, FRAME_CHECKPOINT, 0);
	case STREAM_END:
		return 0;
	case STREAM_TAIL:
		rc = flush_pages(p);
		return rc < 0 ? rc : tail(p, ev->data, ev->bytes);
	}
	return -EINVAL;
}

int stream_packer_feed(struct stream_packer *p, const void *data, size_t bytes)
{
	return stream_parser_feed(p->parser, data, bytes);
}

int stream_packer_finish(struct stream_packer *p)
{
	int cut = stream_parser_finish(p->parser), rc;

	if (cut < 0)
		return cut;
	rc = header(p);
	if (rc == 0)
		rc = flush_pages(p);
	if (rc == 0)
		rc = mark(p, FRAME_END, cut ? STREAM_END_CUT : 0);
	return rc < 0 ? rc : cut;
}

/* ---- life ---- */

static int set_mode(struct stream_packer *p, enum stream_mode mode,
		    uint64_t cache_bytes)
{
	int rc;

	p->mode = mode;
	p->kinds = mode == STREAM_OFF ? PAGE_ALLOW_RAW : PAGE_ALLOW_ALL;
	if (mode == STREAM_TIGHT && page_packer_new(&p->packer) < 0)
		return -ENOMEM;
	if (mode == STREAM_OFF)
		return 0;
	p->cache_bytes = cache_bytes;
	p->others = stream_state_new();
	if (p->others == NULL)
		return -ENOMEM;
	rc = page_cache_create(&p->cache, STREAM_CACHED_PAGES, cache_bytes);
	if (rc == 0) {
		/* Without them the old pages are read. */
		(void)page_cache_keep_sums(p->cache);
		page_cache_use_huge_pages(p->cache);
	}
	return rc;
}

int stream_packer_new(struct stream_packer **out, enum stream_mode mode,
		      uint64_t cache_bytes, stream_write_fn *write, void *ctx)
{
	struct stream_packer *p = calloc(1, sizeof(*p));
	int rc = -ENOMEM;

	*out = NULL;
	if (p == NULL)
		return rc;
	p->write = write;
	p->ctx = ctx;
	p->parser = stream_parser_new(on_event, p);
	p->all = digest_new();
	p->sum = digest_new();
	p->gfns = malloc(STREAM_PFNS_MAX * sizeof(*p->gfns));
	page_writer_init(&p->w, p->payload, PAYLOAD_BYTES);
	if (p->parser != NULL && p->all != NULL && p->sum != NULL &&
	    p->gfns != NULL)
		rc = set_mode(p, mode, cache_bytes);
	if (rc < 0) {
		stream_packer_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void stream_packer_free(struct stream_packer *p)
{
	if (p == NULL)
		return;
	stream_parser_free(p->parser);
	page_cache_destroy(p->cache);
	page_packer_free(p->packer);
	stream_state_free(p->others);
	digest_free(p->all);
	digest_free(p->sum);
	free(p->gfns);
	free(p);
}

void stream_packer_time(struct stream_packer *p)
{
	p->timed = true;
}

void stream_packer_watch(struct stream_packer *p, stream_watch_fn *fn,
			 void *ctx)
{
	p->watch = fn;
	p->watch_ctx = ctx;
}

const char *stream_packer_error(const struct stream_packer *p)
{
	return stream_parser_error(p->parser);
}

const struct stream_info *stream_packer_info(const struct stream_packer *p)
{
	return stream_parser_info(p->parser);
}

const struct stream_pack_stats *
stream_packer_stats(const struct stream_packer *p)
{
	return &p->stats;
}
