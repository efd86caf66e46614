/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread_pool.h - a few threads that work for one qb_loop.
 *
 * A task is a piece of work of well below a millisecond on memory that nobody
 * else touches until it is done.  Tasks are begun in the order in which they
 * were submitted, by whichever thread is free; they end in any order, and who
 * needs one looks at that very task.  The loop's thread is one of the threads:
 * it works when it calls thread_pool_help(), so that it never sleeps while
 * there is something to do, and nothing depends on the others' being scheduled.
 *
 * Threads hold no lock but the pool's own and malloc()'s (which glibc makes good
 * in the child of a fork()), open no descriptor and block every signal: the loop
 * may fork, and handles signals, as if they were not there.  The child of a
 * fork() must not call anything here.
 *
 * All calls come from the loop's thread.  No allocation but in _new().
 */
#ifndef REMUS_THREAD_POOL_H
#define REMUS_THREAD_POOL_H

#include <qb/qbloop.h>
#include <stdbool.h>

struct thread_pool;

/* Zeroed, with run() set, it is ready. */
struct pool_task {
	/* In any thread; `who` is its number, 0 for the loop's, below
	 * `threads`, and no two run under the same number at a time.  true:
	 * there is more; it goes to the end of the queue, and will be called
	 * again, maybe by another. */
	bool (*run)(struct pool_task *t, unsigned int who);
	/* private */
	enum { POOL_TASK_IDLE = 0, POOL_TASK_QUEUED, POOL_TASK_RUNS } state;
	bool cancelled;
	struct pool_task *next;
};

/* The loop's thread and `threads` - 1 others, at least one.  ready() is called
 * from the loop after thread_pool_wait(). */
int thread_pool_new(struct thread_pool **out, qb_loop_t *loop,
		    unsigned int threads, void (*ready)(void *ctx), void *ctx);
/* No task may be under way.  Waits for the threads to end. */
void thread_pool_free(struct thread_pool *p); /* NULL is allowed */
unsigned int thread_pool_threads(const struct thread_pool *p);

/* t must not be under way.  Without `wake` only a thread that is at work takes
 * it when it is through: for what the loop is about to do itself. */
void thread_pool_submit(struct thread_pool *p, struct pool_task *t, bool wake);
/* Is it queued, or running?  When not, what run() wrote may be read. */
bool thread_pool_busy(struct thread_pool *p, const struct pool_task *t);
/* Not any more: when this returns it is not under way, and run() will not be
 * called.  Waits for the end of a run() that has begun. */
void thread_pool_cancel(struct thread_pool *p, struct pool_task *t);

/* Have the loop's thread run the first task of the queue.  false: there is
 * none, and what is under way, if anything, runs in other threads. */
bool thread_pool_help(struct thread_pool *p);
/* ready() will come when a task has ended.  false: one has since the last call,
 * or none runs: look again. */
bool thread_pool_wait(struct thread_pool *p);

#endif
