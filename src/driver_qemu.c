/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_qemu.c - a guest in a stock QEMU, which is our child.
 *
 * One checkpoint, as QEMU sees it:
 *
 *   suspend()  --> stop, xen-save-devices-state      (one write)
 *   suspended  <-- answer to stop      the caller copies pages from here on,
 *                                      while QEMU saves its devices
 *   device_state <- answer to the save
 *   resume()   --> cont                resumed <-- its answer
 *
 * Every path ends: each command has a deadline, and whatever goes wrong with
 * QEMU (an answer too late, a closed control connection, a guest that powers
 * off or is stopped by an emulator error) ends in SIGKILL; the event is given
 * when the process has been reaped, so that "gone" means gone.
 */
#include <errno.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"
#include "loop.h"
#include "qemu_cmdline.h"
#include "qemu_files.h"
#include "qemu_process.h"
#include "qmp.h"
#include "tracker.h"
#include "util.h"
#include "vm_config.h"

#ifndef REMUS_PKGLIBDIR
#define REMUS_PKGLIBDIR "/usr/lib/remus-ha"
#endif

#define COMMAND_MS 10000
/* So long a pause has the loop to itself (hurry()). */
#define HURRY_NS ((uint64_t)10000000)
#define START_MS 30000 /* and per GiB, for which pages must be zeroed: */
#define START_MS_PER_GIB 15000

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

/* ---- the end ---- */

static void clear_timer(struct driver *d)
{
	if (d->timer_set)
		qb_loop_timer_del(d->loop, d->timer);
	d->timer_set = false;
}

static void teardown(struct driver *d)
{
	clear_timer(d);
	loop_soon_cancel(&d->hurry);
	if (d->tracker != NULL)
		d->tracker_ops->detach(d->tracker);
	d->tracker = NULL;
	d->tracker_ops = NULL;
	d->tracking = false;
	qmp_destroy(d->qmp);
	d->qmp = NULL;
	qemu_process_free(d->process);
	d->process = NULL;
	qemu_files_free(&d->files);
	d->state = QEMU_EMPTY;
	d->dying = d->by_kill = false;
}

/* The process has been reaped, whoever ended it. */
static void on_ended(void *ctx, const char *how)
{
	struct driver *d = ctx;
	enum qemu_state was = d->state;
	bool by_kill = d->by_kill;
	char why[sizeof(d->why)];

	snprintf(why, sizeof(why), "%s", by_kill ? "ended on request" :
		 d->dying && d->why[0] != '\0' ? d->why : how);
	teardown(d);
	qb_log(by_kill ? LOG_INFO : LOG_ERR, "%s: %s", d->cfg->name, why);
	if (by_kill)
		d->ev->gone(d->ctx, 1, why);
	else if (was == QEMU_BOOTING || was == QEMU_ACTIVATING)
		d->ev->running(d->ctx, -EIO, why);
	else if (was == QEMU_PREPARING)
		d->ev->standby(d->ctx, -EIO, why);
	else
		d->ev->gone(d->ctx, 0, why);
}

/* Something is wrong beyond repair, or the guest has ended.  An empty `why`
 * leaves it to how the process ends and to its log. */
static void die(struct driver *d, const char *why)
{
	if (d->dying)
		return;
	d->dying = true;
	snprintf(d->why, sizeof(d->why), "%s", why);
	clear_timer(d);
	qmp_destroy(d->qmp);
	d->qmp = NULL;
	qemu_process_kill(d->process);
}

/* A closed connection mostly means that QEMU has just exited, and then its
 * exit tells more than the connection did. */
static void on_closed(void *ctx, int rc, const char *why)
{
	die(ctx, rc == -ENOTCONN || rc == -ECONNRESET ? "" : why);
}

/* ---- commands ---- */

static int command(struct driver *d, const char *name, json_t *args,
		   qmp_answer_fn fn, uint32_t timeout_ms)
{
	struct qmp_command c = {
		.name = name,
		.args = args,
		.fn = fn,
		.timeout_ms = timeout_ms,
	};

	if (d->qmp != NULL)
		return qmp_send(d->qmp, &c, 1);
	json_decref(args);
	return -ENOTCONN;
}

/* For the middle of a transition, where the caller's call is long over. */
static void must_command(struct driver *d, const char *name, json_t *args,
			 qmp_answer_fn fn)
{
	if (command(d, name, args, fn, COMMAND_MS) < 0)
		die(d, "cannot send QEMU a command");
}

