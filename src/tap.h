/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap.h - a TAP interface that lives exactly as long as its descriptor. */
#ifndef REMUS_TAP_H
#define REMUS_TAP_H

#include <stddef.h>

/* Make the TAP `name` (it must not exist yet), join it to `bridge` unless that
 * is NULL, and set it up.  Frames are raw Ethernet: no packet information, no
 * offloads.  The interface is not persistent: when the descriptor goes, for
 * whatever reason, the kernel removes it (S7).
 *
 * Returns a non-blocking, close-on-exec descriptor; or -errno with a line in
 * `err` that names the interface, and nothing stays behind. */
int tap_open(const char *name, const char *bridge, char *err, size_t err_bytes);

/* Is this a name that an interface can have, taken literally? */
int tap_name_check(const char *name, const char *what, char *err,
		   size_t err_bytes);

#endif
