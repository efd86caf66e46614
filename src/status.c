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

static void put(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

/* What it is and what it does now. */
static void put_base(json_t *o, const struct vm_status *s)
{
	put(o, "vm", text(s->vm));
	put(o, "node", text(s->node));
	put(o, "role", text(vm_role_to_str(s->role)));
	put(o, "state", text(vm_state_to_str(s->state)));
	put(o, "reason", text(s->reason));
	put(o, "generation", number(s->generation));
	put(o, "ticket", text(s->ticket));
	put(o, "witnesses", text(s->witnesses));
	put(o, "epoch_committed", number(s->epoch_committed));
	put(o, "peer", text(s->peer));
	put(o, "peer_address", text(s->peer_address));
	put(o, "link_up", json_boolean(s->link_up));
	put(o, "driver", text(s->driver));
	put(o, "tracker", text(s->tracker));
	put(o, "interval_ms", number(s->interval_ms));
	put(o, "compression",
	    json_boolean(s->compression != COMPRESSION_OFF));
	put(o, "compression_mode", text(compression_to_str(s->compression)));
	put(o, "codec", text(compression_to_str(s->codec)));
	put(o, "encode_threads", number(s->encode_threads));
	put(o, "memory_bytes", number(s->memory_bytes));
}

/* How well it does it. */
static void put_measures(json_t *o, const struct vm_status *s)
{
	double ratio = s->bytes_sent == 0
			       ? 0.0
			       : (double)s->bytes_raw / (double)s->bytes_sent;

	put(o, "epochs", number(s->epochs));
	put(o, "pause_us", quantiles_json(&s->pause_us));
	put(o, "dirty_pages", quantiles_json(&s->dirty_pages));
	put(o, "track_us", quantiles_json(&s->track_us));
	put(o, "ack_us", quantiles_json(&s->ack_us));
	put(o, "bytes_raw", number(s->bytes_raw));
	put(o, "bytes_sent", number(s->bytes_sent));
	put(o, "ratio", json_real(ratio));
	put(o, "sync_bytes_raw", number(s->sync_bytes_raw));
	put(o, "sync_bytes_sent", number(s->sync_bytes_sent));
	put(o, "lag_ms", number(s->lag_ms));
	put(o, "gate", gate_json(s));
	put(o, "rtt_us", number(s->rtt_us));
	put(o, "resyncs", number(s->resyncs));
	put(o, "resyncs_full", number(s->resyncs_full));
	put(o, "sync_done_pages", number(s->sync_done_pages));
	put(o, "sync_total_pages", number(s->sync_total_pages));
	put(o, "held_pauses", number(s->held_pauses));
	put(o, "rss_bytes", number(s->rss_bytes));
}

json_t *status_to_json(const struct vm_status *s)
{
	json_t *o = json_object();

	if (o == NULL)
		return NULL;
	put_base(o, s);
	put_measures(o, s);
	return o;
}
