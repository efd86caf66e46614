/* SPDX-License-Identifier: GPL-2.0-or-later */
/* background.c - see background.h. */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <qb/qblog.h>
#include <sys/types.h>
#include <unistd.h>

int background(void)
{
	char code = 1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ends[1]);
		if (read(ends[0], &code, 1) != 1)
			code = 1;
		_exit(code);
	}
	close(ends[0]);
	setsid();
	return chdir("/") < 0 ? -errno : ends[1];
}

void background_report(int fd, int code)
{
	int null = code == 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	char byte = (char)code;

	for (int i = 0; i <= 2 && null >= 0; i++)
		dup2(null, i);
	if (write(fd, &byte, 1) != 1)
		qb_log(LOG_WARNING, "the starter did not wait");
	close(fd);
}
