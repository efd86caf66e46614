/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_sender.c - sender to receiver through random histories: the image must
 * be the guest's memory as it was captured, at each END.
 *
 * The world below does what primary.c and standby.c do with sender, capture,
 * inflight and receiver, and nothing of the engines.  The guest writes whenever
 * it runs, also while a live pass reads; a write marks the page in `dirty`, as
 * a tracker does.  The queue has little room, and at times none.  Where several
 * threads encode, each payload takes another time to be packed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "digest.h"
#include "fake_conn.h"
#include "inflight.h"
#include "no_threads.h"
#include "page_pack.h"
#include "page_record.h"
#include "receiver.h"
#include "segment_frames.h"
#include "sender.h"
#include "util.h"

#define NPAGES 520 /* two slices and a bit */
#define RAM_BYTES (NPAGES * REMUS_PAGE_SIZE)
#define STREAM 77
#define IN_FLIGHT 3
#define DEVICE_MAX_TEST 40000

struct snapshot {
	uint8_t ram[RAM_BYTES];
	uint8_t device[DEVICE_MAX_TEST];
	size_t device_bytes;
};

struct world {
	/* the primary */
	uint8_t ram[RAM_BYTES];
	uint8_t device[DEVICE_MAX_TEST];
	size_t device_bytes;
	struct page_bitmap dirty, todo;
	struct capture capture;
	struct inflight inflight;
	struct sender *sender;
	bool held; /* the guest is, until the capture is sent */
	bool live, sending, first;
	bool deaf; /* a backup that takes no OUTPUT, and no columns */
	bool never_packed;
	unsigned int packed; /* payloads */
	bool full; /* the backup found a wrong digest: trust nothing */
	uint64_t next_epoch, sent_chain, sending_epoch;
	unsigned int in_flight, passes;
	/* the link */
	struct conn conn;
	bool up;
	/* the backup */
	uint8_t image[RAM_BYTES];
	struct receiver *receiver;
	struct wire_begin begin;
	bool open;
	uint64_t committed, chain;
	/* what must come out, by epoch */
	struct snapshot *snap[16];
	uint64_t seed;
	unsigned int commits, losses, partial, overflows, mismatches;
	bool may_mismatch;
	bool still; /* nobody writes while it is read */
	int patience_ms; /* with threads, in a turn with nothing to do */
	unsigned int backup_us; /* takes until it acknowledges */
	/* all that the backup got, if that is kept */
	bool keep;
	uint8_t *kept;
	size_t kept_bytes;
};

static uint64_t rnd(struct world *w, uint64_t n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (w->seed >> 11) % n;
}

static void fill(struct world *w, uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t v = rnd(w, UINT64_MAX) * 0x9e3779b97f4a7c15u;

		memcpy(at + i, &v, 8);
	}
}

/* ---- the guest ---- */

static void guest_writes(struct world *w)
{
	gfn_t g = rnd(w, NPAGES);
	uint8_t *page = w->ram + g * REMUS_PAGE_SIZE;

	if (w->held)
		return;
	switch (rnd(w, 9)) {
	case 8: /* what it was two writes ago, again and again */
		page[REMUS_PAGE_SIZE / 2] ^= 0x40;
		break;
	case 0: memset(page, 0, REMUS_PAGE_SIZE); break;
	case 1:
		fill(w, page, REMUS_PAGE_SIZE);
		break;
	case 2: /* the same again: dirty, but not changed */ break;
	case 3:
		memcpy(page, w->ram + rnd(w, NPAGES) * REMUS_PAGE_SIZE,
		       REMUS_PAGE_SIZE);
		break;
	default:
		for (int i = 0; i < 5; i++)
			page[rnd(w, REMUS_PAGE_SIZE)] = (uint8_t)rnd(w, 256);
	}
	page_bitmap_set(&w->dirty, g);
	if (rnd(w, 20) == 0)
		w->device_bytes = rnd(w, DEVICE_MAX_TEST + 1);
	for (size_t i = 0; i < 3 && w->device_bytes > 0; i++)
		w->device[rnd(w, w->device_bytes)] = (uint8_t)rnd(w, 256);
}

/* Between two looks of the sender at a page of the running guest. */
static void while_it_is_read(void *ctx)
{
	struct world *w = ctx;

	for (int i = 0; i < 8; i++)
		guest_writes(w);
}

/* The page that is being sent changes when it has been encoded, and before
 * digest and cache have seen it: linked with --wrap=digest_page. */
static struct world *changing;

void __wrap_digest_page(struct digest *d, gfn_t gfn, const uint8_t *page);
void __real_digest_page(struct digest *d, gfn_t gfn, const uint8_t *page);

static pthread_t loops_thread;
static atomic_uint digested_apart; /* pages */

void __wrap_digest_page(struct digest *d, gfn_t gfn, const uint8_t *page)
{
	struct world *w = changing;

	if (!pthread_equal(pthread_self(), loops_thread))
		digested_apart++;
	else if (w != NULL && rnd(w, 4) == 0) {
		w->ram[gfn * REMUS_PAGE_SIZE + rnd(w, REMUS_PAGE_SIZE)]++;
		page_bitmap_set(&w->dirty, gfn);
	}
	__real_digest_page(d, gfn, page);
}

/* ---- the time, which only passes when somebody asks, or the backup takes some:
 * what auto decides must not depend on what else the machine does ---- */

static uint64_t clock_ns;

uint64_t __wrap_now_mono_ns(void);

uint64_t __wrap_now_mono_ns(void)
{
	return clock_ns += 1000;
}

/* ---- the threads: linked with --wrap ---- */

