/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_probe_priv.h - between witness_probe.c, which keeps the time, and
 * witness_probe_kinds.c, which knows how to ask.
 */
#ifndef REMUS_WITNESS_PROBE_PRIV_H
#define REMUS_WITNESS_PROBE_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

#ifdef HAVE_LIBCURL
#include "curl_loop.h"
#endif
#include "witness_probe.h"

struct probe {
	struct prober *prober;
	const struct probe_config *c;
	struct evidence *evidence;
	unsigned int index; /* in it */
	bool busy;
	uint64_t asked_ms;
	qb_loop_timer_handle timer; /* busy: the timeout; else the next one */
	bool timer_armed;
	int fd; /* socket, or pidfd; -1 */
	pid_t pid;
	bool killed;		/* the command: not reaped yet */
	bool raw;		/* icmp: by a raw socket */
	uint16_t echo_id, echo_seq;
	void *easy;		/* http */
};

struct prober {
	const struct witness_config *c;
	qb_loop_t *loop;
	struct curl_loop *curl;
	struct probe *probe;
	unsigned int probes;
};

/* One per kind.  begin: 0, or -errno when nothing could be asked; then, or
 * after the probe_finish() that it leads to, end: give up what is held. */
struct probe_ops {
	int (*begin)(struct probe *p);
	void (*end)(struct probe *p);
};
extern const struct probe_ops probe_ops[]; /* by enum probe_kind */

/* The attempt has ended; once. */
void probe_finish(struct probe *p, bool up, const char *why);

#ifdef HAVE_LIBCURL
void probe_http_done(void *ctx, CURL *easy, CURLcode r);
#endif

#endif
