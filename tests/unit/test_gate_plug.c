/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_gate_plug.c - the plug gate against a model of the kernel that reads its
 * requests and counts as sch_plug counts, and against the kernel that runs.
 *
 * The model: one vif, one IFB, a queue of frame numbers, the three counters.
 * Where frames would pass by the plug (no redirection, IFB up without a plug)
 * they go straight out, and the test sees it.
 */
#ifndef HAVE_LIBNL_ROUTE
#include <stdio.h>

int main(void)
{
	printf("test_gate_plug: skipped: built without the plug gate\n");
	return 77;
}
#else

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "netns.h"
#include "permit_make.h"
#include "plug_netlink.h"
#include "util.h"

#define VIF 5u
#define IFB 9u
#define FRAMES_MAX 65536

static const struct gate_ops *const ops = &gate_plug_ops;
static const struct gate_config config = {
	.vm = "v", .tap = "vif5.0", .queue_bytes = 60 * 1000,
};

struct model {
	bool ifb, up, plug, ingress, redirect, no_plug, no_vif, closed;
	int fail_in; /* the so-manieth request from now fails; 0: none */
	uint32_t limit; /* bytes; a frame has 60 */
	uint32_t last, current, to_release;
	uint32_t queue[FRAMES_MAX], out[FRAMES_MAX];
	uint32_t head, tail, nout;
	uint32_t dequeued, drops; /* by this plug */
	unsigned int talks;
};

static void dequeue(struct model *m)
{
	while (m->up && m->head < m->tail) {
		if (m->to_release == 0)
			return;
		m->to_release--;
		m->dequeued++;
		m->out[m->nout++] = m->queue[m->head++];
	}
}

static void guest_sends(struct model *m, uint32_t nr)
{
	assert_true(m->tail < FRAMES_MAX && m->nout < FRAMES_MAX);
	if (!m->redirect || (m->ifb && m->up && !m->plug)) {
		m->out[m->nout++] = nr;
	} else if (m->up && (m->tail - m->head + 1) * 60 <= m->limit) {
		m->current++;
		m->queue[m->tail++] = nr;
		dequeue(m);
	} else if (m->up) {
		m->drops++;
	}
}

static int model_plug(struct model *m, int flags, struct nlattr *opts)
{
	const struct tc_plug_qopt *o;

	assert_non_null(opts);
	assert_true(nla_len(opts) >= (int)sizeof(*o));
	o = nla_data(opts);
	if (m->no_plug)
		return -ENOENT;
	if (!m->plug) {
		if (!(flags & NLM_F_CREATE))
			return -ENOENT;
		m->plug = true;
		m->last = m->current = m->to_release = 0;
		m->dequeued = m->drops = 0;
		m->limit = o->limit;
		return 0;
	}
	if (flags & NLM_F_EXCL)
		return -EEXIST;
	switch (o->action) {
	case TCQ_PLUG_BUFFER:
		m->last = m->current;
		m->current = 0;
		break;
	case TCQ_PLUG_RELEASE_ONE:
		m->to_release += m->last;
		m->last = 0;
		break;
	default: /* pass-through outlives a killed remusd: never asked for */
		fail_msg("plug action %d", o->action);
	}
	dequeue(m);
	return 0;
}

static int model_plug_del(struct model *m)
{
	assert_false(m->up); /* frames would pass */
	if (!m->plug)
		return -ENOENT;
	m->plug = false;
	m->head = m->tail;
	return 0;
}

