/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_codec - what the codec does with captures of a guest's checkpoints.
 *
 *	bench_codec [--json] [--rounds N] CAPTURE|fill|same...
 *
 * CAPTURE is a file of bench_capture, or a stream of Xen's Remus (of it what comes
 * behind the first epoch, and is known by then); "fill" are pages rewritten with
 * noise and "same" pages that did not change, both made here.  Asserts nothing
 * about time; fails when a page does not come out as it went in.
 *
 * Every contestant goes over all pages, one epoch after the other, again and
 * again; of each epoch, or of each 1024 pages of it, which is what the sender's
 * one thread packs as one, the least time counts.  So what else the machine does
 * hits all of them alike, and mostly not at all.  Throughput is guest memory a
 * second, 4096 bytes a page.  `limit` is memcmp() of the new pages with a copy of
 * them: the same number of bytes read, none of them different.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lz4.h>
#include <zstd.h>

#include "capture_file.h"
#include "codec_xrle.h"
#include "page_cache.h"
#include "page_pack.h"
#include "page_record.h"
#include "record_frame.h"
#include "sender.h"
#include "stream_frame.h"
#include "stream_parse.h"
#include "wire.h"

#define CHUNK ((size_t)SENDER_SLICE_PAGES_PACKED)
#define PAGES_MAX ((size_t)16384)
#define MADE 8192u
#define GUEST_PAGES (1u << 20)
#define PAYLOADS 40u /* of a chunk, at most */

/* Pages [from, to) of one epoch. */
static struct chunk {
	size_t from, to;
} chunks[PAGES_MAX];
static size_t nchunks;

/* What a chunk was encoded to. */
struct encoded {
	uint8_t *payload[PAYLOADS];
	size_t bytes[PAYLOADS];
	unsigned int n;
};

static uint8_t *olds, *news, *twins, *image, *scratch;
static struct page_cache *old_cache; /* which olds are in */
static uint64_t *gfns, pages, epochs;
static struct encoded *fast, *tight; /* a chunk each, to be decoded */
static struct encoded queue;	      /* where the sender would write it */
static struct page_packer *packer;
static struct page_unpacker *unpacker;
static ZSTD_CCtx *zstd;
static unsigned int rounds = 15;
static volatile uint64_t sink;

