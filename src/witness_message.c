/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_message.c - see witness_message.h and witness_client.h. */
#include "witness_message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "util.h"
#include "witness_client.h"

static const char *const question_names[] = { "prepare", "accept", "renew" };
static const char *const state_names[] = { "none", "protected", "alone" };

/* ---- text -> object ---- */

/* The parser calls itself once per level: look before. */
static bool too_deep(const char *text, size_t bytes)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < bytes; i++) {
		char ch = text[i];

		if (in_string && ch == '\\')
			i++;
		else if (ch == '"')
			in_string = !in_string;
		else if (!in_string && (ch == '{' || ch == '['))
			depth++;
		else if (!in_string && (ch == '}' || ch == ']'))
			depth--;
		if (depth > WITNESS_JSON_DEPTH_MAX)
			return true;
	}
	return false;
}

json_t *witness_json_parse(const char *text, size_t bytes, char *err,
			   size_t err_bytes)
{
	json_error_t je;
	json_t *o;

	if (too_deep(text, bytes)) {
		set_err(err, err_bytes, 0, "JSON is nested too deep");
		return NULL;
	}
	o = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &je);
	if (o == NULL) {
		set_err(err, err_bytes, 0, "not JSON: %s", je.text);
		return NULL;
	}
	if (!json_is_object(o)) {
		set_err(err, err_bytes, 0, "not a JSON object");
		json_decref(o);
		return NULL;
	}
	return o;
}

/* ---- members ---- */

static int bad(char *err, size_t err_bytes, const char *key, const char *want)
{
	return set_err(err, err_bytes, -EBADMSG, "%s: expected %s", key, want);
}

int member_uint(const json_t *o, const char *key, uint64_t min, uint64_t max,
		uint64_t *out, char *err, size_t err_bytes)
{
	const json_t *j = json_object_get(o, key);
	json_int_t v = json_integer_value(j);

	if (!json_is_integer(j) || v < 0 || (uint64_t)v < min ||
	    (uint64_t)v > max)
		return set_err(err, err_bytes, -EBADMSG,
			       "%s: expected a number from %llu to %llu", key,
			       (unsigned long long)min,
			       (unsigned long long)max);
	*out = (uint64_t)v;
	return 0;
}

int member_bool(const json_t *o, const char *key, bool *out, char *err,
		size_t err_bytes)
{
	const json_t *j = json_object_get(o, key);

	if (!json_is_boolean(j))
		return bad(err, err_bytes, key, "true or false");
	*out = json_is_true(j);
	return 0;
}

int member_text(const json_t *o, const char *key, char *out, size_t out_bytes,
		char *err, size_t err_bytes)
{
	const json_t *j = json_object_get(o, key);
	size_t len = json_string_length(j);

	if (!json_is_string(j) || len >= out_bytes ||
	    strlen(json_string_value(j)) != len)
		return set_err(err, err_bytes, -EBADMSG,
			       "%s: expected a string of less than %zu bytes",
			       key, out_bytes);
	memcpy(out, json_string_value(j), len + 1);
	return 0;
}

int member_name(const json_t *o, const char *key, bool maybe_empty,
		char out[VM_NAME_MAX + 1], char *err, size_t err_bytes)
{
	out[0] = '\0';
	if (maybe_empty && json_object_get(o, key) == NULL)
		return 0;
	if (member_text(o, key, out, VM_NAME_MAX + 1, err, err_bytes) < 0 ||
	    (!vm_name_ok(out) && !(maybe_empty && out[0] == '\0')))
		return bad(err, err_bytes, key, "a name");
	return 0;
}

int member_ballot(const json_t *o, const char *key, struct ballot *out,
		  char *err, size_t err_bytes)
{
	const json_t *b = json_object_get(o, key);
	char hex[17];

	memset(out, 0, sizeof(*out));
	if (!json_is_object(b) ||
	    member_uint(b, "n", 0, TICKET_BALLOT_MAX, &out->n, NULL, 0) < 0 ||
	    member_text(b, "proposer", hex, sizeof(hex), NULL, 0) < 0 ||
	    strspn(hex, "0123456789abcdef") != 16)
		return bad(err, err_bytes, key,
			   "a ballot: n and proposer (16 hexadecimal digits)");
	out->proposer = strtoull(hex, NULL, 16);
	if ((out->n == 0) != (out->proposer == 0))
		return bad(err, err_bytes, key,
			   "a ballot with n and proposer both 0, or neither");
	return 0;
}

static int index_of(const char *const *names, size_t count, const char *s)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], s) == 0)
			return (int)i;
	}
	return -1;
}

int member_ticket(const json_t *o, const char *key, struct ticket *out,
		  char *err, size_t err_bytes)
{
	const json_t *t = json_object_get(o, key);
	char state[16];
	int i;

	memset(out, 0, sizeof(*out));
	if (!json_is_object(t) ||
	    member_uint(t, "generation", 0, TICKET_GENERATION_MAX,
			&out->generation, NULL, 0) < 0 ||
	    member_text(t, "state", state, sizeof(state), NULL, 0) < 0 ||
	    member_name(t, "holder", true, out->holder, NULL, 0) < 0 ||
	    member_name(t, "backup", true, out->backup, NULL, 0) < 0)
		return bad(err, err_bytes, key,
			   "a ticket: generation, state, holder, backup");
	i = index_of(state_names, ARRAY_LEN(state_names), state);
	if (i < 0)
		return bad(err, err_bytes, key,
			   "a ticket that is none, protected or alone");
	out->state = (enum ticket_state)i;
	if (!ticket_is_sound(out))
		return bad(err, err_bytes, key,
			   "a ticket whose names fit its state");
	return 0;
}

