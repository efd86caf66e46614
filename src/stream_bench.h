/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_bench.h - what `remus-stream bench` finds out about a file. */
#ifndef REMUS_STREAM_BENCH_H
#define REMUS_STREAM_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream_tool.h"

struct speed {
	uint64_t packed_bytes; /* everything counted */
	double ratio;	       /* the stream's bytes by packed_bytes; 0: none */
	/* 1e9 bytes of guest pages a second of the processor's time; 0: none */
	double encode_gbs, decode_gbs;
};

struct mode_result {
	struct speed all;
	struct speed again; /* behind the first epoch; 0 where nothing is */
	bool roundtrip;	    /* unpacked it is the same, bit for bit */
	struct bench_part *parts; /* private */
};

struct file_result {
	uint64_t bytes, epochs, pages;
	uint64_t first_bytes, first_pages; /* of the first epoch */
	double limit_gbs; /* of memcmp() of old and new, as in struct speed */
	bool cut;	  /* the file ends within an epoch */
	size_t parts; /* private */
	/* of each mode; limit: private */
	struct mode_result mode[STREAM_MODES], limit;
};

/* Measure FILE; r is zeroed before.  TOOL_DONE, or what is wrong with the file
 * is in t->err: what was unpacked is not what was packed, too. */
enum tool_exit bench_file(struct tool *t, const char *file,
			  struct file_result *r);

#endif
