/* SPDX-License-Identifier: GPL-2.0-or-later */
/* on_change.c - see on_change.h. */
#include "on_change.h"

#include <errno.h>
#include <fcntl.h>
#include <qb/qblog.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "util.h"

extern char **environ;

struct on_change {
	qb_loop_t *loop;
	char *const *argv;
	on_change_look look;
	void *ctx;
	char seen[ON_CHANGE_LINE_MAX];
	bool news; /* since the command was last started */
	pid_t pid; /* 0: it does not run */
	uint64_t began_ns;
	qb_loop_timer_handle timer;
	bool armed;
};

/* posix_spawn(), not fork(): the guest's memory is mapped here, and a copy of
 * the page tables would be paid for by a pause. */
static int spawn(struct on_change *o)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return -rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0) {
		posix_spawn_file_actions_destroy(&files);
		return -rc;
	}
	for (int fd = 0; fd <= 2 && rc == 0; fd++)
		rc = posix_spawn_file_actions_addopen(&files, fd, "/dev/null",
						      O_RDWR, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(&files, 3);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID |
						POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	if (rc == 0)
		rc = posix_spawn(&o->pid, o->argv[0], &files, &attr, o->argv,
				 environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

static void start(struct on_change *o)
{
	int rc = spawn(o);

	if (rc < 0) {
		o->pid = 0;
		qb_log(LOG_ERR, "on_change: cannot run %s: %s", o->argv[0],
		       strerror(-rc));
		return;
	}
	o->began_ns = now_mono_ns();
	qb_log(LOG_DEBUG, "on_change: %s", o->seen);
}

static void reap(struct on_change *o)
{
	int status;
	pid_t r = waitpid(o->pid, &status, WNOHANG);

	if (r == 0) {
		if (now_mono_ns() - o->began_ns <
		    (uint64_t)ON_CHANGE_MAX_MS * 1000000u)
			return;
		qb_log(LOG_ERR, "on_change: %s does not end: killed",
		       o->argv[0]);
		kill(-o->pid, SIGKILL);
		o->began_ns = now_mono_ns(); /* once is enough */
		return;
	}
	o->pid = 0;
	if (r > 0 && status != 0)
		qb_log(LOG_WARNING, "on_change: %s failed (%s %d)", o->argv[0],
		       WIFSIGNALED(status) ? "signal" : "exit code",
		       WIFSIGNALED(status) ? WTERMSIG(status) :
					     WEXITSTATUS(status));
}

static int arm(struct on_change *o);

static void on_timer(void *data)
{
	struct on_change *o = data;
	char line[ON_CHANGE_LINE_MAX];

	o->armed = false;
	o->look(o->ctx, line, sizeof(line));
	if (strcmp(line, o->seen) != 0) {
		memcpy(o->seen, line, sizeof(line));
		o->news = true;
	}
	if (o->pid != 0)
		reap(o);
	if (o->pid == 0 && o->news) {
		o->news = false;
		start(o);
	}
	if (arm(o) < 0)
		qb_log(LOG_ERR, "on_change: no timer: changes are not told");
}

static int arm(struct on_change *o)
{
	int rc = qb_loop_timer_add(o->loop, QB_LOOP_LOW,
				   (uint64_t)ON_CHANGE_MS * 1000000u, o,
				   on_timer, &o->timer);

	o->armed = rc == 0;
	return rc;
}

int on_change_new(struct on_change **out, qb_loop_t *loop, char *const *argv,
		  on_change_look look, void *ctx)
{
	struct on_change *o = calloc(1, sizeof(*o));
	int rc;

	if (o == NULL)
		return -ENOMEM;
	o->loop = loop;
	o->argv = argv;
	o->look = look;
	o->ctx = ctx;
	look(ctx, o->seen, sizeof(o->seen));
	rc = arm(o);
	if (rc < 0) {
		free(o);
		return rc;
	}
	*out = o;
	return 0;
}

void on_change_free(struct on_change *o)
{
	if (o == NULL)
		return;
	if (o->armed)
		qb_loop_timer_del(o->loop, o->timer);
	free(o);
}
