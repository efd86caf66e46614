/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_config_check.c - what no single line can show: keys that must fit
 * together, files that must be there, and the key that must be secret.
 */
#include "vm_config_parse.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "key_file.h"
#include "util.h"

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

static int check_witnesses(struct parse *p)
{
	const struct vm_config *c = p->c;
	bool wanted = strcmp(c->arbiter, "witness") == 0;

	if (!wanted && c->witnesses > 0)
		return config_bad(p, p->witness_line[0],
				  "witness without arbiter = witness");
	if (wanted && c->witnesses == 0)
		return config_bad(p, config_line_of(p, "arbiter"),
				  "arbiter = witness without a 'witness'");
	if (wanted && c->witness_key == NULL)
		return config_bad(p, config_line_of(p, "arbiter"),
				  "arbiter = witness without 'witness_key'");
	for (unsigned int i = 0; i < c->witnesses; i++)
		for (unsigned int j = 0; j < i; j++)
			if (strcmp(c->witness[i].name, c->witness[j].name) ==
				    0 ||
			    strcmp(c->witness[i].url, c->witness[j].url) == 0)
				return config_bad(
					p, p->witness_line[i],
					"witness %s is witness %s of line %u",
					c->witness[i].name, c->witness[j].name,
					p->witness_line[j]);
	return 0;
}

/* What xl.cfg says is not said again. */
static int check_xen(struct parse *p)
{
	static const char *const not[] = {
		"cpus", "kernel", "initrd", "append", "accel", "mac",
		"qemu_binary", "qemu_arg", "console", "ram_dir", "tracker",
		"tap", "bridge",
	};

	for (size_t i = 0; i < ARRAY_LEN(not); i++)
		if (config_given(p, not[i]))
			return config_bad(p, config_line_of(p, not[i]),
					  "%s is not for driver xen: xl.cfg "
					  "describes the guest", not[i]);
	if (strcmp(p->c->gate, "plug") != 0)
		return config_bad(p, config_line_of(p, "gate"),
				  "driver xen needs gate plug");
	return 0;
}

static int check_together(struct parse *p)
{
	const struct vm_config *c = p->c;
	bool fake = strcmp(c->driver, "fake") == 0;
	bool xen = strcmp(c->driver, "xen") == 0;

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
	if (xen && check_xen(p) < 0)
		return -EINVAL;
	if (!xen && c->xl != NULL)
		return config_bad(p, config_line_of(p, "xl"),
				  "xl is only for driver xen");
	if (!fake && !xen && c->tap == NULL)
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
	if (check_witnesses(p) < 0)
		return -EINVAL;
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
		rc = check_readable(p, "xl", c->xl);
	if (rc == 0)
		rc = check_readable(p, "key_file", c->key_file);
	if (rc == 0)
		rc = check_readable(p, "witness_key", c->witness_key);
	if (rc == 0)
		rc = check_readable(p, "witness_ca", c->witness_ca);
	if (rc < 0)
		return rc;
	if (stat(c->ram_dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return config_bad(p, config_line_of(p, "ram_dir"),
				  "ram_dir '%s' is not a directory",
				  c->ram_dir);
	return 0;
}

static int read_key(struct parse *p)
{
	struct vm_config *c = p->c;
	char why[512] = "";

	if (key_file_read(c->key_file, c->key, &c->key_bytes, why,
			  sizeof(why)) < 0)
		return config_bad(p, config_line_of(p, "key_file"), "%s", why);
	return 0;
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