static void die(const char *what)
{
	fprintf(stderr, "bench_codec: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *take(size_t bytes)
{
	void *p = aligned_alloc(REMUS_PAGE_SIZE, (bytes + REMUS_PAGE_SIZE - 1) /
							 REMUS_PAGE_SIZE *
							 REMUS_PAGE_SIZE);

	if (p == NULL)
		die("memory");
	memset(p, 1, bytes);
	return p;
}

static uint8_t *page_at(uint8_t *base, size_t i)
{
	return base + i * REMUS_PAGE_SIZE;
}

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* The time of this thread: without that of others. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the pages ---- */

static void add_page(uint64_t gfn, const uint8_t *old, const uint8_t *new)
{
	static uint64_t of_epoch;

	if (pages == PAGES_MAX)
		return;
	if (nchunks == 0 || of_epoch != epochs ||
	    pages - chunks[nchunks - 1].from == CHUNK)
		chunks[nchunks++].from = pages;
	of_epoch = epochs;
	chunks[nchunks - 1].to = pages + 1;
	gfns[pages] = gfn;
	memcpy(page_at(olds, pages), old, REMUS_PAGE_SIZE);
	memcpy(page_at(news, pages), new, REMUS_PAGE_SIZE);
	memcpy(page_at(twins, pages), new, REMUS_PAGE_SIZE);
	pages++;
}

/* The guest of a stream: what its pages were last. */
static uint8_t *known[GUEST_PAGES];
static uint64_t named[STREAM_PFNS_MAX], came; /* by the record we are in */

static void page_came(uint64_t gfn, const uint8_t *new)
{
	if (gfn >= GUEST_PAGES)
		return;
	if (known[gfn] == NULL)
		known[gfn] = take(REMUS_PAGE_SIZE);
	else if (epochs > 0)
		add_page(gfn, known[gfn], new);
	memcpy(known[gfn], new, REMUS_PAGE_SIZE);
}

static int on_event(void *ctx, const struct stream_event *ev)
{
	uint64_t n = 0;

	(void)ctx;
	if (ev->kind == STREAM_PAGE_DATA) {
		for (uint32_t i = 0; i < ev->pfns; i++) {
			uint64_t pfn = stream_get64(ev->data +
						    STREAM_PAGE_HEAD +
						    8 * (size_t)i);

			if (stream_pfn_has_data(pfn))
				named[n++] = pfn & STREAM_PFN_MASK;
		}
		came = 0;
	}
	if (ev->kind == STREAM_PAGES)
		for (uint32_t i = 0; i < ev->pages; i++)
			page_came(named[came++], ev->data +
					       (size_t)i * REMUS_PAGE_SIZE);
	epochs += ev->kind == STREAM_CHECKPOINT;
	return 0;
}

static void load_stream(const char *path)
{
	struct stream_parser *p = stream_parser_new(on_event, NULL);
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL || p == NULL)
		die(path);
	while ((n = fread(scratch, 1, REMUS_PAGE_SIZE, f)) > 0)
		if (stream_parser_feed(p, scratch, n) < 0) {
			fprintf(stderr, "bench_codec: %s: %s\n", path,
				stream_parser_error(p));
			exit(1);
		}
	fclose(f);
	stream_parser_free(p);
	for (size_t i = 0; i < GUEST_PAGES; i++) {
		free(known[i]);
		known[i] = NULL;
	}
}

static void load(const char *path)
{
	static struct capture_page p;
	struct capture_header h;
	FILE *f = capture_open(path, &h);
	uint64_t n;

	if (f == NULL) {
		load_stream(path);
		return;
	}
	while (fread(&n, sizeof(n), 1, f) == 1)
		for (epochs++; n > 0; n--) {
			if (fread(&p, sizeof(p), 1, f) != 1)
				die(path);
			add_page(p.gfn, p.old, p.new);
		}
	fclose(f);
}

static void make(bool filled)
{
	uint64_t old[REMUS_PAGE_SIZE / 8], new[REMUS_PAGE_SIZE / 8];

	for (uint64_t i = 0; i < MADE; i++) {
		for (size_t w = 0; w < REMUS_PAGE_SIZE / 8; w++) {
			old[w] = rnd();
			new[w] = filled ? rnd() : old[w];
		}
		add_page(i, (uint8_t *)old, (uint8_t *)new);
	}
}

/* ---- contestants: pages [from, to), which are a chunk ---- */

typedef void contestant(size_t from, size_t to);

static void run_limit(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		sink += page_equal(page_at(news, i), page_at(twins, i));
}

static void run_memcpy(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		memcpy(page_at(scratch, i - from), page_at(news, i),
		       REMUS_PAGE_SIZE);
}

/* To what they were before the last round. */
static void settle_olds(void)
{
	const struct page_look none = { .old = NULL };

	for (size_t i = 0; i < pages; i++)
		page_cache_settle(old_cache, page_at(olds, i), &none,
				  page_at(olds, i), PAGE_CHANGED);
}

static void look_ahead(struct page_look *looks, size_t *looked_at, size_t from,
		       size_t to)
{
	for (; *looked_at < to && *looked_at < from + PAGE_LOOK_AHEAD;
	     ++*looked_at)
		page_cache_look(old_cache, *looked_at, page_at(news, *looked_at),
				&looks[*looked_at % PAGE_LOOK_AHEAD]);
}

/* As sender.c and record_frame.c do it, but that the old pages stay as they are, for
 * the next round. */
static void encode(struct encoded *e, size_t from, size_t to, bool packed)
{
	struct page_look looks[PAGE_LOOK_AHEAD];
	size_t looked_at = from;
	struct page_writer w;

	for (e->n = 0; from < to; e->n++) {
		uint8_t *out = e->payload[e->n];

		if (packed)
			page_pack_begin(&w, scratch, PAGE_PACK_RECORDS_BYTES,
					PAGE_PACK_RECORDS_BYTES);
		else
			page_writer_init(&w, out, RECORD_FRAME_BYTES);
		for (; from < to; from++) {
			const uint8_t *old = page_at(olds, from);
			struct page_look *l = &looks[from % PAGE_LOOK_AHEAD];
			enum page_kind kind;

			look_ahead(looks, &looked_at, from, to);
			if (page_writer_add_groups(&w, gfns[from], old,
						   page_at(news, from),
						   page_look_groups(l, old),
						   PAGE_ALLOW_ALL, &kind) < 0)
				break;
			page_cache_settle(old_cache, old, l, page_at(news, from),
					  page_fate(true, kind));
		}
		e->bytes[e->n] = packed ? page_pack(packer, out, &w)
					: page_writer_bytes(&w);
	}
}

/* Apart from the next one's. */
static void keep(struct encoded *e, size_t k, bool packed)
{
	encode(&queue, chunks[k].from, chunks[k].to, packed);
	for (unsigned int i = 0; i < queue.n; i++) {
		free(e->payload[i]);
		e->payload[i] = take(queue.bytes[i]);
		memcpy(e->payload[i], queue.payload[i], queue.bytes[i]);
		e->bytes[i] = queue.bytes[i];
	}
	e->n = queue.n;
}

static void run_fast(size_t from, size_t to)
{
	encode(&queue, from, to, false);
}

static void run_tight(size_t from, size_t to)
{
	encode(&queue, from, to, true);
}

/* As the socket's buffer holds it when it is about to be decoded: just read. */
static void receive(const struct encoded *e)
{
	queue.n = e->n;
	for (unsigned int i = 0; i < e->n; i++) {
		memcpy(queue.payload[i], e->payload[i], e->bytes[i]);
		queue.bytes[i] = e->bytes[i];
	}
}

/* Into the image, which holds the old pages before each pass. */
static void decode(const struct encoded *e, size_t from)
{
	struct page_payload p;
	struct page_reader r;
	struct page_record rec;

	for (unsigned int i = 0; i < e->n; i++) {
		if (page_unpack(unpacker, e->payload[i], e->bytes[i],
				UINT64_MAX, &p) < 0)
			die("unpacking");
		page_unpack_read(&p, UINT64_MAX, &r);
		while (page_reader_next(&r, &rec) == 1)
			if (page_record_apply(&rec, page_at(image, from++)) < 0)
				die("decoding");
	}
}

static void run_decode(size_t from, size_t to)
{
	(void)to;
	decode(&queue, from);
}

/* The delta coder alone, one implementation each. */
static void run_delta(size_t impl, size_t from, size_t to)
{
	size_t n;
	const struct xrle_impl *const *all = xrle_impls(&n);
	uint64_t changed;

	if (impl >= n)
		return;
	for (size_t i = from; i < to; i++)
		sink += (uint64_t)all[impl]->encode(
			scratch + i % 16 * 2 * REMUS_PAGE_SIZE, PAGE_DELTA_MAX,
			page_at(olds, i), page_at(news, i), &changed);
}

static void run_delta_0(size_t from, size_t to)
{
	run_delta(0, from, to);
}

static void run_delta_1(size_t from, size_t to)
{
	run_delta(1, from, to);
}

static void run_delta_2(size_t from, size_t to)
{
	run_delta(2, from, to);
}

static void run_delta_3(size_t from, size_t to)
{
	run_delta(3, from, to);
}

/* For comparison: the bare XOR, and the new pages, by zstd -1 and by lz4. */
static size_t zstd_bytes, lz4_bytes;

static void run_zstd(const uint8_t *src, size_t len)
{
	uint8_t *dst = scratch + CHUNK * REMUS_PAGE_SIZE;

	zstd_bytes += ZSTD_compressCCtx(zstd, dst, ZSTD_compressBound(len), src,
					len, 1);
}

static void run_lz4(const uint8_t *src, size_t len)
{
	char *dst = (char *)scratch + CHUNK * REMUS_PAGE_SIZE;

	lz4_bytes += (size_t)LZ4_compress_default((const char *)src, dst,
						  (int)len,
						  LZ4_compressBound((int)len));
}

static size_t xor_pages(size_t from, size_t to)
{
	size_t len = (to - from) * REMUS_PAGE_SIZE;
	uint64_t *x = (uint64_t *)(void *)scratch;
	const uint64_t *a = (const uint64_t *)(void *)page_at(olds, from);
	const uint64_t *b = (const uint64_t *)(void *)page_at(news, from);

	for (size_t i = 0; i < len / 8; i++)
		x[i] = a[i] ^ b[i];
	return len;
}

static void run_xor_zstd(size_t from, size_t to)
{
	run_zstd(scratch, xor_pages(from, to));
}

static void run_xor_lz4(size_t from, size_t to)
{
	run_lz4(scratch, xor_pages(from, to));
}

static void run_plain_zstd(size_t from, size_t to)
{
	run_zstd(page_at(news, from), (to - from) * REMUS_PAGE_SIZE);
}

static void run_plain_lz4(size_t from, size_t to)
{
	run_lz4(page_at(news, from), (to - from) * REMUS_PAGE_SIZE);
}

enum { LIMIT, MEMCPY, DELTA_0, DELTA_1, DELTA_2, DELTA_3, FAST, TIGHT, XOR_ZSTD,
       ZSTD, XOR_LZ4, LZ4, FAST_DECODE, TIGHT_DECODE, CONTESTANTS };
static contestant *const run[CONTESTANTS] = {
	run_limit, run_memcpy, run_delta_0, run_delta_1, run_delta_2,
	run_delta_3, run_fast, run_tight, run_xor_zstd, run_plain_zstd,
	run_xor_lz4, run_plain_lz4, run_decode, run_decode,
};
static double seconds[CONTESTANTS];

static void pass(size_t c, double *least)
{
	for (size_t k = 0; k < nchunks; k++) {
		double t;

		if (c >= FAST_DECODE)
			receive(&(c == FAST_DECODE ? fast : tight)[k]);
		t = now();
		run[c](chunks[k].from, chunks[k].to);
		t = now() - t;
		if (t < least[k])
			least[k] = t;
	}
}

static void measure(void)
{
	double *least = take(nchunks * CONTESTANTS * sizeof(*least));

	for (size_t i = 0; i < nchunks * CONTESTANTS; i++)
		least[i] = 1e9;
	for (unsigned int r = 0; r < rounds; r++)
		for (size_t c = 0; c < CONTESTANTS; c++) {
			if (c >= FAST_DECODE)
				memcpy(image, olds, pages * REMUS_PAGE_SIZE);
			if (c == FAST || c == TIGHT)
				settle_olds();
			pass(c, least + c * nchunks);
		}
	for (size_t c = 0; c < CONTESTANTS; c++) {
		seconds[c] = 0;
		for (size_t k = 0; k < nchunks; k++)
			seconds[c] += least[c * nchunks + k];
	}
	free(least);
}

/* ---- sizes ---- */

static double ratio(size_t bytes)
{
	return bytes > 0 ? (double)(pages * REMUS_PAGE_SIZE) / (double)bytes : 0;
}

/* What went over the wire, the frames' headers counted. */
static double ratio_of(const struct encoded *e)
{
	size_t bytes = 0;

	for (size_t k = 0; k < nchunks; k++)
		for (unsigned int i = 0; i < e[k].n; i++)
			bytes += WIRE_HEADER_BYTES + e[k].bytes[i];
	return ratio(bytes);
}

static double plain_ratio(contestant *c, size_t *bytes)
{
	*bytes = 0;
	for (size_t k = 0; k < nchunks; k++)
		c(chunks[k].from, chunks[k].to);
	return ratio(*bytes);
}

/* A page as QEMU's xbzrle would have it: lengths of equal and of changed bytes
 * in turn, in one byte below 128 and two above, and the changed bytes; without
 * what says which page it is.  A page that gets longer is sent as it is. */
static size_t xbzrle_bytes(const uint8_t *a, const uint8_t *b)
{
	size_t bytes = 0, at = 0;

	while (at < REMUS_PAGE_SIZE) {
		size_t same = 0, differ = 0;

		while (at + same < REMUS_PAGE_SIZE && a[at + same] == b[at + same])
			same++;
		at += same;
		while (at + differ < REMUS_PAGE_SIZE &&
		       a[at + differ] != b[at + differ])
			differ++;
		at += differ;
		if (differ > 0)
			bytes += (same < 128 ? 1u : 2u) +
				 (differ < 128 ? 1u : 2u) + differ;
	}
	return bytes < REMUS_PAGE_SIZE ? bytes : REMUS_PAGE_SIZE;
}

static double xbzrle_ratio(void)
{
	size_t bytes = 0;

	for (size_t i = 0; i < pages; i++)
		bytes += xbzrle_bytes(page_at(olds, i), page_at(news, i));
	return ratio(bytes);
}

/* Counted as xbzrle's: no places, no lengths. */
static double bare_ratio(void)
{
	size_t bytes = 0;

	for (size_t i = 0; i < pages; i++) {
		int n = xrle_encode(scratch, PAGE_DELTA_MAX, page_at(olds, i),
				    page_at(news, i), NULL);

		bytes += n < 0 ? REMUS_PAGE_SIZE : (size_t)n;
	}
	return ratio(bytes);
}

static bool round_trip(const struct encoded *e)
{
	memcpy(image, olds, pages * REMUS_PAGE_SIZE);
	for (size_t k = 0; k < nchunks; k++)
		decode(&e[k], chunks[k].from);
	return memcmp(image, news, pages * REMUS_PAGE_SIZE) == 0;
}

/* ---- results ---- */

static double gbs(int c)
{
	return (double)(pages * REMUS_PAGE_SIZE) / seconds[c] / 1e9;
}

/* 0: this processor has no such instructions */
static double of_limit(int c)
{
	size_t n;

	xrle_impls(&n);
	if (c >= DELTA_0 && c <= DELTA_3 && (size_t)(c - DELTA_0) >= n)
		return 0;
	return seconds[LIMIT] / seconds[c];
}

static bool bench(const char *what, bool json)
{
	double zstd_ratio, xor_zstd_ratio, lz4_ratio, xor_lz4_ratio;
	double xbzrle, bare;
	bool right;

	pages = epochs = nchunks = 0;
	if (strcmp(what, "fill") == 0 || strcmp(what, "same") == 0)
		make(what[0] == 'f');
	else
		load(what);
	settle_olds();
	for (size_t k = 0; k < nchunks; k++)
		keep(&fast[k], k, false);
	settle_olds();
	for (size_t k = 0; k < nchunks; k++)
		keep(&tight[k], k, true);
	measure();
	right = round_trip(fast) && round_trip(tight);
	xbzrle = xbzrle_ratio();
	bare = bare_ratio();
	xor_zstd_ratio = plain_ratio(run_xor_zstd, &zstd_bytes);
	zstd_ratio = plain_ratio(run_plain_zstd, &zstd_bytes);
	xor_lz4_ratio = plain_ratio(run_xor_lz4, &lz4_bytes);
	lz4_ratio = plain_ratio(run_plain_lz4, &lz4_bytes);
	what = strrchr(what, '/') != NULL ? strrchr(what, '/') + 1 : what;
	printf(json ? "{\"file\": \"%s\", \"epochs\": %llu, \"pages\": %llu, "
		      "\"limit_gbs\": %.2f, \"memcpy_gbs\": %.2f, "
		      "\"scalar\": %.2f, \"sse2\": %.2f, \"avx2\": %.2f, "
		      "\"avx512bw\": %.2f, \"fast\": %.2f, \"tight\": %.2f, "
		      "\"xor_zstd\": %.2f, \"zstd\": %.2f, "
		      "\"xor_lz4\": %.2f, \"lz4\": %.2f, "
		      "\"fast_decode\": %.2f, \"tight_decode\": %.2f, "
		      "\"raw_memcpy\": %.2f, \"fast_ratio\": %.2f, "
		      "\"bare_ratio\": %.2f, \"tight_ratio\": %.2f, "
		      "\"xbzrle_ratio\": %.2f, "
		      "\"xor_zstd_ratio\": %.2f, \"zstd_ratio\": %.2f, "
		      "\"xor_lz4_ratio\": %.2f, \"lz4_ratio\": %.2f, "
		      "\"roundtrip\": %s}\n"
		    : "%s %llu %llu %.2f %.2f %.2f %.2f %.2f %.2f %.2f %.2f "
		      "%.2f %.2f %.2f %.2f %.2f %.2f %.2f %.1f %.1f %.1f "
		      "%.1f %.1f %.1f %.1f %.1f %s\n",
	       what, (unsigned long long)epochs, (unsigned long long)pages,
	       gbs(LIMIT), gbs(MEMCPY), of_limit(DELTA_0), of_limit(DELTA_1),
	       of_limit(DELTA_2), of_limit(DELTA_3), of_limit(FAST),
	       of_limit(TIGHT), of_limit(XOR_ZSTD), of_limit(ZSTD),
	       of_limit(XOR_LZ4), of_limit(LZ4),
	       of_limit(FAST_DECODE), of_limit(TIGHT_DECODE),
	       seconds[MEMCPY] / seconds[FAST], ratio_of(fast),
	       bare, ratio_of(tight), xbzrle, xor_zstd_ratio, zstd_ratio,
	       xor_lz4_ratio, lz4_ratio,
	       right ? "true" : "false");
	fflush(stdout);
	return right;
}

/* As the sender has it, full: one page behind the other. */
static uint8_t *take_cache(struct page_cache **c)
{
	uint8_t *first = NULL;

	if (page_cache_create(c, PAGES_MAX, PAGES_MAX * REMUS_PAGE_SIZE) < 0)
		die("memory");
	(void)page_cache_keep_sums(*c);
	page_cache_use_huge_pages(*c);
	for (size_t i = 0; i < PAGES_MAX; i++) {
		uint8_t *p = page_cache_insert(*c, i);

		memset(p, 1, REMUS_PAGE_SIZE);
		first = first == NULL ? p : first;
	}
	return first;
}

static void begin(void)
{
	size_t bytes = PAGES_MAX * REMUS_PAGE_SIZE;

	olds = take_cache(&old_cache);
	image = take(bytes);
	news = take(bytes);
	twins = take(bytes);
	gfns = take(PAGES_MAX * sizeof(*gfns));
	scratch = take(4 * CHUNK * REMUS_PAGE_SIZE);
	fast = calloc(PAGES_MAX, sizeof(*fast));
	tight = calloc(PAGES_MAX, sizeof(*tight));
	zstd = ZSTD_createCCtx();
	if (fast == NULL || tight == NULL || zstd == NULL ||
	    page_packer_new(&packer) < 0 || page_unpacker_new(&unpacker) < 0)
		die("memory");
	for (unsigned int i = 0; i < PAYLOADS; i++)
		queue.payload[i] = take(PAGE_PACK_RECORDS_BYTES);
}

int main(int argc, char **argv)
{
	bool json = false, right = true;

	begin();
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
		else
			right &= bench(argv[i], json);
	return right ? 0 : 1;
}
