/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * on_change.h - starts the definition's command `on_change` when what an
 * observer sees of the VM has changed, whatever led to it.
 *
 * What is seen is one line of text that look() writes, compared ON_CHANGE_MS
 * apart: a change that lasts shorter may go unnoticed.  The command is started
 * without a shell, in a session of its own, with /dev/null for its standard
 * descriptors and none of ours, and nobody waits for it.  At most one runs; for
 * changes while it runs, it runs once more afterwards.  One that has not ended
 * after ON_CHANGE_MAX_MS is killed with its process group.
 */
#ifndef REMUS_ON_CHANGE_H
#define REMUS_ON_CHANGE_H

#include <qb/qbloop.h>
#include <stddef.h>

#define ON_CHANGE_MS 100
#define ON_CHANGE_MAX_MS 60000
#define ON_CHANGE_LINE_MAX 256

struct on_change;

/* Cheap, and never blocks; called several times a second. */
typedef void (*on_change_look)(void *ctx, char *line, size_t bytes);

/* argv[0] is an absolute path; the array outlives us.  What is seen now counts
 * as known.  0 or -errno. */
int on_change_new(struct on_change **out, qb_loop_t *loop, char *const *argv,
		  on_change_look look, void *ctx);
/* A command that runs is left to itself. */
void on_change_free(struct on_change *o);

#endif
