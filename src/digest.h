/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * digest.h - the proof that both sides hold the same epoch (S5).
 *
 * XXH3-64 (libxxhash) over, for each page record in stream order, the gfn
 * (8 bytes, little-endian) and the page's new content (4,096 bytes), whatever
 * the record's kind, and after them the device state.  The chain binds epochs
 * together: XXH3-64 of (base chain, epoch, digest), 8 bytes little-endian each.
 * It finds differing old pages, lost records and our own bugs; forgery is kept
 * out by TLS.  See remus-protocol(7).
 */
#ifndef REMUS_DIGEST_H
#define REMUS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct digest; /* opaque: a running digest */

struct digest *digest_new(void); /* NULL: no memory */
void digest_free(struct digest *d);
void digest_start(struct digest *d);
void digest_page(struct digest *d, gfn_t gfn, const uint8_t *page);
void digest_bytes(struct digest *d, const void *data, size_t bytes);
uint64_t digest_value(const struct digest *d);

uint64_t digest_chain(uint64_t base_chain, uint64_t epoch, uint64_t digest);

#endif
