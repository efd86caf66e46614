/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tracker.h"

#include <errno.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <string.h>

#include "tracker_maps.h"
#include "util.h"

static const struct tracker_ops *const trackers[] = {
	&tracker_pagemap_ops, &tracker_softdirty_ops, &tracker_compare_ops,
};

bool tracker_wants_populated(const char *want)
{
	if (want == NULL || strcmp(want, "auto") == 0)
		return !tracker_pagemap_in_kernel();
	return strcmp(want, tracker_softdirty_ops.name) == 0;
}

const struct tracker_ops *tracker_attach(struct tracker **out,
					 const char *want,
					 const struct tracker_target *t,
					 char *err, size_t err_bytes)
{
	bool any = want == NULL || strcmp(want, "auto") == 0;
	char why[256] = "";

	*out = NULL;
	set_err(err, err_bytes, 0, "no tracker is called '%s'",
		any ? "auto" : want);
	for (size_t i = 0; i < ARRAY_LEN(trackers); i++) {
		if (!any && strcmp(want, trackers[i]->name) != 0)
			continue;
		if (trackers[i]->attach(out, t, why, sizeof(why)) == 0)
			return trackers[i];
		set_err(err, err_bytes, 0, "tracker %s: %s", trackers[i]->name,
			why);
		if (any)
			qb_log(LOG_INFO, "tracker %s cannot be used: %s",
			       trackers[i]->name, why);
	}
	return NULL;
}