static void (*before_packing)(bool in_loops_thread);
static void (*after_packing)(void);

size_t __wrap_page_pack(struct page_packer *p, uint8_t *dst,
			struct page_writer *w);
size_t __real_page_pack(struct page_packer *p, uint8_t *dst,
			struct page_writer *w);

size_t __wrap_page_pack(struct page_packer *p, uint8_t *dst,
			struct page_writer *w)
{
	size_t n;

	if (before_packing != NULL)
		before_packing(pthread_equal(pthread_self(), loops_thread));
	n = __real_page_pack(p, dst, w);
	if (after_packing != NULL)
		after_packing();
	return n;
}

/* Mostly at once, at times later than what came after it. */
static void now_and_then_slow(bool in_loops_thread)
{
	static atomic_uint calls;
	static const useconds_t us[] = { 0, 200, 0, 0, 900, 50, 0 };

	if (!in_loops_thread)
		usleep(us[calls++ % ARRAY_LEN(us)]);
}

static atomic_bool gate_open;

static void at_the_gate(bool in_loops_thread)
{
	while (!in_loops_thread && !gate_open)
		usleep(100);
}

static void *open_gate(void *ms)
{
	usleep(*(const useconds_t *)ms * 1000);
	gate_open = true;
	return NULL;
}

static void collect(struct world *w)
{
	page_bitmap_or(&w->todo, &w->dirty);
	page_bitmap_clear_all(&w->dirty);
}

/* ---- the primary ---- */

static void capture(struct world *w)
{
	uint64_t epoch = w->next_epoch;
	struct inflight_slot *s = inflight_find(&w->inflight, epoch);
	struct snapshot *snap = w->snap[epoch % 16];

	w->next_epoch++;
	if (s == NULL)
		s = inflight_open(&w->inflight, epoch);
	assert_non_null(s);
	collect(w);
	capture_pages(&w->capture, &w->todo);
	page_bitmap_or(&s->pages, &w->todo);
	page_bitmap_clear_all(&w->todo);
	assert_int_equal(capture_device(&w->capture, w->device,
					w->device_bytes), 0);
	memcpy(snap->ram, w->ram, RAM_BYTES);
	memcpy(snap->device, w->device, w->device_bytes);
	snap->device_bytes = w->device_bytes;
	w->held = capture_overflows(&w->capture);
	w->overflows += w->held;
	w->sending = true;
	w->sending_epoch = epoch;
	if (!sender_is_open(w->sender))
		sender_begin(w->sender, STREAM, epoch, false, w->sent_chain,
			     &s->pages);
	sender_capture(w->sender, &w->capture);
}

static void live_pass(struct world *w)
{
	collect(w);
	w->passes++;
	w->conn.on_reserve = w->still ? NULL : while_it_is_read;
	changing = w->still ? NULL : w;
	sender_live(w->sender, &w->todo);
}

static void on_live_done(void *ctx)
{
	struct world *w = ctx;

	assert_true(w->live);
	/* Every bit is cleared as its page is sent. */
	assert_int_equal(page_bitmap_count(&w->todo), 0);
	w->conn.on_reserve = NULL;
	changing = NULL;
	if (w->passes < 3) {
		live_pass(w);
		return;
	}
	w->live = false;
	capture(w);
}

static void on_sent(void *ctx, uint64_t epoch, uint64_t chain)
{
	struct world *w = ctx;
	struct inflight_slot *s = inflight_find(&w->inflight, epoch);

	assert_true(w->sending);
	assert_int_equal(epoch, w->sending_epoch);
	assert_non_null(s);
	assert_false(sender_is_open(w->sender));
	s->sent = true;
	s->chain = chain;
	w->sent_chain = chain;
	w->in_flight++;
	w->sending = w->held = w->first = false;
	capture_done(&w->capture);
}

/* So many connections have sent something in the epoch. */
static unsigned int output_of(uint64_t epoch)
{
	return (unsigned int)(epoch * 7 % 4);
}

static void on_output(void *ctx, uint64_t epoch, struct segments *out)
{
	struct world *w = ctx;
	uint8_t frame[SEGMENT_BYTES_MAX];

	assert_int_equal(epoch, w->sending_epoch);
	for (unsigned int port = 1; port <= output_of(epoch); port++)
		segments_put(out, frame, segment4(frame, port, ACK, 100 + port,
						  (uint8_t)epoch), 0);
}

static const struct sender_events events = {
	.live_done = on_live_done,
	.output = on_output,
	.sent = on_sent,
};

/* ---- the link ---- */

static void connect_link(struct world *w)
{
	bool direct = w->full ||
		      !inflight_proves(&w->inflight, w->committed, w->chain);
	struct inflight_slot *s;

	w->conn.used = 0;
	w->conn.room_wanted = w->conn.refuse_sends = w->conn.down = false;
	w->deaf = w->losses % 3 == 2;
	sender_set_conn(w->sender, &w->conn,
			w->deaf ? WIRE_CAP_PACKED : WIRE_CAPABILITIES);
	if (direct) {
		page_bitmap_set_all(&w->todo);
		sender_distrust_all(w->sender);
		inflight_restart(&w->inflight, 0, 0);
	} else {
		w->partial += w->losses > 0;
		w->sent_chain = w->chain;
		inflight_restart(&w->inflight, w->committed, w->chain);
	}
	w->full = false;
	w->up = w->live = w->first = true;
	w->in_flight = 0;
	w->passes = 0;
	s = inflight_open(&w->inflight, w->next_epoch);
	sender_begin(w->sender, STREAM, w->next_epoch, direct, w->sent_chain,
		     &s->pages);
	assert_true(sender_is_open(w->sender));
	live_pass(w);
}

