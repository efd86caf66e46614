/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_nonce.h - the requests of one node that were seen, so that none is
 * taken twice.  A table of fixed size: when it is full, new ones are refused.
 * Pure.
 */
#ifndef REMUS_WITNESS_NONCE_H
#define REMUS_WITNESS_NONCE_H

#include <stdint.h>

#include "witness_auth.h"

#define NONCES_MAX 16384 /* entries; 544 KiB in all */

struct nonces; /* opaque */

struct nonces *nonces_new(void); /* NULL: out of memory */
void nonces_free(struct nonces *n);

/* Take note of a nonce (hexadecimal) until `until_ms`, which must not fall from
 * one call to the next.  0; -EEXIST: seen before; -ENOSPC: full. */
int nonces_add(struct nonces *n, const char *hex, uint64_t now_ms,
	       uint64_t until_ms);

#endif
