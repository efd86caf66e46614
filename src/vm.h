/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.h - one VM on this node: which role it has, and what remusctl asks of it.
 *
 *             .------------------- stop ------------------.
 *             |                                           v
 *   start-up --> PREPARING --> BACKUP --start----> BOOTING     (exit)
 *                    ^            |                   |
 *                    |            '-activate-> ACTIVATING
 *                    |                                |
 *                    '-- demote, superseded -- PRIMARY <'
 *
 * FAILED is left by stop, or by start and demote when nothing runs.
 */
#ifndef REMUS_VM_H
#define REMUS_VM_H

#include <qb/qbloop.h>

#include "vm_config.h"

struct vm;

/* Everything up to being a backup that listens and answers remusctl.  `cfg` is
 * taken over whatever happens.  0, or -errno with a line; then nothing is left
 * behind. */
int vm_new(struct vm **out, struct vm_config *cfg, int self, qb_loop_t *loop,
	   char *err, size_t err_bytes);

/* Ends the guest if there is one, and stops the loop when it is gone. */
void vm_stop(struct vm *vm);
void vm_free(struct vm *vm);

#endif