static int model_qdisc(struct model *m, struct nlmsghdr *h)
{
	struct tcmsg *t = nlmsg_data(h);
	struct nlattr *kind, *opts;

	kind = nlmsg_find_attr(h, sizeof(*t), TCA_KIND);
	opts = nlmsg_find_attr(h, sizeof(*t), TCA_OPTIONS);
	assert_non_null(kind);
	if (strcmp(nla_get_string(kind), "plug") == 0) {
		assert_int_equal(t->tcm_ifindex, IFB);
		assert_int_equal(t->tcm_parent, TC_H_ROOT);
		if (h->nlmsg_type == RTM_DELQDISC)
			return model_plug_del(m);
		return m->ifb ? model_plug(m, h->nlmsg_flags, opts) : -ENODEV;
	}
	assert_string_equal(nla_get_string(kind), "ingress");
	assert_int_equal(t->tcm_ifindex, VIF);
	assert_int_equal(t->tcm_parent, TC_H_INGRESS);
	if (h->nlmsg_type == RTM_DELQDISC) {
		m->ingress = m->redirect = false;
		return 0;
	}
	if (m->ingress)
		return -EEXIST;
	m->ingress = true;
	return 0;
}

/* u32, matching everything, one action: mirred redirect to the IFB. */
static int model_filter(struct model *m, struct nlmsghdr *h)
{
	struct nlattr *o[TCA_U32_MAX + 1], *a[2], *one[TCA_ACT_MAX + 1];
	struct nlattr *mir[TCA_MIRRED_MAX + 1];
	const struct tc_mirred *parms;
	const struct tc_u32_sel *sel;
	struct tcmsg *t = nlmsg_data(h);

	assert_int_equal(t->tcm_ifindex, VIF);
	assert_int_equal(TC_H_MIN(t->tcm_info), htons(0x0003)); /* ETH_P_ALL */
	assert_string_equal(nla_get_string(nlmsg_find_attr(h, sizeof(*t),
							   TCA_KIND)), "u32");
	assert_int_equal(nla_parse_nested(o, TCA_U32_MAX,
			 nlmsg_find_attr(h, sizeof(*t), TCA_OPTIONS), NULL), 0);
	sel = nla_data(o[TCA_U32_SEL]);
	assert_int_equal(sel->nkeys, 1);
	assert_int_equal(sel->keys[0].mask, 0);
	assert_true(sel->flags & TC_U32_TERMINAL);
	assert_int_equal(nla_parse_nested(a, 1, o[TCA_U32_ACT], NULL), 0);
	assert_int_equal(nla_parse_nested(one, TCA_ACT_MAX, a[1], NULL), 0);
	assert_string_equal(nla_get_string(one[TCA_ACT_KIND]), "mirred");
	assert_int_equal(nla_parse_nested(mir, TCA_MIRRED_MAX,
					  one[TCA_ACT_OPTIONS], NULL), 0);
	parms = nla_data(mir[TCA_MIRRED_PARMS]);
	assert_int_equal(parms->eaction, TCA_EGRESS_REDIR);
	assert_int_equal(parms->action, TC_ACT_STOLEN);
	assert_int_equal(parms->ifindex, IFB);
	if (m->redirect)
		return -EEXIST;
	m->redirect = true;
	return 0;
}

static int model_link(struct model *m, struct nlmsghdr *h)
{
	struct ifinfomsg *i = nlmsg_data(h);

	if (h->nlmsg_type == RTM_DELLINK) {
		assert_int_equal(i->ifi_index, IFB);
		m->ifb = m->up = m->plug = false;
		m->head = m->tail;
		return 0;
	}
	if (i->ifi_index == 0) {
		m->ifb = true;
		return 0;
	}
	assert_int_equal(i->ifi_index, IFB);
	assert_true(i->ifi_change & IFF_UP);
	m->up = i->ifi_flags & IFF_UP;
	/* Not purged: whether the kernel does depends on its version. */
	dequeue(m);
	return 0;
}

static int model_talk(void *ctx, struct nl_msg *msg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct model *m = ctx;

	m->talks++;
	if (m->fail_in > 0 && --m->fail_in == 0)
		return -ENOBUFS;
	switch (h->nlmsg_type) {
	case RTM_NEWLINK: case RTM_SETLINK: case RTM_DELLINK:
		return model_link(m, h);
	case RTM_NEWQDISC: case RTM_DELQDISC:
		return model_qdisc(m, h);
	case RTM_NEWTFILTER:
		return model_filter(m, h);
	}
	fail_msg("request of type %d", h->nlmsg_type);
	return -EINVAL;
}

