/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_helper.h - the process that does what blocks, and its words with remusd.
 *
 *   remusd                                helper
 *   xen_helper_run(job)
 *     BOOT     find NAME or create it, pause it, mark it
 *     RESTORE  make NAME--standby of the stream
 *                                  <----- BUILT domid, vif; config
 *   GO                             ----->
 *                                  <----- RUNNING
 *   SAVE                           -----> xc_domain_save() into the pipe
 *                                  <----- SETTLED: all was copied once
 *   SUSPEND                        ----->
 *                                  <----- (CHECKPOINT, in the pipe)
 *   RESUME                         ----->
 *                                  <----- RESUMED
 *   FINISH                         -----> end this stream
 *                                  <----- SAVED rc, why: the stream has ended
 *   POWERDOWN                      ----->
 *                                  <----- GONE why: it has ended, and has been
 *                                         destroyed.  The helper exits.
 *     DESTROY  destroy what is ours (all: NAME too, marked or not), exit
 *                                  <----- FAILED why, from any job; exit
 *
 * Each is one datagram of a SOCK_SEQPACKET pair.  When its remusd is gone, the
 * helper destroys the domain that it has.
 */
#ifndef REMUS_XEN_HELPER_H
#define REMUS_XEN_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen_ops.h"

enum xen_job { XEN_BOOT = 1, XEN_RESTORE, XEN_DESTROY };

enum xen_word {
	/* to the helper */
	XEN_GO = 1,
	XEN_SAVE,
	XEN_SUSPEND,
	XEN_RESUME,
	XEN_FINISH,
	XEN_POWERDOWN,
	/* from it */
	XEN_BUILT,
	XEN_RUNNING,
	XEN_SETTLED,
	XEN_RESUMED,
	XEN_SAVED,
	XEN_GONE,
	XEN_FAILED,
};
const char *xen_word_to_str(unsigned int w);

struct xen_say {
	uint32_t word; /* enum xen_word */
	int32_t rc;
	uint32_t domid;
	char vif[XEN_VIF_MAX];
	char why[240];
	/* BUILT: the configuration follows */
};
#define XEN_SAY_MAX (sizeof(struct xen_say) + (128 << 10))

struct xen_task {
	const struct xen_ops *xen;
	enum xen_job job;
	const char *name;
	const char *cfg; /* BOOT: xl.cfg; NULL: only if it runs already */
	const char *config;	/* RESTORE: the domain's configuration */
	bool checkpoints;	/* RESTORE: the stream has those, and no END */
	uint64_t memory_bytes;
	bool all; /* DESTROY */
	int words;	/* our end of the pair */
	int out;	/* where SAVE writes its stream */
	int in;		/* RESTORE: the stream */
};

#define XEN_STANDBY_SUFFIX "--standby"

/* In the child.  Returns its exit code. */
int xen_helper_run(const struct xen_task *t);

#endif
