/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_copy - what the pause costs for each dirty page, copied or encoded.
 *
 *	bench_copy [--rounds N] CAPTURE...
 *
 * Replays a capture (bench_capture): the pages of an epoch are written into a
 * memory like a guest's, which leaves them in the processor's caches as a guest
 * does, then the epoch is made in one of these ways, timed in two parts: in the
 * pause, and after it.
 *
 *   copy      pause: capture_pages()
 *             after: digest, encode from the copy by the sums of the old page,
 *             copy what changed to it
 *   huge      the same with huge pages for the copies, the old pages and their
 *             sums (remusd has them for the latter two)
 *   encode    pause: encode from the guest's memory, copy to the old page
 *             after: digest of the old page, which is the new one now
 *   lean      pause: encode, and apply what came out to the old page
 *             after: the same
 *   memcpy    pause: a memcpy() of 4096 bytes for each page, and nothing else
 *
 * One line of JSON a capture: nanoseconds a page, of each way the least of each
 * epoch, by the time of the thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "capture.h"
#include "capture_file.h"
#include "digest.h"
#include "page_cache.h"
#include "page_record.h"

#define FRAME_BYTES ((size_t)128 << 10)

enum way { COPY, HUGE, ENCODE, LEAN, MEMCPY, WAYS };
static const char *const names[WAYS] = {
	"copy", "huge", "encode", "lean", "memcpy",
};

static struct capture_epoch *epochs;
static size_t count;
static uint64_t npages;
static uint8_t *ram, *olds[2], *frame;
static struct page_cache *caches[2]; /* which olds are in */
static struct capture captures[2];   /* [1]: huge pages */
static struct page_bitmap dirty;
static struct digest *digest;
static unsigned int rounds = 9;