static unsigned int model_ifindex(void *ctx, const char *name)
{
	struct model *m = ctx;

	if (strcmp(name, config.tap) == 0)
		return m->no_vif ? 0 : VIF;
	assert_string_equal(name, "rifb5");
	return m->ifb ? IFB : 0;
}

static int model_stats(void *ctx, unsigned int ifindex, struct plug_stats *out)
{
	struct model *m = ctx;

	assert_int_equal(ifindex, IFB);
	out->qlen = m->tail - m->head;
	out->backlog_bytes = out->qlen * 60;
	out->packets = m->dequeued;
	out->drops = m->drops;
	return 0;
}

static void model_close(void *ctx)
{
	((struct model *)ctx)->closed = true;
}

static const struct plug_io model_io = { model_talk, model_ifindex, model_stats,
					 model_close };

struct world {
	struct model m;
	qb_loop_t *loop;
	struct gate *g;
};

static int setup_model(void **state)
{
	*state = calloc(1, sizeof(struct world));
	return *state == NULL ? -1 : 0;
}

static int create(struct world *w, char *err, size_t err_bytes)
{
	w->m.closed = false;
	return gate_plug_create_on(&w->g, &config, w->loop, &model_io, &w->m,
				   err, err_bytes);
}

static int setup(void **state)
{
	char err[200];
	struct world *w;

	if (setup_model(state) < 0)
		return -1;
	w = *state;
	w->loop = qb_loop_create();
	return create(w, err, sizeof(err));
}

static int teardown(void **state)
{
	struct world *w = *state;

	ops->destroy(w->g);
	if (w->loop != NULL)
		qb_loop_destroy(w->loop);
	free(w);
	return 0;
}

static int release(struct world *w, uint64_t epoch)
{
	struct permit p = permit_from_ack(epoch, UINT64_MAX);

	return ops->release(w->g, &p);
}

static int open_for_ms(struct world *w, uint64_t ms)
{
	struct permit p = permit_from_ticket(now_boot_ns() + ms * 1000000);

	return ops->open(w->g, &p);
}

/* Frames 0 .. n-1 left, in order, and no other. */
static void expect_out(struct world *w, uint32_t n)
{
	uint32_t i;

	assert_int_equal(w->m.nout, n);
	for (i = 0; i < n; i++)
		assert_int_equal(w->m.out[i], i);
}

static struct gate_stats stats(struct world *w)
{
	struct gate_stats s;

	ops->stats(w->g, &s);
	return s;
}

/* ---- creation ---- */

static void created_closed_and_removed_whole(void **state)
{
	struct world *w = *state;

	assert_true(w->m.ifb && w->m.plug && w->m.ingress && w->m.redirect);
	assert_false(w->m.up);
	assert_int_equal(w->m.limit, config.queue_bytes);
	assert_int_equal(ops->state(w->g), GATE_CLOSED);
	assert_int_equal(ops->guest_fd(w->g), -EOPNOTSUPP);
	guest_sends(&w->m, 0);
	assert_int_equal(ops->barrier(w->g, 1), -EINVAL);
	assert_int_equal(open_for_ms(w, 60000), -EINVAL);
	expect_out(w, 0);
	ops->destroy(w->g);
	w->g = NULL;
	assert_false(w->m.ifb || w->m.ingress || w->m.redirect);
	assert_true(w->m.closed);
}

static void no_sch_plug_is_a_clear_error(void **state)
{
	struct world *w = *state;
	char err[200];

	w->m.no_plug = true;
	assert_int_equal(create(w, err, sizeof(err)), -EOPNOTSUPP);
	assert_null(w->g);
	assert_non_null(strstr(err, "kernel has no sch_plug"));
	assert_non_null(strstr(err, "use gate=relay"));
	assert_non_null(strstr(err, config.tap));
	assert_false(w->m.ifb || w->m.ingress);
	assert_true(w->m.closed);
}

