/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_config_check.c - what no single line can show: keys that must fit
 * together, files that must be there, and the key that must be secret.
 */
#include "vm_config_parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static int check_nodes(struct parse *p)
{
	const struct vm_node *a = &p->c->node[0], *b = &p->c->node[1];

	if (p->node_line[0] == 0)
		return config_bad(p, p->line,
				  "key 'node' is missing; it must be "
				  "given for both nodes");
	if (p->node_line[1] == 0)
		return config_bad(p, p->line,
				  "a second 'node' is missing; it must "
				  "be given for both nodes");
	if (strcmp(a->name, b->name) == 0)
		return config_bad(p, p->node_line[1],
				  "both nodes are called '%s'", a->name);
	if (strcmp(a->address, b->address) == 0)
		return config_bad(p, p->node_line[1],
				  "both nodes have the address %s", a->address);
	return 0;
}

static int check_together(struct parse *p)
{
	const struct vm_config *c = p->c;
	bool fake = strcmp(c->driver, "fake") == 0;

	if (c->memory_bytes % (2 * MIB) != 0)
		return config_bad(p, config_line_of(p, "memory"),
				  "memory must be a multiple of 2M");
	if (c->initrd != NULL && c->kernel == NULL)
		return config_bad(p, config_line_of(p, "initrd"),
				  "initrd without kernel");
	if (c->append != NULL && c->kernel == NULL)
		return config_bad(p, config_line_of(p, "append"),
				  "append without kernel");
	if (!fake && strcmp(c->gate, "fake") == 0)
		return config_bad(p, config_line_of(p, "gate"),
				  "gate fake is only for driver fake");
	if (!fake && c->tap == NULL)
		return config_bad(p, p->line, "key 'tap' is missing");
	if (c->bridge != NULL && c->tap == NULL)
		return config_bad(p, config_line_of(p, "bridge"),
				  "bridge without tap");
	if (c->bridge != NULL && strcmp(c->bridge, c->tap) == 0)
		return config_bad(p, config_line_of(p, "bridge"),
				  "tap and bridge are both called '%s'",
				  c->tap);
	if (c->link_timeout_ms < 2 * c->heartbeat_ms)
		return config_bad(
			p, config_line_of(p, "link_timeout"),
			"link_timeout (%u ms) is less than twice heartbeat "
			"(%u ms)",
			c->link_timeout_ms, c->heartbeat_ms);
	return check_nodes(p);
}

static int check_readable(struct parse *p, const char *key, const char *path)
{
	struct stat st;

	if (path == NULL)
		return 0;
	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		return config_bad(p, config_line_of(p, key), "%s '%s': %s", key,
				  path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return config_bad(p, config_line_of(p, key),
				  "%s '%s' is not a plain file", key, path);
	return 0;
}

static int check_files(struct parse *p)
{
	const struct vm_config *c = p->c;
	struct stat st;
	int rc;

	rc = check_readable(p, "kernel", c->kernel);
	if (rc == 0)
		rc = check_readable(p, "initrd", c->initrd);
	if (rc == 0)
		rc = check_readable(p, "key_file", c->key_file);
	if (rc < 0)
		return rc;
	if (stat(c->ram_dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return config_bad(p, config_line_of(p, "ram_dir"),
				  "ram_dir '%s' is not a directory",
				  c->ram_dir);
	return 0;
}

/* fstat of what is open, so that the file that was judged is the one read. */
static int check_key_stat(struct parse *p, int fd)
{
	unsigned int at = config_line_of(p, "key_file");
	const char *path = p->c->key_file;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return config_bad(p, at, "key_file '%s': %s", path,
				  strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return config_bad(p, at,
				  "key_file '%s' belongs to user %u; it must "
				  "belong to root",
				  path, (unsigned int)st.st_uid);
	if ((st.st_mode & 077) != 0)
		return config_bad(
			p, at,
			"key_file '%s' has mode %04o, open to group "
			"or others; chmod it to 0600, and take a new key if "
			"anybody may have read it",
			path, (unsigned int)st.st_mode & 07777);
	return 0;
}

static int read_key(struct parse *p)
{
	unsigned int at = config_line_of(p, "key_file");
	struct vm_config *c = p->c;
	uint8_t buf[VM_KEY_BYTES_MAX + 1];
	ssize_t n;
	int fd, rc;

	fd = open(c->key_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return config_bad(p, at, "key_file '%s': %s", c->key_file,
				  strerror(errno));
	rc = check_key_stat(p, fd);
	n = rc < 0 ? 0 : read(fd, buf, sizeof(buf));
	if (rc == 0 && n < 0)
		rc = config_bad(p, at, "key_file '%s': %s", c->key_file,
				strerror(errno));
	else if (rc == 0 && (n < VM_KEY_BYTES_MIN || n > VM_KEY_BYTES_MAX))
		rc = config_bad(p, at,
				"key_file '%s' holds %s bytes; it must hold %d "
				"to %d random bytes",
				c->key_file,
				n < VM_KEY_BYTES_MIN ? "too few" : "too many",
				VM_KEY_BYTES_MIN, VM_KEY_BYTES_MAX);
	close(fd);
	if (rc == 0) {
		memcpy(c->key, buf, (size_t)n);
		c->key_bytes = (size_t)n;
	}
	explicit_bzero(buf, sizeof(buf));
	return rc;
}

int config_check(struct parse *p)
{
	int rc = check_together(p);

	if (rc == 0)
		rc = check_files(p);
	if (rc == 0)
		rc = read_key(p);
	return rc;
}
