/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define FD_ASIDE 64 /* above every number that the child is to get */
#define LOG_TAIL_BYTES 4096
#define EXIT_CHILD 127

struct qemu_process {
	qb_loop_t *loop;
	pid_t pid;
	int pidfd; /* -1: reaped */
	int log;
	void (*ended)(void *ctx, const char *why);
	void *ctx;
};

/* ---- in the child, until exec ---- */

static void child_fail(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
	_exit(EXIT_CHILD);
}

/* A handler or an ignored SIGPIPE of remusd's is none of QEMU's business. */
static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Two passes, since a descriptor's number here may be another's there. */
static void place_fds(const struct qemu_spawn *s, int log)
{
	int want[QEMU_FD_END], aside[QEMU_FD_END];

	want[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	want[1] = want[2] = log;
	for (int i = 3; i < QEMU_FD_END; i++)
		want[i] = s->fd[i];
	for (int i = 0; i < QEMU_FD_END; i++) {
		aside[i] = want[i] < 0 ? -1 :
			fcntl(want[i], F_DUPFD_CLOEXEC, FD_ASIDE);
		if (want[i] >= 0 && aside[i] < 0)
			_exit(EXIT_CHILD);
	}
	for (int i = 0; i < QEMU_FD_END; i++) {
		if (aside[i] < 0)
			close(i);
		else if (dup2(aside[i], i) < 0)
			_exit(EXIT_CHILD);
	}
	if (close_range(QEMU_FD_END, ~0u, 0) < 0)
		child_fail("cannot close inherited descriptors");
}

/* All of it now: a tmpfs that fills up later would be a SIGBUS, in remusd and
 * in the guest.  Here rather than in remusd, because it takes a while. */
static void reserve_ram(const struct qemu_spawn *s)
{
	if (s->fd[QEMU_FD_RAM] < 0 ||
	    fallocate(QEMU_FD_RAM, 0, 0, (off_t)s->ram_bytes) == 0)
		return;
	dprintf(STDERR_FILENO, "cannot reserve %" PRIu64 " MiB of guest RAM in"
		" %s: %s\n", s->ram_bytes >> 20, s->ram_dir, strerror(errno));
	_exit(EXIT_CHILD);
}

static void run_child(const struct qemu_spawn *s, char *const *envp, int log,
		      pid_t parent) __attribute__((noreturn));

static void run_child(const struct qemu_spawn *s, char *const *envp, int log,
		      pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_CHILD); /* remusd died before the prctl() */
	setsid(); /* a terminal's ^C is for remusd, which then decides */
	reset_signals();
	place_fds(s, log);
	reserve_ram(s);
	execvpe(s->argv[0], s->argv, envp);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", s->argv[0],
		strerror(errno));
	_exit(EXIT_CHILD);
}

/* ---- the parent ---- */

/* Little of remusd's environment is meant for QEMU. */
static int make_env(const struct qemu_spawn *s, char *buf[5])
{
	const char *path = getenv("PATH");
	struct stat st;
	size_t n = 0;

	if (asprintf(&buf[n++], "PATH=%s", path != NULL ? path :
		     "/usr/sbin:/usr/bin:/sbin:/bin") < 0 ||
	    asprintf(&buf[n++], "LC_ALL=C") < 0)
		return -ENOMEM;
	if (s->track_lib != NULL && fstat(s->fd[QEMU_FD_RAM], &st) == 0) {
		if (asprintf(&buf[n++], "LD_PRELOAD=%s", s->track_lib) < 0 ||
		    asprintf(&buf[n++], "REMUS_TRACK_FILE=%llu:%llu",
			     (unsigned long long)st.st_dev,
			     (unsigned long long)st.st_ino) < 0)
			return -ENOMEM;
	}
	buf[n] = NULL;
	return 0;
}

