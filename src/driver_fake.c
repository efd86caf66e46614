/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver_fake.c - a guest without a hypervisor, for tests and for measuring
 * remusd itself (driver = fake).
 *
 * It lives in remusd: four times in a checkpoint interval it counts, writes the
 * count into BURST_PAGES pages of its memory, and sends a frame with the count;
 * so that a hundred of them with a long interval leave a machine idle.  Its device
 * state is the count; activate() refuses a memory that does not agree with it,
 * which is what a torn epoch would look like.
 */
#include "driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "loop.h"
#include "util.h"
#include "vm_config.h"

#define BURSTS_PER_INTERVAL 4
#define BURST_PAGES 16
#define FRAME_BYTES 64

enum fake_state { FAKE_EMPTY = 0, FAKE_STANDBY, FAKE_RUNNING, FAKE_SUSPENDED };

/* What is reported next. */
enum fake_answer {
	ANSWER_NONE = 0,
	ANSWER_RUNNING,
	ANSWER_STANDBY,
	ANSWER_SUSPENDED,
	ANSWER_DEVICE,
	ANSWER_RESUMED,
	ANSWER_GONE,
	ANSWER_OFF,
};

struct driver {
	const struct vm_config *cfg;
	qb_loop_t *loop;
	const struct driver_events *ev;
	void *ctx;
	enum fake_state state;
	enum fake_answer answer;
	struct loop_soon soon;
	int rc;
	const char *why;
	uint8_t *ram;
	uint64_t npages;
	uint64_t count;
	struct page_bitmap dirty;
	bool tracking;
	int net_fd;
	qb_loop_timer_handle timer;
	bool timer_armed;
};

static void on_answer(void *data);

static int answer_later(struct driver *d, enum fake_answer a)
{
	d->answer = a;
	d->rc = 0;
	d->why = "";
	return loop_soon(&d->soon);
}

static uint64_t *page_word(struct driver *d, uint64_t gfn)
{
	return (uint64_t *)(void *)(d->ram + gfn * REMUS_PAGE_SIZE);
}

static void write_count(struct driver *d, uint64_t gfn)
{
	uint64_t *w = page_word(d, gfn);

	w[0] = d->count;
	w[1 + d->count % 500] = d->count * 0x9e3779b97f4a7c15u;
	page_bitmap_set(&d->dirty, gfn);
}

