/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_probe.h - look at the services: every probe once in probe_interval,
 * each attempt for at most probe_timeout.  Results go to witness_evidence.h.
 *
 * tcp: a connection comes about.  http: any answer with a status below 500.
 * icmp: an echo reply.  command: exit code 0.
 */
#ifndef REMUS_WITNESS_PROBE_H
#define REMUS_WITNESS_PROBE_H

#include <qb/qbloop.h>

#include "witness.h"

struct prober; /* opaque */

int prober_new(struct prober **out, const struct witness_config *c,
	       struct witness *w, qb_loop_t *loop, char *err, size_t err_bytes);
void prober_free(struct prober *p);

#endif
