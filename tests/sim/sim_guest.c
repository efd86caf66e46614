/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim_guest.c - driver.h with a model of a guest behind it.
 *
 * A burst of instructions writes some pages, makes a new state (sim_gate.c) and
 * sends frames that carry it.  Page 0 says which state the memory is in, and
 * carries a sum over all other pages: so whoever is handed the memory can tell
 * whether it is exactly that state, or torn.  While there is no guest the
 * memory cannot be touched at all.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "gate_fake.h"
#include "sim.h"
#include "util.h"

#define MAGIC 0x6d6f64656c677565u
#define DEVICE_HEAD sizeof(struct head)

enum guest_phase {
	G_EMPTY = 0,
	G_BOOTING,
	G_PREPARING,
	G_STANDBY,
	G_LOADING,
	G_RUNNING,
	G_SUSPENDING,
	G_SAVING, /* suspended, the device state is being saved */
	G_SUSPENDED,
	G_RESUMING,
};

/* At the beginning of page 0, and of the device state. */
struct head {
	uint64_t magic, state, sum, check;
};

struct driver {
	struct node *n;
	const struct driver_events *ev;
	void *ctx;
	enum guest_phase phase;
	uint64_t call; /* answers to older calls do not come any more */
	bool dying, runs, tracking;
	uint8_t *ram;
	struct head head;
	struct page_bitmap dirty;
	uint8_t *device;
	uint64_t next_burst;
};

static uint8_t *memory[2];
static size_t memory_bytes[2];

/* ---- memory ---- */

static void memory_open(struct driver *d, bool garbage)
{
	size_t bytes = world.k.npages * REMUS_PAGE_SIZE;

	mprotect(d->ram, bytes, PROT_READ | PROT_WRITE);
	/* What stood there before must not matter to anybody. */
	memset(d->ram, garbage ? 0xa5 : 0, bytes);
}

static void memory_shut(struct driver *d)
{
	mprotect(d->ram, memory_bytes[d->n->id], PROT_NONE);
}

static uint64_t page_sum(const struct driver *d, gfn_t gfn)
{
	return XXH3_64bits_withSeed(d->ram + gfn * REMUS_PAGE_SIZE,
				    REMUS_PAGE_SIZE, gfn);
}

static uint64_t head_check(const struct head *h)
{
	return XXH3_64bits(h, offsetof(struct head, check));
}

static uint64_t all_sums(const struct driver *d)
{
	uint64_t sum = 0;

	for (gfn_t g = 1; g < world.k.npages; g++)
		sum ^= page_sum(d, g);
	return sum;
}

static void mark_dirty(struct driver *d, gfn_t gfn)
{
	if (d->tracking)
		page_bitmap_set(&d->dirty, gfn);
}

static void write_head(struct driver *d)
{
	d->head.magic = MAGIC;
	d->head.check = head_check(&d->head);
	memcpy(d->ram, &d->head, sizeof(d->head));
	mark_dirty(d, 0);
}

static void scribble(uint8_t *page)
{
	uint64_t *w = (uint64_t *)page;
	uint64_t from = rnd(512), count = rnd_in(1, one_in(3) ? 512 : 8);

	if (one_in(12)) {
		memset(page, 0, REMUS_PAGE_SIZE);
		return;
	}
	if (one_in(12))
		return; /* written, and the same as before */
	for (uint64_t i = from; i < 512 && i < from + count; i++)
		w[i] = mix64(world.rng + i);
}

static void write_page(struct driver *d)
{
	uint64_t others = world.k.npages - 1;
	gfn_t gfn = 1 + rnd(one_in(4) || others < 12 ? others : 12);

	d->head.sum ^= page_sum(d, gfn);
	scribble(d->ram + gfn * REMUS_PAGE_SIZE);
	d->head.sum ^= page_sum(d, gfn);
	mark_dirty(d, gfn);
}

/* ---- running ---- */

static void burst(void *data, uint64_t which);

static void plan_burst(struct driver *d)
{
	/* The guest runs on while its remusd is frozen. */
	world_at(rnd_delay(world.k.burst_ns), NULL, burst, d->n,
		 ++d->next_burst | (uint64_t)d->n->life << 32);
}

