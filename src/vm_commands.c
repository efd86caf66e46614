/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_commands.c - what remusctl may ask, one function a command (remusctl(8)).
 *
 * A command that changes the role is answered when the change is done; one such
 * command may be pending at a time.  `status` and `set` are always answered.
 */
#include <errno.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "vm_internal.h"

static bool flag(const json_t *args, const char *key)
{
	return json_is_true(json_object_get(args, key));
}

/* ---- status ---- */

static uint64_t rss_bytes(void)
{
	unsigned long long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f != NULL && fscanf(f, "%llu %llu", &total, &resident) != 2)
		resident = 0;
	if (f != NULL)
		fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A majority of the witnesses is lost to a primary when it has not answered for
 * so long; to a backup sooner, so that of two whom the same fault cuts off the
 * primary knows of the backup's before it looks for a better place. */
#define LOST_MS 5000
#define LOST_BACKUP_MS 2000

static enum vm_role role_of(const struct vm *vm)
{
	return vm->primary != NULL || vm->phase == VM_BOOTING ||
			       vm->phase == VM_ACTIVATING ||
			       vm->phase == VM_CLEARING
		       ? ROLE_PRIMARY
		       : ROLE_BACKUP;
}

static const char *witnesses_of(const struct vm *vm)
{
	const struct env *env = &vm->env;

	if (env->aops->silent_ms == NULL)
		return "none";
	return env->aops->silent_ms(env->arbiter) >=
			       (role_of(vm) == ROLE_PRIMARY ? LOST_MS
							    : LOST_BACKUP_MS)
		       ? "lost"
		       : "reached";
}

static void fill_common(struct vm *vm, struct vm_status *st, char *ticket,
			size_t ticket_bytes)
{
	const struct env *env = &vm->env;
	const struct ticket *t = env->aops->ticket(env->arbiter);

	memset(st, 0, sizeof(*st));
	st->vm = env->cfg->name;
	st->node = env_self(env)->name;
	st->reason = vm->reason;
	st->generation = t->generation;
	st->ticket = ticket_to_str(t, ticket, ticket_bytes);
	st->witnesses = witnesses_of(vm);
	st->interval_ms = env->cfg->interval_ms;
	env->gops->stats(env->gate, &st->gate);
	st->gate_name = env->gops->name;
	st->gate_state = env->gops->state(env->gate);
	st->peer = env_peer(env)->name;
	st->peer_address = env_peer(env)->address;
	st->memory_bytes = env->cfg->memory_bytes;
	st->rss_bytes = rss_bytes();
	st->driver = env->dops->name;
	st->tracker = env->dops->tracker_name(env->driver);
	st->compression = env->cfg->compression;
	st->codec = st->compression;
	st->encode_threads = env->cfg->encode_threads;
}

/* `side` adds what a primary knows. */
static void fill_role(struct vm *vm, struct vm_status *st,
		      void (*side)(const struct primary *p,
				   struct vm_status *out))
{
	st->role = role_of(vm);
	if (vm->primary != NULL) {
		st->state = vm->took_over ? STATE_ACTIVE : STATE_ALONE;
		side(vm->primary, st);
	} else if (vm->standby != NULL) {
		standby_status(vm->standby, st);
	}
	if (vm->phase == VM_FAILED)
		st->state = STATE_FAILED;
	if (vm->reason[0] != '\0')
		st->reason = vm->reason;
}

void vm_look(void *ctx, char *line, size_t bytes)
{
	struct vm *vm = ctx;
	const struct ticket *t = vm->env.aops->ticket(vm->env.arbiter);
	struct vm_status st = { 0 };
	char ticket[TICKET_STR_MAX];

	fill_role(vm, &st, primary_view);
	snprintf(line, bytes, "%s %s, link %s, generation %llu %s, "
		 "witnesses %s",
		 vm_role_to_str(st.role), vm_state_to_str(st.state),
		 st.link_up ? "up" : "down", (unsigned long long)t->generation,
		 ticket_to_str(t, ticket, sizeof(ticket)), witnesses_of(vm));
}

static void cmd_status(struct vm *vm, struct ipc_request *req,
		       const json_t *args)
{
	char ticket[TICKET_STR_MAX];
	struct vm_status st;

	(void)args;
	fill_common(vm, &st, ticket, sizeof(ticket));
	fill_role(vm, &st, primary_status);
	ipc_reply_ok(req, status_to_json(&st));
}

/* ---- changes of role ---- */

static bool take_pending(struct vm *vm, struct ipc_request *req,
			 enum vm_wait what)
{
	if (vm->pending != NULL) {
		ipc_reply_error(req, "another command is under way");
		return false;
	}
	vm->pending = req;
	vm->waits = what;
	vm->began_ns = now_mono_ns();
	return true;
}

