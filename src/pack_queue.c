/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack_queue.c - see pack_queue.h. */
#include "pack_queue.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_A_THREAD 2

struct slot {
	struct pool_task task; /* first */
	struct pack_queue *q;
	struct page_writer w;
	unsigned int type;
	size_t packed_bytes;
	uint8_t *records, *packed;
};

struct pack_queue {
	struct thread_pool *pool;
	struct page_packer **packers; /* one a thread */
	unsigned int threads, nslots;
	unsigned int first, used; /* of the ring of slots */
	uint8_t *memory;
	struct slot slots[];
};

/* In some thread. */
static bool pack(struct pool_task *t, unsigned int who)
{
	struct slot *s = (struct slot *)t;

	s->packed_bytes = page_pack(s->q->packers[who], s->packed, &s->w);
	return false;
}

static int set_up(struct pack_queue *q)
{
	size_t each = 2 * PAGE_PACK_RECORDS_BYTES;

	q->packers = calloc(q->threads, sizeof(*q->packers));
	q->memory = malloc(q->nslots * each);
	if (q->packers == NULL || q->memory == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < q->threads; i++)
		if (page_packer_new(&q->packers[i]) < 0)
			return -ENOMEM;
	for (unsigned int i = 0; i < q->nslots; i++) {
		struct slot *s = &q->slots[i];

		s->task.run = pack;
		s->q = q;
		s->records = q->memory + i * each;
		s->packed = s->records + PAGE_PACK_RECORDS_BYTES;
	}
	return 0;
}

int pack_queue_new(struct pack_queue **out, struct thread_pool *pool)
{
	unsigned int threads = thread_pool_threads(pool);
	unsigned int nslots = threads * SLOTS_A_THREAD;
	struct pack_queue *q;

	*out = NULL;
	q = calloc(1, sizeof(*q) + nslots * sizeof(q->slots[0]));
	if (q == NULL)
		return -ENOMEM;
	q->pool = pool;
	q->threads = threads;
	q->nslots = nslots;
	if (set_up(q) < 0) {
		pack_queue_free(q);
		return -ENOMEM;
	}
	*out = q;
	return 0;
}

void pack_queue_free(struct pack_queue *q)
{
	if (q == NULL)
		return;
	pack_queue_drop(q);
	for (unsigned int i = 0; q->packers != NULL && i < q->threads; i++)
		page_packer_free(q->packers[i]);
	free(q->packers);
	free(q->memory);
	free(q);
}

static struct slot *slot_at(struct pack_queue *q, unsigned int i)
{
	return &q->slots[(q->first + i) % q->nslots];
}

uint8_t *pack_queue_begin(struct pack_queue *q)
{
	return q->used == q->nslots ? NULL : slot_at(q, q->used)->records;
}

void pack_queue_commit(struct pack_queue *q, const struct page_writer *w,
		       unsigned int type, bool more)
{
	struct slot *s = slot_at(q, q->used++);

	s->w = *w;
	s->type = type;
	thread_pool_submit(q->pool, &s->task, more);
}

bool pack_queue_empty(const struct pack_queue *q)
{
	return q->used == 0;
}

int pack_queue_first(struct pack_queue *q, struct packed_payload *out)
{
	struct slot *s = slot_at(q, 0);

	if (q->used == 0)
		return -ENOENT;
	if (thread_pool_busy(q->pool, &s->task))
		return -EBUSY;
	out->type = s->type;
	out->data = s->packed;
	out->bytes = s->packed_bytes;
	return 0;
}

void pack_queue_pop(struct pack_queue *q)
{
	q->first = (q->first + 1) % q->nslots;
	q->used--;
}

void pack_queue_drop(struct pack_queue *q)
{
	for (; q->used > 0; q->used--)
		thread_pool_cancel(q->pool, &slot_at(q, q->used - 1)->task);
}
