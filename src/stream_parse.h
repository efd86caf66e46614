/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_parse.h - what is in a Xen domain's migration stream.
 *
 * Reads what `xl save`, a migration or Remus writes: xl's own header (may be
 * missing), the libxl stream (version 2) and inside it the libxc stream
 * (versions 2 and 3); also a libxc stream by itself.  The formats are those of
 * xen, docs/specs/libxl-migration-stream.pandoc and
 * docs/specs/libxc-migration-stream.pandoc.
 *
 *	[xl header] libxl header, libxl record*
 *	  LIBXC_CONTEXT: image header, domain header, libxc record*
 *	    END:        libxl records up to END, which ends the stream
 *	    CHECKPOINT: libxl records up to CHECKPOINT_END, then libxc records
 *	                again: the next epoch (Remus)
 *
 * What follows the END is of nobody's concern (in a migration, words of the two
 * xl to each other), and handed on.
 *
 * Bytes in, events out.  Each byte of the stream is in exactly one event, in
 * order, so that who writes out what the events hold has the stream again.
 * Pure, and safe with any bytes: memory is bounded by STREAM_HELD_MAX whatever
 * the stream claims, lengths are never believed before the bytes are there.
 */
#ifndef REMUS_STREAM_PARSE_H
#define REMUS_STREAM_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"

/* xen's own bound of a libxc record, and here of a libxl record too. */
#define STREAM_RECORD_MAX ((uint32_t)128 << 20)
/* Pages named by one PAGE_DATA record.  As many as a record of
 * STREAM_RECORD_MAX can hold with their content, twice. */
#define STREAM_PFNS_MAX 65536
#define STREAM_PFN_MASK (((uint64_t)1 << 52) - 1)
#define STREAM_PAGE_HEAD 16 /* record header, count, reserved */
#define STREAM_HELD_MAX (STREAM_PAGE_HEAD + 8 * (size_t)STREAM_PFNS_MAX)

enum stream_layer { STREAM_LIBXL, STREAM_LIBXC };

/* Types of records that are treated in a way of their own: of libxl's layer, and
 * of libxc's (docs/specs of xen). */
enum { XL_END = 0, XL_LIBXC_CONTEXT, XL_EMULATOR_XENSTORE_DATA,
       XL_EMULATOR_CONTEXT, XL_CHECKPOINT_END };
enum { XC_END = 0, XC_PAGE_DATA = 1, XC_VERIFY = 0xd, XC_CHECKPOINT = 0xe,
       XC_V2_LAST = 0xf, XC_STATIC_DATA_END = 0x10 };

enum stream_event_kind {
	STREAM_HEADER,	   /* of xl, libxl or libxc, whole */
	STREAM_RECORD,	   /* the header of a record, but PAGE_DATA */
	STREAM_BODY,	   /* a part of what belongs to it, padding included;
			    * or of what follows the END */
	STREAM_PAGE_DATA,  /* record header, count and all pfns */
	STREAM_PAGES,	   /* whole pages, in the order of those pfns */
	STREAM_CHECKPOINT, /* no bytes: all before it can be restored */
	STREAM_END,	   /* no bytes: the stream ended, as above */
	STREAM_TAIL,	   /* what is left of a stream that was cut off */
};

struct stream_event {
	enum stream_event_kind kind;
	uint64_t offset;     /* of data in the stream */
	const uint8_t *data; /* valid during the call */
	size_t bytes;
	enum stream_layer layer; /* HEADER (libxl: xl's too), RECORD */
	uint32_t type, length;	 /* RECORD, PAGE_DATA */
	uint32_t pfns;		 /* PAGE_DATA: pfns; they begin at data + 16 */
	uint32_t pages;		 /* PAGE_DATA: with content; PAGES: here */
};

/* 0, or a negative number, which stream_parser_feed() returns at once. */
typedef int stream_event_fn(void *ctx, const struct stream_event *ev);

/* What the headers said; 0 what has not come (yet). */
struct stream_info {
	bool has_xl, has_libxl;
	bool legacy; /* converted from a stream of Xen 4.5 or older */
	uint32_t libxl_version, libxc_version;
	uint32_t guest_type, xen_major, xen_minor;
	uint64_t checkpoints;
	uint64_t whole_bytes; /* up to the last STREAM_CHECKPOINT or _END */
	uint64_t trailer_bytes;
	bool ended;
};

struct stream_parser;

struct stream_parser *stream_parser_new(stream_event_fn *fn, void *ctx);
void stream_parser_free(struct stream_parser *p); /* NULL is allowed */

/* The next bytes, any number.  0; -EBADMSG: not such a stream, and
 * stream_parser_error() says what is wrong at which offset; or what fn
 * returned.  After a failure it fails again in the same way. */
int stream_parser_feed(struct stream_parser *p, const void *data, size_t bytes);

/*
 * No more bytes will come.
 *
 *   0   the stream ended with END, or behind a checkpoint, as one does whose
 *       sender died between two
 *   1   it is cut off elsewhere: STREAM_TAIL has what is left, if anything is,
 *       and stream_parser_error() says where and in what
 *   <0  as stream_parser_feed()
 */
int stream_parser_finish(struct stream_parser *p);

const char *stream_parser_error(const struct stream_parser *p); /* "" */
const struct stream_info *stream_parser_info(const struct stream_parser *p);
uint64_t stream_parser_offset(const struct stream_parser *p);

/* "PAGE_DATA"; "optional" or "?" for a number without a name. */
const char *stream_record_name(enum stream_layer layer, uint32_t type);
const char *stream_guest_name(uint32_t guest_type); /* "x86 PV" */
/* Whether a page with these bits of type (pfn >> 60) has content. */
bool stream_pfn_has_data(uint64_t pfn);

#endif