static void burst(void *data, uint64_t which)
{
	struct node *n = data;
	struct driver *d = n->driver;

	if (n->vm == NULL || n->crashed || d == NULL || !d->runs ||
	    which != (d->next_burst | (uint64_t)n->life << 32))
		return;
	for (uint64_t i = rnd(world.k.pages_per_burst + 1); i > 0; i--)
		write_page(d);
	d->head.state = state_new(d->head.state);
	write_head(d);
	for (uint64_t i = rnd(3); i > 0; i--)
		guest_sends(n, d->head.state);
	plan_burst(d);
}

static void guest_goes(struct driver *d)
{
	d->runs = true;
	plan_burst(d);
}

bool guest_runs(const struct node *n)
{
	return n->vm != NULL && n->driver != NULL &&
	       n->driver->phase >= G_LOADING;
}

/* Is this memory, with this device state, one state of one guest? */
static bool whole(const struct driver *d, const void *device, size_t bytes,
		  struct head *h)
{
	struct head dev;

	memcpy(h, d->ram, sizeof(*h));
	if (h->magic != MAGIC || h->check != head_check(h)) {
		violate("S2: page 0 of %s is torn", d->n->name);
		return false;
	}
	if (h->sum != all_sums(d)) {
		violate("S2: the memory of %s is not that of state %llu",
			d->n->name, (unsigned long long)h->state);
		return false;
	}
	if (bytes < sizeof(dev)) {
		violate("S2: %s was given %zu bytes of device state",
			d->n->name, bytes);
		return false;
	}
	memcpy(&dev, device, sizeof(dev));
	if (dev.check != head_check(&dev) || dev.state != h->state ||
	    dev.sum != XXH3_64bits((const uint8_t *)device + sizeof(dev),
				   bytes - sizeof(dev))) {
		violate("S2: %s: device state of %llu with memory of %llu",
			d->n->name, (unsigned long long)dev.state,
			(unsigned long long)h->state);
		return false;
	}
	return true;
}

/* ---- answers ---- */

static void answer(void *data, uint64_t call);

static void answer_later(struct driver *d)
{
	world_at(rnd_delay(world.k.driver_ns), d->n, answer, d, d->call);
}

static bool fails(void)
{
	return world.faults && one_in(world.k.driver_fails);
}

static void become_empty(struct driver *d)
{
	d->phase = G_EMPTY;
	d->call++;
	d->runs = d->tracking = d->dying = false;
	memory_shut(d);
}

static void answer_start(struct driver *d)
{
	bool standby = d->phase == G_PREPARING;
	void (*done)(void *, int, const char *) =
		standby ? d->ev->standby : d->ev->running;

	if (fails()) {
		become_empty(d);
		done(d->ctx, -EIO, "the model did not start");
		return;
	}
	d->phase = standby ? G_STANDBY : G_RUNNING;
	done(d->ctx, 0, "");
}

static void answer_suspend(struct driver *d)
{
	if (fails()) {
		d->phase = G_RUNNING;
		d->ev->suspended(d->ctx, -EIO, "the model did not suspend");
		return;
	}
	d->phase = G_SAVING;
	d->runs = false;
	answer_later(d);
	d->ev->suspended(d->ctx, 0, "");
}

static void answer_save(struct driver *d)
{
	size_t bytes = DEVICE_HEAD + rnd(one_in(4) ? 6000 : 100);
	struct head h = d->head;

	if (world.k.conn_queue > 1 << 20 && one_in(50))
		bytes += 200000; /* more than one frame */
	if (fails()) {
		d->phase = G_RUNNING;
		guest_goes(d);
		d->ev->device_state(d->ctx, -EIO, NULL, 0, "not saved");
		return;
	}
	d->device = realloc(d->device, bytes);
	if (d->device == NULL)
		abort();
	memset(d->device, (int)rnd(256), bytes);
	h.sum = XXH3_64bits(d->device + DEVICE_HEAD, bytes - DEVICE_HEAD);
	h.check = head_check(&h);
	memcpy(d->device, &h, sizeof(h));
	d->phase = G_SUSPENDED;
	d->ev->device_state(d->ctx, 0, d->device, bytes, "");
}

