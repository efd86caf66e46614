/* SPDX-License-Identifier: GPL-2.0-or-later */
/* env.h - what the primary's and the backup's side of one VM share. */
#ifndef REMUS_ENV_H
#define REMUS_ENV_H

#include <qb/qbloop.h>

#include "arbiter.h"
#include "driver.h"
#include "gate.h"
#include "vm_config.h"
#include "wire.h"

struct primary;

/* Everything outlives the sides; nothing is NULL but `asker`. */
struct env {
	qb_loop_t *loop;
	struct vm_config *cfg;
	int self; /* index of this node in cfg->node */
	const struct driver_ops *dops;
	struct driver *driver;
	const struct gate_ops *gops;
	struct gate *gate;
	const struct arbiter_ops *aops;
	struct arbiter *arbiter;
	/* Whom the arbiter's answer to a primary is for: it may come when that
	 * primary is no more. */
	struct primary *asker;
};

static inline const struct vm_node *env_self(const struct env *env)
{
	return &env->cfg->node[env->self];
}

static inline const struct vm_node *env_peer(const struct env *env)
{
	return &env->cfg->node[!env->self];
}

/* The members of a HELLO that both roles fill in alike. */
void env_hello(const struct env *env, enum wire_role role,
	       struct wire_hello *out);

#endif
