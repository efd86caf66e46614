/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_encode - what a second thread is worth, and what it costs.
 *
 *	bench_encode [--rounds N] [--threads N] CAPTURE...
 *
 * Replays a capture (bench_capture) through the sender of remusd, on a loop of
 * its own, into a connection that takes everything at once: from capture to END,
 * by the clock, and by the processors' time of all threads.  Each epoch as one
 * checkpoint, and again eight of them as one, as of a guest that writes more or
 * a longer interval; a page is in it once, as it was last.
 *
 * One line of JSON a capture and size: microseconds a checkpoint by compression
 * and number of threads (1 and N, 2 without the option), of each checkpoint the
 * least.  One thread and more take turns, so that ratios hold on a machine that
 * is now slower and now faster.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "capture.h"
#include "capture_file.h"
#include "compression.h"
#include "conn.h"
#include "sender.h"

#define TOGETHER 8

enum { CLOCK, CPU, TIMES };

static const enum compression modes[] = { COMPRESSION_FAST, COMPRESSION_TIGHT };
#define MODES 2
#define WAYS (2 * MODES) /* one thread or more of each */

static struct capture_epoch *epochs;
static size_t count;
static uint64_t npages;
static uint8_t *ram;
static struct capture capture;
static struct page_bitmap dirty, todo, sent;
static unsigned int rounds = 9, many = 2;
static size_t together;
static qb_loop_t *loop;

