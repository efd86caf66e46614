/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_unpack.h - from a packed stream (remus-stream(5)) the stream again.
 *
 * Any bytes may come: memory is bounded by memory_max and 8 MiB, whatever they
 * claim; nothing is written of a frame whose checksum is wrong; and the digest
 * of all bytes is compared at each checkpoint.
 */
#ifndef REMUS_STREAM_UNPACK_H
#define REMUS_STREAM_UNPACK_H

#include "stream_pack.h"

struct stream_unpacker;

/* NULL: no memory.  memory_max: of the cache that the packer had. */
struct stream_unpacker *stream_unpacker_new(uint64_t memory_max,
					    stream_write_fn *write, void *ctx);
void stream_unpacker_free(struct stream_unpacker *u); /* NULL is allowed */
void stream_unpacker_time(struct stream_unpacker *u);

/* 0; -EBADMSG: not a packed stream, or damaged: stream_unpacker_error() has the
 * offset in it; -ENOMEM; or what `write` returned.  Fails again afterwards. */
int stream_unpacker_feed(struct stream_unpacker *u, const void *data,
			 size_t bytes);
/*
 *   0    the end was there, and all bytes are those that were packed
 *   1    the same, of a stream that had been cut off
 *   2    the packed stream is cut off; all whole frames have been unpacked
 *   <0   as stream_unpacker_feed()
 * In all cases but 0 stream_unpacker_error() explains.
 */
int stream_unpacker_finish(struct stream_unpacker *u);

const char *stream_unpacker_error(const struct stream_unpacker *u);
/* Bytes that `write` has had. */
uint64_t stream_unpacker_bytes(const struct stream_unpacker *u);
uint64_t stream_unpacker_codec_ns(const struct stream_unpacker *u);
enum stream_mode stream_unpacker_mode(const struct stream_unpacker *u);

#endif
