/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_driver.c - driver.h around the model of a guest: answers come late, and
 * now and then say no. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_guest.h"
#include "util.h"

bool guest_runs(const struct node *n)
{
	return n->vm != NULL && n->driver != NULL &&
	       n->driver->phase >= G_LOADING;
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
	guest_memory_shut(d);
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
	size_t bytes;

	if (fails()) {
		d->phase = G_RUNNING;
		guest_goes(d);
		d->ev->device_state(d->ctx, -EIO, NULL, 0, "not saved");
		return;
	}
	bytes = guest_save(d);
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

	(void)cfg;
	(void)err;
	(void)err_bytes;
	if (d == NULL || page_bitmap_init(&d->dirty, world.k.npages) < 0)
		abort();
	d->n = n;
	d->ev = ev;
	d->ctx = ctx;
	guest_memory_new(d);
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
	guest_memory_open(d, false);
	guest_boot(d);
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
	guest_memory_open(d, true);
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
	if (!guest_whole(d, device, bytes, &h))
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
	guest_memory_shut(d);
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
	.settled = driver_mapped_settled,
	.tracker_name = sim_tracker_name,
	.suspend = sim_suspend,
	.resume = sim_resume,
	.committed = driver_mapped_committed,
	.activate = sim_activate,
	.announce = sim_announce,
	.powerdown = sim_powerdown,
	.kill = sim_kill,
	.fingerprint = sim_fingerprint,
	.destroy = sim_destroy,
};