static void lose_link(struct world *w)
{
	struct page_bitmap *todo = &w->todo;

	/* the backup */
	receiver_drop(w->receiver);
	if (w->open && (w->begin.flags & WIRE_BEGIN_DIRECT))
		w->committed = w->chain = 0;
	w->open = false;
	/* the primary */
	sender_set_conn(w->sender, NULL, 0);
	assert_false(sender_is_open(w->sender));
	inflight_forget(&w->inflight, todo);
	capture_done(&w->capture);
	for (gfn_t g = page_bitmap_next(todo, 0); g < NPAGES;
	     g = page_bitmap_next(todo, g + 1))
		sender_distrust(w->sender, g);
	w->up = w->live = w->sending = w->held = false;
	w->conn.on_reserve = NULL;
	changing = NULL;
	w->losses++;
	/* Nothing is sent without a connection, whatever is still due. */
	sender_room(w->sender);
	while (fake_turn())
		;
}

/* ---- the backup ---- */

struct output {
	uint64_t epoch;
	unsigned int n;
};

static void take_output(void *ctx, const void *frame, size_t len)
{
	struct output *o = ctx;
	const uint8_t *f = frame;

	assert_int_equal(len, 54 + 100 + f[35]);
	assert_int_equal(f[len - 1], (uint8_t)o->epoch);
	o->n++;
}

static void check_output(struct world *w, uint64_t epoch)
{
	struct output o = { .epoch = epoch };

	receiver_drain_output(w->receiver, take_output, &o);
	assert_int_equal(o.n, w->deaf ? 0 : output_of(epoch));
}

static void check_commit(struct world *w, uint64_t epoch)
{
	const struct snapshot *snap = w->snap[epoch % 16];
	size_t bytes;
	const void *device = receiver_device_state(w->receiver, &bytes);

	assert_true(memcmp(w->image, snap->ram, RAM_BYTES) == 0);
	assert_int_equal(bytes, snap->device_bytes);
	if (bytes > 0)
		assert_memory_equal(device, snap->device, bytes);
}

static void got_end(struct world *w, const uint8_t *payload, size_t len)
{
	struct wire_end end;
	char why[256] = "";

	assert_true(w->open);
	assert_int_equal(wire_get_end(payload, len, &end), 0);
	assert_int_equal(end.epoch, w->begin.epoch);
	assert_int_equal(end.page_records, receiver_records(w->receiver));
	if (!receiver_matches(w->receiver, &end, why, sizeof(why))) {
		if (!w->may_mismatch)
			fail_msg("epoch %llu: %s",
				 (unsigned long long)end.epoch, why);
		w->mismatches++;
		w->full = true;
		lose_link(w);
		return;
	}
	receiver_commit(w->receiver);
	w->open = false;
	w->committed = end.epoch;
	w->chain = end.chain;
	w->commits++;
	if (!w->may_mismatch)
		check_commit(w, end.epoch);
	check_output(w, end.epoch);
}

static void got_begin(struct world *w, const uint8_t *payload, size_t len)
{
	assert_false(w->open);
	assert_int_equal(wire_get_begin(payload, len, &w->begin), 0);
	assert_int_equal(w->begin.stream, STREAM);
	w->open = true;
	if (w->begin.flags & WIRE_BEGIN_DIRECT) {
		assert_int_equal(w->begin.base_chain, 0);
		w->committed = w->chain = 0;
	} else {
		assert_int_equal(w->begin.base_chain, w->chain);
		assert_true(w->begin.epoch > w->committed);
	}
	receiver_begin(w->receiver, &w->begin);
}

/* Packed is sent to who takes it, when it is wanted. */
static void saw_payload(struct world *w, const uint8_t *payload)
{
	assert_true(payload[0] == PAGE_RECORD_VERSION ||
		    payload[0] == PAGE_COLUMNS_VERSION);
	if (payload[0] == PAGE_COLUMNS_VERSION) {
		assert_true(!w->deaf && !w->never_packed);
		w->packed++;
	}
}

static void keep(struct world *w, size_t bytes)
{
	w->kept = realloc(w->kept, w->kept_bytes + bytes);
	assert_non_null(w->kept);
	memcpy(w->kept + w->kept_bytes, w->conn.queue, bytes);
	w->kept_bytes += bytes;
}

/* One frame arrives; false when none was under way. */
static bool deliver(struct world *w)
{
	const uint8_t *payload;
	struct wire_header h;

	if (!w->up || !fake_peek(&w->conn, &h, &payload))
		return false;
	if (w->keep)
		keep(w, WIRE_HEADER_BYTES + h.payload_bytes);
	switch (h.type) {
	case WIRE_BEGIN: got_begin(w, payload, h.payload_bytes); break;
	case WIRE_PAGES:
		assert_true(w->open);
		saw_payload(w, payload);
		assert_int_equal(receiver_pages(w->receiver, payload,
						h.payload_bytes), 0);
		break;
	case WIRE_DEVICE:
		assert_true(w->open);
		saw_payload(w, payload);
		assert_int_equal(receiver_device(w->receiver, payload,
						 h.payload_bytes), 0);
		break;
	case WIRE_OUTPUT:
		assert_true(w->open && !w->deaf);
		assert_int_equal(receiver_output(w->receiver, payload,
						 h.payload_bytes), 0);
		break;
	case WIRE_END: got_end(w, payload, h.payload_bytes); break;
	default: fail_msg("frame %u", h.type);
	}
	if (w->up)
		fake_pop(&w->conn);
	return true;
}