static void missing_vif_is_a_clear_error(void **state)
{
	struct world *w = *state;
	char err[200];

	w->m.no_vif = true;
	assert_int_equal(create(w, err, sizeof(err)), -ENODEV);
	assert_non_null(strstr(err, config.tap));
	assert_int_equal(w->m.talks, 0);
}

/* Whichever request fails, create() fails and nothing stays behind; but for the
 * removal of an old plug, which is not there. */
static void each_failing_request_is_undone(void **state)
{
	struct world *w = *state;
	int i, rc, failed = 0;
	char err[200];

	for (i = 1;; i++) {
		memset(&w->m, 0, sizeof(w->m));
		w->m.fail_in = i;
		rc = create(w, err, sizeof(err));
		if (rc == 0 && w->m.fail_in > 0)
			break; /* it made fewer requests */
		if (rc == 0) {
			w->m.fail_in = 0;
			ops->destroy(w->g);
			w->g = NULL;
			continue;
		}
		failed++;
		assert_int_equal(rc, -ENOBUFS);
		assert_null(w->g);
		assert_false(w->m.ifb || w->m.ingress || w->m.redirect);
	}
	assert_int_equal(i, 7);
	assert_int_equal(failed, 5);
}

static void ingress_of_others_is_refused(void **state)
{
	struct world *w = *state;
	char err[200];

	w->m.ingress = true;
	assert_int_equal(create(w, err, sizeof(err)), -EEXIST);
	assert_true(w->m.ingress);
	assert_false(w->m.ifb);
}

/* Killed while HOLDING, with frames in the plug: the successor takes over
 * without a moment in which the vif is free, and the frames are gone. */
static void leftovers_are_taken_over(void **state)
{
	struct world *w = *state;
	struct gate *dead = w->g;
	char err[200];

	ops->hold(w->g, 1);
	guest_sends(&w->m, 0);
	guest_sends(&w->m, 1);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	guest_sends(&w->m, 2);
	assert_int_equal(create(w, err, sizeof(err)), 0);
	assert_true(w->m.redirect);
	guest_sends(&w->m, 3);
	ops->hold(w->g, 7);
	guest_sends(&w->m, 4);
	ops->barrier(w->g, 7);
	guest_sends(&w->m, 5);
	assert_int_equal(w->m.nout, 0);
	assert_int_equal(release(w, 7), 1);
	assert_int_equal(w->m.nout, 1);
	assert_int_equal(w->m.out[0], 4);
	ops->destroy(dead);
}

/* ---- epochs ---- */

/* ---- an interface that comes with the guest ---- */

static void attached_to_an_interface_that_came_later(void **state)
{
	struct gate_config later = config;
	struct world *w = *state;
	char err[200];

	later.tap = NULL;
	assert_int_equal(gate_plug_create_on(&w->g, &later, NULL, &model_io,
					     &w->m, err, sizeof(err)), 0);
	assert_false(w->m.ifb);
	ops->hold(w->g, 1);
	assert_int_equal(ops->barrier(w->g, 1), -ENODEV);
	assert_true(open_for_ms(w, 1000) < 0);
	assert_int_equal(stats(w).held, 0);
	assert_int_equal(ops->attach(w->g, config.tap, err, sizeof(err)), 0);
	assert_true(w->m.up && w->m.plug && w->m.redirect);
	guest_sends(&w->m, 0);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	guest_sends(&w->m, 1);
	expect_out(w, 0);
	assert_int_equal(release(w, 1), 1);
	expect_out(w, 1);
}

static void attached_again_for_each_guest(void **state)
{
	struct world *w = *state;
	char err[200];

	ops->hold(w->g, 1);
	guest_sends(&w->m, 7); /* of a guest that is no more */
	ops->shut(w->g);
	w->m.ingress = w->m.redirect = false; /* they went with its vif */
	ops->hold(w->g, 5);
	assert_int_equal(ops->attach(w->g, config.tap, err, sizeof(err)), 0);
	assert_true(w->m.up && w->m.plug && w->m.redirect);
	guest_sends(&w->m, 0);
	assert_int_equal(ops->barrier(w->g, 5), 0);
	assert_int_equal(release(w, 5), 1);
	expect_out(w, 1);
	ops->shut(w->g);
	assert_int_equal(ops->attach(w->g, config.tap, err, sizeof(err)), 0);
	assert_false(w->m.up); /* CLOSED it stays */
}

