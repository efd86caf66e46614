/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim_guest.c - a model of a guest.
 *
 * A burst of instructions writes some pages, makes a new state (sim_gate.c) and
 * sends frames that carry it.  Page 0 says which state the memory is in, and
 * carries a sum over all other pages: so whoever is handed the memory can tell
 * whether it is exactly that state, or torn.  While there is no guest the
 * memory cannot be touched at all.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "sim_guest.h"

#define MAGIC 0x6d6f64656c677565u

static uint8_t *memory[2];
static size_t memory_bytes[2];

/* ---- memory ---- */

void guest_memory_new(struct driver *d)
{
	size_t bytes = world.k.npages * REMUS_PAGE_SIZE;
	int i = d->n->id;

	if (memory_bytes[i] < bytes) {
		if (memory[i] != NULL)
			munmap(memory[i], memory_bytes[i]);
		memory[i] = mmap(NULL, bytes, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory[i] == MAP_FAILED)
			abort();
		memory_bytes[i] = bytes;
	}
	d->ram = memory[i];
}

void guest_memory_open(struct driver *d, bool garbage)
{
	size_t bytes = world.k.npages * REMUS_PAGE_SIZE;

	mprotect(d->ram, bytes, PROT_READ | PROT_WRITE);
	/* What stood there before must not matter to anybody. */
	memset(d->ram, garbage ? 0xa5 : 0, bytes);
}

void guest_memory_shut(struct driver *d)
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

void guest_goes(struct driver *d)
{
	d->runs = true;
	plan_burst(d);
}

void guest_boot(struct driver *d)
{
	memset(&d->head, 0, sizeof(d->head));
	d->head.sum = all_sums(d);
	d->head.state = state_new(0);
	write_head(d);
}

size_t guest_save(struct driver *d)
{
	size_t bytes = sizeof(d->head) + rnd(one_in(4) ? 6000 : 100);
	struct head h = d->head;

	if (world.k.conn_queue > 1 << 20 && one_in(50))
		bytes += 200000; /* more than one frame */
	d->device = realloc(d->device, bytes);
	if (d->device == NULL)
		abort();
	memset(d->device, (int)rnd(256), bytes);
	h.sum = XXH3_64bits(d->device + sizeof(h), bytes - sizeof(h));
	h.check = head_check(&h);
	memcpy(d->device, &h, sizeof(h));
	return bytes;
}

/* Is this memory, with this device state, one state of one guest? */
bool guest_whole(const struct driver *d, const void *device, size_t bytes,
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

void guests_free(void)
{
	for (int i = 0; i < 2; i++)
		if (memory[i] != NULL)
			munmap(memory[i], memory_bytes[i]);
}
