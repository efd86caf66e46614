/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_tool.h - what the parts of remus-stream(1) share. */
#ifndef REMUS_STREAM_TOOL_H
#define REMUS_STREAM_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "stream_pack.h"
#include "stream_unpack.h"

/* remus-stream's exit codes are an interface. */
enum tool_exit {
	TOOL_DONE = 0,
	TOOL_FAILED = 1, /* malformed, unreadable, or not to be written */
	TOOL_USAGE = 2,
	TOOL_CUT = 3, /* cut off: all whole is there */
	TOOL_INTERRUPTED = 130,
};

struct tool {
	const char *cmd;
	bool json;
	bool mode_given;
	enum stream_mode mode;
	uint64_t memory;
	char **files;
	int n_files;
	char err[512];
};

/* ---- stream_input.c: a file or a pipe, with a progress bar ---- */

#define INPUT_CHUNK ((size_t)1 << 20) /* read and handed on at once */

struct input {
	const char *name; /* "-" is standard input */
	int fd;
	uint64_t bytes, total; /* read; of the file, 0 if that is not known */
	bool bar;
	uint64_t drawn_ns;
};

void input_catch_signals(void);
bool input_interrupted(void);
/* 0 or -errno, with a line in err. */
int input_open(struct input *in, const char *name, bool bar, char *err,
	       size_t err_bytes);
/* Hand on all of it: 0, what `feed` returned, -EINTR after SIGINT or SIGTERM,
 * -errno of read(). */
int input_feed(struct input *in,
	       int (*feed)(void *ctx, const void *data, size_t bytes),
	       void *ctx);
void input_close(struct input *in);

/* A stream, packed or not: which one it is tells its first bytes. */
struct any_stream {
	struct stream_parser *parser;
	struct stream_unpacker *unpacker; /* of a packed one */
	uint64_t memory;
	size_t have;
	uint8_t first[8];
};
int any_stream_init(struct any_stream *s, uint64_t memory, stream_event_fn *fn,
		    void *ctx);
void any_stream_fini(struct any_stream *s);
int any_stream_feed(void *s, const void *data, size_t bytes);
/* As stream_parser_finish(); of a packed stream that is cut off 1 too. */
int any_stream_finish(struct any_stream *s);
const char *any_stream_error(const struct any_stream *s);

/* ---- the commands ---- */

enum tool_exit tool_inspect(struct tool *t);
enum tool_exit tool_verify(struct tool *t);
enum tool_exit tool_bench(struct tool *t);
/* -EINTR and the like into t->err and an exit code; 1 is "cut off". */
enum tool_exit tool_result(struct tool *t, const struct input *in, int rc,
			   const char *why);

#endif
