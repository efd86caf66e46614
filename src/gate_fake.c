/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gate_fake.c - see gate_fake.h. */
#include "gate_fake.h"

#include <errno.h>
#include <stdlib.h>

#include "gate_core.h"
#include "util.h"

#define WIRE_BYTES ((size_t)1 << 20)

struct gate {
	struct gate_core core;
	struct frame_queue *wire;
	bool lazy, full;
	gate_fake_frame_fn output, inbound;
	void *output_ctx, *inbound_ctx;
	uint64_t (*clock)(void *ctx);
	void *clock_ctx;
};

static int emit(void *ctx, const void *frame, size_t len)
{
	struct gate *g = ctx;

	if (g->full)
		return -ENOBUFS;
	if (g->output != NULL)
		g->output(g->output_ctx, frame, len);
	return 0;
}

static uint64_t clock_ns(void *ctx)
{
	struct gate *g = ctx;

	return g->clock != NULL ? g->clock(g->clock_ctx) : now_boot_ns();
}

static const struct gate_core_ops core_ops = {
	.emit = emit,
	.now_boot_ns = clock_ns,
};

static int fake_create(struct gate **out, const struct gate_config *cfg,
		       qb_loop_t *loop, char *err, size_t err_bytes)
{
	struct gate *g = calloc(1, sizeof(*g));
	int rc;

	(void)loop;
	*out = NULL;
	if (g == NULL)
		return set_err(err, err_bytes, -ENOMEM, "gate of %s: no memory",
			       cfg->vm);
	rc = gate_core_init(&g->core, cfg, &core_ops, g, err, err_bytes);
	if (rc < 0) {
		free(g);
		return rc;
	}
	g->wire = frame_queue_new(WIRE_BYTES);
	if (g->wire == NULL) {
		gate_core_fini(&g->core);
		free(g);
		return set_err(err, err_bytes, -ENOMEM, "gate of %s: no memory",
			       cfg->vm);
	}
	set_err(err, err_bytes, 0, "%s", "");
	*out = g;
	return 0;
}

static int fake_attach(struct gate *g, const char *name, char *err,
		size_t err_bytes)
{
	(void)g;
	return set_err(err, err_bytes, -EOPNOTSUPP, "gate fake cannot hold "
		       "the output of '%s'", name);
}

static int fake_guest_fd(struct gate *g)
{
	frame_queue_clear(g->wire);
	return -EOPNOTSUPP;
}

void gate_fake_take_in(struct gate *g)
{
	const void *frame;
	uint64_t unused;
	size_t len;

	while ((frame = frame_queue_peek(g->wire, &len, &unused)) != NULL) {
		gate_core_take_copy(&g->core, frame, len);
		frame_queue_pop(g->wire);
	}
	gate_core_pass(&g->core);
}

static void fake_hold(struct gate *g, uint64_t epoch)
{
	gate_core_hold(&g->core, epoch);
}

static int fake_barrier(struct gate *g, uint64_t epoch)
{
	gate_fake_take_in(g);
	return gate_core_barrier(&g->core, epoch);
}

static void fake_segments(const struct gate *g, uint64_t epoch,
			  struct segments *out)
{
	gate_core_segments(&g->core, epoch, out);
}

static void fake_put(struct gate *g, const void *frame, size_t len)
{
	gate_core_take_copy(&g->core, frame, len);
}

static int fake_release(struct gate *g, const struct permit *p)
{
	return gate_core_release(&g->core, p);
}

static int fake_open(struct gate *g, const struct permit *p)
{
	return gate_core_open(&g->core, p);
}

static void fake_shut(struct gate *g)
{
	gate_core_shut(&g->core);
	gate_fake_take_in(g); /* CLOSED: counted as dropped */
}

static enum gate_state fake_state(const struct gate *g)
{
	return gate_core_state(&g->core);
}

static void fake_stats(const struct gate *g, struct gate_stats *out)
{
	gate_core_stats(&g->core, out);
}

static void fake_destroy(struct gate *g)
{
	if (g == NULL)
		return;
	gate_core_fini(&g->core);
	frame_queue_free(g->wire);
	free(g);
}

void gate_fake_on_output(struct gate *g, gate_fake_frame_fn fn, void *ctx)
{
	g->output = fn;
	g->output_ctx = ctx;
}

void gate_fake_on_inbound(struct gate *g, gate_fake_frame_fn fn, void *ctx)
{
	g->inbound = fn;
	g->inbound_ctx = ctx;
}

void gate_fake_set_clock(struct gate *g, uint64_t (*fn)(void *ctx), void *ctx)
{
	g->clock = fn;
	g->clock_ctx = ctx;
}

void gate_fake_set_lazy(struct gate *g, bool lazy)
{
	g->lazy = lazy;
}

void gate_fake_set_full(struct gate *g, bool full)
{
	g->full = full;
}

int gate_fake_guest_send(struct gate *g, const void *frame, size_t len)
{
	if (len > FRAME_BYTES_MAX) {
		gate_core_take_copy(&g->core, frame, len); /* counts it */
		return 0;
	}
	if (!frame_queue_push(g->wire, frame, len, 0))
		return -EAGAIN;
	if (!g->lazy)
		gate_fake_take_in(g);
	return 0;
}

void gate_fake_net_send(struct gate *g, const void *frame, size_t len)
{
	if (g->core.state == GATE_CLOSED || len > FRAME_BYTES_MAX) {
		g->core.n.inbound_dropped++;
		return;
	}
	g->core.n.inbound++;
	if (g->inbound != NULL)
		g->inbound(g->inbound_ctx, frame, len);
}

const struct gate_ops gate_fake_ops = {
	.name = "fake",
	.create = fake_create,
	.guest_fd = fake_guest_fd,
	.attach = fake_attach,
	.hold = fake_hold,
	.barrier = fake_barrier,
	.segments = fake_segments,
	.put = fake_put,
	.release = fake_release,
	.open = fake_open,
	.shut = fake_shut,
	.state = fake_state,
	.stats = fake_stats,
	.destroy = fake_destroy,
};