static void answer_resume(struct driver *d)
{
	if (fails() && one_in(10)) {
		d->phase = G_SUSPENDED;
		d->runs = false;
		d->ev->resumed(d->ctx, -EIO, "the model did not resume");
		return;
	}
	d->phase = G_RUNNING;
	d->ev->resumed(d->ctx, 0, "");
}

static void answer(void *data, uint64_t call)
{
	struct driver *d = data;

	if (call != d->call)
		return;
	if (d->dying) {
		become_empty(d);
		d->ev->gone(d->ctx, 1, "");
		return;
	}
	switch (d->phase) {
	case G_BOOTING:
	case G_PREPARING:
	case G_LOADING: answer_start(d); break;
	case G_SUSPENDING: answer_suspend(d); break;
	case G_SAVING: answer_save(d); break;
	case G_RESUMING: answer_resume(d); break;
	default: break;
	}
}

/* Dies by itself: the answer that is outstanding says so, or gone() does. */
void guest_crash(struct node *n)
{
	struct driver *d = n->driver;
	enum guest_phase was = d->phase;

	if (was == G_EMPTY || d->dying)
		return;
	say("%s: the guest dies by itself", n->name);
	become_empty(d);
	if (was == G_PREPARING)
		d->ev->standby(d->ctx, -EIO, "died");
	else if (was == G_BOOTING || was == G_LOADING)
		d->ev->running(d->ctx, -EIO, "died");
	else
		d->ev->gone(d->ctx, 0, "died");
}

/* ---- driver_ops ---- */

static int sim_create(struct driver **out, const struct vm_config *cfg,
		      qb_loop_t *loop, const struct driver_events *ev,
		      void *ctx, char *err, size_t err_bytes)
{
	struct node *n = node_of_loop(loop);
	struct driver *d = calloc(1, sizeof(*d));
	size_t bytes = cfg->memory_bytes;

	(void)err;
	(void)err_bytes;
	if (d == NULL || page_bitmap_init(&d->dirty, world.k.npages) < 0)
		abort();
	if (memory_bytes[n->id] < bytes) {
		if (memory[n->id] != NULL)
			munmap(memory[n->id], memory_bytes[n->id]);
		memory[n->id] = mmap(NULL, bytes, PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory[n->id] == MAP_FAILED)
			abort();
		memory_bytes[n->id] = bytes;
	}
	d->n = n;
	d->ev = ev;
	d->ctx = ctx;
	d->ram = memory[n->id];
	n->driver = d;
	*out = d;
	return 0;
}

static void expect(const struct driver *d, bool ok, const char *call)
{
	if (!ok)
		violate("driver: %s in phase %d on %s", call, d->phase,
			d->n->name);
}

static int sim_boot(struct driver *d, int net_fd, char *err, size_t err_bytes)
{
	(void)net_fd;
	if (!effect(d->n))
		return 0;
	expect(d, d->phase == G_EMPTY, "boot");
	if (fails())
		return set_err(err, err_bytes, -EIO, "no boot today");
	memory_open(d, false);
	memset(&d->head, 0, sizeof(d->head));
	d->head.sum = all_sums(d);
	d->head.state = state_new(0);
	write_head(d);
	outside_boot(d->head.state);
	world.n->boots++;
	d->phase = G_BOOTING;
	d->call++;
	answer_later(d);
	guest_goes(d);
	return 0;
}

static int sim_standby(struct driver *d, int net_fd, char *err,
		       size_t err_bytes)
{
	(void)net_fd;
	if (!effect(d->n))
		return 0;
	expect(d, d->phase == G_EMPTY, "standby");
	if (fails())
		return set_err(err, err_bytes, -EIO, "no standby today");
	memory_open(d, true);
	d->phase = G_PREPARING;
	d->call++;
	answer_later(d);
	return 0;
}

static uint8_t *sim_ram(struct driver *d)
{
	return d->phase == G_EMPTY ? NULL : d->ram;
}

