/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_libxl_priv.h - what the parts of xen_libxl.c share; nobody else includes
 * it.
 *
 *   xen_libxl.c       domains: find, make, look at, restore, destroy
 *   xen_libxl_save.c  checkpoints of one
 */
#ifndef REMUS_XEN_LIBXL_PRIV_H
#define REMUS_XEN_LIBXL_PRIV_H

#include <libxl.h>
#include <xenctrl.h>
#include <xenguest.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "xen_ops.h"

struct logger {
	xentoollog_logger vtable; /* first */
	char last[200];
};

struct xen {
	struct logger log;
	libxl_ctx *ctx;
	xc_interface *xc;
	struct xs_handle *xs;
};

/* `what`, and the last error that the libraries told; -EIO. */
int xen_bad(struct xen *x, char *err, size_t err_bytes, const char *what);

int xen_libxl_suspend(void *xen, uint32_t domid);
int xen_libxl_resume(void *xen, uint32_t domid);
int xen_libxl_save(void *xen, uint32_t domid, int fd,
		   const struct xen_save_calls *calls, void *ctx, char *err,
		   size_t err_bytes);

#endif
