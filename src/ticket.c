/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ticket.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

static const char *const state_names[] = { "none", "protected", "alone" };

const char *ticket_to_str(const struct ticket *t, char *buf, size_t bytes)
{
	switch (t->state) {
	case TICKET_PROTECTED:
		snprintf(buf, bytes, "protected(%s,%s)", t->holder, t->backup);
		break;
	case TICKET_ALONE:
		snprintf(buf, bytes, "alone(%s)", t->holder);
		break;
	default:
		snprintf(buf, bytes, "none");
	}
	return buf;
}

int ticket_cmp(const struct ticket *a, const struct ticket *b)
{
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	return (int)a->state - (int)b->state;
}

static int name_from(char *out, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (s == NULL || strlen(s) > VM_NAME_MAX)
		return -EBADMSG;
	strcpy(out, s);
	return 0;
}

static int ticket_from_json(struct ticket *t, const json_t *o)
{
	const json_t *gen = json_object_get(o, "generation");
	const char *state = json_string_value(json_object_get(o, "state"));
	size_t i;

	memset(t, 0, sizeof(*t));
	if (!json_is_integer(gen) || json_integer_value(gen) < 0 ||
	    state == NULL)
		return -EBADMSG;
	t->generation = (uint64_t)json_integer_value(gen);
	for (i = 0; i < ARRAY_LEN(state_names); i++)
		if (strcmp(state, state_names[i]) == 0)
			break;
	if (i == ARRAY_LEN(state_names))
		return -EBADMSG;
	t->state = (enum ticket_state)i;
	if (name_from(t->holder, o, "holder") < 0 ||
	    name_from(t->backup, o, "backup") < 0)
		return -EBADMSG;
	if ((t->generation == 0 && t->state != TICKET_NONE) ||
	    (t->state != TICKET_NONE && t->holder[0] == '\0') ||
	    (t->state == TICKET_PROTECTED && t->backup[0] == '\0'))
		return -EBADMSG;
	return 0;
}

int ticket_load(struct ticket *t, const char *path, char *err,
		size_t err_bytes)
{
	json_error_t je;
	json_t *o;
	int rc;

	memset(t, 0, sizeof(*t));
	if (access(path, F_OK) < 0) {
		if (errno == ENOENT)
			return 0;
		rc = -errno;
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	}
	o = json_load_file(path, JSON_REJECT_DUPLICATES, &je);
	if (o == NULL)
		return set_err(err, err_bytes, -EBADMSG,
			       "%s:%d: not a ticket: %s", path, je.line,
			       je.text);
	rc = ticket_from_json(t, o);
	json_decref(o);
	if (rc < 0)
		return set_err(err, err_bytes, rc,
			       "%s: not a ticket: expected generation, state, "
			       "holder and backup",
			       path);
	return 0;
}

int ticket_store(const struct ticket *t, const char *path, char *err,
		 size_t err_bytes)
{
	json_t *o = json_pack("{s:I, s:s, s:s, s:s}", "generation",
			      (json_int_t)t->generation, "state",
			      state_names[t->state], "holder", t->holder,
			      "backup", t->backup);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_INDENT(1));
	int rc = text == NULL ? -ENOMEM
			      : write_file_durably(path, text, strlen(text));

	free(text);
	json_decref(o);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: cannot store: %s",
			       path, strerror(-rc));
	return 0;
}
