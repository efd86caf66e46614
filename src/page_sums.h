/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * page_sums.h - which parts of a page changed, without reading the old page.
 *
 * Who compares a page with the old one reads two pages, and waits for memory
 * most of that time.  Beside each old page the sender therefore keeps a sum of 64
 * bits of every PAGE_GROUP_BYTES of it: of a page that comes again the sums are
 * made, and only those groups of the old page are read whose sums are others.
 *
 * Two groups that differ have the same sum with a probability of 2^-64, whatever
 * is in them, because the key is random and nobody is told the sums.  Then a
 * change is not sent; the epoch's digest, which is of the pages themselves, tells
 * the backup (S5), and all of the guest is sent again.
 *
 * The sum of the words m[0] to m[31] (little-endian) of a group, by the words
 * k[0] to k[31] of the key, is in the field of 2^64 elements
 *
 *	(m[0] + k[0]) (m[1] + k[1]) + (m[2] + k[2]) (m[3] + k[3]) + ...
 *
 * where + is exclusive or and products are those of polynomials over bits, modulo
 * x^64 + x^4 + x^3 + x + 1.  (Why 2^-64: of groups that differ in m[0], say, the
 * sums' difference is d k[1] + c, where d is not 0 and c has nothing of k[1]:
 * one k[1] in 2^64 makes it 0.)  The construction is CLNH, of Lemire and Kaser,
 * "Faster 64-bit universal hashing using carry-less multiplications".
 *
 * Sums never leave the process.  No function here allocates, blocks or keeps
 * state; all may be called from several threads at once.
 */
#ifndef REMUS_PAGE_SUMS_H
#define REMUS_PAGE_SUMS_H

#include <stddef.h>
#include <stdint.h>

#include "page.h"

#define PAGE_GROUP_BYTES 256
#define PAGE_GROUPS (REMUS_PAGE_SIZE / PAGE_GROUP_BYTES)
/* Of a bitmap of groups: bit i is the PAGE_GROUP_BYTES from PAGE_GROUP_BYTES * i
 * on. */
#define PAGE_GROUPS_ALL ((1u << PAGE_GROUPS) - 1)

/* Sums of so many pages are made before the first of them is encoded: then the groups
 * of its old page have come from memory, and the pages are still in the first
 * cache.  Of the page behind them so many bytes are fetched meanwhile, to begin
 * with.  Both by measurement. */
#define PAGE_LOOK_AHEAD 4
#define PAGE_LOOK_BYTES 512

struct page_sums {
	uint64_t of[PAGE_GROUPS];
} __attribute__((aligned(64)));

struct page_sums_key {
	uint64_t words[PAGE_GROUP_BYTES / 8];
} __attribute__((aligned(64)));

/* The sums of page[4096] into *out; returns the groups of it whose sums are not
 * those in *kept, which is not *out. */
typedef unsigned int page_sums_fn(struct page_sums *out,
				  const struct page_sums_key *key,
				  const uint8_t *page,
				  const struct page_sums *kept);

/* By the fastest implementation of this CPU; NULL when it has none that takes less
 * time than reading the old page. */
page_sums_fn *page_sums_fast(void);

/* All that this CPU can run; the first one runs anywhere, in microseconds a page:
 * the definition above, for tests. */
struct page_sums_impl {
	const char *name; /* "plain", "avx2", "avx512" */
	page_sums_fn *sums;
};
const struct page_sums_impl *const *page_sums_impls(size_t *count);

/* For the implementations: a loop that moves `page` on stays one.  What fetches
 * memory ahead learns from each load's place in the code; where a few loads go
 * over all of the page it is twice as fast as where there is one for each part. */
#define PAGE_SUMS_ROLLED_UP(page) \
	__asm__ volatile("" : "+r"(page) : : "memory")

/* A random key.  0, or -errno of getrandom(2). */
int page_sums_new_key(struct page_sums_key *key);

#endif
