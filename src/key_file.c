/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* fstat of what is open, so that the file that was judged is the one read. */
static int check_stat(const char *path, int fd, char *err, size_t err_bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return set_err(err, err_bytes, -EIO, "key_file '%s': %s", path,
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return set_err(err, err_bytes, -EINVAL,
			       "key_file '%s' is not a plain file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return set_err(err, err_bytes, -EINVAL,
			       "key_file '%s' belongs to user %u; it must "
			       "belong to root",
			       path, (unsigned int)st.st_uid);
	if ((st.st_mode & 077) != 0)
		return set_err(err, err_bytes, -EINVAL,
			       "key_file '%s' has mode %04o, open to group "
			       "or others; chmod it to 0600, and take a new "
			       "key if anybody may have read it",
			       path, (unsigned int)st.st_mode & 07777);
	return 0;
}

int key_file_read(const char *path, uint8_t key[VM_KEY_BYTES_MAX],
		  size_t *key_bytes, char *err, size_t err_bytes)
{
	uint8_t buf[VM_KEY_BYTES_MAX + 1];
	ssize_t n;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		rc = -errno;
		return set_err(err, err_bytes, rc, "key_file '%s': %s", path,
			       strerror(-rc));
	}
	rc = check_stat(path, fd, err, err_bytes);
	n = rc < 0 ? 0 : read(fd, buf, sizeof(buf));
	if (rc == 0 && n < 0)
		rc = set_err(err, err_bytes, -EIO, "key_file '%s': %s", path,
			     strerror(errno));
	else if (rc == 0 && (n < VM_KEY_BYTES_MIN || n > VM_KEY_BYTES_MAX))
		rc = set_err(err, err_bytes, -EINVAL,
			     "key_file '%s' holds %s bytes; it must hold %d "
			     "to %d random bytes",
			     path,
			     n < VM_KEY_BYTES_MIN ? "too few" : "too many",
			     VM_KEY_BYTES_MIN, VM_KEY_BYTES_MAX);
	close(fd);
	if (rc == 0) {
		memcpy(key, buf, (size_t)n);
		*key_bytes = (size_t)n;
	}
	explicit_bzero(buf, sizeof(buf));
	return rc;
}
