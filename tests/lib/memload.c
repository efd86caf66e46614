/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memload - a workload inside the guest that writes memory at a known rate.
 *
 * memload PAGES_PER_SEC [MEGABYTES]: in steps of 10 ms, a few bytes in so many
 * pages of a buffer (default 16 MB), page after page, with a stride that is
 * coprime to the number of pages.  A page gets a counter and a handful of
 * bytes further on, as programs do; every 64th page is written as a whole.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 4096u
#define STEP_NS 10000000L

static void write_page(uint8_t *page, uint64_t n)
{
	size_t i;

	memcpy(page, &n, sizeof(n));
	for (i = 0; i < 16; i++)
		page[(n * 97 + i) % PAGE] = (uint8_t)(n + i);
	if (n % 64 == 0)
		for (i = 0; i < PAGE; i++)
			page[i] = (uint8_t)((n * i) >> 3);
}

int main(int argc, char **argv)
{
	unsigned long rate = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
	unsigned long mb = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	struct timespec step = { 0, STEP_NS };
	uint64_t pages, n = 0, due = 0, steps = 0;
	uint8_t *buf;

	pages = (mb ? mb : 16) * (1 << 20) / PAGE;
	buf = malloc(pages * PAGE);
	if (!buf) {
		fprintf(stderr, "memload: no memory\n");
		return 1;
	}
	memset(buf, 1, pages * PAGE);
	for (;;) {
		steps++;
		for (due = steps * rate / 100; n < due; n++)
			write_page(buf + n * 7 % pages * PAGE, n);
		nanosleep(&step, NULL);
	}
}
