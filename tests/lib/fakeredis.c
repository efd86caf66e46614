/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fakeredis - a server that fails on purpose, so that ackclient can be seen to
 * notice.  It knows inline INCR, SET and GET, serves one connection after the
 * other, prints its port, and does at write number N (both kinds counted, the
 * first is 1) what the fault says:
 *
 *   none            nothing
 *   lose-write N    acknowledge it and do not do it
 *   double-write N  do it twice (of a SET nobody can tell)
 *   rollback N      go back five writes first, as a stale copy would
 *   late-rollback N the same, after its answer was sent
 *   close N         close the connection instead of answering; it is done
 *   close-undone N  the same; it is not done
 *   stall N         answer only after 1.5 s
 *   mute N          never answer again
 *   split N         answers come byte by byte from here on
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEYS_MAX 100000u
#define ROLLBACK 5u

static struct write {
	char key[128];
	char value[64];
} log_[KEYS_MAX]; /* the state is what this log says, from its end */
static size_t writes_kept;
static unsigned long writes_seen, fault_at;
static const char *fault = "none";

static bool hit(const char *name)
{
	return writes_seen == fault_at && strcmp(fault, name) == 0;
}

static const char *lookup(const char *key)
{
	size_t i;

	for (i = writes_kept; i-- > 0;)
		if (strcmp(log_[i].key, key) == 0)
			return log_[i].value;
	return NULL;
}

static void store(const char *key, const char *value)
{
	if (writes_kept == KEYS_MAX)
		abort();
	snprintf(log_[writes_kept].key, sizeof(log_[0].key), "%s", key);
	snprintf(log_[writes_kept].value, sizeof(log_[0].value), "%s", value);
	writes_kept++;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void answer(int fd, const char *text)
{
	size_t i, n = strlen(text);
	bool split = strcmp(fault, "split") == 0 && writes_seen >= fault_at;

	for (i = 0; i < n; i += split ? 1 : n) {
		if (write(fd, text + i, split ? 1 : n) < 0)
			return;
		if (split)
			sleep_ms(1);
	}
}

static void go_back(void)
{
	writes_kept -= writes_kept < ROLLBACK ? writes_kept : ROLLBACK;
}

static void do_write(const char *cmd, const char *key, const char *value,
		     char *out, size_t out_bytes)
{
	const char *old = lookup(key);
	char next[64];

	snprintf(out, out_bytes, "+OK\r\n");
	if (strcmp(cmd, "INCR") == 0) {
		snprintf(next, sizeof(next), "%lld",
			 (old ? strtoll(old, NULL, 10) : 0) + 1);
		snprintf(out, out_bytes, ":%s\r\n", next);
		value = next;
	}
	store(key, value);
}

/* false: hang up */
static bool on_write(int fd, const char *cmd, const char *key,
		     const char *value)
{
	char out[128];

	writes_seen++;
	if (hit("rollback"))
		go_back();
	do_write(cmd, key, value, out, sizeof(out));
	if (hit("lose-write") || hit("close-undone"))
		writes_kept--;
	if (hit("double-write"))
		do_write(cmd, key, value, out, sizeof(out));
	if (hit("close") || hit("close-undone"))
		return false;
	if (hit("stall"))
		sleep_ms(1500);
	if (strcmp(fault, "mute") == 0 && writes_seen >= fault_at)
		return true;
	answer(fd, out);
	if (hit("late-rollback"))
		go_back();
	return true;
}

static bool on_command(int fd, char *line)
{
	char cmd[16] = "", key[128] = "", value[64] = "", out[128];
	const char *found;

	if (sscanf(line, "%15s %127s %63s", cmd, key, value) < 2)
		return false;
	if (strcmp(cmd, "GET") != 0)
		return on_write(fd, cmd, key, value);
	found = lookup(key);
	if (found)
		snprintf(out, sizeof(out), "$%zu\r\n%.63s\r\n", strlen(found),
			 found);
	answer(fd, found ? out : "$-1\r\n");
	return true;
}

static void serve(int fd)
{
	char line[512];
	FILE *f = fdopen(fd, "r");

	while (f && fgets(line, sizeof(line), f) && on_command(fd, line))
		;
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd, conn;

	if (argc > 1)
		fault = argv[1];
	if (argc > 2)
		fault_at = strtoul(argv[2], NULL, 10);
	signal(SIGPIPE, SIG_IGN);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&a, &len)) {
		perror("fakeredis");
		return 1;
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	while ((conn = accept(fd, NULL, NULL)) >= 0)
		serve(conn);
	return 0;
}
