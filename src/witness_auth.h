/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_auth.h - the signatures of remus-witness(8): the header Remus-Auth,
 * HMAC-SHA-256.  Pure but for witness_auth_new(), which takes the time and
 * random bytes.
 */
#ifndef REMUS_WITNESS_AUTH_H
#define REMUS_WITNESS_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm_config.h"

#define WITNESS_AUTH_HEADER "Remus-Auth"
#define WITNESS_AUTH_MAX 320 /* of its value, terminated */
#define WITNESS_NONCE_HEX 32
#define WITNESS_MAC_HEX 64
#define WITNESS_BODY_MAX 16384	 /* of a request */
#define WITNESS_ANSWER_MAX 131072 /* of an answer */

struct witness_key {
	uint8_t bytes[VM_KEY_BYTES_MAX];
	size_t count;
};

/* What the header of a request says. */
struct witness_auth {
	char node[VM_NAME_MAX + 1];
	char witness[VM_NAME_MAX + 1];
	uint64_t time_ms;
	char nonce[WITNESS_NONCE_HEX + 1];
	char mac[WITNESS_MAC_HEX + 1];
};

/* A request from `node` to `witness` as of now; mac is empty.  0, -ERANGE
 * (names), -EIO. */
int witness_auth_new(struct witness_auth *a, const char *node,
		     const char *witness);

/* Fill in a->mac.  0 or -errno (the library failed). */
int witness_auth_sign(struct witness_auth *a, const struct witness_key *key,
		      const char *method, const char *path, const void *body,
		      size_t bytes);
/* 0; -EACCES: the MAC is not that of this request. */
int witness_auth_check(const struct witness_auth *a,
		       const struct witness_key *key, const char *method,
		       const char *path, const void *body, size_t bytes);

/* Header's value <-> struct; -EBADMSG when it has not the form. */
void witness_auth_to_header(const struct witness_auth *a,
			    char header[WITNESS_AUTH_MAX]);
int witness_auth_from_header(struct witness_auth *a, const char *header);

/* The answer's header, for the request `a`; and its check: 0, -EACCES. */
int witness_auth_answer(const struct witness_auth *a,
			const struct witness_key *key, unsigned int status,
			const void *body, size_t bytes,
			char header[WITNESS_AUTH_MAX]);
int witness_auth_check_answer(const struct witness_auth *a,
			      const struct witness_key *key,
			      unsigned int status, const void *body,
			      size_t bytes, const char *header);

#endif
