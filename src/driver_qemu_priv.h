/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_qemu_priv.h - what the parts of driver_qemu.c share; nobody else
 * includes it.
 *
 *   driver_qemu.c        checkpoints, taking over, the end
 *   driver_qemu_start.c  boot and standby: QEMU started, and ready
 */
#ifndef REMUS_DRIVER_QEMU_PRIV_H
#define REMUS_DRIVER_QEMU_PRIV_H

#include "driver.h"
#include "loop.h"
#include "qemu_files.h"
#include "qemu_process.h"
#include "qmp.h"
#include "tracker.h"
#include "vm_config.h"

#define COMMAND_MS 10000

enum qemu_state {
	QEMU_EMPTY = 0,
	QEMU_BOOTING,
	QEMU_RUNNING,
	QEMU_STOPPING,	 /* stop and save are on their way */
	QEMU_SAVING,	 /* stopped; the save is on its way */
	QEMU_NOT_SAVED,	 /* the save failed: going on */
	QEMU_SUSPENDED,
	QEMU_RESUMING,
	QEMU_PREPARING,	 /* standby() */
	QEMU_STANDBY,
	QEMU_ACTIVATING,
};

struct driver {
	const struct vm_config *cfg;
	qb_loop_t *loop;
	const struct driver_events *ev;
	void *ctx;
	bool kvm;
	uint8_t fingerprint[16];

	enum qemu_state state;
	bool dying;	/* SIGKILL is sent; state is where it happened */
	bool by_kill;	/* kill() was called */
	char why[512];	/* of dying, or of QEMU_NOT_SAVED; "" */

	struct qemu_process *process;
	struct qmp *qmp;
	struct qemu_files files;
	const struct tracker_ops *tracker_ops; /* NULL: not attached */
	struct tracker *tracker;
	bool tracking;

	qb_loop_timer_handle timer; /* of QEMU_ACTIVATING */
	bool timer_set;
	struct loop_soon soon; /* gone() of a kill() when EMPTY */
	struct loop_soon hurry;
};

/* ---- driver_qemu.c ---- */

extern const struct qmp_ops qemu_qmp_ops;
void qemu_teardown(struct driver *d);
/* The process has been reaped. */
void qemu_on_ended(void *ctx, const char *how);
/* SIGKILL; the rest follows when the process has ended. */
void qemu_die(struct driver *d, const char *why);
/* True, and the guest dies, when rc < 0. */
bool qemu_failed(struct driver *d, int rc, const char *why);
/* Takes over `args`. */
int qemu_command(struct driver *d, const char *name, json_t *args,
		 qmp_answer_fn fn, uint32_t timeout_ms);
/* For the middle of a transition, where the caller's call is long over. */
void qemu_must_command(struct driver *d, const char *name, json_t *args,
		       qmp_answer_fn fn);
int qemu_attach_tracker(struct driver *d, char *err, size_t err_bytes);

/* ---- driver_qemu_start.c: driver_ops.boot and .standby ---- */

int qemu_boot(struct driver *d, int net_fd, char *err, size_t err_bytes);
int qemu_standby(struct driver *d, int net_fd, char *err, size_t err_bytes);

#endif
