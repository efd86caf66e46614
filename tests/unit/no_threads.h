/* SPDX-License-Identifier: GPL-2.0-or-later */
/* no_threads.h - pthread_create() that fails while no_threads is set; linked with
 * --wrap=pthread_create. */
#ifndef NO_THREADS_H
#define NO_THREADS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

static bool no_threads;

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(t, attr, fn, arg);
}

#endif
