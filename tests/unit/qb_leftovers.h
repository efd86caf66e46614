/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qb_leftovers.h - remove what libqb leaves in /dev/shm when a server is
 * killed with a client connected. */
#ifndef REMUS_QB_LEFTOVERS_H
#define REMUS_QB_LEFTOVERS_H

#include <glob.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

static inline void qb_leftovers_each(const char *pattern,
				     int (*remove)(const char *path))
{
	glob_t g;

	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++)
		remove(g.gl_pathv[i]);
	globfree(&g);
}

static inline void qb_leftovers_remove(pid_t server)
{
	char pattern[64];

	snprintf(pattern, sizeof(pattern), "/dev/shm/qb-%d-*/*", (int)server);
	qb_leftovers_each(pattern, unlink);
	snprintf(pattern, sizeof(pattern), "/dev/shm/qb-%d-*", (int)server);
	qb_leftovers_each(pattern, rmdir);
}

#endif
