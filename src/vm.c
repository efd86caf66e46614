/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm.c - see vm.h.  Phases and what leads from one to the next. */
#include "vm.h"

#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vm_internal.h"

/* A standby that dies is made ready again after this, doubling each time. */
#define PREPARE_RETRY_MS 500
#define PREPARE_RETRIES_MAX 6

static const char *name_of(const struct vm *vm)
{
	return vm->env.cfg->name;
}

const char *vm_phase_to_str(enum vm_phase p)
{
	static const char *const names[] = {
		[VM_PREPARING] = "preparing", [VM_BACKUP] = "backup",
		[VM_CLEARING] = "clearing",   [VM_BOOTING] = "booting",
		[VM_ACTIVATING] = "activating", [VM_PRIMARY] = "primary",
		[VM_ENDING] = "ending",	      [VM_STOPPING] = "stopping",
		[VM_FAILED] = "failed",
	};

	return names[p];
}

static void set_phase(struct vm *vm, enum vm_phase phase)
{
	if (vm->phase == phase)
		return;
	qb_log(LOG_INFO, "%s: %s -> %s", name_of(vm),
	       vm_phase_to_str(vm->phase), vm_phase_to_str(phase));
	vm->phase = phase;
}

void vm_pending_ok(struct vm *vm, json_t *more)
{
	struct ipc_request *req = vm->pending;

	vm->pending = NULL;
	vm->waits = WAIT_NONE;
	if (req != NULL)
		ipc_reply_ok(req, more);
	else
		json_decref(more);
}

void vm_pending_error(struct vm *vm, const char *why)
{
	struct ipc_request *req = vm->pending;

	vm->pending = NULL;
	vm->waits = WAIT_NONE;
	if (req != NULL)
		ipc_reply_error(req, "%s", why);
}

static void kill_guest(struct vm *vm)
{
	vm->env.gops->shut(vm->env.gate); /* first of all (S7) */
	vm->env.dops->kill(vm->env.driver);
}

static void disarm_end(struct vm *vm)
{
	if (vm->end_armed)
		qb_loop_timer_del(vm->env.loop, vm->end_timer);
	vm->end_armed = false;
}

/* Nothing may be seen of this guest any more; it is ended if it still runs. */
static void vm_fail(struct vm *vm, const char *why)
{
	if (vm->phase == VM_STOPPING)
		return;
	qb_log(LOG_CRIT, "%s: failed: %s", name_of(vm), why);
	snprintf(vm->reason, sizeof(vm->reason), "%s", why);
	set_phase(vm, VM_FAILED);
	disarm_end(vm);
	vm->end_wanted = false;
	kill_guest(vm);
	vm_pending_error(vm, vm->reason);
}

/* ---- being a backup ---- */

static void prepare(struct vm *vm);

static void on_retry(void *data)
{
	struct vm *vm = data;

	vm->retry_armed = false;
	prepare(vm);
}

static void prepare_again(struct vm *vm, const char *why)
{
	uint64_t delay = (uint64_t)PREPARE_RETRY_MS << vm->retries;

	standby_close(vm->standby); /* its memory is gone */
	qb_log(LOG_ERR, "%s: standby: %s", name_of(vm), why);
	snprintf(vm->reason, sizeof(vm->reason), "standby: %s", why);
	if (vm->retries++ >= PREPARE_RETRIES_MAX) {
		vm_fail(vm, why);
		return;
	}
	set_phase(vm, VM_PREPARING);
	if (qb_loop_timer_add(vm->env.loop, QB_LOOP_MED, delay * 1000000u, vm,
			      on_retry, &vm->retry) == 0)
		vm->retry_armed = true;
}

static int net_fd(struct vm *vm)
{
	int fd = vm->env.gops->guest_fd(vm->env.gate);

	return fd == -EOPNOTSUPP ? -1 : fd;
}

static void prepare(struct vm *vm)
{
	char err[512];

	set_phase(vm, VM_PREPARING);
	vm->env.gops->shut(vm->env.gate);
	/* What a failed activation left is of a guest that is no more. */
	standby_close(vm->standby);
	if (vm->env.dops->standby(vm->env.driver, net_fd(vm), err,
				  sizeof(err)) < 0)
		prepare_again(vm, err);
}

