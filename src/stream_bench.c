/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_bench.c - `remus-stream bench`: what the codec makes of a stream.
 *
 * Each file is read for the limit and for each mode; what is packed is unpacked
 * at once, and compared by digest.  Times are those spent with pages only: no
 * reading, no checksums of frames, no comparison.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "page_cache.h"
#include "stream_tool.h"
#include "util.h"

#define REPEAT_MAX 8
#define REPEAT_BYTES ((uint64_t)256 << 20)
#define LIMIT_STEP 256 /* bytes: a difference ends a memcmp, not the page */

struct mode_result {
	double ratio, encode_gbs, decode_gbs;
	uint64_t packed_bytes;
	bool roundtrip;
};

struct file_result {
	uint64_t bytes, epochs, pages, compared;
	uint64_t compare_ns;
	double limit_gbs;
	bool cut;
	struct mode_result mode[STREAM_MODES];
};

static double gbs(uint64_t pages, uint64_t ns)
{
	return ns == 0 ? 0.0 : (double)pages * REMUS_PAGE_SIZE / (double)ns;
}

/* ---- the limit: who compares old and new has to read both ---- */

struct limit {
	struct stream_parser *parser;
	struct page_cache *cache;
	uint64_t gfns[STREAM_PFNS_MAX];
	uint32_t pages, next;
	struct file_result *r;
	volatile int sink;
};

static int compare(const uint8_t *old, const uint8_t *new)
{
	int any = 0;

	for (size_t i = 0; i < REMUS_PAGE_SIZE; i += LIMIT_STEP)
		any |= memcmp(old + i, new + i, LIMIT_STEP);
	return any;
}

static void limit_pages(struct limit *l, const struct stream_event *ev)
{
	const gfn_t *gfns = l->gfns + l->next;
	uint64_t begin = now_mono_ns();
	int any = 0;

	for (uint32_t i = 0; i < ev->pages; i++) {
		const uint8_t *old = gfns[i] < STREAM_CACHED_PAGES
			? page_cache_lookup(l->cache, gfns[i]) : NULL;

		if (old == NULL)
			continue;
		any |= compare(old, ev->data + i * REMUS_PAGE_SIZE);
		l->r->compared++;
	}
	l->sink = any;
	l->r->compare_ns += now_mono_ns() - begin;
	for (uint32_t i = 0; i < ev->pages; i++) {
		if (gfns[i] < STREAM_CACHED_PAGES)
			memcpy(page_cache_insert(l->cache, gfns[i]),
			       ev->data + i * REMUS_PAGE_SIZE, REMUS_PAGE_SIZE);
	}
	l->next += ev->pages;
}

static int limit_event(void *ctx, const struct stream_event *ev)
{
	struct limit *l = ctx;

	l->r->bytes += ev->bytes;
	l->r->epochs += ev->kind == STREAM_CHECKPOINT || ev->kind == STREAM_END;
	if (ev->kind == STREAM_PAGES) {
		l->r->pages += ev->pages;
		limit_pages(l, ev);
	}
	if (ev->kind != STREAM_PAGE_DATA)
		return 0;
	l->pages = l->next = 0;
	for (uint32_t i = 0; i < ev->pfns; i++) {
		uint64_t pfn = stream_get64(ev->data + STREAM_PAGE_HEAD +
					    8 * (size_t)i);

		if (stream_pfn_has_data(pfn))
			l->gfns[l->pages++] = pfn & STREAM_PFN_MASK;
	}
	return 0;
}

static int limit_feed(void *ctx, const void *data, size_t bytes)
{
	return stream_parser_feed(((struct limit *)ctx)->parser, data, bytes);
}

static enum tool_exit limit_once(struct tool *t, const char *file,
				 struct file_result *r)
{
	struct limit *l = calloc(1, sizeof(*l));
	struct input in = { .name = file };
	enum tool_exit x = TOOL_FAILED;
	int rc;

