/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * background.h - a daemon's way into the background: the parent stays until the
 * child has started, so that its exit code tells whether it did.
 */
#ifndef REMUS_BACKGROUND_H
#define REMUS_BACKGROUND_H

/* Returns, in the child, the descriptor to report to, or -errno; the parent
 * does not return.  It exits with what is reported, and with 1 when the child
 * ends without a report.  The child is in a session of its own, in "/". */
int background(void);

/* Tell the parent that the start has ended, with this exit code; at 0 stdin,
 * stdout and stderr become /dev/null.  Closes the descriptor. */
void background_report(int fd, int code);

#endif
