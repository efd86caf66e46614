/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness.h - what a witness answers: from a request's bytes to an answer's.
 * No socket, no file, no clock of its own; the disk is two functions, so that
 * tests and the fuzzer can be one.
 *
 * The order of checks is that of their cost: what the head of a request shows
 * (witness_head), then, with the body, the signature, the nonce, the JSON.
 */
#ifndef REMUS_WITNESS_H
#define REMUS_WITNESS_H

#include <jansson.h>

#include "ticket_acceptor.h"
#include "vote_lease.h"
#include "witness_auth.h"
#include "witness_config.h"
#include "witness_evidence.h"

struct witness; /* opaque */

/* As store_load() and store_save(); 0 or -errno with a line. */
struct witness_disk {
	int (*load)(void *ctx, const char *vm, struct ticket_acceptor *a,
		    char *err, size_t err_bytes);
	int (*save)(void *ctx, const char *vm, const struct ticket_acceptor *a,
		    char *err, size_t err_bytes);
	void *ctx;
};

/* CLOCK_BOOTTIME and CLOCK_REALTIME. */
struct witness_now {
	uint64_t boot_ms, wall_ms;
};

/* `c` is kept by the caller.  0 or -errno with a line. */
int witness_new(struct witness **out, const struct witness_config *c,
		const struct witness_disk *disk, struct witness_now now,
		char *err, size_t err_bytes);
void witness_free(struct witness *w);

struct witness_reply {
	unsigned int status;
	char *body;		     /* JSON; free() it; NULL: out of memory */
	char auth[WITNESS_AUTH_MAX]; /* Remus-Auth; "": none */
};

/* What the head shows.  `body_bytes` < 0: the length was not announced;
 * `header`: the value of Remus-Auth, or NULL.  0: go on, with *a; else the
 * status to refuse with, and reason. */
unsigned int witness_head(const struct witness *w, const char *method,
			  const char *path, int64_t body_bytes,
			  const char *header, struct witness_now now,
			  struct witness_auth *a, const char **why);

/* The whole request, whose head was let pass. */
void witness_request(struct witness *w, const char *path,
		     const struct witness_auth *a, const char *body,
		     size_t bytes, struct witness_now now,
		     struct witness_reply *reply);
/* {"error":"..."}, unsigned. */
void witness_refusal(struct witness_reply *reply, unsigned int status,
		     const char *why);

/* Call every 100 ms: notices times in which this process could not run. */
void witness_tick(struct witness *w, uint64_t boot_ms);

/* Of the configuration's vm[i]: for the probes. */
struct evidence *witness_evidence(struct witness *w, unsigned int i);

#endif
