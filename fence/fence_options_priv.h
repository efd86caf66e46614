/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_options_priv.h - the table of options, for parser and metadata. */
#ifndef REMUS_FENCE_OPTIONS_PRIV_H
#define REMUS_FENCE_OPTIONS_PRIV_H

#include "fence_options.h"

struct option_key {
	const char *name;
	char letter;
	const char *value; /* "[node]"; NULL: it takes none */
	int (*set)(struct fence_options *o, const struct option_key *k,
		   char *value, char *err, size_t err_bytes);
	size_t offset;	   /* of the member in struct fence_options */
	uint32_t min, max; /* of times */
	const char *type;  /* in the metadata */
	const char *fallback, *obsoletes, *help;
	bool required, deprecated, hidden;
};

extern const struct option_key option_keys[];
extern const size_t option_keys_count;

#endif
