/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#include <stdlib.h>
#include <string.h>

const char *vm_role_to_str(enum vm_role r)
{
	return r == ROLE_PRIMARY ? "primary" : "backup";
}

const char *vm_state_to_str(enum vm_state s)
{
	switch (s) {
	case STATE_SYNCING:
		return "syncing";
	case STATE_PROTECTED:
		return "protected";
	case STATE_ALONE:
		return "alone";
	case STATE_STANDBY:
		return "standby";
	case STATE_ACTIVE:
		return "active";
	case STATE_FAILED:
		return "failed";
	}
	return "?";
}

void hist_add(struct hist *h, uint64_t value)
{
	h->ring[h->n % HIST_SAMPLES] = value;
	h->n++;
	if (value > h->max)
		h->max = value;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The smallest value that at least `percent` of n sorted ones do not exceed. */
static uint64_t nearest_rank(const uint64_t *sorted, size_t n, size_t percent)
{
	return sorted[(n * percent + 99) / 100 - 1];
}

struct quantiles hist_quantiles(const struct hist *h)
{
	size_t n = h->n < HIST_SAMPLES ? (size_t)h->n : HIST_SAMPLES;
	struct quantiles q = { 0, 0, 0 };
	uint64_t sorted[HIST_SAMPLES];

	if (n == 0)
		return q;
	memcpy(sorted, h->ring, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_value);
	q.p50 = nearest_rank(sorted, n, 50);
	q.p99 = nearest_rank(sorted, n, 99);
	q.max = h->max;
	return q;
}

/* JSON integers are signed here; a number beyond that is shown as the largest
 * and not as a negative one. */
static json_t *number(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *text(const char *s)
{
	json_t *j = json_string(s == NULL ? "" : s);

	/* A name that is not UTF-8 must not take the whole status with it. */
	return j == NULL ? json_string("?") : j;
}

static json_t *quantiles_json(const struct quantiles *q)
{
	return json_pack("{s:o, s:o, s:o}", "p50", number(q->p50), "p99",
			 number(q->p99), "max", number(q->max));
}

static json_t *gate_json(const struct vm_status *s)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "name",
			 text(s->gate_name), "state",
			 gate_state_to_str(s->gate_state), "held",
			 number(s->gate.held), "held_bytes",
			 number(s->gate.held_bytes), "released",
			 number(s->gate.released), "dropped",
			 number(s->gate.dropped), "inbound",
			 number(s->gate.inbound));
}

/* What it is and what it does now. */
static json_t *base_json(const struct vm_status *s)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:o, s:b, s:o}",
			 "vm", text(s->vm), "node", text(s->node), "role",
			 vm_role_to_str(s->role), "state",
			 vm_state_to_str(s->state), "reason", text(s->reason),
			 "generation", number(s->generation), "ticket",
			 text(s->ticket), "epoch_committed",
			 number(s->epoch_committed), "peer", text(s->peer),
			 "peer_address", text(s->peer_address), "driver",
			 text(s->driver), "link_up", s->link_up, "tracker",
			 text(s->tracker));
}

/* How well it does it. */
static json_t *measures_json(const struct vm_status *s)
{
	double ratio = s->bytes_sent == 0
			       ? 0.0
			       : (double)s->bytes_raw / (double)s->bytes_sent;

	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o,"
			 " s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "interval_ms", number(s->interval_ms), "compression",
			 s->compression, "pause_us",
			 quantiles_json(&s->pause_us), "dirty_pages",
			 quantiles_json(&s->dirty_pages), "ack_us",
			 quantiles_json(&s->ack_us), "bytes_raw",
			 number(s->bytes_raw), "bytes_sent",
			 number(s->bytes_sent), "ratio", ratio, "lag_ms",
			 number(s->lag_ms), "gate", gate_json(s), "rtt_us",
			 number(s->rtt_us), "resyncs", number(s->resyncs),
			 "resyncs_full", number(s->resyncs_full),
			 "sync_done_pages", number(s->sync_done_pages),
			 "sync_total_pages", number(s->sync_total_pages),
			 "epochs", number(s->epochs), "held_pauses",
			 number(s->held_pauses), "memory_bytes",
			 number(s->memory_bytes), "rss_bytes",
			 number(s->rss_bytes));
}

json_t *status_to_json(const struct vm_status *s)
{
	json_t *all = base_json(s), *more = measures_json(s);

	if (all == NULL || more == NULL || json_object_update(all, more) < 0) {
		json_decref(all);
		all = NULL;
	}
	json_decref(more);
	return all;
}