static bool wants_phase(struct vm *vm, struct ipc_request *req,
			enum vm_phase phase, const char *what)
{
	if (vm->phase == phase)
		return true;
	ipc_reply_error(req, "%s is possible only as %s: %s is %s here%s%s",
			what, vm_phase_to_str(phase), vm->env.cfg->name,
			vm_phase_to_str(vm->phase),
			vm->reason[0] == '\0' ? "" : ": ", vm->reason);
	return false;
}

static void ask(struct vm *vm, const struct arbiter_request *r,
		arbiter_done done)
{
	int rc = vm->env.aops->request(vm->env.arbiter, r, done, vm);

	if (rc < 0)
		vm_pending_error(vm, "the arbiter is busy: try again");
}

/* In these, WAIT_...: the command may have been answered before the arbiter
 * did, with the reason why it came to nothing; then it does come to nothing. */
static void on_boot_granted(void *ctx, int rc, const struct permit *permit,
			    const char *why)
{
	struct vm *vm = ctx;

	if (vm->waits != WAIT_START)
		return;
	if (rc < 0)
		vm_pending_error(vm, why);
	else if (vm->phase != VM_BACKUP && vm->phase != VM_PREPARING &&
		 vm->phase != VM_FAILED)
		vm_pending_error(vm, "the role changed meanwhile");
	else
		vm_begin_boot(vm, permit);
}

static void cmd_start(struct vm *vm, struct ipc_request *req,
		      const json_t *args)
{
	struct arbiter_request r = { .move = ARBITER_COLD_BOOT,
				     .peer_is_dead = flag(args,
							  "peer_is_dead") };
	json_int_t above = json_integer_value(
		json_object_get(args, "generation_above"));
	char err[512];

	if (above > 0)
		r.told.generation = (uint64_t)above;
	if (vm->phase == VM_PRIMARY) {
		ipc_reply_ok(req, NULL); /* it runs: nothing to do */
		return;
	}
	/* PREPARING: a backup that cannot hold an epoch yet, as it is for a
	 * moment after remusd was started. */
	if (vm->phase != VM_FAILED && vm->phase != VM_PREPARING &&
	    !wants_phase(vm, req, VM_BACKUP, "start"))
		return;
	/* A committed epoch is worth more than a fresh boot. */
	if (!r.peer_is_dead && vm->phase == VM_BACKUP &&
	    standby_may_activate(vm->standby, true, err, sizeof(err)) == 0) {
		ipc_reply_error(req,
				"this node holds epoch %llu of the running "
				"guest: activate it, or say --peer-is-dead to "
				"boot anew and lose it",
				(unsigned long long)standby_epoch(
					vm->standby));
		return;
	}
	if (take_pending(vm, req, WAIT_START))
		ask(vm, &r, on_boot_granted);
}

static void on_activate_granted(void *ctx, int rc,
				const struct permit *permit, const char *why)
{
	struct vm *vm = ctx;

	if (vm->waits != WAIT_ACTIVATE)
		return;
	if (rc < 0)
		vm_pending_error(vm, why);
	else if (vm->phase != VM_BACKUP)
		vm_pending_error(vm, "the role changed meanwhile");
	else
		vm_begin_activate(vm, permit);
}

static void cmd_activate(struct vm *vm, struct ipc_request *req,
			 const json_t *args)
{
	struct arbiter_request r = { .move = ARBITER_ACTIVATE,
				     .peer_is_dead = flag(args,
							  "peer_is_dead") };
	char err[512];

	if (vm->phase == VM_PRIMARY) {
		ipc_reply_ok(req, NULL);
		return;
	}
	/* PREPARING holds no epoch: it gets the answer that says so. */
	if (vm->phase != VM_PREPARING &&
	    !wants_phase(vm, req, VM_BACKUP, "activate"))
		return;
	/* Where the arbiter judges, nobody has to vouch for the peer's end. */
	if (standby_may_activate(vm->standby,
				 r.peer_is_dead || vm->env.aops->judges, err,
				 sizeof(err)) < 0) {
		ipc_reply_error(req, "%s", err);
		return;
	}
	if (take_pending(vm, req, WAIT_ACTIVATE))
		ask(vm, &r, on_activate_granted);
}

static void on_alone_granted(void *ctx, int rc, const struct permit *permit,
			     const char *why)
{
	struct vm *vm = ctx;

	if (rc == 0 && vm->phase == VM_PRIMARY)
		primary_alone(vm->primary, permit);
	if (vm->waits != WAIT_ALONE)
		return;
	if (rc < 0)
		vm_pending_error(vm, why);
	else if (vm->phase != VM_PRIMARY)
		vm_pending_error(vm, "the role changed meanwhile");
	else
		vm_pending_ok(vm, NULL);
}

static void cmd_alone(struct vm *vm, struct ipc_request *req,
		      const json_t *args)
{
	struct arbiter_request r = { .move = ARBITER_ALONE,
				     .peer_is_dead = flag(args,
							  "peer_is_dead") };

	if (!wants_phase(vm, req, VM_PRIMARY, "alone"))
		return;
	if (primary_link_up(vm->primary)) {
		ipc_reply_error(req, "the backup %s is connected: it would be "
				     "left behind",
				env_peer(&vm->env)->name);
		return;
	}
	if (take_pending(vm, req, WAIT_ALONE))
		ask(vm, &r, on_alone_granted);
}

