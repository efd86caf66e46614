/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_qemu_start.c - QEMU is started, as a guest that boots or as a standby
 * that waits for an epoch to go on from, and followed until it is ready.
 */
#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver_qemu_priv.h"
#include "qemu_cmdline.h"
#include "util.h"

#ifndef REMUS_PKGLIBDIR
#define REMUS_PKGLIBDIR "/usr/lib/remus-ha"
#endif

#define START_MS 30000 /* and per GiB, for which pages must be zeroed: */
#define START_MS_PER_GIB 15000

static void on_booted(void *ctx, int rc, __attribute__((unused))
		      const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (qemu_failed(d, rc, why))
		return;
	d->state = QEMU_RUNNING;
	d->ev->running(d->ctx, 0, "");
}

/* qmp_capabilities is answered: the machine is built and RAM is mapped. */
static void on_ready(void *ctx, int rc, __attribute__((unused))
		     const json_t *value, const char *why)
{
	struct driver *d = ctx;
	char err[300];
	bool boot = d->state == QEMU_BOOTING;

	if (qemu_failed(d, rc, why))
		return;
	/* Now, so that ram() does not change while the guest runs.  A standby
	 * can do its work without. */
	if (qemu_attach_tracker(d, err, sizeof(err)) < 0) {
		if (boot) {
			qemu_die(d, err);
			return;
		}
		qb_log(LOG_WARNING, "%s: %s", d->cfg->name, err);
	}
	if (boot) {
		qemu_must_command(d, "cont", NULL, on_booted);
	} else {
		d->state = QEMU_STANDBY;
		d->ev->standby(d->ctx, 0, "");
	}
}

/* The preload library, where a tracker may need it. */
static const char *track_lib(const struct vm_config *cfg)
{
	const char *lib = getenv("REMUS_TRACK_LIB");

	if (cfg->tracker != NULL && strcmp(cfg->tracker, "auto") != 0 &&
	    strcmp(cfg->tracker, "pagemap") != 0)
		return NULL;
	if (lib == NULL)
		lib = REMUS_PKGLIBDIR "/libremus-track.so";
	if (access(lib, R_OK) == 0)
		return lib;
	qb_log(LOG_NOTICE, "%s: %s: %s; no pagemap tracker", cfg->name, lib,
	       strerror(errno));
	return NULL;
}

static int spawn(struct driver *d, char **argv, int qmp_fd, int net_fd,
		 char *err, size_t err_bytes)
{
	const struct vm_config *cfg = d->cfg;
	char log[512];
	struct qemu_spawn s = {
		.loop = d->loop,
		.argv = argv,
		.fd = { -1, -1, -1, qmp_fd, d->files.ram_fd,
			d->files.state_fd, net_fd, d->files.state_fd },
		.ram_bytes = d->files.ram_bytes,
		.ram_dir = cfg->ram_dir,
		.track_lib = track_lib(cfg),
		.log_path = log,
		.ended = qemu_on_ended,
		.ctx = d,
	};

	snprintf(log, sizeof(log), "%s/%s.qemu.log", cfg->run_dir, cfg->name);
	return qemu_process_start(&d->process, &s, err, err_bytes);
}

static int spawn_and_connect(struct driver *d, char **argv, int net_fd,
			     char *err, size_t err_bytes)
{
	uint32_t ms = START_MS + (uint32_t)(d->files.ram_bytes >> 30) *
		      START_MS_PER_GIB;
	int pair[2], rc;

	if (argv == NULL ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return set_err(err, err_bytes, -ENOMEM,
			       "cannot make a control connection");
	rc = spawn(d, argv, pair[1], net_fd, err, err_bytes);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return rc;
	}
	rc = qmp_create(&d->qmp, d->loop, pair[0], &qemu_qmp_ops, d);
	if (rc == 0)
		rc = qemu_command(d, "qmp_capabilities", NULL, on_ready, ms);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "cannot talk to QEMU: %s",
			       strerror(-rc));
	return 0;
}

static int start(struct driver *d, int net_fd, enum qemu_state state,
		 char *err, size_t err_bytes)
{
	const struct vm_config *cfg = d->cfg;
	struct qemu_start s = {
		.cfg = cfg,
		.kvm = d->kvm,
		.have_net = net_fd >= 0,
		.populate = tracker_wants_populated(cfg->tracker),
		.incoming = state == QEMU_PREPARING,
	};
	char **argv;
	int rc;

	if (d->state != QEMU_EMPTY)
		return set_err(err, err_bytes, -EBUSY, "a guest is there");
	rc = qemu_files_create(&d->files, cfg->ram_dir, cfg->name,
			       cfg->memory_bytes, err, err_bytes);
	if (rc < 0)
		return rc;
	argv = qemu_cmdline_build(&s);
	rc = spawn_and_connect(d, argv, net_fd, err, err_bytes);
	free(argv);
	if (rc < 0) {
		qemu_teardown(d);
		return rc;
	}
	d->state = state;
	return 0;
}

int qemu_boot(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	return start(d, net_fd, QEMU_BOOTING, err, err_bytes);
}

int qemu_standby(struct driver *d, int net_fd, char *err,
			size_t err_bytes)
{
	return start(d, net_fd, QEMU_PREPARING, err, err_bytes);
}
