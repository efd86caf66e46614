/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - "call me from the loop, soon": a qb_loop job that is not late.
 *
 * libqb (2.0) lets a job that was added from a job, a timer or a descriptor
 * wait for up to 50 ms when nothing else is ready; a timer of 0 ns is run in
 * the next turn.  An epoch has no 50 ms to wait.
 */
#ifndef REMUS_LOOP_H
#define REMUS_LOOP_H

#include <qb/qbloop.h>
#include <stdbool.h>

struct loop_soon {
	qb_loop_t *loop;
	void (*fn)(void *data);
	void *data;
	qb_loop_timer_handle timer;
	bool armed;
};

void loop_soon_init(struct loop_soon *s, qb_loop_t *loop,
		    void (*fn)(void *data), void *data);
/* Have fn called once, from the loop; calls before that add nothing.  0 or
 * -errno. */
int loop_soon(struct loop_soon *s);
/* Not any more.  Harmless when nothing is due. */
void loop_soon_cancel(struct loop_soon *s);

#endif
