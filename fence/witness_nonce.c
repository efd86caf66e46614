/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_nonce.c - a ring of entries in the order of their end, and chains
 * through it by hash.  The hash is bytes of the nonce: only who has the key
 * gets this far, and he chose them at random.
 */
#include "witness_nonce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384
#define NONE UINT16_MAX

_Static_assert(NONCES_MAX < NONE, "an index is 16 bits");

struct entry {
	uint8_t nonce[WITNESS_NONCE_HEX / 2];
	uint64_t until_ms;
	uint16_t next;
};

struct nonces {
	struct entry ring[NONCES_MAX];
	uint16_t head[BUCKETS];
	unsigned int first, count;
};

struct nonces *nonces_new(void)
{
	struct nonces *n = calloc(1, sizeof(*n));

	if (n != NULL)
		memset(n->head, 0xff, sizeof(n->head));
	return n;
}

void nonces_free(struct nonces *n)
{
	free(n);
}

static unsigned int bucket_of(const uint8_t *nonce)
{
	return ((unsigned int)nonce[0] << 8 | nonce[1]) % BUCKETS;
}

static uint8_t digit(char ch)
{
	return (uint8_t)(ch <= '9' ? ch - '0' : ch - 'a' + 10);
}

static void from_hex(uint8_t *out, const char *hex)
{
	for (int i = 0; i < WITNESS_NONCE_HEX / 2; i++)
		out[i] = (uint8_t)(digit(hex[2 * i]) << 4 |
				   digit(hex[2 * i + 1]));
}

static void drop_first(struct nonces *n)
{
	struct entry *e = &n->ring[n->first];
	uint16_t *at = &n->head[bucket_of(e->nonce)];

	while (*at != n->first)
		at = &n->ring[*at].next;
	*at = e->next;
	n->first = (n->first + 1) % NONCES_MAX;
	n->count--;
}

int nonces_add(struct nonces *n, const char *hex, uint64_t now_ms,
	       uint64_t until_ms)
{
	uint8_t nonce[WITNESS_NONCE_HEX / 2];
	unsigned int bucket, at;

	while (n->count > 0 && n->ring[n->first].until_ms < now_ms)
		drop_first(n);
	from_hex(nonce, hex);
	bucket = bucket_of(nonce);
	for (uint16_t i = n->head[bucket]; i != NONE; i = n->ring[i].next) {
		if (memcmp(n->ring[i].nonce, nonce, sizeof(nonce)) == 0)
			return -EEXIST;
	}
	if (n->count == NONCES_MAX)
		return -ENOSPC;
	at = (n->first + n->count) % NONCES_MAX;
	memcpy(n->ring[at].nonce, nonce, sizeof(nonce));
	n->ring[at].until_ms = until_ms;
	n->ring[at].next = n->head[bucket];
	n->head[bucket] = (uint16_t)at;
	n->count++;
	return 0;
}
