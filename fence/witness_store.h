/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_store.h - the witness's state directory: identity and one register a
 * virtual machine; remus-witness(8), "The state directory".
 *
 * An acceptor that forgot is no acceptor.  So nothing is ever made up: what is
 * missing, damaged or another witness's is an error, and files come into being
 * by store_init() and store_add() only.
 */
#ifndef REMUS_WITNESS_STORE_H
#define REMUS_WITNESS_STORE_H

#include "ticket_acceptor.h"
#include "witness_config.h"

struct store {
	const char *dir; /* of the configuration, which outlives this */
	char id[33];
	int lock_fd;
};

/* The state of a new witness: registers first, the identity last, so that a
 * directory with an identity is whole.  -EEXIST when there is one already, or a
 * register that is not empty. */
int store_init(const struct witness_config *c, char *err, size_t err_bytes);
/* One more empty register.  -EEXIST. */
int store_add(const struct witness_config *c, const char *vm, char *err,
	      size_t err_bytes);

/* Take the lock and read the identity.  -EADDRINUSE: another one runs. */
int store_open(struct store *s, const struct witness_config *c, char *err,
	       size_t err_bytes);
void store_close(struct store *s);

/* Sets a->stored and nothing else. */
int store_load(const struct store *s, const char *vm,
	       struct ticket_acceptor *a, char *err, size_t err_bytes);
/* Durable when it returns 0; else what was there before is there still, or, if
 * only the directory could not be synced, the new. */
int store_save(const struct store *s, const char *vm,
	       const struct ticket_acceptor *a, char *err, size_t err_bytes);

#endif