	if (l == NULL)
		return tool_result(t, &in, -ENOMEM, "");
	l->r = r;
	l->parser = stream_parser_new(limit_event, l);
	rc = l->parser == NULL ? -ENOMEM
		: page_cache_create(&l->cache, STREAM_CACHED_PAGES, t->memory);
	if (rc < 0) {
		x = tool_result(t, &in, rc, "");
	} else if (input_open(&in, file, true, t->err, sizeof(t->err)) == 0) {
		rc = input_feed(&in, limit_feed, l);
		if (rc == 0)
			rc = stream_parser_finish(l->parser);
		r->cut = rc == 1;
		x = rc == 1 ? TOOL_DONE
			    : tool_result(t, &in, rc,
					  stream_parser_error(l->parser));
		input_close(&in);
	}
	stream_parser_free(l->parser);
	page_cache_destroy(l->cache);
	free(l);
	return x;
}

/* A short stream is read several times, because memory that is used for the
 * first time comes slowly; the fastest counts. */
static bool again(int i, uint64_t bytes)
{
	return i == 0 || (i < REPEAT_MAX && (uint64_t)i * bytes < REPEAT_BYTES);
}

static enum tool_exit find_limit(struct tool *t, const char *file,
				 struct file_result *r)
{
	enum tool_exit x = TOOL_DONE;
	double best = 0.0;

	for (int i = 0; x == TOOL_DONE && again(i, r->bytes); i++) {
		memset(r, 0, sizeof(*r));
		x = limit_once(t, file, r);
		if (gbs(r->compared, r->compare_ns) > best)
			best = gbs(r->compared, r->compare_ns);
	}
	r->limit_gbs = best;
	return x;
}

/* ---- a mode ---- */

struct run {
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

static int run_feed(void *ctx, const void *data, size_t bytes)
{
	struct run *r = ctx;
	int rc;

	digest_bytes(r->in, data, bytes);
	r->in_bytes += bytes;
	rc = stream_packer_feed(r->packer, data, bytes);
	return rc < 0 ? rc : unpack_held(r);
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
	return 0;
}

static void run_end(struct run *r)
{
	stream_packer_free(r->packer);
	stream_unpacker_free(r->unpacker);
	digest_free(r->in);
	digest_free(r->out);
	free(r->packed);
}

static void judge(struct run *r, bool good, struct mode_result *m)
{
	const struct stream_pack_stats *s = stream_packer_stats(r->packer);

	m->packed_bytes = r->packed_bytes;
	if (r->packed_bytes > 0)
		m->ratio = (double)r->in_bytes / (double)r->packed_bytes;
	m->encode_gbs = gbs(s->pages, s->codec_ns);
	m->decode_gbs = gbs(s->pages, stream_unpacker_codec_ns(r->unpacker));
	m->roundtrip = good && r->in_bytes == r->out_bytes &&
		       digest_value(r->in) == digest_value(r->out);
}

static enum tool_exit run_once(struct tool *t, const char *file,
			       enum stream_mode mode, struct mode_result *m)
{
	struct run r = { .held = 0 };
	struct input in = { .name = file };
	enum tool_exit x = TOOL_FAILED;
	int rc = run_begin(&r, mode, t->memory), cut = 0;

	if (rc == 0 && input_open(&in, file, true, t->err, sizeof(t->err)) == 0) {
		rc = input_feed(&in, run_feed, &r);
		if (rc == 0)
			rc = cut = stream_packer_finish(r.packer);
		if (rc >= 0)
			rc = unpack_held(&r);
		if (rc == 0)
			judge(&r, stream_unpacker_finish(r.unpacker) == cut, m);
		x = rc == 0 ? TOOL_DONE
			    : tool_result(t, &in, rc,
					  stream_unpacker_error(r.unpacker));
		input_close(&in);
	} else if (rc < 0) {
		x = tool_result(t, &in, rc, "");
	}
	run_end(&r);
	return x;
}

static enum tool_exit run_mode(struct tool *t, const char *file,
			       enum stream_mode mode, uint64_t bytes,
			       struct mode_result *m)
{
	enum tool_exit x = TOOL_DONE;

