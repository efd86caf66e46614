/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "digest.h"
#include "page_pack.h"
#include "page_record.h"
#include "stage.h"
#include "util.h"

/* A device state, in whole blocks of REMUS_PAGE_SIZE behind its end. */
struct buffer {
	uint8_t *data;
	size_t bytes;
	uint64_t blocks, cap_blocks;
};

struct receiver {
	uint8_t *image;
	uint64_t npages;
	struct stage *stage;
	struct digest *digest;
	struct page_unpacker *unpacker;
	struct buffer device;	 /* of the open epoch; bytes: set by END */
	struct buffer committed; /* of the committed one */
	struct segments *output, *committed_output;
	struct page_bitmap changed;
	uint64_t base_chain;
	uint64_t records;
	bool direct;
};

int receiver_new(struct receiver **out, uint8_t *image, uint64_t npages)
{
	struct receiver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->image = image;
	r->npages = npages;
	r->digest = digest_new();
	r->output = segments_new();
	r->committed_output = segments_new();
	if (r->digest == NULL || r->output == NULL ||
	    r->committed_output == NULL ||
	    stage_new(&r->stage, image, npages) < 0 ||
	    page_bitmap_init(&r->changed, npages) < 0 ||
	    page_unpacker_new(&r->unpacker) < 0) {
		receiver_free(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void receiver_free(struct receiver *r)
{
	if (r == NULL)
		return;
	stage_free(r->stage);
	digest_free(r->digest);
	page_unpacker_free(r->unpacker);
	segments_free(r->output);
	segments_free(r->committed_output);
	page_bitmap_free(&r->changed);
	free(r->device.data);
	free(r->committed.data);
	free(r);
}

void receiver_begin(struct receiver *r, const struct wire_begin *b)
{
	receiver_drop(r);
	r->direct = (b->flags & WIRE_BEGIN_DIRECT) != 0;
	r->base_chain = b->base_chain;
	r->records = 0;
	digest_start(r->digest);
}

/* Hands each record of a payload to take(), which returns 0 or -errno. */
static int for_each_record(struct receiver *r, const uint8_t *payload,
			   size_t len, uint64_t npages,
			   int (*take)(struct receiver *r,
				       const struct page_record *rec))
{
	struct page_payload plain;
	struct page_reader reader;
	struct page_record rec;
	uint64_t n = 0;
	int rc = page_unpack(r->unpacker, payload, len, npages, &plain), more;

	if (rc < 0)
		return rc;
	page_unpack_read(&plain, npages, &reader);
	while ((more = page_reader_next(&reader, &rec)) == 1) {
		rc = take(r, &rec);
		if (rc < 0)
			return rc;
		n++;
	}
	if (more == 0 && plain.records != 0 && plain.records != n)
		return -EBADMSG;
	return more;
}

/* Where a record is applied: staged, and with its old content, only if it must
 * be. */
static uint8_t *place_of(struct receiver *r, const struct page_record *rec)
{
	if (r->direct)
		return r->image + (size_t)rec->gfn * REMUS_PAGE_SIZE;
	switch (rec->kind) {
	case PAGE_SAME:
		return stage_look(r->stage, rec->gfn);
	case PAGE_ZERO:
	case PAGE_RAW:
		return stage_blank(r->stage, rec->gfn);
	case PAGE_DELTA:
		break;
	}
	return stage_page(r->stage, rec->gfn);
}

static int take_page(struct receiver *r, const struct page_record *rec)
{
	uint8_t *page = place_of(r, rec);
	int rc = page_record_apply(rec, page);

	if (rc < 0)
		return rc;
	if (r->direct)
		page_bitmap_set(&r->changed, rec->gfn);
	digest_page(r->digest, rec->gfn, page);
	r->records++;
	return 0;
}

int receiver_pages(struct receiver *r, const uint8_t *payload, size_t len)
{
	if (r->device.blocks > 0)
		return -EBADMSG; /* the device state comes last */
	return for_each_record(r, payload, len, r->npages, take_page);
}

static int grow(struct buffer *b, uint64_t blocks)
{
	uint64_t cap = blocks + blocks / 2;
	uint8_t *bigger;

	if (blocks <= b->cap_blocks)
		return 0;
	bigger = realloc(b->data, cap * REMUS_PAGE_SIZE);
	if (bigger == NULL)
		return -ENOMEM;
	b->data = bigger;
	b->cap_blocks = cap;
	return 0;
}

/* The next block, holding what the committed device state has there. */
static uint8_t *next_block(struct receiver *r)
{
	uint64_t i = r->device.blocks;
	uint8_t *block;

	if (grow(&r->device, i + 1) < 0)
		return NULL;
	block = r->device.data + i * REMUS_PAGE_SIZE;
	if (i < r->committed.blocks)
		memcpy(block, r->committed.data + i * REMUS_PAGE_SIZE,
		       REMUS_PAGE_SIZE);
	else
		memset(block, 0, REMUS_PAGE_SIZE);
	return block;
}

static int take_block(struct receiver *r, const struct page_record *rec)
{
	uint8_t *block;
	int rc;

	if (rec->gfn != r->device.blocks)
		return -EBADMSG;
	block = next_block(r);
	if (block == NULL)
		return -ENOMEM;
	rc = page_record_apply(rec, block);
	if (rc < 0)
		return rc;
	r->device.blocks++;
	return 0;
}

int receiver_device(struct receiver *r, const uint8_t *payload, size_t len)
{
	return for_each_record(r, payload, len,
			       CAPTURE_DEVICE_MAX / REMUS_PAGE_SIZE,
			       take_block);
}

int receiver_output(struct receiver *r, const uint8_t *payload, size_t len)
{
	const uint8_t *frame;
	size_t at = 0, bytes;
	int more;

	while ((more = wire_get_output_frame(payload, len, &at, &frame,
					     &bytes)) == 1)
		segments_put(r->output, frame, bytes, 0);
	return more;
}

static bool device_fits(const struct receiver *r, uint64_t bytes)
{
	return bytes <= CAPTURE_DEVICE_MAX &&
	       page_blocks((size_t)bytes) == r->device.blocks;
}

bool receiver_matches(struct receiver *r, const struct wire_end *end,
		      char *why, size_t why_bytes)
{
	uint64_t digest;

	if (end->page_records != r->records) {
		set_err(why, why_bytes, 0, "%llu page records announced, %llu "
					   "received",
			(unsigned long long)end->page_records,
			(unsigned long long)r->records);
		return false;
	}
	if (!device_fits(r, end->device_bytes)) {
		set_err(why, why_bytes, 0, "%llu bytes of device state "
					   "announced, %llu blocks received",
			(unsigned long long)end->device_bytes,
			(unsigned long long)r->device.blocks);
		return false;
	}
	r->device.bytes = end->device_bytes;
	if (r->device.bytes > 0)
		digest_bytes(r->digest, r->device.data, r->device.bytes);
	digest = digest_value(r->digest);
	if (end->digest != digest ||
	    end->chain != digest_chain(r->base_chain, end->epoch, digest)) {
		set_err(why, why_bytes, 0,
			"digest %016llx announced, %016llx computed",
			(unsigned long long)end->digest,
			(unsigned long long)digest);
		return false;
	}
	return true;
}

void receiver_commit(struct receiver *r)
{
	struct buffer old = r->committed;
	struct segments *output = r->committed_output;

	if (!r->direct)
		stage_commit(r->stage, &r->changed);
	r->committed = r->device;
	r->device = old;
	r->device.bytes = r->device.blocks = 0;
	r->committed_output = r->output;
	r->output = output;
	segments_clear(output);
}

void receiver_drop(struct receiver *r)
{
	stage_drop(r->stage);
	r->device.bytes = r->device.blocks = 0;
	segments_clear(r->output);
}

uint64_t receiver_records(const struct receiver *r)
{
	return r->records;
}

const void *receiver_device_state(const struct receiver *r, size_t *bytes)
{
	*bytes = r->committed.bytes;
	return r->committed.data;
}

struct page_bitmap *receiver_changed(struct receiver *r)
{
	return &r->changed;
}

void receiver_drain_output(struct receiver *r, segment_fn *give, void *ctx)
{
	segments_drain(r->committed_output, 0, give, ctx);
}
