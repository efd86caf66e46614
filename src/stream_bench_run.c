/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_bench_run.c - see stream_bench.h: what the codec makes of a stream.
 *
 * Each file is read for the limit and for each mode; what is packed is unpacked
 * at once, and compared by digest.  Times are those spent with pages only: no
 * reading, no checksums of frames, no comparison; and of the processor's time,
 * so that what else the machine does shows less.  For the limit all is done as
 * in mode fast, but right before pages are packed they are compared with the
 * same old pages.
 *
 * What a guest changed since the epoch before, and what it was then, is in memory
 * and seldom in a cache.  Here both would be in one, as the file was just read and
 * is short; so that right before they are needed both are put out of all caches,
 * where the processor has an instruction for that.
 *
 * The first epoch of a capture is a copy of the whole guest.  What comes behind
 * it is counted by itself, too: that is what a codec is for, and what the limit
 * is of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "page_cache.h"
#include "stream_bench.h"
#include "util.h"

#define PASSES_MAX 8
#define PASSES_BYTES ((uint64_t)512 << 20)
#define LIMIT_STEP 256 /* bytes: a difference ends a memcmp, not the page */
#define CACHE_LINE 64

/* Of the time spent with a part of the file, the least of all passes. */
struct bench_part {
	uint64_t encode_ns, decode_ns, limit_ns;
};

static double gbs(uint64_t pages, uint64_t ns)
{
	return ns == 0 ? 0.0 : (double)pages * REMUS_PAGE_SIZE / (double)ns;
}

/* ---- what is in it ---- */

struct survey {
	struct stream_parser *parser;
	struct file_result *r;
};

static int survey_event(void *ctx, const struct stream_event *ev)
{
	struct file_result *r = ((struct survey *)ctx)->r;

	r->bytes += ev->bytes;
	r->epochs += ev->kind == STREAM_CHECKPOINT || ev->kind == STREAM_END;
	if (ev->kind == STREAM_CHECKPOINT && r->epochs == 1) {
		r->first_bytes = r->bytes;
		r->first_pages = r->pages;
	}
	if (ev->kind == STREAM_PAGES)
		r->pages += ev->pages;
	return 0;
}

static int survey_feed(void *ctx, const void *data, size_t bytes)
{
	return stream_parser_feed(((struct survey *)ctx)->parser, data, bytes);
}

static enum tool_exit survey(struct tool *t, const char *file,
			     struct file_result *r)
{
	struct survey s = { .r = r };
	struct input in = { .name = file };
	enum tool_exit x = TOOL_FAILED;
	int rc;

	s.parser = stream_parser_new(survey_event, &s);
	if (s.parser == NULL) {
		x = tool_result(t, &in, -ENOMEM, "");
	} else if (input_open(&in, file, true, t->err, sizeof(t->err)) == 0) {
		rc = input_feed(&in, survey_feed, &s);
		if (rc == 0)
			rc = stream_parser_finish(s.parser);
		r->cut = rc == 1;
		x = rc == 1 ? TOOL_DONE
			    : tool_result(t, &in, rc,
					  stream_parser_error(s.parser));
		input_close(&in);
	}
	stream_parser_free(s.parser);
	return x;
}

/* ---- pages that are in no cache ---- */

static void put_out(const uint8_t *page)
{
#ifdef __SSE2__
	for (size_t i = 0; i < REMUS_PAGE_SIZE; i += CACHE_LINE)
		__builtin_ia32_clflush(page + i);
#else
	(void)page;
#endif
}

/* All that was put out is. */
static void are_out(void)
{
#ifdef __SSE2__
	__builtin_ia32_mfence();
#endif
}

static const uint8_t *old_of(const struct page_cache *cache, uint64_t gfn)
{
	return gfn < STREAM_CACHED_PAGES ? page_cache_peek(cache, gfn) : NULL;
}

