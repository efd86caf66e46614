/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate_plug.c - the gate for guests whose frames never pass through remusd:
 * Xen vifs and kernel TAPs.
 *
 *   guest --> vif --ingress: redirect--> IFB [plug] --> back to vif --> bridge
 *
 * Fail closed (S7): the plug is the kernel's and outlives us plugged.  OPEN is
 * not the kernel's pass-through mode, which would outlive us too: it is a burst
 * every BURST_NS, each "close what came so far, let it out" under a look at the
 * ticket's clock.  A remusd that is killed, stopped or hung makes no burst.
 * Cost: in OPEN a frame waits up to BURST_NS.
 *
 *   CLOSED   the IFB is down: frames are dropped at the redirection
 *   HOLDING  the IFB is up, plugged
 *   OPEN     the IFB is up, plugged, with bursts
 *
 * sch_plug knows one closed set of frames at a time (plug_netlink.h).  So a
 * barrier that comes while the last closed set is not acknowledged yet makes
 * no new one: its frames wait for the next barrier after the acknowledgement,
 * and for that one's epoch.  Later than they might, never earlier.
 *
 *   `closed`     a set is closed in the kernel, not released
 *   closed_epoch it holds frames of epochs <= this one, all of them
 *
 * A predecessor that was killed leaves IFB and redirection behind; create()
 * takes them over as they are, so that there is no moment in which the vif is
 * not redirected.  destroy() does undo the redirection: the guest must be gone.
 * Nobody else may touch the IFB: set down and up by hand, its frames are gone
 * and the plug's counters are not (see renew_plug()).
 *
 * Counting is the kernel's: `released` and `held` come from the qdisc.  Frames
 * dropped while CLOSED are counted at the redirection (tc -s filter), not in
 * `dropped`; towards the guest nothing passes here, so inbound stays 0.
 * release() returns 1 when it let out a set, however many frames that were.
 */
#ifdef HAVE_LIBNL_ROUTE

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plug_netlink.h"
#include "tap.h"
#include "util.h"

#define BURST_NS 5000000u

struct gate {
	const struct plug_io *io;
	void *io_ctx;
	qb_loop_t *loop;
	char *vm;
	char vif_name[IFNAMSIZ], ifb_name[IFNAMSIZ];
	unsigned int vif, ifb;
	bool ifb_made, ingress_made; /* by us or by our predecessor */
	enum gate_state state;
	uint64_t open_epoch;
	bool closed;
	uint64_t closed_epoch;
	struct permit ticket;
	qb_loop_timer_handle timer;
	bool timer_armed;
	size_t limit;
	struct plug_stats past; /* of the plugs before this one */
};

/* ---- requests ---- */

/* Sends what a plug_msg_ function made, and frees it. */
static int say(struct gate *g, int build, struct nl_msg *msg)
{
	int rc;

	if (build < 0)
		return build;
	rc = g->io->talk(g->io_ctx, msg);
	nlmsg_free(msg);
	return rc;
}

static int plug(struct gate *g, enum plug_cmd cmd)
{
	static const char *const names[] = { "buffer", "release one" };
	struct nl_msg *msg;
	int rc = plug_msg_plug_cmd(&msg, g->ifb, cmd);

	rc = say(g, rc, msg);
	if (rc < 0)
		qb_log(LOG_ERR, "%s: gate: plug on '%s': %s: %s", g->vm,
		       g->ifb_name, names[cmd], strerror(-rc));
	return rc;
}

static int ifb_set(struct gate *g, bool up)
{
	struct nl_msg *msg;
	int rc = plug_msg_link_set(&msg, g->ifb, up);

	rc = say(g, rc, msg);
	if (rc < 0)
		qb_log(LOG_ERR, "%s: gate: '%s' cannot be set %s: %s", g->vm,
		       g->ifb_name, up ? "up" : "down", strerror(-rc));
	return rc;
}

/* IFB down, with a new plug: no frames, counters at zero.  Frames and counters
 * must go together: what an old counter promises to let out would be taken from
 * frames that come later.  While there is no plug nothing can pass, because the
 * IFB is down; on failure it stays so. */
