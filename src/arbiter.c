/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arbiter.c - the arbiters of this build, by name. */
#include "arbiter.h"

#include <string.h>

#include "util.h"

const struct arbiter_ops *arbiter_find(const char *name)
{
	static const struct arbiter_ops *const all[] = {
		&arbiter_operator_ops,
		&arbiter_witness_ops,
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