static void on_standby(void *ctx, int rc, const char *why)
{
	struct vm *vm = ctx;

	if (vm->phase != VM_PREPARING)
		return;
	if (rc == 0) {
		rc = standby_ready(vm->standby);
		why = rc < 0 ? strerror(-rc) : "";
	}
	if (rc < 0) {
		prepare_again(vm, why);
		return;
	}
	vm->reason[0] = '\0';
	vm->retries = 0;
	set_phase(vm, VM_BACKUP);
	/* Another command may wait for the arbiter meanwhile. */
	if (vm->waits == WAIT_DEMOTE)
		vm_pending_ok(vm, NULL);
}

/* ---- becoming primary ---- */

static void boot(struct vm *vm)
{
	char err[512];

	set_phase(vm, VM_BOOTING);
	vm->env.gops->hold(vm->env.gate, 1);
	if (vm->env.dops->boot(vm->env.driver, net_fd(vm), err, sizeof(err)) <
	    0)
		vm_fail(vm, err);
}

static void disarm_retry(struct vm *vm)
{
	if (vm->retry_armed)
		qb_loop_timer_del(vm->env.loop, vm->retry);
	vm->retry_armed = false;
}

void vm_begin_boot(struct vm *vm, const struct permit *permit)
{
	disarm_retry(vm);
	vm->permit = *permit;
	vm->took_over = false;
	vm->reason[0] = '\0';
	standby_close(vm->standby);
	set_phase(vm, VM_CLEARING);
	vm->env.dops->kill(vm->env.driver); /* -> on_gone() -> boot() */
}

void vm_begin_activate(struct vm *vm, const struct permit *permit)
{
	vm->permit = *permit;
	vm->took_over = true;
	vm->reason[0] = '\0';
	set_phase(vm, VM_ACTIVATING);
	/* What the guest sends from its first instant on waits for the ticket
	 * permit to be looked at, instead of being dropped. */
	vm->env.gops->hold(vm->env.gate, standby_epoch(vm->standby) + 1);
	standby_put_output(vm->standby);
	standby_load(vm->standby);
}

static void on_loading(void *ctx, int rc, const char *why)
{
	if (rc < 0)
		vm_fail(ctx, why);
}

static const struct primary_events primary_events;

static void on_running(void *ctx, int rc, const char *why)
{
	struct vm *vm = ctx;
	uint64_t first = vm->phase == VM_ACTIVATING
				 ? standby_epoch(vm->standby) + 1
				 : 1;
	char err[512];

	if (vm->phase != VM_BOOTING && vm->phase != VM_ACTIVATING)
		return;
	if (vm->phase == VM_ACTIVATING)
		standby_loaded(vm->standby, rc == 0);
	if (rc == 0) {
		rc = primary_new(&vm->primary, &vm->env, first, &vm->permit,
				 &primary_events, vm, err, sizeof(err));
		why = err;
	}
	if (rc < 0) {
		vm_fail(vm, why);
		return;
	}
	memset(&vm->permit, 0, sizeof(vm->permit));
	if (vm->phase == VM_ACTIVATING)
		vm->env.dops->announce(vm->env.driver);
	standby_close(vm->standby);
	set_phase(vm, VM_PRIMARY);
	qb_log(LOG_NOTICE, "%s: %s here", name_of(vm),
	       vm->took_over ? "took over" : "booted");
	vm_pending_ok(vm, json_pack("{s:I}", "took_us",
				    (json_int_t)((now_mono_ns() -
						  vm->began_ns) /
						 1000)));
}

/* ---- ceasing to be primary ---- */

void vm_step_down(struct vm *vm, const char *why)
{
	qb_log(LOG_WARNING, "%s: steps down: %s", name_of(vm), why);
	snprintf(vm->reason, sizeof(vm->reason), "%s", why);
	set_phase(vm, VM_ENDING);
	kill_guest(vm);
}

static void on_end_late(void *data)
{
	struct vm *vm = data;

	vm->end_armed = false;
	vm_step_down(vm, "the guest did not power itself down in time");
}

void vm_end_guest(struct vm *vm)
{
	uint64_t ns = (uint64_t)vm->env.cfg->shutdown_timeout_ms * 1000000u;

	vm->end_wanted = true;
	/* Epochs go on meanwhile: what it says last is seen, too. */
	if (ns != 0 && vm->env.dops->powerdown(vm->env.driver) == 0 &&
	    qb_loop_timer_add(vm->env.loop, QB_LOOP_MED, ns, vm, on_end_late,
			      &vm->end_timer) == 0)
		vm->end_armed = true;
	else
		vm_step_down(vm, "ended on request");
}

