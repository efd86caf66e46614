/* SPDX-License-Identifier: GPL-2.0-or-later */
/* segment_frames.h - Ethernet frames with a TCP segment, for tests. */
#ifndef REMUS_TEST_SEGMENT_FRAMES_H
#define REMUS_TEST_SEGMENT_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "segments.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

/* A segment of port `port` to port 6379, with `data` bytes that are all `byte`;
 * returns the frame's length. */
static inline size_t segment4(uint8_t *f, unsigned int port, uint8_t flags,
			      size_t data, uint8_t byte)
{
	size_t total = 20 + 20 + data;

	memset(f, 0, 14 + 40);
	f[12] = 0x08;
	f[14] = 0x45;
	f[16] = (uint8_t)(total >> 8);
	f[17] = (uint8_t)total;
	f[23] = 6;
	memcpy(f + 26, "\x0a\x4d\x02\x64\x0a\x4d\x02\x0a", 8);
	f[34] = (uint8_t)(port >> 8);
	f[35] = (uint8_t)port;
	f[36] = 6379 >> 8;
	f[37] = 6379 & 0xff;
	f[46] = 0x50;
	f[47] = flags;
	memset(f + 54, byte, data);
	return 14 + total;
}

#endif
