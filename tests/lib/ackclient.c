/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ackclient - does a server keep what it has acknowledged?
 *
 * One TCP connection to a redis, one command at a time: INCR TAG:counter and
 * SET TAG:key:N N in turn.  A command counts as acknowledged only when its
 * whole reply has come.  Every INCR must answer exactly one more than the one
 * before: less is a lost write, more a doubled one.  At the end (--seconds,
 * or SIGTERM, SIGINT) the outstanding command is finished, and then every
 * acknowledged write is asked for, over the same connection.
 *
 * A connection that stalls is not an error: the guest may be moving.  Only
 * --stall-limit seconds without an answer, or an error of the connection, end
 * the run (--reconnect: connect again and count that; the one command that had
 * no answer may then have been done or not, and either is allowed).
 *
 * --answers FILE gets the wall clock of every answer, in milliseconds, a line
 * each: beside other logs it tells what a silence was made of.
 *
 * Last line on stdout:
 *   acked=N stored=N lost=N duplicated=N reconnects=N blackout_ms=N
 *   p50_us=N p99_us=N max_us=N seconds=S error=...
 * Exit: 0 nothing lost, doubled, reconnected; 1 something was; 2 no verdict.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPLY_MAX 4096u
#define VERIFY_BATCH 64u
#define TICK_MS 200

enum { VERDICT_GOOD = 0, VERDICT_BAD = 1, VERDICT_NONE = 2 };

static struct {
	const char *host, *port, *json, *tag, *answers;
	double seconds; /* 0: until a signal comes */
	double rate;	/* commands a second; 0: as fast as they are answered */
	double stall_limit;
	uint64_t keys; /* SET goes round so many keys; 0: always a new one */
	bool reconnect, verify, quiet;
} opt = {
	.host = "127.0.0.1", .port = "6379",
	.stall_limit = 60, .verify = true,
};

static struct {
	int fd;
	char in[REPLY_MAX];
	size_t in_bytes;

	uint64_t acked_incr, acked_set;
	int64_t counter;      /* last answer of INCR, or where we began */
	uint64_t unknown;     /* commands whose answer got lost with a conn */
	uint64_t lost_incr, lost_set, found_set, duplicated, reconnects;

	uint64_t began_ns, answer_ns; /* last answer */
	uint64_t blackout_ns;
	uint32_t *latency_us;
	size_t latencies, latencies_room;
	bool verified;
	FILE *answers;
	char error[256];
} run = { .fd = -1 };

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The first error is the one to tell. */
__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
	va_list ap;

	if (!run.error[0]) {
		va_start(ap, fmt);
		vsnprintf(run.error, sizeof(run.error), fmt, ap);
		va_end(ap);
	}
	return -1;
}

/* ---- what is shown while it runs ---- */

static void show(bool end)
{
	static uint64_t next_ns, last_ns, last_acked;
	static bool drawn;
	uint64_t now = now_ns(), acked = run.acked_incr + run.acked_set;
	bool tty = isatty(STDERR_FILENO);
	double per_s, silent_ms;

	if (opt.quiet || (!end && now < next_ns))
		return;
	if (end) {
		if (drawn && tty)
			fputc('\n', stderr);
		return;
	}
	per_s = last_ns ? (double)(acked - last_acked) * 1e9 /
				  (double)(now - last_ns) : 0;
	silent_ms = (double)(now - run.answer_ns) / 1e6;
	fprintf(stderr, "%s  %6.1f s  acknowledged %8" PRIu64 "  %6.0f/s  "
		"longest silence %5" PRIu64 " ms%s", tty ? "\r\033[K" : "",
		(double)(now - run.began_ns) / 1e9, acked, per_s,
		run.blackout_ns / 1000000u,
		silent_ms > 300 ? "  waiting" : "");
	if (tty && silent_ms > 300)
		fprintf(stderr, " %.1f s", silent_ms / 1e3);
	if (!tty)
		fputc('\n', stderr);
	fflush(stderr);
	drawn = true;
	last_ns = now;
	last_acked = acked;
	next_ns = now + (tty ? 250000000u : 1000000000u);
}

/* ---- the connection ---- */

/* Wait until the socket is ready; shows progress meanwhile.  The limit runs
 * from `since`: any byte from the server begins it anew. */
static int wait_fd(short events, uint64_t since_ns)
{
	struct pollfd p = { .fd = run.fd, .events = events };
	int n;

	for (;;) {
		n = poll(&p, 1, TICK_MS);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return fail("poll: %s", strerror(errno));
		show(false);
		if ((double)(now_ns() - since_ns) / 1e9 > opt.stall_limit)
			return fail("no answer for %.0f s", opt.stall_limit);
	}
}

