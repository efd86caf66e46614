/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_xen_priv.h - what the parts of driver_xen.c share; nobody else includes
 * it.
 *
 *   driver_xen.c        the stream, checkpoints, the ops
 *   driver_xen_start.c  boot, standby; and the end
 *   driver_xen_feed.c   the standby domain, and activate
 */
#ifndef REMUS_DRIVER_XEN_PRIV_H
#define REMUS_DRIVER_XEN_PRIV_H

#include "driver_xen.h"
#include "loop.h"
#include "stream_parse.h"
#include "vm_config.h"
#include "xen_child.h"
#include "xen_image.h"
#include "xen_state.h"

enum xen_state_of_driver {
	XEN_EMPTY = 0,
	XEN_PREPARING,	/* standby(): what was left behind is being destroyed */
	XEN_STANDBY,
	XEN_BOOTING,
	XEN_ACTIVATING,
	XEN_GUEST_RUNS,
	XEN_SUSPENDING,
	XEN_SUSPENDED,
	XEN_RESUMING_GUEST,
};

/* The stream of the helper that is there. */
enum xen_stream {
	XEN_STREAM_NONE = 0,
	XEN_STREAM_LIVE,	/* no checkpoint yet */
	XEN_STREAM_STEADY,	/* between checkpoints, or in one */
	XEN_STREAM_ENDING,	/* FINISH was said */
};

struct driver {
	const struct xen_ops *xen;
	const struct vm_config *cfg;
	qb_loop_t *loop;
	const struct driver_events *ev;
	void *ctx;
	uint8_t fingerprint[16];
	uint64_t npages;
	char log[512];

	enum xen_state_of_driver state;
	bool by_kill;	 /* kill() was called */
	bool leaving;	 /* the helper is being ended, or its domain is */
	bool failed;	 /* the helper said so */
	bool ended;	 /* the helper said so: and destroyed it */
	bool destroy_all; /* also a domain that has not our mark */
	bool again;	 /* a new stream is to begin when this one has ended */
	bool settled;
	bool tracking;
	bool broken;	 /* the stream cannot be read: drop what comes */
	bool checkpoint; /* one was in what was read */
	char why[512];

	struct xen_child *helper, *writer, *destroyer;

	/* the standby domain (driver_xen_feed.c) */
	int feed;		 /* where its stream goes; -1: there is none */
	bool whole;		 /* the helper restores a plain stream */
	struct page_bitmap unfed; /* changed since the last checkpoint of it */
	struct xen_bytes fed;	 /* the device state of that one */
	uint64_t feed_ns;	 /* no other one before that */
	struct xen_bytes wanted; /* ACTIVATING: the epoch to run from */
	bool closed;		 /* all of it is in the helper's stream */

	enum xen_stream stream;
	uint64_t checkpoint_ns; /* of the last one */
	int pipe;		/* of the helper's streams; -1 */
	uint8_t *buffer;	/* what is read of it */
	struct stream_parser *parser;
	struct xen_image *image;
	char *config;		/* of the domain, JSON */
	struct xen_bytes packed;

	qb_loop_timer_handle timer; /* the destroyer is tried again */
	bool timer_set;
	struct loop_soon soon; /* gone() of a kill() when there is nothing */
};

/* ---- driver_xen.c ---- */

/* Begin to read the helper's pipe, which is taken over. */
int xen_read_pipe(struct driver *d, int fd);
void xen_close_pipe(struct driver *d);
/* A word about the stream. */
void xen_settled(struct driver *d);
void xen_resumed(struct driver *d);
void xen_saved(struct driver *d, int rc, const char *why);

/* ---- driver_xen_start.c ---- */

int xen_boot(struct driver *d, int net_fd, char *err, size_t err_bytes);
int xen_standby(struct driver *d, int net_fd, char *err, size_t err_bytes);
void xen_kill(struct driver *d);
void xen_destroy(struct driver *d);
/* Something is wrong beyond repair: the domain ends. */
void xen_die(struct driver *d, const char *why);
int xen_start_helper(struct driver *d, const struct xen_task *task, int from,
		     char *err, size_t err_bytes);
void xen_start_destroyer(struct driver *d);

/* ---- driver_xen_feed.c ---- */

void xen_committed(struct driver *d, struct page_bitmap *changed,
		   const void *state, size_t bytes);
int xen_activate(struct driver *d, const void *state, size_t bytes, char *err,
		 size_t err_bytes);
/* The helper has ended: was it only the feed?  Then that is all, and the domain
 * is made anew; with a standby of no domain when it has to be. */
bool xen_feed_may_be_lost(const struct driver *d);
bool xen_feed_lost(struct driver *d);
/* A writer or a destroyer has ended. */
void xen_feed_next(struct driver *d);
void xen_feed_forget(struct driver *d);

#endif
