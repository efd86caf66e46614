/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_tracker - what it costs to find 1,000 written pages.
 *
 *	bench_tracker PAGES ROUNDS SPAN_MB MEGABYTES...
 *
 * For each size of memory, another process (this program once more, with
 * libremus-track.so preloaded, as QEMU is started) maps a file of that size,
 * all of it touched, and writes PAGES pages, evenly over its first SPAN_MB
 * megabytes (0: all of them); then one collect() is timed.  Each tracker that works on this kernel, and a memcmp of all of the
 * memory with a copy for comparison.  Median of ROUNDS.
 *
 * One JSON object a line: mb, tracker, us (p50), max_us, found; or mb, tracker
 * and why it does not work here.  REMUS_TRACK_LIB names the library.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracker.h"
#include "util.h"

#define RAM_FD 3
#define CTL_FD 4
#define ROUNDS_MAX 1000u

static char self[PATH_MAX];
static uint64_t dirty_pages, span_pages;
static unsigned int rounds;

/* What the writer is told. */
struct order {
	uint64_t pages, stride;
};

struct world {
	int ram_fd, ctl;
	uint8_t *ram;
	uint64_t npages;
	pid_t pid;
	struct page_bitmap dirty;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_tracker: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the writer ---- */

static int writer_main(void)
{
	uint64_t npages, stamp = 0;
	volatile uint8_t *ram;
	struct order o;
	struct stat st;
	char done = 0;

	if (fstat(RAM_FD, &st) < 0)
		return 1;
	npages = (uint64_t)st.st_size / REMUS_PAGE_SIZE;
	ram = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		   MAP_SHARED, RAM_FD, 0);
	if (ram == MAP_FAILED)
		return 1;
	for (uint64_t i = 0; i < npages; i++)
		ram[i * REMUS_PAGE_SIZE] = 1;
	while (write(CTL_FD, &done, 1) == 1 &&
	       read(CTL_FD, &o, sizeof(o)) == sizeof(o)) {
		stamp++;
		for (uint64_t i = 0; i < o.pages; i++)
			ram[(i * o.stride + stamp * 7 % o.stride) *
			    REMUS_PAGE_SIZE + 64] = (uint8_t)stamp;
	}
	return 0;
}

