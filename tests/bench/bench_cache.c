/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_cache - what a smaller page cache costs, and by which page is given up.
 *
 *	bench_cache CAPTURE PERCENT...
 *
 * CAPTURE is a file of bench_capture.  A cache of so many percent of the guest's
 * memory is filled as by a first copy of all of it, then goes through the
 * capture twice; the second time counts, so that it is that of a guest which
 * goes on like this.  A page that the cache still has is encoded against what it
 * was, another one without.  One line of JSON a size: the cache's memory, and of
 * each policy the share of pages found, and the ratio of fast; of the policy in
 * use the ratio of tight as well.
 *
 *   used    page_cache.h, itself
 *   free    the same without sets: any page that was not used since all marks
 *           were cleared, by chance
 *   lru     the page that was not used for longest
 *   clock   second chance: a hand goes round, and passes by each page that was
 *           used since it came by last
 *   fifo    the page that was there for longest
 *   best    the page that is not needed for longest: who knows the future
 *
 * All but `used` may put a page anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture_file.h"
#include "page_cache.h"
#include "page_pack.h"
#include "page_record.h"
#include "wire.h"

#define SLICE 256u /* pages: SENDER_SLICE_PAGES */
#define FRAME_BYTES ((size_t)128 << 10)
#define NONE UINT32_MAX

struct access {
	const struct capture_page *p;
	uint32_t next; /* access of the same page, NONE: never again */
	bool first;    /* of its epoch */
};

/* A cache that only knows which pages it has: places in a ring of `size`. */
struct model {
	uint32_t size, used, hand;
	uint32_t *gfn;	/* of a place */
	uint32_t *due;	/* best: when it is needed next */
	uint64_t *when; /* lru: used last; fifo: came */
	bool *again;	/* clock, free */
	uint32_t marked; /* free: how many again[] are set */
	uint32_t *place; /* of a gfn, NONE */
	uint64_t now;
};

static struct access *trace;
static uint32_t accesses, npages;
static bool *found; /* of each access */
static struct page_packer *packer;
static uint8_t records[PAGE_PACK_RECORDS_BYTES], packed[PAGE_PACK_RECORDS_BYTES];

