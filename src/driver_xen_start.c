/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_xen_start.c - the helper is started, and followed until the domain
 * runs; and the end: who killed what, and when "gone" may be said.
 *
 *   boot(), activate()   helper: BUILT -> the gate is put on the vif -> GO ->
 *                        RUNNING
 *   its end              GONE: the domain is destroyed.  Else a destroyer is
 *                        started, again and again, until it could do its work.
 *
 * The end of a standby's helper before that is driver_xen_feed.c's business.
 */
#include <errno.h>
#include <fcntl.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_xen_priv.h"
#include "util.h"

#define PIPE_BYTES (1 << 20)
#define DESTROY_AGAIN_NS ((uint64_t)1000000000)

/* ---- the children ---- */

static int run_helper(const void *arg, int words, int out, int in)
{
	struct xen_task t = *(const struct xen_task *)arg;

	t.words = words;
	t.out = out;
	t.in = in;
	return xen_helper_run(&t);
}

static void reset(struct driver *d)
{
	xen_close_pipe(d);
	xen_feed_forget(d);
	stream_parser_free(d->parser);
	d->parser = NULL;
	xen_image_free(d->image);
	d->image = NULL;
	free(d->config);
	d->config = NULL;
	d->stream = XEN_STREAM_NONE;
	d->by_kill = d->leaving = d->failed = d->ended = false;
	d->again = d->settled = d->tracking = d->broken = false;
	d->why[0] = '\0';
	d->state = XEN_EMPTY;
}

/* Nothing of ours runs any more: say so. */
static void over(struct driver *d)
{
	enum xen_state_of_driver was = d->state;
	bool by_kill = d->by_kill;
	char why[sizeof(d->why)];

	snprintf(why, sizeof(why), "%s",
		 by_kill ? "ended on request" : d->why);
	reset(d);
	qb_log(by_kill ? LOG_INFO : LOG_ERR, "%s: %s", d->cfg->name, why);
	if (by_kill)
		d->ev->gone(d->ctx, 1, why);
	else if (was == XEN_BOOTING || was == XEN_ACTIVATING)
		d->ev->running(d->ctx, -EIO, why);
	else
		d->ev->gone(d->ctx, 0, why);
}

/* ---- the destroyer ---- */

static void on_destroy_again(void *data)
{
	struct driver *d = data;

	d->timer_set = false;
	xen_start_destroyer(d);
}

static void destroy_again(struct driver *d)
{
	qb_log(LOG_ERR, "%s: its domain is not destroyed: %s; it is tried "
	       "again", d->cfg->name, d->why);
	if (qb_loop_timer_add(d->loop, QB_LOOP_MED, DESTROY_AGAIN_NS, d,
			      on_destroy_again, &d->timer) == 0)
		d->timer_set = true;
}

static void is_prepared(struct driver *d)
{
	int rc = xen_image_new(&d->image, d->npages);

	d->state = rc == 0 ? XEN_STANDBY : XEN_EMPTY;
	d->ev->standby(d->ctx, rc, rc == 0 ? "" : strerror(-rc));
}

static void on_destroyer_ended(void *ctx, int code)
{
	struct driver *d = ctx;

	xen_child_free(d->destroyer);
	d->destroyer = NULL;
	if (d->state == XEN_PREPARING && !d->by_kill && code != 0) {
		d->state = XEN_EMPTY;
		d->ev->standby(d->ctx, -EIO, d->why);
	} else if (code != 0) {
		destroy_again(d);
	} else if (d->state == XEN_PREPARING && !d->by_kill) {
		is_prepared(d);
	} else if (!d->by_kill && !d->leaving) {
		xen_feed_next(d); /* only the feed was lost */
	} else {
		over(d);
	}
}

static void on_destroyer_said(void *ctx, const struct xen_say *m,
			      const char *config, size_t config_bytes)
{
	struct driver *d = ctx;

	(void)config;
	(void)config_bytes;
	if (m->word == XEN_FAILED)
		snprintf(d->why, sizeof(d->why), "%s", m->why);
}

