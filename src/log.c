/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <syslog.h>

static char ident_copy[128];
static bool started;

/* Our own messages are ours to show; libqb's chatter about its sockets is
 * wanted only by who looks for a fault in it. */
static void choose(int target, int verbosity)
{
	int level = verbosity > 0 ? LOG_DEBUG : LOG_INFO;

	qb_log_filter_ctl(target, QB_LOG_FILTER_CLEAR_ALL,
			  QB_LOG_FILTER_FILE, "*", LOG_TRACE);
	qb_log_filter_ctl(target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*",
			  verbosity > 1 ? LOG_TRACE : level);
	if (verbosity < 2)
		qb_log_filter_ctl2(target, QB_LOG_FILTER_REMOVE,
				   QB_LOG_FILTER_FUNCTION_REGEX, "^_?qb_",
				   LOG_NOTICE, LOG_TRACE);
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
	/* %T has no fractions, and an epoch takes milliseconds. */
	qb_log_format_set(QB_LOG_STDERR, "%T %N: %p: %b");
	choose(QB_LOG_STDERR, verbosity);
}

void log_fini(void)
{
	if (started)
		qb_log_fini();
	started = false;
}
