/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util.h - the few things that every module needs: error lines and clocks. */
#ifndef REMUS_UTIL_H
#define REMUS_UTIL_H

#include <stddef.h>
#include <stdint.h>

/* Write one line into err (always terminated, cut if too long) and return rc,
 * so that a failure is one statement:
 *	return set_err(err, err_bytes, -EINVAL, "%s:%d: ...", file, line);
 */
int set_err(char *err, size_t err_bytes, int rc, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

uint64_t now_mono_ns(void); /* CLOCK_MONOTONIC: intervals */
uint64_t now_thread_ns(void); /* this thread's time of a processor */
uint64_t now_boot_ns(void); /* CLOCK_BOOTTIME: leases; runs through suspend */

#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t now_boot_ms(void)
{
	return now_boot_ns() / NS_PER_MS;
}

/* Write `bytes` to `path` so that after a crash the file holds either the old
 * or the new content, whole: temporary file, fsync, rename, fsync of the
 * directory.  Mode 0600.  0 or -errno. */
int write_file_durably(const char *path, const void *data, size_t bytes);

/* All of it, however many writes that takes.  0 or -errno. */
int write_fully(int fd, const void *data, size_t bytes);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
