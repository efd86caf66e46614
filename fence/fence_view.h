/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_view.h - what follows from one look at all witnesses, pure: the actions
 * status, monitor, list and list-status.
 */
#ifndef REMUS_FENCE_VIEW_H
#define REMUS_FENCE_VIEW_H

#include "fence_sight.h"

#define VIEW_NODES_MAX (SIGHT_VMS_MAX * SIGHT_NODES)

/* sight[w] NULL: witness w did not answer, because why[w]. */
struct fence_view {
	const struct witness_address *witness;
	unsigned int witnesses;
	const struct sight *sight[WITNESSES_MAX];
	const char *why[WITNESSES_MAX];
	/* the machines that count; 0: all */
	const char (*vm)[VM_NAME_MAX + 1];
	unsigned int vms;
};

/* UNKNOWN: no majority answers, or knows the node.  OFF takes proof: for each
 * machine a majority sees nothing of it.  ON: anything else. */
enum view_power { VIEW_UNKNOWN, VIEW_ON, VIEW_OFF };

bool fence_view_majority(const struct fence_view *v);
/* With a report, lines that end with '\n'. */
enum view_power fence_view_power(const struct fence_view *v, const char *node,
				 char *text, size_t text_bytes);
/* The nodes that a majority names, in order; returns how many. */
unsigned int fence_view_nodes(const struct fence_view *v,
			      const char *node[VIEW_NODES_MAX]);
/* A line for each witness: that it answered, or why not. */
void fence_view_answers(const struct fence_view *v, char *text,
			size_t text_bytes);

#endif