static void die(const char *what)
{
	fprintf(stderr, "bench_cache: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *take(size_t n, size_t bytes)
{
	void *p = calloc(n + 1, bytes);

	if (p == NULL)
		die("memory");
	return p;
}

/* ---- the capture, as it is in its file ---- */

static const uint8_t *map(const char *path, size_t *bytes)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct capture_header *h;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	*bytes = (size_t)st.st_size;
	h = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (h == MAP_FAILED || *bytes < sizeof(*h) ||
	    memcmp(h->magic, CAPTURE_MAGIC, sizeof(h->magic)) != 0)
		die(path);
	npages = (uint32_t)h->npages;
	return (const uint8_t *)h;
}

static void load(const char *path)
{
	size_t bytes, at = sizeof(struct capture_header);
	const uint8_t *file = map(path, &bytes);
	uint32_t *last;
	uint64_t n;

	trace = take(bytes / sizeof(struct capture_page), sizeof(*trace));
	while (at + sizeof(n) <= bytes) {
		memcpy(&n, file + at, sizeof(n));
		at += sizeof(n);
		if (n > (bytes - at) / sizeof(struct capture_page))
			die(path);
		for (uint64_t i = 0; i < n; i++) {
			const void *p = file + at;

			trace[accesses].first = i == 0;
			trace[accesses++].p = p;
			at += sizeof(struct capture_page);
		}
	}
	/* Round and round: the last access of a page is followed by the first. */
	last = take(npages, sizeof(*last));
	memset(last, 0xff, npages * sizeof(*last));
	for (uint32_t i = 2 * accesses; i-- > 0;) {
		struct access *a = &trace[i % accesses];

		a->next = last[a->p->gfn];
		last[a->p->gfn] = i % accesses;
	}
	free(last);
	found = take(accesses, sizeof(*found));
}

/* ---- which pages are found ---- */

enum policy { USED, FREE, LRU, CLOCK, FIFO, BEST, POLICIES };
static const char *const names[POLICIES] = {
	"used", "free", "lru", "clock", "fifo", "best",
};

/* Linear for the sake of being right: of how many places it is, does not
 * matter here. */
static uint32_t oldest(const struct model *m)
{
	uint32_t v = 0;

	for (uint32_t i = 1; i < m->size; i++)
		if (m->when[i] < m->when[v])
			v = i;
	return v;
}

/* `from` is the access that is under way. */
static uint32_t farthest(const struct model *m, uint32_t from)
{
	uint32_t v = 0, far = 0;

	for (uint32_t i = 0; i < m->size; i++) {
		uint32_t due = m->due[i], away;

		if (due == NONE)
			return i;
		away = due > from ? due - from : due + accesses - from;
		if (away > far) {
			far = away;
			v = i;
		}
	}
	return v;
}

static uint32_t by_chance(struct model *m)
{
	static uint64_t x = 88172645463325252u;
	uint32_t i;

	if (m->marked == m->size) {
		memset(m->again, 0, m->size * sizeof(*m->again));
		m->marked = 0;
	}
	do {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		i = (uint32_t)(x >> 32) % m->size;
	} while (m->again[i]);
	return i;
}

static uint32_t victim(struct model *m, enum policy p, uint32_t from)
{
	if (m->used < m->size)
		return m->used++;
	if (p == BEST)
		return farthest(m, from);
	if (p == FREE)
		return by_chance(m);
	if (p != CLOCK)
		return oldest(m);
	for (;; m->again[m->hand] = false, m->hand = (m->hand + 1) % m->size)
		if (!m->again[m->hand]) {
			uint32_t v = m->hand;

			m->hand = (m->hand + 1) % m->size;
			return v;
		}
}

/* Was it there?  Now it is. */
static bool model_use(struct model *m, enum policy p, uint32_t gfn,
		      uint32_t from, uint32_t next)
{
	uint32_t i = m->place[gfn];
	bool there = i != NONE;

	m->now++;
	if (!there) {
		i = victim(m, p, from);
		if (m->gfn[i] != NONE)
			m->place[m->gfn[i]] = NONE;
		m->gfn[i] = gfn;
		m->place[gfn] = i;
	}
	m->marked += there && !m->again[i];
	m->again[i] = there;
	m->due[i] = next;
	if (p == LRU || !there)
		m->when[i] = m->now;
	return there;
}

static struct model *model_new(uint32_t size)
{
	struct model *m = take(1, sizeof(*m));

	m->size = size;
	m->gfn = take(size, sizeof(*m->gfn));
	m->due = take(size, sizeof(*m->due));
	m->when = take(size, sizeof(*m->when));
	m->again = take(size, sizeof(*m->again));
	m->place = take(npages, sizeof(*m->place));
	memset(m->gfn, 0xff, size * sizeof(*m->gfn));
	memset(m->place, 0xff, npages * sizeof(*m->place));
	return m;
}

static void model_free(struct model *m)
{
	free(m->gfn);
	free(m->due);
	free(m->when);
	free(m->again);
	free(m->place);
	free(m);
}

static uint32_t find_by_model(enum policy p, uint32_t size)
{
	struct model *m = model_new(size);
	uint32_t n = 0;

	/* The first copy; of it only the end is left, whoever is asked. */
	for (uint32_t g = size < npages ? npages - size : 0; g < npages; g++)
		model_use(m, p, g, 0, NONE);
	for (uint32_t i = 0; i < 2 * accesses; i++) {
		const struct access *a = &trace[i % accesses];

		found[i % accesses] = model_use(m, p, (uint32_t)a->p->gfn,
						i % accesses, a->next);
		n += i >= accesses && found[i % accesses];
	}
	model_free(m);
	return n;
}

/* As sender.c uses it. */
static uint32_t find_by_cache(struct page_cache *c)
{
	uint32_t n = 0;

	for (uint32_t g = 0; g < npages; g++)
		page_cache_insert(c, g);
	for (uint32_t i = 0; i < 2 * accesses; i++) {
		const struct access *a = &trace[i % accesses];
		bool there = page_cache_lookup(c, a->p->gfn) != NULL;

		if (!there)
			page_cache_insert(c, a->p->gfn);
		found[i % accesses] = there;
		n += i >= accesses && there;
	}
	return n;
}

/* ---- what comes of it ---- */

static void begin_frame(struct page_writer *w, bool tight)
{
	if (tight)
		page_pack_begin(w, records, sizeof(records), sizeof(records));
	else
		page_writer_init(w, records, FRAME_BYTES);
}

static size_t frame_bytes(struct page_writer *w, bool tight)
{
	return WIRE_HEADER_BYTES + (tight ? page_pack(packer, packed, w)
					  : page_writer_bytes(w));
}

static double ratio(bool tight)
{
	size_t bytes = 0;
	struct page_writer w;
	uint32_t in_slice = 0;

	begin_frame(&w, tight);
	for (uint32_t i = 0; i < accesses; i++) {
		const struct capture_page *p = trace[i].p;
		bool full = trace[i].first || in_slice == SLICE;

		for (;; full = true) {
			if (full && page_writer_bytes(&w) > 0)
				bytes += frame_bytes(&w, tight);
			if (full) {
				begin_frame(&w, tight);
				in_slice = 0;
			}
			if (page_writer_add(&w, p->gfn,
					    found[i] ? p->old : NULL, p->new,
					    PAGE_ALLOW_ALL, NULL) == 0)
				break;
		}
		in_slice++;
	}
	bytes += frame_bytes(&w, tight);
	return (double)accesses * REMUS_PAGE_SIZE / (double)bytes;
}

static void size_line(const char *file, double percent)
{
	uint64_t want = (uint64_t)((double)npages * percent / 100);
	struct page_cache *c;

	if (page_cache_create(&c, npages, want * REMUS_PAGE_SIZE) < 0)
		die("a cache of that size");
	printf("{\"file\": \"%s\", \"percent\": %g, \"mb\": %.2f", file, percent,
	       (double)page_cache_bytes(c) / (1 << 20));
	for (enum policy p = USED; p < POLICIES; p++) {
		uint32_t n = p == USED ? find_by_cache(c)
				       : find_by_model(p, (uint32_t)want);

		printf(", \"%s_found\": %.4f, \"%s_ratio\": %.2f", names[p],
		       (double)n / accesses, names[p], ratio(false));
		if (p == USED)
			printf(", \"tight_ratio\": %.2f", ratio(true));
	}
	printf("}\n");
	fflush(stdout);
	page_cache_destroy(c);
}

int main(int argc, char **argv)
{
	const char *file;

	if (argc < 3) {
		fprintf(stderr, "usage: bench_cache CAPTURE PERCENT...\n");
		return 2;
	}
	load(argv[1]);
	if (accesses == 0 || page_packer_new(&packer) < 0)
		die("nothing in it");
	file = strrchr(argv[1], '/') != NULL ? strrchr(argv[1], '/') + 1
					     : argv[1];
	for (int i = 2; i < argc; i++)
		size_line(file, strtod(argv[i], NULL));
	return 0;
}
