/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_receiver.c - payloads of every kind, most of them wrong: what was
 * committed stays untouched while an epoch is staged.
 *
 * Payloads lie at the end of a block of memory of their own, so that a read
 * behind them is found; the image has a page of a known pattern at either side.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "capture.h"
#include "digest.h"
#include "pack_version2.h"
#include "page_pack.h"
#include "page_record.h"
#include "receiver.h"
#include "segment_frames.h"

#define NPAGES 32
#define BYTES (NPAGES * REMUS_PAGE_SIZE)
#define DEVICE_BYTES 10000

struct world {
	uint8_t around[BYTES + 2 * REMUS_PAGE_SIZE];
	uint8_t *image;
	uint8_t before[BYTES], next[BYTES]; /* committed, and to come */
	uint8_t device[DEVICE_BYTES], device_next[DEVICE_BYTES];
	struct receiver *r;
	uint64_t chain, epoch;
	uint8_t pages[1 << 18], devs[1 << 18]; /* payloads of an epoch */
	size_t pages_len, devs_len;
	uint64_t records, seed;
};

static uint64_t rnd(struct world *w, uint64_t n)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (w->seed >> 33) % n;
}

static void begin(struct world *w, bool direct)
{
	struct wire_begin b = {
		.stream = 1, .epoch = ++w->epoch,
		.flags = direct ? WIRE_BEGIN_DIRECT : 0,
		.base_chain = direct ? 0 : w->chain,
	};

	if (direct)
		w->chain = 0;
	receiver_begin(w->r, &b);
}

/* Payloads that lead from (before, device) to (next, device_next); `olds`:
 * against what was before. */
static void encode(struct world *w, bool olds)
{
	struct page_writer p;

	page_writer_init(&p, w->pages, sizeof(w->pages));
	for (gfn_t g = 0; g < NPAGES; g++) {
		size_t at = g * REMUS_PAGE_SIZE;

		if (olds && g % 3 == 2)
			continue;
		assert_int_equal(page_writer_add(&p, g,
						 olds ? w->before + at : NULL,
						 w->next + at, PAGE_ALLOW_ALL,
						 NULL), 0);
	}
	w->pages_len = page_writer_bytes(&p);
	w->records = olds ? NPAGES - NPAGES / 3 : NPAGES;
	page_writer_init(&p, w->devs, sizeof(w->devs));
	for (size_t at = 0, i = 0; at < DEVICE_BYTES;
	     at += REMUS_PAGE_SIZE, i++) {
		uint8_t old[REMUS_PAGE_SIZE] = { 0 }, new[REMUS_PAGE_SIZE] =
							      { 0 };
		size_t n = DEVICE_BYTES - at < REMUS_PAGE_SIZE
				   ? DEVICE_BYTES - at
				   : REMUS_PAGE_SIZE;

		memcpy(old, w->device + at, n);
		memcpy(new, w->device_next + at, n);
		assert_int_equal(page_writer_add(&p, i, olds ? old : NULL, new,
						 PAGE_ALLOW_ALL, NULL), 0);
	}
	w->devs_len = page_writer_bytes(&p);
}

static struct wire_end right_end(struct world *w, bool olds)
{
	struct digest *d = digest_new();
	struct wire_end end = { .epoch = w->epoch, .page_records = w->records,
				.device_bytes = DEVICE_BYTES };

	for (gfn_t g = 0; g < NPAGES; g++)
		if (!olds || g % 3 != 2)
			digest_page(d, g, w->next + g * REMUS_PAGE_SIZE);
	digest_bytes(d, w->device_next, DEVICE_BYTES);
	end.digest = digest_value(d);
	end.chain = digest_chain(w->chain, w->epoch, end.digest);
	digest_free(d);
	return end;
}

