/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xen_state.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAGIC "RemusXen"
#define FIXED_BYTES (8 + 6 * 4)
#define RUN_TYPE_BYTES (XEN_RUN_PAGES / 2)
#define PFN_BYTES 8
/* Image and domain header of libxc: without them no stream begins. */
#define HEAD_MIN 40

static void put32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

/* ---- the device state ---- */

static int pack_runs(const struct xen_image *i, struct xen_bytes *out)
{
	uint8_t types[RUN_TYPE_BYTES], first[8];
	int rc = 0;

	for (uint32_t r = 0; r < i->nruns && rc == 0; r++) {
		put64(first, i->runs[r]);
		rc = xen_bytes_add(out, first, sizeof(first));
	}
	for (uint32_t r = 0; r < i->nruns && rc == 0; r++) {
		const uint8_t *t = i->types + (size_t)r * XEN_RUN_PAGES;

		for (size_t n = 0; n < RUN_TYPE_BYTES; n++)
			types[n] = (uint8_t)(t[2 * n] | t[2 * n + 1] << 4);
		rc = xen_bytes_add(out, types, sizeof(types));
	}
	return rc;
}

int xen_state_pack(const struct xen_image *i, const char *config,
		   struct xen_bytes *out)
{
	size_t config_bytes = strlen(config);
	uint8_t fixed[FIXED_BYTES];
	int rc;

	if (config_bytes > XEN_CONFIG_MAX)
		return -E2BIG;
	memcpy(fixed, MAGIC, 8);
	put32(fixed + 8, XEN_STATE_VERSION);
	put32(fixed + 12, i->nruns);
	put32(fixed + 16, (uint32_t)config_bytes);
	put32(fixed + 20, (uint32_t)i->head.bytes);
	put32(fixed + 24, (uint32_t)i->tail.bytes);
	put32(fixed + 28, (uint32_t)i->emulator.bytes);
	out->bytes = 0;
	rc = xen_bytes_add(out, fixed, sizeof(fixed));
	if (rc == 0)
		rc = xen_bytes_add(out, config, config_bytes);
	if (rc == 0)
		rc = pack_runs(i, out);
	if (rc == 0)
		rc = xen_bytes_add(out, i->head.data, i->head.bytes);
	if (rc == 0)
		rc = xen_bytes_add(out, i->tail.data, i->tail.bytes);
	if (rc == 0)
		rc = xen_bytes_add(out, i->emulator.data, i->emulator.bytes);
	return rc;
}

static int bad(char *err, size_t err_bytes, const char *why)
{
	return set_err(err, err_bytes, -EBADMSG, "device state: %s", why);
}

