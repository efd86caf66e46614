/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_options.h - what fence_clientprobe is told, on its command line or, if
 * there is none, as key=value lines on its standard input, as the fence agents'
 * API has it; and the metadata, which is made of the same table.
 */
#ifndef REMUS_FENCE_OPTIONS_H
#define REMUS_FENCE_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "fence_sight.h"

#define FENCE_TIMEOUT_MS_MAX 600000

enum fence_action {
	ACTION_OFF,
	ACTION_REBOOT,
	ACTION_ON,
	ACTION_STATUS,
	ACTION_MONITOR,
	ACTION_LIST,
	ACTION_LIST_STATUS,
	ACTION_VALIDATE_ALL,
	ACTION_METADATA,
	ACTION_HELP,
	ACTION_VERSION,
};

struct fence_options {
	enum fence_action action;
	/* "": not given.  plug goes before port, port before nodename. */
	char plug[VM_NAME_MAX + 1];
	char port[VM_NAME_MAX + 1], nodename[VM_NAME_MAX + 1];
	char self[VM_NAME_MAX + 1];
	struct witness_address witness[WITNESSES_MAX];
	unsigned int witnesses;
	char key_file[PATH_MAX], ca_file[PATH_MAX];
	char vm[SIGHT_VMS_MAX][VM_NAME_MAX + 1];
	unsigned int vms;
	uint32_t timeout_ms, grace_ms, request_timeout_ms;
	bool verbose;
};

/* The defaults.  0, or -errno with a line (this node has no fit name). */
int fence_options_init(struct fence_options *o, char *err, size_t err_bytes);
/* Command line: an option that there is not is refused. */
int fence_options_argv(struct fence_options *o, int argc, char **argv,
		       char *err, size_t err_bytes);
/* Standard input: keys that there are not are passed over, as the API asks. */
int fence_options_stdin(struct fence_options *o, FILE *in, char *err,
			size_t err_bytes);
/* Is all there that the action needs, and does it fit?  Fills in plug. */
int fence_options_check(struct fence_options *o, char *err, size_t err_bytes);

void fence_options_metadata(FILE *out);
void fence_options_help(FILE *out);

#endif
