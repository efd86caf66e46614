/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_record.c - see page_record.h and remus-page-records(7). */
#include "page_record.h"

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

/* A delta as the body, at p.  Returns its bytes, 0 when the pages are equal, or
 * -ENOSPC. */
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
 * are free.  Returns its bytes. */
static size_t put_body(struct page_writer *w, uint8_t *p, const uint8_t *old,
		       const uint8_t *new, unsigned int groups,
		       unsigned int kinds, enum page_kind *kind)
{
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
		return 0;
	}
	if (r > 0) {
		*kind = PAGE_DELTA;
		return (size_t)r;
	}
	page_copy(p, new);
	*kind = PAGE_RAW;
	return REMUS_PAGE_SIZE;
}

int page_writer_add_groups(struct page_writer *w, gfn_t gfn, const uint8_t *old,
			   const uint8_t *new, unsigned int groups,
			   unsigned int kinds, enum page_kind *kind)
{
	size_t head = w->used == 0 ? PAGE_PAYLOAD_HEADER_MAX : 0;
	uint8_t *p = w->buf + w->used, *tag;
	enum page_kind chosen;
	uint64_t gap;

	if (gfn < w->next || gfn >= PAGE_GFN_MAX)
		return -EINVAL;
	if (w->cap - w->used < head + PAGE_RECORD_MAX)
		return -ENOSPC;
	if (w->used == 0) {
		*p++ = PAGE_RECORD_VERSION;
		p += varint_put(p, gfn);
		w->next = gfn;
	}
	gap = gfn - w->next;
	tag = p++;
	if (gap >= GAP_MORE)
		p += varint_put(p, gap - GAP_MORE);
	p += put_body(w, p, old, new, groups, kinds, &chosen);
	*tag = (uint8_t)((unsigned int)chosen << GAP_BITS |
			 (gap < GAP_MORE ? gap : GAP_MORE));
	w->used = (size_t)(p - w->buf);
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

static bool read_header(struct page_reader *r)
{
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

static bool read_body(struct page_reader *r, struct page_record *out)
{
	uint64_t len = 0;

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
	if (r->state == AT_RECORD && r->at == r->end)
		return 0;
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
		return xrle_decode(page, rec->data, rec->data_bytes);
	case PAGE_RAW:
		if (rec->data_bytes != REMUS_PAGE_SIZE)
			return -EBADMSG;
		page_copy(page, rec->data);
		return 0;
	}
	return -EBADMSG;
}