/* Change pages that are sent in an epoch with olds, and the device state. */
static void change(struct world *w)
{
	for (gfn_t g = 0; g < NPAGES; g++) {
		uint8_t *page = w->next + g * REMUS_PAGE_SIZE;

		if (g % 3 == 2)
			continue;
		if (g % 5 == 0)
			memset(page, 0, REMUS_PAGE_SIZE);
		else if (g % 5 == 1)
			for (size_t i = 0; i < REMUS_PAGE_SIZE; i++)
				page[i] = (uint8_t)rnd(w, 256);
		else if (g % 5 < 4)
			for (int i = 0; i < 9; i++)
				page[rnd(w, REMUS_PAGE_SIZE)] ^= 0x55;
	}
	for (int i = 0; i < 20; i++)
		w->device_next[rnd(w, DEVICE_BYTES)] ^= 0x33;
}

static int feed(struct world *w, const uint8_t *payload, size_t len,
		bool device)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(copy, payload, len);
	rc = device ? receiver_device(w->r, copy, len)
		    : receiver_pages(w->r, copy, len);
	free(copy);
	return rc;
}

static void commit(struct world *w, const struct wire_end *end)
{
	char why[256] = "";
	size_t bytes;
	const void *device;

	if (!receiver_matches(w->r, end, why, sizeof(why)))
		fail_msg("%s", why);
	receiver_commit(w->r);
	w->chain = end->chain;
	memcpy(w->before, w->next, BYTES);
	memcpy(w->device, w->device_next, DEVICE_BYTES);
	assert_true(memcmp(w->image, w->next, BYTES) == 0);
	device = receiver_device_state(w->r, &bytes);
	assert_int_equal(bytes, DEVICE_BYTES);
	assert_true(memcmp(device, w->device_next, DEVICE_BYTES) == 0);
}

static void guards_stand(const struct world *w)
{
	for (size_t i = 0; i < REMUS_PAGE_SIZE; i++) {
		assert_int_equal(w->around[i], 0xa5);
		assert_int_equal(w->around[sizeof(w->around) - 1 - i], 0xa5);
	}
}

static void committed_is_untouched(struct world *w)
{
	size_t bytes;
	const void *device = receiver_device_state(w->r, &bytes);

	assert_true(memcmp(w->image, w->before, BYTES) == 0);
	assert_int_equal(bytes, DEVICE_BYTES);
	assert_true(memcmp(device, w->device, DEVICE_BYTES) == 0);
	guards_stand(w);
}

static void whole_epoch(struct world *w, bool direct)
{
	struct wire_end end;

	begin(w, direct);
	encode(w, !direct);
	assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
	assert_int_equal(receiver_records(w->r), w->records);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	end = right_end(w, !direct);
	commit(w, &end);
}

/* A world that holds one committed epoch and knows of a next one. */
static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -1;
	w->seed = 1;
	memset(w->around, 0xa5, sizeof(w->around));
	w->image = w->around + REMUS_PAGE_SIZE;
	for (size_t i = 0; i < BYTES; i++)
		w->next[i] = (uint8_t)rnd(w, 256);
	for (size_t i = 0; i < DEVICE_BYTES; i++)
		w->device_next[i] = (uint8_t)rnd(w, 256);
	if (receiver_new(&w->r, w->image, NPAGES) < 0)
		return -1;
	whole_epoch(w, true);
	change(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	receiver_free(w->r);
	free(w);
	return 0;
}

static void epochs_follow_each_other(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 20; i++) {
		whole_epoch(w, i == 10);
		guards_stand(w);
		change(w);
	}
}

static void nothing_is_there_at_first(void **state)
{
	struct receiver *r;
	struct world *w = *state;
	size_t bytes = 7;

	assert_int_equal(receiver_new(&r, w->image, NPAGES), 0);
	receiver_device_state(r, &bytes);
	assert_int_equal(bytes, 0);
	assert_int_equal(receiver_records(r), 0);
	receiver_free(r);
	receiver_free(NULL);
}

