/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arbiter.c - the arbiters of this build, by name, and what all of them do. */
#include "arbiter.h"

#include <errno.h>
#include <stdio.h>
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

int arbiter_load(struct ticket *t, char path[PATH_MAX],
		 const struct vm_config *cfg, char *err, size_t err_bytes)
{
	if (snprintf(path, PATH_MAX, "%s/%s.ticket", cfg->state_dir,
		     cfg->name) >= PATH_MAX)
		return set_err(err, err_bytes, -ENAMETOOLONG,
			       "state_dir is too long");
	return ticket_load(t, path, err, err_bytes);
}

bool arbiter_grants_permit(enum arbiter_move m)
{
	return m == ARBITER_COLD_BOOT || m == ARBITER_ALONE ||
	       m == ARBITER_ACTIVATE;
}
