/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_parse.c - see stream_parse.h.
 *
 *	START -> XL_HEADER -> LIBXL_HEADER -> LIBXL_RECORD <-> LIBXC_RECORD
 *	                                                       -> PFNS -> PAGES
 *
 * In SKIP the rest of a record is handed on as it comes.  In every other state
 * `want` bytes are held before any is looked at; PAGES alone takes whole pages
 * from the caller's bytes where it can.
 */
#include "stream_parse.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define XL_MAGIC "Xen saved domain, xl format\n \0 \r"
#define XL_MAGIC_BYTES 32
#define XL_HEADER_BYTES 48
#define XL_BYTE_ORDER 0x01020304u
#define XL_STREAM_V2 (1u << 1) /* a mandatory flag */
#define LIBXL_MAGIC "LibxlFmt"
#define LIBXL_HEADER_BYTES 16
#define LIBXL_VERSION 2
#define OPTION_BIG_ENDIAN 1u
#define OPTION_LEGACY 2u
#define LIBXC_MARKER "\xff\xff\xff\xff\xff\xff\xff\xff"
#define LIBXC_ID 0x58454e46u
#define LIBXC_HEADER_BYTES 40 /* image and domain header */
#define RECORD_HEADER_BYTES 8
#define OPTIONAL (1u << 31)

enum state { START, XL_HEADER, LIBXL_HEADER, LIBXL_RECORD, LIBXC_HEADER,
	     LIBXC_RECORD, PAGE_COUNT, PFNS, PAGES, SKIP, DONE };