static const struct xen_child_events destroyer_events = {
	.said = on_destroyer_said,
	.ended = on_destroyer_ended,
};

static int fork_helper(struct driver *d, struct xen_child **out,
		       const struct xen_task *task, int to, int from,
		       const struct xen_child_events *events, char *err,
		       size_t err_bytes)
{
	struct xen_child_params p = {
		.loop = d->loop,
		.log = d->log,
		.out = to,
		.in = from,
		.run = run_helper,
		.arg = task,
		.events = events,
		.ctx = d,
	};

	return xen_child_start(out, &p, err, err_bytes);
}

static int fork_destroyer(struct driver *d, bool all, char *err,
			  size_t err_bytes)
{
	struct xen_task t = {
		.xen = d->xen,
		.job = XEN_DESTROY,
		.name = d->cfg->name,
		.all = all,
	};

	return fork_helper(d, &d->destroyer, &t, -1, -1, &destroyer_events,
			   err, err_bytes);
}

void xen_start_destroyer(struct driver *d)
{
	if (fork_destroyer(d, d->destroy_all, d->why, sizeof(d->why)) < 0)
		destroy_again(d);
}

/* ---- the helper ---- */

/* The gate first: from its first instant on the guest's output is held. */
static void built(struct driver *d, const struct xen_say *m,
		  const char *config, size_t config_bytes)
{
	char err[300];

	free(d->config);
	d->config = strndup(config, config_bytes);
	if (d->config == NULL) {
		xen_die(d, "out of memory");
		return;
	}
	if (d->ev->interface(d->ctx, m->vif, err, sizeof(err)) < 0) {
		xen_die(d, err);
		return;
	}
	qb_log(LOG_INFO, "%s: domain %u, its interface %s", d->cfg->name,
	       m->domid, m->vif);
	if (xen_child_say(d->helper, XEN_GO) < 0)
		xen_die(d, "the helper does not listen");
}

static void runs(struct driver *d)
{
	if (d->state != XEN_BOOTING && d->state != XEN_ACTIVATING)
		return;
	d->state = XEN_GUEST_RUNS;
	d->ev->running(d->ctx, 0, "");
}

static void on_said(void *ctx, const struct xen_say *m, const char *config,
		    size_t config_bytes)
{
	struct driver *d = ctx;

	qb_log(LOG_TRACE, "%s: helper: %s %s", d->cfg->name,
	       xen_word_to_str(m->word), m->why);
	if (d->leaving)
		return;
	switch (m->word) {
	case XEN_BUILT: built(d, m, config, config_bytes); break;
	case XEN_RUNNING: runs(d); break;
	case XEN_SETTLED: xen_settled(d); break;
	case XEN_RESUMED: xen_resumed(d); break;
	case XEN_SAVED: xen_saved(d, m->rc, m->why); break;
	case XEN_GONE:
		d->ended = d->leaving = true;
		snprintf(d->why, sizeof(d->why), "%s", m->why);
		break;
	case XEN_FAILED:
		d->failed = true;
		d->leaving = !xen_feed_may_be_lost(d);
		snprintf(d->why, sizeof(d->why), "%s", m->why);
		break;
	default: break;
	}
}

static void on_helper_ended(void *ctx, int code)
{
	struct driver *d = ctx;

	xen_child_free(d->helper);
	d->helper = NULL;
	xen_close_pipe(d);
	if (!d->leaving && xen_feed_lost(d))
		return;
	if (!d->leaving)
		snprintf(d->why, sizeof(d->why), "the helper ended with %d; "
			 "%.300s may say why", code, d->log);
	d->leaving = true;
	/* One that xl made may not be marked yet; of what failed before it
	 * ran, only what is marked as ours. */
	d->destroy_all = d->state >= XEN_GUEST_RUNS ||
			 (d->state == XEN_BOOTING && !d->failed);
	if (d->ended && code == 0)
		over(d);
	else
		xen_start_destroyer(d);
}

