/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_message.h - the pieces of JSON in remus-witness(8) that more than one
 * message is made of, read from whoever sent them (S8): bounded, and checked
 * for type, range and form.  (Whole ticket messages: witness_client.h.)
 *
 * Each reader takes member `key` of `o` and returns 0, or -EBADMSG with a line
 * that names the member; then *out may hold anything.
 */
#ifndef REMUS_WITNESS_MESSAGE_H
#define REMUS_WITNESS_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ticket_register.h"

#define WITNESS_JSON_DEPTH_MAX 8

/* One object and nothing behind it; nested no deeper than the bound, which is
 * looked at before anything is parsed.  NULL with a line. */
json_t *witness_json_parse(const char *text, size_t bytes, char *err,
			   size_t err_bytes);

int member_uint(const json_t *o, const char *key, uint64_t min, uint64_t max,
		uint64_t *out, char *err, size_t err_bytes);
int member_bool(const json_t *o, const char *key, bool *out, char *err,
		size_t err_bytes);
/* A string of less than out_bytes bytes. */
int member_text(const json_t *o, const char *key, char *out, size_t out_bytes,
		char *err, size_t err_bytes);
/* vm_name_ok(), or, if that is allowed, "" (given so, or not at all). */
int member_name(const json_t *o, const char *key, bool maybe_empty,
		char out[VM_NAME_MAX + 1], char *err, size_t err_bytes);
int member_ballot(const json_t *o, const char *key, struct ballot *out,
		  char *err, size_t err_bytes);
int member_ticket(const json_t *o, const char *key, struct ticket *out,
		  char *err, size_t err_bytes);

/* NULL: out of memory. */
json_t *ballot_to_json(const struct ballot *b);
json_t *ticket_to_json(const struct ticket *t);

#endif
