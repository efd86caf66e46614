/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim_break.c - the daemon with one rule broken, to show that the simulation
 * would notice.  Each of these functions stands between two modules of the
 * daemon (--wrap); without --break it does nothing.
 */
#include <errno.h>
#include <string.h>

#include "commit.h"
#include "epoch.h"
#include "permit_make.h"
#include "receiver.h"
#include "sender.h"
#include "sim.h"

enum rule {
	KEEP_ALL = 0,
	RELEASE_UNACKED, /* S1 */
	COMMIT_TORN,	 /* S2 */
	LINK_ACTIVATES,	 /* S3 */
	ACK_AFTER,	 /* S4 */
	STALE_OLD_PAGE,	 /* S5 */
	NO_DIGEST,	 /* S5, and nobody looks */
	OUTPUT_AHEAD,	 /* S1, of OUTPUT */
};

static const char *const names[] = {
	[RELEASE_UNACKED] = "release-unacked",
	[COMMIT_TORN] = "commit-torn",
	[LINK_ACTIVATES] = "link-activates",
	[ACK_AFTER] = "ack-after-activation",
	[STALE_OLD_PAGE] = "stale-old-page",
	[NO_DIGEST] = "no-digest",
	[OUTPUT_AHEAD] = "output-ahead",
};

static enum rule broken;

int break_rule(const char *name)
{
	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0) {
			broken = (enum rule)i;
			return 0;
		}
	return -EINVAL;
}

const char *break_names(void)
{
	return "release-unacked commit-torn link-activates "
	       "ack-after-activation stale-old-page no-digest output-ahead";
}

/* The epoch up to which the backup gets what the guest has sent. */
uint64_t break_output(uint64_t epoch)
{
	return broken == OUTPUT_AHEAD ? UINT64_MAX : epoch;
}

void __real_epoch_step(struct epoch *e, const struct epoch_event *ev,
		       struct epoch_actions *out);
void __wrap_epoch_step(struct epoch *e, const struct epoch_event *ev,
		       struct epoch_actions *out);
void __real_commit_step(struct commit *c, const struct commit_event *ev,
			struct commit_actions *out);
void __wrap_commit_step(struct commit *c, const struct commit_event *ev,
			struct commit_actions *out);
void __real_receiver_drop(struct receiver *r);
void __wrap_receiver_drop(struct receiver *r);
bool __real_receiver_matches(struct receiver *r, const struct wire_end *end,
			     char *why, size_t why_bytes);
bool __wrap_receiver_matches(struct receiver *r, const struct wire_end *end,
			     char *why, size_t why_bytes);
void __real_sender_distrust(struct sender *s, gfn_t gfn);
void __wrap_sender_distrust(struct sender *s, gfn_t gfn);

void __wrap_epoch_step(struct epoch *e, const struct epoch_event *ev,
		       struct epoch_actions *out)
{
	__real_epoch_step(e, ev, out);
	if (broken != RELEASE_UNACKED || ev->type != EV_SENT ||
	    out->n == EPOCH_ACTIONS_MAX)
		return;
	memset(&out->a[out->n], 0, sizeof(out->a[0]));
	out->a[out->n].type = ACT_RELEASE;
	out->a[out->n++].permit = permit_from_ack(e->sent, UINT64_MAX);
}

static void activate_later(void *data, uint64_t arg)
{
	struct node *n = data;
	struct permit p = permit_from_ticket(PERMIT_FOREVER);

	(void)arg;
	if (n->vm->phase == VM_BACKUP && standby_epoch(n->vm->standby) > 0)
		vm_begin_activate(n->vm, &p);
}

static struct node *node_of_commit(const struct commit *c)
{
	/* The engine is inside struct standby, which only its file knows: the
	 * node is the one whose standby holds this epoch. */
	for (int i = 0; i < 2; i++)
		if (nodes[i].vm != NULL && nodes[i].vm->phase == VM_BACKUP &&
		    standby_epoch(nodes[i].vm->standby) == c->committed)
			return &nodes[i];
	return NULL;
}

void __wrap_commit_step(struct commit *c, const struct commit_event *ev,
			struct commit_actions *out)
{
	struct commit now = *c;
	struct node *n;

	__real_commit_step(c, ev, out);
	if (broken == LINK_ACTIVATES && ev->type == CEV_LINK_DOWN &&
	    c->committed != 0 && (n = node_of_commit(c)) != NULL)
		world_at(0, n, activate_later, n, 0);
	if (broken == ACK_AFTER && ev->type == CEV_ACTIVATE &&
	    c->state == COMMIT_LOADING) {
		/* Loads, and goes on as if nothing had happened. */
		*c = now;
		out->a[0] = out->a[out->n - 1];
		out->n = 1;
	}
}

void __wrap_receiver_drop(struct receiver *r)
{
	if (broken == COMMIT_TORN)
		receiver_commit(r);
	else
		__real_receiver_drop(r);
}

bool __wrap_receiver_matches(struct receiver *r, const struct wire_end *end,
			     char *why, size_t why_bytes)
{
	bool good = __real_receiver_matches(r, end, why, why_bytes);

	return good || broken == NO_DIGEST;
}

void __wrap_sender_distrust(struct sender *s, gfn_t gfn)
{
	if (broken != STALE_OLD_PAGE && broken != NO_DIGEST)
		__real_sender_distrust(s, gfn);
}