static void staged_is_not_committed_until_commit(void **state)
{
	struct world *w = *state;
	struct wire_end end;

	begin(w, false);
	encode(w, true);
	assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
	committed_is_untouched(w);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	committed_is_untouched(w);
	end = right_end(w, true);
	assert_true(receiver_matches(w->r, &end, NULL, 0));
	committed_is_untouched(w);
	receiver_drop(w->r);
	committed_is_untouched(w);
	/* what was dropped has left no trace in the next */
	whole_epoch(w, false);
}

static void a_new_begin_drops_what_was_open(void **state)
{
	struct world *w = *state;

	begin(w, false);
	encode(w, true);
	assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	w->epoch--;
	whole_epoch(w, false);
}

static void each_number_of_end_must_be_right(void **state)
{
	struct world *w = *state;

	for (int what = 0; what < 9; what++) {
		struct wire_end end;
		char why[256] = "";
		bool good;

		begin(w, false);
		encode(w, true);
		assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
		assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
		end = right_end(w, true);
		switch (what) {
		case 0: end.page_records++; break;
		case 1: end.page_records--; break;
		case 2: end.device_bytes++; break;
		case 3: end.device_bytes--; break;
		case 4: end.device_bytes = 0; break;
		case 5: end.device_bytes = UINT64_MAX; break;
		case 6: end.digest ^= 1; break;
		case 7: end.chain ^= 1; break;
		case 8: end.epoch++; break; /* the chain is another's */
		}
		good = receiver_matches(w->r, &end, why, sizeof(why));
		if (good || why[0] == '\0')
			fail_msg("case %d taken", what);
		receiver_drop(w->r);
		committed_is_untouched(w);
	}
	whole_epoch(w, false);
}

/* ---- packed ---- */

/* Both payloads of the epoch as version 2 says it, which claims `more` records
 * than there are. */
static void pack(struct world *w, int more)
{
	static uint8_t out[sizeof(w->pages)];
	uint64_t blocks = (DEVICE_BYTES + REMUS_PAGE_SIZE - 1) /
			  REMUS_PAGE_SIZE;
	size_t n = pack_version2(out, sizeof(out), w->pages, w->pages_len,
				 w->records + (uint64_t)more);

	assert_true(n > 0);
	memcpy(w->pages, out, n);
	w->pages_len = n;
	n = pack_version2(out, sizeof(out), w->devs, w->devs_len,
			  blocks + (uint64_t)more);
	assert_true(n > 0);
	memcpy(w->devs, out, n);
	w->devs_len = n;
}

static void a_packed_epoch_is_an_epoch(void **state)
{
	struct world *w = *state;
	struct wire_end end;

	for (int direct = 0; direct < 2; direct++) {
		begin(w, direct);
		encode(w, !direct);
		pack(w, 0);
		assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
		assert_int_equal(receiver_records(w->r), w->records);
		assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
		end = right_end(w, !direct);
		commit(w, &end);
		change(w);
	}
}

static void another_number_of_records_than_packed_is_refused(void **state)
{
	struct world *w = *state;

	begin(w, false);
	encode(w, true);
	pack(w, 1);
	assert_int_equal(feed(w, w->pages, w->pages_len, false), -EBADMSG);
	receiver_drop(w->r);
	begin(w, false);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), -EBADMSG);
	receiver_drop(w->r);
	committed_is_untouched(w);
	whole_epoch(w, false);
}

static void a_packed_payload_is_cut_at_every_byte(void **state)
{
	struct world *w = *state;

	encode(w, true);
	pack(w, 0);
	for (size_t n = 0; n < w->devs_len; n++) {
		begin(w, false);
		assert_int_equal(feed(w, w->devs, n, true), -EBADMSG);
	}
	for (size_t n = 0; n < w->pages_len; n += n < 100 ? 1 : 97) {
		begin(w, false);
		assert_int_equal(feed(w, w->pages, n, false), -EBADMSG);
	}
	receiver_drop(w->r);
	committed_is_untouched(w);
}

/* ---- output ---- */

