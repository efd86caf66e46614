/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "page_cache.h"
#include "page_record.h"
#include "wire.h"

/* Small enough that the first bytes are under way early, large enough that the
 * payload's own header does not count. */
#define FRAME_PAYLOAD_BYTES ((size_t)128 << 10)
#define FRAME_MIN (WIRE_HEADER_BYTES + PAGE_WRITER_CAP_MIN)

enum job { JOB_NONE = 0, JOB_LIVE, JOB_CAPTURE };

struct sender {
	struct sender_params p;
	struct conn *conn;
	struct page_cache *cache;
	struct digest *digest;
	bool scheduled; /* our loop job is queued */

	/* the open epoch */
	bool open;
	uint64_t epoch, base_chain, records;
	struct page_bitmap *sent;

	/* what is being sent */
	enum job job;
	struct page_bitmap *todo;      /* JOB_LIVE */
	const struct capture *capture; /* JOB_CAPTURE */
	uint64_t next;		       /* gfn, or index into the capture */
	size_t device_sent;

	uint64_t bytes_raw, bytes_sent;
	uint8_t scratch[4096] __attribute__((aligned(64)));
};

_Static_assert(sizeof(((struct sender *)0)->scratch) == REMUS_PAGE_SIZE,
	       "scratch holds a page");

static void slice(void *data);

static void schedule(struct sender *s)
{
	if (s->scheduled || s->conn == NULL || s->job == JOB_NONE)
		return;
	if (qb_loop_job_add(s->p.loop, QB_LOOP_MED, s, slice) == 0)
		s->scheduled = true;
	else
		conn_want_room(s->conn); /* room() tries again */
}

int sender_new(struct sender **out, const struct sender_params *p)
{
	struct sender *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->p = *p;
	s->digest = digest_new();
	rc = s->digest == NULL ? -ENOMEM
			       : page_cache_create(&s->cache, p->npages,
						   p->cache_bytes);
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
	if (s->scheduled)
		qb_loop_job_del(s->p.loop, QB_LOOP_MED, s, slice);
	digest_free(s->digest);
	page_cache_destroy(s->cache);
	free(s);
}

void sender_set_compression(struct sender *s, bool on)
{
	s->p.compression = on;
}

void sender_set_conn(struct sender *s, struct conn *c)
{
	s->conn = c;
	if (c != NULL)
		return;
	s->job = JOB_NONE;
	s->open = false;
}

void sender_room(struct sender *s)
{
	schedule(s);
}

bool sender_is_open(const struct sender *s)
{
	return s->open;
}

/* The small frames of an epoch always find room: the queue is kept far from
 * full by slice(), and a connection that refuses them is about to go down. */
static void send_small(struct sender *s, const uint8_t *frame, size_t bytes)
{
	if (s->conn != NULL && conn_send(s->conn, frame, bytes) == 0)
		s->bytes_sent += bytes;
}

void sender_begin(struct sender *s, uint64_t stream, uint64_t epoch,
		  bool direct, uint64_t base_chain, struct page_bitmap *sent)
{
	struct wire_begin b = {
		.stream = stream,
		.epoch = epoch,
		.flags = direct ? WIRE_BEGIN_DIRECT : 0,
		.base_chain = direct ? 0 : base_chain,
	};
	uint8_t frame[WIRE_SMALL_MAX];

	s->open = true;
	s->epoch = epoch;
	s->base_chain = b.base_chain;
	s->records = 0;
	s->sent = sent;
	s->device_sent = 0;
	digest_start(s->digest);
	send_small(s, frame, wire_put_begin(frame, &b));
}

void sender_live(struct sender *s, struct page_bitmap *todo)
{
	s->job = JOB_LIVE;
	s->todo = todo;
	s->next = 0;
	schedule(s);
}

void sender_capture(struct sender *s, const struct capture *c)
{
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
	} else {
		s->next++;
	}
	s->records++;
	s->bytes_raw += REMUS_PAGE_SIZE;
}

