/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_pack.c - see page_pack.h and remus-page-records(7). */
#include "page_pack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "page_record.h"
#include "varint.h"
#include "wire.h"

/*
 * How zstd is told to go about it; 0: as is usual for the level.  By measurement,
 * as page_pack.h's numbers.
 *
 * What changed is short, and is found again a little before in other pages: a small
 * table, which stays in the first cache and is cleared for each payload.  Negative
 * levels leave the literals as they are: to code them takes a quarter of the time,
 * and is worth less.  They are coded after all where nothing much was found and the
 * literals are nearly all there is, unless that is too little to pay for the codes.
 *
 * Of text that was rewritten there is as much, but what is found again is long: who
 * looks for less of it finds most all the same.  What comes the first time waits for
 * the link, no guest for it: there every byte counts.
 */
static const struct how {
	int level, strategy, hash_log, min_match;
} how_changed = { -2, ZSTD_fast, 12, 6 },
  how_literals = { 1, ZSTD_fast, 9, 6 },
  how_text = { -16, ZSTD_fast, 11, 7 },
  how_first = { 1, 0, 0, 0 };
#define LITTLE ((size_t)12 << 10)
/* Of so many words of a page of text few have a byte of 0. */
#define SAMPLES 16
#define SAMPLES_ZERO 3

enum form { FORM_PLAIN = 0, FORM_ZSTD = 1 };

struct page_packer {
	ZSTD_CCtx *zstd;
	const struct how *how; /* it is set to; NULL: to no whole one */
};

struct page_unpacker {
	ZSTD_DCtx *zstd;
	uint8_t *buf; /* WIRE_PAYLOAD_MAX bytes, from the first frame on */
};

static bool set(ZSTD_CCtx *zstd, ZSTD_cParameter which, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, which, value));
}

static bool set_how(struct page_packer *p, const struct how *how)
{
	if (p->how == how)
		return true;
	p->how = NULL;
	if (!set(p->zstd, ZSTD_c_compressionLevel, how->level) ||
	    !set(p->zstd, ZSTD_c_strategy, how->strategy) ||
	    !set(p->zstd, ZSTD_c_hashLog, how->hash_log) ||
	    !set(p->zstd, ZSTD_c_minMatch, how->min_match))
		return false;
	p->how = how;
	return true;
}

