/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xen_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sys/pidfd.h>

#include "util.h"

#define FD_ASIDE 64 /* above every number that the child is to get */

enum { FD_WORDS = 3, FD_OUT, FD_IN, FD_END };

struct xen_child {
	qb_loop_t *loop;
	pid_t pid;
	int pidfd; /* -1: reaped */
	int words;
	bool listening; /* words are polled */
	const struct xen_child_events *events;
	void *ctx;
	uint8_t said[XEN_SAY_MAX];
};

/* ---- in the child ---- */

static void place_fds(const struct xen_child_params *p, int words, int log)
{
	int want[FD_END] = { -1, log, log, words, p->out, p->in };
	int aside[FD_END];

	for (int i = 1; i < FD_END; i++)
		aside[i] = want[i] < 0 ? -1
				       : fcntl(want[i], F_DUPFD, FD_ASIDE);
	for (int i = 1; i < FD_END; i++) {
		if (aside[i] < 0)
			close(i);
		else if (dup2(aside[i], i) < 0)
			_exit(127);
		if (i >= FD_WORDS && aside[i] >= 0)
			fcntl(i, F_SETFD, FD_CLOEXEC);
	}
	close(0);
	if (open("/dev/null", O_RDONLY) != 0)
		_exit(127);
	close_range(FD_END, ~0u, 0);
}

static void run_child(const struct xen_child_params *p, int words, int log)
	__attribute__((noreturn));
static void run_child(const struct xen_child_params *p, int words, int log)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;

	setsid(); /* and so a process group, with all that it starts */
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &act, NULL);
	act.sa_handler = SIG_IGN; /* an error of write() is enough */
	sigaction(SIGPIPE, &act, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	place_fds(p, words, log);
	_exit(p->run(p->arg, FD_WORDS, p->out < 0 ? -1 : FD_OUT,
		     p->in < 0 ? -1 : FD_IN));
}

/* ---- in remusd ---- */

static void hear(struct xen_child *c)
{
	struct xen_say m;
	ssize_t n;

	while (c->words >= 0) {
		n = recv(c->words, c->said, sizeof(c->said), MSG_DONTWAIT);
		if (n < (ssize_t)sizeof(m))
			return;
		memcpy(&m, c->said, sizeof(m));
		m.why[sizeof(m.why) - 1] = m.vif[sizeof(m.vif) - 1] = '\0';
		c->events->said(c->ctx, &m, (char *)c->said + sizeof(m),
				(size_t)n - sizeof(m));
	}
}

static void stop_listening(struct xen_child *c)
{
	if (c->listening)
		qb_loop_poll_del(c->loop, c->words);
	c->listening = false;
}

static int on_words(int32_t fd, int32_t revents, void *data)
{
	struct xen_child *c = data;

	(void)fd;
	hear(c);
	/* Its end is the pidfd's to tell. */
	if (revents & (POLLHUP | POLLERR))
		stop_listening(c);
	return 0;
}

static void forget(struct xen_child *c)
{
	if (c->pidfd >= 0) {
		qb_loop_poll_del(c->loop, c->pidfd);
		close(c->pidfd);
	}
	c->pidfd = -1;
}

static void hang_up(struct xen_child *c)
{
	stop_listening(c);
	if (c->words >= 0)
		close(c->words);
	c->words = -1;
}

static int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int on_pidfd(int32_t fd, int32_t revents, void *data)
{
	struct xen_child *c = data;
	int status = -1;

	(void)fd;
	(void)revents;
	if (waitpid(c->pid, &status, WNOHANG) == 0)
		return 0;
	forget(c);
	hear(c);
	hang_up(c);
	c->events->ended(c->ctx, exit_code(status));
	return 0;
}

static int watch(struct xen_child *c)
{
	int rc;

	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0)
		return -errno;
	fcntl(c->pidfd, F_SETFD, FD_CLOEXEC);
	rc = qb_loop_poll_add(c->loop, QB_LOOP_HIGH, c->words, POLLIN, c,
			      on_words);
	c->listening = rc == 0;
	if (rc == 0)
		rc = qb_loop_poll_add(c->loop, QB_LOOP_HIGH, c->pidfd, POLLIN,
				      c, on_pidfd);
	return rc;
}

static int start(struct xen_child *c, const struct xen_child_params *p)
{
	int pair[2], rc, bytes = 2 * (int)XEN_SAY_MAX;
	int log = open(p->log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC |
		       O_NOFOLLOW, 0600);

	if (log < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		rc = -errno;
		close(log);
		return rc;
	}
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	c->words = pair[0];
	c->pid = fork();
	if (c->pid == 0)
		run_child(p, pair[1], log);
	rc = c->pid < 0 ? -errno : watch(c);
	close(pair[1]);
	close(log);
	return rc;
}

int xen_child_start(struct xen_child **out, const struct xen_child_params *p,
		    char *err, size_t err_bytes)
{
	struct xen_child *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	c->loop = p->loop;
	c->events = p->events;
	c->ctx = p->ctx;
	c->pidfd = c->words = -1;
	rc = start(c, p);
	if (rc < 0) {
		if (c->pid > 0 && c->pidfd < 0) {
			kill(-c->pid, SIGKILL);
			waitpid(c->pid, NULL, 0);
		}
		xen_child_free(c);
		return set_err(err, err_bytes, rc, "cannot start the helper "
			       "(its log is %s): %s", p->log, strerror(-rc));
	}
	*out = c;
	return 0;
}

int xen_child_say(struct xen_child *c, enum xen_word word)
{
	struct xen_say m = { .word = word };

	if (c->words < 0 ||
	    send(c->words, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -ENOTCONN;
	return 0;
}

/* Its process group is its own once it has run; before that it is alone. */
void xen_child_kill(struct xen_child *c)
{
	if (c->pidfd < 0)
		return;
	kill(-c->pid, SIGKILL);
	pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
}

int xen_child_wait(struct xen_child *c)
{
	int status = -1;

	if (c->pidfd < 0)
		return -1;
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	forget(c);
	return exit_code(status);
}

void xen_child_free(struct xen_child *c)
{
	if (c == NULL)
		return;
	if (c->pidfd >= 0) {
		xen_child_kill(c);
		xen_child_wait(c);
	}
	hang_up(c);
	free(c);
}
