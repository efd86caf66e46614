/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_pack.h - a Xen domain's stream, packed; remus-stream(5).
 *
 * The pages of a stream go through page records against a cache of old pages,
 * as they do on the wire; all other bytes are kept as they are, or as their
 * difference from those of the last epoch (stream_state.h).  What
 * stream_unpack.h makes of it is the stream, bit for bit, also of one that was
 * cut off.
 */
#ifndef REMUS_STREAM_PACK_H
#define REMUS_STREAM_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page_cache.h"
#include "stream_frame.h"
#include "stream_parse.h"

/* Bytes out, in order.  flush: a reader should get all so far (an epoch is
 * whole).  0, or a negative number, with which the call fails that led here. */
typedef int stream_write_fn(void *ctx, const void *data, size_t bytes,
			    bool flush);

struct stream_packer;

struct stream_pack_stats {
	uint64_t pages, pages_bytes, records[PAGE_KINDS];
	uint64_t codec_ns; /* spent with pages; only when asked for */
};

/*
 * cache_bytes: of memory for old pages, which the unpacker needs too; 0 in mode
 * `off`.  Memory is bounded by that and 8 MiB.  0, -ENOMEM, or -EINVAL
 * (cache_bytes is less than PAGE_CACHE_BYTES_MIN).
 */
int stream_packer_new(struct stream_packer **out, enum stream_mode mode,
		      uint64_t cache_bytes, stream_write_fn *write, void *ctx);
void stream_packer_free(struct stream_packer *p); /* NULL is allowed */
void stream_packer_time(struct stream_packer *p); /* measure codec_ns */

/* Before pages are packed: `count` pages from data on, whose gfns are these.
 * What they were before is in the cache (NULL in mode off). */
typedef void stream_watch_fn(void *ctx, const struct page_cache *cache,
			     const uint64_t *gfns, const uint8_t *data,
			     uint32_t count);
void stream_packer_watch(struct stream_packer *p, stream_watch_fn *fn,
			 void *ctx);

/* As stream_parser_feed(), and what `write` returned. */
int stream_packer_feed(struct stream_packer *p, const void *data, size_t bytes);
/* The end of what is packed, too.  As stream_parser_finish(). */
int stream_packer_finish(struct stream_packer *p);

const char *stream_packer_error(const struct stream_packer *p);
const struct stream_info *stream_packer_info(const struct stream_packer *p);
const struct stream_pack_stats *
stream_packer_stats(const struct stream_packer *p);

#endif
