/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_xen_state.c - from a stream of checkpoints to image and device state, and
 * from those to a stream again.
 *
 * What a backup would hand to libxl has the type and content that each page had
 * last, once and in ascending order, and every other record of the epoch byte by
 * byte, of the device model too.  A device state that breaks a rule is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stream_make.h"
#include "xen_state.h"

#define MEMORY ((uint64_t)2 << 20) /* one run, and the spare ones */
#define CONFIG "{\"c_info\": {\"name\": \"vm1\"}}"
#define FAR ((((uint64_t)1 << 52) - 1)) /* stream_make.h's page 7 */

/* ---- what a stream says, the plain way ---- */

struct page_seen {
	uint64_t pfn;
	unsigned int type, times;
	uint8_t data[MAKE_PAGE];
};

struct view {
	struct page_seen page[MAKE_GUEST];
	unsigned int pages;
	struct page_seen *with[MAKE_GUEST];
	unsigned int with_n, with_at;
	struct xen_bytes records; /* but PAGE_DATA and those without a body */
	uint64_t last;
	bool ordered, xl;
};

static struct page_seen *look_up(struct view *v, uint64_t pfn)
{
	unsigned int i;

	for (i = 0; i < v->pages; i++)
		if (v->page[i].pfn == pfn)
			return &v->page[i];
	assert_true(v->pages < MAKE_GUEST);
	memset(&v->page[i], 0, sizeof(v->page[i]));
	v->page[i].pfn = pfn;
	v->pages++;
	return &v->page[i];
}

static void see_pfns(struct view *v, const struct stream_event *ev)
{
	v->with_n = v->with_at = 0;
	for (uint32_t i = 0; i < ev->pfns; i++) {
		struct page_seen *p;
		uint64_t pfn;

		memcpy(&pfn, ev->data + STREAM_PAGE_HEAD + 8 * (size_t)i, 8);
		p = look_up(v, pfn & STREAM_PFN_MASK);
		p->type = (unsigned int)(pfn >> 60);
		p->times++;
		if (p->pfn < v->last)
			v->ordered = false;
		v->last = p->pfn;
		if (stream_pfn_has_data(pfn))
			v->with[v->with_n++] = p;
	}
}

static int see(void *ctx, const struct stream_event *ev)
{
	struct view *v = ctx;

	if (ev->kind == STREAM_PAGE_DATA)
		see_pfns(v, ev);
	else if (ev->kind == STREAM_PAGES)
		for (uint32_t i = 0; i < ev->pages; i++)
			memcpy(v->with[v->with_at++]->data,
			       ev->data + i * MAKE_PAGE, MAKE_PAGE);
	else if (ev->kind == STREAM_HEADER && ev->layer == STREAM_LIBXL)
		v->xl = true; /* the configuration in xl's */
	else if (ev->kind == STREAM_HEADER ||
		 (ev->kind == STREAM_BODY && !v->xl) ||
		 (ev->kind == STREAM_RECORD && ev->length > 0))
		xen_bytes_add(&v->records, ev->data, ev->bytes);
	else if (ev->kind == STREAM_CHECKPOINT)
		v->last = 0;
	v->xl &= ev->kind != STREAM_RECORD;
	return 0;
}

static void view_of(struct view *v, const uint8_t *data, size_t bytes)
{
	struct stream_parser *p = stream_parser_new(see, v);

	memset(v, 0, sizeof(*v));
	v->ordered = true;
	assert_non_null(p);
	assert_int_equal(stream_parser_feed(p, data, bytes), 0);
	assert_int_equal(stream_parser_finish(p), 0);
	stream_parser_free(p);
}

static const struct page_seen *find(const struct view *v, uint64_t pfn)
{
	for (unsigned int i = 0; i < v->pages; i++)
		if (v->page[i].pfn == pfn)
			return &v->page[i];
	return NULL;
}

/* ---- and ours ---- */

struct world {
	struct made made;
	struct xen_image *image;
	struct stream_parser *parser;
	struct xen_bytes state, out;
};

static int append(void *ctx, const void *data, size_t bytes)
{
	return xen_bytes_add(ctx, data, bytes);
}

