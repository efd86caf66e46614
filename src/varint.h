/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * varint.h - the numbers of remus-page-records(7): seven bits a byte, the least
 * significant first, bit 7 set in every byte but the last.
 */
#ifndef REMUS_VARINT_H
#define REMUS_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_BYTES_MAX 8 /* 56 bits */

/* v is below 2^56.  Returns the bytes written, at most VARINT_BYTES_MAX. */
static inline size_t varint_put(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

/* False, and *at where it was, when there is no number of at most
 * VARINT_BYTES_MAX bytes, in its shortest form, in [*at, end). */
static inline bool varint_get(const uint8_t **at, const uint8_t *end,
			      uint64_t *v)
{
	const uint8_t *p = *at;

	*v = 0;
	for (unsigned int n = 0; n < VARINT_BYTES_MAX && p != end; n++) {
		uint8_t b = *p++;

		*v |= (uint64_t)(b & 0x7f) << (7 * n);
		if (b & 0x80)
			continue;
		if (b == 0 && n > 0)
			return false;
		*at = p;
		return true;
	}
	return false;
}

#endif
