/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_guest.h - the model of a guest (sim_guest.c), for its driver
 * (sim_driver.c). */
#ifndef REMUS_SIM_GUEST_H
#define REMUS_SIM_GUEST_H

#include "sim.h"

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

/* Take or give back the memory; it holds garbage, or zeros, at first. */
void guest_memory_new(struct driver *d);
void guest_memory_open(struct driver *d, bool garbage);
void guest_memory_shut(struct driver *d);

/* State 1 of a new guest. */
void guest_boot(struct driver *d);
/* Bursts of instructions from now on, until d->runs is false. */
void guest_goes(struct driver *d);
/* Make d->device; returns its bytes. */
size_t guest_save(struct driver *d);
/* Is the memory, with this device state, one state of one guest? */
bool guest_whole(const struct driver *d, const void *device, size_t bytes,
		 struct head *h);

#endif