/* ---- the world ---- */

static struct world *world_of_threads(unsigned int threads, uint64_t seed,
				      uint64_t cache_bytes,
				      uint64_t capture_bytes,
				      enum compression compression)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sender_params p = {
		.npages = NPAGES, .cache_bytes = cache_bytes,
		.compression = compression, .events = &events,
		.threads = threads,
	};

	assert_non_null(w);
	loops_thread = pthread_self();
	before_packing = now_and_then_slow;
	after_packing = NULL;
	w->seed = seed;
	w->next_epoch = 1;
	/* room() comes at half of it, and must mean room for a payload */
	w->conn.max = threads > 1 ? 600 << 10 : 96 << 10;
	w->patience_ms = threads > 1;
	w->conn.ctx = w;
	for (int i = 0; i < 16; i++)
		assert_non_null(w->snap[i] = malloc(sizeof(*w->snap[i])));
	p.ram = w->ram;
	p.ctx = w;
	assert_int_equal(page_bitmap_init(&w->dirty, NPAGES), 0);
	assert_int_equal(page_bitmap_init(&w->todo, NPAGES), 0);
	assert_int_equal(capture_init(&w->capture, w->ram, NPAGES,
				      capture_bytes), 0);
	assert_int_equal(inflight_init(&w->inflight, IN_FLIGHT, NPAGES), 0);
	assert_int_equal(sender_new(&w->sender, &p), 0);
	assert_int_equal(receiver_new(&w->receiver, w->image, NPAGES), 0);
	fill(w, w->ram, RAM_BYTES / 2);
	memset(w->image, 0xee, RAM_BYTES); /* of an earlier life */
	return w;
}

static struct world *world_new(uint64_t seed, uint64_t cache_bytes,
			       uint64_t capture_bytes,
			       enum compression compression)
{
	return world_of_threads(1, seed, cache_bytes, capture_bytes,
				compression);
}

static void world_free(struct world *w)
{
	sender_free(w->sender);
	sender_free(NULL);
	assert_null(fake_due);
	receiver_free(w->receiver);
	receiver_free(NULL);
	capture_free(&w->capture);
	inflight_free(&w->inflight);
	page_bitmap_free(&w->dirty);
	page_bitmap_free(&w->todo);
	for (int i = 0; i < 16; i++)
		free(w->snap[i]);
	free(w->kept);
	free(w);
}

static void ack(struct world *w)
{
	struct inflight_slot *s;

	if (!w->up || w->committed <= w->inflight.acked)
		return;
	s = inflight_find(&w->inflight, w->committed);
	if (s == NULL || !s->sent)
		return;
	assert_int_equal(s->chain, w->chain);
	clock_ns += (uint64_t)w->backup_us * 1000;
	sender_acked(w->sender, w->committed);
	inflight_acked(&w->inflight, s);
	w->in_flight = 0;
	for (unsigned int i = 0; i < w->inflight.n; i++)
		w->in_flight += w->inflight.slot[i].epoch != 0 &&
				w->inflight.slot[i].sent;
}

static void maybe_capture(struct world *w)
{
	if (w->up && !w->live && !w->sending && w->in_flight < IN_FLIGHT)
		capture(w);
}

static void room(struct world *w)
{
	if (!w->conn.room_wanted || w->conn.used > w->conn.max / 2)
		return;
	w->conn.room_wanted = w->conn.refuse_sends = false;
	sender_room(w->sender);
}

static void one_step(struct world *w, unsigned int loss_in)
{
	switch (rnd(w, 10)) {
	case 0:
		for (uint64_t n = rnd(w, 40); n > 0; n--)
			guest_writes(w);
		break;
	case 1: maybe_capture(w); break;
	case 2: ack(w); break;
	case 3: case 4: fake_turn_ms(w->patience_ms); break;
	case 5: room(w); break;
	case 6:
		/* as little room as can be, at any moment */
		if (w->up && rnd(w, 4) == 0)
			w->conn.refuse_sends = w->conn.room_wanted = true;
		break;
	default: deliver(w);
	}
	if (!w->up)
		connect_link(w);
	else if (loss_in != 0 && rnd(w, loss_in) == 0)
		lose_link(w);
}

/* Let everything that is under way arrive. */
static void settle(struct world *w)
{
	bool idle = false;

	for (int i = 0; i < 100000; i++) {
		idle = !fake_turn_ms(idle ? 100 : 0);
		w->conn.refuse_sends = false;
		room(w);
		while (w->keep && deliver(w))
			; /* there is always room */
		idle = !deliver(w) && idle && fake_due == NULL;
		ack(w);
		if (idle && w->up && !w->live && !w->sending)
			return;
		if (!w->up)
			connect_link(w);
	}
	fail_msg("it never came to rest");
}

/* The guest's memory as it is now is what the backup will hold. */
static void final_epoch(struct world *w)
{
	settle(w);
	capture(w);
	settle(w);
	assert_true(memcmp(w->image, w->ram, RAM_BYTES) == 0);
}

