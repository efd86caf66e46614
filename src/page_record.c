/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_record.c - see page_record.h and remus-page-records(7). */
#include "page_record.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "codec_xrle.h"
#include "varint.h"
#include "wire.h"

#define GAP_BITS 6
#define GAP_MORE ((1u << GAP_BITS) - 1) /* a varint follows */
/* Of 8 bytes: unrelated ones are seldom equal. */
#define PROBE_CHANGED 7
#define PROBES 16
/* Behind a rewritten page, which is seldom alone: each word costs a line of
 * memory that nothing else is read from. */
#define PROBES_NEXT 2
#define FIRST_PROBE 2056
#define SECOND_PROBE 40

enum { AT_HEADER = 0, AT_FIRST, AT_RECORD, FAILED };

const char *page_kind_to_str(unsigned int kind)
{
	static const char *const names[PAGE_KINDS] = {
		[PAGE_SAME] = "same",
		[PAGE_ZERO] = "zero",
		[PAGE_DELTA] = "delta",
		[PAGE_RAW] = "raw",
	};

	return kind < PAGE_KINDS ? names[kind] : "?";
}

void page_writer_init(struct page_writer *w, uint8_t *buf, size_t cap)
{
	memset(w, 0, sizeof(*w));
	w->buf = buf;
	w->cap = cap < WIRE_PAYLOAD_MAX ? cap : WIRE_PAYLOAD_MAX;
	w->delta_max = PAGE_DELTA_MAX;
}

void page_writer_init_columns(struct page_writer *w, uint8_t *buf,
			      size_t buf_bytes, size_t cap)
{
	assert(buf_bytes >= PAGE_COLUMNS_BUF_MIN);
	page_writer_init(w, buf, cap);
	w->heads_max = buf_bytes / 4;
	if (w->cap > buf_bytes - w->heads_max)
		w->cap = buf_bytes - w->heads_max;
}

bool page_writer_has_columns(const struct page_writer *w)
{
	return w->heads_max != 0;
}

uint64_t page_writer_records(const struct page_writer *w)
{
	uint64_t n = 0;

	for (unsigned int k = 0; k < PAGE_KINDS; k++)
		n += w->records[k];
	return n;
}

const uint8_t *page_writer_columns(struct page_writer *w, size_t *heads,
				   size_t *bytes)
{
	uint8_t *at = w->buf + w->heads_max - w->heads;

	memmove(at, w->buf, w->heads);
	*heads = w->heads;
	*bytes = w->heads + w->bytes;
	return at;
}

size_t page_writer_bytes(const struct page_writer *w)
{
	return w->used;
}

static unsigned int count_nonzero(uint64_t x)
{
	return (unsigned int)((nonzero_bytes(x) >> 7) * 0x0101010101010101u >>
			      56);
}

/* Looks rewritten as a whole: of the first n words here nearly every byte is
 * another one.  Their places have no stride, so that they are not the same field
 * of an array of structs.  Most pages differ from such a one in the first word,
 * which need not be read when it is not in `groups`. */
static bool is_rewritten(const uint8_t *old, const uint8_t *new,
			 unsigned int groups, size_t n)
{
	static const uint16_t probes[PROBES] = {
		FIRST_PROBE, SECOND_PROBE, 3888, 776, 1360, 3216, 296, 2680, 3552, 1816, 520,
		2432, 1112, 3008, 1624, 4072,
	};

	for (size_t i = 0; i < n; i++) {
		uint64_t a, b;

		if ((groups >> probes[i] / PAGE_GROUP_BYTES & 1) == 0)
			return false;
		memcpy(&a, old + probes[i], sizeof(a));
		memcpy(&b, new + probes[i], sizeof(b));
		if (count_nonzero(a ^ b) < PROBE_CHANGED)
			return false;
	}
	return true;
}

/* Into columns: only lengths at p. */
static int put_delta_apart(struct page_writer *w, uint8_t *p,
			   const uint8_t *old, const uint8_t *new,
			   unsigned int groups)
{
	size_t n;
	int r = xrle_encode_apart(p + 1, w->buf + w->heads_max + w->bytes,
				  w->delta_max, old, new, groups, &w->changed,
				  &n);

	if (r <= 0)
		return r;
	w->bytes += (size_t)r - n;
	if (n >= 0x80)
		memmove(p + 2, p + 1, n);
	return (int)(varint_put(p, n) + n);
}

/* A delta as the body, at p.  Returns its bytes there, 0 when the pages are equal,
 * or -ENOSPC. */
