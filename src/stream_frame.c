/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_frame.c - see stream_frame.h. */
#include "stream_frame.h"

#include <endian.h>
#include <string.h>

static const char *const modes[STREAM_MODES] = {
	[STREAM_OFF] = "off",
	[STREAM_FAST] = "fast",
	[STREAM_TIGHT] = "tight",
};

const char *stream_mode_to_str(enum stream_mode mode)
{
	return (unsigned int)mode < STREAM_MODES ? modes[mode] : "?";
}

bool stream_mode_parse(const char *text, enum stream_mode *out)
{
	for (int i = 0; i < STREAM_MODES; i++) {
		if (strcmp(text, modes[i]) == 0) {
			*out = (enum stream_mode)i;
			return true;
		}
	}
	return false;
}

uint32_t stream_checksum(struct digest *d, const uint8_t *head,
			 size_t head_bytes, const uint8_t *body, size_t bytes)
{
	digest_start(d);
	digest_bytes(d, head, head_bytes);
	digest_bytes(d, body, bytes);
	return (uint32_t)digest_value(d);
}

void stream_put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

void stream_put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

void stream_put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

uint16_t stream_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

uint32_t stream_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

uint64_t stream_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}
