/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_input.c - see stream_tool.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream_tool.h"
#include "util.h"

#define BAR_EVERY_NS UINT64_C(200000000)
#define BAR_WIDTH 30

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void input_catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	/* No SA_RESTART: a read of a silent pipe must end. */
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN; /* EPIPE tells it, with a message */
	sigaction(SIGPIPE, &sa, NULL);
}

bool input_interrupted(void)
{
	return interrupted;
}

int input_open(struct input *in, const char *name, bool bar, char *err,
	       size_t err_bytes)
{
	struct stat st;
	bool std = strcmp(name, "-") == 0;

	*in = (struct input){ .name = std ? "standard input" : name,
			      .bar = bar && isatty(STDERR_FILENO) };
	in->fd = std ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0 || fstat(in->fd, &st) < 0)
		return set_err(err, err_bytes, -errno, "%s: %s", name,
			       strerror(errno));
	if (S_ISREG(st.st_mode))
		in->total = (uint64_t)st.st_size;
	return 0;
}

static void draw(struct input *in)
{
	uint64_t now = now_mono_ns();
	unsigned int done;

	if (!in->bar || now - in->drawn_ns < BAR_EVERY_NS)
		return;
	in->drawn_ns = now;
	if (in->total == 0) {
		fprintf(stderr, "\r%" PRIu64 " MB", in->bytes / 1000000);
		return;
	}
	done = (unsigned int)(in->bytes * BAR_WIDTH / in->total);
	done = done < BAR_WIDTH ? done : BAR_WIDTH;
	fprintf(stderr, "\r[%.*s%*s] %3" PRIu64 " %%", (int)done,
		"##############################", (int)(BAR_WIDTH - done), "",
		in->bytes * 100 / in->total);
}

static void wipe(struct input *in)
{
	if (in->bar && in->drawn_ns != 0)
		fputs("\r\033[K", stderr);
	in->drawn_ns = 0;
}

int input_feed(struct input *in,
	       int (*feed)(void *ctx, const void *data, size_t bytes),
	       void *ctx)
{
	uint8_t *chunk = malloc(INPUT_CHUNK);
	int rc = chunk == NULL ? -ENOMEM : 0;

	while (rc == 0) {
		ssize_t n = interrupted ? -1 : read(in->fd, chunk, INPUT_CHUNK);

		if (interrupted)
			rc = -EINTR;
		else if (n < 0 && errno != EINTR)
			rc = -errno;
		if (n <= 0 && !(n < 0 && rc == 0))
			break;
		if (n < 0)
			continue;
		in->bytes += (uint64_t)n;
		rc = feed(ctx, chunk, (size_t)n);
		draw(in);
	}
	wipe(in);
	free(chunk);
	return rc;
}

void input_close(struct input *in)
{
	if (in->fd > STDIN_FILENO)
		close(in->fd);
}

/* ---- packed or not ---- */

static int into_parser(void *ctx, const void *data, size_t bytes, bool flush)
{
	struct any_stream *s = ctx;

	(void)flush;
	return stream_parser_feed(s->parser, data, bytes);
}

int any_stream_init(struct any_stream *s, uint64_t memory, stream_event_fn *fn,
		    void *ctx)
{
	*s = (struct any_stream){ .memory = memory };
	s->parser = stream_parser_new(fn, ctx);
	return s->parser == NULL ? -ENOMEM : 0;
}

void any_stream_fini(struct any_stream *s)
{
	stream_parser_free(s->parser);
	stream_unpacker_free(s->unpacker);
}

static int either(struct any_stream *s, const void *data, size_t bytes)
{
	return s->unpacker != NULL
		       ? stream_unpacker_feed(s->unpacker, data, bytes)
		       : stream_parser_feed(s->parser, data, bytes);
}

/* The first bytes are there, or will never be more. */
static int decide(struct any_stream *s)
{
	size_t have = s->have;

	s->have = sizeof(s->first);
	if (have == sizeof(s->first) &&
	    memcmp(s->first, STREAM_PACK_MAGIC, sizeof(s->first)) == 0) {
		s->unpacker = stream_unpacker_new(s->memory, into_parser, s);
		if (s->unpacker == NULL)
			return -ENOMEM;
	}
	return either(s, s->first, have);
}

int any_stream_feed(void *ctx, const void *data, size_t bytes)
{
	struct any_stream *s = ctx;
	const uint8_t *at = data;
	int rc;

	for (; bytes > 0 && s->have < sizeof(s->first); bytes--) {
		s->first[s->have++] = *at++;
		if (s->have < sizeof(s->first))
			continue;
		rc = decide(s);
		if (rc < 0)
			return rc;
	}
	return either(s, at, bytes);
}

int any_stream_finish(struct any_stream *s)
{
	int packed = 0, rc;

	if (s->have < sizeof(s->first)) {
		rc = decide(s);
		if (rc < 0)
			return rc;
	}
	if (s->unpacker != NULL)
		packed = stream_unpacker_finish(s->unpacker);
	if (packed < 0)
		return packed;
	rc = stream_parser_finish(s->parser);
	return rc == 0 && packed == 2 ? 1 : rc;
}

const char *any_stream_error(const struct any_stream *s)
{
	const char *parser = stream_parser_error(s->parser);

	/* Of a damaged packed stream the offset in that file counts. */
	if (s->unpacker == NULL ||
	    (*stream_unpacker_error(s->unpacker) == '\0'))
		return parser;
	return stream_unpacker_error(s->unpacker);
}
