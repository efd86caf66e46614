/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_ops.h - what the helper asks of Xen.
 *
 * All of it may block, and is called in the helper's process only (but for
 * version()).  Each returns 0 or -errno, with a line in `err` where there is
 * one.  xen_libxl.c is the real one; tests have their own.
 */
#ifndef REMUS_XEN_OPS_H
#define REMUS_XEN_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XEN_VIF_MAX 16 /* IFNAMSIZ */

struct xen_domain {
	char vif[XEN_VIF_MAX];
	char *config; /* JSON of libxl; who called frees it */
};

/* Called from save(), in the helper.  See xc_domain_save(). */
struct xen_save_calls {
	/* A round of the live copy is over; `rounds` were.  1: go on with
	 * another one, 0: suspend and copy the rest, < 0: give up. */
	int (*live)(void *ctx, unsigned int rounds);
	/* All of these: 1: go on, else give up. */
	int (*suspend)(void *ctx);  /* suspend the domain */
	int (*postcopy)(void *ctx); /* its pages are in the stream: resume it */
	int (*checkpoint)(void *ctx); /* wait until the next one is due */
};

struct xen_ops {
	/* "4.17", and what else must be equal for a guest to go on. */
	int (*version)(char *out, size_t bytes, char *err, size_t err_bytes);

	int (*open)(void **xen, char *err, size_t err_bytes);
	void (*close)(void *xen);

	/* The domain of that name, or -ENOENT. */
	int (*find)(void *xen, const char *name, uint32_t *domid);
	/* From an xl.cfg; paused. */
	int (*create)(void *xen, const char *cfg, const char *name,
		      uint32_t *domid, char *err, size_t err_bytes);
	/* What it is; -EOPNOTSUPP when it is none that we can protect. */
	int (*describe)(void *xen, uint32_t domid, uint64_t memory_bytes,
			struct xen_domain *out, char *err, size_t err_bytes);
	/* Our mark. */
	int (*mark)(void *xen, uint32_t domid);
	int (*marked)(void *xen, uint32_t domid); /* 1, or not */

	int (*pause)(void *xen, uint32_t domid);
	int (*unpause)(void *xen, uint32_t domid);
	int (*rename)(void *xen, uint32_t domid, const char *old,
		      const char *name);
	int (*powerdown)(void *xen, uint32_t domid);
	int (*destroy)(void *xen, uint32_t domid);
	/* 1: it is there; 0: it has ended, and `why` says how. */
	int (*alive)(void *xen, uint32_t domid, char *why, size_t why_bytes);

	int (*suspend)(void *xen, uint32_t domid);
	int (*resume)(void *xen, uint32_t domid);
	/* A stream of libxl with checkpoints goes to fd: an epoch is whole in
	 * there before its postcopy() is called, with what libxl's layer has
	 * behind libxc's CHECKPOINT.  Returns when a call gave up, or something
	 * failed. */
	int (*save)(void *xen, uint32_t domid, int fd,
		    const struct xen_save_calls *calls, void *ctx, char *err,
		    size_t err_bytes);
	/* Read a stream of libxl; with checkpoints it is one of those, until
	 * it ends behind one.  The domain is called `name`, and is paused.  On
	 * failure there is none. */
	int (*restore)(void *xen, const char *config, const char *name, int fd,
		       bool checkpoints, uint32_t *domid, char *err,
		       size_t err_bytes);
};

/* NULL in a build without libxenlight. */
extern const struct xen_ops *const xen_libxl;

#endif
