/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_config_parse.h - what the parts of vm_config.c share while a file is
 * being read; nobody else includes it.
 *
 *   read lines        vm_config.c
 *   -> each key: kind and range         vm_config_keys.c  config_give()
 *   -> what must be there, defaults     vm_config_keys.c  config_fallbacks()
 *   -> what must fit together, files that are named, the key
 *                                       vm_config_check.c config_check()
 *
 * Every refusal goes through config_bad(), so that all name file and line.
 */
#ifndef REMUS_VM_CONFIG_PARSE_H
#define REMUS_VM_CONFIG_PARSE_H

#include <stddef.h>

#include "vm_config.h"

#define KEYS_MAX 48

struct parse {
	struct vm_config *c;
	const char *path;
	unsigned int line;	      /* the one being read; then the last */
	unsigned int at[KEYS_MAX];    /* line of each key, 0: not given */
	unsigned int count[KEYS_MAX];
	unsigned int node_line[2];
	unsigned int witness_line[WITNESSES_MAX];
	size_t n_args;
	char *err;
	size_t err_bytes;
};

/* Writes "FILE:LINE: ..." into p->err and returns -EINVAL. */
int config_bad(struct parse *p, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* All of these: 0 or -errno, with the line written but for -ENOMEM. */
int config_give(struct parse *p, char *name, char *value);
int config_fallbacks(struct parse *p);
int config_check(struct parse *p);

bool config_given(const struct parse *p, const char *name);
/* The line that gave `name` (a key that exists), or the file's last one when
 * it was not given. */
unsigned int config_line_of(const struct parse *p, const char *name);

#endif