/* Fill one PAGES frame.  Returns the pages in it, 0 when none is left, -EAGAIN
 * when the connection has no room. */
static int send_frame_of_pages(struct sender *s, int pages_max)
{
	unsigned int kinds = s->p.compression ? PAGE_ALLOW_ALL
					      : PAGE_ALLOW_RAW;
	struct page_writer w;
	const uint8_t *page;
	uint8_t *frame;
	size_t cap;
	gfn_t gfn;
	int n = 0;

	if (peek_page(s, &gfn) == NULL)
		return 0;
	frame = conn_reserve(s->conn, FRAME_MIN, &cap);
	if (frame == NULL)
		return -EAGAIN;
	cap -= WIRE_HEADER_BYTES;
	if (cap > FRAME_PAYLOAD_BYTES)
		cap = FRAME_PAYLOAD_BYTES;
	page_writer_init(&w, frame + WIRE_HEADER_BYTES, cap);
	while (n < pages_max && (page = peek_page(s, &gfn)) != NULL) {
		uint8_t *old = page_cache_lookup(s->cache, gfn);
		enum page_kind kind;

		if (page_writer_add(&w, gfn, old, page, kinds, &kind) < 0)
			break; /* the frame is full: gfns do ascend */
		page_is_sent(s, gfn, page, old, kind);
		n++;
	}
	wire_put_header(frame, WIRE_PAGES, page_writer_bytes(&w));
	conn_commit(s->conn, WIRE_HEADER_BYTES + page_writer_bytes(&w));
	s->bytes_sent += WIRE_HEADER_BYTES + page_writer_bytes(&w);
	return n;
}

/* ---- device state and END ---- */

/* 1: all is sent; -EAGAIN */
static int send_device(struct sender *s)
{
	const struct capture *c = s->capture;

	while (s->device_sent < c->device_bytes) {
		size_t n = c->device_bytes - s->device_sent, cap;
		uint8_t *frame;

		if (n > FRAME_PAYLOAD_BYTES)
			n = FRAME_PAYLOAD_BYTES;
		frame = conn_reserve(s->conn, WIRE_HEADER_BYTES + n, &cap);
		if (frame == NULL)
			return -EAGAIN;
		wire_put_header(frame, WIRE_DEVICE, n);
		memcpy(frame + WIRE_HEADER_BYTES, c->device + s->device_sent,
		       n);
		conn_commit(s->conn, WIRE_HEADER_BYTES + n);
		digest_bytes(s->digest, c->device + s->device_sent, n);
		s->device_sent += n;
		s->bytes_sent += WIRE_HEADER_BYTES + n;
	}
	return 1;
}

static int send_end(struct sender *s)
{
	uint64_t digest = digest_value(s->digest);
	struct wire_end end = {
		.epoch = s->epoch,
		.page_records = s->records,
		.device_bytes = s->capture->device_bytes,
		.digest = digest,
		.chain = digest_chain(s->base_chain, s->epoch, digest),
	};
	uint8_t frame[WIRE_SMALL_MAX];
	size_t bytes = wire_put_end(frame, &end);

	if (conn_send(s->conn, frame, bytes) < 0)
		return -EAGAIN;
	s->bytes_sent += bytes;
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
	int left = SENDER_SLICE_PAGES, n;

	s->scheduled = false;
	if (s->conn == NULL || s->job == JOB_NONE)
		return;
	while (left > 0) {
		n = send_frame_of_pages(s, left);
		if (n == -EAGAIN)
			return; /* room() comes */
		if (n == 0)
			break;
		left -= n;
	}
	if (left <= 0) {
		schedule(s);
		return;
	}
	if (s->job == JOB_LIVE) {
		s->job = JOB_NONE;
		s->p.events->live_done(s->p.ctx);
		return;
	}
	if (send_device(s) == 1)
		send_end(s);
}

void sender_stats(const struct sender *s, struct sender_stats *out)
{
	out->bytes_raw = s->bytes_raw;
	out->bytes_sent = s->bytes_sent;
	out->cache_bytes = page_cache_bytes(s->cache);
}