static void set_up(struct world *w, const struct recipe *r, uint64_t memory)
{
	memset(w, 0, sizeof(*w));
	make_stream(&w->made, r);
	assert_int_equal(xen_image_new(&w->image, xen_image_npages(memory)),
			 0);
	w->parser = stream_parser_new(xen_image_event, w->image);
	assert_non_null(w->parser);
}

static void tear_down(struct world *w)
{
	stream_parser_free(w->parser);
	xen_image_free(w->image);
	made_free(&w->made);
	free(w->state.data);
	free(w->out.data);
}

static void feed(struct world *w, size_t from, size_t to, size_t step)
{
	for (size_t at = from; at < to; at += step)
		assert_int_equal(stream_parser_feed(w->parser,
				 w->made.data + at,
				 to - at < step ? to - at : step), 0);
}

/* For Xen's own verifier (test_xen_verifier.sh). */
static void keep_for_others(const struct world *w, const char *kind)
{
	const char *dir = getenv("REMUS_XEN_STATE_OUT");
	static unsigned int n;
	char path[300];
	FILE *f;

	if (dir == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s%u", dir, kind, n++);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(w->out.data, 1, w->out.bytes, f),
			 w->out.bytes);
	assert_int_equal(fclose(f), 0);
}

static void rebuild(struct world *w)
{
	struct xen_state s;
	char err[128];

	assert_int_equal(xen_state_pack(w->image, CONFIG, &w->state), 0);
	assert_int_equal(xen_state_parse(&s, w->state.data, w->state.bytes,
					 w->image->npages, err, sizeof(err)),
			 0);
	assert_int_equal(s.config_bytes, strlen(CONFIG));
	assert_memory_equal(s.config, CONFIG, strlen(CONFIG));
	w->out.bytes = 0;
	assert_int_equal(xen_state_write(&s, w->image->pages, append, &w->out),
			 0);
}

/* A page that is not there may be left out. */
static void same_guest(const struct view *a, const struct view *b)
{
	unsigned int there = 0;

	for (unsigned int i = 0; i < a->pages; i++) {
		const struct page_seen *p = &a->page[i], *q = find(b, p->pfn);

		if (q == NULL && p->type == XEN_TYPE_ABSENT)
			continue;
		there++;
		assert_non_null(q);
		assert_int_equal(p->type, q->type);
		assert_int_equal(q->times, 1);
		if (p->type < 0xd)
			assert_memory_equal(p->data, q->data, MAKE_PAGE);
	}
	assert_int_equal(there, b->pages);
}

/* The static part and this epoch's records, as if there had been one epoch: cut
 * the stream's others out. */
static void records_of(const struct made *m, unsigned int epoch,
		       struct xen_bytes *out)
{
	struct view *all = malloc(sizeof(*all)), *before;
	size_t head;

	before = malloc(sizeof(*before));
	assert_non_null(all);
	assert_non_null(before);
	view_of(all, m->data, m->checkpoint[epoch]);
	out->bytes = 0;
	if (epoch == 0) {
		xen_bytes_add(out, all->records.data, all->records.bytes);
	} else {
		view_of(before, m->data, m->checkpoint[epoch - 1]);
		/* of the first epoch: head and tail; all tails are as long */
		head = 2 * before->records.bytes - all->records.bytes;
		head -= (epoch - 1) *
			(all->records.bytes - before->records.bytes);
		xen_bytes_add(out, all->records.data, head);
		xen_bytes_add(out, all->records.data + before->records.bytes,
			      all->records.bytes - before->records.bytes);
		free(before->records.data);
	}
	free(all->records.data);
	free(all);
	free(before);
}

static const struct recipe recipes[] = {
	{ false, false, 3, false, 4, false, false, 1, false },
	{ false, false, 2, false, 4, false, true, 2, false },
	{ false, false, 3, true, 3, false, true, 3, false },
	{ false, false, 2, true, 1, false, false, 4, false },
	{ false, true, 3, true, 4, false, false, 5, false },
	{ true, true, 3, false, 2, false, false, 6, false },
};
#define RECIPES (sizeof(recipes) / sizeof(*recipes))

