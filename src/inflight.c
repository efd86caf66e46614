/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inflight.h"

#include <errno.h>
#include <string.h>

int inflight_init(struct inflight *f, unsigned int epochs, uint64_t npages)
{
	memset(f, 0, sizeof(*f));
	f->n = epochs + 2 <= INFLIGHT_MAX ? epochs + 2 : INFLIGHT_MAX;
	for (unsigned int i = 0; i < f->n; i++)
		if (page_bitmap_init(&f->slot[i].pages, npages) < 0) {
			inflight_free(f);
			return -ENOMEM;
		}
	return 0;
}

void inflight_free(struct inflight *f)
{
	for (unsigned int i = 0; i < f->n; i++)
		page_bitmap_free(&f->slot[i].pages);
	memset(f, 0, sizeof(*f));
}

struct inflight_slot *inflight_open(struct inflight *f, uint64_t epoch)
{
	for (unsigned int i = 0; i < f->n; i++) {
		struct inflight_slot *s = &f->slot[i];

		if (s->epoch != 0)
			continue;
		s->epoch = epoch;
		s->chain = 0;
		s->sent = false;
		s->captured_ns = 0;
		page_bitmap_clear_all(&s->pages);
		return s;
	}
	return NULL;
}

struct inflight_slot *inflight_find(struct inflight *f, uint64_t epoch)
{
	for (unsigned int i = 0; i < f->n; i++)
		if (f->slot[i].epoch == epoch)
			return &f->slot[i];
	return NULL;
}

void inflight_acked(struct inflight *f, const struct inflight_slot *s)
{
	uint64_t epoch = s->epoch;

	f->acked = epoch;
	f->acked_chain = s->chain;
	for (unsigned int i = 0; i < f->n; i++)
		if (f->slot[i].epoch <= epoch)
			f->slot[i].epoch = 0;
}

void inflight_forget(struct inflight *f, struct page_bitmap *dirty)
{
	for (unsigned int i = 0; i < f->n; i++) {
		struct inflight_slot *s = &f->slot[i];

		if (s->epoch == 0)
			continue;
		page_bitmap_or(dirty, &s->pages);
		page_bitmap_clear_all(&s->pages);
		s->captured_ns = 0;
		if (!s->sent)
			s->epoch = 0;
	}
}

bool inflight_proves(const struct inflight *f, uint64_t epoch, uint64_t chain)
{
	if (epoch == 0)
		return false;
	if (epoch == f->acked)
		return chain == f->acked_chain;
	for (unsigned int i = 0; i < f->n; i++)
		if (f->slot[i].epoch == epoch && f->slot[i].sent)
			return f->slot[i].chain == chain;
	return false;
}

void inflight_restart(struct inflight *f, uint64_t epoch, uint64_t chain)
{
	for (unsigned int i = 0; i < f->n; i++)
		f->slot[i].epoch = 0;
	f->acked = epoch;
	f->acked_chain = chain;
}

uint64_t inflight_oldest_ns(const struct inflight *f)
{
	uint64_t oldest = 0;

	for (unsigned int i = 0; i < f->n; i++) {
		const struct inflight_slot *s = &f->slot[i];

		if (s->epoch != 0 && s->captured_ns != 0 &&
		    (oldest == 0 || s->captured_ns < oldest))
			oldest = s->captured_ns;
	}
	return oldest;
}