int page_packer_new(struct page_packer **out)
{
	struct page_packer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->zstd = ZSTD_createCCtx();
	if (p->zstd == NULL || !set_how(p, &how_changed)) {
		page_packer_free(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

void page_packer_free(struct page_packer *p)
{
	if (p == NULL)
		return;
	ZSTD_freeCCtx(p->zstd);
	free(p);
}

/* 0: no shorter than content. */
static size_t pack(struct page_packer *p, const struct how *how, uint8_t *dst,
		   const uint8_t *content, size_t bytes)
{
	size_t r;

	if (!set_how(p, how))
		return 0;
	r = ZSTD_compress2(p->zstd, dst, bytes - 1, content, bytes);
	/* Only for want of room, or of memory: sent as it is in both cases. */
	return ZSTD_isError(r) ? 0 : r;
}

/* No text: pointers and small numbers.  (Noise has to be got over fast, too.) */
static bool is_binary(const uint8_t *page)
{
	unsigned int zero = 0;

	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t x;

		/* a prime number of words: not one field of some structs */
		memcpy(&x, page + i * 37 * sizeof(x) % REMUS_PAGE_SIZE,
		       sizeof(x));
		zero += nonzero_bytes(x) != nonzero_bytes(UINT64_MAX);
	}
	return zero > SAMPLES_ZERO;
}

/* Most of the RAW pages. */
static bool are_text(uint64_t raw, const uint8_t *content, size_t bytes,
		     size_t heads)
{
	struct page_reader r;
	struct page_record rec;
	uint64_t binary = 0;

	page_reader_init_columns(&r, content, bytes, heads, PAGE_GFN_MAX);
	while (page_reader_next(&r, &rec) == 1)
		binary += rec.kind == PAGE_RAW && is_binary(rec.data);
	return binary <= raw / 2;
}

static size_t pack_best(struct page_packer *p, const struct page_writer *w,
			uint8_t *dst, const uint8_t *content, size_t bytes,
			size_t heads)
{
	uint64_t raw = w->records[PAGE_RAW];
	size_t n;

	if (raw * REMUS_PAGE_SIZE > bytes / 10 * 7) {
		if (w->first > raw / 2)
			return pack(p, &how_first, dst, content, bytes);
		if (are_text(raw, content, bytes, heads))
			return pack(p, &how_text, dst, content, bytes);
	}
	n = pack(p, &how_changed, dst, content, bytes);
	if (bytes < LITTLE || (n > 0 && n < bytes / 4 * 3))
		return n;
	return pack(p, &how_literals, dst, content, bytes);
}

void page_pack_begin(struct page_writer *w, uint8_t *buf, size_t buf_bytes,
		     size_t cap)
{
	page_writer_init_columns(w, buf, buf_bytes, cap);
	w->delta_max = PAGE_PACK_DELTA_MAX;
}

size_t page_pack(struct page_packer *p, uint8_t *dst, struct page_writer *w)
{
	size_t heads, bytes, n;
	const uint8_t *content = page_writer_columns(w, &heads, &bytes);
	uint8_t *at = dst, *form;

	*at++ = PAGE_COLUMNS_VERSION;
	form = at++;
	at += varint_put(at, page_writer_records(w));
	at += varint_put(at, heads);
	n = pack_best(p, w, at, content, bytes, heads);
	*form = n > 0 ? FORM_ZSTD : FORM_PLAIN;
	if (n == 0) {
		memcpy(at, content, bytes);
		n = bytes;
	}
	return (size_t)(at - dst) + n;
}

int page_unpacker_new(struct page_unpacker **out)
{
	struct page_unpacker *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	*out = u;
	return 0;
}

void page_unpacker_free(struct page_unpacker *u)
{
	if (u == NULL)
		return;
	ZSTD_freeDCtx(u->zstd);
	free(u->buf);
	free(u);
}

/* Memory for it, once a peer sends such payloads at all. */
static bool get_ready(struct page_unpacker *u)
{
	if (u->zstd == NULL)
		u->zstd = ZSTD_createDCtx();
	if (u->buf == NULL)
		u->buf = malloc(WIRE_PAYLOAD_MAX);
	return u->zstd != NULL && u->buf != NULL;
}

/* The bytes that the frame at[0..len) claims to hold; 0 when it is not exactly
 * one frame that says so, or they are more than `records` can need. */
static size_t claimed_bytes(const uint8_t *at, size_t len, uint64_t records)
{
	unsigned long long bytes = ZSTD_getFrameContentSize(at, len);
	uint64_t most = WIRE_PAYLOAD_MAX;

	if (records < most / PAGE_RECORD_MAX)
		most = PAGE_PAYLOAD_HEADER_MAX + records * PAGE_RECORD_MAX;
	/* Unknown and error are numbers above any bound. */
	if (bytes > most || ZSTD_findFrameCompressedSize(at, len) != len)
		return 0;
	return (size_t)bytes;
}

/* The frame at[0..len) into the unpacker's memory. */
static int unpack_frame(struct page_unpacker *u, const uint8_t *at, size_t len,
			struct page_payload *out)
{
	size_t bytes = claimed_bytes(at, len, out->records);

	if (bytes == 0)
		return -EBADMSG;
	if (!get_ready(u))
		return -ENOMEM;
	if (ZSTD_decompressDCtx(u->zstd, u->buf, bytes, at, len) != bytes)
		return -EBADMSG;
	out->data = u->buf;
	out->bytes = bytes;
	return 0;
}

int page_unpack(struct page_unpacker *u, const uint8_t *payload, size_t len,
		uint64_t npages, struct page_payload *out)
{
	const uint8_t *at = payload, *end = payload + len;
	uint64_t heads = 0;
	unsigned int version, form = FORM_ZSTD;
	int rc = 0;

	*out = (struct page_payload){ .data = payload, .bytes = len };
	version = len > 0 ? *at++ : 0;
	if (version != PAGE_PACK_VERSION && version != PAGE_COLUMNS_VERSION)
		return 0;
	if (version == PAGE_COLUMNS_VERSION)
		form = at != end ? *at++ : UINT8_MAX;
	if (len > WIRE_PAYLOAD_MAX || form > FORM_ZSTD ||
	    !varint_get(&at, end, &out->records) || out->records == 0 ||
	    out->records > npages)
		return -EBADMSG;
	if (version == PAGE_COLUMNS_VERSION &&
	    (!varint_get(&at, end, &heads) || heads == 0))
		return -EBADMSG;
	if (form == FORM_ZSTD) {
		rc = unpack_frame(u, at, (size_t)(end - at), out);
	} else {
		out->data = at;
		out->bytes = (size_t)(end - at);
	}
	if (rc == 0 && heads > out->bytes)
		return -EBADMSG;
	out->heads = (size_t)heads;
	return rc;
}

void page_unpack_read(const struct page_payload *p, uint64_t npages,
		      struct page_reader *r)
{
	if (p->heads != 0)
		page_reader_init_columns(r, p->data, p->bytes, p->heads,
					 npages);
	else
		page_reader_init(r, p->data, p->bytes, npages);
}
