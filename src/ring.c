/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring.c - see ring.h. */
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int map_twice(struct ring *r, int fd)
{
	uint8_t *base = mmap(NULL, 2 * r->size, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (base == MAP_FAILED)
		return -errno;
	for (int i = 0; i < 2; i++) {
		if (mmap(base + (size_t)i * r->size, r->size,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == MAP_FAILED) {
			rc = -errno;
			munmap(base, 2 * r->size);
			return rc;
		}
	}
	r->base = base;
	return 0;
}

int ring_init(struct ring *r, size_t size)
{
	int fd = memfd_create("remus-ring", MFD_CLOEXEC);
	int rc;

	memset(r, 0, sizeof(*r));
	r->size = size;
	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, (off_t)size) < 0 ? -errno : map_twice(r, fd);
	close(fd);
	return rc;
}

void ring_free(struct ring *r)
{
	if (r->base != NULL)
		munmap(r->base, 2 * r->size);
	memset(r, 0, sizeof(*r));
}