static int connect_to(const struct addrinfo *ai)
{
	int one = 1, err = 0;
	socklen_t len = sizeof(err);

	run.fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (run.fd < 0)
		return fail("socket: %s", strerror(errno));
	setsockopt(run.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(run.fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return fail("connect: %s", strerror(errno));
	if (wait_fd(POLLOUT, now_ns()))
		return -1;
	getsockopt(run.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err ? fail("connect: %s", strerror(err)) : 0;
}

static void hang_up(void)
{
	if (run.fd >= 0)
		close(run.fd);
	run.fd = -1;
	run.in_bytes = 0;
}

static int dial(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int r;

	r = getaddrinfo(opt.host, opt.port, &hints, &ai);
	if (r)
		return fail("%s: %s", opt.host, gai_strerror(r));
	r = connect_to(ai);
	freeaddrinfo(ai);
	if (r)
		hang_up();
	return r;
}

static int send_all(const char *data, size_t bytes)
{
	uint64_t since = now_ns();
	ssize_t n;

	while (bytes) {
		n = send(run.fd, data, bytes, MSG_NOSIGNAL);
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return fail("send: %s", strerror(errno));
		if (wait_fd(POLLOUT, since))
			return -1;
	}
	return 0;
}

static int read_more(void)
{
	uint64_t since = now_ns();
	ssize_t n;

	if (run.in_bytes == REPLY_MAX)
		return fail("an answer is too long");
	for (;;) {
		n = recv(run.fd, run.in + run.in_bytes,
			 REPLY_MAX - run.in_bytes, 0);
		if (n > 0) {
			run.in_bytes += (size_t)n;
			return 0;
		}
		if (n == 0)
			return fail("the server closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return fail("recv: %s", strerror(errno));
		if (wait_fd(POLLIN, since))
			return -1;
	}
}

/* One line up to CRLF into out (without it), removed from the buffer. */
static int read_line(char *out, size_t out_bytes)
{
	size_t i, n;

	for (;;) {
		for (i = 0; i + 1 < run.in_bytes; i++)
			if (run.in[i] == '\r' && run.in[i + 1] == '\n')
				break;
		if (i + 1 < run.in_bytes)
			break;
		if (read_more())
			return -1;
	}
	n = i < out_bytes - 1 ? i : out_bytes - 1;
	memcpy(out, run.in, n);
	out[n] = '\0';
	run.in_bytes -= i + 2;
	memmove(run.in, run.in + i + 2, run.in_bytes);
	return 0;
}

/* The answer to GET: 1 with its value, 0 when there is no such key. */
static int read_bulk(char *out, size_t out_bytes)
{
	char line[128];

	if (read_line(line, sizeof(line)))
		return -1;
	if (strcmp(line, "$-1") == 0)
		return 0;
	if (line[0] != '$')
		return fail("answer to GET: %s", line);
	return read_line(out, out_bytes) ? -1 : 1;
}

__attribute__((format(printf, 1, 2))) static int ask(const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return fail("command too long");
	return send_all(text, (size_t)n);
}

static int get_counter(int64_t *out)
{
	char value[64];
	int r;

	if (ask("GET %s:counter\r\n", opt.tag))
		return -1;
	r = read_bulk(value, sizeof(value));
	if (r >= 0)
		*out = r ? strtoll(value, NULL, 10) : 0;
	return r < 0 ? -1 : 0;
}

/* ---- writing ---- */

static void note_latency(uint64_t ns)
{
	uint32_t *p;
	size_t room;

	if (run.latencies == run.latencies_room) {
		room = run.latencies_room ? run.latencies_room * 2 : 65536;
		p = realloc(run.latency_us, room * sizeof(*p));
		if (!p)
			return; /* the quantiles are of what came so far */
		run.latency_us = p;
		run.latencies_room = room;
	}
	run.latency_us[run.latencies++] =
		ns / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 1000);
}

static void log_answer(void)
{
	struct timespec ts;

	if (!run.answers)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	fprintf(run.answers, "%lld.%03ld\n",
		(long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000,
		ts.tv_nsec / 1000 % 1000);
}

static void note_answer(uint64_t asked_ns)
{
	uint64_t now = now_ns();

	log_answer();
	if (now - run.answer_ns > run.blackout_ns)
		run.blackout_ns = now - run.answer_ns;
	run.answer_ns = now;
	note_latency(now - asked_ns);
}

static void judge_counter(int64_t value, int64_t expected)
{
	if (value < expected)
		run.lost_incr += (uint64_t)(expected - value);
	if (value > expected)
		run.duplicated += (uint64_t)(value - expected);
}

static int do_incr(void)
{
	uint64_t asked = now_ns();
	char line[128], *end;
	int64_t value;

	if (ask("INCR %s:counter\r\n", opt.tag) ||
	    read_line(line, sizeof(line)))
		return -1;
	value = strtoll(line + 1, &end, 10);
	if (line[0] != ':' || *end)
		return fail("answer to INCR: %s", line);
	note_answer(asked);
	run.acked_incr++;
	judge_counter(value, run.counter + 1);
	run.counter = value;
	return 0;
}

static uint64_t key_of(uint64_t n)
{
	return opt.keys ? n % opt.keys : n;
}

static int do_set(void)
{
	uint64_t asked = now_ns(), n = run.acked_set;
	char line[128];

	if (ask("SET %s:key:%" PRIu64 " %" PRIu64 "\r\n", opt.tag, key_of(n),
		n) || read_line(line, sizeof(line)))
		return -1;
	if (strcmp(line, "+OK") != 0)
		return fail("answer to SET: %s", line);
	note_answer(asked);
	run.acked_set++;
	return 0;
}

/* Where the counter stands after a command without an answer: it may have been
 * done.  Anything but that one is judged. */
static int take_up_again(bool incr)
{
	struct timespec pause = { 0, 100000000 };
	int64_t value;

	hang_up();
	run.reconnects++;
	for (;;) {
		run.error[0] = '\0';
		if (dial() == 0 && get_counter(&value) == 0)
			break;
		hang_up();
		if (stop_asked || (double)(now_ns() - run.answer_ns) / 1e9 >
					  opt.stall_limit)
			return -1;
		nanosleep(&pause, NULL);
	}
	run.unknown++;
	judge_counter(value, run.counter + (incr && value > run.counter));
	run.counter = value;
	return 0;
}

static void keep_rate(uint64_t n)
{
	uint64_t due, now;
	struct timespec ts;

	if (opt.rate <= 0)
		return;
	due = run.began_ns + (uint64_t)((double)n * 1e9 / opt.rate);
	/* What a stall has delayed is not caught up in a burst. */
	for (now = now_ns(); now < due && !stop_asked; now = now_ns()) {
		if (due - now > 100000000u)
			due = now + 100000000u;
		ts.tv_sec = 0;
		ts.tv_nsec = (long)(due - now);
		nanosleep(&ts, NULL);
	}
}

static int write_on(void)
{
	uint64_t end = opt.seconds > 0 ?
		run.began_ns + (uint64_t)(opt.seconds * 1e9) : UINT64_MAX;
	uint64_t n;
	bool incr;

	for (n = 0; !stop_asked && now_ns() < end; n++) {
		incr = n % 2 == 0;
		if ((incr ? do_incr() : do_set()) &&
		    (!opt.reconnect || take_up_again(incr)))
			return -1;
		show(false);
		keep_rate(n + 1);
	}
	return 0;
}

/* ---- the verdict ---- */

static int verify_batch(uint64_t first, uint64_t last)
{
	char value[64];
	uint64_t n;
	int r;

	for (n = first; n < last; n++)
		if (ask("GET %s:key:%" PRIu64 "\r\n", opt.tag, key_of(n)))
			return -1;
	for (n = first; n < last; n++) {
		r = read_bulk(value, sizeof(value));
		if (r < 0)
			return -1;
		if (r == 0 || strtoull(value, NULL, 10) != n)
			run.lost_set++;
		else
			run.found_set++;
	}
	return 0;
}

static int verify(void)
{
	uint64_t first = 0, n, last;
	int64_t value;

	if (get_counter(&value))
		return -1;
	judge_counter(value, run.counter);
	/* Of a key that was written again, the last value is the one to find;
	 * what went before it counts with it. */
	if (opt.keys && run.acked_set > opt.keys)
		first = run.acked_set - opt.keys;
	run.found_set += first;
	for (n = first; n < run.acked_set; n = last) {
		last = n + VERIFY_BATCH;
		if (last > run.acked_set)
			last = run.acked_set;
		if (verify_batch(n, last))
			return -1;
	}
	return 0;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t quantile(double q)
{
	if (!run.latencies)
		return 0;
	return run.latency_us[(size_t)(q * (double)(run.latencies - 1))];
}

static uint64_t lost(void)
{
	return run.lost_incr + run.lost_set;
}

/* Stored are the keys that were found and the increments that no answer
 * contradicted; nothing is before the verification has been through. */
static uint64_t stored(void)
{
	if (!run.verified)
		return 0;
	return run.found_set + (run.acked_incr > run.lost_incr ?
				run.acked_incr - run.lost_incr : 0);
}

static void report(void)
{
	uint64_t acked = run.acked_incr + run.acked_set;
	double seconds = (double)(now_ns() - run.began_ns) / 1e9;
	FILE *f;

	if (run.latencies)
		qsort(run.latency_us, run.latencies, sizeof(uint32_t), by_size);
	printf("acked=%" PRIu64 " stored=%" PRIu64 " lost=%" PRIu64
	       " duplicated=%" PRIu64 " reconnects=%" PRIu64
	       " blackout_ms=%" PRIu64 " p50_us=%u p99_us=%u max_us=%u"
	       " seconds=%.1f%s%s\n", acked, stored(), lost(),
	       run.duplicated, run.reconnects, run.blackout_ns / 1000000u,
	       quantile(0.5), quantile(0.99), quantile(1), seconds,
	       run.error[0] ? " error=" : "", run.error);
	f = opt.json ? fopen(opt.json, "w") : NULL;
	if (!f)
		return;
	fprintf(f, "{\"acked\": %" PRIu64 ", \"stored\": %" PRIu64
		", \"lost\": %" PRIu64 ", \"duplicated\": %" PRIu64
		", \"reconnects\": %" PRIu64 ", \"unknown\": %" PRIu64
		", \"blackout_ms\": %" PRIu64 ", \"p50_us\": %u, \"p99_us\": %u"
		", \"max_us\": %u, \"seconds\": %.1f, \"error\": %s}\n", acked,
		stored(), lost(), run.duplicated, run.reconnects,
		run.unknown, run.blackout_ns / 1000000u, quantile(0.5),
		quantile(0.99), quantile(1), seconds,
		run.error[0] ? "true" : "false");
	fclose(f);
}

static int judge(void)
{
	if (opt.verify) {
		if (verify())
			return VERDICT_NONE;
		run.verified = true;
	}
	if (lost() || run.duplicated || run.reconnects)
		return VERDICT_BAD;
	return VERDICT_GOOD;
}

static void usage(void)
{
	fputs("usage: ackclient [--host H] [--port P] [--seconds N] [--rate N]\n"
	      "                 [--tag T] [--keys N] [--stall-limit S]\n"
	      "                 [--json FILE] [--answers FILE] [--reconnect]\n"
	      "                 [--no-verify] [--quiet]\n", stderr);
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "host", 1, NULL, 'h' }, { "port", 1, NULL, 'p' },
		{ "seconds", 1, NULL, 's' }, { "rate", 1, NULL, 'r' },
		{ "answers", 1, NULL, 'a' },
		{ "json", 1, NULL, 'j' }, { "tag", 1, NULL, 't' },
		{ "keys", 1, NULL, 'k' }, { "stall-limit", 1, NULL, 'l' },
		{ "reconnect", 0, NULL, 'R' }, { "verify", 0, NULL, 'v' },
		{ "no-verify", 0, NULL, 'V' }, { "quiet", 0, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	static char tag[64];
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'h': opt.host = optarg; break;
		case 'p': opt.port = optarg; break;
		case 's': opt.seconds = strtod(optarg, NULL); break;
		case 'r': opt.rate = strtod(optarg, NULL); break;
		case 'a': opt.answers = optarg; break;
		case 'j': opt.json = optarg; break;
		case 't': opt.tag = optarg; break;
		case 'k': opt.keys = strtoull(optarg, NULL, 10); break;
		case 'l': opt.stall_limit = strtod(optarg, NULL); break;
		case 'R': opt.reconnect = true; break;
		case 'v': opt.verify = true; break;
		case 'V': opt.verify = false; break;
		case 'q': opt.quiet = true; break;
		default: return -1;
		}
	}
	if (!opt.tag) {
		/* Keys of an earlier run must not pass for this one's. */
		snprintf(tag, sizeof(tag), "ack-%ld-%ld", (long)time(NULL),
			 (long)getpid());
		opt.tag = tag;
	}
	return optind == argc && strlen(opt.tag) < 64 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int rc = VERDICT_NONE;

	if (parse(argc, argv)) {
		usage();
		return VERDICT_NONE;
	}
	if (opt.answers && !(run.answers = fopen(opt.answers, "w"))) {
		fprintf(stderr, "ackclient: %s: %s\n", opt.answers,
			strerror(errno));
		return VERDICT_NONE;
	}
	if (run.answers)
		setvbuf(run.answers, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	run.began_ns = run.answer_ns = now_ns();
	if (dial() == 0 && get_counter(&run.counter) == 0) {
		run.began_ns = run.answer_ns = now_ns();
		if (write_on() == 0)
			rc = judge();
	}
	show(true);
	report();
	hang_up();
	if (run.answers)
		fclose(run.answers);
	free(run.latency_us);
	return rc;
}