static void each_epoch_makes_a_stream_of_the_same_guest(void **state)
{
	static const size_t steps[] = { 1 << 20, 4096, 61 };
	struct view *v = malloc(sizeof(*v)), *u = malloc(sizeof(*u));
	struct xen_bytes records = { .data = NULL };
	struct world w;

	(void)state;
	assert_non_null(v);
	assert_non_null(u);
	for (size_t n = 0; n < 3 * RECIPES; n++) {
		const struct recipe *r = &recipes[n % RECIPES];
		size_t from = 0;

		set_up(&w, r, MEMORY);
		for (unsigned int e = 0; e < r->checkpoints; e++) {
			feed(&w, from, w.made.checkpoint[e], steps[n / RECIPES]);
			from = w.made.checkpoint[e];
			rebuild(&w);
			if (!r->strange && n < RECIPES)
				keep_for_others(&w, "plain");
			view_of(v, w.made.data, from);
			view_of(u, w.out.data, w.out.bytes);
			same_guest(v, u);
			assert_true(u->ordered);
			records_of(&w.made, e, &records);
			assert_int_equal(u->records.bytes, records.bytes);
			assert_memory_equal(u->records.data, records.data,
					    records.bytes);
			free(v->records.data);
			free(u->records.data);
		}
		tear_down(&w);
	}
	free(records.data);
	free(v);
	free(u);
}

/* What is fed to a standby domain: not every epoch, and changes only. */
static void checkpoints_make_one_stream_of_the_same_guest(void **state)
{
	static const bool fed[] = { true, false, true, true };
	struct view *v = malloc(sizeof(*v)), *u = malloc(sizeof(*u));
	struct xen_bytes before = { .data = NULL };
	struct xen_state s, old;
	uint8_t *types;
	struct world w;
	char err[128];

	(void)state;
	assert_non_null(v);
	assert_non_null(u);
	set_up(&w, &recipes[0], MEMORY);
	types = malloc(w.image->npages);
	assert_non_null(types);
	for (unsigned int e = 0; e < 4; e++) {
		size_t from = e == 0 ? 0 : w.made.checkpoint[e - 1], was;

		feed(&w, from, w.made.checkpoint[e], 4096);
		if (!fed[e])
			continue;
		assert_int_equal(xen_state_pack(w.image, CONFIG, &w.state), 0);
		assert_int_equal(xen_state_parse(&s, w.state.data,
						 w.state.bytes,
						 w.image->npages, err,
						 sizeof(err)), 0);
		was = w.out.bytes;
		if (e > 0) {
			assert_int_equal(xen_state_parse(&old, before.data,
				before.bytes, w.image->npages, err,
				sizeof(err)), 0);
			assert_true(xen_state_goes_on(&old, &s));
			xen_state_types(&old, types, w.image->npages);
		}
		assert_int_equal(xen_state_write_checkpoint(&s,
				 w.image->pages,
				 e == 0 ? NULL : &w.image->dirty,
				 e == 0 ? NULL : types, append, &w.out), 0);
		if (e > 0) /* of some 60 of 96 pages */
			assert_true(w.out.bytes - was < was);
		page_bitmap_clear_all(&w.image->dirty);
		before.bytes = 0;
		xen_bytes_add(&before, w.state.data, w.state.bytes);
		view_of(v, w.made.data, w.made.checkpoint[e]);
		view_of(u, w.out.data, w.out.bytes);
		assert_true(u->ordered);
		for (unsigned int i = 0; i < u->pages; i++)
			u->page[i].times = 1; /* once in each, that is */
		same_guest(v, u);
		free(v->records.data);
		free(u->records.data);
	}
	keep_for_others(&w, "checkpoints");
	w.state.data[w.state.bytes - 1] ^= 1; /* its tail may differ */
	assert_true(xen_state_goes_on(&old, &s));
	w.state.data[32] ^= 1; /* its configuration may not */
	assert_false(xen_state_goes_on(&old, &s));
	free(before.data);
	free(types);
	free(v);
	free(u);
	tear_down(&w);
}