static const struct xen_child_events helper_events = {
	.said = on_said,
	.ended = on_helper_ended,
};

int xen_start_helper(struct driver *d, const struct xen_task *task, int from,
		     char *err, size_t err_bytes)
{
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return set_err(err, err_bytes, -errno, "no pipe: %s",
			       strerror(errno));
	/* The guest stands still while its pages go through here. */
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	rc = fork_helper(d, &d->helper, task, ends[1], from, &helper_events,
			 err, err_bytes);
	close(ends[1]);
	if (rc < 0) {
		close(ends[0]);
		return rc;
	}
	rc = xen_read_pipe(d, ends[0]);
	if (rc < 0) {
		xen_child_free(d->helper);
		d->helper = NULL;
		return set_err(err, err_bytes, rc, "the helper's pipe: %s",
			       strerror(-rc));
	}
	return 0;
}

/* ---- ops ---- */

int xen_boot(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	struct xen_task t = {
		.xen = d->xen,
		.job = XEN_BOOT,
		.name = d->cfg->name,
		.cfg = d->cfg->xl,
		.memory_bytes = d->cfg->memory_bytes,
	};
	int rc;

	(void)net_fd;
	if (d->state != XEN_EMPTY)
		return set_err(err, err_bytes, -EBUSY, "a guest is there");
	if (xen_image_new(&d->image, d->npages) < 0)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	rc = xen_start_helper(d, &t, -1, err, err_bytes);
	if (rc < 0)
		reset(d);
	else
		d->state = XEN_BOOTING;
	return rc;
}

int xen_standby(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	int rc;

	(void)net_fd;
	if (d->state != XEN_EMPTY)
		return set_err(err, err_bytes, -EBUSY, "a guest is there");
	d->destroy_all = false;
	rc = fork_destroyer(d, false, err, err_bytes);
	if (rc == 0)
		d->state = XEN_PREPARING;
	return rc;
}

/* ---- the end ---- */

void xen_die(struct driver *d, const char *why)
{
	if (d->leaving)
		return;
	d->leaving = true;
	if (why != d->why)
		snprintf(d->why, sizeof(d->why), "%s", why);
	xen_child_kill(d->helper);
}

void xen_kill(struct driver *d)
{
	if (d->state == XEN_EMPTY ||
	    (d->state == XEN_STANDBY && d->helper == NULL &&
	     d->destroyer == NULL && !d->timer_set)) {
		reset(d);
		loop_soon(&d->soon);
		return;
	}
	d->by_kill = true;
	if (d->helper != NULL)
		xen_die(d, "");
	else if (d->destroyer == NULL && !d->timer_set)
		xen_start_destroyer(d); /* else one is at work, or will be */
}

/* Ends in bounded time, since the helper's own tries are. */
static void destroy_now(struct driver *d)
{
	bool all = d->state == XEN_BOOTING || d->state >= XEN_GUEST_RUNS;
	char err[300];

	if (fork_destroyer(d, all, err, sizeof(err)) < 0 ||
	    xen_child_wait(d->destroyer) != 0)
		qb_log(LOG_CRIT, "%s: its domain is not destroyed; its output "
		       "stays held", d->cfg->name);
	xen_child_free(d->destroyer);
	d->destroyer = NULL;
}

void xen_destroy(struct driver *d)
{
	bool ours;

	if (d == NULL)
		return;
	ours = (d->state >= XEN_BOOTING && !d->ended) || d->helper != NULL;
	loop_soon_cancel(&d->soon);
	if (d->timer_set)
		qb_loop_timer_del(d->loop, d->timer);
	xen_child_free(d->destroyer);
	d->destroyer = NULL;
	xen_child_free(d->helper);
	d->helper = NULL;
	if (ours)
		destroy_now(d);
	reset(d);
	page_bitmap_free(&d->unfed);
	free(d->packed.data);
	free(d->buffer);
	free(d);
}
