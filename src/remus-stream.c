/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remus-stream.c - looks at, packs and unpacks the streams that Xen writes of a
 * domain: images of `xl save`, migrations, Remus; remus-stream(1).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "page_cache.h"
#include "stream_tool.h"
#include "util.h"
#include "vm_config.h"

#define MEMORY_DEFAULT ((uint64_t)1 << 30)
#define MEMORY_MAX ((uint64_t)1 << 44)
#define OUTPUT_BYTES ((size_t)256 << 10)

struct command {
	const char *name;
	enum tool_exit (*run)(struct tool *t);
	bool takes_file, takes_files;
	const char *help;
};

static enum tool_exit run_pack(struct tool *);
static enum tool_exit run_unpack(struct tool *);
static enum tool_exit run_version(struct tool *);
static enum tool_exit run_help(struct tool *);

static const struct command commands[] = {
	{ "inspect", tool_inspect, true, false,
	  "what is in a stream, packed or not" },
	{ "pack", run_pack, true, false,
	  "pack a stream; unpacking gives the same bytes" },
	{ "unpack", run_unpack, true, false, "the stream again" },
	{ "verify", tool_verify, true, false,
	  "read all of a stream, packed or not; is it whole?" },
	{ "bench", tool_bench, true, true,
	  "how small and how fast, in each mode" },
	{ "version", run_version, false, false, "print the version" },
	{ "help", run_help, false, false, "print this" },
};

static void usage(FILE *f)
{
	fputs("usage: remus-stream [options] COMMAND [FILE|-]\n\n", f);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(f, "  %-9s%s\n", commands[i].name, commands[i].help);
	fputs("\n"
	      "  -j, --json         inspect, bench: print JSON\n"
	      "  -m, --mode MODE    pack: off, fast (default), tight\n"
	      "  -M, --memory SIZE  for old pages, the same to unpack (1G)\n\n"
	      "Exit codes: 0 done; 1 malformed, or a failure; 2 wrong usage; "
	      "3 cut off, all\nthat is whole is there; 130 interrupted.\n", f);
}

/* ---- output ---- */

struct output {
	size_t held;
	uint64_t bytes;
	bool failed;
	uint8_t buf[OUTPUT_BYTES];
};