/* ---- guest events ---- */

static void on_shutdown(struct driver *d, const json_t *data)
{
	const char *reason = json_string_value(json_object_get(data,
							       "reason"));
	char why[160];

	if (reason != NULL && strcmp(reason, "guest-shutdown") == 0)
		snprintf(why, sizeof(why), "the guest powered off");
	else
		snprintf(why, sizeof(why), "the guest was shut down: %.80s",
			 reason != NULL ? reason : "no reason given");
	die(d, why);
}

static void on_event(void *ctx, const char *name, const json_t *data)
{
	struct driver *d = ctx;

	if (strcmp(name, "SHUTDOWN") == 0) {
		on_shutdown(d, data);
	} else if (strcmp(name, "GUEST_PANICKED") == 0) {
		die(d, "the guest panicked");
	} else if (strcmp(name, "STOP") == 0 && d->state == QEMU_RUNNING) {
		/* nobody asked: an internal error of KVM or of a device */
		die(d, "QEMU stopped the guest after an emulation error");
	} else if (strcmp(name, "RESUME") == 0 &&
		   d->state == QEMU_ACTIVATING) {
		clear_timer(d);
		d->state = QEMU_RUNNING;
		d->ev->running(d->ctx, 0, "");
	}
}

static const struct qmp_ops qmp_ops = {
	.event = on_event,
	.closed = on_closed,
};

/* ---- trackers ---- */

static int attach_tracker(struct driver *d, char *err, size_t err_bytes)
{
	struct tracker_target t = {
		.pid = qemu_process_pid(d->process),
		.ram_path = "",
		.ram = d->files.ram,
		.npages = d->files.ram_bytes >> REMUS_PAGE_SHIFT,
	};

	d->tracker_ops = tracker_attach(&d->tracker, d->cfg->tracker, &t, err,
					err_bytes);
	return d->tracker_ops == NULL ? -EOPNOTSUPP : 0;
}

static int qemu_track_start(struct driver *d, char *err, size_t err_bytes)
{
	int rc;

	if (d->process == NULL || d->dying)
		return set_err(err, err_bytes, -ENOTCONN, "no guest runs");
	if (d->tracker_ops == NULL) {
		rc = attach_tracker(d, err, err_bytes);
		if (rc < 0)
			return rc;
	}
	rc = d->tracker_ops->start(d->tracker);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "tracker %s: %s",
			       d->tracker_ops->name, strerror(-rc));
	d->tracking = true;
	return 0;
}

static int qemu_collect(struct driver *d, struct page_bitmap *dirty)
{
	if (!d->tracking)
		return -EINVAL;
	return d->tracker_ops->collect(d->tracker, dirty);
}

static const char *qemu_tracker_name(struct driver *d)
{
	return d->tracking ? d->tracker_ops->name : "none";
}

/* ---- boot and standby ---- */

static void on_booted(void *ctx, int rc, __attribute__((unused))
		      const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (rc < 0) {
		die(d, why);
		return;
	}
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

	if (rc < 0) {
		die(d, why);
		return;
	}
	/* Now, so that ram() does not change while the guest runs.  A standby
	 * can do its work without. */
	if (attach_tracker(d, err, sizeof(err)) < 0) {
		if (boot) {
			die(d, err);
			return;
		}
		qb_log(LOG_WARNING, "%s: %s", d->cfg->name, err);
	}
	if (boot) {
		must_command(d, "cont", NULL, on_booted);
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
		.ended = on_ended,
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
	rc = qmp_create(&d->qmp, d->loop, pair[0], &qmp_ops, d);
	if (rc == 0)
		rc = command(d, "qmp_capabilities", NULL, on_ready, ms);
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
		teardown(d);
		return rc;
	}
	d->state = state;
	return 0;
}

static int qemu_boot(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	return start(d, net_fd, QEMU_BOOTING, err, err_bytes);
}

static int qemu_standby(struct driver *d, int net_fd, char *err,
			size_t err_bytes)
{
	return start(d, net_fd, QEMU_PREPARING, err, err_bytes);
}

/* ---- checkpoints ---- */

static void on_stopped(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (rc < 0) {
		die(d, why);
		return;
	}
	d->state = QEMU_SAVING;
	d->ev->suspended(d->ctx, 0, "");
}

