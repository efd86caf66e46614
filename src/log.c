/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <syslog.h>

/* Our source files, as __FILE__ has them: all are compiled from the top of the
 * build, as src/..., fence/... or .../src/...; libqb's come without a folder.
 * libqb takes basic regular expressions. */
#define OUR_FILES "\\(src\\|fence\\)/[^/]*$"

static char ident_copy[128];
static bool started;

/* Our own messages are ours to show; libqb's chatter about its sockets is
 * wanted only by who looks for a fault in it. */
static void choose(int target, int verbosity)
{
	qb_log_filter_ctl(target, QB_LOG_FILTER_CLEAR_ALL,
			  QB_LOG_FILTER_FILE, "*", LOG_TRACE);
	qb_log_filter_ctl(target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*",
			  verbosity > 1 ? LOG_TRACE : LOG_WARNING);
	qb_log_filter_ctl(target, QB_LOG_FILTER_ADD,
			  QB_LOG_FILTER_FILE_REGEX, OUR_FILES,
			  verbosity > 0 ? LOG_DEBUG : LOG_INFO);
	qb_log_ctl(target, QB_LOG_CONF_ENABLED, QB_TRUE);
}

void log_init(const char *ident, bool foreground, int verbosity)
{
	log_fini();
	snprintf(ident_copy, sizeof(ident_copy), "%s", ident);
	qb_log_init(ident_copy, LOG_DAEMON, LOG_EMERG);
	started = true;
	qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
	if (!foreground) {
		qb_log_format_set(QB_LOG_SYSLOG, "%b");
		choose(QB_LOG_SYSLOG, verbosity);
		return;
	}
	/* %T has milliseconds, which is what an epoch is measured in. */
	qb_log_format_set(QB_LOG_STDERR, "%T %N: %p: %b");
	choose(QB_LOG_STDERR, verbosity);
}

void log_fini(void)
{
	if (started)
		qb_log_fini();
	started = false;
}
