/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_priv.h - between witness.c and witness_view.c. */
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

/* The ticket as accepted here; NULL: nothing yet. */
const struct ticket *watched_ticket(const struct watched *v);

/* The answer to /v1/evidence; `only` "": every machine.  NULL: out of memory. */
json_t *witness_view(const struct witness *w, const char *only,
		     uint64_t boot_ms);

#endif
