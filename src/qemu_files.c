/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util.h"

/* Without a name from the start, or, where the file system cannot do that,
 * with one for an instant. */
static int open_nameless(const char *dir, const char *name)
{
	int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	char path[PATH_MAX];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? -errno : fd;
	if (snprintf(path, sizeof(path), "%s/remus-%s.ram.XXXXXX", dir,
		     name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int create_ram(struct qemu_files *f, const char *dir, const char *name)
{
	struct statfs fs;

	f->ram_fd = open_nameless(dir, name);
	if (f->ram_fd < 0)
		return f->ram_fd;
	if (fstatfs(f->ram_fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC &&
	    fs.f_type != HUGETLBFS_MAGIC)
		qb_log(LOG_WARNING, "%s is no tmpfs: guest memory there is "
		       "written to disk", dir);
	if (ftruncate(f->ram_fd, (off_t)f->ram_bytes) < 0)
		return -errno;
	f->ram = mmap(NULL, f->ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      f->ram_fd, 0);
	if (f->ram == MAP_FAILED) {
		f->ram = NULL;
		return -errno;
	}
	/* Neither page tables for a fork() nor the guest in a core file. */
	madvise(f->ram, f->ram_bytes, MADV_DONTFORK);
	madvise(f->ram, f->ram_bytes, MADV_DONTDUMP);
	return 0;
}

int qemu_files_create(struct qemu_files *f, const char *ram_dir,
		      const char *name, uint64_t ram_bytes, char *err,
		      size_t err_bytes)
{
	int rc;

	memset(f, 0, sizeof(*f));
	f->ram_bytes = (size_t)ram_bytes;
	f->ram_fd = f->state_fd = -1;
	rc = create_ram(f, ram_dir, name);
	if (rc == 0) {
		f->state_fd = memfd_create("remus-state", MFD_CLOEXEC);
		rc = f->state_fd < 0 ? -errno : 0;
	}
	if (rc < 0) {
		qemu_files_free(f);
		return set_err(err, err_bytes, rc, "cannot create the RAM image"
			       " in %s: %s", ram_dir, strerror(-rc));
	}
	return 0;
}

void qemu_files_free(struct qemu_files *f)
{
	if (f->ram != NULL)
		munmap(f->ram, f->ram_bytes);
	if (f->ram_fd >= 0)
		close(f->ram_fd);
	if (f->state_fd >= 0)
		close(f->state_fd);
	free(f->state);
	memset(f, 0, sizeof(*f));
	f->ram_fd = f->state_fd = -1;
}

static int state_room(struct qemu_files *f, size_t bytes)
{
	void *p;

	if (bytes <= f->state_cap)
		return 0;
	p = realloc(f->state, bytes * 2);
	if (p == NULL)
		return -ENOMEM;
	f->state = p;
	f->state_cap = bytes * 2;
	return 0;
}

int64_t qemu_state_read(struct qemu_files *f)
{
	struct stat st;
	size_t bytes, at = 0;
	int rc;

	if (fstat(f->state_fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > QEMU_STATE_MAX)
		return -EMSGSIZE;
	bytes = (size_t)st.st_size;
	if (bytes == 0)
		return -ENODATA;
	rc = state_room(f, bytes);
	if (rc < 0)
		return rc;
	while (at < bytes) {
		ssize_t n = pread(f->state_fd, (char *)f->state + at,
				  bytes - at, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (size_t)n;
	}
	return (int64_t)bytes;
}

int qemu_state_write(struct qemu_files *f, const void *data, size_t bytes)
{
	size_t at = 0;

	if (bytes == 0 || bytes > QEMU_STATE_MAX)
		return -EMSGSIZE;
	if (ftruncate(f->state_fd, 0) < 0 ||
	    lseek(f->state_fd, 0, SEEK_SET) < 0)
		return -errno;
	while (at < bytes) {
		ssize_t n = pwrite(f->state_fd, (const char *)data + at,
				   bytes - at, (off_t)at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}
