/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_xen.c - see driver_xen.h.  Top to bottom: the stream that comes in,
 * checkpoints, what else is asked of a driver.
 */
#include "driver_xen.h"

#include <errno.h>
#include <poll.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "digest.h"
#include "driver_xen_priv.h"
#include "util.h"

#define READ_BYTES ((size_t)1 << 20)
/* After so long without a checkpoint there is a live copy before the next. */
#define STALE_NS ((uint64_t)3000000000)

/* ---- the stream ---- */

static int on_event(void *ctx, const struct stream_event *ev)
{
	struct driver *d = ctx;

	if (ev->kind == STREAM_CHECKPOINT)
		d->checkpoint = true;
	return xen_image_event(d->image, ev);
}

/* It cannot be read any further.  The helper ends it; the guest goes on. */
static void break_stream(struct driver *d)
{
	const char *why = stream_parser_error(d->parser);

	if (d->image->err[0] != '\0')
		why = d->image->err;
	snprintf(d->why, sizeof(d->why), "the domain's stream: %s", why);
	d->broken = true;
	d->stream = XEN_STREAM_ENDING;
	d->settled = false;
	if (xen_child_say(d->helper, XEN_FINISH) < 0 ||
	    xen_child_say(d->helper, XEN_RESUME) < 0)
		xen_die(d, d->why);
}

/* All of the epoch is here, and the guest stands still. */
static void got_checkpoint(struct driver *d)
{
	int rc;

	d->checkpoint = false;
	d->stream = XEN_STREAM_STEADY;
	d->settled = false; /* of the live copy: steady says as much */
	d->checkpoint_ns = now_mono_ns();
	if (d->state != XEN_SUSPENDING)
		return;
	d->state = XEN_SUSPENDED;
	rc = xen_state_pack(d->image, d->config, &d->packed);
	d->ev->suspended(d->ctx, 0, "");
	if (d->state != XEN_SUSPENDED || d->leaving)
		return; /* it was killed */
	if (rc == 0) {
		d->ev->device_state(d->ctx, 0, d->packed.data, d->packed.bytes,
				    "");
		return;
	}
	/* resumed() is not for them: the guest runs again by device_state() */
	snprintf(d->why, sizeof(d->why), "%s", strerror(-rc));
	d->state = XEN_GUEST_RUNS;
	xen_child_say(d->helper, XEN_RESUME);
	d->ev->device_state(d->ctx, rc, NULL, 0, d->why);
}

static void take(struct driver *d, size_t bytes)
{
	if (d->broken || d->parser == NULL || d->leaving)
		return;
	if (stream_parser_feed(d->parser, d->buffer, bytes) < 0)
		break_stream(d);
	else if (d->checkpoint)
		got_checkpoint(d);
}

static void drain(struct driver *d)
{
	ssize_t n = 1;

	while (n > 0 && d->pipe >= 0) {
		n = read(d->pipe, d->buffer, READ_BYTES);
		if (n > 0)
			take(d, (size_t)n);
	}
}

static int on_pipe(int32_t fd, int32_t revents, void *data)
{
	struct driver *d = data;
	ssize_t n;

	(void)revents;
	/* Not all at once: the first copy is all of memory. */
	n = read(fd, d->buffer, READ_BYTES);
	if (n > 0)
		take(d, (size_t)n);
	if (n == 0)
		xen_close_pipe(d); /* the helper has ended, and is reaped */
	return 0;
}

int xen_read_pipe(struct driver *d, int fd)
{
	int rc;

	d->pipe = fd;
	rc = qb_loop_poll_add(d->loop, QB_LOOP_HIGH, fd, POLLIN, d, on_pipe);
	if (rc < 0) {
		close(fd);
		d->pipe = -1;
	}
	return rc;
}

void xen_close_pipe(struct driver *d)
{
	if (d->pipe < 0)
		return;
	qb_loop_poll_del(d->loop, d->pipe);
	close(d->pipe);
	d->pipe = -1;
}

