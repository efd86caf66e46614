/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_qmp - the least that a checkpoint of this guest can cost.
 *
 * On a plain QEMU with nothing of ours in it, at the same interval: stop,
 * xen-save-devices-state, a memcpy of so many pages out of its RAM file, cont;
 * each command sent when the one before is answered, each step timed.
 *
 *	bench_qmp QMP_SOCKET RAM_FILE STATE_FILE INTERVAL_MS COUNT PAGES
 *
 * PAGES pages all over the RAM are copied, others each time, in ascending
 * order.  COUNT checkpoints are made and thrown away first (a tenth of them),
 * then measured.  Prints one JSON object: microseconds, p50, p99 and max of
 * every step, and of their sum, the pause.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u

enum { STOP = 0, SAVE, COPY, CONT, PAUSE, STEPS };
static const char *const step_name[STEPS] = {
	"stop", "save", "copy", "cont", "pause",
};

static int qmp = -1;
static char in[65536];
static size_t in_bytes;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / 1000000000u),
			      .tv_nsec = (long)(ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) ==
	       EINTR)
		;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_qmp: %s\n", what);
	exit(1);
}

/* ---- QMP ---- */

static void dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(a.sun_path))
		die("the socket's path is too long");
	strcpy(a.sun_path, path);
	qmp = socket(AF_UNIX, SOCK_STREAM, 0);
	if (qmp < 0 || connect(qmp, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("cannot connect to QEMU");
}

/* One line, without its end, valid until the next call. */
static const char *read_line(void)
{
	static char line[sizeof(in)];
	char *nl;
	ssize_t n;

	while ((nl = memchr(in, '\n', in_bytes)) == NULL) {
		if (in_bytes == sizeof(in))
			die("QEMU's line is too long");
		n = read(qmp, in + in_bytes, sizeof(in) - in_bytes);
		if (n <= 0)
			die("QEMU has gone");
		in_bytes += (size_t)n;
	}
	memcpy(line, in, (size_t)(nl - in));
	line[nl - in] = '\0';
	in_bytes -= (size_t)(nl - in) + 1;
	memmove(in, nl + 1, in_bytes);
	return line;
}

/* Send, and read on to the answer; events are of no interest. */
static void command(const char *text)
{
	const char *line;

	if (write(qmp, text, strlen(text)) != (ssize_t)strlen(text))
		die("QEMU takes no command");
	for (;;) {
		line = read_line();
		if (strncmp(line, "{\"error\"", 8) == 0)
			die(line);
		if (strncmp(line, "{\"return\"", 9) == 0)
			return;
	}
}

/* ---- pages ---- */

static const uint8_t *ram;
static uint64_t npages;
static uint8_t *copies;

static void map_ram(const char *path, uint64_t pages)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		die("cannot open the RAM file");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	copies = malloc(pages * PAGE + 1);
	if (p == MAP_FAILED || copies == NULL)
		die("cannot map the RAM file");
	ram = p;
	npages = (uint64_t)st.st_size / PAGE;
	if (pages > npages)
		die("more pages than there are");
	memset(copies, 1, pages * PAGE);
}

static void copy_pages(uint64_t pages)
{
	static uint64_t x = 88172645463325252u;
	uint64_t stride = pages > 0 ? npages / pages : 0;

	for (uint64_t i = 0; i < pages; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(copies + i * PAGE,
		       ram + (i * stride + x % stride) * PAGE, PAGE);
	}
}

/* ---- checkpoints ---- */

static void checkpoint(const char *save, uint64_t pages, uint64_t us[STEPS])
{
	uint64_t t[5];

	t[0] = now_ns();
	command("{\"execute\":\"stop\"}\n");
	t[1] = now_ns();
	command(save);
	t[2] = now_ns();
	copy_pages(pages);
	t[3] = now_ns();
	command("{\"execute\":\"cont\"}\n");
	t[4] = now_ns();
	for (int i = 0; i < 4; i++)
		us[i] = (t[i + 1] - t[i]) / 1000;
	us[PAUSE] = (t[4] - t[0]) / 1000;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The same ranks as in `remusctl status`. */
static void print_step(const char *name, uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("%s\"%s\": {\"p50\": %llu, \"p99\": %llu, \"max\": %llu}",
	       strcmp(name, step_name[0]) == 0 ? "{" : ", ", name,
	       (unsigned long long)v[(n * 50 + 99) / 100 - 1],
	       (unsigned long long)v[(n * 99 + 99) / 100 - 1],
	       (unsigned long long)v[n - 1]);
}

int main(int argc, char **argv)
{
	uint64_t interval_ns, pages, began, us[STEPS], *v[STEPS];
	size_t count, warm;
	char save[512];

	if (argc != 7) {
		fprintf(stderr, "usage: bench_qmp QMP_SOCKET RAM_FILE "
			"STATE_FILE INTERVAL_MS COUNT PAGES\n");
		return 2;
	}
	interval_ns = strtoull(argv[4], NULL, 10) * 1000000u;
	count = strtoull(argv[5], NULL, 10);
	pages = strtoull(argv[6], NULL, 10);
	if (count == 0)
		die("COUNT: at least 1");
	snprintf(save, sizeof(save), "{\"execute\":\"xen-save-devices-state\","
		 "\"arguments\":{\"filename\":\"%s\",\"live\":true}}\n",
		 argv[3]);
	for (int i = 0; i < STEPS; i++)
		if ((v[i] = calloc(count, sizeof(*v[i]))) == NULL)
			die("no memory");
	map_ram(argv[2], pages);
	dial(argv[1]);
	command("{\"execute\":\"qmp_capabilities\"}\n");
	warm = count / 10;
	for (size_t n = 0; n < warm + count; n++) {
		began = now_ns();
		checkpoint(save, pages, us);
		for (int i = 0; i < STEPS && n >= warm; i++)
			v[i][n - warm] = us[i];
		sleep_until(began + interval_ns);
	}
	for (int i = 0; i < STEPS; i++)
		print_step(step_name[i], v[i], count);
	printf("}\n");
	return 0;
}