static void each_failing_attach_is_undone(void **state)
{
	struct world *w = *state;
	char err[200];
	int failed = 0, rc;

	ops->hold(w->g, 1);
	for (int n = 1; n <= 12; n++) {
		w->m.ingress = w->m.redirect = false;
		w->m.fail_in = n;
		err[0] = '\0';
		rc = ops->attach(w->g, config.tap, err, sizeof(err));
		w->m.fail_in = 0;
		if (rc == 0) { /* it was what was left that could not go */
			assert_true(w->m.up && w->m.plug && w->m.redirect);
			continue;
		}
		failed++;
		assert_int_equal(ops->barrier(w->g, 1), -ENODEV);
		assert_false(w->m.up || w->m.redirect);
	}
	assert_true(failed >= 5);
	w->m.no_vif = true;
	assert_int_equal(ops->attach(w->g, config.tap, err, sizeof(err)),
			 -ENODEV);
	assert_false(w->m.ifb || w->m.redirect);
}

static void epoch_leaves_on_its_ack_only(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	guest_sends(&w->m, 0);
	guest_sends(&w->m, 1);
	assert_int_equal(release(w, 5), 0); /* no barrier yet */
	assert_int_equal(ops->barrier(w->g, 1), 0);
	guest_sends(&w->m, 2);
	assert_int_equal(release(w, 0), 0);
	expect_out(w, 0);
	assert_int_equal(stats(w).held, 3);
	assert_int_equal(release(w, 1), 1);
	expect_out(w, 2);
	assert_int_equal(release(w, 1), 0);
	expect_out(w, 2);
	assert_int_equal(stats(w).released, 2);
}

/* Two barriers before the first acknowledgement: sch_plug by itself would let
 * out as many frames as epoch 2 has, instead of epoch 1's. */
static void epochs_in_flight_do_not_mix(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_sends(&w->m, 0);
	ops->barrier(w->g, 1);
	guest_sends(&w->m, 1);
	guest_sends(&w->m, 2);
	guest_sends(&w->m, 3);
	ops->barrier(w->g, 2);
	guest_sends(&w->m, 4);
	release(w, 1);
	expect_out(w, 1);
	release(w, 2); /* waits for the next barrier: late, but right */
	expect_out(w, 1);
	ops->barrier(w->g, 3);
	guest_sends(&w->m, 5);
	release(w, 2);
	expect_out(w, 1);
	release(w, 3);
	expect_out(w, 5);
}

static void wrong_permits_do_nothing(void **state)
{
	struct world *w = *state;
	struct permit zero, ticket = permit_from_ticket(PERMIT_FOREVER);
	struct permit ack = permit_from_ack(1, UINT64_MAX);

	memset(&zero, 0, sizeof(zero));
	ops->hold(w->g, 1);
	guest_sends(&w->m, 0);
	ops->barrier(w->g, 1);
	assert_int_equal(ops->release(w->g, &zero), -EPERM);
	assert_int_equal(ops->release(w->g, &ticket), -EPERM);
	assert_int_equal(ops->open(w->g, &zero), -EPERM);
	assert_int_equal(ops->open(w->g, &ack), -EPERM);
	expect_out(w, 0);
}

static void failed_requests_keep_frames(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_sends(&w->m, 0);
	w->m.fail_in = 1;
	assert_int_equal(ops->barrier(w->g, 1), -ENOBUFS);
	assert_int_equal(release(w, 1), 0);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	w->m.fail_in = 1;
	assert_int_equal(release(w, 1), -ENOBUFS);
	expect_out(w, 0);
	assert_int_equal(release(w, 1), 1);
	expect_out(w, 1);
}

