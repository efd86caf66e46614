/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate_core.c - see gate_core.h; the state diagram is gate.h's.
 *
 * The tag of a frame is the open epoch when it was taken in.  The guest sent it
 * before that, so the state of the tagged epoch, captured later, contains it
 * as sent; taking in late only ever holds longer.
 */
#include "gate_core.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

int gate_core_init(struct gate_core *c, const struct gate_config *cfg,
		   const struct gate_core_ops *ops, void *ctx, char *err,
		   size_t err_bytes)
{
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->ctx = ctx;
	if (cfg->queue_bytes < FRAME_SLOT_BYTES)
		return set_err(err, err_bytes, -EINVAL,
			       "gate of %s: a queue of %zu bytes cannot hold "
			       "one frame, at least %zu expected", cfg->vm,
			       cfg->queue_bytes, (size_t)FRAME_SLOT_BYTES);
	c->vm = strdup(cfg->vm);
	c->queue = frame_queue_new(cfg->queue_bytes);
	if (c->vm == NULL || c->queue == NULL) {
		gate_core_fini(c);
		return set_err(err, err_bytes, -ENOMEM,
			       "gate of %s: no memory for a queue of %zu bytes",
			       cfg->vm, cfg->queue_bytes);
	}
	return 0;
}

void gate_core_fini(struct gate_core *c)
{
	frame_queue_free(c->queue);
	free(c->vm);
	c->queue = NULL;
	c->vm = NULL;
}

static bool ticket_live(const struct gate_core *c)
{
	return permit_live(&c->ticket, c->ops->now_boot_ns(c->ctx));
}

static void leave_open(struct gate_core *c)
{
	memset(&c->ticket, 0, sizeof(c->ticket));
	c->state = GATE_HOLDING;
}

static void lapse(struct gate_core *c)
{
	qb_log(LOG_WARNING, "%s: gate: the ticket has run out; output of epoch "
	       "%" PRIu64 " is held", c->vm, c->open_epoch);
	leave_open(c);
}

/* The only way out.  Takes the oldest frame; who calls has looked at its
 * permit since the last frame. */
static bool emit_oldest(struct gate_core *c, const void *frame, size_t len)
{
	int rc = c->ops->emit(c->ctx, frame, len);

	frame_queue_pop(c->queue);
	if (rc < 0)
		c->n.dropped++;
	else
		c->n.released++;
	return rc >= 0;
}

void gate_core_pass(struct gate_core *c)
{
	const void *frame;
	uint64_t epoch;
	size_t len;

	if (c->state != GATE_OPEN)
		return;
	if (!ticket_live(c)) {
		lapse(c);
		return;
	}
	while ((frame = frame_queue_peek(c->queue, &len, &epoch)) != NULL) {
		if (!ticket_live(c)) {
			lapse(c);
			return;
		}
		emit_oldest(c, frame, len);
	}
}

static bool may_take(struct gate_core *c, size_t len)
{
	if (c->state != GATE_CLOSED && len >= FRAME_BYTES_MIN &&
	    len <= FRAME_BYTES_MAX)
		return true;
	c->n.dropped++;
	return false;
}

void gate_core_take(struct gate_core *c, unsigned int slot, size_t len)
{
	if (may_take(c, len) &&
	    !frame_queue_put(c->queue, slot, len, c->open_epoch))
		c->n.dropped++;
}

void gate_core_take_copy(struct gate_core *c, const void *frame, size_t len)
{
	if (may_take(c, len) &&
	    !frame_queue_push(c->queue, frame, len, c->open_epoch))
		c->n.dropped++;
}

void gate_core_hold(struct gate_core *c, uint64_t epoch)
{
	if (c->state == GATE_HOLDING && epoch < c->open_epoch) {
		/* To tag what comes with an older number could let it out with
		 * an acknowledgement that is under way. */
		qb_log(LOG_ERR, "%s: gate: asked to hold epoch %" PRIu64
		       " while %" PRIu64 " is open; goes on with that one",
		       c->vm, epoch, c->open_epoch);
		return;
	}
	c->open_epoch = epoch;
	leave_open(c);
}

int gate_core_barrier(struct gate_core *c, uint64_t epoch)
{
	if (c->state == GATE_CLOSED || epoch < c->open_epoch) {
		qb_log(LOG_ERR, "%s: gate: barrier of epoch %" PRIu64
		       " while %s with epoch %" PRIu64 " open", c->vm, epoch,
		       gate_state_to_str(c->state), c->open_epoch);
		return -EINVAL;
	}
	c->open_epoch = epoch;
	gate_core_pass(c);
	c->open_epoch = epoch + 1;
	leave_open(c);
	return 0;
}

struct up_to {
	uint64_t epoch;
	struct segments *out;
};

static void keep_segment(void *ctx, const void *frame, size_t len,
			 uint64_t epoch)
{
	const struct up_to *u = ctx;

	if (epoch <= u->epoch)
		segments_put(u->out, frame, len, 0);
}

void gate_core_segments(const struct gate_core *c, uint64_t epoch,
			struct segments *out)
{
	struct up_to u = { epoch, out };

	frame_queue_walk(c->queue, keep_segment, &u);
}

int gate_core_release(struct gate_core *c, const struct permit *p)
{
	uint64_t limit = permit_epoch(p), epoch;
	const void *frame;
	size_t len;
	int n = 0;

	if (permit_kind(p) != PERMIT_ACK)
		return -EPERM;
	if (c->state == GATE_HOLDING && limit >= c->open_epoch) {
		qb_log(LOG_ERR, "%s: gate: epoch %" PRIu64 " acknowledged, but "
		       "%" PRIu64 " is still open and stays held", c->vm, limit,
		       c->open_epoch);
		limit = c->open_epoch - 1;
	}
	while (n < INT_MAX &&
	       (frame = frame_queue_peek(c->queue, &len, &epoch)) != NULL &&
	       epoch <= limit) {
		if (!permit_in_time(p, c->ops->now_boot_ns(c->ctx))) {
			qb_log(LOG_WARNING, "%s: gate: the acknowledgement of "
			       "epoch %" PRIu64 " is too old by now; output "
			       "is held", c->vm, permit_epoch(p));
			break;
		}
		n += emit_oldest(c, frame, len);
	}
	return n;
}

int gate_core_open(struct gate_core *c, const struct permit *p)
{
	if (!permit_live(p, c->ops->now_boot_ns(c->ctx)))
		return -EPERM;
	if (c->state == GATE_CLOSED)
		return -EINVAL;
	c->ticket = *p;
	c->state = GATE_OPEN;
	gate_core_pass(c);
	return 0;
}

void gate_core_shut(struct gate_core *c)
{
	leave_open(c);
	c->state = GATE_CLOSED;
	c->n.dropped += frame_queue_clear(c->queue);
}

enum gate_state gate_core_state(const struct gate_core *c)
{
	if (c->state == GATE_OPEN && !ticket_live(c))
		return GATE_HOLDING;
	return c->state;
}

void gate_core_stats(const struct gate_core *c, struct gate_stats *out)
{
	*out = c->n;
	out->held = frame_queue_frames(c->queue);
	out->held_bytes = frame_queue_bytes(c->queue);
}