static int write_all(struct output *o, const uint8_t *p, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(STDOUT_FILENO, p, bytes);

		if (n < 0 && errno == EINTR && !input_interrupted())
			continue;
		if (n < 0) {
			o->failed = errno != EINTR;
			return -errno;
		}
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int flush_output(struct output *o)
{
	size_t n = o->held;

	o->held = 0;
	return write_all(o, o->buf, n);
}

static int put(void *ctx, const void *data, size_t bytes, bool flush)
{
	struct output *o = ctx;
	int rc = 0;

	o->bytes += bytes;
	if (OUTPUT_BYTES - o->held < bytes)
		rc = flush_output(o);
	if (rc == 0 && bytes > OUTPUT_BYTES) {
		rc = write_all(o, data, bytes);
	} else if (rc == 0 && bytes > 0) {
		memcpy(o->buf + o->held, data, bytes);
		o->held += bytes;
	}
	return rc == 0 && flush ? flush_output(o) : rc;
}

static bool is_terminal(struct tool *t)
{
	if (!isatty(STDOUT_FILENO))
		return false;
	set_err(t->err, sizeof(t->err), 0, "%s writes no text: send it to a "
		"file or a pipe", t->cmd);
	return true;
}

enum tool_exit tool_result(struct tool *t, const struct input *in, int rc,
			   const char *why)
{
	if (rc == 0)
		return TOOL_DONE;
	if (input_interrupted()) {
		set_err(t->err, sizeof(t->err), 0, "%s: interrupted at offset %"
			PRIu64, in->name, in->bytes);
		return TOOL_INTERRUPTED;
	}
	set_err(t->err, sizeof(t->err), 0, "%s: %s", in->name,
		rc == 1 || rc == -EBADMSG || (rc == -ENOMEM && *why != '\0')
		? why : strerror(-rc));
	return rc == 1 ? TOOL_CUT : TOOL_FAILED;
}

/* What came of a command that writes to standard output. */
static enum tool_exit written(struct tool *t, struct output *o,
			      const struct input *in, int rc, const char *why)
{
	int r = flush_output(o); /* what is whole, even after a failure */

	if (rc >= 0 && r < 0)
		rc = r;
	if (o->failed && !input_interrupted()) {
		set_err(t->err, sizeof(t->err), 0, "cannot write: %s",
			strerror(-(rc < 0 ? rc : r)));
		return TOOL_FAILED;
	}
	return tool_result(t, in, rc, why);
}

/* ---- pack and unpack ---- */

static int pack_feed(void *ctx, const void *data, size_t bytes)
{
	return stream_packer_feed(ctx, data, bytes);
}

static enum tool_exit pack_into(struct tool *t, struct output *o)
{
	struct stream_packer *p;
	struct input in;
	enum tool_exit x;
	int rc = stream_packer_new(&p, t->mode, t->memory, put, o);

	if (rc < 0) {
		set_err(t->err, sizeof(t->err), 0, "%s", strerror(-rc));
		return TOOL_FAILED;
	}
	rc = input_open(&in, t->files[0], true, t->err, sizeof(t->err));
	if (rc < 0) {
		stream_packer_free(p);
		return TOOL_FAILED;
	}
	rc = input_feed(&in, pack_feed, p);
	if (rc == 0)
		rc = stream_packer_finish(p);
	x = written(t, o, &in, rc, stream_packer_error(p));
	if (x == TOOL_DONE && isatty(STDERR_FILENO))
		fprintf(stderr, "%" PRIu64 " pages, %" PRIu64 " bytes -> %"
			PRIu64 ", 1/%.2f\n", stream_packer_stats(p)->pages,
			in.bytes, o->bytes, (double)in.bytes /
			(double)o->bytes);
	input_close(&in);
	stream_packer_free(p);
	return x;
}

static enum tool_exit run_pack(struct tool *t)
{
	struct output *o;
	enum tool_exit x;

	if (is_terminal(t))
		return TOOL_USAGE;
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return TOOL_FAILED;
	x = pack_into(t, o);
	free(o);
	return x;
}

static int unpack_feed(void *ctx, const void *data, size_t bytes)
{
	return stream_unpacker_feed(ctx, data, bytes);
}

static enum tool_exit unpack_into(struct tool *t, struct output *o,
				  struct stream_unpacker *u)
{
	struct input in;
	int rc = input_open(&in, t->files[0], true, t->err, sizeof(t->err));
	enum tool_exit x;

	if (rc < 0)
		return TOOL_FAILED;
	rc = input_feed(&in, unpack_feed, u);
	if (rc == 0)
		rc = stream_unpacker_finish(u);
	/* 1 and 2: cut off before, or after, it was packed. */
	x = written(t, o, &in, rc > 0 ? 1 : rc, stream_unpacker_error(u));
	input_close(&in);
	return x;
}

static enum tool_exit run_unpack(struct tool *t)
{
	struct output *o;
	struct stream_unpacker *u;
	enum tool_exit x = TOOL_FAILED;

	if (is_terminal(t))
		return TOOL_USAGE;
	o = calloc(1, sizeof(*o));
	u = o == NULL ? NULL : stream_unpacker_new(t->memory, put, o);
	if (u == NULL)
		set_err(t->err, sizeof(t->err), 0, "%s", strerror(ENOMEM));
	else
		x = unpack_into(t, o, u);
	stream_unpacker_free(u);
	free(o);
	return x;
}

static enum tool_exit run_version(struct tool *t)
{
	(void)t;
	puts("remus-stream (" PACKAGE ") " VERSION);
	return TOOL_DONE;
}

static enum tool_exit run_help(struct tool *t)
{
	(void)t;
	usage(stdout);
	return TOOL_DONE;
}

/* ---- the command line ---- */

static int parse_option(struct tool *t, int opt, const char *arg)
{
	switch (opt) {
	case 'j':
		t->json = true;
		return 0;
	case 'm':
		t->mode_given = true;
		if (!stream_mode_parse(arg, &t->mode))
			return set_err(t->err, sizeof(t->err), -EINVAL,
				       "--mode is off, fast or tight, not '%s'",
				       arg);
		return 0;
	case 'M':
		if (parse_bytes(arg, &t->memory) < 0 ||
		    t->memory < PAGE_CACHE_BYTES_MIN || t->memory > MEMORY_MAX)
			return set_err(t->err, sizeof(t->err), -EINVAL,
				       "--memory is a size from 32K, not '%s'",
				       arg);
		return 0;
	case 'h':
		t->cmd = "help";
		return 0;
	case 'V':
		t->cmd = "version";
		return 0;
	}
	return set_err(t->err, sizeof(t->err), -EINVAL,
		       "unknown option, or one without its value: '%s'", arg);
}

static int parse_options(struct tool *t, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "mode", required_argument, NULL, 'm' },
		{ "memory", required_argument, NULL, 'M' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, rc = 0;

	opterr = 0;
	while (rc == 0 &&
	       (opt = getopt_long(argc, argv, "jm:M:hV", longs, NULL)) != -1)
		rc = parse_option(t, opt, opt == '?' ? argv[optind - 1]
						     : optarg);
	return rc;
}

static int check_words(struct tool *t, const struct command *c)
{
	static char standard_input[] = "-";
	static char *no_file[] = { standard_input, NULL };

	if (t->n_files == 0 && c->takes_file && !c->takes_files) {
		t->files = no_file;
		t->n_files = 1;
	}
	if (c->takes_files && t->n_files == 0)
		return set_err(t->err, sizeof(t->err), -EINVAL,
			       "%s which files?", t->cmd);
	for (int i = 0; c->takes_files && i < t->n_files; i++) {
		if (strcmp(t->files[i], "-") == 0)
			return set_err(t->err, sizeof(t->err), -EINVAL,
				       "%s reads a file several times: it "
				       "takes no pipe", t->cmd);
	}
	if (t->n_files > (c->takes_files ? t->n_files : c->takes_file))
		return set_err(t->err, sizeof(t->err), -EINVAL,
			       "%s does not take '%s'", t->cmd,
			       t->files[c->takes_file]);
	if (t->json && c->run != tool_inspect && c->run != tool_bench)
		return set_err(t->err, sizeof(t->err), -EINVAL,
			       "%s does not take --json", t->cmd);
	if (t->mode_given && c->run != run_pack)
		return set_err(t->err, sizeof(t->err), -EINVAL,
			       "%s does not take --mode", t->cmd);
	return 0;
}

static int parse_words(struct tool *t, const struct command **cmd, int n,
		       char **words)
{
	if (t->cmd == NULL && n == 0)
		return set_err(t->err, sizeof(t->err), -EINVAL,
			       "which command? (remus-stream help)");
	if (t->cmd == NULL) {
		t->cmd = *words++;
		n--;
	}
	t->files = words;
	t->n_files = n;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, t->cmd) != 0)
			continue;
		*cmd = &commands[i];
		return check_words(t, *cmd);
	}
	return set_err(t->err, sizeof(t->err), -EINVAL,
		       "unknown command '%s' (remus-stream help)", t->cmd);
}

int main(int argc, char **argv)
{
	struct tool t = { .memory = MEMORY_DEFAULT, .mode = STREAM_FAST };
	const struct command *cmd = NULL;
	enum tool_exit x = TOOL_USAGE;

	input_catch_signals();
	if (parse_options(&t, argc, argv) == 0 &&
	    parse_words(&t, &cmd, argc - optind, argv + optind) == 0)
		x = cmd->run(&t);
	if (x != TOOL_DONE)
		fprintf(stderr, "remus-stream: %s\n", t.err);
	/* A full disk or a closed pipe must not look like a result. */
	if (fflush(stdout) != 0 && x == TOOL_DONE) {
		fprintf(stderr, "remus-stream: cannot write: %s\n",
			strerror(errno));
		x = TOOL_FAILED;
	}
	return x;
}