static void shut_drops_and_old_counts_are_gone(void **state)
{
	struct world *w = *state;
	uint32_t i;

	ops->hold(w->g, 1);
	for (i = 100; i < 110; i++)
		guest_sends(&w->m, i);
	ops->barrier(w->g, 1);
	guest_sends(&w->m, 110);
	ops->shut(w->g);
	assert_int_equal(ops->state(w->g), GATE_CLOSED);
	assert_int_equal(stats(w).dropped, 11);
	assert_int_equal(stats(w).held, 0);
	assert_int_equal(stats(w).released, 0);
	ops->hold(w->g, 2);
	for (i = 0; i < 5; i++)
		guest_sends(&w->m, i);
	assert_int_equal(release(w, 1), 0);
	expect_out(w, 0);
	ops->barrier(w->g, 2);
	guest_sends(&w->m, 5);
	release(w, 2);
	expect_out(w, 5);
	ops->shut(w->g);
	assert_int_equal(stats(w).released, 5);
	assert_int_equal(stats(w).dropped, 12);
}

/* shut() fails half way: there is no plug.  hold() must not set the IFB up like
 * that, nor with frames of before. */
static void shut_that_failed_is_finished_before_hold(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 1; i <= 3; i++) {
		ops->hold(w->g, 1);
		guest_sends(&w->m, 100);
		ops->barrier(w->g, 1);
		w->m.fail_in = i;
		ops->shut(w->g);
		w->m.fail_in = 0;
		ops->hold(w->g, 2);
		guest_sends(&w->m, 101);
		assert_int_equal(release(w, 1), 0);
		expect_out(w, 0);
		ops->shut(w->g);
		w->m.fail_in = i;
		ops->hold(w->g, 3);
		assert_int_equal(ops->state(w->g), GATE_CLOSED);
		w->m.fail_in = 0;
		guest_sends(&w->m, 102);
		expect_out(w, 0);
	}
}

/* ---- open ---- */

static void stop_loop(void *data)
{
	qb_loop_stop(data);
}

static void run_ms(struct world *w, uint64_t ms)
{
	qb_loop_timer_handle h;

	qb_loop_timer_add(w->loop, QB_LOOP_LOW, ms * 1000000, w->loop,
			  stop_loop, &h);
	qb_loop_run(w->loop);
}

static void open_passes_in_bursts_and_stays_plugged(void **state)
{
	struct world *w = *state;
	int i;

	ops->hold(w->g, 1);
	guest_sends(&w->m, 0);
	ops->barrier(w->g, 1);
	guest_sends(&w->m, 1);
	assert_int_equal(open_for_ms(w, 600000), 0);
	expect_out(w, 2);
	/* A remusd that hangs, or is gone, makes no bursts. */
	guest_sends(&w->m, 2);
	expect_out(w, 2);
	for (i = 0; i < 2000 && w->m.nout < 3; i++)
		run_ms(w, 5);
	expect_out(w, 3);
}

static void expired_open_makes_no_burst(void **state)
{
	struct world *w = *state;
	uint64_t end;

	ops->hold(w->g, 1);
	open_for_ms(w, 1);
	end = now_boot_ns() + 2000000;
	while (now_boot_ns() < end)
		;
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	w->m.nout = 0;
	guest_sends(&w->m, 0);
	run_ms(w, 20);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	expect_out(w, 0);
	assert_int_equal(release(w, 1), 1);
	expect_out(w, 1);
}

static void barrier_when_open_passes_then_holds(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	open_for_ms(w, 600000);
	guest_sends(&w->m, 0);
	assert_int_equal(ops->barrier(w->g, 4), 0);
	expect_out(w, 1);
	assert_int_equal(ops->state(w->g), GATE_HOLDING);
	guest_sends(&w->m, 1);
	assert_int_equal(release(w, 4), 1); /* an empty set */
	expect_out(w, 1);
	ops->barrier(w->g, 5);
	release(w, 5);
	expect_out(w, 2);
}