static void die(const char *what)
{
	fprintf(stderr, "bench_encode: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(int which)
{
	struct timespec t;

	clock_gettime(which == CPU ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC,
		      &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- conn.h: a link without limit ---- */

static uint8_t queue[CONN_QUEUE_MAX];

uint8_t *conn_reserve(struct conn *c, size_t min_bytes, size_t *cap)
{
	(void)c;
	(void)min_bytes;
	*cap = sizeof(queue);
	return queue;
}

void conn_commit(struct conn *c, size_t bytes)
{
	(void)c;
	(void)bytes;
}

int conn_send(struct conn *c, const void *frame, size_t bytes)
{
	(void)c;
	(void)frame;
	(void)bytes;
	return 0;
}

void conn_want_room(struct conn *c)
{
	(void)c;
}

size_t conn_unsent_bytes(struct conn *c)
{
	(void)c;
	return 0;
}

/* ---- what was captured ---- */

static void load(const char *path)
{
	struct capture_header h;

	if (capture_load(path, &h, &epochs, &count) < 0)
		die(path);
	npages = h.npages;
}

static uint8_t *at(uint64_t gfn)
{
	return ram + gfn * REMUS_PAGE_SIZE;
}

static void begin(void)
{
	ram = mmap(NULL, npages * REMUS_PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED ||
	    capture_init(&capture, ram, npages, npages * REMUS_PAGE_SIZE) < 0 ||
	    page_bitmap_init(&dirty, npages) < 0 ||
	    page_bitmap_init(&todo, npages) < 0 ||
	    page_bitmap_init(&sent, npages) < 0)
		die("memory");
}

static void end(void)
{
	for (size_t i = 0; i < count; i++)
		free(epochs[i].pages);
	munmap(ram, npages * REMUS_PAGE_SIZE);
	capture_free(&capture);
	page_bitmap_free(&dirty);
	page_bitmap_free(&todo);
	page_bitmap_free(&sent);
}

/* ---- a sender ---- */

static double ended[TIMES];

static void stop(void)
{
	for (int t = 0; t < TIMES; t++)
		ended[t] = now(t);
	qb_loop_stop(loop);
}

static void on_live_done(void *ctx)
{
	(void)ctx;
	stop();
}

static void on_output(void *ctx, uint64_t epoch, struct segments *out)
{
	(void)ctx;
	(void)epoch;
	(void)out;
}

static void on_sent(void *ctx, uint64_t epoch, uint64_t chain)
{
	(void)ctx;
	(void)epoch;
	(void)chain;
	stop();
}

static const struct sender_events events = {
	.live_done = on_live_done, .output = on_output, .sent = on_sent,
};

static struct sender *sender_of(int way)
{
	struct sender_params p = {
		.loop = loop, .ram = ram, .npages = npages,
		.cache_bytes = npages * REMUS_PAGE_SIZE,
		.compression = modes[way / 2],
		.threads = way % 2 == 0 ? 1 : many, .events = &events,
	};
	struct sender *s;

	if (sender_new(&s, &p) < 0)
		die("memory");
	sender_set_conn(s, (struct conn *)queue, WIRE_CAPABILITIES);
	return s;
}

/* What each page was before the capture is what the backup has of it. */
static void send_olds(struct sender *s)
{
	for (size_t k = count; k-- > 0;)
		for (uint64_t i = 0; i < epochs[k].n; i++) {
			const struct capture_page *p = &epochs[k].pages[i];

			memcpy(at(p->gfn), p->old, REMUS_PAGE_SIZE);
			page_bitmap_set(&todo, p->gfn);
		}
	sender_begin(s, 1, 1, true, 0, &sent);
	sender_live(s, &todo);
	qb_loop_run(loop);
}

static void checkpoint(struct sender *s, size_t first, double least[TIMES])
{
	double began[TIMES];

	for (size_t k = first; k < first + together && k < count; k++)
		for (uint64_t i = 0; i < epochs[k].n; i++) {
			const struct capture_page *p = &epochs[k].pages[i];

			memcpy(at(p->gfn), p->new, REMUS_PAGE_SIZE);
			page_bitmap_set(&dirty, p->gfn);
		}
	capture_pages(&capture, &dirty);
	page_bitmap_clear_all(&dirty);
	if (!sender_is_open(s))
		sender_begin(s, 1, first + 2, false, 0, &sent);
	for (int t = 0; t < TIMES; t++)
		began[t] = now(t);
	sender_capture(s, &capture);
	qb_loop_run(loop);
	capture_done(&capture);
	for (int t = 0; t < TIMES; t++)
		if (ended[t] - began[t] < least[t])
			least[t] = ended[t] - began[t];
}

/* ---- rounds ---- */

static void print(const char *path, double (*least)[WAYS][TIMES], size_t n)
{
	static const char *const which[TIMES] = { "", "_cpu" };
	uint64_t distinct = 0;

	for (size_t first = 0; first < count; first += together) {
		page_bitmap_clear_all(&dirty);
		for (size_t k = first; k < first + together && k < count; k++)
			for (uint64_t i = 0; i < epochs[k].n; i++)
				page_bitmap_set(&dirty, epochs[k].pages[i].gfn);
		distinct += page_bitmap_count(&dirty);
	}
	page_bitmap_clear_all(&dirty);
	printf("{\"file\": \"%s\", \"checkpoints\": %zu, \"each\": %.0f, "
	       "\"threads\": %u", path, n, (double)distinct / (double)n, many);
	for (int w = 0; w < WAYS; w++)
		for (int t = 0; t < TIMES; t++) {
			double sum = 0;

			for (size_t i = 0; i < n; i++)
				sum += least[i][w][t];
			printf(", \"%s_%s%s\": %.1f",
			       compression_to_str(modes[w / 2]),
			       w % 2 == 0 ? "one" : "more", which[t],
			       sum * 1e6 / (double)n);
		}
	printf("}\n");
	fflush(stdout);
}

static void bench(const char *path)
{
	size_t n = (count + together - 1) / together;
	double (*least)[WAYS][TIMES] = malloc(n * sizeof(*least));

	if (least == NULL)
		die("memory");
	for (size_t i = 0; i < n; i++)
		for (int w = 0; w < WAYS; w++)
			for (int t = 0; t < TIMES; t++)
				least[i][w][t] = 1e9;
	for (unsigned int r = 0; r < rounds; r++)
		for (int w = 0; w < WAYS; w++) {
			struct sender *s = sender_of(w);

			send_olds(s);
			for (size_t i = 0; i < n; i++)
				checkpoint(s, i * together, least[i][w]);
			sender_free(s);
		}
	print(path, least, n);
	free(least);
}

int main(int argc, char **argv)
{
	loop = qb_loop_create();
	if (loop == NULL)
		die("loop");
	for (int i = 1; i < argc; i++) {
		const char *name = strrchr(argv[i], '/');

		if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
			rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
			continue;
		}
		if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
			many = (unsigned int)strtoul(argv[++i], NULL, 10);
			continue;
		}
		load(argv[i]);
		begin();
		for (together = 1; together <= TOGETHER; together *= TOGETHER)
			bench(name == NULL ? argv[i] : name + 1);
		end();
	}
	free(epochs);
	qb_loop_destroy(loop);
	return 0;
}
