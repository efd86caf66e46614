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
 * What XOR-RLE leaves is short, and is found again a little before in other
 * pages: short matches and a small table, which stays in the first cache and is
 * cleared for each payload.  Negative levels leave the literals as they are: to
 * code them takes a quarter of the time, and is worth less than short matches.
 * They are coded after all where nothing much was found and the literals are
 * nearly all there is, unless that is too little to pay for the codes; and where
 * there is so much that the link is what takes the time.
 *
 * Of text that was rewritten there is as much, but long matches, which give most
 * of the gain, are found fast.  What comes the first time waits for the link, no
 * guest for it: there every byte counts.
 */
static const struct how {
	int level, strategy, hash_log, min_match;
} how_delta = { -1, ZSTD_fast, 9, 4 },
  how_literals = { 1, ZSTD_fast, 9, 6 },
  how_text = { -20, 0, 0, 0 },
  how_first = { 1, 0, 0, 0 };
#define LITTLE ((size_t)12 << 10)
#define MUCH ((size_t)128 << 10)
/* version and records */
#define HEADER_MAX (1 + VARINT_BYTES_MAX)
/* Of so many words of a page of text few have a byte of 0. */
#define SAMPLES 16
#define SAMPLES_ZERO 3

struct page_packer {
	ZSTD_CCtx *zstd;
	const struct how *how; /* it is set to; NULL: to no whole one */
};

struct page_unpacker {
	ZSTD_DCtx *zstd;
	uint8_t *buf; /* WIRE_PAYLOAD_MAX bytes, from the first packed one on */
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
	if (p->zstd == NULL || !set_how(p, &how_delta)) {
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

static int pack(struct page_packer *p, const struct how *how, uint8_t *dst,
		size_t cap, const uint8_t *payload, size_t len,
		uint64_t records)
{
	uint8_t *at = dst;
	size_t r;

	if (cap < HEADER_MAX || !set_how(p, how))
		return -ENOSPC;
	*at++ = PAGE_PACK_VERSION;
	at += varint_put(at, records);
	r = ZSTD_compress2(p->zstd, at, cap - (size_t)(at - dst), payload, len);
	/* Only for want of room, or of memory: sent as it is in both cases. */
	if (ZSTD_isError(r))
		return -ENOSPC;
	return (int)((size_t)(at - dst) + r);
}

int page_pack(struct page_packer *p, uint8_t *dst, size_t cap,
	      const uint8_t *payload, size_t len, uint64_t records)
{
	size_t poor = len / 4 * 3;

	if (len < MUCH) {
		int n = pack(p, &how_delta, dst, cap, payload, len, records);

		/* With less room than that it would depend on cap what is taken. */
		if (len < LITTLE || cap < poor || (n > 0 && (size_t)n < poor))
			return n;
	}
	return pack(p, &how_literals, dst, cap, payload, len, records);
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
static bool are_text(const struct page_writer *w)
{
	struct page_reader r;
	struct page_record rec;
	uint64_t binary = 0;

	page_reader_init(&r, w->buf, page_writer_bytes(w), PAGE_GFN_MAX);
	while (page_reader_next(&r, &rec) == 1)
		binary += rec.kind == PAGE_RAW && is_binary(rec.data);
	return binary <= w->records[PAGE_RAW] / 2;
}

int page_pack_written(struct page_packer *p, uint8_t *dst,
		      const struct page_writer *w)
{
	size_t len = page_writer_bytes(w), cap = len - 1;
	uint64_t raw = w->records[PAGE_RAW], records = 0;

	for (unsigned int k = 0; k < PAGE_KINDS; k++)
		records += w->records[k];
	if (raw * REMUS_PAGE_SIZE > len / 10 * 7) {
		if (w->first > raw / 2)
			return pack(p, &how_first, dst, cap, w->buf, len,
				    records);
		if (are_text(w))
			return pack(p, &how_text, dst, cap, w->buf, len,
				    records);
	}
	return page_pack(p, dst, cap, w->buf, len, records);
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

int page_unpack(struct page_unpacker *u, const uint8_t *payload, size_t len,
		uint64_t npages, struct page_payload *out)
{
	const uint8_t *at = payload, *end = payload + len;
	size_t bytes;

	*out = (struct page_payload){ .data = payload, .bytes = len };
	if (len == 0 || *at != PAGE_PACK_VERSION)
		return 0;
	at++;
	if (len > WIRE_PAYLOAD_MAX || !varint_get(&at, end, &out->records) ||
	    out->records == 0 || out->records > npages)
		return -EBADMSG;
	bytes = claimed_bytes(at, (size_t)(end - at), out->records);
	if (bytes == 0)
		return -EBADMSG;
	if (!get_ready(u))
		return -ENOMEM;
	if (ZSTD_decompressDCtx(u->zstd, u->buf, bytes, at,
				(size_t)(end - at)) != bytes)
		return -EBADMSG;
	out->data = u->buf;
	out->bytes = bytes;
	return 0;
}
