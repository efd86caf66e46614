/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim_gate.c - the gate in memory (gate_fake.c), its calls and its output
 * turned into effects; and the outside, which checks what it sees.
 *
 * The states of all guests form a tree.  What is seen must lie on one path of
 * it: `tip` is the deepest state that was seen or that a guest was resumed
 * from.  A frame of an ancestor of the tip is late, a frame of a descendant
 * moves the tip; any other frame is of a second copy, or tells of output that
 * the resumed state has not sent (S1).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/segment_frames.h"
#include "gate_fake.h"
#include "sim.h"

#define FRAME_DATA 16
#define FRAME_STATE 54 /* where the state stands in a frame: the data */

struct state {
	uint64_t parent, depth;
};

static struct {
	struct state *state;
	uint64_t n, cap;
	uint64_t tip, frames;
} outside;

/* ---- the tree of states ---- */

uint64_t state_new(uint64_t parent)
{
	struct state *s;

	if (outside.n == outside.cap) {
		outside.cap = outside.cap == 0 ? 1024 : outside.cap * 2;
		outside.state = realloc(outside.state,
					outside.cap * sizeof(*s));
		if (outside.state == NULL)
			abort();
	}
	s = &outside.state[outside.n];
	s->parent = parent;
	s->depth = parent == 0 ? 1 : outside.state[parent].depth + 1;
	return outside.n++;
}

static bool is_ancestor_or_same(uint64_t a, uint64_t of)
{
	if (a == 0)
		return true;
	while (of != 0 && outside.state[of].depth > outside.state[a].depth)
		of = outside.state[of].parent;
	return of == a;
}

void outside_reset(void)
{
	outside.n = 0;
	state_new(0); /* the first one is no state at all */
	outside.tip = outside.frames = 0;
}

void outside_boot(uint64_t state)
{
	say("outside: a guest is booted as state %llu",
	    (unsigned long long)state);
	outside.tip = state;
}

void outside_resume(struct node *n, uint64_t state)
{
	say("outside: %s resumes state %llu; seen so far %llu", n->name,
	    (unsigned long long)state, (unsigned long long)outside.tip);
	if (!is_ancestor_or_same(outside.tip, state))
		violate("S1: %s resumes from state %llu, but %llu was seen",
			n->name, (unsigned long long)state,
			(unsigned long long)outside.tip);
	outside.tip = state;
}

uint64_t outside_frames(void)
{
	return outside.frames;
}

static void seen(struct node *n, uint64_t state)
{
	outside.frames++;
	world.n->frames++;
	if (is_ancestor_or_same(state, outside.tip))
		return;
	if (!is_ancestor_or_same(outside.tip, state))
		violate("S1: %s shows state %llu, which %llu does not follow",
			n->name, (unsigned long long)state,
			(unsigned long long)outside.tip);
	outside.tip = state;
}

/* ---- the gate ---- */

static struct node *node_of(const struct gate *g)
{
	return nodes[0].gate == g ? &nodes[0] : &nodes[1];
}

static void on_output(void *ctx, const void *frame, size_t len)
{
	struct node *n = ctx;
	uint64_t state;

	(void)len;
	if (!effect(n))
		return;
	memcpy(&state, (const uint8_t *)frame + FRAME_STATE, sizeof(state));
	seen(n, state);
}

static void take_in(void *data, uint64_t arg)
{
	struct node *n = data;

	(void)arg;
	gate_fake_take_in(n->gate);
}

void guest_sends(struct node *n, uint64_t state)
{
	uint8_t frame[SEGMENT_BYTES_MAX];
	size_t len = segment4(frame, 1000, ACK, FRAME_DATA, 0);

	memcpy(frame + FRAME_STATE, &state, sizeof(state));
	if (gate_fake_guest_send(n->gate, frame, len) < 0)
		return; /* the socket is full: lost, as by any network card */
	world_at(rnd_delay(world.k.job_ns), n, take_in, n, 0);
}

static int sim_create(struct gate **out, const struct gate_config *cfg,
		      qb_loop_t *loop, char *err, size_t err_bytes)
{
	struct node *n = node_of_loop(loop);
	int rc = gate_fake_ops.create(out, cfg, loop, err, err_bytes);

	if (rc < 0)
		return rc;
	gate_fake_on_output(*out, on_output, n);
	gate_fake_set_lazy(*out, true);
	n->gate = *out;
	return 0;
}

static int sim_guest_fd(struct gate *g)
{
	return gate_fake_ops.guest_fd(g);
}

static void sim_hold(struct gate *g, uint64_t epoch)
{
	if (effect(node_of(g)))
		gate_fake_ops.hold(g, epoch);
}

static int sim_barrier(struct gate *g, uint64_t epoch)
{
	return effect(node_of(g)) ? gate_fake_ops.barrier(g, epoch) : 0;
}

static void sim_segments(const struct gate *g, uint64_t epoch,
			 struct segments *out)
{
	gate_fake_ops.segments(g, break_output(epoch), out);
}

static void sim_put(struct gate *g, const void *frame, size_t len)
{
	if (effect(node_of(g)))
		gate_fake_ops.put(g, frame, len);
}

static int sim_release(struct gate *g, const struct permit *p)
{
	return effect(node_of(g)) ? gate_fake_ops.release(g, p) : 0;
}

static int sim_open(struct gate *g, const struct permit *p)
{
	return effect(node_of(g)) ? gate_fake_ops.open(g, p) : 0;
}

static void sim_shut(struct gate *g)
{
	if (effect(node_of(g)))
		gate_fake_ops.shut(g);
}

static enum gate_state sim_state(const struct gate *g)
{
	return gate_fake_ops.state(g);
}

static void sim_stats(const struct gate *g, struct gate_stats *out)
{
	gate_fake_ops.stats(g, out);
}

static void sim_destroy(struct gate *g)
{
	node_of(g)->gate = NULL;
	gate_fake_ops.destroy(g);
}

const struct gate_ops sim_gate_ops = {
	.name = "fake",
	.create = sim_create,
	.guest_fd = sim_guest_fd,
	.hold = sim_hold,
	.barrier = sim_barrier,
	.segments = sim_segments,
	.put = sim_put,
	.release = sim_release,
	.open = sim_open,
	.shut = sim_shut,
	.state = sim_state,
	.stats = sim_stats,
	.destroy = sim_destroy,
};