static int compare_firsts(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Runs begin where runs can, and no two at the same pfn. */
static int check_firsts(const struct xen_state *s)
{
	uint64_t *all = malloc((s->runs + (size_t)1) * sizeof(*all));
	int rc = 0;

	if (all == NULL)
		return -ENOMEM;
	for (uint32_t r = 0; r < s->runs; r++) {
		all[r] = get64(s->firsts + 8 * (size_t)r);
		if (all[r] % XEN_RUN_PAGES != 0 || all[r] > STREAM_PFN_MASK)
			rc = -EBADMSG;
	}
	qsort(all, s->runs, sizeof(*all), compare_firsts);
	for (uint32_t r = 1; r < s->runs; r++)
		if (all[r] == all[r - 1])
			rc = -EBADMSG;
	free(all);
	return rc;
}

static unsigned int type_of(const struct xen_state *s, uint64_t place)
{
	return s->types[place / 2] >> (place % 2 * 4) & 0xf;
}

static int check_types(const struct xen_state *s)
{
	for (uint64_t p = 0; p < (uint64_t)s->runs * XEN_RUN_PAGES; p++)
		if (type_of(s, p) > XEN_TYPE_UNSEEN && type_of(s, p) <= 8)
			return -EBADMSG;
	return 0;
}

/* Nothing else of libxl's layer goes into its stream. */
static int check_emulator(const struct xen_state *s)
{
	uint32_t at = 0;

	while (s->emulator_bytes - at >= 8) {
		uint32_t type = get32(s->emulator + at);
		uint32_t length = get32(s->emulator + at + 4);

		at += 8;
		if ((type != XL_EMULATOR_XENSTORE_DATA &&
		     type != XL_EMULATOR_CONTEXT) ||
		    length > s->emulator_bytes - at ||
		    (length + 7) / 8 * 8 > s->emulator_bytes - at)
			return -EBADMSG;
		at += (length + 7) / 8 * 8;
	}
	return at == s->emulator_bytes ? 0 : -EBADMSG;
}

int xen_state_parse(struct xen_state *s, const void *data, size_t bytes,
		    uint64_t npages, char *err, size_t err_bytes)
{
	const uint8_t *at = data;
	uint64_t want;

	if (bytes < FIXED_BYTES || memcmp(at, MAGIC, 8) != 0)
		return bad(err, err_bytes, "not one of a domain of Xen");
	if (get32(at + 8) != XEN_STATE_VERSION)
		return bad(err, err_bytes, "of another version");
	s->runs = get32(at + 12);
	s->config_bytes = get32(at + 16);
	s->head_bytes = get32(at + 20);
	s->tail_bytes = get32(at + 24);
	s->emulator_bytes = get32(at + 28);
	if (s->runs > npages / XEN_RUN_PAGES)
		return bad(err, err_bytes, "more runs than the image has");
	want = FIXED_BYTES + (uint64_t)s->runs * (8 + RUN_TYPE_BYTES) +
	       s->config_bytes + (uint64_t)s->head_bytes + s->tail_bytes +
	       s->emulator_bytes;
	if (want != bytes)
		return bad(err, err_bytes, "its lengths do not fit");
	if (s->config_bytes > XEN_CONFIG_MAX || s->head_bytes < HEAD_MIN)
		return bad(err, err_bytes, "a length is wrong");
	s->config = (const char *)at + FIXED_BYTES;
	s->firsts = at + FIXED_BYTES + s->config_bytes;
	s->types = s->firsts + 8 * (size_t)s->runs;
	s->head = s->types + (size_t)RUN_TYPE_BYTES * s->runs;
	s->tail = s->head + s->head_bytes;
	s->emulator = s->tail + s->tail_bytes;
	if (memchr(s->config, '\0', s->config_bytes) != NULL)
		return bad(err, err_bytes, "a configuration with a 0 byte");
	if (check_firsts(s) < 0)
		return bad(err, err_bytes, "runs that overlap");
	if (check_types(s) < 0)
		return bad(err, err_bytes, "a page of unknown type");
	if (check_emulator(s) < 0)
		return bad(err, err_bytes, "no records of a device model");
	return 0;
}

/* ---- the stream ---- */

struct writer {
	xen_write_fn *out;
	void *ctx;
	const uint8_t *pages;
	const struct page_bitmap *changed; /* NULL: all pages */
	const uint8_t *types;
	uint8_t *batch; /* header and pfns of a record, before its pages */
	uint32_t pfns, with;
	uint64_t place[XEN_BATCH_PAGES]; /* those with content */
};

static int write_record(struct writer *w, uint32_t type)
{
	uint8_t record[8];

	put32(record, type);
	put32(record + 4, 0);
	return w->out(w->ctx, record, sizeof(record));
}

static int write_libxl_header(struct writer *w)
{
	static const uint8_t header[16] = {
		'L', 'i', 'b', 'x', 'l', 'F', 'm', 't', 0, 0, 0, 2,
	};
	int rc = w->out(w->ctx, header, sizeof(header));

	return rc < 0 ? rc : write_record(w, XL_LIBXC_CONTEXT);
}

static int flush_batch(struct writer *w)
{
	uint32_t n = 0;
	int rc;

	if (w->pfns == 0)
		return 0;
	put32(w->batch, XC_PAGE_DATA);
	put32(w->batch + 4, 8 + PFN_BYTES * w->pfns +
	      w->with * (uint32_t)REMUS_PAGE_SIZE);
	put32(w->batch + 8, w->pfns);
	put32(w->batch + 12, 0);
	rc = w->out(w->ctx, w->batch,
		    STREAM_PAGE_HEAD + PFN_BYTES * (size_t)w->pfns);
	while (n < w->with && rc == 0) {
		uint32_t run = 1; /* neighbours go in one write */

		while (n + run < w->with &&
		       w->place[n + run] == w->place[n] + run)
			run++;
		rc = w->out(w->ctx, w->pages + w->place[n] * REMUS_PAGE_SIZE,
			    run * REMUS_PAGE_SIZE);
		n += run;
	}
	w->pfns = w->with = 0;
	return rc;
}

static int write_page(struct writer *w, uint64_t pfn, unsigned int type,
		      uint64_t place)
{
	pfn |= (uint64_t)type << 60;
	put64(w->batch + STREAM_PAGE_HEAD + PFN_BYTES * (size_t)w->pfns, pfn);
	w->pfns++;
	if (stream_pfn_has_data(pfn))
		w->place[w->with++] = place;
	return w->pfns < XEN_BATCH_PAGES ? 0 : flush_batch(w);
}

/* A page whose type alone has changed is to be written, too. */
static bool is_wanted(const struct writer *w, uint64_t place,
		      unsigned int type)
{
	if (type == XEN_TYPE_UNSEEN)
		return false;
	return w->changed == NULL || page_bitmap_test(w->changed, place) ||
	       w->types[place] != type;
}

static int write_run(struct writer *w, const struct xen_state *s, uint32_t run)
{
	uint64_t first = get64(s->firsts + 8 * (size_t)run);
	int rc = 0;

	for (uint64_t n = 0; n < XEN_RUN_PAGES && rc == 0; n++) {
		uint64_t place = (uint64_t)run * XEN_RUN_PAGES + n;
		unsigned int type = type_of(s, place);

		if (is_wanted(w, place, type))
			rc = write_page(w, first + n, type, place);
	}
	return rc;
}

struct ordered {
	uint64_t first;
	uint32_t run;
};

static int compare_ordered(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int write_pages(struct writer *w, const struct xen_state *s)
{
	struct ordered *o = malloc((s->runs + (size_t)1) * sizeof(*o));
	int rc = 0;

	if (o == NULL)
		return -ENOMEM;
	for (uint32_t r = 0; r < s->runs; r++) {
		o[r].first = get64(s->firsts + 8 * (size_t)r);
		o[r].run = r;
	}
	qsort(o, s->runs, sizeof(*o), compare_ordered);
	for (uint32_t r = 0; r < s->runs && rc == 0; r++)
		rc = write_run(w, s, o[r].run);
	free(o);
	return rc == 0 ? flush_batch(w) : rc;
}

/* xc, xl: the records that end it, in either layer */
static int write_all(struct writer *w, const struct xen_state *s,
		     uint32_t xc, uint32_t xl)
{
	int rc = 0;

	if (w->changed == NULL)
		rc = write_libxl_header(w);
	if (rc == 0 && w->changed == NULL)
		rc = w->out(w->ctx, s->head, s->head_bytes);
	if (rc == 0)
		rc = write_pages(w, s);
	if (rc == 0)
		rc = w->out(w->ctx, s->tail, s->tail_bytes);
	if (rc == 0)
		rc = write_record(w, xc);
	if (rc == 0)
		rc = w->out(w->ctx, s->emulator, s->emulator_bytes);
	return rc == 0 ? write_record(w, xl) : rc;
}

static int write_stream(const struct writer *how, const struct xen_state *s,
			uint32_t xc, uint32_t xl)
{
	struct writer *w = malloc(sizeof(*w));
	int rc = -ENOMEM;

	if (w == NULL)
		return -ENOMEM;
	*w = *how;
	w->batch = malloc(STREAM_PAGE_HEAD +
			  PFN_BYTES * (size_t)XEN_BATCH_PAGES);
	if (w->batch != NULL)
		rc = write_all(w, s, xc, xl);
	free(w->batch);
	free(w);
	return rc;
}

int xen_state_write(const struct xen_state *s, const uint8_t *pages,
		    xen_write_fn *out, void *ctx)
{
	struct writer w = { .out = out, .ctx = ctx, .pages = pages };

	return write_stream(&w, s, XC_END, XL_END);
}

int xen_state_write_checkpoint(const struct xen_state *s, const uint8_t *pages,
			       const struct page_bitmap *changed,
			       const uint8_t *types, xen_write_fn *out,
			       void *ctx)
{
	struct writer w = { .out = out, .ctx = ctx, .pages = pages,
			    .changed = changed, .types = types };

	return write_stream(&w, s, XC_CHECKPOINT, XL_CHECKPOINT_END);
}

void xen_state_types(const struct xen_state *s, uint8_t *types,
		     uint64_t npages)
{
	uint64_t n = (uint64_t)s->runs * XEN_RUN_PAGES;

	for (uint64_t p = 0; p < n; p++)
		types[p] = (uint8_t)type_of(s, p);
	memset(types + n, XEN_TYPE_UNSEEN, npages - n);
}

/* Runs are added, or it is another image. */
bool xen_state_goes_on(const struct xen_state *a, const struct xen_state *b)
{
	return a->config_bytes == b->config_bytes && a->runs <= b->runs &&
	       a->head_bytes == b->head_bytes &&
	       memcmp(a->config, b->config, a->config_bytes) == 0 &&
	       memcmp(a->firsts, b->firsts, 8 * (size_t)a->runs) == 0 &&
	       memcmp(a->head, b->head, a->head_bytes) == 0;
}
