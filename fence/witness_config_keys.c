/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_config_keys.c - the keys of remus-witness.conf(5). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "util.h"
#include "witness_config_priv.h"

#define bad witness_config_bad
#define WORDS_MAX 32
#define PROBE_TEXT_MAX 200 /* it is shown in /v1/evidence */

struct key {
	const char *name;
	int (*set)(struct witness_parse *p, const struct key *k, char *value);
	size_t offset; /* of the member in struct witness_config */
	uint32_t min, max;
	const char *fallback;
	bool required, repeats;
};

static void *member(struct witness_parse *p, const struct key *k)
{
	return (char *)p->c + k->offset;
}

/* The first word of *s; *s then stands at the next one. */
static char *word(char **s)
{
	char *w = *s;

	*s += strcspn(*s, " \t");
	if (**s != '\0')
		*(*s)++ = '\0';
	*s += strspn(*s, " \t");
	return w;
}

static int set_name(struct witness_parse *p, const struct key *k, char *value)
{
	if (!vm_name_ok(value))
		return bad(p, p->line,
			   "%s '%s' is not 1 to %d letters, digits or any of "
			   "'-_.'",
			   k->name, value, VM_NAME_MAX);
	strcpy(member(p, k), value);
	return 0;
}

static int set_path(struct witness_parse *p, const struct key *k, char *value)
{
	char **slot = member(p, k);

	if (value[0] != '/')
		return bad(p, p->line,
			   "%s must be an absolute path, not '%s'", k->name,
			   value);
	free(*slot);
	*slot = strdup(value);
	return *slot == NULL ? -ENOMEM : 0;
}

static int set_time(struct witness_parse *p, const struct key *k, char *value)
{
	if (parse_ms(value, k->min, k->max, member(p, k)) < 0)
		return bad(p, p->line,
			   "%s is a time from %ums to %ums, not '%s'", k->name,
			   k->min, k->max, value);
	return 0;
}

/* A colon that is not inside brackets, and only one of them. */
static bool has_port(const char *text)
{
	const char *end = *text == '[' ? strchr(text, ']') : text;
	const char *colon = end == NULL ? NULL : strchr(end, ':');

	return colon != NULL && strchr(colon + 1, ':') == NULL;
}

static int set_listen(struct witness_parse *p, const struct key *k, char *value)
{
	struct witness_config *c = p->c;
	char text[128];

	if (c->listens == WITNESS_LISTEN_MAX)
		return bad(p, p->line, "%s is given more than %d times",
			   k->name, WITNESS_LISTEN_MAX);
	if (has_port(value))
		snprintf(text, sizeof(text), "%.100s", value);
	else
		snprintf(text, sizeof(text), "%.100s:%d", value,
			 WITNESS_PORT_DEFAULT);
	if (!has_port(text) ||
	    parse_address(text, &c->listen[c->listens]) < 0)
		return bad(p, p->line,
			   "%s is ADDRESS or ADDRESS:PORT (numeric, IPv6 in "
			   "brackets), not '%s'",
			   k->name, value);
	c->listens++;
	return 0;
}

static int set_node(struct witness_parse *p, const struct key *k, char *value)
{
	struct witness_config *c = p->c;
	char *name = word(&value);
	uint64_t id = 0;

	if (c->nodes == WITNESS_NODES_MAX)
		return bad(p, p->line, "more than %d nodes", WITNESS_NODES_MAX);
	if (!vm_name_ok(name) ||
	    (*value != '\0' && parse_uint(value, 1, UINT32_MAX, &id) < 0))
		return bad(p, p->line,
			   "%s is NAME or NAME NODEID, not '%s %s'", k->name,
			   name, value);
	for (unsigned int i = 0; i < c->nodes; i++) {
		if (strcmp(c->node[i].name, name) == 0 ||
		    (id != 0 && c->node[i].id == id))
			return bad(p, p->line,
				   "node %s: this name or id was given before",
				   name);
	}
	strcpy(c->node[c->nodes].name, name);
	c->node[c->nodes++].id = (uint32_t)id;
	return 0;
}

