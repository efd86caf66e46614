/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_cmdline.h - a VM's definition as QEMU's command line.  Pure: no files,
 * no processes.
 */
#ifndef REMUS_QEMU_CMDLINE_H
#define REMUS_QEMU_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm_config.h"

#define QEMU_BINARY "qemu-system-x86_64" /* unless the definition names one */

/* The descriptors that QEMU inherits, at these numbers in the new process. */
enum qemu_fd {
	QEMU_FD_QMP = 3,   /* stream socket: control */
	QEMU_FD_RAM = 4,   /* the guest's RAM file */
	QEMU_FD_STATE = 5, /* the file where it saves its device state */
	QEMU_FD_NET = 6,   /* datagram socket to the gate */
	QEMU_FD_LOAD = 7,  /* the same file, to load from: QEMU closes it after
			      that, and must still be able to save */
	QEMU_FD_END = 8,
};

struct qemu_start {
	const struct vm_config *cfg;
	bool kvm;      /* what accel=auto came to */
	bool have_net; /* QEMU_FD_NET is there */
	bool populate; /* touch all of RAM first (tracker_wants_populated) */
	bool incoming; /* standby: wait for a device state */
};

/* A NULL-terminated argv in one block, to be given to free().  NULL: out of
 * memory.  Not incoming: QEMU starts stopped (-S) and waits for `cont`. */
char **qemu_cmdline_build(const struct qemu_start *s);

/* May these further words stand on QEMU's command line?  Refused is what would
 * break the promise that the standby can go on: disks (they are not
 * replicated), network cards and other outputs beside the gate, memory beside
 * the tracked RAM, devices of this host, and what remusd sets itself.  An
 * option that is not known to be harmless is refused.  `args` may be NULL.
 * 0, or -EINVAL with a line in `err` naming the word. */
int qemu_args_check(char *const *args, char *err, size_t err_bytes);

/* 16 bytes over everything that a standby must have in common: `version` is
 * the first line of `qemu --version`, `cpu` names the host's processor (used
 * with kvm only, where the guest sees it). */
void qemu_fingerprint(const struct qemu_start *s, const char *version,
		      const char *cpu, uint8_t out[16]);

#endif
