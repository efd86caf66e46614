/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_capture - the pages that a running emulator's checkpoints would send.
 *
 *	bench_capture PID RAM_FILE INTERVAL_MS PAGES OUT
 *
 * Every INTERVAL_MS the process is stopped by a signal, its dirty pages are
 * collected as remusd does it (the best tracker that works here), each is
 * written to OUT with what it held before (capture_file.h), and the process
 * goes on.  Ends after the epoch in which PAGES pages were reached.  A process
 * that is in the middle of a store leaves a page half written: that does no
 * harm to what this is for.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture_file.h"
#include "tracker.h"

struct capturer {
	struct tracker_target target;
	const struct tracker_ops *ops;
	struct tracker *tracker;
	struct page_bitmap dirty;
	uint8_t *old; /* all of memory, as it was sent last */
	FILE *out;
	uint64_t pages;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_capture: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void map_ram(struct capturer *c, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *ram;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	ram = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (ram == MAP_FAILED)
		die(path);
	close(fd);
	c->target.ram_path = path;
	c->target.ram = ram;
	c->target.npages = (uint64_t)st.st_size / REMUS_PAGE_SIZE;
	c->old = malloc((size_t)st.st_size);
	if (c->old == NULL || page_bitmap_init(&c->dirty, c->target.npages) < 0)
		die("memory");
}

static void begin(struct capturer *c, const char *out)
{
	struct capture_header h = { .npages = c->target.npages };
	char err[256] = "";

	c->ops = tracker_attach(&c->tracker, "auto", &c->target, err,
				sizeof(err));
	if (c->ops == NULL) {
		fprintf(stderr, "bench_capture: %s\n", err);
		exit(1);
	}
	c->out = fopen(out, "w");
	memcpy(h.magic, CAPTURE_MAGIC, sizeof(h.magic));
	if (c->out == NULL || fwrite(&h, sizeof(h), 1, c->out) != 1)
		die(out);
	if (c->ops->start(c->tracker) < 0)
		die("tracker");
	memcpy(c->old, c->ops->view(c->tracker),
	       c->target.npages * REMUS_PAGE_SIZE);
}

static void write_page(struct capturer *c, gfn_t gfn)
{
	struct capture_page p = { .gfn = gfn };
	size_t at = (size_t)gfn * REMUS_PAGE_SIZE;

	memcpy(p.old, c->old + at, REMUS_PAGE_SIZE);
	memcpy(p.new, c->ops->view(c->tracker) + at, REMUS_PAGE_SIZE);
	memcpy(c->old + at, p.new, REMUS_PAGE_SIZE);
	if (fwrite(&p, sizeof(p), 1, c->out) != 1)
		die("writing");
}

static void epoch(struct capturer *c)
{
	uint64_t n;

	page_bitmap_clear_all(&c->dirty);
	if (kill(c->target.pid, SIGSTOP) < 0)
		die("SIGSTOP");
	usleep(500); /* all of its threads stop */
	if (c->ops->collect(c->tracker, &c->dirty) < 0)
		die("collect");
	n = page_bitmap_count(&c->dirty);
	if (n > 0 && fwrite(&n, sizeof(n), 1, c->out) != 1)
		die("writing");
	for (gfn_t g = page_bitmap_next(&c->dirty, 0); g < c->dirty.npages;
	     g = page_bitmap_next(&c->dirty, g + 1))
		write_page(c, g);
	if (kill(c->target.pid, SIGCONT) < 0)
		die("SIGCONT");
	c->pages += n;
}

int main(int argc, char **argv)
{
	struct capturer c = { .pages = 0 };
	unsigned int interval_us;
	uint64_t want;

	if (argc != 6) {
		fprintf(stderr, "usage: bench_capture PID RAM_FILE INTERVAL_MS "
			"PAGES OUT\n");
		return 2;
	}
	c.target.pid = (pid_t)strtol(argv[1], NULL, 10);
	interval_us = (unsigned int)strtoul(argv[3], NULL, 10) * 1000;
	want = strtoull(argv[4], NULL, 10);
	map_ram(&c, argv[2]);
	begin(&c, argv[5]);
	while (c.pages < want) {
		usleep(interval_us);
		epoch(&c);
	}
	c.ops->detach(c.tracker);
	if (fclose(c.out) != 0)
		die(argv[5]);
	return 0;
}
