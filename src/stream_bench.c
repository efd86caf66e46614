/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_bench.c - `remus-stream bench`: what is printed of it. */
#include "stream_bench.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static void print_speed(const struct file_result *r, int mode,
			const struct speed *s)
{
	printf("  %-6s %14" PRIu64 " %8.2f %12.2f %12.2f  %s\n",
	       stream_mode_to_str((enum stream_mode)mode), s->packed_bytes,
	       s->ratio, s->encode_gbs, s->decode_gbs,
	       r->mode[mode].roundtrip ? "identical" : "WRONG");
}

static void print_text(const char *file, const struct file_result *r)
{
	printf("%s: %" PRIu64 " epochs, %" PRIu64 " pages, %" PRIu64
	       " bytes%s; memcmp of old and new %.2f GB/s\n", file, r->epochs,
	       r->pages, r->bytes, r->cut ? ", cut off" : "",
	       r->limit_gbs);
	printf("  %-6s %14s %8s %12s %12s  %s\n", "mode", "bytes", "ratio",
	       "encode GB/s", "decode GB/s", "round trip");
	for (int m = 0; m < STREAM_MODES; m++)
		print_speed(r, m, &r->mode[m].all);
	if (r->first_bytes == 0 || r->pages == r->first_pages)
		return;
	printf("  behind the first epoch: %" PRIu64 " pages, %" PRIu64
	       " bytes\n", r->pages - r->first_pages,
	       r->bytes - r->first_bytes);
	for (int m = 0; m < STREAM_MODES; m++)
		print_speed(r, m, &r->mode[m].again);
}

static json_t *speed_to_json(const struct speed *s)
{
	return json_pack("{s:I, s:f, s:f, s:f}", "packed_bytes",
			 (json_int_t)s->packed_bytes, "ratio", s->ratio,
			 "encode_gbs", s->encode_gbs, "decode_gbs",
			 s->decode_gbs);
}

static json_t *modes_to_json(const struct file_result *r, bool again_only)
{
	json_t *modes = json_object();

	for (int m = 0; m < STREAM_MODES; m++) {
		json_t *j = speed_to_json(again_only ? &r->mode[m].again
						     : &r->mode[m].all);

		if (!again_only)
			json_object_set_new(j, "roundtrip",
					    json_boolean(r->mode[m].roundtrip));
		json_object_set_new(modes,
				    stream_mode_to_str((enum stream_mode)m), j);
	}
	return modes;
}

static json_t *to_json(const char *file, const struct file_result *r)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:b, s:f, s:o}", "bytes",
		      (json_int_t)r->bytes, "epochs", (json_int_t)r->epochs,
		      "pages", (json_int_t)r->pages, "cut_off", (int)r->cut,
		      "limit_gbs", r->limit_gbs, "modes",
		      modes_to_json(r, false));

	if (r->first_bytes > 0 && r->pages > r->first_pages)
		json_object_set_new(j, "again",
			json_pack("{s:I, s:I, s:o}", "bytes",
				  (json_int_t)(r->bytes - r->first_bytes),
				  "pages",
				  (json_int_t)(r->pages - r->first_pages),
				  "modes", modes_to_json(r, true)));
	json_object_set_new(j, "file", json_string(file));
	return j;
}

enum tool_exit tool_bench(struct tool *t)
{
	json_t *files = json_array(), *all;
	enum tool_exit x = TOOL_DONE;

	for (int i = 0; x == TOOL_DONE && i < t->n_files; i++) {
		struct file_result r = { .bytes = 0 };

		x = bench_file(t, t->files[i], &r);
		if (x == TOOL_DONE && t->json)
			json_array_append_new(files, to_json(t->files[i], &r));
		else if (x == TOOL_DONE)
			print_text(t->files[i], &r);
	}
	all = json_pack("{s:o}", "files", files);
	if (x == TOOL_DONE && t->json) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	json_decref(all);
	return x;
}