static int renew_plug(struct gate *g)
{
	struct plug_stats s = { 0 };
	struct nl_msg *msg;
	int rc = ifb_set(g, false);

	if (rc < 0)
		return rc;
	if (g->io->stats(g->io_ctx, g->ifb, &s) < 0)
		memset(&s, 0, sizeof(s));
	/* Fails when there is none; when that is not why, adding fails. */
	rc = plug_msg_plug_del(&msg, g->ifb);
	if (say(g, rc, msg) == 0) {
		g->past.packets += s.packets;
		g->past.drops += s.drops + s.qlen;
	}
	rc = plug_msg_plug_add(&msg, g->ifb, g->limit);
	rc = say(g, rc, msg);
	if (rc < 0)
		qb_log(LOG_ERR, "%s: gate: no plug on '%s': %s", g->vm,
		       g->ifb_name, strerror(-rc));
	else
		g->closed = false;
	return rc;
}

/* ---- creation ---- */

static int make_ifb(struct gate *g, char *err, size_t err_bytes)
{
	struct nl_msg *msg;
	int rc;

	snprintf(g->ifb_name, sizeof(g->ifb_name), "rifb%u", g->vif % 10000000);
	g->ifb = g->io->ifindex(g->io_ctx, g->ifb_name);
	g->ifb_made = g->ifb == 0;
	if (g->ifb_made) {
		rc = plug_msg_ifb_add(&msg, g->ifb_name);
		rc = say(g, rc, msg);
		g->ifb = g->io->ifindex(g->io_ctx, g->ifb_name);
		g->ifb_made = rc == 0;
		if (rc == 0 && g->ifb == 0)
			rc = -ENODEV;
		if (rc < 0)
			return set_err(err, err_bytes, rc,
				       "gate plug on '%s': no IFB '%s': %s%s",
				       g->vif_name, g->ifb_name, strerror(-rc),
				       rc == -EOPNOTSUPP ? " (kernel has no "
				       "ifb; use gate=relay)" : "");
	}
	return 0;
}

static int make_plug(struct gate *g, char *err, size_t err_bytes)
{
	int rc = renew_plug(g);

	memset(&g->past, 0, sizeof(g->past)); /* a predecessor's */
	if (rc == -ENOENT || rc == -EOPNOTSUPP)
		return set_err(err, err_bytes, -EOPNOTSUPP,
			       "gate plug on '%s': kernel has no sch_plug: %s; "
			       "use gate=relay", g->vif_name, strerror(-rc));
	if (rc < 0)
		return set_err(err, err_bytes, rc,
			       "gate plug on '%s': no plug on '%s': %s",
			       g->vif_name, g->ifb_name, strerror(-rc));
	return 0;
}

static int make_redirect(struct gate *g, char *err, size_t err_bytes)
{
	struct nl_msg *msg;
	int rc;

	rc = plug_msg_ingress_add(&msg, g->vif);
	rc = say(g, rc, msg);
	g->ingress_made = rc == 0;
	if (rc == -EEXIST && g->ifb_made)
		return set_err(err, err_bytes, rc,
			       "gate plug on '%s': it has an ingress queue of "
			       "others; expected none (tc qdisc del dev %s "
			       "ingress)", g->vif_name, g->vif_name);
	if (rc < 0 && rc != -EEXIST)
		return set_err(err, err_bytes, rc,
			       "gate plug on '%s': no ingress queue: %s",
			       g->vif_name, strerror(-rc));
	rc = plug_msg_redirect_add(&msg, g->vif, g->ifb);
	rc = say(g, rc, msg);
	if (rc < 0 && rc != -EEXIST)
		return set_err(err, err_bytes, rc,
			       "gate plug on '%s': no redirection to '%s': %s",
			       g->vif_name, g->ifb_name, strerror(-rc));
	g->ifb_made = g->ingress_made = true; /* ours to remove from now on */
	return 0;
}

static void undo(struct gate *g)
{
	struct nl_msg *msg;
	int rc;

	if (g->ingress_made) {
		rc = plug_msg_ingress_del(&msg, g->vif);
		say(g, rc, msg); /* fails when the vif went with the guest */
	}
	if (g->ifb_made) {
		rc = plug_msg_link_del(&msg, g->ifb);
		say(g, rc, msg);
	}
	g->ingress_made = g->ifb_made = g->closed = false;
	g->vif = g->ifb = 0;
}

static void plug_destroy(struct gate *g)
{
	if (g == NULL)
		return;
	if (g->timer_armed)
		qb_loop_timer_del(g->loop, g->timer);
	undo(g);
	g->io->close(g->io_ctx);
	free(g->vm);
	free(g);
}