static void cmd_demote(struct vm *vm, struct ipc_request *req,
		       const json_t *args)
{
	if (vm->phase == VM_BACKUP) {
		ipc_reply_ok(req, NULL);
		return;
	}
	if (vm->phase == VM_FAILED) { /* nothing runs: be a backup again */
		if (take_pending(vm, req, WAIT_DEMOTE))
			vm_step_down(vm, "demoted");
		return;
	}
	if (!wants_phase(vm, req, VM_PRIMARY, "demote") ||
	    !take_pending(vm, req, WAIT_DEMOTE))
		return;
	if (flag(args, "end"))
		vm_end_guest(vm);
	else if (primary_handover(vm->primary) < 0)
		vm_pending_error(vm, "not protected: a handover would lose the "
				     "guest; --end ends it");
}

static void on_ended(void *ctx, int rc, const struct permit *permit,
		     const char *why)
{
	(void)permit;
	(void)rc; /* protected: the backup may still take over; as it should */
	(void)why;
	vm_stop(ctx);
}

static void cmd_stop(struct vm *vm, struct ipc_request *req,
		     const json_t *args)
{
	struct arbiter_request r = { .move = ARBITER_ENDED };

	(void)args;
	if (!take_pending(vm, req, WAIT_STOP))
		return;
	if (vm->phase != VM_PRIMARY ||
	    vm->env.aops->request(vm->env.arbiter, &r, on_ended, vm) < 0)
		vm_stop(vm);
}

static void cmd_protect(struct vm *vm, struct ipc_request *req,
			const json_t *args)
{
	(void)args;
	if (!wants_phase(vm, req, VM_PRIMARY, "protect"))
		return;
	primary_protect(vm->primary);
	ipc_reply_ok(req, NULL);
}

/* ---- the rest ---- */

static void on_checkpoint(void *ctx, int rc, uint64_t epoch)
{
	struct ipc_request *req = ctx;

	if (rc < 0)
		ipc_reply_error(req, "epoch %llu was not acknowledged: %s",
				(unsigned long long)epoch, strerror(-rc));
	else
		ipc_reply_ok(req, json_pack("{s:I}", "epoch",
					    (json_int_t)epoch));
}

static void cmd_checkpoint(struct vm *vm, struct ipc_request *req,
			   const json_t *args)
{
	int rc;

	(void)args;
	if (!wants_phase(vm, req, VM_PRIMARY, "checkpoint"))
		return;
	rc = primary_checkpoint(vm->primary, on_checkpoint, req);
	if (rc == -EBUSY)
		ipc_reply_error(req, "another checkpoint is under way");
	else if (rc < 0)
		ipc_reply_error(req, "no backup is connected");
}

static void cmd_set(struct vm *vm, struct ipc_request *req, const json_t *args)
{
	const char *interval = json_string_value(json_object_get(args,
								 "interval"));
	const char *compression = json_string_value(
		json_object_get(args, "compression"));
	struct vm_config *cfg = vm->env.cfg;
	uint32_t ms = cfg->interval_ms;
	enum compression wanted = cfg->compression;

	if (interval == NULL && compression == NULL) {
		ipc_reply_error(req, "set: expected interval=... or "
				     "compression=" COMPRESSION_NAMES);
		return;
	}
	if (interval != NULL && parse_ms(interval, VM_INTERVAL_MS_MIN,
					 VM_INTERVAL_MS_MAX, &ms) < 0) {
		ipc_reply_error(req, "interval=%s: expected %dms to %ds",
				interval, VM_INTERVAL_MS_MIN,
				VM_INTERVAL_MS_MAX / 1000);
		return;
	}
	if (compression != NULL &&
	    compression_from_str(compression, &wanted) < 0) {
		ipc_reply_error(req, "compression=%s: expected one of "
				COMPRESSION_NAMES, compression);
		return;
	}
	cfg->interval_ms = ms;
	cfg->compression = wanted;
	if (vm->primary != NULL)
		primary_reconfigured(vm->primary);
	ipc_reply_ok(req, NULL);
}

void vm_command(void *ctx, struct ipc_request *req, const char *cmd,
		const json_t *args)
{
	static const struct {
		const char *name;
		void (*run)(struct vm *vm, struct ipc_request *req,
			    const json_t *args);
	} commands[] = {
		{ "status", cmd_status },     { "start", cmd_start },
		{ "stop", cmd_stop },	      { "protect", cmd_protect },
		{ "activate", cmd_activate }, { "demote", cmd_demote },
		{ "alone", cmd_alone },	      { "checkpoint", cmd_checkpoint },
		{ "set", cmd_set },
	};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(cmd, commands[i].name) == 0) {
			commands[i].run(ctx, req, args);
			return;
		}
	ipc_reply_error(req, "unknown command \"%s\"", cmd);
}
