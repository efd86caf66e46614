/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm_internal.h - shared by vm.c (roles) and vm_commands.c (remusctl). */
#ifndef REMUS_VM_INTERNAL_H
#define REMUS_VM_INTERNAL_H

#include <stdbool.h>

#include "env.h"
#include "ipc.h"
#include "on_change.h"
#include "primary.h"
#include "standby.h"
#include "status.h"
#include "vm.h"

enum vm_phase {
	VM_PREPARING = 0, /* the driver gets ready to be a standby */
	VM_BACKUP,
	VM_CLEARING,	  /* the standby is being ended, to boot in its place */
	VM_BOOTING,
	VM_ACTIVATING,
	VM_PRIMARY,
	VM_ENDING,	  /* the guest is being ended, to be a backup again */
	VM_STOPPING,
	VM_FAILED,
};
const char *vm_phase_to_str(enum vm_phase p);

/* Commands that are answered later. */
enum vm_wait { WAIT_NONE = 0, WAIT_START, WAIT_ACTIVATE, WAIT_ALONE,
	       WAIT_DEMOTE, WAIT_STOP };

struct vm {
	struct env env;
	enum vm_phase phase;
	struct ipc_server *ipc;
	struct on_change *on_change; /* NULL: nobody wants to know */
	struct standby *standby;
	struct primary *primary; /* only in VM_PRIMARY and while it ends */
	struct permit permit;	 /* for BOOTING and ACTIVATING */
	bool took_over;		 /* PRIMARY by activation: state `active` */
	struct ipc_request *pending; /* who waits for the phase to change */
	enum vm_wait waits;	     /* and with which command */
	char reason[512];
	uint64_t began_ns;	 /* of the pending command */
	bool preparing_failed;
	qb_loop_timer_handle retry;
	bool retry_armed;
	unsigned int retries;
	bool end_wanted;	 /* PRIMARY, ENDING: the guest is to end here */
	qb_loop_timer_handle end_timer; /* it was asked, and has so long */
	bool end_armed;
	qb_loop_timer_handle ask_timer; /* to ask the arbiter again */
	bool ask_armed;
	bool ticket_moved;	 /* not by us: to be asked about */
	char refusal[256];	 /* the last of them, as it was logged */
};

/* ---- vm.c: changes of role ---- */

/* The arbiter granted a cold boot. */
void vm_begin_boot(struct vm *vm, const struct permit *permit);
/* The arbiter granted activation. */
void vm_begin_activate(struct vm *vm, const struct permit *permit);
/* Shut the gate, end the guest, and be a backup again. */
void vm_step_down(struct vm *vm, const char *why);
/* End the guest in its own way, or by force when that takes too long; nobody is
 * to take over.  Be a backup again. */
void vm_end_guest(struct vm *vm);
/* Answer who waits, if somebody does. */
void vm_pending_ok(struct vm *vm, json_t *more);
void vm_pending_error(struct vm *vm, const char *why);

/* ---- vm_arbiter.c ---- */

void vm_arbiter_watch(struct vm *vm);
void vm_arbiter_forget(struct vm *vm);
/* The backup is lost: ask whether to go on without it. */
void vm_unprotected(struct vm *vm);

/* ---- vm_commands.c ---- */

/* What an observer sees, as a line: role, state, connection, ticket. */
void vm_look(void *ctx, char *line, size_t bytes);
void vm_command(void *ctx, struct ipc_request *req, const char *cmd,
		const json_t *args);

#endif
