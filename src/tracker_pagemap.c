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
 * A scan looks at every page table entry, about a millisecond per GiB.  So
 * memory that the guest has never touched is left without entries: units of
 * 2 MiB without a page are passed over by the kernel in one step (LOOK_TOUCHED;
 * LOOK_WRITTEN would give them entries).  The first page in such a unit makes
 * it touched for good, and all of it dirty once.  This needs memory that stays
 * mapped once it was touched: it is locked (libremus-track.so does that), else
 * a page could be written, reclaimed, and look as if it had never been there.
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
#define PAGE_IS_PRESENT (1u << 3)
#define PAGE_IS_SWAPPED (1u << 4)
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
#define UNIT_SHIFT 21 /* what one page table maps */

struct tracker {
	struct tracker_target target;
	struct ram_maps maps;
	struct page_bitmap touched[RAM_MAPS_MAX]; /* by unit of each map */
	int pagemap;
	struct page_region region[REGIONS_MAX];
};

enum look {
	LOOK_PROBE,   /* would LOOK_WRITTEN work? */
	LOOK_TOUCHED, /* what has page table entries? */
	LOOK_WRITTEN, /* what was written?  Protect it again */
};

/* One call on [start, end).  Number of regions, or -errno; *walked is where
 * the kernel stopped. */
static int scan(struct tracker *p, enum look look, uint64_t start,
		uint64_t end, uint64_t *walked)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_CHECK_WPASYNC,
		.start = start,
		.end = end,
		.vec = (uint64_t)(uintptr_t)p->region,
		.vec_len = look == LOOK_PROBE ? 1 : REGIONS_MAX,
		.max_pages = look == LOOK_PROBE ? 1 : 0,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int r;

	if (look == LOOK_TOUCHED) {
		arg.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
		arg.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	} else {
		arg.category_mask = PAGE_IS_WRITTEN;
	}
	if (look == LOOK_WRITTEN)
		arg.flags |= PM_SCAN_WP_MATCHING;
	do
		r = ioctl(p->pagemap, PAGEMAP_SCAN, &arg);
	while (r < 0 && errno == EINTR);
	*walked = arg.walk_end;
	return r < 0 ? -errno : r;
}

static void take(struct tracker *p, size_t i, enum look look,
		 const struct page_region *r, struct page_bitmap *dirty)
{
	const struct ram_map *m = &p->maps.map[i];
	uint64_t unit = m->start >> UNIT_SHIFT;

	if (look == LOOK_TOUCHED)
		for (uint64_t u = r->start >> UNIT_SHIFT;
		     u <= (r->end - 1) >> UNIT_SHIFT; u++)
			page_bitmap_set(&p->touched[i], u - unit);
	else if (dirty != NULL)
		page_bitmap_set_range(dirty, m->first_gfn +
				      ((r->start - m->start) >>
				       REMUS_PAGE_SHIFT),
				      (r->end - r->start) >> REMUS_PAGE_SHIFT);
}

static int scan_range(struct tracker *p, size_t i, enum look look,
		      uint64_t at, uint64_t end, struct page_bitmap *dirty)
{
	uint64_t walked;
	int n;

	while (at < end) {
		n = scan(p, look, at, end, &walked);
		if (n < 0)
			return n;
		for (int k = 0; k < n; k++)
			take(p, i, look, &p->region[k], dirty);
		if (walked <= at) /* would go on for ever */
			return -EIO;
		at = walked;
	}
	return 0;
}

static uint64_t unit_address(const struct ram_map *m, uint64_t unit)
{
	uint64_t at = ((m->start >> UNIT_SHIFT) + unit) << UNIT_SHIFT;

	return at < m->start ? m->start : at > m->end ? m->end : at;
}

/* Look for written pages where memory has been touched, and for touched memory
 * everywhere else, run by run. */
static int scan_map(struct tracker *p, size_t i, enum look look,
		    struct page_bitmap *dirty)
{
	const struct page_bitmap *touched = &p->touched[i];
	const struct ram_map *m = &p->maps.map[i];
	bool want = look == LOOK_WRITTEN;
	uint64_t u = 0, end;
	int rc = 0;

	while (u < touched->npages && rc == 0) {
		if (page_bitmap_test(touched, u) != want) {
			u++;
			continue;
		}
		for (end = u + 1; end < touched->npages; end++)
			if (page_bitmap_test(touched, end) != want)
				break;
		rc = scan_range(p, i, look, unit_address(m, u),
				unit_address(m, end), dirty);
		u = end;
	}
	return rc;
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

	for (size_t i = 0; i < p->maps.n && rc == 0; i++) {
		rc = scan_map(p, i, LOOK_TOUCHED, NULL);
		if (rc == 0)
			rc = scan_map(p, i, LOOK_WRITTEN, dirty);
	}
	return rc < 0 ? rc : still_alive(p);
}

/* Look without changing anything: can kernel and process do it? */
static int probe(struct tracker *p, char *err, size_t err_bytes)
{
	uint64_t walked;
	int r = 0;

	for (size_t i = 0; i < p->maps.n && r >= 0; i++)
		r = scan(p, LOOK_PROBE, p->maps.map[i].start,
			 p->maps.map[i].end, &walked);
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

/* Where memory is not locked, all of it counts as touched from the start. */
static int make_units(struct tracker *p, char *err, size_t err_bytes)
{
	bool locked = ram_maps_locked(&p->maps, p->target.pid);

	for (size_t i = 0; i < p->maps.n; i++) {
		const struct ram_map *m = &p->maps.map[i];
		uint64_t n = ((m->end - 1) >> UNIT_SHIFT) -
			     (m->start >> UNIT_SHIFT) + 1;

		if (page_bitmap_init(&p->touched[i], n) < 0)
			return set_err(err, err_bytes, -ENOMEM,
				       "out of memory");
		if (!locked)
			page_bitmap_set_all(&p->touched[i]);
	}
	return 0;
}

static void pagemap_detach(struct tracker *p)
{
	for (size_t i = 0; i < p->maps.n; i++)
		page_bitmap_free(&p->touched[i]);
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
	if (rc == 0)
		rc = make_units(p, err, err_bytes);
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
