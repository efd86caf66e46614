/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_codec - how fast XOR-RLE is here, beside memcmp and memcpy.
 *
 * Prints one table; asserts nothing about time.  Throughput is guest memory
 * per second: pages * 4096 / time, whatever the delta's length.  The pairs of
 * pages (64 MiB) do not fit in the inner caches, as in real use.
 *
 *	bench_codec [seconds per cell]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec_xrle.h"
#include "page_record.h"

#define PAIRS 8192
#define SLOT XRLE_BOUND

static uint8_t *old_pages, *new_pages, *deltas;
static int delta_bytes[PAIRS];
static double seconds = 0.3;
static volatile uint64_t sink;

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint8_t *old_page(size_t i)
{
	return old_pages + i * REMUS_PAGE_SIZE;
}

static uint8_t *new_page(size_t i)
{
	return new_pages + i * REMUS_PAGE_SIZE;
}

static void same_page(uint8_t *new)
{
	(void)new;
}

/* 1 to 4 words of 8 bytes, in which the low bytes change (counters, links) */
static void sparse_page(uint8_t *new)
{
	for (uint64_t n = 1 + rnd() % 4; n > 0; n--) {
		uint8_t *word = new + rnd() % 512 * 8;

		for (uint64_t b = 0, k = 1 + rnd() % 6; b < k; b++)
			word[b] ^= (uint8_t)(1 + rnd() % 255);
	}
}

/* 64 to 256 changed bytes in 4 to 12 runs */
static void medium_page(uint8_t *new)
{
	uint64_t bytes = 64 + rnd() % 193, runs = 4 + rnd() % 9;

	for (uint64_t r = 0; r < runs; r++) {
		uint64_t at = rnd() % (REMUS_PAGE_SIZE - 64);

		for (uint64_t b = 0; b < bytes / runs; b++)
			new[at + b] ^= (uint8_t)(1 + rnd() % 255);
	}
}

/* 300 words all over: many short runs, the coder's worst case */
static void scattered_page(uint8_t *new)
{
	for (unsigned int n = 0; n < 300; n++)
		new[rnd() % REMUS_PAGE_SIZE] ^= (uint8_t)(1 + rnd() % 255);
}

static void dense_page(uint8_t *new)
{
	for (size_t i = 0; i < REMUS_PAGE_SIZE; i += 8) {
		uint64_t x = rnd();

		memcpy(new + i, &x, sizeof(x));
	}
}

static const struct {
	const char *name;
	void (*change)(uint8_t *new);
} kinds[] = {
	{"unchanged", same_page},     {"sparse", sparse_page},
	{"medium", medium_page},      {"scattered", scattered_page},
	{"dense", dense_page},
};

/* Runs one pass over all pairs until the time is up; GB/s. */
static double measure(void (*pass)(const struct xrle_impl *),
		      const struct xrle_impl *impl)
{
	double start, t;
	unsigned int passes = 0;

	pass(impl);
	start = now();
	do {
		pass(impl);
		passes++;
		t = now() - start;
	} while (t < seconds);
	return (double)passes * PAIRS * REMUS_PAGE_SIZE / t / 1e9;
}

static void pass_memcmp(const struct xrle_impl *impl)
{
	(void)impl;
	for (size_t i = 0; i < PAIRS; i++)
		sink += page_equal(old_page(i), new_page(i));
}

static void pass_memcpy(const struct xrle_impl *impl)
{
	(void)impl;
	for (size_t i = 0; i < PAIRS; i++)
		memcpy(deltas + i * SLOT, new_page(i), REMUS_PAGE_SIZE);
}

static void pass_encode(const struct xrle_impl *impl)
{
	for (size_t i = 0; i < PAIRS; i++)
		delta_bytes[i] = impl->encode(deltas + i * SLOT, PAGE_DELTA_MAX,
					      old_page(i), new_page(i));
}

/* Applied to the old page; a second pass undoes the first, as XOR does. */
static void pass_decode(const struct xrle_impl *impl)
{
	for (size_t i = 0; i < PAIRS; i++)
		if (delta_bytes[i] > 0)
			sink += (uint64_t)impl->decode(old_page(i),
						       deltas + i * SLOT,
						       (size_t)delta_bytes[i]);
}

/* What the sender does: records into payloads of 1 MiB. */
static void pass_records(const struct xrle_impl *impl)
{
	static uint8_t payload[1 << 20];
	struct page_writer w;

	(void)impl;
	page_writer_init(&w, payload, sizeof(payload));
	for (size_t i = 0; i < PAIRS; i++)
		if (page_writer_add(&w, i, old_page(i), new_page(i),
				    PAGE_ALLOW_ALL, NULL) == -ENOSPC) {
			page_writer_init(&w, payload, sizeof(payload));
			i--;
		}
	sink += page_writer_bytes(&w);
}

static void bench(size_t kind)
{
	size_t n, total = 0, decodable = 0;
	const struct xrle_impl *const *all = xrle_impls(&n);

	for (size_t i = 0; i < PAIRS; i++) {
		memcpy(new_page(i), old_page(i), REMUS_PAGE_SIZE);
		kinds[kind].change(new_page(i));
	}
	printf("%-10s %7.1f", kinds[kind].name, measure(pass_memcpy, NULL));
	/* a comparison stops at the first difference: only whole ones count */
	if (kind == 0)
		printf(" %7.1f", measure(pass_memcmp, NULL));
	else
		printf(" %7s", "-");
	for (size_t i = 0; i < n; i++) {
		printf(" %9.1f", measure(pass_encode, all[i]));
		fflush(stdout);
	}
	for (size_t i = 0; i < PAIRS; i++) {
		decodable += delta_bytes[i] > 0;
		total += delta_bytes[i] < 0 ? REMUS_PAGE_SIZE
					    : (size_t)delta_bytes[i];
	}
	printf(" %9.1f", measure(pass_records, NULL));
	for (size_t i = 0; i < n; i++) {
		if (decodable > 0)
			printf(" %9.1f", measure(pass_decode, all[i]));
		else
			printf(" %9s", "-");
		fflush(stdout);
	}
	printf(" %9.1f\n", (double)total / PAIRS);
}

int main(int argc, char **argv)
{
	size_t n;
	const struct xrle_impl *const *all = xrle_impls(&n);

	if (argc > 1)
		seconds = atof(argv[1]);
	old_pages = malloc(PAIRS * REMUS_PAGE_SIZE);
	new_pages = malloc(PAIRS * REMUS_PAGE_SIZE);
	deltas = malloc((size_t)PAIRS * SLOT);
	if (old_pages == NULL || new_pages == NULL || deltas == NULL)
		return 1;
	for (size_t i = 0; i < PAIRS; i++)
		dense_page(old_page(i));

	printf("GB/s of guest memory; enc/dec: XOR-RLE; records: page records "
	       "with the best of them\n");
	printf("%-10s %7s %7s", "pages", "memcpy", "memcmp");
	for (size_t i = 0; i < n; i++)
		printf(" %*s%s", 9 - (int)strlen(all[i]->name), "enc-",
		       all[i]->name);
	printf(" %9s", "records");
	for (size_t i = 0; i < n; i++)
		printf(" %*s%s", 9 - (int)strlen(all[i]->name), "dec-",
		       all[i]->name);
	printf(" %9s\n", "bytes");
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		bench(k);
	return 0;
}