static void on_goes_on(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (rc < 0) {
		die(d, why);
		return;
	}
	d->state = QEMU_RUNNING;
	d->ev->device_state(d->ctx, -EIO, NULL, 0, d->why);
}

static void on_saved(void *ctx, int rc, __attribute__((unused))
		     const json_t *value, const char *why)
{
	struct driver *d = ctx;
	int64_t bytes = rc < 0 ? rc : qemu_state_read(&d->files);

	if (bytes < 0) {
		snprintf(d->why, sizeof(d->why), "%s", rc < 0 ? why :
			 "cannot read the device state that QEMU saved");
		d->state = QEMU_NOT_SAVED;
		must_command(d, "cont", NULL, on_goes_on);
		return;
	}
	d->state = QEMU_SUSPENDED;
	d->ev->device_state(d->ctx, 0, d->files.state, (size_t)bytes, "");
}

/* The guest stands still until we have an answer of QEMU.  (After `cont` it
 * does not: that answer only tells us.) */
static bool is_urgent(const struct driver *d)
{
	return d->qmp != NULL && !d->dying &&
	       (d->state == QEMU_STOPPING || d->state == QEMU_SAVING);
}

/* While the guest stands still, nothing else is as urgent as QEMU's answers:
 * sending the last epoch and releasing its frames would make the pause longer
 * by what they take.  Bounded, so that a QEMU that hangs does not take the link
 * with it. */
static void hurry(void *data)
{
	struct driver *d = data;
	uint64_t now = now_mono_ns(), end = now + HURRY_NS;

	for (; is_urgent(d) && now < end; now = now_mono_ns())
		qmp_wait(d->qmp, (end - now) / 1000 + 1);
}

static int qemu_suspend(struct driver *d)
{
	struct qmp_command c[2] = {
		{ .name = "stop", .fn = on_stopped, .timeout_ms = COMMAND_MS },
		{ .name = "xen-save-devices-state", .fn = on_saved,
		  .timeout_ms = COMMAND_MS },
	};
	char path[32];
	int rc;

	if (d->state != QEMU_RUNNING || d->dying)
		return -EINVAL;
	/* live: the guest is to go on from here */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", QEMU_FD_STATE);
	c[1].args = json_pack("{s:s, s:b}", "filename", path, "live", 1);
	if (c[1].args == NULL)
		return -ENOMEM;
	rc = qmp_send(d->qmp, c, 2);
	if (rc < 0)
		return rc;
	d->state = QEMU_STOPPING;
	loop_soon(&d->hurry); /* without it, it only takes longer */
	return 0;
}

static void on_resumed(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (rc < 0) {
		die(d, why);
		return;
	}
	d->state = QEMU_RUNNING;
	d->ev->resumed(d->ctx, 0, "");
}

static int qemu_resume(struct driver *d)
{
	int rc;

	if (d->state != QEMU_SUSPENDED || d->dying)
		return -EINVAL;
	rc = command(d, "cont", NULL, on_resumed, COMMAND_MS);
	if (rc == 0)
		d->state = QEMU_RESUMING;
	return rc;
}

/* ---- taking over ---- */

static void on_activation_late(void *data)
{
	struct driver *d = data;

	d->timer_set = false;
	die(d, "QEMU did not load the device state in time");
}

static void on_loading(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	if (rc < 0)
		die(ctx, why);
}

static int qemu_activate(struct driver *d, const void *device_state,
			 size_t bytes, char *err, size_t err_bytes)
{
	char uri[32];
	int rc;

	if (d->state != QEMU_STANDBY || d->dying)
		return set_err(err, err_bytes, -EINVAL, "no standby is ready");
	rc = qemu_state_write(&d->files, device_state, bytes);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "cannot hand the device "
			       "state to QEMU: %s", strerror(-rc));
	rc = qb_loop_timer_add(d->loop, QB_LOOP_MED,
			       COMMAND_MS * (uint64_t)1000000, d,
			       on_activation_late, &d->timer);
	d->timer_set = rc == 0;
	snprintf(uri, sizeof(uri), "fd:%d", QEMU_FD_LOAD);
	if (rc == 0)
		rc = command(d, "migrate-incoming",
			     json_pack("{s:s}", "uri", uri), on_loading,
			     COMMAND_MS);
	if (rc < 0) {
		clear_timer(d);
		return set_err(err, err_bytes, rc, "cannot talk to QEMU");
	}
	d->state = QEMU_ACTIVATING;
	return 0;
}