/* Random events, requests that fail among them: nothing leaves before the
 * epoch in which it was sent is acknowledged, but while OPEN. */
static void random_events_keep_output_commit(void **state)
{
	static uint64_t epoch_of[FRAMES_MAX];
	struct world *w = *state;
	uint64_t epoch = 1, acked = 0;
	uint32_t nr = 0, step, i, before;

	srand(11);
	ops->hold(w->g, epoch);
	for (step = 0; step < 100000 && nr < FRAMES_MAX; step++) {
		before = w->m.nout;
		w->m.fail_in = rand() % 40 == 0 ? 1 + rand() % 3 : 0;
		switch (rand() % 8) {
		case 0: case 1: case 2:
			epoch_of[nr] = epoch;
			guest_sends(&w->m, nr++);
			break;
		case 3: case 4:
			if (ops->barrier(w->g, epoch) == 0)
				epoch++;
			break;
		case 5: case 6:
			if (acked + 1 < epoch)
				acked++;
			release(w, acked);
			break;
		case 7:
			if (rand() % 50 == 0) {
				ops->shut(w->g);
				ops->hold(w->g, epoch);
			} else if (rand() % 50 == 0) {
				open_for_ms(w, 600000);
				ops->hold(w->g, epoch);
				before = w->m.nout;
			}
			break;
		}
		if (ops->state(w->g) == GATE_CLOSED) { /* a failed hold() */
			w->m.fail_in = 0;
			ops->hold(w->g, epoch);
		}
		for (i = before; i < w->m.nout; i++)
			assert_true(epoch_of[w->m.out[i]] <= acked);
	}
	for (i = 1; i < w->m.nout; i++)
		assert_true(w->m.out[i] > w->m.out[i - 1]);
	assert_true(w->m.nout > 1000);
}

/* ---- the kernel that runs ---- */

static int real_talk_but_plug(void *ctx, struct nl_msg *msg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct nlattr *kind;

	if (h->nlmsg_type == RTM_NEWQDISC) {
		kind = nlmsg_find_attr(h, sizeof(struct tcmsg), TCA_KIND);
		if (kind != NULL && strcmp(nla_get_string(kind), "plug") == 0)
			return 0;
	}
	return plug_kernel_io.talk(ctx, msg);
}

static unsigned int real_ifindex(void *ctx, const char *name)
{
	return plug_kernel_io.ifindex(ctx, name);
}

static int real_stats(void *ctx, unsigned int ifindex, struct plug_stats *out)
{
	return plug_kernel_io.stats(ctx, ifindex, out);
}

static void real_close(void *ctx)
{
	plug_kernel_io.close(ctx);
}

static const char *const net_up =
	"ip link add br0 type bridge && ip link add v0 type veth peer name v1 "
	"&& ip link add o0 type veth peer name o1 && ip link set br0 up "
	"&& for i in v0 o0; do ip link set $i master br0; done "
	"&& for i in v0 v1 o0 o1; do ip link set $i up; done";

static bool have_net(void)
{
	if (enter_new_netns() == 0 && system(net_up) == 0)
		return true;
	print_message("needs root, iproute2, bridge and veth\n");
	return false;
}

static void send_on(const char *ifname, uint32_t nr)
{
	int s = frame_socket(ifname);
	uint8_t f[TEST_FRAME_BYTES];

	assert_true(s >= 0);
	make_frame(f, nr);
	assert_int_equal(send(s, f, sizeof(f), 0), sizeof(f));
	close(s);
}

static void expect_on(int s, uint32_t nr)
{
	uint32_t got;

	assert_true(frame_next(s, &got, DEADLINE_MS));
	assert_int_equal(got, nr);
}

/* Everything but the plug itself, which this kernel may not have: without it
 * the IFB passes frames on, so that the redirection can be seen to work. */