json_t *ballot_to_json(const struct ballot *b)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)b->proposer);
	return json_pack("{s:I, s:s}", "n", (json_int_t)b->n, "proposer", hex);
}

json_t *ticket_to_json(const struct ticket *t)
{
	return json_pack("{s:I, s:s, s:s, s:s}", "generation",
			 (json_int_t)t->generation, "state",
			 state_names[t->state], "holder", t->holder, "backup",
			 t->backup);
}

/* ---- questions ---- */

json_t *ticket_message_to_json(const struct ticket_message *m)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "question",
			      question_names[m->question], "vm", m->vm, "from",
			      m->from);
	int bad_sets = o == NULL;

	if (o == NULL)
		return NULL;
	if (m->question != TICKET_RENEW) {
		bad_sets |= json_object_set_new(o, "ballot",
						ballot_to_json(&m->ballot));
		bad_sets |= json_object_set_new(
			o, "purpose",
			json_string(ticket_purpose_to_str(m->purpose)));
		bad_sets |= json_object_set_new(o, "target",
						json_string(m->target));
	}
	if (m->question != TICKET_PREPARE) {
		bad_sets |= json_object_set_new(o, "value",
						ticket_to_json(&m->value));
		bad_sets |= json_object_set_new(o, "lease_ms",
						json_integer(m->lease_ms));
	}
	if (bad_sets != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int round_from_json(struct ticket_message *m, const json_t *j,
			   char *err, size_t err_bytes)
{
	char text[16];

	if (member_ballot(j, "ballot", &m->ballot, err, err_bytes) < 0)
		return -EBADMSG;
	if (m->ballot.n == 0)
		return bad(err, err_bytes, "ballot", "one that is not 0");
	if (member_text(j, "purpose", text, sizeof(text), err, err_bytes) < 0 ||
	    !ticket_purpose_from_str(&m->purpose, text))
		return bad(err, err_bytes, "purpose",
			   "read, boot, alone, protected, takeover, end or "
			   "fence");
	if (member_name(j, "target", true, m->target, err, err_bytes) < 0)
		return -EBADMSG;
	if ((m->purpose == TICKET_FOR_FENCE) != (m->target[0] != '\0'))
		return bad(err, err_bytes, "target",
			   "a name for fence, and only for that");
	return 0;
}

static int value_from_json(struct ticket_message *m, const json_t *j,
			   char *err, size_t err_bytes)
{
	uint64_t v = 0;

	if (member_ticket(j, "value", &m->value, err, err_bytes) < 0)
		return -EBADMSG;
	if (json_object_get(j, "lease_ms") != NULL &&
	    member_uint(j, "lease_ms", 0, TICKET_LEASE_MS_MAX, &v, err,
			err_bytes) < 0)
		return -EBADMSG;
	m->lease_ms = (uint32_t)v;
	if (m->question == TICKET_RENEW && m->value.state != TICKET_ALONE)
		return bad(err, err_bytes, "value", "a ticket that is alone");
	return 0;
}

int ticket_message_from_json(struct ticket_message *m, const json_t *j,
			     char *err, size_t err_bytes)
{
	char text[16];
	int i;

	memset(m, 0, sizeof(*m));
	if (member_text(j, "question", text, sizeof(text), err, err_bytes) < 0)
		return -EBADMSG;
	i = index_of(question_names, ARRAY_LEN(question_names), text);
	if (i < 0)
		return bad(err, err_bytes, "question",
			   "prepare, accept or renew");
	m->question = (enum ticket_question)i;
	if (member_name(j, "vm", false, m->vm, err, err_bytes) < 0 ||
	    member_name(j, "from", false, m->from, err, err_bytes) < 0)
		return -EBADMSG;
	if (m->question != TICKET_RENEW &&
	    round_from_json(m, j, err, err_bytes) < 0)
		return -EBADMSG;
	if (m->question == TICKET_PREPARE)
		return 0;
	return value_from_json(m, j, err, err_bytes);
}

/* ---- answers ---- */

json_t *ticket_answer_to_json(const struct ticket_answer *a)
{
	return json_pack("{s:s, s:o, s:o, s:I, s:s}", "reply",
			 ticket_reply_to_str(a->reply), "ballot",
			 ballot_to_json(&a->ballot), "value",
			 ticket_to_json(&a->value), "lease_left_ms",
			 (json_int_t)a->lease_left_ms, "why", a->why);
}

int ticket_answer_from_json(struct ticket_answer *a, const json_t *j,
			    char *err, size_t err_bytes)
{
	char text[32];
	uint64_t v;

	memset(a, 0, sizeof(*a));
	if (member_text(j, "reply", text, sizeof(text), err, err_bytes) < 0)
		return -EBADMSG;
	if (!ticket_reply_from_str(&a->reply, text))
		return bad(err, err_bytes, "reply", "a known one");
	if (member_ballot(j, "ballot", &a->ballot, err, err_bytes) < 0 ||
	    member_ticket(j, "value", &a->value, err, err_bytes) < 0 ||
	    member_uint(j, "lease_left_ms", 0, UINT32_MAX, &v, err,
			err_bytes) < 0 ||
	    member_text(j, "why", a->why, sizeof(a->why), err, err_bytes) < 0)
		return -EBADMSG;
	a->lease_left_ms = (uint32_t)v;
	return 0;
}