static const struct {
	const char *what;
	uint64_t cache_bytes, capture_bytes;
	enum compression compression;
	bool toggle;
	unsigned int threads;
} kinds_of_world[] = {
	{ "all fits", RAM_BYTES, RAM_BYTES, COMPRESSION_FAST, false, 1 },
	{ "cache smaller", RAM_BYTES / 4, RAM_BYTES, COMPRESSION_FAST, false,
	  1 },
	{ "cache of one set", 8 * REMUS_PAGE_SIZE, RAM_BYTES, COMPRESSION_FAST,
	  false, 1 },
	{ "overflow", RAM_BYTES, 20 * REMUS_PAGE_SIZE, COMPRESSION_FAST,
	  false, 1 },
	{ "overflow always", RAM_BYTES / 3, 0, COMPRESSION_FAST, false, 1 },
	{ "no compression", RAM_BYTES, RAM_BYTES, COMPRESSION_OFF, false, 1 },
	{ "compression on and off", RAM_BYTES / 2, 50 * REMUS_PAGE_SIZE,
	  COMPRESSION_FAST, true, 1 },
	{ "tight", RAM_BYTES, RAM_BYTES, COMPRESSION_TIGHT, false, 1 },
	{ "tight, cache smaller, overflow", RAM_BYTES / 4,
	  20 * REMUS_PAGE_SIZE, COMPRESSION_TIGHT, false, 1 },
	{ "auto", RAM_BYTES / 2, RAM_BYTES, COMPRESSION_AUTO, false, 1 },
	{ "two threads", RAM_BYTES, RAM_BYTES, COMPRESSION_TIGHT, false, 2 },
	{ "four threads, cache smaller, overflow", RAM_BYTES / 4,
	  200 * REMUS_PAGE_SIZE, COMPRESSION_TIGHT, false, 4 },
	{ "two threads, fast", RAM_BYTES / 4, RAM_BYTES, COMPRESSION_FAST,
	  false, 2 },
	{ "three threads, compression on and off", RAM_BYTES, RAM_BYTES,
	  COMPRESSION_AUTO, true, 3 },
};

static bool packed_enough(const struct world *w, size_t kind)
{
	return kinds_of_world[kind].compression < COMPRESSION_TIGHT ||
	       w->packed > 10;
}

static void run_history(size_t kind, uint64_t seed, unsigned int loss_in)
{
	struct world *w = world_of_threads(kinds_of_world[kind].threads, seed,
					   kinds_of_world[kind].cache_bytes,
					   kinds_of_world[kind].capture_bytes,
					   kinds_of_world[kind].compression);
	struct sender_stats st;

	w->never_packed = !kinds_of_world[kind].toggle &&
			  (kinds_of_world[kind].compression ==
				   COMPRESSION_OFF ||
			   kinds_of_world[kind].compression ==
				   COMPRESSION_FAST);
	connect_link(w);
	/* How much is done in a step is the threads' matter: where they get
	 * little of the processor, it takes more steps. */
	for (int i = 0; i < 6000 || (i < 600000 && !packed_enough(w, kind));
	     i++) {
		one_step(w, loss_in);
		if (kinds_of_world[kind].toggle && rnd(w, 100) == 0)
			sender_set_compression(w->sender,
					       (enum compression)rnd(w, 4));
	}
	if (!w->up)
		connect_link(w);
	final_epoch(w);
	sender_stats(w->sender, &st);
	assert_true(w->commits > 1);
	assert_true(w->conn.refused > 0 || kinds_of_world[kind].threads > 1);
	assert_true(packed_enough(w, kind));
	assert_true(st.bytes_sent > 0 && st.live_bytes_raw >= RAM_BYTES);
	if (kinds_of_world[kind].capture_bytes == 0)
		assert_true(w->overflows > 0);
	if (loss_in != 0)
		assert_true(w->losses > 0);
	world_free(w);
}

/* Fewer under valgrind: it takes 50 times as long. */
static uint64_t seeds(void)
{
	return getenv("REMUS_VALGRIND") == NULL ? 2 : 1;
}

static void the_image_is_the_memory_at_each_end(void **state)
{
	(void)state;
	if (getenv("REMUS_VALGRIND") != NULL)
		skip();
	for (size_t k = 0; k < ARRAY_LEN(kinds_of_world); k++)
		for (uint64_t seed = 1; seed <= seeds(); seed++)
			run_history(k, seed * 1000 + k, 0);
}

static void and_so_when_the_link_is_lost_again_and_again(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds_of_world);
	     k += seeds() == 2 ? 1 : 3)
		for (uint64_t seed = 1; seed <= seeds(); seed++)
			run_history(k, seed * 7777 + k, 700);
}

/* Checkpoints until it is `want`; 1000 when it never was. */
static unsigned int until_it_is(struct world *w, enum compression want)
{
	struct sender_stats st;

	for (unsigned int n = 0; n < 1000; n++) {
		sender_stats(w->sender, &st);
		if (st.compression == want)
			return n;
		guest_writes(w);
		capture(w);
		settle(w);
	}
	return 1000;
}

/* What is waited for, it tries to make shorter; in vain, with this backup. */
static void auto_goes_by_the_acknowledgement(void **state)
{
	struct world *w = world_new(4, RAM_BYTES, RAM_BYTES, COMPRESSION_AUTO);

	(void)state;
	connect_link(w);
	settle(w);
	w->backup_us = 4000;
	/* The first sync filled the connection's queue. */
	assert_in_range(until_it_is(w, COMPRESSION_FAST), COMPRESSION_CALM - 1,
			999);
	assert_in_range(until_it_is(w, COMPRESSION_TIGHT), COMPRESSION_CALM - 1,
			999);
	assert_in_range(until_it_is(w, COMPRESSION_FAST), COMPRESSION_TRIAL,
			999);
	/* One that is not the last capture's tells nothing. */
	sender_acked(w->sender, 0);
	sender_acked(w->sender, w->committed + 1);
	final_epoch(w);
	world_free(w);
}