static int begin_stream(struct driver *d)
{
	stream_parser_free(d->parser);
	d->parser = stream_parser_new(on_event, d);
	if (d->parser == NULL)
		return -ENOMEM;
	xen_image_restart(d->image);
	d->broken = d->checkpoint = d->settled = d->again = false;
	if (xen_child_say(d->helper, XEN_SAVE) < 0)
		return -ENOTCONN;
	d->stream = XEN_STREAM_LIVE;
	d->why[0] = '\0';
	return 0;
}

void xen_settled(struct driver *d)
{
	d->settled = d->stream == XEN_STREAM_LIVE;
}

void xen_resumed(struct driver *d)
{
	if (d->state != XEN_RESUMING_GUEST)
		return;
	d->state = XEN_GUEST_RUNS;
	d->ev->resumed(d->ctx, 0, "");
}

/* All of it is in the pipe when this is said: what is still in there is of the
 * old stream. */
void xen_saved(struct driver *d, int rc, const char *why)
{
	bool again = d->again, asked = d->state == XEN_SUSPENDING;

	drain(d);
	if (d->leaving)
		return;
	d->stream = XEN_STREAM_NONE;
	d->settled = false;
	if (rc == 0 && again && !d->broken) {
		rc = begin_stream(d);
		why = "a new stream cannot be begun";
		if (rc == 0 && asked)
			rc = xen_child_say(d->helper, XEN_SUSPEND);
		if (rc == 0)
			return;
	}
	if (!d->broken)
		snprintf(d->why, sizeof(d->why), "%s", why);
	qb_log(LOG_ERR, "%s: %s", d->cfg->name, d->why);
	if (asked) {
		d->state = XEN_GUEST_RUNS;
		d->ev->suspended(d->ctx, -EIO, d->why);
	}
}

/* ---- dirty pages ---- */

static int track_start(struct driver *d, char *err, size_t err_bytes)
{
	int rc;

	if (d->helper == NULL || d->leaving || d->image == NULL)
		return set_err(err, err_bytes, -ENOTCONN, "no guest runs");
	if (d->stream == XEN_STREAM_NONE) {
		rc = begin_stream(d);
		if (rc < 0)
			return set_err(err, err_bytes, rc, "no stream can be "
				       "begun: %s", strerror(-rc));
	}
	d->tracking = true;
	return 0;
}

static int collect(struct driver *d, struct page_bitmap *dirty)
{
	if (!d->tracking || d->image == NULL)
		return -EINVAL;
	page_bitmap_or(dirty, &d->image->dirty);
	page_bitmap_clear_all(&d->image->dirty);
	return 0;
}

static const char *tracker_name(struct driver *d)
{
	return d->tracking ? "log-dirty" : "none";
}

static int settled(struct driver *d, char *err, size_t err_bytes)
{
	if (d->helper == NULL || d->leaving)
		return set_err(err, err_bytes, -ENOTCONN, "no guest runs");
	if (d->stream == XEN_STREAM_NONE)
		return set_err(err, err_bytes, -EIO, "%s", d->why);
	if (d->stream == XEN_STREAM_STEADY && d->state == XEN_GUEST_RUNS &&
	    now_mono_ns() - d->checkpoint_ns > STALE_NS) {
		d->again = true;
		d->stream = XEN_STREAM_ENDING;
		xen_child_say(d->helper, XEN_FINISH); /* else it has ended */
	}
	return d->stream == XEN_STREAM_STEADY || d->settled;
}

/* ---- checkpoints ---- */

static int suspend(struct driver *d)
{
	int rc = 0;

	if (d->state != XEN_GUEST_RUNS || d->leaving)
		return -EINVAL;
	if (d->stream == XEN_STREAM_NONE)
		rc = begin_stream(d);
	/* Else it is said when the new stream begins. */
	if (rc == 0 && d->stream != XEN_STREAM_ENDING)
		rc = xen_child_say(d->helper, XEN_SUSPEND);
	if (rc < 0)
		return rc;
	if (d->stream == XEN_STREAM_ENDING)
		d->again = true;
	d->state = XEN_SUSPENDING;
	return 0;
}

