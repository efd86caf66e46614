/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "digest.h"

#include <endian.h>
#include <stdlib.h>
#include <xxhash.h>

struct digest {
	XXH3_state_t *state;
};

struct digest *digest_new(void)
{
	struct digest *d = malloc(sizeof(*d));

	if (d == NULL)
		return NULL;
	d->state = XXH3_createState();
	if (d->state == NULL) {
		free(d);
		return NULL;
	}
	digest_start(d);
	return d;
}

void digest_free(struct digest *d)
{
	if (d == NULL)
		return;
	XXH3_freeState(d->state);
	free(d);
}

void digest_start(struct digest *d)
{
	XXH3_64bits_reset(d->state);
}

void digest_page(struct digest *d, gfn_t gfn, const uint8_t *page)
{
	uint64_t le = htole64(gfn);

	XXH3_64bits_update(d->state, &le, sizeof(le));
	XXH3_64bits_update(d->state, page, REMUS_PAGE_SIZE);
}

void digest_bytes(struct digest *d, const void *data, size_t bytes)
{
	XXH3_64bits_update(d->state, data, bytes);
}

uint64_t digest_value(const struct digest *d)
{
	return XXH3_64bits_digest(d->state);
}

uint64_t digest_chain(uint64_t base_chain, uint64_t epoch, uint64_t digest)
{
	uint64_t le[3] = { htole64(base_chain), htole64(epoch),
			   htole64(digest) };

	return XXH3_64bits(le, sizeof(le));
}
