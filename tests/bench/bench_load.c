/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_load - a redis client with a fixed rate, whatever the answers take.
 *
 *	bench_load HOST PORT COMMANDS_PER_S KEYS VALUE_BYTES
 *
 * SETs of KEYS different keys over one connection.  Answers are read and
 * counted, not waited for: so a protected guest gets the same load as one that
 * answers at once.  At most IN_FLIGHT commands wait for an answer; beyond that
 * it does not send, and says so at the end.  Runs until SIGTERM or SIGINT, then
 * prints what it reached since the last SIGUSR1, if there was one.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 4096u
#define STEP_NS 2000000u
#define VALUE_MAX 4096u

static volatile sig_atomic_t stop_asked;
static int fd = -1;
static uint64_t sent, answered, held;

static void on_signal(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_load: %s\n", what);
	exit(1);
}

static void dial(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int one = 1;

	if (getaddrinfo(host, port, &hints, &ai) != 0)
		die("no such address");
	fd = socket(ai->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		die("cannot connect");
	freeaddrinfo(ai);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Every answer to a SET is one line, "+OK". */
static void take_answers(void)
{
	static char buf[65536];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '-')
				die("redis refuses");
			answered += buf[i] == '\n';
		}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		die("the connection is gone");
}

static void send_set(uint64_t keys, size_t value_bytes)
{
	static char value[VALUE_MAX + 1];
	static uint64_t x = 88172645463325252u;
	char text[VALUE_MAX + 256];
	int n;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	memset(value, 'a' + (int)(x % 26), value_bytes);
	n = snprintf(text, sizeof(text),
		     "*3\r\n$3\r\nSET\r\n$16\r\n%016llx\r\n$%zu\r\n%s\r\n",
		     (unsigned long long)(x / 26 % keys), value_bytes, value);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n && !stop_asked)
		die("the connection takes no more");
	sent++;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct timespec no_time = { 0, 0 };
	sigset_t usr1;
	uint64_t rate, keys, began, due, last, mark, mark_answered = 0;
	size_t value_bytes;

	if (argc != 6) {
		fprintf(stderr, "usage: bench_load HOST PORT COMMANDS_PER_S "
			"KEYS VALUE_BYTES\n");
		return 2;
	}
	rate = strtoull(argv[3], NULL, 10);
	keys = strtoull(argv[4], NULL, 10);
	value_bytes = strtoull(argv[5], NULL, 10);
	if (rate == 0 || keys == 0 || value_bytes > VALUE_MAX)
		die("a number is out of range");
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	/* Looked for, not handled: it must not cut a send() short. */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	dial(argv[1], argv[2]);
	began = last = mark = now_ns();
	while (!stop_asked) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct timespec ts = { 0, STEP_NS };

		due = (now_ns() - began) * rate / 1000000000u;
		while (sent + held < due && !stop_asked)
			if (sent - answered < IN_FLIGHT)
				send_set(keys, value_bytes);
			else
				held++;
		nanosleep(&ts, NULL);
		if (poll(&p, 1, 0) > 0)
			take_answers();
		last = now_ns();
		if (sigtimedwait(&usr1, NULL, &no_time) == SIGUSR1) {
			mark = last;
			mark_answered = answered;
		}
	}
	printf("{\"sent\": %llu, \"answered\": %llu, \"held\": %llu, "
	       "\"per_s\": %.0f}\n", (unsigned long long)sent,
	       (unsigned long long)answered, (unsigned long long)held,
	       (double)(answered - mark_answered) * 1e9 /
		       (double)(last - mark));
	return 0;
}