static int build(struct gate *g, const char *vif, char *err, size_t err_bytes)
{
	int rc = tap_name_check(vif, "tap", err, err_bytes);

	if (rc < 0)
		return rc;
	memcpy(g->vif_name, vif, strlen(vif) + 1);
	g->vif = g->io->ifindex(g->io_ctx, vif);
	if (g->vif == 0)
		return set_err(err, err_bytes, -ENODEV,
			       "gate plug: there is no interface '%s'; one "
			       "that the guest's output comes in by expected",
			       vif);
	rc = make_ifb(g, err, err_bytes);
	if (rc == 0)
		rc = make_plug(g, err, err_bytes);
	if (rc == 0)
		rc = make_redirect(g, err, err_bytes);
	return rc;
}

int gate_plug_create_on(struct gate **out, const struct gate_config *cfg,
			qb_loop_t *loop, const struct plug_io *io,
			void *io_ctx, char *err, size_t err_bytes)
{
	struct gate *g = calloc(1, sizeof(*g));
	int rc;

	*out = NULL;
	if (g != NULL)
		g->vm = strdup(cfg->vm);
	if (g == NULL || g->vm == NULL) {
		free(g);
		io->close(io_ctx);
		return set_err(err, err_bytes, -ENOMEM, "gate of %s: no memory",
			       cfg->vm);
	}
	g->io = io;
	g->io_ctx = io_ctx;
	g->loop = loop;
	g->limit = cfg->queue_bytes;
	rc = cfg->tap == NULL ? 0 : build(g, cfg->tap, err, err_bytes);
	if (rc < 0) {
		plug_destroy(g);
		return rc;
	}
	set_err(err, err_bytes, 0, "%s", "");
	*out = g;
	return 0;
}

static int plug_create(struct gate **out, const struct gate_config *cfg,
		       qb_loop_t *loop, char *err, size_t err_bytes)
{
	void *ctx;
	int rc = plug_kernel_open(&ctx);

	*out = NULL;
	if (rc < 0)
		return set_err(err, err_bytes, rc,
			       "gate plug on '%s': no rtnetlink socket: %s",
			       cfg->tap, strerror(-rc));
	return gate_plug_create_on(out, cfg, loop, &plug_kernel_io, ctx, err,
				   err_bytes);
}

static int plug_guest_fd(struct gate *g)
{
	(void)g;
	return -EOPNOTSUPP;
}

/* What the last guest's interface took with it is no loss: that guest is gone. */
static int plug_attach(struct gate *g, const char *name, char *err,
		       size_t err_bytes)
{
	int rc;

	undo(g);
	rc = build(g, name, err, err_bytes);
	if (rc == 0 && g->state != GATE_CLOSED)
		rc = ifb_set(g, true);
	if (rc < 0)
		undo(g);
	return rc;
}

/* ---- states ---- */

static void leave_open(struct gate *g)
{
	memset(&g->ticket, 0, sizeof(g->ticket));
	g->state = GATE_HOLDING;
}

/* Without an interface yet nothing can pass, and nothing is to be held. */
static bool is_there(const struct gate *g)
{
	return g->vif != 0;
}

static void plug_hold(struct gate *g, uint64_t epoch)
{
	if (g->state == GATE_HOLDING && epoch < g->open_epoch) {
		qb_log(LOG_ERR, "%s: gate: asked to hold epoch %" PRIu64
		       " while %" PRIu64 " is open; goes on with that one",
		       g->vm, epoch, g->open_epoch);
		return;
	}
	/* Once more, in case that failed in shut().  On failure it stays CLOSED,
	 * and barrier() will say so. */
	if (g->state == GATE_CLOSED && is_there(g) &&
	    (renew_plug(g) < 0 || ifb_set(g, true) < 0))
		return;
	g->open_epoch = epoch;
	leave_open(g);
}

static bool ticket_live(const struct gate *g)
{
	return permit_live(&g->ticket, now_boot_ns());
}

/* Let out the closed set.  Who calls has looked at its permit. */
static int release_set(struct gate *g)
{
	int rc = plug(g, PLUG_RELEASE_ONE);

	if (rc == 0)
		g->closed = false;
	return rc;
}

static int close_set(struct gate *g, uint64_t epoch)
{
	int rc;

	if (g->closed)
		return 0; /* see the top: the kernel has no place for two */
	rc = plug(g, PLUG_BUFFER);
	if (rc < 0)
		return rc;
	g->closed = true;
	g->closed_epoch = epoch;
	return 0;
}

