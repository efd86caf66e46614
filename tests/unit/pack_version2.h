/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pack_version2.h - page records version 2, which are read and not written any more.
 */
#ifndef REMUS_TEST_PACK_VERSION2_H
#define REMUS_TEST_PACK_VERSION2_H

#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

#include "page_pack.h"
#include "varint.h"

/* payload[0..len) of version 1, which is said to have so many records; 0: there is
 * no room for it in dst[0..cap). */
static inline size_t pack_version2(uint8_t *dst, size_t cap,
				   const uint8_t *payload, size_t len,
				   uint64_t records)
{
	uint8_t *at = dst;
	size_t r;

	if (cap < 1 + VARINT_BYTES_MAX)
		return 0;
	*at++ = PAGE_PACK_VERSION;
	at += varint_put(at, records);
	r = ZSTD_compress(at, cap - (size_t)(at - dst), payload, len, 1);
	return ZSTD_isError(r) ? 0 : (size_t)(at - dst) + r;
}

#endif
