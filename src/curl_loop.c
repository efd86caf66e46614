/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#ifdef HAVE_LIBCURL

#include "curl_loop.h"

#include <errno.h>
#include <poll.h>
#include <qb/qbdefs.h>
#include <stdbool.h>
#include <stdlib.h>

struct curl_loop {
	qb_loop_t *loop;
	CURLM *multi;
	curl_loop_done done;
	void *ctx;
	qb_loop_timer_handle timer;
	bool timer_armed;
	bool *freed; /* set when `done` frees us */
};

static void take_finished(struct curl_loop *c)
{
	bool freed = false;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
		CURL *easy = m->easy_handle;
		CURLcode r = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_multi_remove_handle(c->multi, easy); /* *m goes with it */
		c->freed = &freed;
		c->done(c->ctx, easy, r);
		if (freed)
			return;
		c->freed = NULL;
	}
}

static int32_t on_fd(int32_t fd, int32_t revents, void *data)
{
	struct curl_loop *c = data;
	int events = 0, running;

	if ((revents & POLLIN) != 0)
		events |= CURL_CSELECT_IN;
	if ((revents & POLLOUT) != 0)
		events |= CURL_CSELECT_OUT;
	if ((revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		events |= CURL_CSELECT_ERR;
	curl_multi_socket_action(c->multi, fd, events, &running);
	take_finished(c);
	return 0; /* not -1: libqb would take out what curl has put in anew */
}

static void on_timer(void *data)
{
	struct curl_loop *c = data;
	int running;

	c->timer_armed = false;
	curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(c);
}

static int set_timer(CURLM *multi __attribute__((unused)), long ms, void *data)
{
	struct curl_loop *c = data;

	if (c->timer_armed)
		qb_loop_timer_del(c->loop, c->timer);
	c->timer_armed = false;
	if (ms < 0)
		return 0;
	if (qb_loop_timer_add(c->loop, QB_LOOP_MED,
			      (uint64_t)ms * QB_TIME_NS_IN_MSEC, c, on_timer,
			      &c->timer) != 0)
		return -1;
	c->timer_armed = true;
	return 0;
}

static int watch_fd(CURL *easy __attribute__((unused)), curl_socket_t fd,
		    int what, void *data, void *known)
{
	struct curl_loop *c = data;
	int events = 0, r;

	if (what == CURL_POLL_REMOVE) {
		qb_loop_poll_del(c->loop, fd);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= POLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= POLLOUT;
	if (known != NULL)
		r = qb_loop_poll_mod(c->loop, QB_LOOP_MED, fd, events, c,
				     on_fd);
	else
		r = qb_loop_poll_add(c->loop, QB_LOOP_MED, fd, events, c,
				     on_fd);
	if (r < 0)
		return -1;
	curl_multi_assign(c->multi, fd, c);
	return 0;
}

struct curl_loop *curl_loop_new(qb_loop_t *loop, curl_loop_done done, void *ctx)
{
	struct curl_loop *c = calloc(1, sizeof(*c));
	int r = 0;

	if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(c);
		return NULL;
	}
	c->loop = loop;
	c->done = done;
	c->ctx = ctx;
	c->multi = curl_multi_init();
	if (c->multi != NULL) {
		r |= curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION,
				       watch_fd);
		r |= curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
		r |= curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION,
				       set_timer);
		r |= curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	}
	if (c->multi == NULL || r != 0) {
		curl_loop_free(c);
		return NULL;
	}
	return c;
}

void curl_loop_free(struct curl_loop *c)
{
	if (c == NULL)
		return;
	if (c->freed != NULL)
		*c->freed = true;
	if (c->multi != NULL)
		curl_multi_cleanup(c->multi); /* takes its descriptors out */
	if (c->timer_armed)
		qb_loop_timer_del(c->loop, c->timer);
	free(c);
	curl_global_cleanup();
}

int curl_loop_add(struct curl_loop *c, CURL *easy)
{
	return curl_multi_add_handle(c->multi, easy) == CURLM_OK ? 0 : -EIO;
}

void curl_loop_remove(struct curl_loop *c, CURL *easy)
{
	curl_multi_remove_handle(c->multi, easy);
}

#else
typedef int curl_loop_is_empty; /* ISO C wants something in a file */
#endif
