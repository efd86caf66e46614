/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - where qb_log() goes: to stderr in the foreground, to syslog
 * otherwise.
 */
#ifndef REMUS_LOG_H
#define REMUS_LOG_H

#include <stdbool.h>

/* Call once, first of all in main(), and again to change the target after a
 * fork.  `ident` names program and VM ("remusd(web)") and stands before every
 * line; it is copied.  verbosity 0: LOG_INFO and more important; 1: LOG_DEBUG;
 * 2: LOG_TRACE of libqb too. */
void log_init(const char *ident, bool foreground, int verbosity);
void log_fini(void);

#endif
