/* SPDX-License-Identifier: GPL-2.0-or-later */
/* segments.c - see segments.h. */
#include "segments.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ETHER_BYTES 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IPV6_BYTES 40
#define PROTO_TCP 6
#define TCP_BYTES_MIN 20
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

struct slot {
	uint64_t came_ns;
	uint16_t len; /* 0: empty */
	uint8_t frame[SEGMENT_BYTES_MAX];
};

struct segments {
	bool any;
	struct slot slots[SEGMENTS_MAX];
};

/* Where things are in a segment. */
struct segment {
	const uint8_t *addresses; /* both, source first */
	size_t addresses_bytes;
	const uint8_t *tcp;
	size_t tcp_bytes; /* header and data */
};

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static bool parse_ipv4(const uint8_t *ip, size_t len, struct segment *out)
{
	size_t head, total;

	if (len < 20 || ip[0] >> 4 != 4)
		return false;
	head = (ip[0] & 15u) * 4;
	total = get16(ip + 2);
	/* A fragment has no ports, or not all of the data. */
	if (head < 20 || total < head || total > len || ip[9] != PROTO_TCP ||
	    (get16(ip + 6) & 0x3fff) != 0)
		return false;
	out->addresses = ip + 12;
	out->addresses_bytes = 8;
	out->tcp = ip + head;
	out->tcp_bytes = total - head;
	return true;
}

static bool parse_ipv6(const uint8_t *ip, size_t len, struct segment *out)
{
	size_t bytes;

	if (len < IPV6_BYTES || ip[0] >> 4 != 6)
		return false;
	bytes = get16(ip + 4);
	if (ip[6] != PROTO_TCP || bytes > len - IPV6_BYTES)
		return false;
	out->addresses = ip + 8;
	out->addresses_bytes = 32;
	out->tcp = ip + IPV6_BYTES;
	out->tcp_bytes = bytes;
	return true;
}

/* Does it want an answer? */
static bool wanted(const struct segment *s)
{
	size_t head;

	if (s->tcp_bytes < TCP_BYTES_MIN)
		return false;
	head = (size_t)(s->tcp[12] >> 4) * 4;
	if (head < TCP_BYTES_MIN || head > s->tcp_bytes ||
	    (s->tcp[13] & TCP_RST) != 0)
		return false;
	return s->tcp_bytes > head || (s->tcp[13] & (TCP_SYN | TCP_FIN)) != 0;
}

static bool parse(const uint8_t *frame, size_t len, struct segment *out)
{
	if (len < ETHER_BYTES || len > SEGMENT_BYTES_MAX)
		return false;
	switch (get16(frame + 12)) {
	case ETHERTYPE_IPV4:
		return parse_ipv4(frame + ETHER_BYTES, len - ETHER_BYTES,
				  out) && wanted(out);
	case ETHERTYPE_IPV6:
		return parse_ipv6(frame + ETHER_BYTES, len - ETHER_BYTES,
				  out) && wanted(out);
	}
	return false;
}

/* FNV-1a of the addresses and the ports. */
static unsigned int slot_of(const struct segment *s)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < s->addresses_bytes; i++)
		h = (h ^ s->addresses[i]) * 16777619u;
	for (i = 0; i < 4; i++)
		h = (h ^ s->tcp[i]) * 16777619u;
	return (h ^ h >> 16) % SEGMENTS_MAX;
}

struct segments *segments_new(void)
{
	return calloc(1, sizeof(struct segments));
}

void segments_free(struct segments *l)
{
	free(l);
}

void segments_put(struct segments *l, const void *frame, size_t len,
		  uint64_t now_ns)
{
	struct segment seg;
	struct slot *s;

	if (!parse(frame, len, &seg))
		return;
	s = &l->slots[slot_of(&seg)];
	s->came_ns = now_ns;
	s->len = (uint16_t)len;
	memcpy(s->frame, frame, len);
	l->any = true;
}

void segments_drain(struct segments *l, uint64_t now_ns, segment_fn *give,
		    void *ctx)
{
	unsigned int i;

	if (!l->any)
		return;
	for (i = 0; i < SEGMENTS_MAX; i++) {
		const struct slot *s = &l->slots[i];

		if (s->len != 0 && now_ns - s->came_ns <= SEGMENT_AGE_MAX_NS)
			give(ctx, s->frame, s->len);
	}
	segments_clear(l);
}

void segments_clear(struct segments *l)
{
	unsigned int i;

	if (!l->any)
		return;
	for (i = 0; i < SEGMENTS_MAX; i++)
		l->slots[i].len = 0;
	l->any = false;
}