static void most_reconnections_need_no_full_sync(void **state)
{
	struct world *w = world_new(5, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);
	struct sender_stats before, after;

	(void)state;
	connect_link(w);
	final_epoch(w);
	lose_link(w);
	guest_writes(w);
	sender_stats(w->sender, &before);
	connect_link(w);
	assert_int_equal(w->partial, 1);
	final_epoch(w);
	sender_stats(w->sender, &after);
	assert_true(after.live_bytes_raw - before.live_bytes_raw <
		    RAM_BYTES / 2);
	world_free(w);
}

/* S5: the backup's page is not what the sender believes. */
static void other_old_pages_are_found_by_the_digest(void **state)
{
	(void)state;
	for (int device = 0; device <= 1; device++) {
		struct world *w = world_new(9, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);
		const void *was;
		size_t bytes;

		connect_link(w);
		final_epoch(w);
		w->device_bytes = 8192;
		final_epoch(w);
		w->may_mismatch = true;
		if (device) {
			was = receiver_device_state(w->receiver, &bytes);
			((uint8_t *)(uintptr_t)was)[5000] ^= 1;
			w->device[4000] ^= 1;
			w->device[5001] ^= 1;
		} else {
			w->image[3 * REMUS_PAGE_SIZE + 100] ^= 1;
			w->ram[3 * REMUS_PAGE_SIZE + 7] ^= 1;
			page_bitmap_set(&w->dirty, 3);
		}
		capture(w);
		for (int i = 0; i < 1000 && w->mismatches == 0; i++) {
			fake_turn();
			room(w);
			deliver(w);
		}
		assert_int_equal(w->mismatches, 1);
		/* And a full sync makes it right again. */
		w->may_mismatch = false;
		connect_link(w);
		final_epoch(w);
		assert_int_equal(w->partial, 0);
		world_free(w);
	}
}

/* Queue exactly full when the next small frame comes: it waits for room. */
static void begin_and_end_wait_for_room(void **state)
{
	struct world *w = world_new(3, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);
	struct inflight_slot *s;

	(void)state;
	connect_link(w);
	final_epoch(w);

	w->conn.refuse_sends = true; /* BEGIN */
	guest_writes(w);
	capture(w);
	s = inflight_find(&w->inflight, w->sending_epoch);
	assert_non_null(s);
	assert_true(sender_is_open(w->sender));
	assert_int_equal(w->conn.used, 0);
	fake_turn();
	assert_int_equal(w->conn.used, 0); /* no page before BEGIN */
	assert_true(w->conn.room_wanted);

	w->conn.refuse_sends = false;
	sender_room(w->sender);
	w->conn.max = w->conn.used + 40; /* BEGIN goes, the pages do not */
	fake_turn();
	assert_false(s->sent);
	w->conn.max = sizeof(w->conn.queue);
	w->conn.refuse_sends = false;
	sender_room(w->sender);
	w->conn.on_reserve = NULL;
	changing = NULL;
	/* pages and device state go, END does not */
	assert_true(w->sending);
	w->conn.refuse_sends = false;
	for (int i = 0; i < 50 && !s->sent; i++) {
		w->conn.refuse_sends = i < 40;
		sender_room(w->sender);
		fake_turn();
		assert_true(i >= 40 || sender_is_open(w->sender));
	}
	assert_true(s->sent);
	settle(w);
	assert_true(memcmp(w->image, w->ram, RAM_BYTES) == 0);
	world_free(w);
}

static void pages_leave_room_for_small_frames(void **state)
{
	struct world *w = world_new(3, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);

	(void)state;
	connect_link(w);
	for (int i = 0; i < 200; i++)
		fake_turn();
	assert_true(w->conn.room_wanted); /* pages fill it no more ... */
	assert_true(w->conn.max - w->conn.used >= 4 * WIRE_SMALL_MAX);
	settle(w);
	world_free(w);
}

/* No more than a slice of pages in one turn, whatever the room. */
static void a_turn_sends_no_more_than_a_slice(void **state)
{
	struct world *w = world_new(3, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);
	uint64_t left;

	(void)state;
	w->conn.max = sizeof(w->conn.queue);
	memset(w->ram, 0, RAM_BYTES); /* small records */
	connect_link(w);
	w->conn.on_reserve = NULL;
	changing = NULL;
	left = page_bitmap_count(&w->todo);
	assert_int_equal(left, NPAGES);
	assert_true(fake_turn());
	assert_int_equal(page_bitmap_count(&w->todo),
			 NPAGES - SENDER_SLICE_PAGES);
	assert_true(fake_turn());
	assert_int_equal(page_bitmap_count(&w->todo),
			 NPAGES - 2 * SENDER_SLICE_PAGES);
	settle(w);
	world_free(w);
}

static void given_up_is_given_up_without_an_event(void **state)
{
	struct world *w = world_new(3, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);

	(void)state;
	connect_link(w);
	fake_turn();
	lose_link(w); /* asserts that no turn does anything */
	assert_int_equal(w->passes, 1);
	/* Without a connection nothing starts, and nothing is left over for
	 * the next one. */
	sender_live(w->sender, &w->todo);
	sender_capture(w->sender, &w->capture);
	assert_false(fake_turn());
	w->conn.used = 0;
	sender_set_conn(w->sender, &w->conn, WIRE_CAPABILITIES);
	sender_room(w->sender);
	assert_false(fake_turn());
	assert_int_equal(w->conn.used, 0);
	connect_link(w);
	final_epoch(w);
	world_free(w);
}

static void a_loop_that_takes_no_job_is_tried_again(void **state)
{
	struct world *w = world_new(3, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);

	(void)state;
	fake_soon_rc = -ENOMEM;
	connect_link(w);
	fake_soon_rc = 0;
	assert_false(fake_turn());
	assert_true(w->conn.room_wanted);
	final_epoch(w);
	world_free(w);
}

