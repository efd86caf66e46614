/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture_digest.c - see capture_digest.h. */
#include "capture_digest.h"

/* In some thread. */
static bool run(struct pool_task *t, unsigned int who)
{
	struct capture_digest *cd = (struct capture_digest *)t;
	const struct capture *c = cd->capture;
	uint64_t left = c->count - cd->next;
	uint64_t end = cd->next + (left < CAPTURE_DIGEST_PAGES
					   ? left : CAPTURE_DIGEST_PAGES);

	(void)who;
	for (; cd->next < end; cd->next++)
		digest_page(cd->digest, c->gfns[cd->next],
			    capture_page(c, cd->next));
	return end < c->count;
}

void capture_digest_start(struct capture_digest *cd, struct thread_pool *pool,
			  struct digest *d, const struct capture *c)
{
	cd->task.run = run;
	cd->digest = d;
	cd->capture = c;
	cd->next = 0;
	thread_pool_submit(pool, &cd->task, true);
}

bool capture_digest_busy(struct capture_digest *cd, struct thread_pool *pool)
{
	return thread_pool_busy(pool, &cd->task);
}

void capture_digest_stop(struct capture_digest *cd, struct thread_pool *pool)
{
	thread_pool_cancel(pool, &cd->task);
}