/* Right before the packer takes them. */
static void put_pages_out(const struct page_cache *cache, const uint64_t *gfns,
			  const uint8_t *data, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, data += REMUS_PAGE_SIZE) {
		const uint8_t *old = cache != NULL ? old_of(cache, gfns[i])
						   : NULL;

		put_out(data);
		if (old != NULL)
			put_out(old);
	}
	are_out();
}

/* ---- the limit: who compares old and new has to read both ---- */

struct limit {
	uint64_t pages, ns;
	volatile int sink;
	const uint8_t *old[STREAM_PFNS_MAX], *new[STREAM_PFNS_MAX];
};

static int compare(const uint8_t *old, const uint8_t *new)
{
	int any = 0;

	for (size_t i = 0; i < REMUS_PAGE_SIZE; i += LIMIT_STEP)
		any |= memcmp(old + i, new + i, LIMIT_STEP);
	return any;
}

static void compare_pages(struct limit *l, const struct page_cache *cache,
			  const uint64_t *gfns, const uint8_t *data,
			  uint32_t count)
{
	uint64_t begin;
	uint32_t n = 0;
	int any = 0;

	for (uint32_t i = 0; i < count; i++, data += REMUS_PAGE_SIZE) {
		const uint8_t *old = old_of(cache, gfns[i]);

		if (old == NULL)
			continue;
		l->old[n] = old;
		l->new[n++] = data;
	}
	begin = now_thread_ns();
	for (uint32_t i = 0; i < n; i++)
		any |= compare(l->old[i], l->new[i]);
	l->sink = any;
	l->ns += now_thread_ns() - begin;
	l->pages += n;
}

/* What compares finds in the processor's caches what the packer finds there when
 * nobody does: nothing. */
static void pages_come(void *ctx, const struct page_cache *cache,
		       const uint64_t *gfns, const uint8_t *data,
		       uint32_t count)
{
	put_pages_out(cache, gfns, data, count);
	if (ctx != NULL)
		compare_pages(ctx, cache, gfns, data, count);
}

/* ---- a mode ---- */

/* How far it has got. */
struct mark {
	uint64_t bytes, packed_bytes, pages, encode_ns, decode_ns;
};

struct run {
	uint64_t first_bytes;
	struct mark first; /* behind so many */
	struct limit *limit; /* or NULL */
	struct bench_part *part, *end; /* the next */
	struct bench_part spent; /* with those before */
	struct stream_packer *packer;
	struct stream_unpacker *unpacker;
	struct digest *in, *out;
	uint64_t in_bytes, packed_bytes, out_bytes;
	uint8_t *packed; /* not unpacked yet */
	size_t held, cap;
};

static int gather(void *ctx, const void *data, size_t bytes, bool flush)
{
	struct run *r = ctx;

	(void)flush;
	if (r->cap - r->held < bytes) {
		size_t cap = 2 * r->cap + bytes;
		uint8_t *more = realloc(r->packed, cap);

		if (more == NULL)
			return -ENOMEM;
		r->packed = more;
		r->cap = cap;
	}
	if (bytes > 0)
		memcpy(r->packed + r->held, data, bytes);
	r->held += bytes;
	return 0;
}

static int unpacked(void *ctx, const void *data, size_t bytes, bool flush)
{
	struct run *r = ctx;

	(void)flush;
	digest_bytes(r->out, data, bytes);
	r->out_bytes += bytes;
	return 0;
}

static int unpack_held(struct run *r)
{
	size_t n = r->held;

	r->held = 0;
	r->packed_bytes += n;
	return stream_unpacker_feed(r->unpacker, r->packed, n);
}

static struct mark mark(const struct run *r)
{
	return (struct mark){
		.bytes = r->in_bytes,
		.packed_bytes = r->packed_bytes,
		.pages = stream_packer_stats(r->packer)->pages,
		.encode_ns = r->spent.encode_ns,
		.decode_ns = r->spent.decode_ns,
	};
}