static void all_that_is_sent_is_counted(void **state)
{
	struct world *w = world_new(3, RAM_BYTES, RAM_BYTES, COMPRESSION_FAST);
	struct sender_stats st;
	uint64_t captured = 0, wire = 0;
	const uint8_t *payload;
	struct wire_header h;

	(void)state;
	w->conn.max = sizeof(w->conn.queue);
	connect_link(w);
	final_epoch(w);
	sender_stats(w->sender, &st);
	for (int i = 0; i < 50; i++)
		guest_writes(w);
	captured = st.bytes_raw + page_bitmap_count(&w->dirty) *
					  REMUS_PAGE_SIZE;
	wire = st.bytes_sent;
	capture(w);
	while (fake_turn())
		;
	while (fake_peek(&w->conn, &h, &payload)) {
		wire += WIRE_HEADER_BYTES + h.payload_bytes;
		deliver(w);
	}
	sender_stats(w->sender, &st);
	assert_int_equal(st.bytes_raw, captured);
	assert_int_equal(st.bytes_sent, wire);
	assert_true(st.cache_bytes >= RAM_BYTES);
	world_free(w);
}

/* ---- several threads ---- */

/* Full sync and four epochs, each byte of it. */
static struct world *run_kept(unsigned int threads, uint64_t cache_bytes)
{
	struct world *w = world_of_threads(threads, 11, cache_bytes, RAM_BYTES,
					   COMPRESSION_TIGHT);

	w->still = w->keep = true;
	w->conn.max = sizeof(w->conn.queue);
	connect_link(w);
	final_epoch(w);
	for (int epoch = 0; epoch < 4; epoch++) {
		for (int i = 0; i < 100 << epoch; i++)
			guest_writes(w);
		final_epoch(w);
	}
	assert_int_equal(w->conn.refused, 0);
	return w;
}

static void every_number_of_threads_makes_the_same_bytes(void **state)
{
	static const unsigned int threads[] = { 3, 4, 16 };
	static const uint64_t cache_bytes[] = { RAM_BYTES, RAM_BYTES / 3 };

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cache_bytes); c++) {
		struct world *w = run_kept(2, cache_bytes[c]);
		uint8_t *kept = w->kept;
		size_t bytes = w->kept_bytes;
		uint64_t packed = w->packed;

		assert_true(packed >= 5);
		w->kept = NULL;
		world_free(w);
		for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
			w = run_kept(threads[i], cache_bytes[c]);
			assert_int_equal(w->kept_bytes, bytes);
			assert_memory_equal(w->kept, kept, bytes);
			world_free(w);
		}
		free(kept);
		/* by itself: the same pages, more of them in a payload */
		w = run_kept(1, cache_bytes[c]);
		assert_in_range(w->packed, 5, packed - 1);
		world_free(w);
	}
}

/* The first payload that another thread takes is not packed before two others
 * are.  With a time limit, so that it is a failure and no hang. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool taken, late;
	unsigned int packed;
} held = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .changed = PTHREAD_COND_INITIALIZER };

static void wait_changed(void)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 30;
	if (pthread_cond_timedwait(&held.changed, &held.lock, &limit) != 0)
		held.late = true;
}

static void hold_the_first(bool in_loops_thread)
{
	pthread_mutex_lock(&held.lock);
	if (in_loops_thread) {
		while (!held.taken && !held.late)
			wait_changed();
	} else if (!held.taken) {
		unsigned int until = held.packed + 2;

		held.taken = true;
		pthread_cond_broadcast(&held.changed);
		while (held.packed < until && !held.late)
			wait_changed();
	}
	pthread_mutex_unlock(&held.lock);
}

static void count_packed(void)
{
	pthread_mutex_lock(&held.lock);
	held.packed++;
	pthread_cond_broadcast(&held.changed);
	pthread_mutex_unlock(&held.lock);
}

static void what_is_packed_first_does_not_overtake(void **state)
{
	(void)state;
	for (unsigned int threads = 2; threads <= 4; threads++) {
		struct world *w = world_of_threads(threads, 13, RAM_BYTES,
						   RAM_BYTES,
						   COMPRESSION_TIGHT);

		held.taken = held.late = false;
		fill(w, w->ram, RAM_BYTES); /* nine payloads */
		before_packing = hold_the_first;
		after_packing = count_packed;
		w->still = true;
		connect_link(w);
		/* gfns ascend over all frames of a pass: the receiver minds
		 * no order, but the digest would not be right */
		final_epoch(w);
		assert_true(held.taken && !held.late);
		world_free(w);
	}
}

/* Pages whose records are as long as they are, and that can be packed. */
static void fill_all(struct world *w)
{
	for (gfn_t g = 0; g < NPAGES; g++) {
		uint8_t *page = w->ram + g * REMUS_PAGE_SIZE;

		fill(w, page, REMUS_PAGE_SIZE / 2);
		memcpy(page + REMUS_PAGE_SIZE / 2, page, REMUS_PAGE_SIZE / 2);
	}
	page_bitmap_set_all(&w->dirty);
}

/* So that what waits for the threads is waiting by then. */
static pthread_t open_gate_soon(void)
{
	static const useconds_t ms = 20;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, open_gate, (void *)&ms), 0);
	return t;
}

/* A live pass, with all that it has sent in the hands of the threads. */
static struct world *world_in_the_middle(void)
{
	struct world *w = world_of_threads(3, 3, RAM_BYTES, RAM_BYTES,
					   COMPRESSION_TIGHT);

