/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_file.c - see config_file.h. */
#include "config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_value.h"
#include "util.h"

struct reading {
	const char *path;
	FILE *file;
	unsigned int *line;
	config_file_fn *give;
	void *ctx;
	char *err;
	size_t err_bytes;
};

static int bad(const struct reading *r, int rc, const char *why)
{
	return set_err(r->err, r->err_bytes, rc, "%s:%u: %s", r->path, *r->line,
		       why);
}

static int check_owner(const struct reading *r)
{
	char why[128];
	struct stat st;

	if (fstat(fileno(r->file), &st) < 0 || !S_ISREG(st.st_mode))
		return bad(r, -EINVAL, "not a plain file");
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(why, sizeof(why), "the file belongs to user %u; it "
					   "must belong to root",
			 (unsigned int)st.st_uid);
		return bad(r, -EINVAL, why);
	}
	if ((st.st_mode & S_IWOTH) != 0)
		return bad(r, -EINVAL, "the file is writable for everybody");
	return 0;
}

static int take_line(const struct reading *r, char *text, size_t len)
{
	char *key, *value, why[128];
	int rc = config_line(text, len, &key, &value, why, sizeof(why));

	if (rc < 0)
		return bad(r, rc, why);
	return rc == 0 ? 0 : r->give(r->ctx, key, value);
}

static int take_lines(const struct reading *r)
{
	size_t cap = 0, total = 0;
	char *text = NULL, why[64];
	ssize_t n;
	int rc = 0;

	*r->line = 0;
	while (rc == 0 && (n = getline(&text, &cap, r->file)) >= 0) {
		++*r->line;
		total += (size_t)n;
		if (total <= CONFIG_FILE_BYTES_MAX) {
			rc = take_line(r, text, (size_t)n);
			continue;
		}
		snprintf(why, sizeof(why), "file is longer than %d bytes",
			 CONFIG_FILE_BYTES_MAX);
		rc = bad(r, -EINVAL, why);
	}
	if (rc == 0 && ferror(r->file))
		rc = bad(r, -EIO, "cannot read");
	if (*r->line == 0)
		*r->line = 1;
	free(text);
	return rc;
}

int config_file_read(const char *path, unsigned int *line, config_file_fn *give,
		     void *ctx, char *err, size_t err_bytes)
{
	struct reading r = {
		.path = path, .file = fopen(path, "re"), .line = line,
		.give = give, .ctx = ctx, .err = err, .err_bytes = err_bytes,
	};
	int rc;

	*line = 1;
	if (r.file == NULL) {
		rc = -errno;
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	}
	rc = check_owner(&r);
	if (rc == 0)
		rc = take_lines(&r);
	fclose(r.file);
	return rc;
}
