/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "witness_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "key_file.h"
#include "util.h"
#include "witness_config_priv.h"

int witness_config_bad(struct witness_parse *p, unsigned int line,
		       const char *fmt, ...)
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
	return witness_config_give(ctx, key, value);
}

static int check_together(struct witness_parse *p)
{
	const struct witness_config *c = p->c;

	if (c->nodes == 0)
		return witness_config_bad(p, p->line, "key 'node' is missing");
	if ((c->tls_certificate == NULL) != (c->tls_key == NULL))
		return witness_config_bad(p, p->line,
					  "tls_certificate and tls_key must be "
					  "given together");
	return 0;
}

static int load(struct witness_parse *p, const char *key_file)
{
	struct witness_config *c = p->c;
	char why[512] = "";
	int rc = config_file_read(p->path, &p->line, give, p, p->err,
				  p->err_bytes);

	if (rc == 0)
		rc = witness_config_fallbacks(p);
	if (rc == 0)
		rc = check_together(p);
	if (rc == 0 && key_file != NULL) {
		free(c->key_file);
		c->key_file = strdup(key_file);
		if (c->key_file == NULL)
			rc = -ENOMEM;
	}
	if (rc == 0 && c->key_file == NULL)
		rc = witness_config_bad(p, p->line, "key 'key_file' is missing");
	if (rc == 0 && key_file_read(c->key_file, c->key.bytes, &c->key.count,
				     why, sizeof(why)) < 0)
		rc = witness_config_bad(p, witness_config_line(p, "key_file"),
					"%s", why);
	if (rc == -ENOMEM)
		set_err(p->err, p->err_bytes, rc, "%s: out of memory", p->path);
	return rc;
}

int witness_config_load(struct witness_config **out, const char *path,
			const char *key_file, char *err, size_t err_bytes)
{
	struct witness_parse p = { .path = path, .err = err,
				   .err_bytes = err_bytes };
	int rc;

	*out = NULL;
	p.c = calloc(1, sizeof(*p.c));
	if (p.c != NULL)
		p.c->path = strdup(path);
	if (p.c == NULL || p.c->path == NULL)
		rc = set_err(err, err_bytes, -ENOMEM, "%s: out of memory",
			     path);
	else
		rc = load(&p, key_file);
	if (rc < 0)
		witness_config_free(p.c);
	else
		*out = p.c;
	return rc;
}

static void probe_free(struct probe_config *p)
{
	for (size_t i = 0; p->argv != NULL && p->argv[i] != NULL; i++)
		free(p->argv[i]);
	free(p->argv);
	free(p->text);
}

void witness_config_free(struct witness_config *c)
{
	if (c == NULL)
		return;
	for (unsigned int i = 0; i < c->vms; i++) {
		for (unsigned int j = 0; j < c->vm[i].probes; j++)
			probe_free(&c->vm[i].probe[j]);
	}
	free(c->path);
	free(c->state_dir);
	free(c->key_file);
	free(c->tls_certificate);
	free(c->tls_key);
	explicit_bzero(c, sizeof(*c));
	free(c);
}