static uint64_t sim_npages(struct driver *d)
{
	(void)d;
	return world.k.npages;
}

static int sim_track_start(struct driver *d, char *err, size_t err_bytes)
{
	if (fails())
		return set_err(err, err_bytes, -EIO, "no tracking today");
	page_bitmap_clear_all(&d->dirty);
	d->tracking = true;
	return 0;
}

static int sim_collect(struct driver *d, struct page_bitmap *dirty)
{
	expect(d, d->tracking, "collect");
	if (fails())
		return -EIO;
	page_bitmap_or(dirty, &d->dirty);
	page_bitmap_clear_all(&d->dirty);
	for (uint64_t i = rnd(world.k.false_dirty + 1); i > 0; i--)
		page_bitmap_set(dirty, rnd(world.k.npages));
	return 0;
}

static const char *sim_tracker_name(struct driver *d)
{
	return d->tracking ? "exact" : "none";
}

static int sim_suspend(struct driver *d)
{
	if (!effect(d->n))
		return 0;
	expect(d, d->phase == G_RUNNING, "suspend");
	if (fails())
		return -EIO;
	d->phase = G_SUSPENDING;
	d->call++;
	answer_later(d);
	return 0;
}

static int sim_resume(struct driver *d)
{
	if (!effect(d->n))
		return 0;
	expect(d, d->phase == G_SUSPENDED, "resume");
	d->phase = G_RESUMING;
	d->call++;
	guest_goes(d);
	answer_later(d);
	return 0;
}

static int sim_activate(struct driver *d, const void *device, size_t bytes,
			char *err, size_t err_bytes)
{
	struct head h;

	(void)err;
	(void)err_bytes;
	if (!effect(d->n))
		return 0;
	expect(d, d->phase == G_STANDBY, "activate");
	if (!whole(d, device, bytes, &h))
		return 0;
	d->head = h;
	outside_resume(d->n, h.state);
	world.n->failovers++;
	d->phase = G_LOADING;
	d->call++;
	answer_later(d);
	guest_goes(d);
	return 0;
}

static void sim_announce(struct driver *d)
{
	(void)d;
}

static void power_off(void *data, uint64_t life)
{
	struct node *n = data;

	if (n->life == life)
		guest_crash(n);
}

/* It may not listen. */
static int sim_powerdown(struct driver *d)
{
	if (!effect(d->n) || one_in(4))
		return 0;
	if (fails())
		return -EIO;
	world_at(rnd(world.k.link_timeout_ms * 2 * MS), d->n, power_off, d->n,
		 d->n->life);
	return 0;
}

static void sim_kill(struct driver *d)
{
	if (!effect(d->n) || d->dying)
		return;
	if (d->phase >= G_RUNNING && d->n->vm->phase == VM_ENDING &&
	    !operator_gave_up(d->n))
		violate("liveness: %s ends its guest, which nobody else has: "
			"%s", d->n->name, d->n->vm->reason);
	d->dying = true; /* and until it is dead it may run */
	d->call++;
	answer_later(d);
}

static void sim_fingerprint(struct driver *d, uint8_t out[16])
{
	(void)d;
	memset(out, 7, 16);
}

static void sim_destroy(struct driver *d)
{
	memory_shut(d);
	page_bitmap_free(&d->dirty);
	free(d->device);
	d->n->driver = NULL;
	free(d);
}

const struct driver_ops sim_driver_ops = {
	.name = "fake",
	.create = sim_create,
	.boot = sim_boot,
	.standby = sim_standby,
	.ram = sim_ram,
	.npages = sim_npages,
	.track_start = sim_track_start,
	.collect = sim_collect,
	.tracker_name = sim_tracker_name,
	.suspend = sim_suspend,
	.resume = sim_resume,
	.activate = sim_activate,
	.announce = sim_announce,
	.powerdown = sim_powerdown,
	.kill = sim_kill,
	.fingerprint = sim_fingerprint,
	.destroy = sim_destroy,
};

void guests_free(void)
{
	for (int i = 0; i < 2; i++)
		if (memory[i] != NULL)
			munmap(memory[i], memory_bytes[i]);
}