static int put_delta(struct page_writer *w, uint8_t *p, const uint8_t *old,
		     const uint8_t *new, unsigned int groups)
{
	int r;

	w->rewritten = is_rewritten(old, new, groups,
				    w->rewritten ? PROBES_NEXT : PROBES);
	if (w->rewritten) {
		/* Likely the next page's: it can come while this is copied.
		 * A number, because there need not be one. */
		uintptr_t next = (uintptr_t)old + REMUS_PAGE_SIZE;

		__builtin_prefetch((const void *)(next + FIRST_PROBE));
		__builtin_prefetch((const void *)(next + SECOND_PROBE));
		return -ENOSPC;
	}
	if (page_writer_has_columns(w))
		return put_delta_apart(w, p, old, new, groups);
	/* Behind one byte of length: most deltas need no more. */
	if (groups == PAGE_GROUPS_ALL)
		r = xrle_encode(p + 1, w->delta_max, old, new, &w->changed);
	else
		r = xrle_encode_groups(p + 1, w->delta_max, old, new, groups,
				       &w->changed);
	if (r <= 0)
		return r;
	if (r >= 0x80)
		memmove(p + 2, p + 1, (size_t)r);
	return (int)varint_put(p, (uint64_t)r) + r;
}

/* Write the body of the best kind at p, where at least REMUS_PAGE_SIZE bytes
 * are free, or PAGE_HEAD_MAX of columns.  Returns its bytes there. */
static size_t put_body(struct page_writer *w, uint8_t *p, const uint8_t *old,
		       const uint8_t *new, unsigned int groups,
		       unsigned int kinds, enum page_kind *kind)
{
	size_t bytes = w->bytes;
	int r = -ENOSPC;

	if (old != NULL && (kinds & 1u << PAGE_DELTA))
		r = put_delta(w, p, old, new, groups);
	else if (old != NULL && (kinds & 1u << PAGE_SAME))
		r = groups == 0 || page_equal(old, new) ? 0 : -ENOSPC;
	if (r == 0 && (kinds & 1u << PAGE_SAME)) {
		*kind = PAGE_SAME;
		return 0;
	}
	if ((kinds & 1u << PAGE_ZERO) && page_is_zero(new)) {
		*kind = PAGE_ZERO;
		w->bytes = bytes; /* of no delta */
		return 0;
	}
	if (r > 0) {
		*kind = PAGE_DELTA;
		return (size_t)r;
	}
	*kind = PAGE_RAW;
	if (page_writer_has_columns(w)) {
		page_copy(w->buf + w->heads_max + w->bytes, new);
		w->bytes += REMUS_PAGE_SIZE;
		return 0;
	}
	page_copy(p, new);
	return REMUS_PAGE_SIZE;
}

/* For a page more, whatever it will be. */
static bool has_room(const struct page_writer *w)
{
	bool columns = page_writer_has_columns(w);
	size_t head = w->used != 0 ? 0
		      : columns	   ? PAGE_COLUMNS_HEADER_MAX
				   : PAGE_PAYLOAD_HEADER_MAX;

	if (columns && w->heads_max - w->heads <
			       PAGE_PAYLOAD_HEADER_MAX + PAGE_HEAD_MAX)
		return false;
	return w->cap - w->used >= head + PAGE_RECORD_MAX;
}

/* What comes before the first record. */
static uint8_t *put_header(struct page_writer *w, uint8_t *p, gfn_t gfn)
{
	if (!page_writer_has_columns(w))
		*p++ = PAGE_RECORD_VERSION;
	w->next = gfn;
	return p + varint_put(p, gfn);
}

static void is_added(struct page_writer *w, uint8_t *end)
{
	size_t at_buf = (size_t)(end - w->buf);

	w->used = at_buf;
	if (!page_writer_has_columns(w))
		return;
	w->heads = at_buf;
	w->used += w->bytes + PAGE_COLUMNS_HEADER_MAX;
}

int page_writer_add_groups(struct page_writer *w, gfn_t gfn, const uint8_t *old,
			   const uint8_t *new, unsigned int groups,
			   unsigned int kinds, enum page_kind *kind)
{
	uint8_t *p = w->buf + (page_writer_has_columns(w) ? w->heads : w->used);
	uint8_t *tag;
	enum page_kind chosen;
	uint64_t gap;

	if (gfn < w->next || gfn >= PAGE_GFN_MAX)
		return -EINVAL;
	if (!has_room(w))
		return -ENOSPC;
	if (w->used == 0)
		p = put_header(w, p, gfn);
	gap = gfn - w->next;
	tag = p++;
	if (gap >= GAP_MORE)
		p += varint_put(p, gap - GAP_MORE);
	p += put_body(w, p, old, new, groups, kinds, &chosen);
	*tag = (uint8_t)((unsigned int)chosen << GAP_BITS |
			 (gap < GAP_MORE ? gap : GAP_MORE));
	is_added(w, p);
	w->next = gfn + 1;
	w->last = chosen;
	w->records[chosen]++;
	w->first += chosen == PAGE_RAW && old == NULL;
	if (kind != NULL)
		*kind = chosen;
	return 0;
}

int page_writer_add(struct page_writer *w, gfn_t gfn, const uint8_t *old,
		    const uint8_t *new, unsigned int kinds,
		    enum page_kind *kind)
{
	return page_writer_add_groups(w, gfn, old, new, PAGE_GROUPS_ALL, kinds,
				      kind);
}

