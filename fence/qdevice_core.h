/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qdevice_core.h - when does this node cast the quorum device's vote?  Pure:
 * no clock, no socket, no corosync.
 *
 * Events go in (a ring, an answer, a poll that was made); what is to be done
 * is pulled out of qdevice_core_next() until it says NOTHING, and when to pull
 * again without an event.  All times are CLOCK_BOOTTIME in ms, so that a node
 * that was frozen finds its leases over before it does anything else.
 *
 *	new ring --ask all for a bid--> majority --ask for the lease--> vote 1
 *	   |                               |
 *	   |  ring_wait is over, or no     |  renewed each interval; without
 *	   |  majority can come in time    |  a majority:
 *	   v                               v
 *	 vote 0 <------------------------ vote 0, and bids again
 *
 * The rules:
 *  - A lease belongs to one ring.  A new ring voids all of them at once, asks
 *    at once, and answers to older questions are passed over.
 *  - A lease is counted from when its question was sent, drift taken off
 *    (ticket_lease_end_ms).
 *  - corosync goes on counting a vote for quorum.device.timeout after it heard
 *    it last, even when this process is dead.  So a vote is cast only while a
 *    majority of the leases outlasts that.
 *  - corosync holds a new ring back until the device has spoken, and at most
 *    for sync_timeout.  Nothing is said while a majority may still come, lest
 *    quorum be lost for a moment and everything be stopped; then a vote of 0.
 *  - Two partitions that hold a part of the witnesses each would block each
 *    other for ever.  So what is asked for first is a short lease (a bid), and
 *    who was refused for another's lease lets its bids run out and waits, by
 *    chance, before it bids again.
 */
#ifndef REMUS_QDEVICE_CORE_H
#define REMUS_QDEVICE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vote_lease.h"

struct qdevice_timing {
	uint32_t vote_timeout_ms; /* quorum.device.timeout */
	uint32_t ring_wait_ms;	  /* vote 0 at the latest then */
	uint32_t lease_ms;	  /* > vote_timeout_ms */
	uint32_t bid_ms;
	uint32_t interval_ms; /* polls, renewals */
};

struct qdevice_ring {
	uint32_t nodeid;
	uint64_t seq;
	struct vote_set members;
};

enum qdevice_verdict {
	QDEVICE_NOT_ASKED, /* or no answer in this ring yet */
	QDEVICE_GRANTED,
	QDEVICE_REFUSED,
	QDEVICE_NO_ANSWER,
};
const char *qdevice_verdict_to_str(enum qdevice_verdict v);

struct qdevice_witness {
	uint64_t id;		/* of the last question; 0: none */
	bool waiting;		/* for its answer */
	bool bid;		/* the lease held is a bid */
	uint32_t asked_ms;	/* the lease that it asked for */
	uint64_t sent_ms;
	uint64_t lease_until_ms; /* in this ring; 0: none */
	uint64_t ask_at_ms;
	uint64_t free_at_ms; /* refused: not before */
	enum qdevice_verdict verdict;
	uint32_t granted_ms;   /* of the last grant */
	uint64_t answered_ms;  /* when; 0: never.  Outlives rings. */
	char why[VOTE_WHY_MAX];
};

struct qdevice_core {
	struct qdevice_timing t;
	unsigned int witnesses;
	struct qdevice_witness witness[WITNESSES_MAX];
	bool have_ring;
	struct qdevice_ring ring;
	uint64_t ring_at_ms, give_up_ms; /* the ring's beginning; vote 0 then */
	bool answered;			 /* the ring has had a poll */
	bool cast;			 /* what it said */
	uint64_t poll_at_ms;
	bool poll_failed;		 /* corosync did not take the last */
	uint64_t pause_until_ms; /* no bids before */
	uint64_t last_id;
	uint64_t random;
};

/* What came to a question: rc 0 and the rest, or rc < 0 (no answer) and why. */
struct qdevice_answer {
	int rc;
	bool granted;
	uint32_t lease_ms, wait_ms;
	const char *why;
};

enum qdevice_what {
	QDEVICE_NOTHING, /* before at_ms, unless something happens */
	QDEVICE_ASK,	 /* witness for a lease of lease_ms */
	QDEVICE_POLL,	 /* corosync, with `cast` */
};

struct qdevice_action {
	enum qdevice_what what;
	uint64_t at_ms; /* UINT64_MAX: never */
	unsigned int witness;
	uint64_t id;
	uint32_t lease_ms;
	bool cast;
};

/* `seed`: any number that other nodes have not got. */
void qdevice_core_init(struct qdevice_core *c, const struct qdevice_timing *t,
		       unsigned int witnesses, uint64_t seed);

void qdevice_core_ring(struct qdevice_core *c, const struct qdevice_ring *ring,
		       uint64_t now_ms);
void qdevice_core_answer(struct qdevice_core *c, unsigned int witness,
			 uint64_t id, const struct qdevice_answer *a,
			 uint64_t now_ms);
/* After QDEVICE_POLL: corosync took it, or not. */
void qdevice_core_polled(struct qdevice_core *c, bool cast, bool taken,
			 uint64_t now_ms);

/* An ASK counts as sent at now_ms. */
struct qdevice_action qdevice_core_next(struct qdevice_core *c,
					uint64_t now_ms);

/* For how long leases of a majority, long enough to vote or not, still last;
 * 0: there is no majority. */
uint64_t qdevice_core_lease_left_ms(const struct qdevice_core *c,
				    uint64_t now_ms);

/* A timing that can never vote, or that leaves corosync without a word: -EINVAL
 * with a line. */
int qdevice_timing_check(const struct qdevice_timing *t,
			 uint32_t sync_timeout_ms, char *err,
			 size_t err_bytes);

#endif
