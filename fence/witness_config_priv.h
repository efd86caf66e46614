/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_config_priv.h - between witness_config.c, which reads lines and sees
 * whether the whole fits together, and witness_config_keys.c, which knows the
 * keys.
 */
#ifndef REMUS_WITNESS_CONFIG_PRIV_H
#define REMUS_WITNESS_CONFIG_PRIV_H

#include "witness_config.h"

#define WITNESS_KEYS_MAX 20

struct witness_parse {
	struct witness_config *c;
	const char *path;
	unsigned int line;
	unsigned int at[WITNESS_KEYS_MAX]; /* line of each key; 0: not given */
	char *err;
	size_t err_bytes;
};

/* "FILE:LINE: ..."; returns -EINVAL. */
int witness_config_bad(struct witness_parse *p, unsigned int line,
		       const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int witness_config_give(struct witness_parse *p, const char *name, char *value);
int witness_config_fallbacks(struct witness_parse *p);
/* The line that gave `name`, or the last one. */
unsigned int witness_config_line(const struct witness_parse *p,
				 const char *name);

#endif
