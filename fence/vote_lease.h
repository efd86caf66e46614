/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vote_lease.h - which partition of the cluster has this witness's vote.
 * Pure: no clock, no socket.
 *
 * Each node that was granted a lease may count on it for one set of members,
 * until it runs out.  A grant of the set S is compatible with what another node
 * still holds, for the set G, when
 *	S == G	      the same partition;
 *	S < G	      the holder's membership was cut, its lease for G is void
 *		      as soon as it notices: the first asker of a part wins;
 *	S > G	      partitions that met again.
 * Any other G delays S until it is over.  A node's own former lease does not
 * delay it: it has left that ring.  But a request out of an older ring than the
 * one it was granted for last is a message that was late, and is refused: it
 * must not widen what others see of this node's lease.
 *
 * Nothing is stored: after a restart nothing is granted until the longest lease
 * is over.
 */
#ifndef REMUS_VOTE_LEASE_H
#define REMUS_VOTE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm_config.h"

#define VOTE_NODES_MAX 32
#define VOTE_WHY_MAX 256

struct vote_set {
	unsigned int count;
	uint32_t id[VOTE_NODES_MAX]; /* rising */
};

struct vote_request {
	char cluster[VM_NAME_MAX + 1];
	uint32_t nodeid; /* who asks; in members */
	uint32_t ring_nodeid;
	uint64_t ring_seq;
	struct vote_set members;
	uint32_t lease_ms;
};

struct vote_grant {
	uint32_t nodeid;
	uint64_t ring_seq;
	struct vote_set members;
	uint64_t until_ms; /* drift included */
};

struct vote_lease {
	uint32_t lease_max_ms;
	uint64_t hold_until_ms; /* after a restart */
	char cluster[VM_NAME_MAX + 1];
	struct vote_grant grant[VOTE_NODES_MAX];
	unsigned int grants;
};

struct vote_answer {
	bool granted;
	uint32_t lease_ms; /* granted: for so long, from the request's sending */
	uint32_t wait_ms;  /* refused: ask again after that; 0: not known */
	char why[VOTE_WHY_MAX];
};

/* As after a restart. */
void vote_lease_init(struct vote_lease *v, uint32_t lease_max_ms,
		     uint64_t now_ms);

/* `elsewhere`: a service is seen on a node that is not a member, in words, or
 * NULL.  It refuses a partition that has no lease yet; it takes nothing from
 * one that has. */
void vote_lease_on(struct vote_lease *v, const struct vote_request *r,
		   const char *elsewhere, uint64_t now_ms,
		   struct vote_answer *answer);

/* Rising, not empty, and `nodeid` among them. */
bool vote_request_ok(const struct vote_request *r);

/* "1,2" */
const char *vote_set_to_str(const struct vote_set *s, char *buf, size_t bytes);

#endif
