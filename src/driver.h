/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.h - one hypervisor, as the epoch engine sees it.
 *
 *            boot()                    suspend()            resume()
 *   EMPTY ----------> RUNNING <-----------------> SUSPENDED --------.
 *     |                  ^  ^------------------------------------- -'
 *     | standby()        | activate()
 *     '-------> STANDBY -'                  any --kill()--> EMPTY
 *
 * All calls and all events happen on the qb_loop thread.  No call blocks: what
 * takes time ends in exactly one event, never from inside the call that began
 * it.  At most one of the calls that end in an event is outstanding, but for
 * kill(), which may come at any time and cancels the other (its event does not
 * come any more).  When the guest dies while suspend() or resume() is
 * outstanding, gone() is the one event; while boot(), standby() or activate()
 * is, it is that call's own event with rc < 0, without a gone(): the process
 * has been reaped and the driver is EMPTY.  rc in an event is 0 or -errno; `why` is one line for people,
 * "" when rc is 0.
 */
#ifndef REMUS_DRIVER_H
#define REMUS_DRIVER_H

#include <qb/qbloop.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct vm_config;

struct driver_events {
	/* boot() or activate() is done: the guest runs (rc 0), or does not,
	 * and never did (rc < 0). */
	void (*running)(void *ctx, int rc, const char *why);
	/* standby() is done: ram() is mapped and writable, activate() will be
	 * fast. */
	void (*standby)(void *ctx, int rc, const char *why);
	/* First answer to suspend(): no vCPU runs, nothing writes guest RAM and
	 * no new output appears until resume(). */
	void (*suspended)(void *ctx, int rc, const char *why);
	/* Second answer to suspend(), after suspended(rc 0): the device state
	 * that belongs to the RAM as it is now.  `data` is valid only during
	 * the call. */
	void (*device_state)(void *ctx, int rc, const void *data, size_t bytes,
			     const char *why);
	/* resume() is done. */
	void (*resumed)(void *ctx, int rc, const char *why);
	/* Of a driver whose guest's interface comes with the guest (boot() or
	 * activate() is under way): it is there now, and the guest does not run
	 * before this returns 0.  Else -errno with a line in `err`: it never
	 * does. */
	int (*interface)(void *ctx, const char *name, char *err,
			 size_t err_bytes);
	/* The guest is gone: after kill() (expected 1), or by itself: it
	 * powered off, crashed, or its process ended (expected 0).  Sent once;
	 * then the driver is EMPTY, and whoever it was runs no more: the
	 * process has been reaped. */
	void (*gone)(void *ctx, int expected, const char *why);
};

struct driver;

struct driver_ops {
	const char *name; /* "qemu", "xen", "fake" */

	/* 0, or -errno with a line in `err`.  `cfg` must outlive the driver.
	 * Starts nothing. */
	int (*create)(struct driver **out, const struct vm_config *cfg,
		      qb_loop_t *loop, const struct driver_events *ev,
		      void *ctx, char *err, size_t err_bytes);

	/* EMPTY: boot the guest from its configuration.  `net_fd` is the
	 * gate's guest_fd(), or -1; the driver takes no ownership.
	 * -> running().  0, or -errno with a line in `err` (then no event). */
	int (*boot)(struct driver *d, int net_fd, char *err, size_t err_bytes);

	/* EMPTY: get everything ready to take over.  -> standby().  If what
	 * was made ready dies before activate(), gone(expected 0) comes. */
	int (*standby)(struct driver *d, int net_fd, char *err,
		       size_t err_bytes);

	/* Guest RAM: npages() * REMUS_PAGE_SIZE bytes, page-aligned; valid
	 * from the running/standby event to gone.  Written by us only in
	 * STANDBY.  NULL when there is none.  Fetch it anew after each of these
	 * events; in RUNNING and SUSPENDED it may be a copy that track_start()
	 * and collect() bring up to date (tracker.h, view()), so copy pages
	 * only after a collect() reported them. */
	uint8_t *(*ram)(struct driver *d);
	uint64_t (*npages)(struct driver *d);

	/* RUNNING or SUSPENDED: begin dirty tracking; everything written
	 * before counts as unknown.  See tracker.h for the contract. */
	int (*track_start)(struct driver *d, char *err, size_t err_bytes);
	/* OR the pages written since track_start() or the last collect(). */
	int (*collect)(struct driver *d, struct page_bitmap *dirty);
	/* RUNNING, after track_start(): 1 when view and reports have caught up
	 * with the guest, so that a suspend() now is a short pause; 0: not yet,
	 * live passes are to go on; -errno with a line: no dirty tracking any
	 * more.  (Where the memory is mapped it is always 1; where it has to be
	 * copied, ram() is behind for a while, and pages that collect() has not
	 * reported are not there yet.) */
	int (*settled)(struct driver *d, char *err, size_t err_bytes);
	/* Name of the tracker in use; "none" before track_start(). */
	const char *(*tracker_name)(struct driver *d);

	/* RUNNING: stop the guest and save its device state.
	 * -> suspended(), then, if its rc was 0, -> device_state().  When
	 * either has rc < 0, the guest runs again or is gone. */
	int (*suspend)(struct driver *d);
	/* SUSPENDED, after device_state(): -> resumed(). */
	int (*resume)(struct driver *d);

	/* STANDBY: this epoch is what activate() would be asked for now: its
	 * device state (valid during the call), and the pages of ram() that may
	 * have changed since the driver cleared the bits, which it does with
	 * those it does not need to be told again.  For a driver that gets the
	 * guest ready while it waits.  Does not block; no event. */
	void (*committed)(struct driver *d, struct page_bitmap *changed,
			  const void *device_state, size_t bytes);

	/* STANDBY: run the guest from ram() and this device state (copied).
	 * -> running(). */
	int (*activate)(struct driver *d, const void *device_state,
			size_t bytes, char *err, size_t err_bytes);

	/* RUNNING: make the network learn the guest's new place; best effort,
	 * no event. */
	void (*announce)(struct driver *d);

	/* RUNNING or SUSPENDED: ask the guest to power itself down, as the
	 * power button does; no event of its own.  It may take its time, or
	 * not listen; when it obeys, gone(expected 0) comes.  0, or -errno: it
	 * cannot be asked. */
	int (*powerdown)(struct driver *d);

	/* End the guest for good, in bounded time. -> gone(expected 1).
	 * EMPTY: gone() comes all the same. */
	void (*kill)(struct driver *d);

	/* 16 bytes that are equal on two nodes exactly when a guest of one can
	 * go on at the other: emulator version, machine and devices. */
	void (*fingerprint)(struct driver *d, uint8_t out[16]);

	/* Ends the guest's process at once if there is one; no event. */
	void (*destroy)(struct driver *d);
};

extern const struct driver_ops driver_qemu_ops;
extern const struct driver_ops driver_fake_ops;
/* In a build with libxenlight only. */
extern const struct driver_ops driver_xen_ops;

const struct driver_ops *driver_find(const char *name);

/* settled() and committed() of drivers whose ram() is mapped by the guest: what
 * is there is there, and is read in activate(). */
int driver_mapped_settled(struct driver *d, char *err, size_t err_bytes);
void driver_mapped_committed(struct driver *d, struct page_bitmap *changed,
			     const void *device_state, size_t bytes);

#endif
