/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qdevice_cluster.h - corosync, as remus-qdevice needs it: votequorum's quorum
 * device, and the configuration by cmap.  Both answer on the qb_loop; the calls
 * to corosync wait for its answer, as its libraries do.
 */
#ifndef REMUS_QDEVICE_CLUSTER_H
#define REMUS_QDEVICE_CLUSTER_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>

#include "qdevice_config.h"
#include "qdevice_core.h"

struct qdevice_cluster;

struct qdevice_cluster_events {
	/* A membership, also right after the start. */
	void (*ring)(void *ctx, const struct qdevice_ring *ring);
	/* corosync read its configuration anew. */
	void (*reloaded)(void *ctx);
	/* corosync is gone, or does not want us: no call works any more.  The
	 * line says why. */
	void (*lost)(void *ctx, const char *why);
};

/* Connect to a corosync that runs, waiting up to wait_ms for one that is just
 * starting.  0; -ECONNREFUSED with a line; other -errno. */
int qdevice_cluster_open(struct qdevice_cluster **out, qb_loop_t *loop,
			 const struct qdevice_cluster_events *events, void *ctx,
			 unsigned int wait_ms, char *err, size_t err_bytes);
/* Our registration, if there is one, ends with it: the vote is gone. */
void qdevice_cluster_close(struct qdevice_cluster *c);

/* What corosync.conf says now.  0; -ENODEV: the quorum device is another one,
 * or none; -EINVAL: it makes no sense; with a line.  Unknown keys are warned of
 * in the log. */
int qdevice_cluster_config(struct qdevice_cluster *c,
			   struct qdevice_config *cfg, char *err,
			   size_t err_bytes);

/* Register, and let rings come. */
int qdevice_cluster_register(struct qdevice_cluster *c, char *err,
			     size_t err_bytes);

/* 0: corosync counts it from now on, for quorum.device.timeout.  -EAGAIN: not
 * for this ring, or not now.  After other -errno `lost` comes. */
int qdevice_cluster_poll(struct qdevice_cluster *c,
			 const struct qdevice_ring *ring, bool cast);

#endif
