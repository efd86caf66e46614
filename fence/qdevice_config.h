/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qdevice_config.h - what corosync.conf says about the quorum device
 * clientprobe (remus-qdevice(8)).  Pure: qdevice_cluster.c takes the keys out of
 * corosync and gives them to qdevice_config_set() one by one.
 */
#ifndef REMUS_QDEVICE_CONFIG_H
#define REMUS_QDEVICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qdevice_core.h"
#include "vm_config.h"

#define QDEVICE_MODEL "clientprobe"
#define QDEVICE_PATH_MAX 256
#define QDEVICE_SYNC_WAIT_MS 5000 /* ring_wait, at most by default */

struct qdevice_config {
	/* set by qdevice_config_set() */
	struct witness_address witness[WITNESSES_MAX];
	unsigned int witnesses;
	char key_file[QDEVICE_PATH_MAX];
	char ca_file[QDEVICE_PATH_MAX]; /* "": the system's */
	char node[VM_NAME_MAX + 1];	/* "": as corosync names it */
	char cluster[VM_NAME_MAX + 1];	/* "": as corosync names it */
	uint32_t request_timeout_ms;
	struct qdevice_timing timing; /* 0: follows from corosync's */

	/* what corosync says */
	uint32_t nodeid;
	uint32_t sync_timeout_ms; /* quorum.device.sync_timeout */
};

/* All defaults, and corosync's own. */
void qdevice_config_init(struct qdevice_config *c);

/* `key` without "quorum.device.clientprobe.".  0; -EINVAL with a line that
 * names the key; -ENOENT: there is no such key, and c is as it was. */
int qdevice_config_set(struct qdevice_config *c, const char *key,
		       const char *value, char *err, size_t err_bytes);

/* After the last: what was not given follows from the rest, and does all of it
 * make sense?  0, or -EINVAL with a line. */
int qdevice_config_finish(struct qdevice_config *c, char *err,
			  size_t err_bytes);

#endif
