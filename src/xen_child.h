/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xen_child.h - the helper's process, and the stream writer's, from remusd. */
#ifndef REMUS_XEN_CHILD_H
#define REMUS_XEN_CHILD_H

#include <qb/qbloop.h>

#include "xen_helper.h"

struct xen_child;

struct xen_child_events {
	/* `config` has config_bytes, without a 0 byte behind them. */
	void (*said)(void *ctx, const struct xen_say *m, const char *config,
		     size_t config_bytes);
	/* It has been reaped; code -1: by a signal.  All words came before. */
	void (*ended)(void *ctx, int code);
};

/* The child has but these descriptors: words, out (may be -1), in (may be -1),
 * and the log as its output. */
struct xen_child_params {
	qb_loop_t *loop;
	const char *log;
	int out, in;
	/* In the child, with its numbers of those. */
	int (*run)(const void *arg, int words, int out, int in);
	const void *arg;
	const struct xen_child_events *events;
	void *ctx;
};

int xen_child_start(struct xen_child **out, const struct xen_child_params *p,
		    char *err, size_t err_bytes);
/* 0 or -errno */
int xen_child_say(struct xen_child *c, enum xen_word word);
/* SIGKILL, for it and what it started.  -> ended() */
void xen_child_kill(struct xen_child *c);
/* Waits for its end, without an event.  The exit code, or -1. */
int xen_child_wait(struct xen_child *c);
/* Kills and waits, if it is there; NULL is allowed.  Not from said(). */
void xen_child_free(struct xen_child *c);

#endif
