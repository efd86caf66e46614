/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * golden_vector.h - read tests/unit/golden/xrle/NAME.txt.
 *
 * The format is told in xrle_reference.py, which also computed the results.
 */
#ifndef REMUS_TEST_GOLDEN_VECTOR_H
#define REMUS_TEST_GOLDEN_VECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

#define GOLDEN_PAGES 8

struct golden_page {
	uint64_t gfn;
	char kind[8];
	uint8_t old[REMUS_PAGE_SIZE], new[REMUS_PAGE_SIZE];
};

struct golden {
	uint8_t old[REMUS_PAGE_SIZE], new[REMUS_PAGE_SIZE];
	bool equal;		   /* "result equal" */
	uint8_t data[16384];	   /* delta or payload */
	size_t data_bytes;
	uint64_t npages;
	unsigned int page_count;
	struct golden_page page[GOLDEN_PAGES];
};

static inline void fill_lcg(uint8_t *page, uint64_t x)
{
	for (size_t i = 0; i < REMUS_PAGE_SIZE; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		page[i] = (uint8_t)(x >> 56);
	}
}

static inline size_t golden_unhex(uint8_t *out, size_t cap, const char *hex)
{
	size_t n = 0;
	unsigned int b;

	while (n < cap && sscanf(hex + 2 * n, "%2x", &b) == 1)
		out[n++] = (uint8_t)b;
	return n;
}

static inline void golden_change(struct golden *g, char **w)
{
	uint8_t *page = w[0][0] == 'o' ? g->old : g->new;
	uint8_t bytes[REMUS_PAGE_SIZE];
	size_t at = strtoul(w[2], NULL, 10), n;

	if (strcmp(w[1], "fill") == 0) {
		memset(page, (int)strtoul(w[2], NULL, 16), REMUS_PAGE_SIZE);
	} else if (strcmp(w[1], "lcg") == 0) {
		fill_lcg(page, at);
	} else if (strcmp(w[1], "copy") == 0) {
		memcpy(page, g->old, REMUS_PAGE_SIZE);
	} else if (strcmp(w[1], "step") == 0) {
		for (; at < REMUS_PAGE_SIZE; at += strtoul(w[3], NULL, 10))
			page[at] ^= (uint8_t)strtoul(w[4], NULL, 16);
	} else {
		n = golden_unhex(bytes, REMUS_PAGE_SIZE - at, w[3]);
		for (size_t i = 0; i < n; i++)
			page[at + i] = bytes[i] ^ (w[1][0] == 'x'
						   ? page[at + i] : 0);
	}
}

static inline void golden_line(struct golden *g, char **w)
{
	struct golden_page *p = &g->page[g->page_count];

	if (strcmp(w[0], "old") == 0 || strcmp(w[0], "new") == 0) {
		golden_change(g, w);
	} else if (strcmp(w[0], "result") == 0) {
		g->equal = strcmp(w[1], "equal") == 0;
	} else if (strcmp(w[0], "pages") == 0) {
		g->npages = strtoull(w[1], NULL, 10);
	} else if (strcmp(w[0], "page") == 0) {
		p->gfn = strtoull(w[1], NULL, 10);
		snprintf(p->kind, sizeof(p->kind), "%s", w[2]);
		memcpy(p->old, g->old, REMUS_PAGE_SIZE);
		memcpy(p->new, g->new, REMUS_PAGE_SIZE);
		g->page_count++;
	} else if (strcmp(w[0], "delta") == 0 || strcmp(w[0], "payload") == 0) {
		g->data_bytes += golden_unhex(g->data + g->data_bytes,
					      sizeof(g->data) - g->data_bytes,
					      w[1]);
	}
}

/* The folder of the vectors: make check sets srcdir. */
static inline void golden_dir(char *path, size_t bytes)
{
	const char *top = getenv("srcdir");

	snprintf(path, bytes, "%s/tests/unit/golden/xrle",
		 top != NULL ? top : ".");
}

/* False when the file cannot be read. */
static inline bool golden_load(struct golden *g, const char *name)
{
	char path[4096], line[8192], *w[6];
	FILE *f;

	memset(g, 0, sizeof(*g));
	golden_dir(path, sizeof(path) - strlen(name) - 2);
	strcat(path, "/");
	strcat(path, name);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *save = NULL, *p = strtok_r(line, " \n", &save);
		static char none[] = "";

		for (size_t i = 0; i < 6; i++) {
			w[i] = p != NULL ? p : none;
			p = p != NULL ? strtok_r(NULL, " \n", &save) : NULL;
		}
		if (w[0][0] != '#' && w[0][0] != '\0')
			golden_line(g, w);
	}
	fclose(f);
	return true;
}

#endif
