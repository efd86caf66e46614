/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_state.h - the device state of a domain of Xen, and the stream that it is
 * made into, together with the image, when a backup takes over.
 *
 * Little-endian, nothing padded, so that from one epoch to the next equal bytes
 * stay at their place (sender.c sends what changed):
 *
 *	"RemusXen"
 *	u32 version, 2
 *	u32 runs, u32 bytes each of config, head, tail, emulator
 *	config   the domain's configuration, JSON of libxl
 *	u64 first pfn of each run, in the order of their places in the image
 *	types    4 bits for each page of the runs, the lower ones first
 *	head     libxc's headers, and records before the first page
 *	tail     records behind the epoch's pages, but CHECKPOINT
 *	emulator libxl's EMULATOR_XENSTORE_DATA and EMULATOR_CONTEXT behind
 *	         those: the device model of an HVM guest
 *
 * Pure: bytes in, bytes out.  A peer's bytes are safe: what breaks a rule is
 * refused, and memory is bounded by what was given.
 */
#ifndef REMUS_XEN_STATE_H
#define REMUS_XEN_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "xen_image.h"

#define XEN_STATE_VERSION 2
#define XEN_CONFIG_MAX ((size_t)1 << 20)
#define XEN_BATCH_PAGES 1024 /* of a PAGE_DATA record, as Xen has them */

/* All of *out is written anew.  0, -ENOMEM, or -E2BIG for a configuration above
 * XEN_CONFIG_MAX. */
int xen_state_pack(const struct xen_image *i, const char *config,
		   struct xen_bytes *out);

/* Points into the bytes that were parsed. */
struct xen_state {
	const char *config; /* config_bytes, then no 0 byte */
	uint32_t config_bytes;
	uint32_t runs;
	const uint8_t *firsts; /* u64 each, maybe not aligned */
	const uint8_t *types;
	const uint8_t *head, *tail, *emulator;
	uint32_t head_bytes, tail_bytes, emulator_bytes;
};

/* 0, or -EBADMSG with a line.  `npages` of the image bounds the runs. */
int xen_state_parse(struct xen_state *s, const void *data, size_t bytes,
		    uint64_t npages, char *err, size_t err_bytes);

/* 0, or a negative number, which xen_state_write() returns at once. */
typedef int xen_write_fn(void *ctx, const void *data, size_t bytes);

/* The domain's stream, of libxl version 2, which ends here.  `pages` is the
 * image.  0, -ENOMEM, or what `out` returned. */
int xen_state_write(const struct xen_state *s, const uint8_t *pages,
		    xen_write_fn *out, void *ctx);

/* A stream of checkpoints, one at a time: `changed` are the pages of this one,
 * `types` what xen_state_types() gave for the one before, both NULL with the
 * first, which begins the stream. */
int xen_state_write_checkpoint(const struct xen_state *s, const uint8_t *pages,
			       const struct page_bitmap *changed,
			       const uint8_t *types, xen_write_fn *out,
			       void *ctx);

/* The types of all pages, a byte each, by place; those that have none are
 * XEN_TYPE_UNSEEN. */
void xen_state_types(const struct xen_state *s, uint8_t *types,
		     uint64_t npages);

/* Can a checkpoint of b go on with a stream of a?  Else that begins anew. */
bool xen_state_goes_on(const struct xen_state *a, const struct xen_state *b);

#endif