void page_writer_update(const struct page_writer *w, uint8_t *page,
			const uint8_t *new)
{
	if (w->last == PAGE_SAME)
		return;
	if (w->last != PAGE_DELTA) {
		page_copy(page, new);
		return;
	}
	for (uint64_t left = w->changed; left != 0; left &= left - 1) {
		size_t at = XRLE_BLOCK_BYTES * (size_t)__builtin_ctzll(left);

		memcpy(page + at, new + at, XRLE_BLOCK_BYTES);
	}
}

void page_reader_init(struct page_reader *r, const uint8_t *buf, size_t len,
		      uint64_t npages)
{
	memset(r, 0, sizeof(*r));
	r->at = buf;
	r->end = buf + len;
	r->npages = npages < PAGE_GFN_MAX ? npages : PAGE_GFN_MAX;
	r->state = AT_HEADER;
}

void page_reader_init_columns(struct page_reader *r, const uint8_t *content,
			      size_t len, size_t heads, uint64_t npages)
{
	page_reader_init(r, content, heads, npages);
	r->bytes = content + heads;
	r->bytes_end = content + len;
}

static bool read_header(struct page_reader *r)
{
	if (r->bytes != NULL)
		return varint_get(&r->at, r->end, &r->next);
	if ((size_t)(r->end - r->at) > WIRE_PAYLOAD_MAX || r->at == r->end)
		return false;
	if (*r->at++ != PAGE_RECORD_VERSION)
		return false;
	return varint_get(&r->at, r->end, &r->next);
}

static bool read_place(struct page_reader *r, struct page_record *out)
{
	uint64_t gap, more;

	if (r->at == r->end)
		return false;
	out->kind = (enum page_kind)(*r->at >> GAP_BITS);
	gap = *r->at++ & GAP_MORE;
	if (gap == GAP_MORE) {
		if (!varint_get(&r->at, r->end, &more))
			return false;
		gap += more;
	}
	if (gap != 0 && r->state == AT_FIRST)
		return false;
	/* No overflow: both are below 2^57. */
	out->gfn = r->next + gap;
	return out->gfn < r->npages;
}

/* In columns: the lengths, and how many bytes belong to them. */
static bool read_apart(struct page_reader *r, struct page_record *out)
{
	uint64_t len = 0;
	int bytes = 0;

	if (out->kind == PAGE_DELTA) {
		if (!varint_get(&r->at, r->end, &len) ||
		    len > (size_t)(r->end - r->at) || len > PAGE_DELTA_MAX)
			return false;
		bytes = xrle_apart_bytes(r->at, (size_t)len);
		if (bytes < 0 || len + (uint64_t)bytes > PAGE_DELTA_MAX)
			return false;
		out->lengths = r->at;
		r->at += len;
	} else if (out->kind == PAGE_RAW) {
		bytes = (int)REMUS_PAGE_SIZE;
	}
	if ((size_t)bytes > (size_t)(r->bytes_end - r->bytes))
		return false;
	out->lengths_bytes = (size_t)len;
	out->data = bytes > 0 ? r->bytes : NULL;
	out->data_bytes = (size_t)bytes;
	r->bytes += bytes;
	return true;
}

static bool read_body(struct page_reader *r, struct page_record *out)
{
	uint64_t len = 0;

	out->lengths = NULL;
	out->lengths_bytes = 0;
	if (r->bytes != NULL)
		return read_apart(r, out);
	if (out->kind == PAGE_RAW)
		len = REMUS_PAGE_SIZE;
	if (out->kind == PAGE_DELTA &&
	    (!varint_get(&r->at, r->end, &len) || len < XRLE_MIN ||
	     len > PAGE_DELTA_MAX))
		return false;
	if (len > (size_t)(r->end - r->at))
		return false;
	out->data = len > 0 ? r->at : NULL;
	out->data_bytes = (size_t)len;
	r->at += len;
	return true;
}

int page_reader_next(struct page_reader *r, struct page_record *out)
{
	if (r->state == FAILED)
		return -EBADMSG;
	if (r->state == AT_RECORD && r->at == r->end) {
		if (r->bytes != r->bytes_end)
			goto bad;
		return 0;
	}
	if (r->state == AT_HEADER) {
		if (!read_header(r))
			goto bad;
		r->state = AT_FIRST;
	}
	if (!read_place(r, out) || !read_body(r, out))
		goto bad;
	r->next = out->gfn + 1;
	r->state = AT_RECORD;
	return 1;
bad:
	r->state = FAILED;
	return -EBADMSG;
}

int page_record_apply(const struct page_record *rec, uint8_t *page)
{
	switch (rec->kind) {
	case PAGE_SAME:
		return 0;
	case PAGE_ZERO:
		memset(page, 0, REMUS_PAGE_SIZE);
		return 0;
	case PAGE_DELTA:
		if (rec->lengths == NULL)
			return xrle_decode(page, rec->data, rec->data_bytes);
		return xrle_decode_apart(page, rec->lengths, rec->lengths_bytes,
					 rec->data, rec->data_bytes);
	case PAGE_RAW:
		if (rec->data_bytes != REMUS_PAGE_SIZE)
			return -EBADMSG;
		page_copy(page, rec->data);
		return 0;
	}
	return -EBADMSG;
}