	fill_all(w);
	gate_open = false;
	before_packing = at_the_gate;
	connect_link(w);
	assert_true(fake_turn());
	assert_int_equal(page_bitmap_count(&w->todo),
			 NPAGES - SENDER_SLICE_PAGES);
	assert_true(w->conn.used < WIRE_SMALL_MAX); /* BEGIN */
	return w;
}

static void what_the_threads_have_does_not_reach_the_next_link(void **state)
{
	struct world *w = world_in_the_middle();
	pthread_t opener = open_gate_soon();

	(void)state;
	lose_link(w);
	pthread_join(opener, NULL);
	w->conn.used = 0;
	sender_set_conn(w->sender, &w->conn, WIRE_CAPABILITIES);
	sender_room(w->sender);
	for (int i = 0; i < 10; i++)
		fake_turn_ms(10);
	assert_int_equal(w->conn.used, 0);
	lose_link(w);
	connect_link(w);
	final_epoch(w);
	world_free(w);
}

static void a_capture_is_given_up_as_well(void **state)
{
	struct world *w = world_of_threads(2, 3, RAM_BYTES, RAM_BYTES,
					   COMPRESSION_TIGHT);
	pthread_t opener;

	(void)state;
	connect_link(w);
	final_epoch(w);
	fill_all(w);
	gate_open = false;
	before_packing = at_the_gate;
	capture(w);
	fake_turn();
	assert_true(w->sending);
	opener = open_gate_soon();
	/* and what it is read from is gone */
	lose_link(w);
	pthread_join(opener, NULL);
	capture_free(&w->capture);
	assert_int_equal(capture_init(&w->capture, w->ram, NPAGES, RAM_BYTES),
			 0);
	connect_link(w);
	final_epoch(w);
	world_free(w);
}

static void a_sender_can_be_freed_in_the_middle(void **state)
{
	struct world *w = world_in_the_middle();
	pthread_t opener = open_gate_soon();

	(void)state;
	world_free(w);
	pthread_join(opener, NULL);
	changing = NULL;
}

static void a_capture_is_digested_apart(void **state)
{
	struct world *w = world_of_threads(2, 3, RAM_BYTES, RAM_BYTES,
					   COMPRESSION_FAST);

	(void)state;
	connect_link(w);
	final_epoch(w);
	page_bitmap_set_all(&w->dirty);
	digested_apart = 0;
	capture(w);
	while (digested_apart == 0)
		usleep(100);
	final_epoch(w);
	/* But never from the guest's own memory. */
	capture_free(&w->capture);
	assert_int_equal(capture_init(&w->capture, w->ram, NPAGES, 0), 0);
	page_bitmap_set_all(&w->dirty);
	digested_apart = 0;
	capture(w);
	assert_true(w->held);
	settle(w);
	assert_int_equal(digested_apart, 0);
	world_free(w);
}

/* It is in use until the last of it is sent, and then no more. */
static void packed_payloads_survive_a_change_to_fast(void **state)
{
	struct world *w = world_in_the_middle();

	(void)state;
	sender_set_compression(w->sender, COMPRESSION_FAST);
	gate_open = true;
	final_epoch(w);
	assert_true(w->packed > 0);
	world_free(w);
}

static void without_more_threads_one_does_it_all(void **state)
{
	struct sender_stats st;
	struct world *w;

	(void)state;
	no_threads = true;
	w = world_of_threads(2, 3, RAM_BYTES, RAM_BYTES, COMPRESSION_TIGHT);
	no_threads = false;
	sender_stats(w->sender, &st);
	assert_int_equal(st.threads, 1);
	connect_link(w);
	final_epoch(w);
	world_free(w);
	w = world_of_threads(2, 3, RAM_BYTES, RAM_BYTES, COMPRESSION_TIGHT);
	sender_stats(w->sender, &st);
	assert_int_equal(st.threads, 2);
	world_free(w);
}

static void parameters_that_cannot_be_are_refused(void **state)
{
	struct sender_params p = { .npages = 100, .cache_bytes = 1,
				   .events = &events };
	struct sender *s = NULL;

	(void)state;
	assert_true(sender_new(&s, &p) < 0);
	p.npages = 0;
	assert_true(sender_new(&s, &p) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_image_is_the_memory_at_each_end),
		cmocka_unit_test(and_so_when_the_link_is_lost_again_and_again),
		cmocka_unit_test(auto_goes_by_the_acknowledgement),
		cmocka_unit_test(most_reconnections_need_no_full_sync),
		cmocka_unit_test(other_old_pages_are_found_by_the_digest),
		cmocka_unit_test(begin_and_end_wait_for_room),
		cmocka_unit_test(pages_leave_room_for_small_frames),
		cmocka_unit_test(a_turn_sends_no_more_than_a_slice),
		cmocka_unit_test(given_up_is_given_up_without_an_event),
		cmocka_unit_test(a_loop_that_takes_no_job_is_tried_again),
		cmocka_unit_test(all_that_is_sent_is_counted),
		cmocka_unit_test(every_number_of_threads_makes_the_same_bytes),
		cmocka_unit_test(what_is_packed_first_does_not_overtake),
		cmocka_unit_test(what_the_threads_have_does_not_reach_the_next_link),
		cmocka_unit_test(a_capture_is_given_up_as_well),
		cmocka_unit_test(a_sender_can_be_freed_in_the_middle),
		cmocka_unit_test(a_capture_is_digested_apart),
		cmocka_unit_test(packed_payloads_survive_a_change_to_fast),
		cmocka_unit_test(without_more_threads_one_does_it_all),
		cmocka_unit_test(parameters_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