/* Last line of the log that says something, in buf; "" when there is none. */
static void last_line(int fd, char *buf, size_t buf_bytes)
{
	char tail[LOG_TAIL_BYTES + 1], *line, *end;
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > LOG_TAIL_BYTES ? size - LOG_TAIL_BYTES : 0;
	ssize_t n = pread(fd, tail, LOG_TAIL_BYTES, from);

	buf[0] = '\0';
	if (n <= 0)
		return;
	for (ssize_t i = 0; i < n; i++)
		if ((tail[i] >= 0 && tail[i] < ' ' && tail[i] != '\n') ||
		    tail[i] == 127)
			tail[i] = ' ';
	tail[n] = '\0';
	for (line = tail; line != NULL; line = end) {
		end = strchr(line, '\n');
		if (end != NULL)
			*end++ = '\0';
		if (line[0] != '\0' &&
		    strncmp(line, "libremus-track:", 15) != 0)
			snprintf(buf, buf_bytes, "%.*s", (int)buf_bytes - 1,
				 line);
	}
}

static void describe_end(const struct qemu_process *p, int known, int status,
			 char *why, size_t why_bytes)
{
	char line[300];

	last_line(p->log, line, sizeof(line));
	if (known && WIFSIGNALED(status))
		snprintf(why, why_bytes, "QEMU was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (known && WEXITSTATUS(status) == EXIT_CHILD)
		snprintf(why, why_bytes, "%s", line[0] != '\0' ? line :
			 "QEMU could not be started");
	else
		snprintf(why, why_bytes, "QEMU exited with status %d%s%s",
			 known ? WEXITSTATUS(status) : -1,
			 line[0] != '\0' ? ": " : "", line);
}

static void forget_pidfd(struct qemu_process *p)
{
	qb_loop_poll_del(p->loop, p->pidfd);
	close(p->pidfd);
	p->pidfd = -1;
}

static int on_pidfd(__attribute__((unused)) int32_t fd,
		    __attribute__((unused)) int32_t revents, void *data)
{
	struct qemu_process *p = data;
	char why[512];
	int status = 0;
	pid_t r = waitpid(p->pid, &status, WNOHANG);

	if (r == 0)
		return 0;
	forget_pidfd(p);
	describe_end(p, r == p->pid, status, why, sizeof(why));
	p->ended(p->ctx, why);
	return 0;
}

static void free_env(char **envp)
{
	for (; *envp != NULL; envp++)
		free(*envp);
}

static int open_log(const char *path, char *err, size_t err_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC |
		      O_NOFOLLOW, 0600);

	if (fd < 0)
		return set_err(err, err_bytes, -errno, "cannot write %s: %s",
			       path, strerror(errno));
	return fd;
}

static int fork_child(struct qemu_process *p, const struct qemu_spawn *s)
{
	char *envp[5] = { NULL };
	pid_t self = getpid();
	int rc = make_env(s, envp);

	if (rc == 0) {
		p->pid = fork();
		if (p->pid == 0)
			run_child(s, envp, p->log, self);
		rc = p->pid < 0 ? -errno : 0;
	}
	free_env(envp);
	return rc;
}

/* From here on the child's end is noticed. */
static int watch_child(struct qemu_process *p)
{
	int rc;

	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd < 0) {
		rc = -errno;
	} else {
		fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
		rc = qb_loop_poll_add(p->loop, QB_LOOP_HIGH, p->pidfd, POLLIN,
				      p, on_pidfd);
	}
	if (rc < 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		if (p->pidfd >= 0)
			close(p->pidfd);
		p->pidfd = -1;
	}
	return rc;
}

int qemu_process_start(struct qemu_process **out, const struct qemu_spawn *s,
		       char *err, size_t err_bytes)
{
	struct qemu_process *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	p->loop = s->loop;
	p->ended = s->ended;
	p->ctx = s->ctx;
	p->pidfd = -1;
	p->log = open_log(s->log_path, err, err_bytes);
	if (p->log < 0) {
		rc = p->log;
		free(p);
		return rc;
	}
	rc = fork_child(p, s);
	if (rc == 0)
		rc = watch_child(p);
	if (rc < 0) {
		qemu_process_free(p);
		return set_err(err, err_bytes, rc, "cannot start QEMU: %s",
			       strerror(-rc));
	}
	*out = p;
	return 0;
}

pid_t qemu_process_pid(const struct qemu_process *p)
{
	return p->pid;
}

void qemu_process_kill(struct qemu_process *p)
{
	if (p->pidfd >= 0)
		pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

void qemu_process_free(struct qemu_process *p)
{
	if (p == NULL)
		return;
	if (p->pidfd >= 0) {
		qemu_process_kill(p);
		waitpid(p->pid, NULL, 0);
		forget_pidfd(p);
	}
	close(p->log);
	free(p);
}
