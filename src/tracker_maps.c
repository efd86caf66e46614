/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tracker_maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

struct maps_line {
	uint64_t start, end, offset, inode;
	unsigned int major, minor;
	char perms[8];
};

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

/* One line, however long its path is.  False at the end of the file. */
static bool next_line(FILE *f, struct maps_line *l)
{
	char buf[256];
	int c;

	for (;;) {
		if (fgets(buf, sizeof(buf), f) == NULL)
			return false;
		if (strchr(buf, '\n') == NULL) {
			do
				c = fgetc(f);
			while (c != '\n' && c != EOF);
		}
		if (sscanf(buf, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64
			   " %x:%x %" SCNu64, &l->start, &l->end, l->perms,
			   &l->offset, &l->major, &l->minor, &l->inode) == 7)
			return true;
	}
}

/* Device and inode as the kernel prints them, which on some file systems are
 * not what stat() says: so look our own mapping up in our own maps. */
static int own_mapping(const uint8_t *ram, struct maps_line *out)
{
	uint64_t addr = (uint64_t)(uintptr_t)ram;
	FILE *f = open_proc(getpid(), "maps");
	int rc = -ENOENT;

	if (f == NULL)
		return -errno;
	while (rc == -ENOENT && next_line(f, out))
		if (out->start <= addr && addr < out->end && out->inode != 0)
			rc = 0;
	fclose(f);
	return rc;
}

static bool is_ram(const struct maps_line *l, const struct maps_line *own)
{
	return l->inode == own->inode && l->major == own->major &&
	       l->minor == own->minor && l->perms[1] == 'w' &&
	       l->perms[3] == 's';
}

static void add_map(struct ram_maps *m, const struct maps_line *l,
		    uint64_t base, uint64_t npages)
{
	uint64_t ram_bytes = npages * REMUS_PAGE_SIZE;
	uint64_t bytes = l->end - l->start;
	struct ram_map *r = &m->map[m->n];

	if (l->offset < base || l->offset - base >= ram_bytes)
		return;
	r->first_gfn = (l->offset - base) >> REMUS_PAGE_SHIFT;
	if (bytes > ram_bytes - (l->offset - base))
		bytes = ram_bytes - (l->offset - base);
	r->start = l->start;
	r->end = l->start + bytes;
	m->n++;
}

/* Is each page in some mapping?  Maps come sorted by address, not by page. */
static bool cover_all(const struct ram_maps *m, uint64_t npages)
{
	uint64_t next = 0;
	size_t i = 0;

	while (next < npages && i < m->n) {
		const struct ram_map *r = &m->map[i];
		uint64_t n = (r->end - r->start) >> REMUS_PAGE_SHIFT;

		if (r->first_gfn <= next && next < r->first_gfn + n) {
			next = r->first_gfn + n;
			i = 0;
		} else {
			i++;
		}
	}
	return next >= npages;
}

static int read_maps(struct ram_maps *out, const struct tracker_target *t,
		     const struct maps_line *own)
{
	uint64_t base = own->offset +
		((uint64_t)(uintptr_t)t->ram - own->start);
	struct maps_line l;
	FILE *f = open_proc(t->pid, "maps");
	int rc = 0;

	if (f == NULL)
		return -errno;
	while (rc == 0 && next_line(f, &l)) {
		if (!is_ram(&l, own))
			continue;
		if (out->n == RAM_MAPS_MAX)
			rc = -E2BIG;
		else
			add_map(out, &l, base, t->npages);
	}
	fclose(f);
	return rc;
}

int ram_maps_read(struct ram_maps *out, const struct tracker_target *t,
		  char *err, size_t err_bytes)
{
	struct maps_line own;
	int rc;

	out->n = 0;
	rc = own_mapping(t->ram, &own);
	if (rc == 0)
		rc = read_maps(out, t, &own);
	if (rc < 0)
		return set_err(err, err_bytes, rc,
			       "cannot read the memory map of process %d: %s",
			       (int)t->pid, strerror(-rc));
	if (!cover_all(out, t->npages))
		return set_err(err, err_bytes, -ENXIO,
			       "process %d has not mapped all of the RAM file",
			       (int)t->pid);
	return 0;
}

static bool starts_map(const struct ram_maps *m, uint64_t start)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->map[i].start == start)
			return true;
	return false;
}

bool ram_maps_locked(const struct ram_maps *m, pid_t pid)
{
	FILE *f = open_proc(pid, "smaps");
	uint64_t start, end;
	char *line = NULL;
	size_t cap = 0, locked = 0;
	bool ours = false;

	while (f != NULL && getline(&line, &cap, f) > 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
			ours = starts_map(m, start);
		else if (ours && strncmp(line, "VmFlags:", 8) == 0 &&
			 strstr(line, " lo ") != NULL)
			locked++;
	}
	free(line);
	if (f != NULL)
		fclose(f);
	return locked == m->n;
}
