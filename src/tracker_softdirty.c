/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracker_softdirty.c - soft-dirty bits, for kernels before 6.7.
 *
 * Reading the bits (/proc/PID/pagemap, bit 55) and clearing them (clear_refs)
 * are two steps.  A page first written between them would lose its bit unseen,
 * so the process is stopped meanwhile, and the collection fails (everything
 * counts as dirty) when it does not stop in time.  Whether the guest was
 * suspended does not matter: the emulator's own threads write, too.
 *
 * On kernels without soft-dirty, bit 55 reads as 0 for ever, which would look
 * like a guest that never writes: attach() tries it on this process first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tracker.h"
#include "tracker_maps.h"
#include "util.h"

#define SOFT_DIRTY ((uint64_t)1 << 55)
#define SWAPPED ((uint64_t)1 << 62)
#define PRESENT ((uint64_t)1 << 63)
#define STOP_WAIT_NS 1000000000u
#define ENTRIES 8192

struct tracker {
	struct tracker_target target;
	struct ram_maps maps;
	int pagemap, clear_refs;
	uint64_t entry[ENTRIES];
};

static int open_proc(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int clear(int fd)
{
	return pwrite(fd, "4", 1, 0) == 1 ? 0 : -errno;
}

/* Does a write to our own page set the bit, and does clearing clear it? */
static bool bit_follows_writes(int pagemap, int clear_refs)
{
	volatile uint8_t *page = mmap(NULL, REMUS_PAGE_SIZE,
				      PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	off_t at = (off_t)((uintptr_t)page / REMUS_PAGE_SIZE * 8);
	uint64_t clean = 0, dirty = 0;
	bool ok;

	if (page == MAP_FAILED)
		return false;
	page[0] = 1;
	ok = clear(clear_refs) == 0 &&
	     pread(pagemap, &clean, sizeof(clean), at) == sizeof(clean);
	page[0] = 2;
	ok = ok && pread(pagemap, &dirty, sizeof(dirty), at) == sizeof(dirty);
	munmap((void *)page, REMUS_PAGE_SIZE);
	return ok && (clean & SOFT_DIRTY) == 0 && (dirty & SOFT_DIRTY) != 0;
}

static bool kernel_can(void)
{
	int pagemap = open_proc(getpid(), "pagemap", O_RDONLY);
	int clear_refs = open_proc(getpid(), "clear_refs", O_WRONLY);
	bool ok = pagemap >= 0 && clear_refs >= 0 &&
		  bit_follows_writes(pagemap, clear_refs);

	if (pagemap >= 0)
		close(pagemap);
	if (clear_refs >= 0)
		close(clear_refs);
	return ok;
}

/* State letter of one thread; 'X' when it has ended meanwhile. */
static char thread_state(pid_t pid, const char *tid)
{
	char path[300], buf[512];
	const char *paren;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 'X';
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return 'X';
	buf[n] = '\0';
	paren = strrchr(buf, ')'); /* the name before it may hold anything */
	return paren != NULL && paren[1] == ' ' ? paren[2] : '?';
}

static bool all_stopped(pid_t pid)
{
	char path[64];
	struct dirent *e;
	bool all = true;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (all && (e = readdir(dir)) != NULL)
		all = e->d_name[0] == '.' ||
		      strchr("TtXZ", thread_state(pid, e->d_name)) != NULL;
	closedir(dir);
	return all;
}

static int stop_process(pid_t pid)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	uint64_t deadline = now_mono_ns() + STOP_WAIT_NS;

	if (kill(pid, SIGSTOP) < 0)
		return -errno;
	while (!all_stopped(pid)) {
		if (now_mono_ns() > deadline)
			return -ETIMEDOUT;
		nanosleep(&nap, NULL);
	}
	return 0;
}

/* A page of a shared file loses its entry, and the bit with it, when it is
 * reclaimed: no entry means that nobody knows. */
static bool maybe_written(uint64_t entry)
{
	return (entry & SOFT_DIRTY) != 0 || (entry & (PRESENT | SWAPPED)) == 0;
}

static int read_map(struct tracker *s, const struct ram_map *m,
		    struct page_bitmap *dirty)
{
	uint64_t first = m->start / REMUS_PAGE_SIZE;
	uint64_t npages = m->end / REMUS_PAGE_SIZE - first;

	for (uint64_t at = 0; at < npages;) {
		uint64_t want = npages - at < ENTRIES ? npages - at : ENTRIES;
		ssize_t n = pread(s->pagemap, s->entry, want * 8,
				  (off_t)((first + at) * 8));

		if (n < 8)
			return n < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)n / 8; i++)
			if (maybe_written(s->entry[i]))
				page_bitmap_set(dirty, m->first_gfn + at + i);
		at += (uint64_t)n / 8;
	}
	return 0;
}

static int read_and_clear(struct tracker *s, struct page_bitmap *dirty)
{
	int rc = 0;

	for (size_t i = 0; dirty != NULL && i < s->maps.n && rc == 0; i++)
		rc = read_map(s, &s->maps.map[i], dirty);
	return rc < 0 ? rc : clear(s->clear_refs);
}

static int softdirty_collect(struct tracker *s, struct page_bitmap *dirty)
{
	pid_t pid = s->target.pid;
	bool was_stopped = all_stopped(pid); /* by somebody else: leave it so */
	int rc = was_stopped ? 0 : stop_process(pid);

	if (rc == 0)
		rc = read_and_clear(s, dirty);
	if (!was_stopped && kill(pid, SIGCONT) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int softdirty_start(struct tracker *s)
{
	return clear(s->clear_refs);
}

static const uint8_t *softdirty_view(const struct tracker *s)
{
	return s->target.ram;
}

static void softdirty_detach(struct tracker *s)
{
	if (s->pagemap >= 0)
		close(s->pagemap);
	if (s->clear_refs >= 0)
		close(s->clear_refs);
	free(s);
}

static int open_files(struct tracker *s, char *err, size_t err_bytes)
{
	s->pagemap = open_proc(s->target.pid, "pagemap", O_RDONLY);
	if (s->pagemap >= 0)
		s->clear_refs = open_proc(s->target.pid, "clear_refs",
					  O_WRONLY);
	if (s->pagemap < 0 || s->clear_refs < 0)
		return set_err(err, err_bytes,
			       s->pagemap < 0 ? s->pagemap : s->clear_refs,
			       "cannot open pagemap and clear_refs of process"
			       " %d", (int)s->target.pid);
	return 0;
}

static int softdirty_attach(struct tracker **out,
			    const struct tracker_target *t, char *err,
			    size_t err_bytes)
{
	struct tracker *s;
	int rc;

	if (!kernel_can())
		return set_err(err, err_bytes, -EOPNOTSUPP,
			       "this kernel keeps no soft-dirty bits");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	s->target = *t;
	s->pagemap = s->clear_refs = -1;
	rc = ram_maps_read(&s->maps, t, err, err_bytes);
	if (rc == 0)
		rc = open_files(s, err, err_bytes);
	if (rc < 0) {
		softdirty_detach(s);
		return rc;
	}
	*out = s;
	return 0;
}

const struct tracker_ops tracker_softdirty_ops = {
	.name = "soft-dirty",
	.attach = softdirty_attach,
	.start = softdirty_start,
	.collect = softdirty_collect,
	.view = softdirty_view,
	.detach = softdirty_detach,
};
