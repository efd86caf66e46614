/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_helper.c - see xen_helper.h.  It is always in one of the waits, or in Xen.
 *
 *	build -> WAIT_GO -> WAIT_RUN <-> save(): live -> suspend -> postcopy
 *	                                           ^      checkpoint <-'
 *
 * Every wait looks for the domain's end, and for remusd's.
 */
#include "xen_helper.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "util.h"

/* So often a domain's end is looked for. */
#define LOOK_MS 200
/* The live copy does not go round faster than this. */
#define ROUND_MS 100

struct helper {
	const struct xen_task *t;
	const struct xen_ops *ops;
	void *xen;
	uint32_t domid;
	bool have;	/* a domain is ours to destroy */
	bool gone;	/* it has ended; `why` */
	bool orphan;	/* remusd has */
	bool finish;	/* the stream is to end */
	bool settled;
	bool stopped;	/* suspended by us */
	char why[240];
};

const char *xen_word_to_str(unsigned int w)
{
	static const char *const names[] = {
		"?", "GO", "SAVE", "SUSPEND", "RESUME", "FINISH", "POWERDOWN",
		"BUILT", "RUNNING", "SETTLED", "RESUMED", "SAVED", "GONE",
		"FAILED",
	};

	return names[w < ARRAY_LEN(names) ? w : 0];
}

/* ---- words ---- */

