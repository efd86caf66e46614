/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_xen_state - libFuzzer target for a device state of Xen (S8): any bytes
 * are refused, or make a stream that ends, of no more pages than were claimed.
 * Bytes that begin as a stream of libxc are taken into an image first, and what
 * that makes has to be right.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_check.h"
#include "xen_state.h"

#define MEMORY ((uint64_t)2 << 20)

static int count(void *ctx, const void *data, size_t bytes)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i += 512)
		sum ^= ((const uint8_t *)data)[i];
	*(uint64_t *)ctx += bytes + (sum & 0);
	return 0;
}

static void as_state(const uint8_t *data, size_t size, const uint8_t *pages,
		     uint64_t npages, int want)
{
	struct xen_state s;
	uint64_t bytes = 0;
	char err[128] = "";
	int rc = xen_state_parse(&s, data, size, npages, err, sizeof(err));

	CHECK(rc == 0 || (rc == -EBADMSG && err[0] != '\0'));
	CHECK(rc == 0 || want != 0);
	if (rc < 0)
		return;
	CHECK(xen_state_write(&s, pages, count, &bytes) == 0);
	CHECK(bytes >= (uint64_t)s.head_bytes + s.tail_bytes);
	CHECK(bytes <= size + npages * (REMUS_PAGE_SIZE + 24) + 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xen_bytes state = { .data = NULL };
	struct stream_parser *p;
	struct xen_image *i;

	CHECK(xen_image_new(&i, xen_image_npages(MEMORY)) == 0);
	as_state(data, size, i->pages, i->npages, -EBADMSG);
	p = stream_parser_new(xen_image_event, i);
	CHECK(p != NULL);
	if (stream_parser_feed(p, data, size) == 0 &&
	    stream_parser_info(p)->checkpoints > 0) {
		CHECK(xen_state_pack(i, "{}", &state) == 0);
		as_state(state.data, state.bytes, i->pages, i->npages, 0);
	}
	stream_parser_free(p);
	xen_image_free(i);
	free(state.data);
	return 0;
}
