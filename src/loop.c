/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "loop.h"

#include <string.h>

void loop_soon_init(struct loop_soon *s, qb_loop_t *loop,
		    void (*fn)(void *data), void *data)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->fn = fn;
	s->data = data;
}

static void on_timer(void *data)
{
	struct loop_soon *s = data;

	s->armed = false;
	s->fn(s->data); /* may free s */
}

int loop_soon(struct loop_soon *s)
{
	int rc;

	if (s->armed)
		return 0;
	rc = qb_loop_timer_add(s->loop, QB_LOOP_HIGH, 0, s, on_timer,
			       &s->timer);
	s->armed = rc == 0;
	return rc;
}

void loop_soon_cancel(struct loop_soon *s)
{
	if (s->armed)
		qb_loop_timer_del(s->loop, s->timer);
	s->armed = false;
}