static int feed_output(struct world *w, unsigned int port, uint8_t byte,
		       size_t cut)
{
	uint8_t frame[SEGMENT_BYTES_MAX], payload[2 * SEGMENT_BYTES_MAX];
	size_t len = segment4(frame, port, ACK, 9, byte);

	len = wire_put_output_frame(payload, frame, len);
	return receiver_output(w->r, payload, len - cut);
}

struct output {
	unsigned int n;
	uint8_t byte; /* of the last */
};

static void take_output(void *ctx, const void *frame, size_t len)
{
	struct output *o = ctx;

	o->n++;
	o->byte = ((const uint8_t *)frame)[len - 1];
}

static struct output drain_output(struct world *w)
{
	struct output o = { 0 };

	receiver_drain_output(w->r, take_output, &o);
	return o;
}

static void commit_open(struct world *w)
{
	struct wire_end end;

	encode(w, true);
	assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	end = right_end(w, true);
	commit(w, &end);
}

static void output_is_that_of_the_committed_epoch(void **state)
{
	struct world *w = *state;
	struct output o;

	assert_int_equal(drain_output(w).n, 0);
	begin(w, false);
	assert_int_equal(feed_output(w, 1, 'a', 0), 0);
	assert_int_equal(drain_output(w).n, 0);
	commit_open(w);
	begin(w, false);
	assert_int_equal(feed_output(w, 1, 'b', 0), 0);
	assert_int_equal(feed_output(w, 2, 'b', 0), 0);
	receiver_drop(w->r);
	o = drain_output(w);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.byte, 'a');
	assert_int_equal(drain_output(w).n, 0); /* once */
}

static void an_epoch_without_output_has_none(void **state)
{
	struct world *w = *state;

	begin(w, false);
	assert_int_equal(feed_output(w, 1, 'a', 0), 0);
	commit_open(w);
	begin(w, false);
	commit_open(w);
	assert_int_equal(drain_output(w).n, 0);
}

static void output_cut_off_is_refused(void **state)
{
	struct world *w = *state;

	begin(w, false);
	assert_int_equal(feed_output(w, 1, 'a', 1), -EBADMSG);
	receiver_drop(w->r);
}

static void a_wrong_base_is_found_by_the_chain(void **state)
{
	struct world *w = *state;
	struct wire_begin b = { .stream = 1, .epoch = 2,
				.base_chain = w->chain ^ 1 };
	struct wire_end end;

	receiver_begin(w->r, &b);
	encode(w, true);
	w->epoch = 2;
	assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	end = right_end(w, true);
	assert_false(receiver_matches(w->r, &end, NULL, 0));
	receiver_drop(w->r);
	committed_is_untouched(w);
}

static void other_old_pages_are_found_by_the_digest(void **state)
{
	struct world *w = *state;
	struct wire_end end;

	begin(w, false);
	encode(w, true);
	w->image[3 * REMUS_PAGE_SIZE] ^= 1; /* sent as a delta */
	assert_int_equal(feed(w, w->pages, w->pages_len, false), 0);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	end = right_end(w, true);
	assert_false(receiver_matches(w->r, &end, NULL, 0));
	receiver_drop(w->r);
	w->image[3 * REMUS_PAGE_SIZE] ^= 1;
	committed_is_untouched(w);
	whole_epoch(w, false);
}

static void pages_cut_anywhere_change_nothing_committed(void **state)
{
	struct world *w = *state;
	size_t whole = 0;

	encode(w, true);
	for (size_t len = 0; len < w->pages_len; len++) {
		int rc;

		begin(w, false);
		w->epoch--;
		rc = feed(w, w->pages, len, false);
		/* cut between two records it is one, with fewer of them */
		assert_true(rc == -EBADMSG || rc == 0);
		if (rc == 0) {
			whole++;
			assert_true(receiver_records(w->r) < w->records);
		}
		if (len % 64 == 0 || rc == 0)
			committed_is_untouched(w);
	}
	assert_int_equal(whole, w->records - 1);
	receiver_drop(w->r);
	committed_is_untouched(w);
	whole_epoch(w, false);
}

