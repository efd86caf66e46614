/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "env.h"

#include <string.h>

void env_hello(const struct env *env, enum wire_role role,
	       struct wire_hello *out)
{
	const struct ticket *t = env->aops->ticket(env->arbiter);

	memset(out, 0, sizeof(*out));
	out->version_min = WIRE_VERSION_MIN;
	out->version_max = WIRE_VERSION_MAX;
	out->capabilities = WIRE_CAPABILITIES;
	out->role = (uint8_t)role;
	out->ticket_state = (uint8_t)t->state;
	out->generation = t->generation;
	strcpy(out->vm, env->cfg->name);
	strcpy(out->node, env_self(env)->name);
	out->page_bytes = REMUS_PAGE_SIZE;
	out->npages = env->cfg->memory_bytes / REMUS_PAGE_SIZE;
	env->dops->fingerprint(env->driver, out->fingerprint);
}
