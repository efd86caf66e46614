/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_sight.c - see fence_sight.h. */
#include "fence_sight.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "util.h"
#include "witness_message.h"

/* It goes to terminals and logs. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

/* ---- from JSON ---- */

/* An age: a number, or null (or nothing at all) for never. */
static int member_age(const json_t *o, const char *key, uint64_t *out,
		      char *err, size_t err_bytes)
{
	const json_t *j = json_object_get(o, key);

	*out = SIGHT_NEVER;
	if (j == NULL || json_is_null(j))
		return 0;
	return member_uint(o, key, 0, INT64_MAX, out, err, err_bytes);
}

static int read_report(struct sight_report *r, const json_t *j, char *err,
		       size_t err_bytes)
{
	int rc = member_name(j, "node", false, r->node, err, err_bytes);

	if (rc == 0)
		rc = member_age(j, "age_ms", &r->age_ms, err, err_bytes);
	if (rc < 0 || r->age_ms == SIGHT_NEVER)
		return rc;
	rc = member_text(j, "role", r->role, sizeof(r->role), err, err_bytes);
	if (rc == 0)
		rc = member_text(j, "state", r->state, sizeof(r->state), err,
				 err_bytes);
	if (rc == 0)
		rc = member_uint(j, "generation", 0, TICKET_GENERATION_MAX,
				 &r->generation, err, err_bytes);
	if (rc == 0)
		rc = member_bool(j, "serving", &r->serving, err, err_bytes);
	make_printable(r->role);
	make_printable(r->state);
	return rc;
}

static int read_reports(struct sight_vm *v, const json_t *o, char *err,
			size_t err_bytes)
{
	const json_t *list = json_object_get(o, "reports");
	int rc = 0;

	if (!json_is_array(list) || json_array_size(list) > SIGHT_REPORTS_MAX)
		return set_err(err, err_bytes, -EBADMSG,
			       "reports: expected a list of at most %d",
			       SIGHT_REPORTS_MAX);
	v->reports = (unsigned int)json_array_size(list);
	for (unsigned int i = 0; i < v->reports && rc == 0; i++)
		rc = read_report(&v->report[i], json_array_get(list, i), err,
				 err_bytes);
	return rc;
}

static int read_nodes(struct sight_vm *v, const json_t *o, char *err,
		      size_t err_bytes)
{
	const json_t *list = json_object_get(o, "nodes");

	if (!json_is_array(list) || json_array_size(list) != SIGHT_NODES)
		return set_err(err, err_bytes, -EBADMSG,
			       "nodes: expected a list of %d", SIGHT_NODES);
	for (unsigned int i = 0; i < SIGHT_NODES; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s == NULL || !vm_name_ok(s))
			return set_err(err, err_bytes, -EBADMSG,
				       "nodes: expected names");
		strcpy(v->node[i], s);
	}
	return 0;
}

static int read_lease(struct sight_vm *v, const json_t *o, char *err,
		      size_t err_bytes)
{
	int rc = member_text(o, "leased_to", v->leased_to,
			     sizeof(v->leased_to), err, err_bytes);

	if (rc == 0 && v->leased_to[0] != '\0' &&
	    strcmp(v->leased_to, "*") != 0 && !vm_name_ok(v->leased_to))
		rc = set_err(err, err_bytes, -EBADMSG,
			     "leased_to: expected a name");
	if (rc == 0)
		rc = member_uint(o, "lease_left_ms", 0, INT64_MAX,
				 &v->lease_left_ms, err, err_bytes);
	return rc;
}

static int read_seen(struct sight_vm *v, const json_t *o, char *err,
		     size_t err_bytes)
{
	int rc = member_uint(o, "looking_ms", 0, INT64_MAX, &v->looking_ms,
			     err, err_bytes);

	if (rc == 0)
		rc = member_uint(o, "window_ms", 0, INT64_MAX, &v->window_ms,
				 err, err_bytes);
	if (rc == 0)
		rc = member_bool(o, "seen", &v->seen, err, err_bytes);
	if (rc == 0)
		rc = member_name(o, "seen_on", true, v->seen_on, err,
				 err_bytes);
	if (rc == 0)
		rc = member_text(o, "why", v->why, sizeof(v->why), err,
				 err_bytes);
	make_printable(v->why);
	return rc;
}

static int read_vm(struct sight_vm *v, const json_t *o, char *err,
		   size_t err_bytes)
{
	int rc = member_name(o, "vm", false, v->name, err, err_bytes);

	if (rc < 0)
		v->name[0] = '\0';
	if (rc == 0)
		rc = read_nodes(v, o, err, err_bytes);
	if (rc == 0)
		rc = member_ticket(o, "ticket", &v->ticket, err, err_bytes);
	if (rc == 0)
		rc = member_ballot(o, "accepted", &v->accepted, err,
				   err_bytes);
	if (rc == 0)
		rc = read_lease(v, o, err, err_bytes);
	if (rc == 0)
		rc = read_seen(v, o, err, err_bytes);
	if (rc == 0)
		rc = read_reports(v, o, err, err_bytes);
	return rc;
}

