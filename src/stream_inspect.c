/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_inspect.c - `remus-stream inspect` and `verify`.
 *
 * Printed as the stream comes, an epoch at a time: it may have any number.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "stream_tool.h"
#include "util.h"

#define TYPES 32 /* record types that are counted by number */

struct counts {
	uint64_t begin, bytes, pages, absent, records;
};

struct inspector {
	struct any_stream s;
	bool json, quiet;
	uint64_t epochs;
	struct counts epoch, all;
	uint64_t libxl[TYPES], libxc[TYPES];
};

static void print_headers(const struct stream_info *i)
{
	if (i->has_xl)
		printf("xl header, ");
	if (i->has_libxl)
		printf("libxl stream %" PRIu32 "%s, ", i->libxl_version,
		       i->legacy ? " (converted)" : "");
	printf("libxc stream %" PRIu32 ", %s guest, saved by Xen %" PRIu32
	       ".%" PRIu32 "\n", i->libxc_version,
	       stream_guest_name(i->guest_type), i->xen_major, i->xen_minor);
	printf("%8s %14s %14s %10s %8s %8s\n", "epoch", "offset", "bytes",
	       "pages", "absent", "records");
}

static void print_epoch(struct inspector *v)
{
	const struct counts *e = &v->epoch;

	if (v->json) {
		printf("%s\n    {\"epoch\": %" PRIu64 ", \"offset\": %" PRIu64
		       ", \"bytes\": %" PRIu64 ", \"pages\": %" PRIu64
		       ", \"absent\": %" PRIu64 ", \"records\": %" PRIu64 "}",
		       v->epochs == 1 ? "" : ",", v->epochs, e->begin,
		       e->bytes, e->pages, e->absent, e->records);
		return;
	}
	if (v->epochs == 1)
		print_headers(stream_parser_info(v->s.parser));
	printf("%8" PRIu64 " %14" PRIu64 " %14" PRIu64 " %10" PRIu64 " %8"
	       PRIu64 " %8" PRIu64 "\n", v->epochs, e->begin, e->bytes,
	       e->pages, e->absent, e->records);
}

static void end_epoch(struct inspector *v)
{
	v->epochs++;
	if (!v->quiet)
		print_epoch(v);
	v->epoch = (struct counts){ .begin = v->all.bytes };
}

static void count(struct counts *c, const struct stream_event *ev)
{
	c->bytes += ev->bytes;
	c->records += ev->kind == STREAM_RECORD || ev->kind == STREAM_PAGE_DATA;
	if (ev->kind == STREAM_PAGE_DATA)
		c->absent += ev->pfns - ev->pages;
	if (ev->kind == STREAM_PAGES)
		c->pages += ev->pages;
}

static int on_event(void *ctx, const struct stream_event *ev)
{
	struct inspector *v = ctx;

	count(&v->epoch, ev);
	count(&v->all, ev);
	if (ev->kind == STREAM_RECORD || ev->kind == STREAM_PAGE_DATA)
		(ev->layer == STREAM_LIBXL ? v->libxl : v->libxc)
			[ev->type < TYPES ? ev->type : TYPES - 1]++;
	if (ev->kind == STREAM_CHECKPOINT || ev->kind == STREAM_END)
		end_epoch(v);
	return 0;
}

/* ---- the sums ---- */

static void text_records(const char *layer, enum stream_layer l,
			 const uint64_t *n)
{
	const char *sep = "";
	bool any = false;

	for (uint32_t t = 0; t < TYPES; t++) {
		if (n[t] == 0)
			continue;
		if (!any)
			printf("%s records: ", layer);
		any = true;
		printf("%s%s %" PRIu64, sep, t == TYPES - 1
		       ? "optional" : stream_record_name(l, t), n[t]);
		sep = ", ";
	}
	if (any)
		putchar('\n');
}

static void json_records(const char *layer, enum stream_layer l,
			 const uint64_t *n)
{
	const char *sep = "";

	printf("  \"%s\": {", layer);
	for (uint32_t t = 0; t < TYPES; t++) {
		if (n[t] == 0)
			continue;
		printf("%s\"%s\": %" PRIu64, sep, t == TYPES - 1
		       ? "optional" : stream_record_name(l, t), n[t]);
		sep = ", ";
	}
	puts("},");
}