static void die(const char *what)
{
	fprintf(stderr, "bench_copy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void load(const char *path)
{
	struct capture_header h;

	if (capture_load(path, &h, &epochs, &count) < 0)
		die(path);
	npages = h.npages;
}

static uint8_t *map(bool huge)
{
	void *p = mmap(NULL, npages * REMUS_PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	madvise(p, npages * REMUS_PAGE_SIZE,
		huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(p, 0, npages * REMUS_PAGE_SIZE);
	return p;
}

/* A place for each page, one behind the other. */
static uint8_t *fill_cache(struct page_cache **c, bool huge)
{
	const struct page_look none = { .old = NULL };
	uint8_t *first = NULL;

	if (page_cache_create(c, npages, npages * REMUS_PAGE_SIZE) < 0)
		die("memory");
	(void)page_cache_keep_sums(*c);
	if (huge)
		page_cache_use_huge_pages(*c);
	for (gfn_t g = 0; g < npages; g++) {
		uint8_t *p = page_cache_insert(*c, g);

		memset(p, 0, REMUS_PAGE_SIZE);
		page_cache_settle(*c, p, &none, p, PAGE_CHANGED);
		first = first == NULL ? p : first;
	}
	return first;
}

static void begin(void)
{
	ram = map(false);
	for (int i = 0; i < 2; i++) {
		struct capture *c = &captures[i];

		olds[i] = fill_cache(&caches[i], i == 1);
		if (capture_init(c, ram, npages, npages * REMUS_PAGE_SIZE) < 0)
			die("memory");
		madvise(c->copies, c->copies_max * REMUS_PAGE_SIZE,
			i == 1 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		/* What it is given first, it has then. */
		memset(c->copies, 0, c->copies_max * REMUS_PAGE_SIZE);
	}
	frame = malloc(FRAME_BYTES);
	digest = digest_new();
	if (frame == NULL || digest == NULL ||
	    page_bitmap_init(&dirty, npages) < 0)
		die("memory");
}

static void end(void)
{
	for (size_t i = 0; i < count; i++)
		free(epochs[i].pages);
	for (int i = 0; i < 2; i++) {
		capture_free(&captures[i]);
		page_cache_destroy(caches[i]);
	}
	munmap(ram, npages * REMUS_PAGE_SIZE);
	free(frame);
	digest_free(digest);
	page_bitmap_free(&dirty);
}

static uint8_t *at(uint8_t *base, uint64_t gfn)
{
	return base + gfn * REMUS_PAGE_SIZE;
}

/* ---- the two parts of each way ---- */

static enum page_kind put(struct page_writer *w, gfn_t gfn, const uint8_t *old,
			  const uint8_t *new, unsigned int groups)
{
	enum page_kind kind;

	if (page_writer_add_groups(w, gfn, old, new, groups, PAGE_ALLOW_ALL,
				   &kind) == 0)
		return kind;
	page_writer_init(w, frame, FRAME_BYTES); /* and sent */
	page_writer_add_groups(w, gfn, old, new, groups, PAGE_ALLOW_ALL, &kind);
	return kind;
}

/* From what was just written for the page, the record's tag at `from`. */
static void apply_last(const struct page_writer *w, size_t from, gfn_t gfn,
		       uint8_t *old, const uint8_t *new, enum page_kind kind)
{
	struct page_record rec = { .gfn = gfn, .kind = kind };

	if (kind == PAGE_SAME)
		return;
	if (kind == PAGE_DELTA) {
		/* the length before it, of one byte or two */
		rec.data_bytes = w->buf[from] & 0x7f;
		rec.data = w->buf + from + 1;
		if (w->buf[from] & 0x80) {
			rec.data_bytes |= (size_t)w->buf[from + 1] << 7;
			rec.data++;
		}
		if (page_record_apply(&rec, old) == 0)
			return;
		die("a delta that is none");
	}
	memcpy(old, new, REMUS_PAGE_SIZE);
}

static void encode_in_pause(bool lean)
{
	struct page_writer w;
	enum page_kind kind;

	page_writer_init(&w, frame, FRAME_BYTES);
	for (gfn_t g = page_bitmap_next(&dirty, 0); g < npages;
	     g = page_bitmap_next(&dirty, g + 1)) {
		uint8_t *old = at(olds[0], g), *new = at(ram, g);

		if (!lean) {
			put(&w, g, old, new, PAGE_GROUPS_ALL);
			memcpy(old, new, REMUS_PAGE_SIZE);
			continue;
		}
		/* Alone in its payload, so that its place is known: version,
		 * gfn, tag. */
		if (w.cap - w.used < 2 * PAGE_WRITER_CAP_MIN)
			page_writer_init(&w, frame, FRAME_BYTES);
		w.buf += w.used;
		w.cap -= w.used;
		w.used = 0;
		page_writer_add(&w, g, old, new, PAGE_ALLOW_ALL, &kind);
		apply_last(&w, 2 + (g >= 128) + (g >= 16384) + (g >= 2097152) +
				       1, g, old, new, kind);
	}
}

static void in_pause(enum way way, const struct capture_epoch *e)
{
	if (way == COPY || way == HUGE)
		capture_pages(&captures[way == HUGE], &dirty);
	else if (way == MEMCPY)
		for (uint64_t i = 0; i < e->n; i++)
			memcpy(at(captures[0].copies, i),
			       at(ram, e->pages[i].gfn), REMUS_PAGE_SIZE);
	else
		encode_in_pause(way == LEAN);
}

/* As sender.c does it. */
static void send_copies(unsigned int which, const struct capture_epoch *e)
{
	const struct capture *c = &captures[which];
	struct page_look looks[PAGE_LOOK_AHEAD];
	struct page_writer w;
	uint64_t seen = 0;

	page_writer_init(&w, frame, FRAME_BYTES);
	for (uint64_t i = 0; i < e->n; i++) {
		gfn_t g = e->pages[i].gfn;
		uint8_t *old = at(olds[which], g);
		const uint8_t *new = capture_page(c, i);
		const struct page_look *l = &looks[i % PAGE_LOOK_AHEAD];
		enum page_kind kind;

		for (; seen < e->n && seen < i + PAGE_LOOK_AHEAD; seen++)
			page_cache_look(caches[which], e->pages[seen].gfn,
					capture_page(c, seen),
					&looks[seen % PAGE_LOOK_AHEAD]);
		kind = put(&w, g, old, new, page_look_groups(l, old));
		page_cache_sent(caches[which], g, old, new, l, &w, kind);
		digest_page(digest, g, new);
	}
}

static void after_pause(enum way way, const struct capture_epoch *e)
{
	digest_start(digest);
	if (way == COPY || way == HUGE)
		send_copies(way == HUGE, e);
	else
		for (uint64_t i = 0; i < e->n; i++)
			digest_page(digest, e->pages[i].gfn,
				    at(olds[0], e->pages[i].gfn));
}

/* ---- rounds ---- */

static void replay(enum way way, double *pause, double *after)
{
	const struct page_look none = { .old = NULL };

	/* What each page was before the capture. */
	for (size_t k = count; k-- > 0;)
		for (uint64_t i = 0; i < epochs[k].n; i++) {
			const struct capture_page *p = &epochs[k].pages[i];

			uint8_t *old = at(olds[way == HUGE], p->gfn);

			memcpy(old, p->old, REMUS_PAGE_SIZE);
			page_cache_settle(caches[way == HUGE], old, &none, old,
					  PAGE_CHANGED);
		}
	for (size_t k = 0; k < count; k++) {
		const struct capture_epoch *e = &epochs[k];
		double t0, t1, t2;

		page_bitmap_clear_all(&dirty);
		for (uint64_t i = 0; i < e->n; i++) {
			memcpy(at(ram, e->pages[i].gfn), e->pages[i].new,
			       REMUS_PAGE_SIZE);
			page_bitmap_set(&dirty, e->pages[i].gfn);
		}
		t0 = now();
		in_pause(way, e);
		t1 = now();
		if (way != MEMCPY)
			after_pause(way, e);
		t2 = now();
		if (t1 - t0 < pause[k])
			pause[k] = t1 - t0;
		if (t2 - t1 < after[k])
			after[k] = t2 - t1;
		if (way != MEMCPY &&
		    memcmp(at(olds[way == HUGE], e->pages[0].gfn),
			   e->pages[0].new, REMUS_PAGE_SIZE) != 0)
			die("a page is not what it was");
	}
}

static double ns_a_page(const double *seconds)
{
	double sum = 0;
	uint64_t pages = 0;

	for (size_t k = 0; k < count; k++) {
		sum += seconds[k];
		pages += epochs[k].n;
	}
	return sum * 1e9 / (double)pages;
}

static void bench(const char *path)
{
	double *least[WAYS][2];
	uint64_t pages = 0;

	load(path);
	begin();
	for (int w = 0; w < WAYS; w++)
		for (int part = 0; part < 2; part++) {
			least[w][part] = calloc(count, sizeof(double));
			if (least[w][part] == NULL)
				die("memory");
			for (size_t k = 0; k < count; k++)
				least[w][part][k] = 1e9;
		}
	for (unsigned int r = 0; r < rounds; r++)
		for (enum way w = COPY; w < WAYS; w++)
			replay(w, least[w][0], least[w][1]);
	for (size_t k = 0; k < count; k++)
		pages += epochs[k].n;
	path = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
	printf("{\"file\": \"%s\", \"epochs\": %zu, \"pages\": %llu", path,
	       count, (unsigned long long)pages);
	for (int w = 0; w < WAYS; w++) {
		printf(", \"%s\": %.1f", names[w], ns_a_page(least[w][0]));
		if (w != MEMCPY)
			printf(", \"%s_after\": %.1f", names[w],
			       ns_a_page(least[w][1]));
		free(least[w][0]);
		free(least[w][1]);
	}
	printf("}\n");
	fflush(stdout);
	end();
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
		else
			bench(argv[i]);
	return 0;
}
