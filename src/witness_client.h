/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_client.h - talk to the witnesses: HTTP POSTs by libcurl's multi
 * interface on a qb_loop, signed both ways.  Used by remusd (arbiter_witness),
 * remus-qdevice and fence_clientprobe.
 *
 * Requests, answers and their signature are specified in remus-witness(8).
 * An answer whose signature, nonce or JSON is wrong is no answer (-EBADMSG).
 */
#ifndef REMUS_WITNESS_CLIENT_H
#define REMUS_WITNESS_CLIENT_H

#include <jansson.h>
#include <qb/qbloop.h>
#include <stddef.h>
#include <stdint.h>

#include "ticket_register.h"

struct witness_client;

struct witness_client_config {
	const char *self; /* this node's name: the key's owner */
	struct witness_address witness[WITNESSES_MAX];
	unsigned int witnesses;
	const char *key_file; /* one shared secret, as remus.conf(5) says */
	const char *ca_file;  /* https; NULL: system's */
	uint32_t timeout_ms;  /* of one request, all in all */
};

/* 0; -errno with a line naming file or URL. */
int witness_client_new(struct witness_client **out,
		       const struct witness_client_config *c, qb_loop_t *loop,
		       char *err, size_t err_bytes);
/* Requests under way end without a call of `done`. */
void witness_client_free(struct witness_client *c);

/* rc 0: `body` is the witness's JSON object (borrowed).  -ETIMEDOUT,
 * -ECONNREFUSED, -EBADMSG, -EACCES (401: it does not know our key), -EBUSY
 * (503: it refuses, `why`), -EIO: `why`. */
typedef void (*witness_done)(void *ctx, unsigned int witness, int rc,
			     const json_t *body, const char *why);

/* POST `body` (borrowed) to PATH ("/v1/ticket") of one witness.  `done` comes
 * exactly once, from the loop.  0, -ENOBUFS when 16 requests to this witness
 * wait already. */
int witness_client_post(struct witness_client *c, unsigned int witness,
			const char *path, const json_t *body, witness_done done,
			void *ctx);

/* The ticket's messages as JSON; NULL: out of memory.  From JSON: 0, or -EBADMSG
 * with a line that names the member (S8: sizes, ranges, names, all checked). */
json_t *ticket_message_to_json(const struct ticket_message *m);
int ticket_message_from_json(struct ticket_message *m, const json_t *j,
			     char *err, size_t err_bytes);
json_t *ticket_answer_to_json(const struct ticket_answer *a);
int ticket_answer_from_json(struct ticket_answer *a, const json_t *j,
			    char *err, size_t err_bytes);

#endif