static void text_end(struct inspector *v, const struct input *in)
{
	if (v->epochs == 0 && v->all.bytes > 0)
		print_headers(stream_parser_info(v->s.parser));
	if (v->epoch.bytes > 0 && !stream_parser_info(v->s.parser)->ended)
		printf("%8s %14" PRIu64 " %14" PRIu64 " %10" PRIu64 " %8" PRIu64
		       " %8" PRIu64 "\n", "not all", v->epoch.begin,
		       v->epoch.bytes, v->epoch.pages, v->epoch.absent,
		       v->epoch.records);
	printf("%8s %14s %14" PRIu64 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64
	       "\n", "all", "", v->all.bytes, v->all.pages, v->all.absent,
	       v->all.records);
	text_records("libxl", STREAM_LIBXL, v->libxl);
	text_records("libxc", STREAM_LIBXC, v->libxc);
	if (stream_parser_info(v->s.parser)->trailer_bytes > 0)
		printf("%" PRIu64 " bytes follow the END\n",
		       stream_parser_info(v->s.parser)->trailer_bytes);
	if (v->s.unpacker != NULL)
		printf("packed, mode %s: %" PRIu64 " bytes\n",
		       stream_mode_to_str(stream_unpacker_mode(v->s.unpacker)),
		       in->bytes);
}

/* A member with a string, quoted as JSON wants it. */
static void json_text(const char *key, const char *text, const char *end)
{
	json_t *j = json_string(text);

	printf("  \"%s\": ", key);
	if (j == NULL || json_dumpf(j, stdout, JSON_ENCODE_ANY) < 0)
		printf("null"); /* no UTF-8 */
	printf("%s\n", end);
	json_decref(j);
}

static void json_end(struct inspector *v, const struct input *in, int rc)
{
	const struct stream_info *i = stream_parser_info(v->s.parser);

	printf("%s],\n", v->epochs > 0 ? "\n  " : "");
	printf("  \"xl_header\": %s, \"libxl_version\": %" PRIu32
	       ", \"libxc_version\": %" PRIu32 ",\n", i->has_xl ? "true"
	       : "false", i->libxl_version, i->libxc_version);
	json_text("guest", stream_guest_name(i->guest_type), ",");
	printf("  \"xen_major\": %" PRIu32 ", \"xen_minor\": %" PRIu32 ",\n",
	       i->xen_major, i->xen_minor);
	printf("  \"bytes\": %" PRIu64 ", \"whole_bytes\": %" PRIu64
	       ", \"pages\": %" PRIu64 ", \"absent\": %" PRIu64
	       ", \"records\": %" PRIu64 ",\n", v->all.bytes, i->whole_bytes,
	       v->all.pages, v->all.absent, v->all.records);
	json_records("libxl_records", STREAM_LIBXL, v->libxl);
	json_records("libxc_records", STREAM_LIBXC, v->libxc);
	if (v->s.unpacker != NULL) {
		json_text("packed", stream_mode_to_str(
			  stream_unpacker_mode(v->s.unpacker)), ",");
		printf("  \"packed_bytes\": %" PRIu64 ",\n", in->bytes);
	}
	printf("  \"ended\": %s, \"trailer_bytes\": %" PRIu64
	       ", \"cut_off\": %s,\n", i->ended ? "true" : "false",
	       i->trailer_bytes, rc == 1 ? "true" : "false");
	json_text("error", rc == 0 ? "" : any_stream_error(&v->s), "");
	puts("}");
}

/* ---- the commands ---- */

static enum tool_exit look(struct tool *t, struct inspector *v)
{
	struct input in;
	int rc = input_open(&in, t->files[0], v->quiet || !isatty(1), t->err,
			    sizeof(t->err));

	if (rc < 0)
		return TOOL_FAILED;
	rc = any_stream_init(&v->s, t->memory, on_event, v);
	if (rc == 0 && v->json) {
		puts("{");
		json_text("file", in.name, ",");
		printf("  \"epochs\": [");
	}
	if (rc == 0)
		rc = input_feed(&in, any_stream_feed, &v->s);
	if (rc == 0)
		rc = any_stream_finish(&v->s);
	if (!v->quiet && v->json)
		json_end(v, &in, rc);
	else if (!v->quiet)
		text_end(v, &in);
	input_close(&in);
	return tool_result(t, &in, rc, any_stream_error(&v->s));
}

enum tool_exit tool_inspect(struct tool *t)
{
	struct inspector v = { .json = t->json };
	enum tool_exit x = look(t, &v);

	any_stream_fini(&v.s);
	return x;
}

enum tool_exit tool_verify(struct tool *t)
{
	struct inspector v = { .quiet = true };
	enum tool_exit x = look(t, &v);

	if (x == TOOL_DONE)
		printf("%s: good: %s, %" PRIu64 " epoch%s, %" PRIu64 " pages, %"
		       PRIu64 " bytes\n", t->files[0],
		       stream_parser_info(v.s.parser)->ended
		       ? "ends with END" : "ends behind a checkpoint, without "
		       "END", v.epochs, v.epochs == 1 ? "" : "s", v.all.pages,
		       v.all.bytes);
	if (x == TOOL_DONE && stream_parser_info(v.s.parser)->trailer_bytes > 0)
		printf("%s: %" PRIu64 " bytes of them follow the END\n",
		       t->files[0],
		       stream_parser_info(v.s.parser)->trailer_bytes);
	any_stream_fini(&v.s);
	return x;
}
