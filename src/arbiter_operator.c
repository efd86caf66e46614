/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arbiter_operator.c - the operator decides; this node's file is the register.
 *
 * It keeps what ticket_move() keeps and stores before it answers.  What it
 * cannot know, whether the other node is really dead, the operator vouches for
 * with --peer-is-dead.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arbiter.h"
#include "loop.h"
#include "permit_make.h"
#include "util.h"

struct arbiter {
	struct loop_soon soon;
	const char *self, *peer;
	char path[PATH_MAX];
	struct ticket ticket;
	struct arbiter_request request;
	arbiter_done done; /* NULL: no request under way */
	void *ctx;
};

static void decide(void *data);

static int operator_create(struct arbiter **out, const struct vm_config *cfg,
			   int self, qb_loop_t *loop, char *err,
			   size_t err_bytes)
{
	struct arbiter *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	loop_soon_init(&a->soon, loop, decide, a);
	a->self = cfg->node[self].name;
	a->peer = cfg->node[!self].name;
	rc = arbiter_load(&a->ticket, a->path, cfg, err, err_bytes);
	if (rc < 0) {
		free(a);
		return rc;
	}
	*out = a;
	return 0;
}

/* A refusal has changed nothing: who was alone still is. */
static bool keeps_permit(const struct arbiter *a)
{
	return a->request.move == ARBITER_PROTECTED &&
	       a->ticket.state == TICKET_ALONE &&
	       strcmp(a->ticket.holder, a->self) == 0;
}

static void decide(void *data)
{
	struct arbiter *a = data;
	arbiter_done done = a->done;
	struct permit permit = { 0 };
	struct ticket next;
	char why[512] = "";
	int rc;

	rc = ticket_move(&a->ticket, &a->request, a->self, a->peer, &next, why,
			 sizeof(why));
	if (rc == 0)
		rc = ticket_store(&next, a->path, why, sizeof(why));
	if (rc == 0) {
		a->ticket = next;
		if (arbiter_grants_permit(a->request.move))
			permit = permit_from_ticket(PERMIT_FOREVER);
	}
	if (rc < 0 && keeps_permit(a))
		permit = permit_from_ticket(PERMIT_FOREVER);
	a->done = NULL;
	done(a->ctx, rc,
	     permit_kind(&permit) == PERMIT_NONE ? NULL : &permit, why);
}

static int operator_request(struct arbiter *a, const struct arbiter_request *r,
			    arbiter_done done, void *ctx)
{
	int rc;

	if (a->done != NULL)
		return -EBUSY;
	rc = loop_soon(&a->soon);
	if (rc < 0)
		return rc;
	a->request = *r;
	a->done = done;
	a->ctx = ctx;
	return 0;
}

static const struct ticket *operator_ticket(const struct arbiter *a)
{
	return &a->ticket;
}

static void operator_destroy(struct arbiter *a)
{
	if (a == NULL)
		return;
	loop_soon_cancel(&a->soon);
	free(a);
}

const struct arbiter_ops arbiter_operator_ops = {
	.name = "operator",
	.create = operator_create,
	.request = operator_request,
	.ticket = operator_ticket,
	.destroy = operator_destroy,
};