static void say_more(struct helper *h, const struct xen_say *m,
		     const char *config)
{
	struct iovec iov[2] = {
		{ .iov_base = (void *)m, .iov_len = sizeof(*m) },
		{ .iov_base = (void *)config,
		  .iov_len = config != NULL ? strlen(config) : 0 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (sendmsg(h->t->words, &msg, MSG_NOSIGNAL) < 0)
		h->orphan = true;
}

static void say(struct helper *h, enum xen_word word, int rc, const char *why)
{
	struct xen_say m = { .word = word, .rc = rc, .domid = h->domid };

	snprintf(m.why, sizeof(m.why), "%s", why);
	say_more(h, &m, NULL);
}

/* The next word, 0 after `ms` without one; -1: it is over with the domain, or
 * with remusd. */
static int next_word(struct helper *h, int ms)
{
	struct pollfd p = { .fd = h->t->words, .events = POLLIN };
	struct xen_say m;
	ssize_t n;

	if (h->gone || h->orphan)
		return -1;
	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = recv(h->t->words, &m, sizeof(m), 0);
	if (n != sizeof(m)) {
		h->orphan = n == 0 || errno != EINTR;
		return h->orphan ? -1 : 0;
	}
	if (m.word == XEN_FINISH)
		h->finish = true;
	if (m.word != XEN_POWERDOWN)
		return (int)m.word;
	h->ops->powerdown(h->xen, h->domid);
	return 0;
}

static void look_for_the_end(struct helper *h)
{
	if (h->have && !h->gone && !h->stopped &&
	    h->ops->alive(h->xen, h->domid, h->why, sizeof(h->why)) == 0)
		h->gone = true;
}

/* Until one of these words comes; -1 as above, or the stream is to end. */
static int wait_word(struct helper *h, enum xen_word a, enum xen_word b)
{
	for (;;) {
		int w = next_word(h, LOOK_MS);

		if (w < 0 || w == (int)a || w == (int)b)
			return w;
		if (w == 0)
			look_for_the_end(h);
	}
}

/* ---- what save() calls ---- */

static int on_live(void *ctx, unsigned int rounds)
{
	struct helper *h = ctx;
	int w;

	if (rounds == 0)
		return 1;
	if (!h->settled) {
		h->settled = true;
		say(h, XEN_SETTLED, 0, "");
	}
	w = next_word(h, ROUND_MS);
	look_for_the_end(h);
	if (w < 0 || h->gone || h->finish)
		return -1;
	return w == XEN_SUSPEND ? 0 : 1;
}

static int on_suspend(void *ctx)
{
	struct helper *h = ctx;

	if (h->ops->suspend(h->xen, h->domid) < 0) {
		look_for_the_end(h);
		return 0;
	}
	h->stopped = true;
	return 1;
}

static int go_on(struct helper *h)
{
	int rc = h->ops->resume(h->xen, h->domid);

	h->stopped = false;
	return rc;
}

static int on_postcopy(void *ctx)
{
	struct helper *h = ctx;

	if (wait_word(h, XEN_RESUME, XEN_RESUME) < 0)
		return 0;
	if (go_on(h) < 0) {
		snprintf(h->why, sizeof(h->why), "it cannot be resumed");
		h->gone = true;
		return 0;
	}
	say(h, XEN_RESUMED, 0, "");
	return 1;
}

static int on_checkpoint(void *ctx)
{
	struct helper *h = ctx;

	/* FINISH may have come during the pause. */
	return !h->finish &&
	       wait_word(h, XEN_SUSPEND, XEN_FINISH) == XEN_SUSPEND;
}

static const struct xen_save_calls calls = {
	.live = on_live,
	.suspend = on_suspend,
	.postcopy = on_postcopy,
	.checkpoint = on_checkpoint,
};

/* One stream.  A domain that it left suspended goes on. */
static void save(struct helper *h)
{
	char err[240] = "";
	int rc;

	h->finish = h->settled = false;
	rc = h->ops->save(h->xen, h->domid, h->t->out, &calls, h, err,
			  sizeof(err));
	if (h->stopped && !h->gone && !h->orphan && go_on(h) < 0) {
		snprintf(h->why, sizeof(h->why), "it cannot be resumed");
		h->gone = true;
	}
	if (!h->gone && !h->orphan)
		say(h, XEN_SAVED, h->finish ? 0 : rc < 0 ? rc : -EIO,
		    h->finish ? "" : err);
}

/* ---- jobs ---- */

static int fail(struct helper *h, const char *why)
{
	if (h->have)
		h->ops->destroy(h->xen, h->domid);
	say(h, XEN_FAILED, -EIO, why);
	return 1;
}

static int destroy(struct helper *h)
{
	for (int tries = 0; tries < 50; tries++) {
		char why[240];

		h->ops->destroy(h->xen, h->domid);
		if (h->ops->alive(h->xen, h->domid, why, sizeof(why)) == 0)
			return 0;
		usleep(100000);
	}
	return -EBUSY;
}

static int serve(struct helper *h)
{
	while (wait_word(h, XEN_SAVE, XEN_SAVE) >= 0)
		save(h);
	if (destroy(h) < 0)
		return fail(h, "the domain cannot be destroyed");
	if (h->gone)
		say(h, XEN_GONE, 0, h->why);
	return 0;
}

/* There it is, and stands still.  Once remusd says so it runs. */
static int launch(struct helper *h, struct xen_domain *d, const char *old)
{
	struct xen_say m = { .word = XEN_BUILT, .domid = h->domid };
	int rc = 0;

	if (strlen(d->config) > XEN_SAY_MAX - sizeof(m))
		rc = -E2BIG;
	memcpy(m.vif, d->vif, sizeof(m.vif));
	if (rc == 0)
		say_more(h, &m, d->config);
	free(d->config);
	if (rc < 0)
		return fail(h, "the domain's configuration is too long");
	if (h->ops->mark(h->xen, h->domid) < 0)
		return fail(h, "the domain cannot be marked as ours");
	if (wait_word(h, XEN_GO, XEN_GO) < 0)
		return serve(h); /* the end */
	if (old != NULL)
		rc = h->ops->rename(h->xen, h->domid, old, h->t->name);
	if (rc < 0)
		return fail(h, "the domain cannot be given its name");
	if (h->ops->unpause(h->xen, h->domid) < 0)
		return fail(h, "the domain cannot be unpaused");
	say(h, XEN_RUNNING, 0, "");
	return serve(h);
}

/* A domain that somebody else made, and that we cannot protect, goes on. */
static int attach(struct helper *h)
{
	struct xen_domain d = { .config = NULL };
	char err[240] = "";

	if (h->ops->describe(h->xen, h->domid, h->t->memory_bytes, &d, err,
			     sizeof(err)) < 0)
		return fail(h, err);
	if (h->ops->pause(h->xen, h->domid) < 0) {
		free(d.config);
		return fail(h, "the domain cannot be paused");
	}
	h->have = true;
	return launch(h, &d, NULL);
}

/* A domain that we made: the end of us is its end. */
static int launch_new(struct helper *h, const char *old)
{
	struct xen_domain d = { .config = NULL };
	char err[240] = "";

	h->have = true;
	if (h->ops->describe(h->xen, h->domid, h->t->memory_bytes, &d, err,
			     sizeof(err)) < 0)
		return fail(h, err);
	return launch(h, &d, old);
}

static int boot(struct helper *h)
{
	const struct xen_task *t = h->t;
	char err[240] = "";
	int rc = h->ops->find(h->xen, t->name, &h->domid);

	if (rc == 0)
		return attach(h);
	if (rc != -ENOENT)
		return fail(h, "domains cannot be looked for");
	if (t->cfg == NULL) {
		snprintf(err, sizeof(err), "no domain %s runs here, and the "
			 "definition has no xl to boot it from", t->name);
		return fail(h, err);
	}
	if (h->ops->create(h->xen, t->cfg, t->name, &h->domid, err,
			   sizeof(err)) < 0)
		return fail(h, err);
	return launch_new(h, NULL);
}

static int restore(struct helper *h)
{
	char standby[160], err[240] = "";
	int rc;

	snprintf(standby, sizeof(standby), "%s%s", h->t->name,
		 XEN_STANDBY_SUFFIX);
	rc = h->ops->restore(h->xen, h->t->config, standby, h->t->in,
			     h->t->checkpoints,
			     &h->domid, err, sizeof(err));
	return rc < 0 ? fail(h, err) : launch_new(h, standby);
}

static int destroy_one(struct helper *h, const char *name, bool ours)
{
	if (h->ops->find(h->xen, name, &h->domid) < 0)
		return 0;
	if (!ours && h->ops->marked(h->xen, h->domid) != 1)
		return 0;
	return destroy(h);
}

static int destroy_all(struct helper *h)
{
	char standby[160];
	int rc;

	snprintf(standby, sizeof(standby), "%s%s", h->t->name,
		 XEN_STANDBY_SUFFIX);
	rc = destroy_one(h, standby, true);
	if (rc == 0)
		rc = destroy_one(h, h->t->name, h->t->all);
	return rc < 0 ? fail(h, "the domain cannot be destroyed") : 0;
}

int xen_helper_run(const struct xen_task *t)
{
	struct helper h = { .t = t, .ops = t->xen };
	char err[240] = "";
	int code;

	if (h.ops->open(&h.xen, err, sizeof(err)) < 0)
		return fail(&h, err);
	switch (t->job) {
	case XEN_BOOT: code = boot(&h); break;
	case XEN_RESTORE: code = restore(&h); break;
	default: code = destroy_all(&h); break;
	}
	h.ops->close(h.xen);
	return code;
}
