/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_arbiter.c - what an arbiter that judges by itself has to do with the
 * roles: a primary that lost its backup asks it at once, and goes on asking;
 * permits that were renewed get to whom they are for; a ticket that is lost
 * ends the guest.
 */
#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <string.h>

#include "util.h"
#include "vm_internal.h"

#define ASK_AGAIN_MS 200

static void ask_again(struct vm *vm);

static bool wants(const struct vm *vm)
{
	if (!vm->env.aops->judges || vm->phase != VM_PRIMARY ||
	    vm->primary == NULL || vm->end_wanted)
		return false;
	return vm->ticket_moved ||
	       (vm->env.cfg->alone_run && primary_wants_alone(vm->primary));
}

static bool is_ours(const struct vm *vm, const struct ticket *t)
{
	return t->state != TICKET_NONE &&
	       strcmp(t->holder, env_self(&vm->env)->name) == 0;
}

static void lose(struct vm *vm, const struct ticket *now)
{
	char ticket[TICKET_STR_MAX], why[TICKET_STR_MAX + 64];

	if (vm->phase != VM_PRIMARY)
		return;
	snprintf(why, sizeof(why), "the ticket is %s of generation %llu",
		 ticket_to_str(now, ticket, sizeof(ticket)),
		 (unsigned long long)now->generation);
	vm_step_down(vm, why);
}

static void on_granted(void *ctx, int rc, const struct permit *permit,
		       const char *why)
{
	struct vm *vm = ctx;

	if (vm->phase != VM_PRIMARY || vm->primary == NULL)
		return;
	if (rc == 0 && permit != NULL) {
		vm->ticket_moved = false;
		qb_log(LOG_WARNING, "%s: goes on without a backup: the "
		       "witnesses agree", vm->env.cfg->name);
		vm->refusal[0] = '\0';
		primary_alone(vm->primary, permit);
		return;
	}
	/* Once, and not five times a second. */
	if (strncmp(vm->refusal, why, sizeof(vm->refusal) - 1) != 0)
		qb_log(LOG_WARNING, "%s: may not go on without a backup: %s",
		       vm->env.cfg->name, why);
	snprintf(vm->refusal, sizeof(vm->refusal), "%s", why);
	if (rc == -EPERM && !is_ours(vm, vm->env.aops->ticket(vm->env.arbiter)))
		lose(vm, vm->env.aops->ticket(vm->env.arbiter));
	else
		ask_again(vm);
}

static void ask(void *data)
{
	struct arbiter_request r = { .move = ARBITER_ALONE };
	struct vm *vm = data;

	vm->ask_armed = false;
	if (!wants(vm))
		return;
	/* Busy: something else is being asked. */
	if (vm->env.aops->request(vm->env.arbiter, &r, on_granted, vm) < 0)
		ask_again(vm);
}

static void ask_again(struct vm *vm)
{
	if (!vm->ask_armed)
		vm->ask_armed = qb_loop_timer_add(vm->env.loop, QB_LOOP_MED,
						  ASK_AGAIN_MS * NS_PER_MS, vm,
						  ask, &vm->ask_timer) == 0;
}

void vm_unprotected(struct vm *vm)
{
	if (!vm->ask_armed && wants(vm))
		ask(vm);
}

void vm_arbiter_forget(struct vm *vm)
{
	if (vm->ask_armed)
		qb_loop_timer_del(vm->env.loop, vm->ask_timer);
	vm->ask_armed = false;
}

/* ---- events ---- */

static void on_renewed(void *ctx, const struct permit *permit)
{
	struct vm *vm = ctx;

	switch (vm->phase) {
	case VM_CLEARING:
	case VM_BOOTING:
	case VM_ACTIVATING: vm->permit = *permit; break;
	case VM_PRIMARY: primary_renewed(vm->primary, permit); break;
	default: break;
	}
}

static void on_moved(void *ctx)
{
	struct vm *vm = ctx;

	if (vm->phase != VM_PRIMARY || vm->ticket_moved)
		return;
	qb_log(LOG_WARNING, "%s: the witnesses have another ticket",
	       vm->env.cfg->name);
	vm->ticket_moved = true;
	ask_again(vm);
}

static void on_lost(void *ctx, const struct ticket *now)
{
	if (!is_ours(ctx, now))
		lose(ctx, now);
}

static void on_report(void *ctx, struct arbiter_report *out)
{
	const struct vm *vm = ctx;
	struct vm_status st = { 0 };

	/* Whether it holds a state tells who fences the primary if there is
	 * anybody to go on from it. */
	if (vm->phase == VM_BACKUP && vm->standby != NULL) {
		standby_status(vm->standby, &st);
		out->state = vm_state_to_str(st.state);
	}
	if (vm->phase != VM_PRIMARY || vm->primary == NULL)
		return;
	st.state = vm->took_over ? STATE_ACTIVE : STATE_ALONE;
	primary_view(vm->primary, &st);
	out->role = "primary";
	out->state = vm_state_to_str(st.state);
	out->serving = primary_serves(vm->primary);
}

void vm_arbiter_watch(struct vm *vm)
{
	static const struct arbiter_events events = {
		.renewed = on_renewed,
		.moved = on_moved,
		.lost = on_lost,
		.report = on_report,
	};

	if (vm->env.aops->watch != NULL)
		vm->env.aops->watch(vm->env.arbiter, &events, vm);
}
