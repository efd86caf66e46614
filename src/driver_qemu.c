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

#include "driver_qemu_priv.h"
#include "util.h"

/* So long a pause has the loop to itself (hurry()). */
#define HURRY_NS ((uint64_t)10000000)

/* ---- the end ---- */

static void clear_timer(struct driver *d)
{
	if (d->timer_set)
		qb_loop_timer_del(d->loop, d->timer);
	d->timer_set = false;
}

void qemu_teardown(struct driver *d)
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
void qemu_on_ended(void *ctx, const char *how)
{
	struct driver *d = ctx;
	enum qemu_state was = d->state;
	bool by_kill = d->by_kill;
	char why[sizeof(d->why)];

	snprintf(why, sizeof(why), "%s", by_kill ? "ended on request" :
		 d->dying && d->why[0] != '\0' ? d->why : how);
	qemu_teardown(d);
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
void qemu_die(struct driver *d, const char *why)
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
	qemu_die(ctx, rc == -ENOTCONN || rc == -ECONNRESET ? "" : why);
}

/* Each answer that a transition hangs on: an error ends the guest. */
bool qemu_failed(struct driver *d, int rc, const char *why)
{
	if (rc < 0)
		qemu_die(d, why);
	return rc < 0;
}

/* ---- commands ---- */

int qemu_command(struct driver *d, const char *name, json_t *args,
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
void qemu_must_command(struct driver *d, const char *name, json_t *args,
			 qmp_answer_fn fn)
{
	if (qemu_command(d, name, args, fn, COMMAND_MS) < 0)
		qemu_die(d, "cannot send QEMU a command");
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
	qemu_die(d, why);
}

static void on_event(void *ctx, const char *name, const json_t *data)
{
	struct driver *d = ctx;

	if (strcmp(name, "SHUTDOWN") == 0) {
		on_shutdown(d, data);
	} else if (strcmp(name, "GUEST_PANICKED") == 0) {
		qemu_die(d, "the guest panicked");
	} else if (strcmp(name, "STOP") == 0 && d->state == QEMU_RUNNING) {
		/* nobody asked: an internal error of KVM or of a device */
		qemu_die(d, "QEMU stopped the guest after an emulation error");
	} else if (strcmp(name, "RESUME") == 0 &&
		   d->state == QEMU_ACTIVATING) {
		clear_timer(d);
		d->state = QEMU_RUNNING;
		d->ev->running(d->ctx, 0, "");
	}
}

const struct qmp_ops qemu_qmp_ops = {
	.event = on_event,
	.closed = on_closed,
};

/* ---- trackers ---- */

int qemu_attach_tracker(struct driver *d, char *err, size_t err_bytes)
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
		rc = qemu_attach_tracker(d, err, err_bytes);
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

/* ---- checkpoints ---- */

static void on_stopped(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (qemu_failed(d, rc, why))
		return;
	d->state = QEMU_SAVING;
	d->ev->suspended(d->ctx, 0, "");
}

static void on_goes_on(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	struct driver *d = ctx;

	if (qemu_failed(d, rc, why))
		return;
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
		qemu_must_command(d, "cont", NULL, on_goes_on);
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

	if (qemu_failed(d, rc, why))
		return;
	d->state = QEMU_RUNNING;
	d->ev->resumed(d->ctx, 0, "");
}

static int qemu_resume(struct driver *d)
{
	int rc;

	if (d->state != QEMU_SUSPENDED || d->dying)
		return -EINVAL;
	rc = qemu_command(d, "cont", NULL, on_resumed, COMMAND_MS);
	if (rc == 0)
		d->state = QEMU_RESUMING;
	return rc;
}

/* ---- taking over ---- */

static void on_activation_late(void *data)
{
	struct driver *d = data;

	d->timer_set = false;
	qemu_die(d, "QEMU did not load the device state in time");
}

static void on_loading(void *ctx, int rc, __attribute__((unused))
		       const json_t *value, const char *why)
{
	if (rc < 0)
		qemu_die(ctx, why);
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
		rc = qemu_command(d, "migrate-incoming",
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
	qemu_command(d, "announce-self",
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
	return qemu_command(d, "system_powerdown", NULL, NULL, COMMAND_MS);
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
	qemu_die(d, "");
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
	qemu_teardown(d);
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
	.settled = driver_mapped_settled,
	.tracker_name = qemu_tracker_name,
	.suspend = qemu_suspend,
	.resume = qemu_resume,
	.committed = driver_mapped_committed,
	.activate = qemu_activate,
	.announce = qemu_announce,
	.powerdown = qemu_powerdown,
	.kill = qemu_kill,
	.fingerprint = qemu_get_fingerprint,
	.destroy = qemu_destroy,
};