	m->roundtrip = true;
	for (int i = 0; x == TOOL_DONE && again(i, bytes); i++) {
		struct mode_result one = { .ratio = 0 };

		x = run_once(t, file, mode, &one);
		m->ratio = one.ratio;
		m->packed_bytes = one.packed_bytes;
		m->roundtrip = m->roundtrip && one.roundtrip;
		if (one.encode_gbs > m->encode_gbs)
			m->encode_gbs = one.encode_gbs;
		if (one.decode_gbs > m->decode_gbs)
			m->decode_gbs = one.decode_gbs;
	}
	return x;
}

/* ---- what is printed ---- */

static void print_text(const char *file, const struct file_result *r)
{
	printf("%s: %" PRIu64 " epochs, %" PRIu64 " pages, %" PRIu64
	       " bytes%s; memcmp of old and new %.2f GB/s\n", file, r->epochs,
	       r->pages, r->bytes, r->cut ? ", cut off" : "",
	       r->limit_gbs);
	printf("  %-6s %14s %8s %12s %12s  %s\n", "mode", "bytes", "ratio",
	       "encode GB/s", "decode GB/s", "round trip");
	for (int m = 0; m < STREAM_MODES; m++)
		printf("  %-6s %14" PRIu64 " %8.2f %12.2f %12.2f  %s\n",
		       stream_mode_to_str((enum stream_mode)m),
		       r->mode[m].packed_bytes, r->mode[m].ratio,
		       r->mode[m].encode_gbs, r->mode[m].decode_gbs,
		       r->mode[m].roundtrip ? "identical" : "WRONG");
}

static json_t *to_json(const char *file, const struct file_result *r)
{
	json_t *modes = json_object(), *j;

	for (int m = 0; m < STREAM_MODES; m++)
		json_object_set_new(modes,
			stream_mode_to_str((enum stream_mode)m),
			json_pack("{s:I, s:f, s:f, s:f, s:b}", "packed_bytes",
				  (json_int_t)r->mode[m].packed_bytes, "ratio",
				  r->mode[m].ratio, "encode_gbs",
				  r->mode[m].encode_gbs, "decode_gbs",
				  r->mode[m].decode_gbs, "roundtrip",
				  (int)r->mode[m].roundtrip));
	j = json_pack("{s:I, s:I, s:I, s:b, s:f, s:o}", "bytes",
		      (json_int_t)r->bytes, "epochs", (json_int_t)r->epochs,
		      "pages", (json_int_t)r->pages, "cut_off", (int)r->cut,
		      "limit_gbs", r->limit_gbs, "modes", modes);
	json_object_set_new(j, "file", json_string(file));
	return j;
}

static enum tool_exit bench_file(struct tool *t, const char *file,
				 struct file_result *r)
{
	enum tool_exit x = find_limit(t, file, r);
	bool same = true;

	for (int m = 0; x == TOOL_DONE && m < STREAM_MODES; m++) {
		x = run_mode(t, file, (enum stream_mode)m, r->bytes,
			     &r->mode[m]);
		same = same && r->mode[m].roundtrip;
	}
	if (x == TOOL_DONE && !same) {
		set_err(t->err, sizeof(t->err), 0, "%s: what was unpacked is "
			"not what was packed", file);
		x = TOOL_FAILED;
	}
	return x;
}

enum tool_exit tool_bench(struct tool *t)
{
	json_t *files = json_array(), *all;
	enum tool_exit x = TOOL_DONE;

	for (int i = 0; x == TOOL_DONE && i < t->n_files; i++) {
		struct file_result r = { .bytes = 0 };

		x = bench_file(t, t->files[i], &r);
		if (x == TOOL_DONE && t->json)
			json_array_append_new(files, to_json(t->files[i], &r));
		else if (x == TOOL_DONE)
			print_text(t->files[i], &r);
	}
	all = json_pack("{s:o}", "files", files);
	if (x == TOOL_DONE && t->json) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	json_decref(all);
	return x;
}
