/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * track_preload.c - libremus-track.so, preloaded into the emulator.
 *
 * When the process maps the guest's RAM file (REMUS_TRACK_FILE=DEV:INODE, both
 * decimal, as fstat() gives them), the mapping is registered with a userfaultfd
 * for asynchronous write protection.  From the first PAGEMAP_SCAN on
 * (tracker_pagemap.c), the kernel itself records writes.  No thread, no
 * handler, no message to anybody.
 *
 * Nothing is protected here: that would give every page of RAM a page table
 * entry, which each scan then has to look at.  The memory is locked instead, as
 * far as it is ever touched, so that what has no entry was never written.
 *
 * It must never break the emulator: whatever fails, mmap() answers as it would
 * have without us, and one line on stderr says what failed.  The descriptor is
 * kept open for the life of the process: closing it ends the registration.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.4 to 6.7; Debian 12's headers are older. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define PUBLIC __attribute__((visibility("default")))

PUBLIC void *mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset);
PUBLIC void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
		    off64_t offset);

static bool wanted;
static unsigned long long want_dev, want_ino;
static int uffd = -1;

__attribute__((constructor)) static void read_environment(void)
{
	const char *file = getenv("REMUS_TRACK_FILE");

	wanted = file != NULL &&
		 sscanf(file, "%llu:%llu", &want_dev, &want_ino) == 2;
	/* Not for what the emulator may start. */
	unsetenv("REMUS_TRACK_FILE");
	unsetenv("LD_PRELOAD");
}

static void give_up(const char *what)
{
	fprintf(stderr, "libremus-track: %s: %s; pages will be tracked in "
		"another way\n", what, strerror(errno));
	wanted = false;
}

/* The system call where it is allowed, else the device node. */
static int new_uffd(void)
{
	int dev, fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return -1;
	fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	close(dev);
	return fd;
}

static bool open_uffd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
			    UFFD_FEATURE_WP_UNPOPULATED,
	};

	if (uffd >= 0)
		return true;
	uffd = new_uffd();
	if (uffd < 0) {
		give_up("cannot create a userfaultfd");
		return false;
	}
	if (ioctl(uffd, UFFDIO_API, &api) < 0) {
		give_up("this kernel's userfaultfd lacks asynchronous "
			"write protection");
		close(uffd);
		uffd = -1;
		return false;
	}
	return true;
}

static void track(void *addr, size_t len)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)addr, len },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (!open_uffd())
		return;
	/* Not allowed?  Then scans cost more, and that is all. */
	mlock2(addr, len, MLOCK_ONFAULT);
	if (ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
		give_up("cannot register the guest's RAM");
}

static bool is_ram(int prot, int flags, int fd)
{
	struct stat st;

	return wanted && fd >= 0 && (prot & PROT_WRITE) != 0 &&
	       (flags & MAP_ANONYMOUS) == 0 &&
	       ((flags & MAP_TYPE) == MAP_SHARED ||
		(flags & MAP_TYPE) == MAP_SHARED_VALIDATE) &&
	       fstat(fd, &st) == 0 && st.st_dev == want_dev &&
	       st.st_ino == want_ino;
}

/* The system call itself, not dlsym(): that one may call mmap() again. */
void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
	     off64_t offset)
{
	void *p = (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
	int saved = errno;

	if (p != MAP_FAILED && is_ram(prot, flags, fd))
		track(p, (len + 4095) & ~(size_t)4095);
	errno = saved;
	return p;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap64(addr, len, prot, flags, fd, offset);
}
