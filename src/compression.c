/* SPDX-License-Identifier: GPL-2.0-or-later */
/* compression.c - see compression.h. */
#include "compression.h"

#include <errno.h>
#include <string.h>

#define DOUBLED_MAX 4
#define AGE_MAX 32
/* So little is as good as nothing: heartbeats, and what has just been sent. */
#define UNSENT_FEW 4096u

static const char *const names[] = {
	[COMPRESSION_OFF] = "off",
	[COMPRESSION_FAST] = "fast",
	[COMPRESSION_TIGHT] = "tight",
	[COMPRESSION_AUTO] = "auto",
};

const char *compression_to_str(enum compression c)
{
	return (unsigned int)c < sizeof(names) / sizeof(names[0]) ? names[c]
								  : "?";
}

int compression_from_str(const char *name, enum compression *out)
{
	if (strcmp(name, "on") == 0) {
		*out = COMPRESSION_AUTO;
		return 0;
	}
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum compression)i;
			return 0;
		}
	return -EINVAL;
}

enum compression compression_now(const struct compression_auto *a)
{
	return a->tight ? COMPRESSION_TIGHT : COMPRESSION_FAST;
}

static unsigned int patience(const struct compression_auto *a)
{
	return COMPRESSION_CALM << a->doubled;
}

static void change(struct compression_auto *a, bool tight)
{
	a->tight = tight;
	a->trying = false;
	a->behind = a->calm = a->lasted = a->acks = 0;
}

static void in_vain(struct compression_auto *a)
{
	if (a->doubled < DOUBLED_MAX)
		a->doubled++;
}

static void link_is_behind(struct compression_auto *a)
{
	if (a->trying || a->lasted < COMPRESSION_CALM)
		in_vain(a);
	else
		a->doubled = 0;
	change(a, true);
}

/* Bytes a second, while there was always something to send. */
static void measure_rate(struct compression_auto *a,
			 const struct compression_sample *s, uint64_t dt)
{
	uint64_t given = s->sent_bytes - a->last_sent + a->last_unsent;
	uint64_t drained = given > s->unsent_bytes ? given - s->unsent_bytes
						   : 0;
	uint64_t rate;

	if (dt == 0 || a->last_unsent <= UNSENT_FEW ||
	    s->unsent_bytes <= UNSENT_FEW)
		return;
	rate = (uint64_t)((double)drained * 1e9 / (double)dt);
	/* One that has aged is no part of an average. */
	a->rate = a->rate == 0 || a->age > 0 ? rate
					     : a->rate - a->rate / 4 + rate / 4;
	a->age = 0;
}

/* Would the bytes of the last checkpoint, had they been sent by fast, have left
 * the link idle for half of the time? */
static bool fast_would_do(const struct compression_auto *a,
			  const struct compression_sample *s, uint64_t dt)
{
	double bytes = (double)(s->sent_bytes - a->last_sent);
	double rate = (double)a->rate * (double)(1ull << a->age);

	return a->rate == 0 ||
	       bytes * COMPRESSION_GAIN * 1e9 <= rate * (double)dt / 2;
}

static uint64_t median_ack(const struct compression_auto *a)
{
	uint64_t v[COMPRESSION_TRIAL];

	for (unsigned int i = 0; i < COMPRESSION_TRIAL; i++) {
		unsigned int k = i;

		for (; k > 0 && v[k - 1] > a->ack_ns[i]; k--)
			v[k] = v[k - 1];
		v[k] = a->ack_ns[i];
	}
	return v[COMPRESSION_TRIAL / 2];
}

static bool worth(uint64_t saved_ns, uint64_t of_ns)
{
	return saved_ns >= COMPRESSION_WORTH_NS && saved_ns >= of_ns / 4;
}

static bool can_gain(const struct compression_auto *a,
		     const struct compression_sample *s, uint64_t dt)
{
	uint64_t ack = median_ack(a);

	if (a->tight)
		return s->encode_ns > dt / 2 || fast_would_do(a, s, dt);
	return ack > s->encode_ns && worth(ack - s->encode_ns, ack);
}

/* Both have been seen: go back, or stay. */
static void end_trial(struct compression_auto *a)
{
	uint64_t ack = median_ack(a);
	uint64_t fast = a->tight ? a->other_ns : ack;
	uint64_t tight = a->tight ? ack : a->other_ns;
	bool was_tight = !a->tight;

	change(a, fast > tight && worth(fast - tight, fast));
	if (a->tight == was_tight)
		in_vain(a);
	else
		a->doubled = 0;
}

static void judge(struct compression_auto *a,
		  const struct compression_sample *s, uint64_t dt)
{
	if (s->unsent_bytes > UNSENT_FEW) {
		a->behind++;
		a->calm = 0;
	} else {
		a->calm++;
		a->behind = 0;
		if (a->calm % COMPRESSION_CALM == 0 && a->age < AGE_MAX)
			a->age++;
	}
	if (s->ack_ns != 0)
		a->ack_ns[a->acks++ % COMPRESSION_TRIAL] = s->ack_ns;
	if (!a->tight && a->behind >= COMPRESSION_BEHIND) {
		link_is_behind(a);
	} else if (a->acks < COMPRESSION_TRIAL) {
		return;
	} else if (a->trying) {
		end_trial(a);
	} else if (a->calm >= COMPRESSION_CALM && a->lasted >= patience(a) &&
		   can_gain(a, s, dt)) {
		uint64_t ack = median_ack(a);

		change(a, !a->tight);
		a->trying = true;
		a->other_ns = ack;
	}
}

enum compression compression_next(struct compression_auto *a,
				  const struct compression_sample *s)
{
	/* Of the first one, and the first of a connection, nothing follows. */
	if (a->last_ns != 0 && s->sent_bytes >= a->last_sent &&
	    s->now_ns > a->last_ns) {
		uint64_t dt = s->now_ns - a->last_ns;

		a->lasted++;
		measure_rate(a, s, dt);
		judge(a, s, dt);
	}
	a->last_ns = s->now_ns;
	a->last_sent = s->sent_bytes;
	a->last_unsent = s->unsent_bytes;
	return compression_now(a);
}

enum compression compression_full(struct compression_auto *a)
{
	if (!a->tight)
		link_is_behind(a);
	return compression_now(a);
}