static int resume(struct driver *d)
{
	int rc;

	if (d->state != XEN_SUSPENDED || d->leaving)
		return -EINVAL;
	rc = xen_child_say(d->helper, XEN_RESUME);
	if (rc == 0)
		d->state = XEN_RESUMING_GUEST;
	return rc;
}

/* ---- the rest ---- */

static uint8_t *ram(struct driver *d)
{
	if (d->image == NULL || d->state == XEN_PREPARING ||
	    d->state == XEN_BOOTING)
		return NULL;
	return d->image->pages;
}

static uint64_t npages(struct driver *d)
{
	return d->npages;
}

/* A guest's netfront tells the network itself when it is connected anew. */
static void announce(struct driver *d)
{
	(void)d;
}

static int powerdown(struct driver *d)
{
	if (d->helper == NULL || d->leaving || d->state < XEN_GUEST_RUNS)
		return -EINVAL;
	return xen_child_say(d->helper, XEN_POWERDOWN);
}

static void get_fingerprint(struct driver *d, uint8_t out[16])
{
	memcpy(out, d->fingerprint, sizeof(d->fingerprint));
}

static int make_fingerprint(struct driver *d, char *err, size_t err_bytes)
{
	char version[64], text[128];
	struct digest *g;
	uint64_t value;
	int rc = d->xen->version(version, sizeof(version), err, err_bytes);

	if (rc < 0)
		return rc;
	g = digest_new();
	if (g == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	snprintf(text, sizeof(text), "xen %s, device state %d", version,
		 XEN_STATE_VERSION);
	digest_start(g);
	digest_bytes(g, text, strlen(text));
	value = digest_value(g);
	digest_free(g);
	memcpy(d->fingerprint, "xen\0\0\0\0\0", 8);
	memcpy(d->fingerprint + 8, &value, 8);
	return 0;
}

static void say_gone(void *data)
{
	struct driver *d = data;

	d->ev->gone(d->ctx, 1, "no guest was there");
}

int driver_xen_create_on(struct driver **out, const struct xen_ops *xen,
			 const struct vm_config *cfg, qb_loop_t *loop,
			 const struct driver_events *ev, void *ctx, char *err,
			 size_t err_bytes)
{
	struct driver *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	d->xen = xen;
	d->cfg = cfg;
	d->loop = loop;
	d->ev = ev;
	d->ctx = ctx;
	d->pipe = d->feed = -1;
	d->npages = xen_image_npages(cfg->memory_bytes);
	snprintf(d->log, sizeof(d->log), "%s/%s.xen.log", cfg->run_dir,
		 cfg->name);
	loop_soon_init(&d->soon, loop, say_gone, d);
	d->buffer = malloc(READ_BYTES);
	rc = d->buffer == NULL || page_bitmap_init(&d->unfed, d->npages) < 0
		     ? set_err(err, err_bytes, -ENOMEM,
			       "out of memory")
		     : make_fingerprint(d, err, err_bytes);
	if (rc < 0) {
		xen_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}

static int create(struct driver **out, const struct vm_config *cfg,
		  qb_loop_t *loop, const struct driver_events *ev, void *ctx,
		  char *err, size_t err_bytes)
{
	return driver_xen_create_on(out, xen_libxl, cfg, loop, ev, ctx, err,
				    err_bytes);
}

const struct driver_ops driver_xen_ops = {
	.name = "xen",
	.create = create,
	.boot = xen_boot,
	.standby = xen_standby,
	.ram = ram,
	.npages = npages,
	.track_start = track_start,
	.collect = collect,
	.settled = settled,
	.tracker_name = tracker_name,
	.suspend = suspend,
	.resume = resume,
	.committed = xen_committed,
	.activate = xen_activate,
	.announce = announce,
	.powerdown = powerdown,
	.kill = xen_kill,
	.fingerprint = get_fingerprint,
	.destroy = xen_destroy,
};