static void a_flipped_bit_is_refused_or_found_by_the_digest(void **state)
{
	struct world *w = *state;
	unsigned int refused = 0, found = 0;
	struct wire_end end;

	encode(w, true);
	for (int i = 0; i < 3000; i++) {
		bool device = i % 3 == 0;
		uint8_t *payload = device ? w->devs : w->pages;
		size_t at = rnd(w, i % 2 ? 40 : device ? w->devs_len
						       : w->pages_len);
		uint8_t bit = (uint8_t)(1u << rnd(w, 8));
		int rc;

		begin(w, false);
		end = right_end(w, true);
		payload[at] ^= bit;
		rc = feed(w, w->pages, w->pages_len, false);
		if (rc == 0)
			rc = feed(w, w->devs, w->devs_len, true);
		assert_true(rc == 0 || rc == -EBADMSG);
		if (rc < 0)
			refused++;
		else if (!receiver_matches(w->r, &end, NULL, 0))
			found++;
		else
			fail_msg("taken: byte %zu of %s", at,
				 device ? "DEVICE" : "PAGES");
		payload[at] ^= bit;
		receiver_drop(w->r);
		if (i % 50 == 0)
			committed_is_untouched(w);
		w->epoch--;
	}
	assert_true(refused > 100 && found > 100);
	committed_is_untouched(w);
	whole_epoch(w, false);
}

/* A direct epoch may spoil the image, but nothing beside it. */
static void random_bytes_stay_inside(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 4000; i++) {
		uint8_t bytes[600];
		size_t len = rnd(w, sizeof(bytes));

		begin(w, i % 2);
		for (size_t j = 0; j < len; j++)
			bytes[j] = (uint8_t)(rnd(w, 3) ? rnd(w, 256)
						       : rnd(w, 2));
		bytes[0] = 1; /* the version */
		feed(w, bytes, len, i % 4 < 2);
		receiver_drop(w->r);
	}
	guards_stand(w);
	w->chain = 0;
	whole_epoch(w, true);
}

/* The payload with one record, of gfn, as a raw page. */
static size_t one_record(uint8_t *out, gfn_t gfn)
{
	uint8_t page[REMUS_PAGE_SIZE];
	struct page_writer p;

	memset(page, 0x77, sizeof(page));
	page_writer_init(&p, out, 2 * REMUS_PAGE_SIZE);
	assert_int_equal(page_writer_add(&p, gfn, NULL, page, PAGE_ALLOW_ALL,
					 NULL), 0);
	return page_writer_bytes(&p);
}

static void a_page_outside_memory_is_refused(void **state)
{
	static const gfn_t outside[] = { NPAGES, NPAGES + 1, UINT32_MAX,
					 (gfn_t)1 << 40, PAGE_GFN_MAX - 1 };
	struct world *w = *state;
	uint8_t payload[2 * REMUS_PAGE_SIZE];

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		for (int direct = 0; direct <= 1; direct++) {
			begin(w, direct);
			assert_int_equal(feed(w, payload,
					      one_record(payload, outside[i]),
					      false), -EBADMSG);
			receiver_drop(w->r);
			assert_true(memcmp(w->image, w->before, BYTES) == 0);
			guards_stand(w);
		}
}

static void device_blocks_come_in_order_and_without_gaps(void **state)
{
	struct world *w = *state;
	uint8_t payload[2 * REMUS_PAGE_SIZE];

	begin(w, false);
	assert_int_equal(feed(w, payload, one_record(payload, 1), true),
			 -EBADMSG);
	begin(w, false);
	assert_int_equal(feed(w, payload, one_record(payload, 0), true), 0);
	assert_int_equal(feed(w, payload, one_record(payload, 0), true),
			 -EBADMSG);
	begin(w, false);
	assert_int_equal(feed(w, payload, one_record(payload, 0), true), 0);
	assert_int_equal(feed(w, payload, one_record(payload, 2), true),
			 -EBADMSG);
	receiver_drop(w->r);
	committed_is_untouched(w);
}

