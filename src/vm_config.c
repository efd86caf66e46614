/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm_config.c - see vm_config.h, remus.conf(5) and vm_config_parse.h. */
#include "vm_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "config_file.h"
#include "config_value.h"
#include "util.h"
#include "vm_config_parse.h"

int config_bad(struct parse *p, unsigned int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return set_err(p->err, p->err_bytes, -EINVAL, "%s:%u: %s", p->path,
		       line, text);
}

static int give(void *ctx, char *key, char *value)
{
	return config_give(ctx, key, value);
}

static int fill_computed(struct parse *p)
{
	struct vm_config *c = p->c;

	if (c->mac[0] == '\0')
		mac_from_name(c->name, c->mac);
	if (c->gate == NULL)
		c->gate = strdup(strcmp(c->driver, "fake") == 0	 ? "fake"
				 : strcmp(c->driver, "xen") == 0 ? "plug"
								 : "relay");
	/* Witnesses let the primary go on alone as soon as it knows that its
	 * backup does not answer; it had better know soon. */
	if (strcmp(c->arbiter, "witness") == 0 &&
	    !config_given(p, "link_timeout") && !config_given(p, "heartbeat")) {
		c->heartbeat_ms = 30;
		c->link_timeout_ms = 150;
	}
	return c->gate == NULL ? -ENOMEM : 0;
}

static int load(struct parse *p)
{
	int rc = config_file_read(p->path, &p->line, give, p, p->err,
				  p->err_bytes);

	if (rc == 0)
		rc = config_fallbacks(p);
	if (rc == 0)
		rc = fill_computed(p);
	if (rc == 0)
		rc = config_check(p);
	if (rc == -ENOMEM)
		set_err(p->err, p->err_bytes, rc, "%s: out of memory", p->path);
	return rc;
}

int vm_config_load(struct vm_config **out, const char *path, char *err,
		   size_t err_bytes)
{
	struct parse p = { .path = path, .err = err, .err_bytes = err_bytes };
	int rc;

	*out = NULL;
	p.c = calloc(1, sizeof(*p.c));
	if (p.c != NULL)
		p.c->path = strdup(path);
	if (p.c == NULL || p.c->path == NULL)
		rc = set_err(err, err_bytes, -ENOMEM, "%s: out of memory",
			     path);
	else
		rc = load(&p);
	if (rc < 0)
		vm_config_free(p.c);
	else
		*out = p.c;
	return rc;
}

void vm_config_free(struct vm_config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; c->qemu_args != NULL && c->qemu_args[i] != NULL; i++)
		free(c->qemu_args[i]);
	free(c->qemu_args);
	for (size_t i = 0; c->on_change != NULL && c->on_change[i] != NULL; i++)
		free(c->on_change[i]);
	free(c->on_change);
	free(c->path);
	free(c->driver);
	free(c->kernel);
	free(c->initrd);
	free(c->append);
	free(c->qemu_binary);
	free(c->console);
	free(c->ram_dir);
	free(c->tracker);
	free(c->xl);
	free(c->gate);
	free(c->tap);
	free(c->bridge);
	free(c->key_file);
	free(c->arbiter);
	free(c->witness_key);
	free(c->witness_ca);
	free(c->state_dir);
	free(c->run_dir);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

int vm_config_self(const struct vm_config *c, const char *name, char *err,
		   size_t err_bytes)
{
	struct utsname u;

	if (name == NULL) {
		uname(&u);
		name = u.nodename;
	}
	for (int i = 0; i < 2; i++) {
		if (strcmp(c->node[i].name, name) == 0)
			return i;
	}
	return set_err(err, err_bytes, -ENOENT,
		       "%s: this node is called '%s', but the nodes of %s are "
		       "'%s' and '%s'",
		       c->path, name, c->name, c->node[0].name,
		       c->node[1].name);
}