static void on_end_noted(void *ctx, int rc, const struct permit *permit,
			 const char *why)
{
	struct vm *vm = ctx;

	(void)permit;
	(void)rc; /* protected: the backup may still take over, as with stop */
	(void)why;
	if (vm->phase == VM_ENDING)
		prepare(vm);
}

/* The ticket is given back when nothing runs any more, not before. */
static void ended(struct vm *vm)
{
	struct arbiter_request r = { .move = ARBITER_ENDED };

	vm->end_wanted = false;
	disarm_end(vm);
	if (vm->env.aops->request(vm->env.arbiter, &r, on_end_noted, vm) < 0)
		prepare(vm);
}

static void on_handed_over(void *ctx)
{
	vm_step_down(ctx, "handed over");
}

static void on_handover_failed(void *ctx, const char *why)
{
	struct vm *vm = ctx;

	if (vm->waits == WAIT_DEMOTE)
		vm_pending_error(vm, why);
}

static void on_superseded(void *ctx, uint64_t generation, const char *why)
{
	struct vm *vm = ctx;

	(void)generation;
	if (vm->phase == VM_PRIMARY)
		vm_step_down(vm, why);
}

static void on_failed(void *ctx, const char *why)
{
	vm_fail(ctx, why);
}

static void on_unprotected(void *ctx)
{
	vm_unprotected(ctx);
}

static const struct primary_events primary_events = {
	.unprotected = on_unprotected,
	.handed_over = on_handed_over,
	.handover_failed = on_handover_failed,
	.superseded = on_superseded,
	.failed = on_failed,
};

/* ---- the driver ---- */

static void stop_loop(struct vm *vm)
{
	vm_pending_ok(vm, NULL);
	/* The reply is on its way before the loop ends. */
	qb_loop_stop(vm->env.loop);
}

static void on_gone(void *ctx, int expected, const char *why)
{
	struct vm *vm = ctx;

	if (vm->phase == VM_PRIMARY && vm->end_wanted) {
		vm->env.gops->shut(vm->env.gate);
		set_phase(vm, VM_ENDING);
	}
	if (vm->phase == VM_PRIMARY) {
		/* By itself: powered off, or crashed.  What was acknowledged
		 * is at the backup; nothing here is worth more. */
		primary_guest_gone(vm->primary);
		vm->env.gops->shut(vm->env.gate);
		snprintf(vm->reason, sizeof(vm->reason), "%s", why);
		qb_log(LOG_ERR, "%s: the guest is gone: %s", name_of(vm), why);
		set_phase(vm, VM_FAILED);
		vm_pending_error(vm, vm->reason);
		return;
	}
	primary_free(vm->primary);
	vm->primary = NULL;
	switch (vm->phase) {
	case VM_CLEARING: boot(vm); break;
	case VM_ENDING:
		if (vm->end_wanted)
			ended(vm);
		else
			prepare(vm);
		break;
	case VM_STOPPING: stop_loop(vm); break;
	case VM_PREPARING:
	case VM_BACKUP:
		if (!expected)
			prepare_again(vm, why);
		break;
	case VM_BOOTING:
	case VM_ACTIVATING: vm_fail(vm, why); break;
	default: break;
	}
}

static void on_suspended(void *ctx, int rc, const char *why)
{
	struct vm *vm = ctx;

	if (vm->primary != NULL)
		primary_suspended(vm->primary, rc, why);
}

static void on_device_state(void *ctx, int rc, const void *data, size_t bytes,
			    const char *why)
{
	struct vm *vm = ctx;

	if (vm->primary != NULL)
		primary_device_state(vm->primary, rc, data, bytes, why);
}

static void on_resumed(void *ctx, int rc, const char *why)
{
	struct vm *vm = ctx;

	if (vm->primary != NULL)
		primary_resumed(vm->primary, rc, why);
}

static int on_interface(void *ctx, const char *name, char *err,
			size_t err_bytes)
{
	struct vm *vm = ctx;

	return vm->env.gops->attach(vm->env.gate, name, err, err_bytes);
}