static void exec_writer(const struct world *w, int ctl)
{
	char file[64], *argv[] = { (char *)"writer", (char *)"--writer", NULL };
	const char *lib = getenv("REMUS_TRACK_LIB");
	struct stat st;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (lib != NULL && fstat(w->ram_fd, &st) == 0) {
		snprintf(file, sizeof(file), "%llu:%llu",
			 (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino);
		setenv("REMUS_TRACK_FILE", file, 1);
		setenv("LD_PRELOAD", lib, 1);
	}
	/* aside first: dup2() onto itself would leave it close-on-exec */
	if (dup2(ctl, 60) < 0 || dup2(w->ram_fd, 61) < 0 ||
	    dup2(61, RAM_FD) < 0 || dup2(60, CTL_FD) < 0)
		_exit(1);
	close_range(CTL_FD + 1, ~0u, 0);
	execv(self, argv);
	_exit(1);
}

static void wait_done(struct world *w)
{
	char c;

	if (read(w->ctl, &c, 1) != 1)
		die("the writer has gone");
}

static void write_pages(struct world *w)
{
	uint64_t span = span_pages != 0 && span_pages < w->npages ? span_pages
								   : w->npages;
	struct order o = { .pages = dirty_pages, .stride = span / dirty_pages };

	if (o.stride == 0)
		o.stride = 1;
	if (write(w->ctl, &o, sizeof(o)) < 0)
		die("the writer has gone");
	wait_done(w);
}

/* ---- a world of so many megabytes ---- */

static void begin(struct world *w, uint64_t mb)
{
	int pair[2];

	memset(w, 0, sizeof(*w));
	w->npages = (mb << 20) / REMUS_PAGE_SIZE;
	w->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	if (w->ram_fd < 0 || ftruncate(w->ram_fd, (off_t)(mb << 20)) < 0)
		die("memory file");
	w->ram = mmap(NULL, mb << 20, PROT_READ | PROT_WRITE, MAP_SHARED,
		      w->ram_fd, 0);
	if (w->ram == MAP_FAILED || page_bitmap_init(&w->dirty, w->npages) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("memory");
	w->pid = fork();
	if (w->pid == 0)
		exec_writer(w, pair[1]);
	close(pair[1]);
	w->ctl = pair[0];
	wait_done(w);
}

static void end(struct world *w)
{
	close(w->ctl);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	munmap(w->ram, w->npages * REMUS_PAGE_SIZE);
	close(w->ram_fd);
	page_bitmap_free(&w->dirty);
}

/* ---- measuring ---- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_result(const struct world *w, const char *name, uint64_t *ns,
			 unsigned int n, uint64_t found)
{
	qsort(ns, n, sizeof(*ns), by_value);
	printf("{\"mb\": %llu, \"tracker\": \"%s\", \"us\": %.1f, "
	       "\"max_us\": %.1f, \"found\": %llu}\n",
	       (unsigned long long)(w->npages * REMUS_PAGE_SIZE >> 20), name,
	       (double)ns[n / 2] / 1e3, (double)ns[n - 1] / 1e3,
	       (unsigned long long)found);
	fflush(stdout);
}

static void bench_tracker(const struct tracker_ops *ops, struct world *w)
{
	struct tracker_target target = {
		.pid = w->pid, .ram_path = "", .ram = w->ram,
		.npages = w->npages,
	};
	uint64_t ns[ROUNDS_MAX], found = 0, t;
	struct tracker *tr;
	char err[256] = "";

	if (ops->attach(&tr, &target, err, sizeof(err)) < 0) {
		printf("{\"mb\": %llu, \"tracker\": \"%s\", \"why\": \"%s\"}\n",
		       (unsigned long long)(w->npages * REMUS_PAGE_SIZE >> 20),
		       ops->name, err);
		return;
	}
	if (ops->start(tr) < 0)
		die("tracker");
	for (unsigned int i = 0; i < rounds; i++) {
		write_pages(w);
		page_bitmap_clear_all(&w->dirty);
		t = now_mono_ns();
		if (ops->collect(tr, &w->dirty) < 0)
			die("collect");
		ns[i] = now_mono_ns() - t;
		found = page_bitmap_count(&w->dirty);
	}
	ops->detach(tr);
	print_result(w, ops->name, ns, rounds, found);
}

static void bench_memcmp(struct world *w)
{
	size_t bytes = w->npages * REMUS_PAGE_SIZE;
	unsigned int n = rounds < 5 ? rounds : 5;
	uint64_t ns[ROUNDS_MAX], t;
	uint8_t *copy = malloc(bytes);

	if (copy == NULL)
		die("copy");
	memcpy(copy, w->ram, bytes);
	for (unsigned int i = 0; i < n; i++) {
		t = now_mono_ns();
		if (memcmp(copy, w->ram, bytes) != 0)
			die("memory has changed");
		ns[i] = now_mono_ns() - t;
	}
	free(copy);
	print_result(w, "memcmp", ns, n, 0);
}

static void bench(uint64_t mb)
{
	static const struct tracker_ops *const all[] = {
		&tracker_pagemap_ops, &tracker_softdirty_ops,
		&tracker_compare_ops,
	};
	struct world w;

	/* A world each: none is to inherit another's protection. */
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		begin(&w, mb);
		bench_tracker(all[i], &w);
		if (i + 1 == sizeof(all) / sizeof(all[0]))
			bench_memcmp(&w);
		end(&w);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--writer") == 0)
		return writer_main();
	if (realpath("/proc/self/exe", self) == NULL)
		die("/proc/self/exe");
	if (argc > 4) {
		dirty_pages = strtoull(argv[1], NULL, 10);
		rounds = (unsigned int)strtoul(argv[2], NULL, 10);
		span_pages = (strtoull(argv[3], NULL, 10) << 20) /
			     REMUS_PAGE_SIZE;
	}
	if (dirty_pages == 0 || rounds == 0 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_tracker PAGES ROUNDS SPAN_MB "
			"MEGABYTES...\n");
		return 2;
	}
	for (int i = 4; i < argc; i++)
		bench(strtoull(argv[i], NULL, 10));
	return 0;
}
