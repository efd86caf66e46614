/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qdevice_status.h - remus-qdevice as remus-qdevice-tool shows it.
 */
#ifndef REMUS_QDEVICE_STATUS_H
#define REMUS_QDEVICE_STATUS_H

#include <jansson.h>
#include <stdio.h>

#include "qdevice_config.h"
#include "qdevice_core.h"

/* The service of ipc.h; no VM's name begins with a dot. */
#define QDEVICE_IPC_NAME ".qdevice"

/* What `status` answers; NULL: out of memory.  Documented in remus-qdevice(8). */
json_t *qdevice_status_json(const struct qdevice_core *c,
			    const struct qdevice_config *cfg, uint64_t now_ms);

/* The same for people.  0; -EBADMSG: that is no status. */
int qdevice_status_print(const json_t *status, FILE *to);

/* "2 of 3 witnesses granted; w3: Connection refused": why the vote is what it
 * is, for the log. */
void qdevice_status_line(const struct qdevice_core *c,
			 const struct qdevice_config *cfg, uint64_t now_ms,
			 char *out, size_t bytes);

#endif
