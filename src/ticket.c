/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ticket.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

/* Ours have a few hundred. */
#define FILE_BYTES_MAX 65536

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

/* Place in the order within a generation; see ticket.h. */
static int rank(enum ticket_state s)
{
	switch (s) {
	case TICKET_PROTECTED: return 0;
	case TICKET_NONE: return 1;
	case TICKET_ALONE: return 2;
	}
	return 1;
}

int ticket_cmp(const struct ticket *a, const struct ticket *b)
{
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	return rank(a->state) - rank(b->state);
}

bool ticket_equal(const struct ticket *a, const struct ticket *b)
{
	return a->generation == b->generation && a->state == b->state &&
	       strcmp(a->holder, b->holder) == 0 &&
	       strcmp(a->backup, b->backup) == 0;
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
	    (t->state == TICKET_NONE) != (t->holder[0] == '\0') ||
	    (t->state == TICKET_PROTECTED) != (t->backup[0] != '\0'))
		return -EBADMSG;
	return 0;
}

int ticket_load(struct ticket *t, const char *path, char *err,
		size_t err_bytes)
{
	struct stat st;
	json_error_t je;
	json_t *o;
	int rc;

	memset(t, 0, sizeof(*t));
	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		rc = -errno;
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
		return set_err(err, err_bytes, -EBADMSG,
			       "%s: not a ticket: no file, or too long", path);
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
	json_t *o;
	char *text;
	int rc;

	if (t->generation > TICKET_GENERATION_MAX)
		return set_err(err, err_bytes, -ERANGE,
			       "%s: generation %llu is out of range", path,
			       (unsigned long long)t->generation);
	o = json_pack("{s:I, s:s, s:s, s:s}", "generation",
		      (json_int_t)t->generation, "state",
		      state_names[t->state], "holder", t->holder, "backup",
		      t->backup);
	text = o == NULL ? NULL : json_dumps(o, JSON_INDENT(1));
	rc = text == NULL ? -ENOMEM
			  : write_file_durably(path, text, strlen(text));
	free(text);
	json_decref(o);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: cannot store: %s",
			       path, strerror(-rc));
	return 0;
}