/* Close a set, unless one is closed, and let it out; false: no more now. */
static bool burst_once(struct gate *g)
{
	if (close_set(g, g->open_epoch) < 0)
		return false;
	if (!ticket_live(g)) {
		qb_log(LOG_WARNING, "%s: gate: the ticket has run out; output "
		       "of epoch %" PRIu64 " is held", g->vm, g->open_epoch);
		leave_open(g);
		return false;
	}
	return release_set(g) == 0;
}

/* Everything that came so far. */
static void burst(struct gate *g)
{
	if (g->state != GATE_OPEN)
		return;
	if (!g->closed || burst_once(g))
		burst_once(g);
}

static int plug_barrier(struct gate *g, uint64_t epoch)
{
	int rc;

	if (!is_there(g))
		return -ENODEV;
	if (g->state == GATE_CLOSED || epoch < g->open_epoch) {
		qb_log(LOG_ERR, "%s: gate: barrier of epoch %" PRIu64
		       " while %s with epoch %" PRIu64 " open", g->vm, epoch,
		       gate_state_to_str(g->state), g->open_epoch);
		return -EINVAL;
	}
	g->open_epoch = epoch;
	burst(g);
	rc = close_set(g, epoch);
	if (rc < 0)
		return rc;
	g->open_epoch = epoch + 1;
	leave_open(g);
	return 0;
}

/* What the kernel's queue holds cannot be looked at. */
static void plug_segments(const struct gate *g, uint64_t epoch,
			  struct segments *out)
{
	(void)g;
	(void)epoch;
	(void)out;
}

static void plug_put(struct gate *g, const void *frame, size_t len)
{
	(void)g;
	(void)frame;
	(void)len;
}

static int plug_release(struct gate *g, const struct permit *p)
{
	int rc;

	if (permit_kind(p) != PERMIT_ACK)
		return -EPERM;
	if (!g->closed || g->closed_epoch > permit_epoch(p) ||
	    g->closed_epoch >= g->open_epoch)
		return 0;
	if (!permit_in_time(p, now_boot_ns())) {
		qb_log(LOG_WARNING, "%s: gate: the acknowledgement of epoch "
		       "%" PRIu64 " is too old by now; output is held", g->vm,
		       permit_epoch(p));
		return 0;
	}
	rc = release_set(g);
	return rc < 0 ? rc : 1;
}

static void on_timer(void *data);

static void arm_timer(struct gate *g)
{
	if (!g->timer_armed && g->loop != NULL)
		g->timer_armed = qb_loop_timer_add(g->loop, QB_LOOP_HIGH,
						   BURST_NS, g, on_timer,
						   &g->timer) == 0;
}

static void on_timer(void *data)
{
	struct gate *g = data;

	g->timer_armed = false;
	burst(g);
	if (g->state == GATE_OPEN)
		arm_timer(g);
}

static int plug_open(struct gate *g, const struct permit *p)
{
	if (!permit_live(p, now_boot_ns()))
		return -EPERM;
	if (g->state == GATE_CLOSED || !is_there(g))
		return -EINVAL;
	g->ticket = *p;
	g->state = GATE_OPEN;
	burst(g);
	arm_timer(g);
	return 0;
}

static void plug_shut(struct gate *g)
{
	if (g->state == GATE_CLOSED)
		return;
	leave_open(g);
	g->state = GATE_CLOSED;
	if (is_there(g))
		renew_plug(g); /* failed: plugged, or down; hold() tries again */
}

static enum gate_state plug_state(const struct gate *g)
{
	if (g->state == GATE_OPEN && !ticket_live(g))
		return GATE_HOLDING;
	return g->state;
}

static void plug_stats(const struct gate *g, struct gate_stats *out)
{
	struct plug_stats s = { 0 };

	memset(out, 0, sizeof(*out));
	if (!is_there(g))
		return;
	if (g->io->stats(g->io_ctx, g->ifb, &s) < 0)
		memset(&s, 0, sizeof(s));
	out->held = s.qlen;
	out->held_bytes = s.backlog_bytes;
	out->released = g->past.packets + s.packets;
	out->dropped = g->past.drops + s.drops;
}

const struct gate_ops gate_plug_ops = {
	.name = "plug",
	.create = plug_create,
	.guest_fd = plug_guest_fd,
	.attach = plug_attach,
	.hold = plug_hold,
	.barrier = plug_barrier,
	.segments = plug_segments,
	.put = plug_put,
	.release = plug_release,
	.open = plug_open,
	.shut = plug_shut,
	.state = plug_state,
	.stats = plug_stats,
	.destroy = plug_destroy,
};

#endif /* HAVE_LIBNL_ROUTE */
