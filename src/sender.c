/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "loop.h"
#include "util.h"
#include "page_cache.h"
#include "page_record.h"
#include "record_frame.h"
#include "wire.h"

enum job { JOB_NONE = 0, JOB_LIVE, JOB_CAPTURE };

struct sender {
	struct sender_params p;
	struct conn *conn;
	struct page_cache *cache;
	struct digest *digest;
	struct loop_soon soon; /* the next slice */
	bool takes_output, takes_packed; /* the backup */
	struct compression_auto chooser;
	struct record_frame frame;
	struct segments *output;

	/* the open epoch */
	bool open;
	bool begun; /* and its BEGIN is queued */
	struct wire_begin begin;
	uint64_t epoch, base_chain, records;
	struct page_bitmap *sent;

	/* what is being sent */
	enum job job;
	struct page_bitmap *todo;      /* JOB_LIVE */
	const struct capture *capture; /* JOB_CAPTURE */
	uint64_t next;		       /* gfn, or index into the capture */
	uint64_t device_next;	       /* block of the device state */
	bool device_keep;	       /* it is kept in device_old */
	bool device_done;	       /* and the digest is whole */
	bool output_done;
	uint64_t epoch_digest;
	uint64_t conn_bytes;	       /* given to this connection */
	uint64_t encode_ns;	       /* of this epoch's pages */

	/* the device state that the backup has, in whole blocks; NULL or 0
	 * blocks when that is not known */
	uint8_t *device_old;
	uint64_t device_old_blocks, device_old_cap;

	struct sender_stats stats;
	uint8_t scratch[4096] __attribute__((aligned(64)));
};

_Static_assert(sizeof(((struct sender *)0)->scratch) == REMUS_PAGE_SIZE,
	       "scratch holds a page");

static void slice(void *data);

static void schedule(struct sender *s)
{
	if (s->conn == NULL || s->job == JOB_NONE)
		return;
	if (loop_soon(&s->soon) < 0)
		conn_want_room(s->conn); /* room() tries again */
}