static void device_state_is_bounded(void **state)
{
	const uint64_t blocks = CAPTURE_DEVICE_MAX / REMUS_PAGE_SIZE;
	struct world *w = *state;
	uint8_t zero[REMUS_PAGE_SIZE] = { 0 }, payload[2 * REMUS_PAGE_SIZE];
	struct page_writer p;

	begin(w, false);
	for (uint64_t i = 0; i < blocks;) {
		page_writer_init(&p, w->devs, sizeof(w->devs));
		while (i < blocks && page_writer_add(&p, i, NULL, zero,
						     PAGE_ALLOW_ALL, NULL) == 0)
			i++;
		assert_int_equal(feed(w, w->devs, page_writer_bytes(&p), true),
				 0);
	}
	assert_int_equal(feed(w, payload, one_record(payload, blocks), true),
			 -EBADMSG);
	receiver_drop(w->r);
	committed_is_untouched(w);
	whole_epoch(w, false);
}

static void pages_behind_the_device_state_are_refused(void **state)
{
	struct world *w = *state;

	begin(w, false);
	encode(w, true);
	assert_int_equal(feed(w, w->devs, w->devs_len, true), 0);
	assert_int_equal(feed(w, w->pages, w->pages_len, false), -EBADMSG);
	receiver_drop(w->r);
	committed_is_untouched(w);
	whole_epoch(w, false);
}

/* A page twice in an epoch: the later record builds on the earlier one. */
static void a_later_record_overrides_an_earlier_one(void **state)
{
	struct world *w = *state;
	struct digest *d = digest_new();
	uint8_t first[REMUS_PAGE_SIZE], payload[2 * REMUS_PAGE_SIZE];
	struct wire_end end = { .page_records = 2 };
	struct page_writer p;

	memcpy(w->next, w->before, BYTES);
	memset(first, 0x77, sizeof(first));
	memcpy(w->next, first, REMUS_PAGE_SIZE);
	w->next[9] ^= 1;
	begin(w, false);
	assert_int_equal(feed(w, payload, one_record(payload, 0), false), 0);
	page_writer_init(&p, payload, sizeof(payload));
	assert_int_equal(page_writer_add(&p, 0, first, w->next, PAGE_ALLOW_ALL,
					 NULL), 0);
	assert_int_equal(p.records[PAGE_DELTA], 1);
	assert_int_equal(feed(w, payload, page_writer_bytes(&p), false), 0);
	digest_page(d, 0, first);
	digest_page(d, 0, w->next);
	end.epoch = w->epoch;
	end.digest = digest_value(d);
	end.chain = digest_chain(w->chain, w->epoch, end.digest);
	digest_free(d);
	assert_true(receiver_matches(w->r, &end, NULL, 0));
	receiver_commit(w->r);
	assert_true(memcmp(w->image, w->next, BYTES) == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(epochs_follow_each_other),
		TEST(nothing_is_there_at_first),
		TEST(staged_is_not_committed_until_commit),
		TEST(a_new_begin_drops_what_was_open),
		TEST(each_number_of_end_must_be_right),
		TEST(a_packed_epoch_is_an_epoch),
		TEST(another_number_of_records_than_packed_is_refused),
		TEST(a_packed_payload_is_cut_at_every_byte),
		TEST(output_is_that_of_the_committed_epoch),
		TEST(an_epoch_without_output_has_none),
		TEST(output_cut_off_is_refused),
		TEST(a_wrong_base_is_found_by_the_chain),
		TEST(other_old_pages_are_found_by_the_digest),
		TEST(pages_cut_anywhere_change_nothing_committed),
		TEST(a_flipped_bit_is_refused_or_found_by_the_digest),
		TEST(random_bytes_stay_inside),
		TEST(a_page_outside_memory_is_refused),
		TEST(device_blocks_come_in_order_and_without_gaps),
		TEST(device_state_is_bounded),
		TEST(pages_behind_the_device_state_are_refused),
		TEST(a_later_record_overrides_an_earlier_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
