/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_process.h - QEMU as a child process.
 *
 * It never outlives remusd (a guest without a keeper would be one more copy
 * that nobody can stop): the kernel kills it when remusd dies, however that
 * happens.  It inherits the descriptors it is given and nothing else.
 */
#ifndef REMUS_QEMU_PROCESS_H
#define REMUS_QEMU_PROCESS_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "qemu_cmdline.h"

struct qemu_process;

struct qemu_spawn {
	qb_loop_t *loop;
	char **argv;
	int fd[QEMU_FD_END];	 /* [QEMU_FD_...]; -1: none.  Not taken over */
	uint64_t ram_bytes;	 /* reserved in fd[QEMU_FD_RAM] by the child */
	const char *ram_dir;	 /* for the error line */
	const char *track_lib;	 /* to preload; NULL: none */
	const char *log_path;	 /* its stdout and stderr; emptied first */
	/* The process has ended and has been reaped; `why` says how in one
	 * line, with the last line of its log.  Call qemu_process_free() some
	 * time; it is allowed here. */
	void (*ended)(void *ctx, const char *why);
	void *ctx;
};

/* 0, or -errno with a line in `err`.  What fails after the fork, an unknown
 * binary or a full ram_dir for example, comes as ended(). */
int qemu_process_start(struct qemu_process **out, const struct qemu_spawn *s,
		       char *err, size_t err_bytes);
pid_t qemu_process_pid(const struct qemu_process *p);
/* SIGKILL; ended() comes from the loop. */
void qemu_process_kill(struct qemu_process *p);
/* Kills it and waits for its end, if it still runs.  No ended() comes. */
void qemu_process_free(struct qemu_process *p);

/* First line of `BINARY --version`, at most 5 s.  0 or -errno with a line. */
int qemu_version(const char *binary, char *out, size_t out_bytes, char *err,
		 size_t err_bytes);

/* Is KVM usable?  Where the processor does not show the extensions, the device
 * may exist and yet not run a guest. */
bool qemu_kvm_usable(void);
/* Model, stepping and flags of this host's processor, as one line (cut). */
void qemu_host_cpu(char *out, size_t out_bytes);

#endif