static void dirty_is_what_changed_and_nothing_else(void **state)
{
	struct world w;
	uint8_t *copy;
	size_t bytes;

	(void)state;
	set_up(&w, &recipes[0], MEMORY);
	bytes = w.image->npages * REMUS_PAGE_SIZE;
	copy = calloc(1, bytes);
	assert_non_null(copy);
	for (unsigned int e = 0; e < 4; e++) {
		feed(&w, e == 0 ? 0 : w.made.checkpoint[e - 1],
		     w.made.checkpoint[e], 4096);
		for (uint64_t g = 0; g < w.image->npages; g++) {
			uint8_t *a = copy + g * REMUS_PAGE_SIZE;
			uint8_t *b = w.image->pages + g * REMUS_PAGE_SIZE;
			bool same = memcmp(a, b, REMUS_PAGE_SIZE) == 0;

			/* sent twice, and back again, may be both */
			if (!same)
				assert_true(page_bitmap_test(&w.image->dirty,
							     g));
			memcpy(a, b, REMUS_PAGE_SIZE);
		}
		assert_true(page_bitmap_count(&w.image->dirty) < MAKE_GUEST);
		page_bitmap_clear_all(&w.image->dirty);
	}
	free(copy);
	tear_down(&w);
}

static void a_new_stream_of_the_same_guest_dirties_nothing(void **state)
{
	struct xen_bytes first = { .data = NULL };
	struct xen_state s;
	struct world w;
	char err[128];

	(void)state;
	set_up(&w, &recipes[0], MEMORY);
	feed(&w, 0, w.made.checkpoint[3], 4096);
	rebuild(&w);
	xen_bytes_add(&first, w.state.data, w.state.bytes);
	page_bitmap_clear_all(&w.image->dirty);
	/* What was rebuilt, but libxl's header and the two ENDs, and as a
	 * checkpoint. */
	xen_image_restart(w.image);
	stream_parser_free(w.parser);
	w.parser = stream_parser_new(xen_image_event, w.image);
	assert_int_equal(stream_parser_feed(w.parser, w.out.data + 24,
					    w.out.bytes - 24 - 16), 0);
	assert_int_equal(stream_parser_feed(w.parser,
					    "\x0e\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(page_bitmap_count(&w.image->dirty), 0);
	rebuild(&w);
	assert_int_equal(first.bytes, w.state.bytes);
	assert_memory_equal(first.data, w.state.data, first.bytes);
	assert_int_equal(xen_state_parse(&s, first.data, first.bytes,
					 w.image->npages, err, sizeof(err)),
			 0);
	free(first.data);
	tear_down(&w);
}

static void pages_far_apart_have_their_places(void **state)
{
	struct world w;
	uint64_t far;

	(void)state;
	set_up(&w, &recipes[0], MEMORY);
	feed(&w, 0, w.made.checkpoint[0], 4096);
	far = xen_image_place(w.image, FAR);
	assert_true(far < w.image->npages);
	assert_int_equal(far % XEN_RUN_PAGES, XEN_RUN_PAGES - 1);
	assert_int_equal(xen_image_place(w.image, 3) % XEN_RUN_PAGES, 3);
	assert_int_equal(xen_image_place(w.image, 5000), w.image->npages);
	tear_down(&w);
}

/* A PAGE_DATA that names one pfn, with its type, and has no page. */
static int name_page(struct xen_image *i, uint64_t pfn)
{
	uint8_t head[STREAM_PAGE_HEAD + 8] = { 1 };
	struct stream_event ev = {
		.kind = STREAM_PAGE_DATA, .layer = STREAM_LIBXC, .data = head,
		.bytes = sizeof(head), .pfns = 1, .pages = 0,
	};

	memcpy(head + STREAM_PAGE_HEAD, &pfn, 8);
	return xen_image_event(i, &ev);
}

static void more_memory_than_the_image_has_is_refused(void **state)
{
	uint64_t pfn = 0;
	struct xen_image *i;

	(void)state;
	assert_int_equal(xen_image_new(&i, xen_image_npages(MEMORY)), 0);
	for (uint64_t n = 0; n <= XEN_SPARE_RUNS; n++) {
		pfn = n * 7919 * 512;
		assert_int_equal(name_page(i, pfn), 0);
	}
	assert_int_equal(name_page(i, pfn ^ (uint64_t)1 << 40), -EFBIG);
	assert_non_null(strstr(i->err, "more memory"));
	xen_image_free(i);
}

/* Of a PVH guest all pfns below 4 GiB come up, and hardly one is there. */
static void where_there_is_no_page_nothing_is_kept(void **state)
{
	const uint64_t absent = (uint64_t)XEN_TYPE_ABSENT << 60;
	struct xen_image *i;

	(void)state;
	assert_int_equal(xen_image_new(&i, xen_image_npages(MEMORY)), 0);
	assert_int_equal(name_page(i, 0), 0);
	for (uint64_t n = 0; n < 2048; n++)
		assert_int_equal(name_page(i, (n * XEN_RUN_PAGES + 7) | absent),
				 0);
	assert_int_equal(i->nruns, 1);
	assert_int_equal(xen_image_place(i, 7 + XEN_RUN_PAGES), i->npages);
	/* One that was given back by the guest is known to be. */
	assert_int_equal(i->types[xen_image_place(i, 7)], XEN_TYPE_ABSENT);
	xen_image_free(i);
}

static void records_are_bounded(void **state)
{
	struct xen_image *i;
	uint8_t *body = calloc(1, (size_t)1 << 20);
	struct stream_event record = {
		.kind = STREAM_RECORD, .layer = STREAM_LIBXC, .type = 0xa,
		.data = body, .bytes = 8,
	};
	struct stream_event more = {
		.kind = STREAM_BODY, .data = body, .bytes = (size_t)1 << 20,
	};
	int rc;

	(void)state;
	assert_non_null(body);
	assert_int_equal(xen_image_new(&i, xen_image_npages(MEMORY)), 0);
	assert_int_equal(xen_image_event(i, &record), 0);
	for (int n = 0; n < 15; n++)
		assert_int_equal(xen_image_event(i, &more), 0);
	rc = xen_image_event(i, &more);
	assert_int_equal(rc, -E2BIG);
	xen_image_free(i);
	free(body);
}

static void a_plain_stream_is_refused(void **state)
{
	static const struct recipe plain = { false, false, 3, false, 0, true,
					     false, 1, false };
	struct world w;

	(void)state;
	set_up(&w, &plain, MEMORY);
	assert_int_equal(stream_parser_feed(w.parser, w.made.data,
					    w.made.bytes), -EPROTO);
	tear_down(&w);
}

/* ---- what a peer may send ---- */

static int parse(const struct world *w, const uint8_t *data, size_t bytes)
{
	struct xen_state s;
	char err[128] = "";
	int rc = xen_state_parse(&s, data, bytes, w->image->npages, err,
				 sizeof(err));

	assert_true(rc == 0 || (rc == -EBADMSG && err[0] != '\0'));
	return rc;
}

static void a_device_state_cut_off_is_refused(void **state)
{
	struct world w;

	(void)state;
	set_up(&w, &recipes[0], MEMORY);
	feed(&w, 0, w.made.checkpoint[1], 4096);
	rebuild(&w);
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), 0);
	for (size_t n = 0; n < w.state.bytes; n += n < 64 ? 1 : 97) {
		uint8_t *cut = malloc(n + 1); /* valgrind sees beyond */

		assert_non_null(cut);
		memcpy(cut, w.state.data, n);
		assert_int_equal(parse(&w, cut, n), -EBADMSG);
		free(cut);
	}
	tear_down(&w);
}