static int find_node(const struct witness_config *c, const char *name)
{
	for (unsigned int i = 0; i < c->nodes; i++) {
		if (strcmp(c->node[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static int set_vm(struct witness_parse *p, const struct key *k, char *value)
{
	struct witness_config *c = p->c;
	struct witness_vm *vm = &c->vm[c->vms];
	char *name = word(&value), *a = word(&value), *b = word(&value);
	int ia = find_node(c, a), ib = find_node(c, b);

	if (c->vms == WITNESS_VMS_MAX)
		return bad(p, p->line, "more than %d machines",
			   WITNESS_VMS_MAX);
	if (!vm_name_ok(name) || *a == '\0' || *b == '\0' || *value != '\0')
		return bad(p, p->line, "%s is NAME NODE NODE", k->name);
	for (unsigned int i = 0; i < c->vms; i++) {
		if (strcmp(c->vm[i].name, name) == 0)
			return bad(p, p->line, "vm %s is given twice", name);
	}
	if (ia < 0 || ib < 0)
		return bad(p, p->line, "vm %s: no node '%s' above", name,
			   ia < 0 ? a : b);
	if (ia == ib)
		return bad(p, p->line, "vm %s: twice the same node", name);
	strcpy(vm->name, name);
	vm->node[0] = (unsigned int)ia;
	vm->node[1] = (unsigned int)ib;
	c->vms++;
	return 0;
}

/* ---- probes ---- */

static int probe_command(struct probe_config *pr, char *text)
{
	size_t n = 0;

	if (*text != '/')
		return -EINVAL;
	pr->argv = calloc(WORDS_MAX + 1, sizeof(*pr->argv));
	if (pr->argv == NULL)
		return -ENOMEM;
	while (*text != '\0') {
		if (n == WORDS_MAX)
			return -EINVAL;
		pr->argv[n] = strdup(word(&text));
		if (pr->argv[n++] == NULL)
			return -ENOMEM;
	}
	pr->kind = PROBE_COMMAND;
	return 0;
}

static int probe_from_text(struct probe_config *pr, char *text)
{
	if (strncmp(text, "tcp:", 4) == 0) {
		pr->kind = PROBE_TCP;
		return has_port(text + 4) ? parse_address(text + 4, &pr->addr)
					  : -EINVAL;
	}
	if (strncmp(text, "icmp:", 5) == 0) {
		pr->kind = PROBE_ICMP;
		return has_port(text + 5) ? -EINVAL
					  : parse_address(text + 5, &pr->addr);
	}
	if (strncmp(text, "command:", 8) == 0)
		return probe_command(pr, text + 8);
#ifdef HAVE_LIBCURL
	if (strncmp(text, "http://", 7) == 0 ||
	    strncmp(text, "https://", 8) == 0) {
		pr->kind = PROBE_HTTP;
		return strcspn(text, " \t") == strlen(text) ? 0 : -EINVAL;
	}
#endif
	return -EINVAL;
}

static int set_probe(struct witness_parse *p, const struct key *k, char *value)
{
	struct witness_config *c = p->c;
	struct witness_vm *vm = NULL;
	struct probe_config *pr;
	char *name = word(&value);
	int rc;

	for (unsigned int i = 0; i < c->vms; i++) {
		if (strcmp(c->vm[i].name, name) == 0)
			vm = &c->vm[i];
	}
	if (vm == NULL)
		return bad(p, p->line, "%s: no vm '%s' above", k->name, name);
	if (vm->probes == EVIDENCE_PROBES_MAX)
		return bad(p, p->line, "vm %s: more than %d probes", name,
			   EVIDENCE_PROBES_MAX);
	if (strlen(value) > PROBE_TEXT_MAX)
		return bad(p, p->line, "%s is longer than %d bytes", k->name,
			   PROBE_TEXT_MAX);
	for (const char *ch = value; *ch != '\0'; ch++) {
		if (*ch < ' ' || *ch > '~')
			return bad(p, p->line, "%s: not ASCII", k->name);
	}
	pr = &vm->probe[vm->probes++]; /* freed with the rest from here on */
	pr->text = strdup(value);
	if (pr->text == NULL)
		return -ENOMEM;
	rc = probe_from_text(pr, value);
	if (rc == -EINVAL)
		return bad(p, p->line,
			   "%s is VM and tcp:ADDRESS:PORT, icmp:ADDRESS, "
			   "http://..., https://... or command:/PATH ARG..., "
			   "not '%s'",
			   k->name, pr->text);
	return rc;
}

/* ---- the table ---- */

#define AT(m) .offset = offsetof(struct witness_config, m)

static const struct key keys[] = {
	{ "name", set_name, AT(name), .required = true },
	{ "listen", .set = set_listen, .repeats = true,
	  .fallback = "0.0.0.0" },
	{ "state_dir", set_path, AT(state_dir),
	  .fallback = "/var/lib/remus-witness" },
	{ "key_file", set_path, AT(key_file) },
	{ "cluster", set_name, AT(cluster) },
	{ "node", .set = set_node, .repeats = true },
	{ "vm", .set = set_vm, .repeats = true },
	{ "probe", .set = set_probe, .repeats = true },
	{ "probe_interval", set_time, AT(probe_interval_ms), 50, 10000,
	  "250" },
	{ "probe_timeout", set_time, AT(probe_timeout_ms), 50, 30000, "1000" },
	{ "lease_max", set_time, AT(lease_max_ms), TICKET_LEASE_MS_MIN,
	  TICKET_LEASE_MS_MAX, "10000" },
	{ "vote_lease_max", set_time, AT(vote_lease_max_ms), 500, 60000,
	  "10000" },
	{ "time_window", set_time, AT(time_window_ms), 1000, 300000, "30000" },
	{ "tls_certificate", set_path, AT(tls_certificate) },
	{ "tls_key", set_path, AT(tls_key) },
};

_Static_assert(ARRAY_LEN(keys) <= WITNESS_KEYS_MAX, "WITNESS_KEYS_MAX");

static int find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

unsigned int witness_config_line(const struct witness_parse *p,
				 const char *name)
{
	unsigned int at = p->at[find_key(name)];

	return at != 0 ? at : p->line;
}

int witness_config_give(struct witness_parse *p, const char *name, char *value)
{
	int i = find_key(name);

	if (i < 0)
		return bad(p, p->line, "unknown key '%s'", name);
	if (*value == '\0')
		return bad(p, p->line, "%s has no value", name);
	if (p->at[i] != 0 && !keys[i].repeats)
		return bad(p, p->line, "%s is given twice, first in line %u",
			   name, p->at[i]);
	p->at[i] = p->line;
	return keys[i].set(p, &keys[i], value);
}

int witness_config_fallbacks(struct witness_parse *p)
{
	char value[64];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys) && rc == 0; i++) {
		if (p->at[i] != 0)
			continue;
		if (keys[i].required)
			return bad(p, p->line, "key '%s' is missing",
				   keys[i].name);
		if (keys[i].fallback == NULL)
			continue;
		snprintf(value, sizeof(value), "%s", keys[i].fallback);
		rc = keys[i].set(p, &keys[i], value);
	}
	return rc;
}
