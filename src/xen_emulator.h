/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_emulator.h - the device model (QEMU) of an HVM guest: what a checkpoint
 * asks of it beside what libxl does.
 *
 * libxl's suspend stops it, and has it save its state to a file; its resume lets
 * it go on.  What goes into the stream of that, and how (records of libxl), is
 * in xen's docs/specs/libxl-migration-stream.pandoc.
 */
#ifndef REMUS_XEN_EMULATOR_H
#define REMUS_XEN_EMULATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "xen_image.h"

/* QEMU notes which pages of the guest it writes to, or not: QMP at the unix
 * socket `path`.  Blocks, but no longer than some 10 s.  0 or -errno with a line
 * in err. */
int xen_emulator_log_dirty(const char *path, bool on, char *err,
			   size_t err_bytes);

/* An EMULATOR_XENSTORE_DATA record of `pairs`, key and value in turn, each with
 * its 0 byte; none when there are none.  0 or -ENOMEM. */
int xen_emulator_add_xenstore(struct xen_bytes *out,
			      const struct xen_bytes *pairs);

/* An EMULATOR_CONTEXT record of the file's content.  0 or -errno with a line in
 * err: -ENOENT, -E2BIG (8 MiB), -EBADMSG (it is empty), ... */
int xen_emulator_add_context(struct xen_bytes *out, const char *path, char *err,
			     size_t err_bytes);

#endif
