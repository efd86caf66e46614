/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heard_guest.h - a guest of a driver under test, and all that the driver said of
 * it: how often each event came, and what the last one had with it.
 */
#ifndef HEARD_GUEST_H
#define HEARD_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "vm_config.h"

struct guest {
	struct driver *d;
	struct vm_config cfg;
	int running, standby, suspended, saved, resumed, gone, vifs;
	int rc, expected;
	bool no_gate, ran_before_the_gate; /* of those with interface() */
	char why[512];
	uint8_t *state;
	size_t state_bytes;
	struct page_bitmap dirty; /* collected, and not yet copied */
};

static void note(struct guest *g, int *counter, int rc, const char *why)
{
	++*counter;
	g->rc = rc;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static void on_running(void *ctx, int rc, const char *why)
{
	struct guest *g = ctx;

	note(g, &g->running, rc, why);
}

static void on_standby(void *ctx, int rc, const char *why)
{
	struct guest *g = ctx;

	note(g, &g->standby, rc, why);
}

static void on_suspended(void *ctx, int rc, const char *why)
{
	struct guest *g = ctx;

	note(g, &g->suspended, rc, why);
}

static void on_device_state(void *ctx, int rc, const void *data, size_t bytes,
			    const char *why)
{
	struct guest *g = ctx;

	note(g, &g->saved, rc, why);
	free(g->state);
	g->state = malloc(bytes + 1);
	assert_non_null(g->state);
	if (bytes > 0)
		memcpy(g->state, data, bytes);
	g->state_bytes = bytes;
}

static void on_resumed(void *ctx, int rc, const char *why)
{
	struct guest *g = ctx;

	note(g, &g->resumed, rc, why);
}

static void on_gone(void *ctx, int expected, const char *why)
{
	struct guest *g = ctx;

	note(g, &g->gone, 0, why);
	g->expected = expected;
}

#endif
