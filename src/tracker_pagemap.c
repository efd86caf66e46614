/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracker_pagemap.c - PAGEMAP_SCAN: ask for the written pages and protect
 * them again, in one step of the kernel's.
 *
 * libremus-track.so, preloaded into the emulator, has registered the RAM with
 * a userfaultfd in asynchronous write-protect mode.  PM_SCAN_CHECK_WPASYNC
 * makes every scan fail (-EPERM) when that registration is gone, e.g. because
 * the descriptor was closed: then nothing would be recorded, and a scan that
 * reported "nothing written" would lose writes.
 *
 * Exactly this mask, PAGE_IS_WRITTEN alone in both places: with it the kernel
 * reports every page that has no write-protect mark, so also one that was
 * written and then lost its page table entry to reclaim; with more bits in the
 * mask such a page would look untouched.
 *
 * A write that comes before the scan has protected its page is reported; one
 * that comes later faults and marks the page anew.  The kernel flushes TLBs
 * before the call returns, so whoever copies pages after collect() sees every
 * write that it does not get reported next time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tracker.h"
#include "tracker_maps.h"
#include "util.h"

/* Linux 6.7, include/uapi/linux/fs.h; Debian 12's headers are older. */
#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN (1u << 1)
struct page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};
#define PM_SCAN_WP_MATCHING (1u << 0)
#define PM_SCAN_CHECK_WPASYNC (1u << 1)
struct pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

#define REGIONS_MAX 4096

struct tracker {
	struct tracker_target target;
	struct ram_maps maps;
	int pagemap;
	struct page_region region[REGIONS_MAX];
};

/* One call on [start, end).  Number of regions, or -errno; *walked is where
 * the kernel stopped. */
static int scan(struct tracker *p, uint64_t start, uint64_t end, bool rearm,
		uint64_t *walked)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_CHECK_WPASYNC |
			 (rearm ? PM_SCAN_WP_MATCHING : 0),
		.start = start,
		.end = end,
		.vec = (uint64_t)(uintptr_t)p->region,
		.vec_len = rearm ? REGIONS_MAX : 1,
		.max_pages = rearm ? 0 : 1,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int r;

	do
		r = ioctl(p->pagemap, PAGEMAP_SCAN, &arg);
	while (r < 0 && errno == EINTR);
	*walked = arg.walk_end;
	return r < 0 ? -errno : r;
}

static void mark(const struct tracker *p, const struct ram_map *m, int n,
		 struct page_bitmap *dirty)
{
	for (int i = 0; i < n; i++) {
		const struct page_region *r = &p->region[i];

		page_bitmap_set_range(dirty, m->first_gfn +
				      ((r->start - m->start) >>
				       REMUS_PAGE_SHIFT),
				      (r->end - r->start) >> REMUS_PAGE_SHIFT);
	}
}

static int scan_map(struct tracker *p, const struct ram_map *m,
		    struct page_bitmap *dirty)
{
	uint64_t at = m->start, walked;
	int n;

	while (at < m->end) {
		n = scan(p, at, m->end, true, &walked);
		if (n < 0)
			return n;
		if (dirty != NULL)
			mark(p, m, n, dirty);
		if (walked <= at) /* would go on for ever */
			return -EIO;
		at = walked;
	}
	return 0;
}

/* The memory of a process that has ended scans as untouched.  Reading tells:
 * it gives nothing then. */
static int still_alive(const struct tracker *p)
{
	uint64_t entry;
	off_t at = (off_t)(p->maps.map[0].start / REMUS_PAGE_SIZE * 8);

	return pread(p->pagemap, &entry, sizeof(entry), at) == sizeof(entry) ?
		0 : -ESRCH;
}

static int scan_all(struct tracker *p, struct page_bitmap *dirty)
{
	int rc = 0;

	for (size_t i = 0; i < p->maps.n && rc == 0; i++)
		rc = scan_map(p, &p->maps.map[i], dirty);
	return rc < 0 ? rc : still_alive(p);
}

/* Look without changing anything: can kernel and process do it? */
static int probe(struct tracker *p, char *err, size_t err_bytes)
{
	uint64_t walked;
	int r = 0;

	for (size_t i = 0; i < p->maps.n && r >= 0; i++)
		r = scan(p, p->maps.map[i].start, p->maps.map[i].end, false,
			 &walked);
	if (r == -EPERM)
		return set_err(err, err_bytes, -EOPNOTSUPP, "the guest's RAM is"
			       " not registered (libremus-track.so was not"
			       " loaded, or says why in the emulator's log)");
	if (r < 0)
		return set_err(err, err_bytes, -EOPNOTSUPP,
			       "no PAGEMAP_SCAN here (%s; it needs Linux 6.7)",
			       strerror(-r));
	return 0;
}

static int open_pagemap(struct tracker *p, char *err, size_t err_bytes)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)p->target.pid);
	p->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (p->pagemap < 0)
		return set_err(err, err_bytes, -errno, "cannot open %s: %s",
			       path, strerror(errno));
	return 0;
}

/* An empty range: 0 where the call exists, ENOTTY where it does not. */
bool tracker_pagemap_in_kernel(void)
{
	struct pm_scan_arg arg = { .size = sizeof(arg) };
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool known;

	if (fd < 0)
		return false;
	known = ioctl(fd, PAGEMAP_SCAN, &arg) == 0 || errno != ENOTTY;
	close(fd);
	return known;
}

static void pagemap_detach(struct tracker *p)
{
	if (p->pagemap >= 0)
		close(p->pagemap);
	free(p);
}

static int pagemap_attach(struct tracker **out, const struct tracker_target *t,
			  char *err, size_t err_bytes)
{
	struct tracker *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	p->target = *t;
	p->pagemap = -1;
	rc = ram_maps_read(&p->maps, t, err, err_bytes);
	if (rc == 0)
		rc = open_pagemap(p, err, err_bytes);
	if (rc == 0)
		rc = probe(p, err, err_bytes);
	if (rc < 0) {
		pagemap_detach(p);
		return rc;
	}
	*out = p;
	return 0;
}

static int pagemap_start(struct tracker *p)
{
	return scan_all(p, NULL);
}

static int pagemap_collect(struct tracker *p, struct page_bitmap *dirty)
{
	return scan_all(p, dirty);
}

static const uint8_t *pagemap_view(const struct tracker *p)
{
	return p->target.ram;
}

const struct tracker_ops tracker_pagemap_ops = {
	.name = "pagemap",
	.attach = pagemap_attach,
	.start = pagemap_start,
	.collect = pagemap_collect,
	.view = pagemap_view,
	.detach = pagemap_detach,
};