static const struct driver_events driver_events = {
	.interface = on_interface,
	.running = on_running,
	.standby = on_standby,
	.suspended = on_suspended,
	.device_state = on_device_state,
	.resumed = on_resumed,
	.gone = on_gone,
};

/* ---- the listener ---- */

static enum vm_role on_role(void *ctx, const char **not_ready)
{
	const struct vm *vm = ctx;

	*not_ready = NULL;
	switch (vm->phase) {
	case VM_BACKUP: return ROLE_BACKUP;
	case VM_PRIMARY:
	case VM_BOOTING:
	case VM_ACTIVATING: return ROLE_PRIMARY;
	default:
		*not_ready = "not ready to be a backup";
		return ROLE_BACKUP;
	}
}

static const struct standby_events standby_events = {
	.role = on_role,
	.superseded = on_superseded,
	.loading = on_loading,
};

/* ---- life ---- */

static int create_parts(struct vm *vm, char *err, size_t err_bytes)
{
	struct env *env = &vm->env;
	const struct vm_config *cfg = env->cfg;
	struct gate_config gc = {
		.vm = cfg->name,
		.tap = cfg->tap,
		.bridge = cfg->bridge,
		.queue_bytes = cfg->gate_queue_bytes,
	};
	int rc;

	env->dops = driver_find(cfg->driver);
	if (env->dops == NULL)
		return set_err(err, err_bytes, -EINVAL,
			       "%s: this build has no driver %s", cfg->path,
			       cfg->driver);
	env->gops = gate_find(cfg->gate);
	if (env->gops == NULL)
		return set_err(err, err_bytes, -EINVAL,
			       "%s: this build has no gate %s", cfg->path,
			       cfg->gate);
	env->aops = arbiter_find(cfg->arbiter);
	if (env->aops == NULL)
		return set_err(err, err_bytes, -EINVAL,
			       "%s: this build has no arbiter %s", cfg->path,
			       cfg->arbiter);
	rc = env->aops->create(&env->arbiter, cfg, env->self, env->loop, err,
			       err_bytes);
	if (rc == 0)
		rc = ipc_server_start(&vm->ipc, env->loop, cfg->name,
				      cfg->group, vm_command, vm, err,
				      err_bytes);
	if (rc == 0)
		rc = env->gops->create(&env->gate, &gc, env->loop, err,
				       err_bytes);
	if (rc == 0)
		rc = env->dops->create(&env->driver, cfg, env->loop,
				       &driver_events, vm, err, err_bytes);
	if (rc == 0)
		rc = standby_new(&vm->standby, env, &standby_events, vm, err,
				 err_bytes);
	return rc;
}

int vm_new(struct vm **out, struct vm_config *cfg, int self, qb_loop_t *loop,
	   char *err, size_t err_bytes)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int rc;

	if (vm == NULL) {
		vm_config_free(cfg);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
	vm->env.loop = loop;
	vm->env.cfg = cfg;
	vm->env.self = self;
	rc = create_parts(vm, err, err_bytes);
	if (rc < 0) {
		vm_free(vm);
		return rc;
	}
	if (cfg->on_change != NULL) {
		rc = on_change_new(&vm->on_change, loop, cfg->on_change,
				   vm_look, vm);
		if (rc < 0) {
			vm_free(vm);
			return set_err(err, err_bytes, rc, "on_change: %s",
				       strerror(-rc));
		}
	}
	vm_arbiter_watch(vm);
	prepare(vm);
	*out = vm;
	return 0;
}

void vm_stop(struct vm *vm)
{
	set_phase(vm, VM_STOPPING);
	disarm_retry(vm);
	disarm_end(vm);
	kill_guest(vm); /* -> on_gone() -> stop_loop() */
}

void vm_free(struct vm *vm)
{
	struct env *env;

	if (vm == NULL)
		return;
	env = &vm->env;
	on_change_free(vm->on_change);
	vm_arbiter_forget(vm);
	primary_free(vm->primary);
	standby_free(vm->standby);
	if (env->driver != NULL)
		env->dops->destroy(env->driver);
	if (env->gate != NULL)
		env->gops->destroy(env->gate);
	ipc_server_stop(vm->ipc);
	if (env->arbiter != NULL)
		env->aops->destroy(env->arbiter);
	vm_config_free(env->cfg);
	free(vm);
}