static void a_device_state_that_lies_is_refused(void **state)
{
	static const size_t lengths[] = { 12, 16, 20, 24, 28 };
	struct world w;
	size_t config = 32, firsts = config + strlen(CONFIG), types;

	(void)state;
	set_up(&w, &recipes[0], MEMORY);
	feed(&w, 0, w.made.checkpoint[1], 4096);
	rebuild(&w);
	assert_int_equal(w.image->nruns, 2);
	types = firsts + 16;
	for (size_t n = 0; n < sizeof(lengths) / sizeof(*lengths); n++)
		for (int b = 0; b < 32; b++) {
			uint8_t *at = &w.state.data[lengths[n] + b / 8];

			*at ^= 1 << b % 8;
			assert_int_equal(parse(&w, w.state.data,
					       w.state.bytes), -EBADMSG);
			*at ^= 1 << b % 8;
		}
	w.state.data[0] ^= 1;
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), -EBADMSG);
	w.state.data[0] ^= 1;
	w.state.data[8] = 1; /* version */
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), -EBADMSG);
	w.state.data[8] = 2;
	w.state.data[config + 3] = 0;
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), -EBADMSG);
	w.state.data[config + 3] = 'x';
	w.state.data[firsts] = 1; /* no run begins at page 1 */
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), -EBADMSG);
	w.state.data[firsts] = 0;
	w.state.data[types] = 0x16;
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), -EBADMSG);
	w.state.data[types] = 0x15;
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), 0);
	memcpy(w.state.data + firsts, w.state.data + firsts + 8, 8);
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), -EBADMSG);
	tear_down(&w);
}