int sender_new(struct sender **out, const struct sender_params *p)
{
	struct sender *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->p = *p;
	loop_soon_init(&s->soon, p->loop, slice, s);
	s->digest = digest_new();
	s->output = segments_new();
	rc = s->digest == NULL || s->output == NULL
		     ? -ENOMEM
		     : page_cache_create(&s->cache, p->npages, p->cache_bytes);
	if (rc < 0) {
		sender_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void sender_free(struct sender *s)
{
	if (s == NULL)
		return;
	loop_soon_cancel(&s->soon);
	digest_free(s->digest);
	segments_free(s->output);
	page_cache_destroy(s->cache);
	record_frame_release(&s->frame);
	free(s->device_old);
	free(s);
}

void sender_set_compression(struct sender *s, enum compression c)
{
	if (c == s->p.compression)
		return;
	s->p.compression = c;
	memset(&s->chooser, 0, sizeof(s->chooser));
	if (c != COMPRESSION_TIGHT && c != COMPRESSION_AUTO)
		record_frame_release(&s->frame);
}

/* What is in use, as far as the backup takes it. */
static enum compression mode(const struct sender *s)
{
	enum compression c = s->p.compression;

	if (c == COMPRESSION_AUTO)
		c = compression_now(&s->chooser);
	return c == COMPRESSION_TIGHT && !s->takes_packed ? COMPRESSION_FAST
							   : c;
}

void sender_set_conn(struct sender *s, struct conn *c, uint32_t capabilities)
{
	s->conn = c;
	s->takes_output = (capabilities & WIRE_CAP_OUTPUT) != 0;
	s->takes_packed = (capabilities & WIRE_CAP_PACKED) != 0;
	s->conn_bytes = 0;
	s->job = JOB_NONE;
	s->open = false;
	s->device_old_blocks = 0;
}

void sender_room(struct sender *s)
{
	schedule(s);
}

bool sender_is_open(const struct sender *s)
{
	return s->open;
}

static void count_sent(struct sender *s, size_t bytes)
{
	s->conn_bytes += bytes;
	if (s->job == JOB_LIVE)
		s->stats.live_bytes_sent += bytes;
	else
		s->stats.bytes_sent += bytes;
}

static unsigned int kinds(const struct sender *s)
{
	return mode(s) == COMPRESSION_OFF ? PAGE_ALLOW_RAW : PAGE_ALLOW_ALL;
}

/* An epoch without its BEGIN would be refused, and the link be lost for that:
 * without room now it is tried again before anything else of the epoch. */
static bool send_begin(struct sender *s)
{
	uint8_t frame[WIRE_SMALL_MAX];
	size_t bytes = wire_put_begin(frame, &s->begin);

	if (s->begun)
		return true;
	if (s->conn == NULL || conn_send(s->conn, frame, bytes) < 0)
		return false;
	s->begun = true;
	count_sent(s, bytes);
	return true;
}

void sender_begin(struct sender *s, uint64_t stream, uint64_t epoch,
		  bool direct, uint64_t base_chain, struct page_bitmap *sent)
{
	s->begin = (struct wire_begin){
		.stream = stream,
		.epoch = epoch,
		.flags = direct ? WIRE_BEGIN_DIRECT : 0,
		.base_chain = direct ? 0 : base_chain,
	};
	s->open = true;
	s->begun = false;
	s->epoch = epoch;
	s->base_chain = s->begin.base_chain;
	s->records = 0;
	s->sent = sent;
	s->device_next = 0;
	s->device_done = s->output_done = false;
	digest_start(s->digest);
	send_begin(s);
}

void sender_live(struct sender *s, struct page_bitmap *todo)
{
	if (s->conn == NULL)
		return;
	s->job = JOB_LIVE;
	s->todo = todo;
	s->next = 0;
	schedule(s);
}

static void look_at_link(struct sender *s)
{
	struct compression_sample sample = {
		.now_ns = now_mono_ns(),
		.sent_bytes = s->conn_bytes,
		.unsent_bytes = conn_unsent_bytes(s->conn),
		.encode_ns = s->encode_ns,
	};

	compression_next(&s->chooser, &sample);
	s->encode_ns = 0;
}

void sender_capture(struct sender *s, const struct capture *c)
{
	if (s->conn == NULL)
		return;
	look_at_link(s);
	s->job = JOB_CAPTURE;
	s->capture = c;
	s->next = 0;
	schedule(s);
}

void sender_distrust(struct sender *s, gfn_t gfn)
{
	page_cache_drop(s->cache, gfn);
}

void sender_distrust_all(struct sender *s)
{
	page_cache_drop_all(s->cache);
	s->device_old_blocks = 0;
}

/* ---- pages ---- */

/* The next page to send: its content stays as it is until we return to the
 * loop.  NULL when there is none left. */
static const uint8_t *peek_page(struct sender *s, gfn_t *gfn)
{
	if (s->job == JOB_CAPTURE) {
		if (s->next >= s->capture->count)
			return NULL;
		*gfn = s->capture->gfns[s->next];
		return capture_page(s->capture, s->next);
	}
	*gfn = page_bitmap_next(s->todo, s->next);
	if (*gfn >= s->todo->npages)
		return NULL;
	/* The guest may write the page while we read it; then the tracker,
	 * armed before this pass began, reports it again.  But digest, delta
	 * and cache must see one content. */
	memcpy(s->scratch, s->p.ram + (size_t)*gfn * REMUS_PAGE_SIZE,
	       REMUS_PAGE_SIZE);
	return s->scratch;
}

static void page_is_sent(struct sender *s, gfn_t gfn, const uint8_t *page,
			 uint8_t *old, enum page_kind kind)
{
	digest_page(s->digest, gfn, page);
	if (kind != PAGE_SAME) {
		if (old == NULL)
			old = page_cache_insert(s->cache, gfn);
		memcpy(old, page, REMUS_PAGE_SIZE);
	}
	page_bitmap_set(s->sent, gfn);
	if (s->job == JOB_LIVE) {
		page_bitmap_clear(s->todo, gfn);
		s->next = gfn + 1;
		s->stats.live_bytes_raw += REMUS_PAGE_SIZE;
	} else {
		s->next++;
		s->stats.bytes_raw += REMUS_PAGE_SIZE;
	}
	s->records++;
}

/* 0, or -EAGAIN when the connection has no room. */
static int begin_frame(struct sender *s)
{
	int rc = record_frame_begin(&s->frame, s->conn,
				    mode(s) == COMPRESSION_TIGHT);

	if (rc < 0)
		compression_full(&s->chooser);
	return rc;
}

/* Fill one PAGES frame.  Returns the pages in it, 0 when none is left, -EAGAIN
 * when the connection has no room. */
static int send_frame_of_pages(struct sender *s, int pages_max)
{
	struct page_writer *w = &s->frame.w;
	const uint8_t *page;
	gfn_t gfn;
	int n = 0;

	if (peek_page(s, &gfn) == NULL)
		return 0;
	if (begin_frame(s) < 0)
		return -EAGAIN;
	while (n < pages_max && (page = peek_page(s, &gfn)) != NULL) {
		uint8_t *old = page_cache_lookup(s->cache, gfn);
		enum page_kind kind;

		if (page_writer_add(w, gfn, old, page, kinds(s), &kind) < 0)
			break; /* the frame is full: gfns do ascend */
		page_is_sent(s, gfn, page, old, kind);
		n++;
	}
	count_sent(s, record_frame_commit(&s->frame, WIRE_PAGES));
	return n;
}

/* ---- device state, output and END ---- */

/* The device state goes as records too, one for each block of a page's size:
 * from one epoch to the next little of it changes. */
static uint64_t device_blocks(const struct sender *s)
{
	return (s->capture->device_bytes + REMUS_PAGE_SIZE - 1) /
	       REMUS_PAGE_SIZE;
}

static bool keep_device_blocks(struct sender *s, uint64_t blocks)
{
	uint8_t *bigger;

	if (blocks <= s->device_old_cap)
		return true;
	bigger = realloc(s->device_old, blocks * REMUS_PAGE_SIZE);
	if (bigger == NULL)
		return false; /* then no delta: a matter of size only */
	s->device_old = bigger;
	s->device_old_cap = blocks;
	return true;
}

static const uint8_t *device_block(struct sender *s, uint64_t i)
{
	size_t at = (size_t)i * REMUS_PAGE_SIZE;
	size_t n = s->capture->device_bytes - at;

	if (n >= REMUS_PAGE_SIZE)
		return s->capture->device + at;
	memcpy(s->scratch, s->capture->device + at, n);
	memset(s->scratch + n, 0, REMUS_PAGE_SIZE - n);
	return s->scratch;
}

static void fill_frame_of_device(struct sender *s, bool keep)
{
	uint64_t blocks = device_blocks(s);

	for (; s->device_next < blocks; s->device_next++) {
		uint64_t i = s->device_next;
		uint8_t *kept = keep ? s->device_old + i * REMUS_PAGE_SIZE
				     : NULL;
		const uint8_t *old = i < s->device_old_blocks ? kept : NULL;
		const uint8_t *block = device_block(s, i);

		if (page_writer_add(&s->frame.w, i, old, block, kinds(s),
				    NULL) < 0)
			return;
		if (keep)
			memcpy(kept, block, REMUS_PAGE_SIZE);
	}
}

/* 1: all is sent; -EAGAIN */
static int send_device(struct sender *s)
{
	uint64_t blocks = device_blocks(s);

	if (s->device_next == 0)
		s->device_keep = keep_device_blocks(s, blocks);
	while (s->device_next < blocks) {
		if (begin_frame(s) < 0)
			return -EAGAIN;
		fill_frame_of_device(s, s->device_keep);
		count_sent(s, record_frame_commit(&s->frame, WIRE_DEVICE));
	}
	if (!s->device_done) {
		s->device_done = true;
		s->device_old_blocks = s->device_keep ? blocks : 0;
		if (blocks > 0)
			digest_bytes(s->digest, s->capture->device,
				     s->capture->device_bytes);
		s->epoch_digest = digest_value(s->digest);
	}
	return 1;
}

struct output_writer {
	uint8_t *at;
	size_t room;
};

/* What has no room is left out. */
static void write_segment(void *ctx, const void *frame, size_t len)
{
	struct output_writer *w = ctx;
	size_t bytes = WIRE_OUTPUT_FRAME_BYTES + len;

	if (bytes > w->room)
		return;
	w->at += wire_put_output_frame(w->at, frame, len);
	w->room -= bytes;
}

/* 1: sent, or nothing is; -EAGAIN */
static int send_output(struct sender *s)
{
	struct output_writer w;
	uint8_t *frame;
	size_t bytes;

	if (!s->takes_output || s->output_done)
		return 1;
	frame = conn_reserve(s->conn, RECORD_FRAME_MIN + RECORD_FRAME_SPARE, &w.room);
	if (frame == NULL)
		return -EAGAIN;
	w.at = frame + WIRE_HEADER_BYTES;
	w.room -= WIRE_HEADER_BYTES + RECORD_FRAME_SPARE;
	if (w.room > RECORD_FRAME_BYTES)
		w.room = RECORD_FRAME_BYTES;
	s->p.events->output(s->p.ctx, s->epoch, s->output);
	segments_drain(s->output, 0, write_segment, &w);
	s->output_done = true;
	bytes = (size_t)(w.at - frame);
	if (bytes == WIRE_HEADER_BYTES)
		bytes = 0;
	else
		wire_put_header(frame, WIRE_OUTPUT, bytes - WIRE_HEADER_BYTES);
	conn_commit(s->conn, bytes);
	count_sent(s, bytes);
	return 1;
}

static int send_end(struct sender *s)
{
	struct wire_end end = {
		.epoch = s->epoch,
		.page_records = s->records,
		.device_bytes = s->capture->device_bytes,
		.digest = s->epoch_digest,
		.chain = digest_chain(s->base_chain, s->epoch,
				      s->epoch_digest),
	};
	uint8_t frame[WIRE_SMALL_MAX];
	size_t bytes = wire_put_end(frame, &end);

	if (conn_send(s->conn, frame, bytes) < 0)
		return -EAGAIN;
	count_sent(s, bytes);
	s->job = JOB_NONE;
	s->open = false;
	s->p.events->sent(s->p.ctx, s->epoch, end.chain);
	return 1;
}

/* One slice of work from the loop.  An event may change what is being sent, so
 * it is the last thing done. */
static void slice(void *data)
{
	struct sender *s = data;
	int left = SENDER_SLICE_PAGES, n = 1;
	uint64_t began_ns = now_mono_ns();

	if (s->conn == NULL || s->job == JOB_NONE || !send_begin(s))
		return;
	while (left > 0 && n > 0) {
		n = send_frame_of_pages(s, left);
		left -= n > 0 ? n : 0;
	}
	s->encode_ns += now_mono_ns() - began_ns;
	if (n == -EAGAIN)
		return; /* room() comes */
	if (left <= 0) {
		schedule(s);
		return;
	}
	if (s->job == JOB_LIVE) {
		s->job = JOB_NONE;
		s->p.events->live_done(s->p.ctx);
		return;
	}
	if (send_device(s) == 1 && send_output(s) == 1)
		send_end(s);
}

void sender_stats(const struct sender *s, struct sender_stats *out)
{
	*out = s->stats;
	out->compression = mode(s);
	out->cache_bytes = page_cache_bytes(s->cache);
}