static struct bench_part clocks(const struct run *r)
{
	return (struct bench_part){
		.encode_ns = stream_packer_stats(r->packer)->codec_ns,
		.decode_ns = stream_unpacker_codec_ns(r->unpacker),
		.limit_ns = r->limit != NULL ? r->limit->ns : 0,
	};
}

/* 0: none is known yet. */
static uint64_t least(uint64_t *known, uint64_t ns)
{
	if (*known == 0 || ns < *known)
		*known = ns;
	return *known;
}

static void part_is_done(struct run *r, const struct bench_part *begin)
{
	struct bench_part now = clocks(r), more = { .encode_ns = 0 };
	/* More of them than fit are read from something strange. */
	struct bench_part *part = r->part < r->end ? r->part++ : &more;

	r->spent.encode_ns += least(&part->encode_ns,
				    now.encode_ns - begin->encode_ns);
	r->spent.decode_ns += least(&part->decode_ns,
				    now.decode_ns - begin->decode_ns);
	r->spent.limit_ns += least(&part->limit_ns,
				   now.limit_ns - begin->limit_ns);
}

static int run_part(struct run *r, const uint8_t *data, size_t bytes)
{
	struct bench_part begin = clocks(r);
	int rc;

	digest_bytes(r->in, data, bytes);
	r->in_bytes += bytes;
	rc = stream_packer_feed(r->packer, data, bytes);
	if (rc == 0)
		rc = unpack_held(r);
	part_is_done(r, &begin);
	return rc;
}

static int run_feed(void *ctx, const void *data, size_t bytes)
{
	struct run *r = ctx;
	uint64_t left = r->first_bytes - r->in_bytes;
	int rc;

	if (r->in_bytes >= r->first_bytes || left > bytes)
		return run_part(r, data, bytes);
	rc = run_part(r, data, (size_t)left);
	r->first = mark(r);
	return rc < 0 ? rc : run_part(r, (const uint8_t *)data + left,
				      bytes - (size_t)left);
}

static int run_begin(struct run *r, enum stream_mode mode, uint64_t memory)
{
	r->in = digest_new();
	r->out = digest_new();
	r->unpacker = stream_unpacker_new(memory, unpacked, r);
	if (r->in == NULL || r->out == NULL || r->unpacker == NULL ||
	    stream_packer_new(&r->packer, mode, memory, gather, r) < 0)
		return -ENOMEM;
	stream_packer_time(r->packer);
	stream_unpacker_time(r->unpacker);
	stream_packer_watch(r->packer, pages_come, r->limit);
	return 0;
}

/* What the packer has held until now. */
static int run_last(struct run *r)
{
	struct bench_part begin = clocks(r);
	int cut = stream_packer_finish(r->packer), rc = cut;

	if (rc >= 0)
		rc = unpack_held(r);
	part_is_done(r, &begin);
	return rc < 0 ? rc : cut;
}

static void run_end(struct run *r)
{
	stream_packer_free(r->packer);
	stream_unpacker_free(r->unpacker);
	digest_free(r->in);
	digest_free(r->out);
	free(r->packed);
}

static struct speed speed(const struct mark *from, const struct mark *to)
{
	uint64_t pages = to->pages - from->pages;
	struct speed s = {
		.packed_bytes = to->packed_bytes - from->packed_bytes,
		.encode_gbs = gbs(pages, to->encode_ns - from->encode_ns),
		.decode_gbs = gbs(pages, to->decode_ns - from->decode_ns),
	};

	if (s.packed_bytes > 0)
		s.ratio = (double)(to->bytes - from->bytes) /
			  (double)s.packed_bytes;
	return s;
}

static void judge(struct run *r, bool good, struct mode_result *m)
{
	const struct mark begin = { .bytes = 0 };
	struct mark all = mark(r);

	m->all = speed(&begin, &all);
	if (r->first_bytes > 0)
		m->again = speed(&r->first, &all);
	m->roundtrip = m->roundtrip && good && r->in_bytes == r->out_bytes &&
		       digest_value(r->in) == digest_value(r->out);
}

