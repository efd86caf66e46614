/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_thread_pool.c - tasks, who runs them, and what the loop hears of it.
 *
 * Where a test waits for another thread it does so without end: what never comes
 * is a failure by the harness's time limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "no_threads.h"
#include "thread_pool.h"
#include "util.h"

#define THREADS 4

struct job {
	struct pool_task task; /* first */
	atomic_int runs;
	int turns;	/* runs that it takes */
	unsigned int who;
	pthread_t thread;
	atomic_bool *gate; /* run() waits until it is open */
	atomic_bool begun;
	int *order, place;
	bool blocked;	/* every signal that can be */
};

static qb_loop_t *loop;
static struct thread_pool *pool;
static unsigned int readies;

static bool run(struct pool_task *t, unsigned int who)
{
	struct job *j = (struct job *)t;
	sigset_t now;

	j->who = who;
	j->thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	j->blocked = sigismember(&now, SIGTERM) && sigismember(&now, SIGINT) &&
		     sigismember(&now, SIGCHLD);
	j->begun = true;
	while (j->gate != NULL && !*j->gate)
		usleep(100);
	if (j->order != NULL)
		*j->order = *j->order * 10 + j->place;
	return ++j->runs < j->turns;
}

static void ready(void *ctx)
{
	(void)ctx;
	readies++;
	qb_loop_stop(loop);
}

static void wait_begun(struct job *j)
{
	while (!j->begun)
		usleep(100);
}

/* Until each thread has run something and waits for more: one that is only just
 * starting takes what nobody was woken for. */
static void wait_idle(void)
{
	atomic_bool gate = false;
	struct job j[THREADS - 1];

	memset(j, 0, sizeof(j));
	for (size_t i = 0; i < ARRAY_LEN(j); i++) {
		j[i].task.run = run;
		j[i].gate = &gate;
		thread_pool_submit(pool, &j[i].task, true);
	}
	for (size_t i = 0; i < ARRAY_LEN(j); i++)
		wait_begun(&j[i]);
	gate = true;
	for (size_t i = 0; i < ARRAY_LEN(j); i++)
		while (thread_pool_busy(pool, &j[i].task))
			usleep(100);
	assert_false(thread_pool_wait(pool)); /* and that is no news now */
}

static int set_up(void **state)
{
	(void)state;
	readies = 0;
	loop = qb_loop_create();
	assert_non_null(loop);
	assert_int_equal(thread_pool_new(&pool, loop, THREADS, ready, NULL), 0);
	assert_int_equal(thread_pool_threads(pool), THREADS);
	wait_idle();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	thread_pool_free(pool);
	thread_pool_free(NULL);
	qb_loop_destroy(loop);
	return 0;
}

/* As the sender does, but for helping. */
static void wait_done(struct job *j)
{
	while (thread_pool_busy(pool, &j->task))
		if (thread_pool_wait(pool))
			qb_loop_run(loop);
		else
			usleep(100); /* a thread is still waking up */
}

static void another_thread_runs_it_and_the_loop_is_told(void **state)
{
	struct job j = { .task.run = run };

	(void)state;
	assert_false(thread_pool_wait(pool)); /* nothing runs */
	assert_false(thread_pool_busy(pool, &j.task));
	thread_pool_submit(pool, &j.task, true);
	wait_done(&j);
	assert_int_equal(j.runs, 1);
	assert_true(j.who > 0 && j.who < THREADS);
	assert_false(pthread_equal(j.thread, pthread_self()));
}

/* The end comes between the look and the wait: no ready() would follow. */
static void what_has_ended_is_not_waited_for(void **state)
{
	atomic_bool gate = false;
	struct job j = { .task.run = run, .gate = &gate };

	(void)state;
	thread_pool_submit(pool, &j.task, true);
	wait_begun(&j);
	gate = true;
	while (thread_pool_busy(pool, &j.task))
		usleep(100);
	assert_false(thread_pool_wait(pool));
	assert_int_equal(readies, 0);
}

static void the_loop_is_told_once(void **state)
{
	atomic_bool gate = false;
	struct job j = { .task.run = run, .gate = &gate };

	(void)state;
	thread_pool_submit(pool, &j.task, true);
	wait_begun(&j);
	assert_true(thread_pool_wait(pool));
	gate = true;
	qb_loop_run(loop);
	assert_int_equal(readies, 1);
	assert_false(thread_pool_busy(pool, &j.task));
	/* Nobody asked. */
	j.begun = false;
	thread_pool_submit(pool, &j.task, true);
	while (thread_pool_busy(pool, &j.task))
		usleep(100);
	assert_false(thread_pool_wait(pool));
	assert_int_equal(readies, 1);
}

/* Nobody is woken for them. */
static void queue_three(struct job j[3], int *order)
{
	memset(j, 0, 3 * sizeof(*j));
	for (int i = 0; i < 3; i++) {
		j[i].task.run = run;
		j[i].order = order;
		j[i].place = i + 1;
		thread_pool_submit(pool, &j[i].task, false);
	}
}