static int read_vms(struct sight *s, const json_t *list, char *err,
		    size_t err_bytes)
{
	char text[200];

	for (unsigned int i = 0; i < s->vms; i++) {
		struct sight_vm *v = &s->vm[i];
		int rc = read_vm(v, json_array_get(list, i), text,
				 sizeof(text));

		if (rc < 0)
			return set_err(err, err_bytes, rc, "vm %u (%s): %s",
				       i + 1,
				       v->name[0] != '\0' ? v->name : "?",
				       text);
		for (unsigned int k = 0; k < i; k++) {
			if (strcmp(s->vm[k].name, v->name) == 0)
				return set_err(err, err_bytes, -EBADMSG,
					       "vm %s: there twice", v->name);
		}
	}
	return 0;
}

int sight_from_json(struct sight **out, const char *witness, const json_t *j,
		    char *err, size_t err_bytes)
{
	const json_t *list = json_object_get(j, "vms");
	char name[VM_NAME_MAX + 1];
	struct sight *s;
	int rc;

	*out = NULL;
	rc = member_name(j, "witness", false, name, err, err_bytes);
	if (rc < 0)
		return rc;
	if (strcmp(name, witness) != 0)
		return set_err(err, err_bytes, -EBADMSG,
			       "it calls itself %s", name);
	if (!json_is_array(list) || json_array_size(list) > SIGHT_VMS_MAX)
		return set_err(err, err_bytes, -EBADMSG,
			       "vms: expected a list of at most %d",
			       SIGHT_VMS_MAX);
	s = calloc(1, sizeof(*s) + json_array_size(list) * sizeof(s->vm[0]));
	if (s == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	s->vms = (unsigned int)json_array_size(list);
	rc = read_vms(s, list, err, err_bytes);
	if (rc < 0)
		sight_free(s);
	else
		*out = s;
	return rc;
}

void sight_free(struct sight *s)
{
	free(s);
}

/* ---- what it says ---- */

const struct sight_vm *sight_find(const struct sight *s, const char *vm)
{
	for (unsigned int i = 0; s != NULL && i < s->vms; i++) {
		if (strcmp(s->vm[i].name, vm) == 0)
			return &s->vm[i];
	}
	return NULL;
}

static const struct sight_report *report_of(const struct sight_vm *v,
					    const char *node)
{
	for (unsigned int i = 0; i < v->reports; i++) {
		if (strcmp(v->report[i].node, node) == 0 &&
		    v->report[i].age_ms != SIGHT_NEVER)
			return &v->report[i];
	}
	return NULL;
}

static bool in_ticket(const struct ticket *t, const char *node)
{
	return strcmp(t->holder, node) == 0 || strcmp(t->backup, node) == 0;
}

bool sight_names(const struct sight_vm *v, const char *node)
{
	for (unsigned int i = 0; i < SIGHT_NODES; i++) {
		if (strcmp(v->node[i], node) == 0)
			return true;
	}
	return in_ticket(&v->ticket, node) || report_of(v, node) != NULL ||
	       strcmp(v->leased_to, node) == 0 ||
	       strcmp(v->seen_on, node) == 0;
}

bool sight_seen_on(const struct sight_vm *v, const char *node,
		   char why[TICKET_WHY_MAX])
{
	const struct sight_report *r = report_of(v, node);

	if (r != NULL && r->serving && r->age_ms <= SIGHT_SERVED_MS) {
		snprintf(why, TICKET_WHY_MAX,
			 "%s's remusd served %llu ms ago", node,
			 (unsigned long long)r->age_ms);
		return true;
	}
	/* Nobody knows whose it is: then it may be. */
	if (!v->seen ||
	    (v->seen_on[0] != '\0' && strcmp(v->seen_on, node) != 0))
		return false;
	snprintf(why, TICKET_WHY_MAX, "%s",
		 v->why[0] != '\0' ? v->why : "seen, it does not say how");
	return true;
}

bool sight_has_looked(const struct sight_vm *v)
{
	return v->looking_ms >= v->window_ms;
}

bool sight_stands_by(const struct sight_vm *v, const char *node,
		     uint64_t generation)
{
	const struct sight_report *r = report_of(v, node);

	return r != NULL && r->age_ms <= SIGHT_THERE_MS && !r->serving &&
	       strcmp(r->role, "backup") == 0 &&
	       strcmp(r->state, "standby") == 0 && r->generation == generation;
}

static bool leased_to(const struct sight_vm *v, const char *node)
{
	return v->lease_left_ms > 0 && (strcmp(v->leased_to, node) == 0 ||
					strcmp(v->leased_to, "*") == 0);
}

bool sight_clear_of(const struct sight_vm *v, const char *node,
		    char why[TICKET_WHY_MAX])
{
	const struct sight_report *r = report_of(v, node);
	char text[TICKET_STR_MAX];

	if (sight_seen_on(v, node, why))
		return false;
	if (!sight_has_looked(v))
		snprintf(why, TICKET_WHY_MAX, "just started, not looked yet");
	else if (in_ticket(&v->ticket, node))
		snprintf(why, TICKET_WHY_MAX, "the ticket is %s",
			 ticket_to_str(&v->ticket, text, sizeof(text)));
	else if (leased_to(v, node))
		snprintf(why, TICKET_WHY_MAX, "a lease runs for %llu ms",
			 (unsigned long long)v->lease_left_ms);
	else if (r != NULL && r->age_ms <= SIGHT_GONE_MS)
		snprintf(why, TICKET_WHY_MAX,
			 "%s's remusd (%s) reported %llu ms ago", node,
			 r->role, (unsigned long long)r->age_ms);
	else
		return true;
	return false;
}