static void redirection_works_in_the_running_kernel(void **state)
{
	static const struct plug_io io = { real_talk_but_plug, real_ifindex,
					   real_stats, real_close };
	struct gate_config c = config;
	struct gate *g;
	char err[200] = "";
	void *kernel;
	int out;

	(void)state;
	if (!have_net())
		skip();
	c.tap = "v0";
	out = frame_socket("o1");
	send_on("v1", 1);
	expect_on(out, 1);
	assert_int_equal(plug_kernel_open(&kernel), 0);
	if (gate_plug_create_on(&g, &c, NULL, &io, kernel, err, sizeof(err))) {
		print_message("%s\n", err);
		close(out);
		skip();
	}
	send_on("v1", 2); /* CLOSED: dropped */
	send_on("br0", 3);
	expect_on(out, 3);
	ops->hold(g, 1);
	assert_int_equal(ops->state(g), GATE_HOLDING);
	send_on("v1", 4); /* through the IFB, which holds nothing here */
	expect_on(out, 4);
	assert_int_equal(system("tc -s qdisc show | grep -A2 'dev rifb' | "
				"grep -q 'Sent [1-9]'"), 0);
	ops->shut(g);
	send_on("v1", 5);
	send_on("br0", 6);
	expect_on(out, 6);
	ops->destroy(g);
	send_on("v1", 7);
	expect_on(out, 7);
	assert_int_not_equal(system("ip -o link | grep -q rifb"), 0);
	close(out);
}

/* Either the kernel has sch_plug, then frames wait in it; or create() says so
 * and leaves nothing behind. */
static void running_kernel_holds_or_refuses(void **state)
{
	struct permit ack = permit_from_ack(1, UINT64_MAX);
	struct gate_config c = config;
	struct gate *g;
	char err[200];
	int out, rc;

	(void)state;
	if (!have_net())
		skip();
	c.tap = "v0";
	out = frame_socket("o1");
	rc = ops->create(&g, &c, NULL, err, sizeof(err));
	if (rc < 0) {
		print_message("%s\n", err);
		assert_int_equal(rc, -EOPNOTSUPP);
		assert_non_null(strstr(err, "'v0'"));
		assert_non_null(strstr(err, "gate=relay"));
		assert_int_not_equal(system("ip -o link | grep -q rifb"), 0);
		assert_int_not_equal(system("tc qdisc show dev v0 | "
					    "grep -q ingress"), 0);
		send_on("v1", 1);
		expect_on(out, 1);
		close(out);
		return;
	}
	ops->hold(g, 1);
	send_on("v1", 1);
	assert_int_equal(ops->barrier(g, 1), 0);
	send_on("v1", 2);
	send_on("br0", 3);
	expect_on(out, 3);
	assert_int_equal(ops->release(g, &ack), 1);
	expect_on(out, 1);
	send_on("br0", 4);
	expect_on(out, 4);
	ops->destroy(g);
	close(out);
}

#define MODEL(f) cmocka_unit_test_setup_teardown(f, setup_model, teardown)
#define GATE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE(created_closed_and_removed_whole),
		MODEL(no_sch_plug_is_a_clear_error),
		MODEL(missing_vif_is_a_clear_error),
		MODEL(each_failing_request_is_undone),
		MODEL(ingress_of_others_is_refused),
		GATE(leftovers_are_taken_over),
		GATE(epoch_leaves_on_its_ack_only),
		GATE(epochs_in_flight_do_not_mix),
		GATE(wrong_permits_do_nothing),
		GATE(failed_requests_keep_frames),
		GATE(shut_drops_and_old_counts_are_gone),
		GATE(shut_that_failed_is_finished_before_hold),
		GATE(open_passes_in_bursts_and_stays_plugged),
		GATE(expired_open_makes_no_burst),
		GATE(barrier_when_open_passes_then_holds),
		GATE(random_events_keep_output_commit),
		MODEL(attached_to_an_interface_that_came_later),
		GATE(attached_again_for_each_guest),
		GATE(each_failing_attach_is_undone),
		cmocka_unit_test(redirection_works_in_the_running_kernel),
		cmocka_unit_test(running_kernel_holds_or_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