static void send_frame(struct driver *d)
{
	/* broadcast, from a local address, ethertype "local experimental" */
	uint8_t frame[FRAME_BYTES] = { 255, 255, 255, 255, 255, 255, 2,
				       0,   0,	 0,   0,   1,	0x88, 0xb5 };

	memcpy(frame + 14, &d->count, sizeof(d->count));
	if (d->net_fd >= 0)
		send(d->net_fd, frame, sizeof(frame),
		     MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void run(struct driver *d);

static void on_burst(void *data)
{
	struct driver *d = data;

	d->timer_armed = false;
	d->count++;
	write_count(d, 0);
	for (uint64_t i = 1; i < BURST_PAGES && i < d->npages; i++)
		write_count(d, 1 + (d->count * 7 + i * 13) % (d->npages - 1));
	send_frame(d);
	run(d);
}

static void run(struct driver *d)
{
	uint64_t ns = (uint64_t)d->cfg->interval_ms * 1000000u /
		      BURSTS_PER_INTERVAL;

	d->state = FAKE_RUNNING;
	if (qb_loop_timer_add(d->loop, QB_LOOP_MED, ns, d, on_burst,
			      &d->timer) == 0)
		d->timer_armed = true;
}

static void halt(struct driver *d)
{
	if (d->timer_armed)
		qb_loop_timer_del(d->loop, d->timer);
	d->timer_armed = false;
}

static void empty(struct driver *d)
{
	halt(d);
	if (d->ram != NULL)
		munmap(d->ram, d->npages * REMUS_PAGE_SIZE);
	d->ram = NULL;
	page_bitmap_free(&d->dirty);
	d->state = FAKE_EMPTY;
	d->tracking = false;
	d->net_fd = -1;
}

static int fill(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	void *ram;

	if (d->state != FAKE_EMPTY)
		return set_err(err, err_bytes, -EBUSY, "a guest is there");
	ram = mmap(NULL, d->npages * REMUS_PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED)
		return set_err(err, err_bytes, -ENOMEM, "no memory");
	if (page_bitmap_init(&d->dirty, d->npages) < 0) {
		munmap(ram, d->npages * REMUS_PAGE_SIZE);
		return set_err(err, err_bytes, -ENOMEM, "no memory");
	}
	d->ram = ram;
	d->net_fd = net_fd;
	d->count = 0;
	return 0;
}

static void report(struct driver *d, enum fake_answer a)
{
	switch (a) {
	case ANSWER_RUNNING:
		if (d->rc == 0)
			run(d);
		d->ev->running(d->ctx, d->rc, d->why);
		break;
	case ANSWER_STANDBY:
		d->state = FAKE_STANDBY;
		d->ev->standby(d->ctx, 0, "");
		break;
	case ANSWER_SUSPENDED:
		/* The second answer comes from the loop too, before which
		 * the owner may have killed us. */
		answer_later(d, ANSWER_DEVICE);
		d->ev->suspended(d->ctx, 0, "");
		break;
	case ANSWER_DEVICE:
		d->ev->device_state(d->ctx, 0, &d->count, sizeof(d->count),
				    "");
		break;
	case ANSWER_RESUMED:
		run(d);
		d->ev->resumed(d->ctx, 0, "");
		break;
	case ANSWER_GONE: d->ev->gone(d->ctx, 1, ""); break;
	case ANSWER_OFF:
		empty(d);
		d->ev->gone(d->ctx, 0, "the guest powered down");
		break;
	case ANSWER_NONE: break;
	}
}

static void on_answer(void *data)
{
	struct driver *d = data;
	enum fake_answer a = d->answer;

	d->answer = ANSWER_NONE;
	report(d, a);
}

/* ---- ops ---- */

static int fake_create(struct driver **out, const struct vm_config *cfg,
		       qb_loop_t *loop, const struct driver_events *ev,
		       void *ctx, char *err, size_t err_bytes)
{
	struct driver *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	d->cfg = cfg;
	d->loop = loop;
	loop_soon_init(&d->soon, loop, on_answer, d);
	d->ev = ev;
	d->ctx = ctx;
	d->npages = cfg->memory_bytes / REMUS_PAGE_SIZE;
	d->net_fd = -1;
	*out = d;
	return 0;
}

static int fake_boot(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	int rc = fill(d, net_fd, err, err_bytes);

	return rc < 0 ? rc : answer_later(d, ANSWER_RUNNING);
}

static int fake_standby(struct driver *d, int net_fd, char *err,
			size_t err_bytes)
{
	int rc = fill(d, net_fd, err, err_bytes);

	return rc < 0 ? rc : answer_later(d, ANSWER_STANDBY);
}

static uint8_t *fake_ram(struct driver *d)
{
	return d->ram;
}

static uint64_t fake_npages(struct driver *d)
{
	return d->npages;
}

static int fake_track_start(struct driver *d, char *err, size_t err_bytes)
{
	(void)err;
	(void)err_bytes;
	page_bitmap_clear_all(&d->dirty);
	d->tracking = true;
	return 0;
}

static int fake_collect(struct driver *d, struct page_bitmap *dirty)
{
	if (!d->tracking)
		return -EINVAL;
	page_bitmap_or(dirty, &d->dirty);
	page_bitmap_clear_all(&d->dirty);
	return 0;
}

static const char *fake_tracker_name(struct driver *d)
{
	return d->tracking ? "fake" : "none";
}

static int fake_suspend(struct driver *d)
{
	if (d->state != FAKE_RUNNING)
		return -EINVAL;
	halt(d);
	d->state = FAKE_SUSPENDED;
	return answer_later(d, ANSWER_SUSPENDED);
}

static int fake_resume(struct driver *d)
{
	if (d->state != FAKE_SUSPENDED)
		return -EINVAL;
	return answer_later(d, ANSWER_RESUMED);
}

static int fake_activate(struct driver *d, const void *state, size_t bytes,
			 char *err, size_t err_bytes)
{
	uint64_t count;
	int rc;

	if (d->state != FAKE_STANDBY || bytes != sizeof(count))
		return set_err(err, err_bytes, -EINVAL, "nothing to activate");
	memcpy(&count, state, sizeof(count));
	rc = answer_later(d, ANSWER_RUNNING);
	if (rc < 0)
		return rc;
	if (*page_word(d, 0) != count) {
		d->rc = -EILSEQ;
		d->why = "memory and device state are of different epochs";
	}
	d->count = count;
	return 0;
}

static void fake_announce(struct driver *d)
{
	send_frame(d);
}

static int fake_powerdown(struct driver *d)
{
	if (d->state != FAKE_RUNNING && d->state != FAKE_SUSPENDED)
		return -EINVAL;
	return answer_later(d, ANSWER_OFF);
}

static void fake_kill(struct driver *d)
{
	empty(d);
	answer_later(d, ANSWER_GONE);
}

static void fake_fingerprint(struct driver *d, uint8_t out[16])
{
	memset(out, 0, 16);
	snprintf((char *)out, 16, "fake%" PRIu64, d->npages);
}

static void fake_destroy(struct driver *d)
{
	loop_soon_cancel(&d->soon);
	empty(d);
	free(d);
}

const struct driver_ops driver_fake_ops = {
	.name = "fake",
	.create = fake_create,
	.boot = fake_boot,
	.standby = fake_standby,
	.ram = fake_ram,
	.npages = fake_npages,
	.track_start = fake_track_start,
	.collect = fake_collect,
	.settled = driver_mapped_settled,
	.tracker_name = fake_tracker_name,
	.suspend = fake_suspend,
	.resume = fake_resume,
	.committed = driver_mapped_committed,
	.activate = fake_activate,
	.announce = fake_announce,
	.powerdown = fake_powerdown,
	.kill = fake_kill,
	.fingerprint = fake_fingerprint,
	.destroy = fake_destroy,
};