static void the_loop_helps_in_the_order_of_the_queue(void **state)
{
	struct job j[3];
	int order = 0;

	(void)state;
	queue_three(j, &order);
	j[0].turns = 2; /* the second one behind all others */
	for (int i = 0; i < 4; i++)
		assert_true(thread_pool_help(pool));
	assert_false(thread_pool_help(pool));
	assert_int_equal(order, 1231);
	for (int i = 0; i < 3; i++)
		assert_int_equal(j[i].who, 0);
	/* What the loop itself has done is no news to it. */
	assert_false(thread_pool_wait(pool));
}

static void who_is_cancelled_runs_no_more(void **state)
{
	struct job j[3];
	int order = 0;

	(void)state;
	queue_three(j, &order);
	thread_pool_cancel(pool, &j[1].task);
	assert_true(thread_pool_help(pool));
	thread_pool_cancel(pool, &j[2].task); /* the last one */
	assert_false(thread_pool_help(pool));
	thread_pool_cancel(pool, &j[2].task); /* nothing to do */
	thread_pool_submit(pool, &j[1].task, false);
	thread_pool_submit(pool, &j[2].task, false);
	assert_true(thread_pool_help(pool) && thread_pool_help(pool));
	assert_int_equal(order, 123);
}

static void *open_later(void *gate)
{
	usleep(20000);
	*(atomic_bool *)gate = true;
	return NULL;
}

static void to_cancel_what_runs_is_to_wait_for_its_end(void **state)
{
	atomic_bool gate = false;
	struct job j = { .task.run = run, .gate = &gate, .turns = INT_MAX };
	pthread_t opener;

	(void)state;
	thread_pool_submit(pool, &j.task, true);
	wait_begun(&j);
	assert_int_equal(pthread_create(&opener, NULL, open_later, &gate), 0);
	thread_pool_cancel(pool, &j.task);
	assert_true(gate && j.runs > 0);
	assert_true(j.runs < j.turns);
	assert_false(thread_pool_busy(pool, &j.task));
	assert_false(thread_pool_help(pool));
	pthread_join(opener, NULL);
}

static void each_task_is_run_once_and_by_one_of_each_number(void **state)
{
	static struct job j[500];

	(void)state;
	memset(j, 0, sizeof(j));
	for (size_t i = 0; i < ARRAY_LEN(j); i++) {
		j[i].task.run = run;
		j[i].turns = 1 + (int)(i % 3);
		thread_pool_submit(pool, &j[i].task, i % 2 == 0);
		if (i % 7 == 0)
			thread_pool_help(pool);
	}
	for (size_t i = 0; i < ARRAY_LEN(j); i++) {
		while (thread_pool_busy(pool, &j[i].task))
			if (!thread_pool_help(pool) && thread_pool_wait(pool))
				qb_loop_run(loop);
		assert_int_equal(j[i].runs, 1 + (int)(i % 3));
		assert_true(j[i].who < THREADS);
		assert_true((j[i].who == 0) ==
			    !!pthread_equal(j[i].thread, pthread_self()));
	}
}

/* Or a handler of remusd's would run in one of them. */
static void signals_are_the_loops(void **state)
{
	struct job j = { .task.run = run };
	sigset_t now;

	(void)state;
	thread_pool_submit(pool, &j.task, true);
	wait_done(&j);
	assert_true(j.blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	assert_false(sigismember(&now, SIGTERM));
}

static bool allocate(struct pool_task *t, unsigned int who)
{
	struct job *j = (struct job *)t;

	(void)who;
	for (int i = 0; i < 100; i++)
		free(malloc(100 + (size_t)i * 1000));
	return !*j->gate;
}

/* The helpers of driver_xen.c run on in the child of a fork(). */
static void a_forks_child_has_all_it_needs(void **state)
{
	atomic_bool over = false;
	struct job j[THREADS - 1];

	(void)state;
	memset(j, 0, sizeof(j));
	for (size_t i = 0; i < ARRAY_LEN(j); i++) {
		j[i].task.run = allocate;
		j[i].gate = &over;
		thread_pool_submit(pool, &j[i].task, true);
	}
	for (int i = 0; i < 20; i++) {
		int status = -1;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			char *s = NULL;
			int n = asprintf(&s, "%0*d", 5000, i);

			alarm(60);
			_exit(n == 5000 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	over = true;
	for (size_t i = 0; i < ARRAY_LEN(j); i++)
		while (thread_pool_busy(pool, &j[i].task))
			usleep(100);
}

static void without_threads_there_is_no_pool(void **state)
{
	struct thread_pool *p = (void *)1;

	(void)state;
	no_threads = true;
	assert_int_equal(thread_pool_new(&p, loop, 2, ready, NULL), -EAGAIN);
	assert_null(p);
	no_threads = false;
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(another_thread_runs_it_and_the_loop_is_told),
		POOL_TEST(what_has_ended_is_not_waited_for),
		POOL_TEST(the_loop_is_told_once),
		POOL_TEST(the_loop_helps_in_the_order_of_the_queue),
		POOL_TEST(who_is_cancelled_runs_no_more),
		POOL_TEST(to_cancel_what_runs_is_to_wait_for_its_end),
		POOL_TEST(each_task_is_run_once_and_by_one_of_each_number),
		POOL_TEST(signals_are_the_loops),
		POOL_TEST(a_forks_child_has_all_it_needs),
		POOL_TEST(without_threads_there_is_no_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
