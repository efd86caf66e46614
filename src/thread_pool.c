/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thread_pool.c - see thread_pool.h.  One lock for all: it is taken a few times
 * for each task, and a task is some hundred microseconds. */
#include "thread_pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What zstd puts there is a few KiB. */
#define STACK_BYTES ((size_t)512 << 10)

struct member {
	struct thread_pool *pool;
	unsigned int who;
	pthread_t thread;
};

struct thread_pool {
	qb_loop_t *loop;
	void (*ready)(void *ctx);
	void *ctx;
	int fd;	      /* eventfd: written when the loop is to look */
	bool polled;

	pthread_mutex_t lock;
	pthread_cond_t work;  /* something was queued, or stop */
	pthread_cond_t ended; /* a task that is to be cancelled */
	/* under the lock */
	struct pool_task *first, **last;
	unsigned int running; /* in other threads than the loop's */
	bool news;	      /* one of these has ended */
	bool wanted;	      /* the loop waits for that */
	bool stop;

	unsigned int threads, started;
	struct member members[]; /* [0] is the loop's thread */
};

/* ---- under the lock ---- */

static void append(struct thread_pool *p, struct pool_task *t)
{
	t->state = POOL_TASK_QUEUED;
	t->next = NULL;
	*p->last = t;
	p->last = &t->next;
}

static void take_out(struct thread_pool *p, struct pool_task *t)
{
	struct pool_task **at = &p->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (p->last == &t->next)
		p->last = at;
}

/* Run the first of the queue, which is not empty.  true: it has ended. */
static bool run_first(struct thread_pool *p, unsigned int who)
{
	struct pool_task *t = p->first;
	bool more;

	take_out(p, t);
	t->state = POOL_TASK_RUNS;
	pthread_mutex_unlock(&p->lock);
	more = t->run(t, who);
	pthread_mutex_lock(&p->lock);
	if (more && !t->cancelled) {
		append(p, t);
		return false;
	}
	t->state = POOL_TASK_IDLE;
	if (t->cancelled)
		pthread_cond_signal(&p->ended);
	return true;
}

static void tell_loop(struct thread_pool *p)
{
	uint64_t one = 1;

	p->news = true;
	/* It cannot be full: it is written once for each thread_pool_wait(). */
	if (p->wanted && write(p->fd, &one, sizeof(one)) == sizeof(one))
		p->wanted = false;
}

/* ---- the threads ---- */

static void *work(void *arg)
{
	struct member *m = arg;
	struct thread_pool *p = m->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		bool ended;

		while (p->first == NULL && !p->stop)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->stop)
			break;
		p->running++;
		ended = run_first(p, m->who);
		p->running--;
		if (ended)
			tell_loop(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int start_threads(struct thread_pool *p)
{
	sigset_t all, was;
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	for (p->started = 1; p->started < p->threads; p->started++) {
		struct member *m = &p->members[p->started];

		m->pool = p;
		m->who = p->started;
		r = pthread_create(&m->thread, &attr, work, m);
		if (r != 0)
			break;
		pthread_setname_np(m->thread, "encode");
	}
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

/* ---- the loop's thread ---- */

static int32_t on_event(int32_t fd, int32_t revents, void *data)
{
	struct thread_pool *p = data;
	uint64_t n;

	(void)revents;
	if (read(fd, &n, sizeof(n)) == sizeof(n))
		p->ready(p->ctx);
	return 0;
}

int thread_pool_new(struct thread_pool **out, qb_loop_t *loop,
		    unsigned int threads, void (*ready)(void *ctx), void *ctx)
{
	struct thread_pool *p;
	int rc;

	*out = NULL;
	p = calloc(1, sizeof(*p) + threads * sizeof(p->members[0]));
	if (p == NULL)
		return -ENOMEM;
	p->loop = loop;
	p->ready = ready;
	p->ctx = ctx;
	p->threads = threads;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->ended, NULL);
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = p->fd < 0 ? -errno
		       : qb_loop_poll_add(loop, QB_LOOP_HIGH, p->fd, POLLIN, p,
					  on_event);
	p->polled = rc == 0;
	if (rc == 0)
		rc = start_threads(p);
	if (rc < 0) {
		thread_pool_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void thread_pool_free(struct thread_pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 1; i < p->started; i++)
		pthread_join(p->members[i].thread, NULL);
	if (p->polled)
		qb_loop_poll_del(p->loop, p->fd);
	if (p->fd >= 0)
		close(p->fd);
	pthread_cond_destroy(&p->ended);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

unsigned int thread_pool_threads(const struct thread_pool *p)
{
	return p->threads;
}

void thread_pool_submit(struct thread_pool *p, struct pool_task *t, bool wake)
{
	pthread_mutex_lock(&p->lock);
	t->cancelled = false;
	append(p, t);
	if (wake)
		pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

bool thread_pool_busy(struct thread_pool *p, const struct pool_task *t)
{
	bool busy;

	pthread_mutex_lock(&p->lock);
	busy = t->state != POOL_TASK_IDLE;
	pthread_mutex_unlock(&p->lock);
	return busy;
}

void thread_pool_cancel(struct thread_pool *p, struct pool_task *t)
{
	pthread_mutex_lock(&p->lock);
	t->cancelled = true;
	if (t->state == POOL_TASK_QUEUED) {
		take_out(p, t);
		t->state = POOL_TASK_IDLE;
	}
	while (t->state != POOL_TASK_IDLE)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

bool thread_pool_help(struct thread_pool *p)
{
	bool any;

	pthread_mutex_lock(&p->lock);
	any = p->first != NULL;
	if (any)
		run_first(p, 0);
	pthread_mutex_unlock(&p->lock);
	return any;
}

bool thread_pool_wait(struct thread_pool *p)
{
	bool comes;

	pthread_mutex_lock(&p->lock);
	comes = !p->news && p->running > 0;
	p->wanted = comes;
	p->news = false;
	pthread_mutex_unlock(&p->lock);
	return comes;
}
