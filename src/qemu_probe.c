/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu_probe.c - what this host has: QEMU's version, KVM, its processor. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qemu_process.h"
#include "util.h"

#define VERSION_WAIT_NS ((uint64_t)5000000000)

static void run_version(const char *binary, int out)
	__attribute__((noreturn));

static void run_version(const char *binary, int out)
{
	char *argv[] = { (char *)binary, (char *)"--version", NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	execvp(binary, argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* First line of all that comes until the end of file.  All of it, because a
 * writer whose pipe is closed early would seem to have failed. */
static int read_line(int fd, char *buf, size_t buf_bytes)
{
	uint64_t deadline = now_mono_ns() + VERSION_WAIT_NS;
	size_t have = 0;
	char more[512];

	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		uint64_t now = now_mono_ns();
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
			continue;
		n = read(fd, more, sizeof(more));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n && have + 1 < buf_bytes; i++)
			buf[have++] = more[i];
	}
	buf[have] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	return 0;
}

static int version_result(const char *binary, int rc, int status,
			  const char *line, char *err, size_t err_bytes)
{
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s --version: %s", binary,
			       strerror(-rc));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return set_err(err, err_bytes, -ENOENT, "%s not found (is "
			       "qemu-system-x86 installed?)", binary);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || line[0] == '\0')
		return set_err(err, err_bytes, -EINVAL,
			       "%s --version failed: is that QEMU?", binary);
	return 0;
}

int qemu_version(const char *binary, char *out, size_t out_bytes, char *err,
		 size_t err_bytes)
{
	int fd[2], status = 0, rc;
	pid_t pid;

	out[0] = '\0';
	if (pipe2(fd, O_CLOEXEC) < 0)
		return set_err(err, err_bytes, -errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0)
		run_version(binary, fd[1]);
	close(fd[1]);
	rc = pid < 0 ? -errno : read_line(fd[0], out, out_bytes);
	if (pid > 0 && rc < 0)
		kill(pid, SIGKILL);
	close(fd[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return version_result(binary, rc, status, out, err, err_bytes);
}

/* First line of /proc/cpuinfo that begins with `key`. */
static void cpuinfo(const char *key, char *out, size_t out_bytes)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t cap = 0;

	out[0] = '\0';
	while (f != NULL && out[0] == '\0' && getline(&line, &cap, f) > 0)
		if (strncmp(line, key, strlen(key)) == 0)
			snprintf(out, out_bytes, "%s", line);
	free(line);
	if (f != NULL)
		fclose(f);
}

bool qemu_kvm_usable(void)
{
	char flags[8192];
	int fd, vm = -1;

	cpuinfo("flags", flags, sizeof(flags));
	if (strstr(flags, " vmx") == NULL && strstr(flags, " svm") == NULL)
		return false;
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION)
		vm = ioctl(fd, KVM_CREATE_VM, 0);
	if (vm >= 0)
		close(vm);
	close(fd);
	return vm >= 0;
}

void qemu_host_cpu(char *out, size_t out_bytes)
{
	static const char *const keys[] = {
		"vendor_id", "cpu family", "model", "stepping", "flags",
	};
	char line[8192];
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(keys) && at < out_bytes; i++) {
		cpuinfo(keys[i], line, sizeof(line));
		at += (size_t)snprintf(out + at, out_bytes - at, "%s", line);
	}
}