static void qemu_announce(struct driver *d)
{
	if (d->process == NULL || d->dying)
		return;
	command(d, "announce-self",
		json_pack("{s:i, s:i, s:i, s:i}", "initial", 50, "max", 550,
			  "rounds", 5, "step", 100), NULL, COMMAND_MS);
}

/* ---- the rest ---- */

static uint8_t *qemu_ram(struct driver *d)
{
	switch (d->state) {
	case QEMU_EMPTY:
	case QEMU_BOOTING:
	case QEMU_PREPARING:
		return NULL; /* not reserved yet: touching it may be a SIGBUS */
	case QEMU_STANDBY:
	case QEMU_ACTIVATING:
		return d->files.ram;
	default:
		if (d->tracker_ops == NULL)
			return d->files.ram;
		return (uint8_t *)d->tracker_ops->view(d->tracker);
	}
}

static uint64_t qemu_npages(struct driver *d)
{
	return d->cfg->memory_bytes >> REMUS_PAGE_SHIFT;
}

static int qemu_powerdown(struct driver *d)
{
	if (d->qmp == NULL || d->dying)
		return -EINVAL;
	return command(d, "system_powerdown", NULL, NULL, COMMAND_MS);
}

static void say_gone(void *data)
{
	struct driver *d = data;

	d->ev->gone(d->ctx, 1, "no guest was there");
}

static void qemu_kill(struct driver *d)
{
	if (d->state == QEMU_EMPTY) {
		loop_soon(&d->soon);
		return;
	}
	d->by_kill = true;
	die(d, "");
}

static void qemu_get_fingerprint(struct driver *d, uint8_t out[16])
{
	memcpy(out, d->fingerprint, sizeof(d->fingerprint));
}

static void qemu_destroy(struct driver *d)
{
	if (d == NULL)
		return;
	loop_soon_cancel(&d->soon);
	teardown(d);
	free(d);
}

static int look_around(struct driver *d, char *err, size_t err_bytes)
{
	const struct vm_config *cfg = d->cfg;
	struct qemu_start s = { .cfg = cfg, .have_net = true };
	char version[256], cpu[8192] = "";
	int rc;

	rc = qemu_args_check(cfg->qemu_args, err, err_bytes);
	if (rc < 0)
		return rc;
	rc = qemu_version(cfg->qemu_binary != NULL ? cfg->qemu_binary :
			  QEMU_BINARY, version, sizeof(version), err,
			  err_bytes);
	if (rc < 0)
		return rc;
	d->kvm = cfg->accel == VM_ACCEL_KVM ||
		 (cfg->accel == VM_ACCEL_AUTO && qemu_kvm_usable());
	s.kvm = d->kvm;
	qemu_host_cpu(cpu, sizeof(cpu));
	qemu_fingerprint(&s, version, cpu, d->fingerprint);
	return 0;
}

static int qemu_create(struct driver **out, const struct vm_config *cfg,
		       qb_loop_t *loop, const struct driver_events *ev,
		       void *ctx, char *err, size_t err_bytes)
{
	struct driver *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	d->cfg = cfg;
	d->loop = loop;
	loop_soon_init(&d->soon, loop, say_gone, d);
	loop_soon_init(&d->hurry, loop, hurry, d);
	d->ev = ev;
	d->ctx = ctx;
	d->files.ram_fd = d->files.state_fd = -1;
	rc = look_around(d, err, err_bytes);
	if (rc < 0) {
		qemu_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}

const struct driver_ops driver_qemu_ops = {
	.name = "qemu",
	.create = qemu_create,
	.boot = qemu_boot,
	.standby = qemu_standby,
	.ram = qemu_ram,
	.npages = qemu_npages,
	.track_start = qemu_track_start,
	.collect = qemu_collect,
	.tracker_name = qemu_tracker_name,
	.suspend = qemu_suspend,
	.resume = qemu_resume,
	.activate = qemu_activate,
	.announce = qemu_announce,
	.powerdown = qemu_powerdown,
	.kill = qemu_kill,
	.fingerprint = qemu_get_fingerprint,
	.destroy = qemu_destroy,
};
