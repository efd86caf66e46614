/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sender.c - see sender.h: the sender's life, pages, and its part of the loop. */
#include "sender.h"

#include <errno.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>

#include "codec_xrle.h"
#include "sender_priv.h"
#include "util.h"

/* Fewer pages than that have been digested before a thread has woken up. */
#define DIGEST_APART_PAGES 64

static void slice(void *data);

static void schedule(struct sender *s)
{
	if (s->conn == NULL || s->job == JOB_NONE)
		return;
	if (loop_soon(&s->soon) < 0)
		conn_want_room(s->conn); /* room() tries again */
}

static void pool_ready(void *ctx)
{
	schedule(ctx);
}

/* A guest is to be protected also where there can be no more threads. */
static void start_threads(struct sender *s)
{
	int rc;

	if (s->p.threads <= 1)
		return;
	rc = thread_pool_new(&s->pool, s->p.loop, s->p.threads, pool_ready, s);
	if (rc < 0)
		qb_log(LOG_WARNING, "no threads to encode with, one must do: "
		       "%s", strerror(-rc));
	s->frame.pool = s->pool;
}

int sender_new(struct sender **out, const struct sender_params *p)
{
	struct sender *s = aligned_alloc(_Alignof(struct sender), sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
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
	rc = page_cache_keep_sums(s->cache);
	if (rc < 0 && rc != -ENOTSUP)
		qb_log(LOG_WARNING, "no sums of the old pages are kept, they "
		       "are read instead: %s", strerror(-rc));
	page_cache_use_huge_pages(s->cache);
	start_threads(s);
	*out = s;
	return 0;
}

/* What the threads have of the epoch that was being sent.  They read none of
 * it, and nothing that they made is there, when this returns. */
static void give_up(struct sender *s)
{
	record_frame_drop(&s->frame);
	if (s->digest_apart)
		capture_digest_stop(&s->apart, s->pool);
	s->digest_apart = false;
	s->waits_ns = 0;
}

void sender_free(struct sender *s)
{
	if (s == NULL)
		return;
	loop_soon_cancel(&s->soon);
	give_up(s);
	record_frame_release(&s->frame);
	thread_pool_free(s->pool);
	digest_free(s->digest);
	segments_free(s->output);
	page_cache_destroy(s->cache);
	free(s->device_old);
	free(s);
}

void sender_rest(struct sender *s)
{
	if (s->p.compression != COMPRESSION_TIGHT &&
	    s->p.compression != COMPRESSION_AUTO)
		record_frame_rest(&s->frame);
}

void sender_set_compression(struct sender *s, enum compression c)
{
	if (c == s->p.compression)
		return;
	s->p.compression = c;
	memset(&s->chooser, 0, sizeof(s->chooser));
	sender_rest(s);
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
	give_up(s);
	s->conn = c;
	s->takes_output = (capabilities & WIRE_CAP_OUTPUT) != 0;
	s->takes_packed = (capabilities & WIRE_CAP_COLUMNS) != 0;
	s->conn_bytes = 0;
	s->ack_ns = s->unacked_since_ns = 0;
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

void sender_count(struct sender *s, size_t bytes)
{
	s->conn_bytes += bytes;
	if (s->job == JOB_LIVE)
		s->stats.live_bytes_sent += bytes;
	else
		s->stats.bytes_sent += bytes;
}

unsigned int sender_kinds(const struct sender *s)
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
	sender_count(s, bytes);
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
	s->slice_left = 0;
	schedule(s);
}

static void look_at_link(struct sender *s)
{
	struct compression_sample sample = {
		.now_ns = now_mono_ns(),
		.sent_bytes = s->conn_bytes,
		.unsent_bytes = conn_unsent_bytes(s->conn),
		.encode_ns = s->encode_ns,
		.ack_ns = s->ack_ns,
	};

	if (s->unacked_since_ns != 0)
		sample.ack_ns = sample.now_ns - s->unacked_since_ns;
	compression_next(&s->chooser, &sample);
	s->encode_ns = 0;
	s->capture_epoch = s->epoch;
	s->unacked_since_ns = sample.now_ns;
}

void sender_acked(struct sender *s, uint64_t epoch)
{
	if (s->unacked_since_ns == 0 || epoch != s->capture_epoch)
		return;
	s->ack_ns = now_mono_ns() - s->unacked_since_ns;
	s->unacked_since_ns = 0;
}

void sender_capture(struct sender *s, const struct capture *c)
{
	if (s->conn == NULL)
		return;
	look_at_link(s);
	s->job = JOB_CAPTURE;
	s->capture = c;
	s->next = 0;
	s->slice_left = 0;
	/* Not the guest's memory itself: that may be unmapped before we hear
	 * that the guest has ended. */
	s->digest_apart = s->pool != NULL && c->count >= DIGEST_APART_PAGES &&
			  !capture_overflows(c);
	if (s->digest_apart)
		capture_digest_start(&s->apart, s->pool, s->digest, c);
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

/* The page to look at behind those that were: its content stays as it is until
 * we return to the loop.  False when there is none. */
static bool find_page(struct sender *s, struct coming *c, uint8_t *scratch)
{
	if (s->job == JOB_CAPTURE) {
		if (s->look_next >= s->capture->count)
			return false;
		c->gfn = s->capture->gfns[s->look_next];
		c->page = capture_page(s->capture, s->look_next++);
		return true;
	}
	c->gfn = page_bitmap_next(s->todo, s->look_next);
	if (c->gfn >= s->todo->npages)
		return false;
	s->look_next = c->gfn + 1;
	/* The guest may write the page while we read it; then the tracker,
	 * armed before this pass began, reports it again.  But digest, delta
	 * and cache must see one content. */
	page_copy(scratch, s->p.ram + (size_t)c->gfn * REMUS_PAGE_SIZE);
	c->page = scratch;
	return true;
}

/* The next page to send, when a few behind it have been looked at, of `left`.
 * NULL when there is none. */
static const struct coming *next_page(struct sender *s, int left)
{
	unsigned int ahead = (unsigned int)left < PAGE_LOOK_AHEAD
				     ? (unsigned int)left : PAGE_LOOK_AHEAD;

	while (s->looked_at - s->taken < ahead) {
		unsigned int i = s->looked_at % PAGE_LOOK_AHEAD;
		struct coming *c = &s->coming[i];

		if (!find_page(s, c, s->scratch[i]))
			break;
		page_cache_look(s->cache, c->gfn, c->page, &c->look);
		s->looked_at++;
	}
	return s->taken != s->looked_at ? &s->coming[s->taken % PAGE_LOOK_AHEAD]
					: NULL;
}

/* Nothing that was looked at is known any more. */
static bool begin_to_look(struct sender *s)
{
	s->taken = s->looked_at = 0;
	s->look_next = s->next;
	if (s->job == JOB_CAPTURE)
		return s->next < s->capture->count;
	return page_bitmap_next(s->todo, s->next) < s->todo->npages;
}

static void page_is_sent(struct sender *s, const struct coming *c, uint8_t *old,
			 enum page_kind kind)
{
	if (!s->digest_apart)
		digest_page(s->digest, c->gfn, c->page);
	page_cache_sent(s->cache, c->gfn, old, c->page, &c->look, &s->frame.w,
			kind);
	page_bitmap_set(s->sent, c->gfn);
	s->taken++;
	if (s->job == JOB_LIVE) {
		page_bitmap_clear(s->todo, c->gfn);
		s->next = c->gfn + 1;
		s->stats.live_bytes_raw += REMUS_PAGE_SIZE;
	} else {
		s->next++;
		s->stats.bytes_raw += REMUS_PAGE_SIZE;
	}
	s->records++;
}

int sender_push(struct sender *s)
{
	size_t bytes = 0;
	int rc = record_frame_push(&s->frame, s->conn, &bytes);

	sender_count(s, bytes);
	if (rc == -EAGAIN)
		compression_full(&s->chooser);
	return rc;
}

int sender_begin_frame(struct sender *s)
{
	int rc = sender_push(s);

	if (rc == -EAGAIN)
		return rc;
	rc = record_frame_begin(&s->frame, s->conn,
				mode(s) == COMPRESSION_TIGHT);
	if (rc == -EAGAIN)
		compression_full(&s->chooser);
	return rc;
}

/* Fill one PAGES frame.  Returns the pages in it, 0 when none is left, -EAGAIN
 * or -EBUSY as sender_begin_frame(). */
static int send_frame_of_pages(struct sender *s, int pages_max)
{
	struct page_writer *w = &s->frame.w;
	const struct coming *c = NULL;
	int n = 0, rc;

	if (!begin_to_look(s))
		return 0;
	rc = sender_begin_frame(s);
	if (rc < 0)
		return rc;
	while (n < pages_max && (c = next_page(s, pages_max - n)) != NULL) {
		uint8_t *old = page_cache_lookup(s->cache, c->gfn);
		enum page_kind kind;

		if (page_writer_add_groups(w, c->gfn, old, c->page,
					   page_look_groups(&c->look, old),
					   sender_kinds(s), &kind) < 0)
			break; /* the frame is full: gfns do ascend */
		page_is_sent(s, c, old, kind);
		n++;
	}
	sender_count(s, record_frame_commit(&s->frame, WIRE_PAGES, c != NULL));
	return n;
}

/* ---- the loop ---- */

static int end_live(struct sender *s)
{
	int rc = sender_push(s);

	if (rc < 0)
		return rc;
	s->job = JOB_NONE;
	sender_rest(s);
	s->p.events->live_done(s->p.ctx);
	return 0;
}

/* Nothing goes on before something of the pool's is done: do it, or have its
 * threads call. */
static void help_or_wait(struct sender *s)
{
	uint64_t began_ns = now_mono_ns();

	if (thread_pool_help(s->pool)) {
		s->encode_ns += now_mono_ns() - began_ns;
		schedule(s);
	} else if (thread_pool_wait(s->pool)) {
		s->waits_ns = began_ns;
	} else {
		schedule(s);
	}
}

/* Up to a slice of pages, in frames.  0: no page is left; 1: there are;
 * -EAGAIN, -EBUSY */
static int send_pages(struct sender *s)
{
	uint64_t began_ns = now_mono_ns();
	int n = 1;

	if (s->waits_ns != 0)
		s->encode_ns += began_ns - s->waits_ns;
	s->waits_ns = 0;
	/* One that had to wait for the threads is gone on with: what ends a
	 * frame must not depend on how fast they are. */
	if (s->slice_left == 0)
		s->slice_left = s->pool == NULL && mode(s) == COMPRESSION_TIGHT
					? SENDER_SLICE_PAGES_PACKED
					: SENDER_SLICE_PAGES;
	while (s->slice_left > 0 && n > 0) {
		n = send_frame_of_pages(s, s->slice_left);
		s->slice_left -= n > 0 ? n : 0;
	}
	s->encode_ns += now_mono_ns() - began_ns;
	return n;
}

/* One slice of work from the loop.  An event may change what is being sent, so
 * it is the last thing done. */
static void slice(void *data)
{
	struct sender *s = data;
	int rc;

	if (s->conn == NULL || s->job == JOB_NONE || !send_begin(s))
		return;
	rc = send_pages(s);
	if (rc == 0)
		rc = s->job == JOB_LIVE ? end_live(s) : sender_end_capture(s);
	if (rc == -EBUSY)
		help_or_wait(s);
	else if (rc > 0)
		schedule(s);
	/* else -EAGAIN: room() comes */
}

void sender_stats(const struct sender *s, struct sender_stats *out)
{
	*out = s->stats;
	out->compression = mode(s);
	out->cache_bytes = page_cache_bytes(s->cache);
	out->threads = s->pool != NULL ? s->p.threads : 1;
}
