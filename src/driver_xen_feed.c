/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_xen_feed.c - the standby domain, and taking over.
 *
 *   committed(), once in FEED_NS    a writer, forked, gives the helper's
 *                                   libxl_domain_create_restore() what changed,
 *                                   as a checkpoint of one long stream
 *   activate()                      the same with the epoch to run from; then
 *                                   the stream is closed, and restore() returns
 *   the helper fails                it is tried again after RETRY_NS; and when
 *                                   that is in activate(), with a plain stream
 *                                   of all pages
 *
 * What is committed is in the image first of all: the domain may be some epochs
 * behind, or not be there, and nothing depends on it.  The writer has the image
 * by fork(), as it was in the instant of that call, so that the next epochs can
 * go on into ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver_xen_priv.h"
#include "util.h"

#define PIPE_BYTES (1 << 20)
#define FEED_NS ((uint64_t)1000000000)
#define RETRY_NS ((uint64_t)30000000000)

/* ---- the writer ---- */

struct writing {
	const struct driver *d;
	struct xen_state state;
	bool begins; /* the stream, or it is all of it */
};

static int write_all(void *ctx, const void *data, size_t bytes)
{
	return write_fully(*(int *)ctx, data, bytes);
}

static int write_change(const struct writing *w, int out)
{
	const struct driver *d = w->d;
	uint8_t *types = malloc(d->npages);
	struct xen_state fed;
	char err[128];

	if (types == NULL ||
	    xen_state_parse(&fed, d->fed.data, d->fed.bytes, d->npages, err,
			    sizeof(err)) < 0)
		return -ENOMEM;
	xen_state_types(&fed, types, d->npages);
	return xen_state_write_checkpoint(&w->state, d->image->pages,
					  &d->unfed, types, write_all, &out);
}

static int run_writer(const void *arg, int words, int out, int in)
{
	const struct writing *w = arg;
	const uint8_t *pages = w->d->image->pages;
	int rc;

	(void)words;
	(void)in;
	if (w->d->whole)
		rc = xen_state_write(&w->state, pages, write_all, &out);
	else if (w->begins)
		rc = xen_state_write_checkpoint(&w->state, pages, NULL, NULL,
						write_all, &out);
	else
		rc = write_change(w, out);
	return rc == 0 ? 0 : 1;
}

static void on_writer_said(void *ctx, const struct xen_say *m,
			   const char *config, size_t config_bytes)
{
	(void)ctx;
	(void)m;
	(void)config;
	(void)config_bytes;
}

static void on_writer_ended(void *ctx, int code)
{
	struct driver *d = ctx;

	xen_child_free(d->writer);
	d->writer = NULL;
	/* What was begun cannot be gone on with. */
	if (code != 0 && d->helper != NULL)
		xen_child_kill(d->helper);
	else
		xen_feed_next(d);
}

static const struct xen_child_events writer_events = {
	.said = on_writer_said,
	.ended = on_writer_ended,
};

static int start_writer(struct driver *d, const struct writing *w, char *err,
			size_t err_bytes)
{
	struct xen_child_params p = {
		.loop = d->loop,
		.log = d->log,
		.out = d->feed,
		.in = -1,
		.run = run_writer,
		.arg = w,
		.events = &writer_events,
		.ctx = d,
	};
	size_t bytes = d->npages * REMUS_PAGE_SIZE;
	int rc;

	madvise(d->image->pages, bytes, MADV_DOFORK);
	rc = xen_child_start(&d->writer, &p, err, err_bytes);
	madvise(d->image->pages, bytes, MADV_DONTFORK);
	return rc;
}

/* ---- the helper ---- */

static void hang_up(struct driver *d)
{
	if (d->feed >= 0)
		close(d->feed);
	d->feed = -1;
}

static int start_restore(struct driver *d, const struct xen_state *s,
			 char *err, size_t err_bytes)
{
	char *config = strndup(s->config, s->config_bytes);
	struct xen_task t = {
		.xen = d->xen,
		.job = XEN_RESTORE,
		.name = d->cfg->name,
		.config = config,
		.checkpoints = !d->whole,
		.memory_bytes = d->cfg->memory_bytes,
	};
	int ends[2], rc;

	if (config == NULL || pipe2(ends, O_CLOEXEC) < 0) {
		free(config);
		return set_err(err, err_bytes, -ENOMEM, "no pipe");
	}
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	rc = xen_start_helper(d, &t, ends[0], err, err_bytes);
	close(ends[0]);
	free(config);
	if (rc < 0)
		close(ends[1]);
	else
		d->feed = ends[1];
	return rc;
}