static enum tool_exit run_once(struct tool *t, const char *file,
			       enum stream_mode mode, struct file_result *f,
			       struct limit *limit)
{
	struct mode_result *m = limit != NULL ? &f->limit : &f->mode[mode];
	struct run r = { .first_bytes = f->first_bytes, .limit = limit,
			 .part = m->parts, .end = m->parts + f->parts };
	struct input in = { .name = file };
	enum tool_exit x = TOOL_FAILED;
	int rc = run_begin(&r, mode, t->memory), cut = 0;

	if (rc == 0 && input_open(&in, file, true, t->err, sizeof(t->err)) == 0) {
		rc = input_feed(&in, run_feed, &r);
		if (rc == 0)
			rc = cut = run_last(&r);
		if (rc >= 0)
			judge(&r, stream_unpacker_finish(r.unpacker) == cut, m);
		x = rc >= 0 ? TOOL_DONE
			    : tool_result(t, &in, rc,
					  stream_unpacker_error(r.unpacker));
		input_close(&in);
	} else if (rc < 0) {
		x = tool_result(t, &in, rc, "");
	}
	if (limit != NULL)
		f->limit_gbs = gbs(limit->pages, r.spent.limit_ns);
	run_end(&r);
	return x;
}

static enum tool_exit find_limit(struct tool *t, const char *file,
				 struct file_result *f)
{
	struct limit *l = calloc(1, sizeof(*l));
	struct input in = { .name = file };
	enum tool_exit x;

	if (l == NULL)
		return tool_result(t, &in, -ENOMEM, "");
	x = run_once(t, file, STREAM_FAST, f, l);
	free(l);
	return x;
}

/* All of them once. */
static enum tool_exit pass(struct tool *t, const char *file,
			   struct file_result *r)
{
	enum tool_exit x = find_limit(t, file, r);

	for (int m = 0; x == TOOL_DONE && m < STREAM_MODES; m++)
		x = run_once(t, file, (enum stream_mode)m, r, NULL);
	return x;
}

/* A short stream is read several times, because what else the machine does shows
 * in a single one; of each part the fastest counts. */
static bool is_enough(int passes, uint64_t bytes)
{
	return passes == PASSES_MAX || (uint64_t)passes * bytes >= PASSES_BYTES;
}

static bool make_parts(struct mode_result *m, size_t parts)
{
	m->roundtrip = true;
	m->parts = calloc(parts, sizeof(*m->parts));
	return m->parts != NULL;
}

static bool begin_parts(struct file_result *r)
{
	bool made;

	/* The first epoch ends within one; and what is held to the end. */
	r->parts = (size_t)(r->bytes / INPUT_CHUNK) + 4;
	made = make_parts(&r->limit, r->parts);
	for (int m = 0; m < STREAM_MODES; m++)
		made = make_parts(&r->mode[m], r->parts) && made;
	return made;
}

static void end_parts(struct file_result *r)
{
	free(r->limit.parts);
	for (int m = 0; m < STREAM_MODES; m++)
		free(r->mode[m].parts);
}

enum tool_exit bench_file(struct tool *t, const char *file,
			  struct file_result *r)
{
	enum tool_exit x = survey(t, file, r);
	bool same = true;
	int passes = 0;

	if (x == TOOL_DONE && !begin_parts(r)) {
		set_err(t->err, sizeof(t->err), 0, "%s: no memory", file);
		x = TOOL_FAILED;
	}
	while (x == TOOL_DONE && !(passes > 0 && is_enough(passes, r->bytes))) {
		x = pass(t, file, r);
		passes++;
	}
	for (int m = 0; m < STREAM_MODES; m++)
		same = same && r->mode[m].roundtrip;
	if (x == TOOL_DONE && !same) {
		set_err(t->err, sizeof(t->err), 0, "%s: what was unpacked is "
			"not what was packed", file);
		x = TOOL_FAILED;
	}
	end_parts(r);
	return x;
}