/* It goes into libxl's stream: nothing but the device model's records may. */
static void a_device_model_that_lies_is_refused(void **state)
{
	struct xen_state s;
	uint8_t *at;
	struct world w;
	char err[128];

	(void)state;
	set_up(&w, &recipes[4], MEMORY);
	feed(&w, 0, w.made.checkpoint[1], 4096);
	rebuild(&w);
	assert_int_equal(xen_state_parse(&s, w.state.data, w.state.bytes,
					 w.image->npages, err, sizeof(err)),
			 0);
	assert_true(s.emulator_bytes > 70000);
	at = w.state.data + (s.emulator - w.state.data);
	for (int b = 0; b < 64; b++) {
		bool padding = b >= 32 && b < 35; /* the length, in 8 bytes */

		at[b / 8] ^= 1 << b % 8;
		if (b != 0 && !padding) /* 2 and 3 may both be */
			assert_int_equal(parse(&w, w.state.data,
					       w.state.bytes), -EBADMSG);
		at[b / 8] ^= 1 << b % 8;
	}
	assert_int_equal(parse(&w, w.state.data, w.state.bytes), 0);
	tear_down(&w);
}

static void records_of_libxl_that_no_checkpoint_has_are_refused(void **state)
{
	static const uint8_t head[8] = { 5 }; /* CHECKPOINT_STATE */
	struct stream_event ev = {
		.kind = STREAM_RECORD, .layer = STREAM_LIBXL, .type = 5,
		.data = head, .bytes = 8,
	};
	struct world w;

	(void)state;
	set_up(&w, &recipes[4], MEMORY);
	feed(&w, 0, w.made.checkpoint[0], 4096);
	assert_int_equal(xen_image_event(w.image, &ev), -EPROTO);
	tear_down(&w);
}

static int stop(void *ctx, const void *data, size_t bytes)
{
	(void)data;
	(void)bytes;
	return --*(int *)ctx < 0 ? -EPIPE : 0;
}

static void writing_ends_where_the_reader_does(void **state)
{
	struct xen_state s;
	struct world w;
	char err[128];

	(void)state;
	set_up(&w, &recipes[0], MEMORY);
	feed(&w, 0, w.made.checkpoint[0], 4096);
	rebuild(&w);
	assert_int_equal(xen_state_parse(&s, w.state.data, w.state.bytes,
					 w.image->npages, err, sizeof(err)),
			 0);
	for (int n = 0; n < 8; n++) {
		int left = n;

		assert_int_equal(xen_state_write(&s, w.image->pages, stop,
						 &left), -EPIPE);
		assert_int_equal(left, -1);
	}
	tear_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_epoch_makes_a_stream_of_the_same_guest),
		cmocka_unit_test(checkpoints_make_one_stream_of_the_same_guest),
		cmocka_unit_test(dirty_is_what_changed_and_nothing_else),
		cmocka_unit_test(
			a_new_stream_of_the_same_guest_dirties_nothing),
		cmocka_unit_test(pages_far_apart_have_their_places),
		cmocka_unit_test(more_memory_than_the_image_has_is_refused),
		cmocka_unit_test(where_there_is_no_page_nothing_is_kept),
		cmocka_unit_test(records_are_bounded),
		cmocka_unit_test(a_plain_stream_is_refused),
		cmocka_unit_test(a_device_state_cut_off_is_refused),
		cmocka_unit_test(a_device_state_that_lies_is_refused),
		cmocka_unit_test(a_device_model_that_lies_is_refused),
		cmocka_unit_test(
			records_of_libxl_that_no_checkpoint_has_are_refused),
		cmocka_unit_test(writing_ends_where_the_reader_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