struct stream_parser {
	stream_event_fn *fn;
	void *ctx;
	enum state state, after; /* after: what follows SKIP */
	uint64_t offset;	 /* of what has not been handed on */
	size_t have, want;
	uint64_t left;	  /* SKIP: bytes, PAGES: pages */
	bool in_checkpoint; /* behind libxc's CHECKPOINT */
	const char *what;   /* the header or record that we are in */
	struct stream_info info;
	int failed;
	char err[256];
	uint8_t held[STREAM_HELD_MAX];
};

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint32_t be32(const uint8_t *p)
{
	return be32toh(htole32(le32(p)));
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* at: behind the first byte that is held. */
static int bad(struct stream_parser *p, size_t at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int bad(struct stream_parser *p, size_t at, const char *fmt, ...)
{
	char why[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return set_err(p->err, sizeof(p->err), -EBADMSG,
		       "offset %" PRIu64 ": %s", p->offset + at, why);
}

static int give(struct stream_parser *p, struct stream_event *ev,
		const uint8_t *data, size_t bytes)
{
	ev->offset = p->offset;
	ev->data = data;
	ev->bytes = bytes;
	p->offset += bytes;
	return p->fn(p->ctx, ev);
}

/* All that is held, as one event; then `want` bytes more in state s. */
static int give_held(struct stream_parser *p, struct stream_event *ev,
		     enum state s, size_t want)
{
	size_t n = p->have;

	p->have = 0;
	p->state = s;
	p->want = want;
	return give(p, ev, p->held, n);
}

static int mark(struct stream_parser *p, enum stream_event_kind kind)
{
	struct stream_event ev = { .kind = kind };

	p->info.whole_bytes = p->offset;
	if (kind == STREAM_CHECKPOINT)
		p->info.checkpoints++;
	else
		p->info.ended = true;
	return give(p, &ev, p->held, 0);
}

/* ---- headers ---- */

static int start(struct stream_parser *p)
{
	if (memcmp(p->held, XL_MAGIC, 8) == 0) {
		p->state = XL_HEADER;
		p->want = XL_HEADER_BYTES;
		p->what = "xl's header";
	} else if (memcmp(p->held, LIBXL_MAGIC, 8) == 0) {
		p->state = LIBXL_HEADER;
		p->want = LIBXL_HEADER_BYTES;
		p->what = "libxl's header";
	} else if (memcmp(p->held, LIBXC_MARKER, 8) == 0) {
		p->state = LIBXC_HEADER;
		p->want = LIBXC_HEADER_BYTES;
		p->what = "libxc's headers";
	} else {
		return bad(p, 0, "no stream of xl, libxl or libxc begins "
			   "here");
	}
	return 0;
}

static int xl_header(struct stream_parser *p)
{
	struct stream_event ev = { .kind = STREAM_HEADER };
	uint32_t flags = le32(p->held + 36), more = le32(p->held + 44);

	if (memcmp(p->held, XL_MAGIC, XL_MAGIC_BYTES) != 0)
		return bad(p, 0, "this is not the header of xl");
	if (le32(p->held + 32) != XL_BYTE_ORDER)
		return bad(p, 32, "xl's header has another byte order");
	if (!(flags & XL_STREAM_V2))
		return bad(p, 36, "a legacy stream, of Xen 4.5 or older");
	if (more > STREAM_RECORD_MAX)
		return bad(p, 44, "xl's header claims %" PRIu32 " bytes of "
			   "configuration", more);
	p->info.has_xl = true;
	p->left = more;
	p->after = LIBXL_HEADER;
	return give_held(p, &ev, SKIP, 0);
}

static int libxl_header(struct stream_parser *p)
{
	struct stream_event ev = { .kind = STREAM_HEADER };
	uint32_t version = be32(p->held + 8), options = be32(p->held + 12);

	p->what = "libxl's header";
	if (memcmp(p->held, LIBXL_MAGIC, 8) != 0)
		return bad(p, 0, "no libxl stream behind xl's header");
	if (version != LIBXL_VERSION)
		return bad(p, 8, "libxl stream of version %" PRIu32
			   "; known is %d", version, LIBXL_VERSION);
	if (options & OPTION_BIG_ENDIAN)
		return bad(p, 12, "a big-endian libxl stream");
	p->info.has_libxl = true;
	p->info.libxl_version = version;
	p->info.legacy = options & OPTION_LEGACY;
	return give_held(p, &ev, LIBXL_RECORD, RECORD_HEADER_BYTES);
}

static int libxc_header(struct stream_parser *p)
{
	struct stream_event ev = { .kind = STREAM_HEADER,
				   .layer = STREAM_LIBXC };
	uint32_t version = be32(p->held + 12);
	unsigned int options = p->held[16] << 8 | p->held[17];
	unsigned int shift = p->held[28] | p->held[29] << 8;

	if (memcmp(p->held, LIBXC_MARKER, 8) != 0 ||
	    be32(p->held + 8) != LIBXC_ID)
		return bad(p, 0, "no libxc stream behind LIBXC_CONTEXT");
	if (version != 2 && version != 3)
		return bad(p, 12, "libxc stream of version %" PRIu32
			   "; known are 2 and 3", version);
	if (options & OPTION_BIG_ENDIAN)
		return bad(p, 16, "a big-endian libxc stream");
	p->info.guest_type = le32(p->held + 24);
	if (strcmp(stream_guest_name(p->info.guest_type), "?") == 0)
		return bad(p, 24, "a guest of unknown type %" PRIu32,
			   p->info.guest_type);
	if (shift != REMUS_PAGE_SHIFT)
		return bad(p, 28, "pages of 2^%u bytes", shift);
	p->info.libxc_version = version;
	p->info.xen_major = le32(p->held + 32);
	p->info.xen_minor = le32(p->held + 36);
	return give_held(p, &ev, LIBXC_RECORD, RECORD_HEADER_BYTES);
}

/* ---- records ---- */

static uint64_t padded(uint32_t length)
{
	return ((uint64_t)length + 7) & ~(uint64_t)7;
}

/* The record's header, and then its body up to the next state. */
static int give_record(struct stream_parser *p, enum stream_layer layer,
		       enum state next)
{
	struct stream_event ev = { .kind = STREAM_RECORD, .layer = layer,
				   .type = le32(p->held),
				   .length = le32(p->held + 4) };

	p->left = padded(ev.length);
	p->after = next;
	return give_held(p, &ev, SKIP, 0);
}

static int check_record(struct stream_parser *p, enum stream_layer layer,
			bool no_body)
{
	uint32_t type = le32(p->held), length = le32(p->held + 4);

	p->what = stream_record_name(layer, type);
	if (*p->what == '?')
		return bad(p, 0, "unknown record 0x%08" PRIx32 " of %s", type,
			   layer == STREAM_LIBXL ? "libxl" : "libxc");
	if (length > STREAM_RECORD_MAX)
		return bad(p, 4, "%s claims %" PRIu32 " bytes; at most %" PRIu32
			   " are allowed", p->what, length, STREAM_RECORD_MAX);
	if (no_body && length != 0)
		return bad(p, 4, "%s with %" PRIu32 " bytes; it has none",
			   p->what, length);
	return 0;
}

static int libxl_record(struct stream_parser *p)
{
	uint32_t type = le32(p->held);
	enum state next = LIBXL_RECORD;
	int rc = check_record(p, STREAM_LIBXL, type == XL_END ||
			      type == XL_LIBXC_CONTEXT ||
			      type == XL_CHECKPOINT_END);

	if (rc < 0)
		return rc;
	if ((type == XL_CHECKPOINT_END) != p->in_checkpoint &&
	    (type == XL_CHECKPOINT_END || type == XL_END))
		return bad(p, 0, p->in_checkpoint
			   ? "END in the middle of a checkpoint"
			   : "CHECKPOINT_END without a CHECKPOINT");
	if (type == XL_LIBXC_CONTEXT) {
		if (p->info.libxc_version != 0)
			return bad(p, 0, "a second LIBXC_CONTEXT");
		next = LIBXC_HEADER;
	} else if (type == XL_CHECKPOINT_END) {
		next = LIBXC_RECORD;
	} else if (type == XL_END) {
		next = DONE;
	}
	rc = give_record(p, STREAM_LIBXL, next);
	if (rc == 0 && type == XL_CHECKPOINT_END) {
		p->in_checkpoint = false;
		rc = mark(p, STREAM_CHECKPOINT);
	}
	return rc == 0 && type == XL_END ? mark(p, STREAM_END) : rc;
}

static int libxc_record(struct stream_parser *p)
{
	uint32_t type = le32(p->held);
	bool alone = !p->info.has_libxl;
	enum state next = LIBXC_RECORD;
	int rc = check_record(p, STREAM_LIBXC, type == XC_END ||
			      type == XC_VERIFY || type == XC_CHECKPOINT ||
			      type == XC_STATIC_DATA_END);

	if (rc < 0)
		return rc;
	if (p->info.libxc_version == 2 && type > XC_V2_LAST &&
	    !(type & OPTIONAL))
		return bad(p, 0, "%s in a libxc stream of version 2", p->what);
	if (type == XC_PAGE_DATA) {
		p->state = PAGE_COUNT;
		p->want = STREAM_PAGE_HEAD;
		return 0;
	}
	if (type == XC_END)
		next = alone ? DONE : LIBXL_RECORD;
	else if (type == XC_CHECKPOINT && !alone)
		next = LIBXL_RECORD;
	rc = give_record(p, STREAM_LIBXC, next);
	if (rc == 0 && type == XC_CHECKPOINT && !alone)
		p->in_checkpoint = true;
	else if (rc == 0 && type == XC_CHECKPOINT)
		rc = mark(p, STREAM_CHECKPOINT);
	return rc == 0 && type == XC_END && alone ? mark(p, STREAM_END) : rc;
}

/* ---- PAGE_DATA ---- */

static int page_count(struct stream_parser *p)
{
	uint32_t length = le32(p->held + 4), count = le32(p->held + 8);

	if (count == 0)
		return bad(p, 8, "PAGE_DATA of no pages");
	if (length < 8 || count > (length - 8) / 8)
		return bad(p, 8, "PAGE_DATA of %" PRIu32 " bytes claims %"
			   PRIu32 " pages", length, count);
	if (count > STREAM_PFNS_MAX)
		return bad(p, 8, "PAGE_DATA of %" PRIu32 " pages; at most %d "
			   "are allowed", count, STREAM_PFNS_MAX);
	p->state = PFNS;
	p->want = STREAM_PAGE_HEAD + 8 * (size_t)count;
	return 0;
}

static int pfns(struct stream_parser *p)
{
	struct stream_event ev = { .kind = STREAM_PAGE_DATA,
				   .layer = STREAM_LIBXC,
				   .type = XC_PAGE_DATA,
				   .length = le32(p->held + 4),
				   .pfns = le32(p->held + 8) };
	uint64_t need;

	for (uint32_t i = 0; i < ev.pfns; i++) {
		size_t at = STREAM_PAGE_HEAD + 8 * (size_t)i;
		uint64_t pfn = le64(p->held + at);

		if (pfn >> 60 >= 5 && pfn >> 60 <= 8)
			return bad(p, at, "a page of unknown type %u",
				   (unsigned int)(pfn >> 60));
		ev.pages += stream_pfn_has_data(pfn);
	}
	need = 8 + 8 * (uint64_t)ev.pfns + REMUS_PAGE_SIZE * (uint64_t)ev.pages;
	if (need != ev.length)
		return bad(p, 4, "PAGE_DATA of %" PRIu32 " bytes; its %" PRIu32
			   " pages need %" PRIu64, ev.length, ev.pfns, need);
	p->left = ev.pages;
	if (ev.pages == 0)
		return give_held(p, &ev, LIBXC_RECORD, RECORD_HEADER_BYTES);
	return give_held(p, &ev, PAGES, REMUS_PAGE_SIZE);
}

static int give_pages(struct stream_parser *p, const uint8_t *data,
		      uint32_t pages)
{
	struct stream_event ev = { .kind = STREAM_PAGES, .pages = pages };

	p->left -= pages;
	if (p->left == 0) {
		p->state = LIBXC_RECORD;
		p->want = RECORD_HEADER_BYTES;
	}
	return give(p, &ev, data, pages * REMUS_PAGE_SIZE);
}

/* ---- bytes in ---- */

static void leave_skip(struct stream_parser *p)
{
	p->state = p->after;
	p->want = p->after == LIBXL_HEADER ? LIBXL_HEADER_BYTES
		: p->after == LIBXC_HEADER ? LIBXC_HEADER_BYTES
					   : RECORD_HEADER_BYTES;
}

static int handle_held(struct stream_parser *p)
{
	int rc;

	switch (p->state) {
	case START:
		return start(p);
	case XL_HEADER:
		rc = xl_header(p);
		break;
	case LIBXL_HEADER:
		rc = libxl_header(p);
		break;
	case LIBXL_RECORD:
		rc = libxl_record(p);
		break;
	case LIBXC_HEADER:
		rc = libxc_header(p);
		break;
	case LIBXC_RECORD:
		rc = libxc_record(p);
		break;
	case PAGE_COUNT:
		return page_count(p);
	case PFNS:
		return pfns(p);
	case PAGES:
		p->have = 0;
		return give_pages(p, p->held, 1);
	default:
		return -EINVAL; /* not reached: nothing is held then */
	}
	if (rc == 0 && p->state == SKIP && p->left == 0)
		leave_skip(p);
	return rc;
}

static int skip(struct stream_parser *p, const uint8_t *data, size_t n)
{
	struct stream_event ev = { .kind = STREAM_BODY };

	p->left -= n;
	if (p->left == 0)
		leave_skip(p);
	return give(p, &ev, data, n);
}

static int trailer(struct stream_parser *p, const uint8_t *data, size_t n)
{
	struct stream_event ev = { .kind = STREAM_BODY };

	p->info.trailer_bytes += n;
	return give(p, &ev, data, n);
}

static size_t least(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

/* Use some of the bytes, at least one; *used says how many. */
static int step(struct stream_parser *p, const uint8_t *at, size_t bytes,
		size_t *used)
{
	size_t n;

	if (p->state == DONE) {
		*used = bytes;
		return trailer(p, at, bytes);
	}
	if (p->state == SKIP) {
		*used = least(bytes, p->left);
		return skip(p, at, *used);
	}
	if (p->state == PAGES && p->have == 0 && bytes >= REMUS_PAGE_SIZE) {
		n = least(bytes / REMUS_PAGE_SIZE, p->left);
		*used = n * REMUS_PAGE_SIZE;
		return give_pages(p, at, (uint32_t)n);
	}
	n = least(bytes, p->want - p->have);
	memcpy(p->held + p->have, at, n);
	p->have += n;
	*used = n;
	return p->have == p->want ? handle_held(p) : 0;
}

int stream_parser_feed(struct stream_parser *p, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	size_t used = 0;

	for (; p->failed == 0 && bytes > 0; at += used, bytes -= used)
		p->failed = step(p, at, bytes, &used);
	return p->failed;
}

/* Cut off in its first 8 bytes it may still be one. */
static bool may_begin(const struct stream_parser *p)
{
	return memcmp(p->held, XL_MAGIC, p->have) == 0 ||
	       memcmp(p->held, LIBXL_MAGIC, p->have) == 0 ||
	       memcmp(p->held, LIBXC_MARKER, p->have) == 0;
}

int stream_parser_finish(struct stream_parser *p)
{
	struct stream_event ev = { .kind = STREAM_TAIL };
	uint64_t end = p->offset + p->have;

	if (p->failed != 0)
		return p->failed;
	if (p->info.ended || (end == p->info.whole_bytes && end > 0))
		return 0;
	if (p->state == START && !may_begin(p))
		return p->failed = bad(p, 0, "no stream of xl, libxl or libxc "
				       "begins here");
	if (p->have > 0) {
		size_t n = p->have;

		p->have = 0;
		p->failed = give(p, &ev, p->held, n);
		if (p->failed != 0)
			return p->failed;
	}
	set_err(p->err, sizeof(p->err), 0, "cut off at offset %" PRIu64
		", in or behind %s of epoch %" PRIu64 "; whole are %" PRIu64
		" bytes", end, p->what, p->info.checkpoints + 1,
		p->info.whole_bytes);
	return 1;
}

struct stream_parser *stream_parser_new(stream_event_fn *fn, void *ctx)
{
	struct stream_parser *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->fn = fn;
	p->ctx = ctx;
	p->state = START;
	p->want = 8;
	p->what = "the beginning";
	return p;
}

void stream_parser_free(struct stream_parser *p)
{
	free(p);
}

const char *stream_parser_error(const struct stream_parser *p)
{
	return p->err;
}

const struct stream_info *stream_parser_info(const struct stream_parser *p)
{
	return &p->info;
}

uint64_t stream_parser_offset(const struct stream_parser *p)
{
	return p->offset;
}