/* One checkpoint, or the plain stream.  No writer, no destroyer is at work. */
static int give(struct driver *d, const void *state, size_t bytes, char *err,
		size_t err_bytes)
{
	struct writing w = { .d = d, .begins = d->feed < 0 };
	int rc = xen_state_parse(&w.state, state, bytes, d->npages, err,
				 err_bytes);

	if (rc == 0 && w.begins)
		rc = start_restore(d, &w.state, err, err_bytes);
	if (rc == 0)
		rc = start_writer(d, &w, err, err_bytes);
	if (rc < 0)
		return rc;
	page_bitmap_clear_all(&d->unfed);
	d->fed.bytes = 0;
	d->feed_ns = now_mono_ns() + FEED_NS;
	rc = xen_bytes_add(&d->fed, state, bytes);
	if (rc < 0) /* the next one could not be told from this */
		xen_child_kill(d->helper);
	return rc;
}

static bool goes_on(const struct driver *d, const void *state, size_t bytes)
{
	struct xen_state a, b;
	char err[128];

	return xen_state_parse(&a, d->fed.data, d->fed.bytes, d->npages, err,
			       sizeof(err)) == 0 &&
	       xen_state_parse(&b, state, bytes, d->npages, err,
			       sizeof(err)) == 0 &&
	       xen_state_goes_on(&a, &b);
}

void xen_committed(struct driver *d, struct page_bitmap *changed,
		   const void *state, size_t bytes)
{
	char err[300];

	if (d->state != XEN_STANDBY)
		return;
	page_bitmap_or(&d->unfed, changed);
	page_bitmap_clear_all(changed);
	if (d->writer != NULL || d->destroyer != NULL || d->timer_set ||
	    now_mono_ns() < d->feed_ns)
		return;
	if (d->feed >= 0 && !goes_on(d, state, bytes)) {
		xen_child_kill(d->helper); /* a new one is begun after it */
		return;
	}
	if (give(d, state, bytes, err, sizeof(err)) < 0) {
		qb_log(LOG_ERR, "%s: no standby domain: %s", d->cfg->name,
		       err);
		d->feed_ns = now_mono_ns() + RETRY_NS;
		if (d->helper != NULL)
			xen_child_kill(d->helper);
	}
}

/* ---- what can go wrong with it ---- */

bool xen_feed_may_be_lost(const struct driver *d)
{
	return d->state == XEN_STANDBY ||
	       (d->state == XEN_ACTIVATING && !d->whole);
}

bool xen_feed_lost(struct driver *d)
{
	bool by_us = d->why[0] == '\0';

	if (!xen_feed_may_be_lost(d))
		return false;
	hang_up(d);
	qb_log(by_us ? LOG_INFO : LOG_ERR, "%s: the standby domain is gone%s%s",
	       d->cfg->name, by_us ? "" : ": ", d->why);
	d->feed_ns = now_mono_ns() + (by_us ? FEED_NS : RETRY_NS);
	d->why[0] = '\0';
	d->failed = d->closed = false;
	d->whole = d->state == XEN_ACTIVATING;
	d->destroy_all = false;
	xen_start_destroyer(d);
	return true;
}

/* ---- taking over ---- */

void xen_feed_next(struct driver *d)
{
	char err[300];

	if (d->state != XEN_ACTIVATING || d->leaving || d->closed ||
	    d->writer != NULL || d->destroyer != NULL || d->timer_set)
		return;
	if (d->feed >= 0 &&
	    !goes_on(d, d->wanted.data, d->wanted.bytes)) {
		xen_child_kill(d->helper);
		return; /* and from there back here */
	}
	if (give(d, d->wanted.data, d->wanted.bytes, err, sizeof(err)) < 0) {
		snprintf(d->why, sizeof(d->why), "%s", err);
		d->leaving = true;
		if (d->helper != NULL)
			xen_child_kill(d->helper);
		else
			xen_start_destroyer(d);
		return;
	}
	d->closed = true;
	hang_up(d); /* the stream ends where the writer does */
}

int xen_activate(struct driver *d, const void *state, size_t bytes, char *err,
		 size_t err_bytes)
{
	struct xen_state s;
	int rc;

	if (d->state != XEN_STANDBY)
		return set_err(err, err_bytes, -EINVAL, "no standby is ready");
	rc = xen_state_parse(&s, state, bytes, d->npages, err, err_bytes);
	if (rc < 0)
		return rc;
	d->wanted.bytes = 0;
	if (xen_bytes_add(&d->wanted, state, bytes) < 0)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	/* Where no domain was made in advance, a plain stream does it. */
	d->whole = d->feed < 0;
	d->closed = false;
	d->state = XEN_ACTIVATING;
	xen_feed_next(d);
	return 0;
}

void xen_feed_forget(struct driver *d)
{
	xen_child_free(d->writer);
	d->writer = NULL;
	hang_up(d);
	d->whole = d->closed = false;
	d->feed_ns = 0;
	if (d->unfed.words != NULL)
		page_bitmap_clear_all(&d->unfed);
	free(d->fed.data);
	free(d->wanted.data);
	memset(&d->fed, 0, sizeof(d->fed));
	memset(&d->wanted, 0, sizeof(d->wanted));
}
