/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_priv.h - between witness.c, witness_view.c and witness_vote.c. */
#ifndef REMUS_WITNESS_PRIV_H
#define REMUS_WITNESS_PRIV_H

#include "witness.h"
#include "witness_nonce.h"

struct watched {
	const struct witness_vm *config;
	struct ticket_acceptor acceptor;
	struct evidence evidence;
	uint64_t logged_ms; /* the last refusal that was logged */
};

struct witness {
	const struct witness_config *c;
	struct witness_disk disk;
	struct watched vm[WITNESS_VMS_MAX];
	struct nonces *nonces[WITNESS_NODES_MAX];
	struct vote_lease vote;
	uint64_t started_boot_ms, started_wall_ms;
	uint64_t ticked_ms;
	bool disk_failed;
};

/* One question, from a node that has proved who it is. */
struct witness_call {
	struct witness *w;
	const struct witness_auth *auth;
	unsigned int node; /* index of who asks */
	const json_t *body;
	uint64_t now_ms;
	char why[256];
};

/* NULL; with *status and, unless it is NULL (then it is there), `why` for who
 * asked. */
json_t *witness_refuse(struct witness_call *call, unsigned int *status,
		       unsigned int with, const char *why);

/* The answer, or NULL by witness_refuse(). */
json_t *witness_on_vote(struct witness_call *call, unsigned int *status);

/* The ticket as accepted here; NULL: nothing yet. */
const struct ticket *watched_ticket(const struct watched *v);

/* The answer to /v1/evidence; `only` "": every machine.  NULL: out of memory. */
json_t *witness_view(const struct witness *w, const char *only,
		     uint64_t boot_ms);

#endif
