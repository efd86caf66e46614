/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm_config_keys.c - the keys of remus.conf(5): kind, range and default. */
#include "vm_config_parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "qemu_cmdline.h"
#include "util.h"

#define WORDS_MAX 256

struct key {
	const char *name;
	int (*set)(struct parse *p, const struct key *k, char *value);
	size_t offset;	     /* of the member in struct vm_config */
	uint64_t min, max;   /* of numbers, times and sizes */
	const char *choices; /* "|a|b|" */
	const char *fallback;
	bool required;
	unsigned int times; /* it may be given so often; 0: once */
};

static void *member(struct parse *p, const struct key *k)
{
	return (char *)p->c + k->offset;
}

/* ---- setters, one per kind of value ---- */

static int set_string(struct parse *p, const struct key *k, char *value)
{
	char **slot = member(p, k);

	free(*slot);
	*slot = strdup(value);
	return *slot == NULL ? -ENOMEM : 0;
}

static int set_path(struct parse *p, const struct key *k, char *value)
{
	if (value[0] != '/')
		return config_bad(p, p->line,
				  "%s must be an absolute path, not '%s'",
				  k->name, value);
	return set_string(p, k, value);
}

static int set_choice(struct parse *p, const struct key *k, char *value)
{
	char want[CONFIG_LINE_MAX + 3];

	snprintf(want, sizeof(want), "|%s|", value);
	if (strchr(value, '|') != NULL || strstr(k->choices, want) == NULL)
		return config_bad(p, p->line, "%s is one of %.*s, not '%s'",
				  k->name, (int)strlen(k->choices) - 2,
				  k->choices + 1, value);
	return set_string(p, k, value);
}

static int set_accel(struct parse *p, const struct key *k, char *value)
{
	enum vm_accel *a = member(p, k);

	if (strcmp(value, "auto") == 0)
		*a = VM_ACCEL_AUTO;
	else if (strcmp(value, "kvm") == 0)
		*a = VM_ACCEL_KVM;
	else if (strcmp(value, "tcg") == 0)
		*a = VM_ACCEL_TCG;
	else
		return config_bad(p, p->line,
				  "accel is one of auto|kvm|tcg, not '%s'",
				  value);
	return 0;
}

static int set_compression(struct parse *p, const struct key *k, char *value)
{
	if (compression_from_str(value, member(p, k)) < 0)
		return config_bad(p, p->line, "compression is one of "
				  COMPRESSION_NAMES ", not '%s'", value);
	return 0;
}

static int set_u32(struct parse *p, const struct key *k, char *value)
{
	uint64_t v;

	if (parse_uint(value, k->min, k->max, &v) < 0)
		return config_bad(p, p->line,
				  "%s is a number from %llu to %llu, not "
				  "'%s'",
				  k->name, (unsigned long long)k->min,
				  (unsigned long long)k->max, value);
	*(uint32_t *)member(p, k) = (uint32_t)v;
	return 0;
}

static int set_time(struct parse *p, const struct key *k, char *value)
{
	if (parse_ms(value, (uint32_t)k->min, (uint32_t)k->max, member(p, k)) <
	    0)
		return config_bad(p, p->line,
				  "%s is a time from %llums to %llums, "
				  "not '%s'",
				  k->name, (unsigned long long)k->min,
				  (unsigned long long)k->max, value);
	return 0;
}

static const char *size_str(uint64_t bytes, char buf[24])
{
	static const char units[] = "\0KMGT";
	int u = 0;

	for (; u < 4 && bytes != 0 && bytes % 1024 == 0; u++)
		bytes /= 1024;
	snprintf(buf, 24, "%llu%.1s", (unsigned long long)bytes, units + u);
	return buf;
}

static int set_size(struct parse *p, const struct key *k, char *value)
{
	char lo[24], hi[24];
	uint64_t v;

	if (parse_bytes(value, &v) < 0 || v < k->min || v > k->max)
		return config_bad(p, p->line,
				  "%s is a size from %s to %s, not '%s'",
				  k->name, size_str(k->min, lo),
				  size_str(k->max, hi), value);
	*(uint64_t *)member(p, k) = v;
	return 0;
}

static int set_name(struct parse *p, const struct key *k, char *value)
{
	const char *base = strrchr(p->path, '/');
	size_t len = strlen(value);

	if (!vm_name_ok(value))
		return config_bad(p, p->line,
				  "%s '%s' is not 1 to %d letters, digits "
				  "or any of '-_.'",
				  k->name, value, VM_NAME_MAX);
	base = base == NULL ? p->path : base + 1;
	if (strncmp(base, value, len) != 0 || strcmp(base + len, ".conf") != 0)
		return config_bad(p, p->line,
				  "name '%s' does not fit the file, which "
				  "would have to be %s.conf",
				  value, value);
	memcpy(p->c->name, value, len + 1);
	return 0;
}

static int set_mac(struct parse *p, const struct key *k, char *value)
{
	if (parse_mac(value, p->c->mac) < 0)
		return config_bad(p, p->line,
				  "%s '%s' is not a unicast Ethernet "
				  "address such as 52:54:00:12:34:56",
				  k->name, value);
	return 0;
}

static int set_ifname(struct parse *p, const struct key *k, char *value)
{
	if (!ifname_ok(value))
		return config_bad(p, p->line,
				  "%s '%s' is not a name for a network "
				  "interface (at most 15 bytes, no '/')",
				  k->name, value);
	return set_string(p, k, value);
}

static int set_group(struct parse *p, const struct key *k, char *value)
{
	if (parse_group(value, &p->c->group) < 0)
		return config_bad(p, p->line,
				  "%s '%s': no such group on this node",
				  k->name, value);
	return 0;
}

static int set_node(struct parse *p, const struct key *k, char *value)
{
	unsigned int i = p->node_line[0] == 0 ? 0 : 1;
	struct vm_node *n = &p->c->node[i];
	char *address = value + strcspn(value, " \t");

	if (*address != '\0')
		*address++ = '\0';
	address += strspn(address, " \t");
	if (!vm_name_ok(value) || *address == '\0')
		return config_bad(p, p->line,
				  "%s is NAME ADDRESS:PORT, not '%s'", k->name,
				  value);
	if (parse_address(address, n) < 0)
		return config_bad(p, p->line,
				  "node %s: '%s' is not ADDRESS:PORT "
				  "(numeric, IPv6 in brackets)",
				  value, address);
	strcpy(n->name, value);
	p->node_line[i] = p->line;
	return 0;
}

static int set_alone(struct parse *p, const struct key *k, char *value)
{
	bool run = strcmp(value, "run") == 0;

	if (!run && strcmp(value, "freeze") != 0)
		return config_bad(p, p->line,
				  "%s is one of run|freeze, not '%s'", k->name,
				  value);
	p->c->alone_run = run;
	return 0;
}

static int set_witness(struct parse *p, const struct key *k, char *value)
{
	struct witness_address *w = &p->c->witness[p->c->witnesses];
	char *url = value + strcspn(value, " \t");

	if (*url != '\0')
		*url++ = '\0';
	url += strspn(url, " \t");
	if (!vm_name_ok(value) || !url_ok(url) ||
	    strlen(url) >= sizeof(w->url))
		return config_bad(p, p->line,
				  "%s is NAME http://ADDRESS:PORT (or https:), "
				  "not '%s %.64s'",
				  k->name, value, url);
	strcpy(w->name, value);
	strcpy(w->url, url);
	p->witness_line[p->c->witnesses++] = p->line;
	return 0;
}

/* One more word at the end of a NULL-terminated list of `n`. */
static int add_word(struct parse *p, const struct key *k, char ***list,
		    size_t *n, const char *word)
{
	char **words = *list;

	if (*n >= WORDS_MAX)
		return config_bad(p, p->line, "more than %d words in %s",
				  WORDS_MAX, k->name);
	words = realloc(words, (*n + 2) * sizeof(*words));
	if (words == NULL)
		return -ENOMEM;
	*list = words;
	words[*n] = strdup(word);
	words[*n + 1] = NULL;
	return words[(*n)++] == NULL ? -ENOMEM : 0;
}

static int add_words(struct parse *p, const struct key *k, char ***list,
		     size_t *n, char *value)
{
	char *save = NULL;
	int rc = 0;

	for (char *w = strtok_r(value, " \t", &save); w != NULL && rc == 0;
	     w = strtok_r(NULL, " \t", &save))
		rc = add_word(p, k, list, n, w);
	return rc;
}

/* A program by its path, and its words. */
static int set_command(struct parse *p, const struct key *k, char *value)
{
	size_t n = 0;

	if (value[0] != '/')
		return config_bad(p, p->line,
				  "%s begins with the absolute path of a "
				  "program, not '%s'",
				  k->name, value);
	return add_words(p, k, member(p, k), &n, value);
}

static int set_args(struct parse *p, const struct key *k, char *value)
{
	size_t first = p->n_args;
	char why[256];
	int rc = add_words(p, k, &p->c->qemu_args, &p->n_args, value);

	if (rc < 0)
		return rc;
	/* Line by line, so that the refusal names the right one. */
	if (qemu_args_check(p->c->qemu_args + first, why, sizeof(why)) < 0)
		return config_bad(p, p->line, "%s: %s", k->name, why);
	return 0;
}

#define AT(m) .offset = offsetof(struct vm_config, m)
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static const struct key keys[] = {
	{ "name", set_name, .required = true },
	{ "driver", set_choice, AT(driver), .choices = "|qemu|xen|fake|",
	  .fallback = "qemu" },
	{ "memory", set_size, AT(memory_bytes), .min = 2 * MIB,
	  .max = 1024 * GIB, .required = true },
	{ "cpus", set_u32, AT(cpus), .min = 1, .max = 64, .fallback = "1" },
	{ "kernel", set_path, AT(kernel) },
	{ "initrd", set_path, AT(initrd) },
	{ "append", set_string, AT(append) },
	{ "accel", set_accel, AT(accel), .fallback = "auto" },
	{ "mac", .set = set_mac },
	{ "qemu_binary", set_string, AT(qemu_binary),
	  .fallback = "qemu-system-x86_64" },
	{ "qemu_arg", set_args, .times = UINT32_MAX },
	{ "console", set_path, AT(console) },
	{ "ram_dir", set_path, AT(ram_dir), .fallback = "/dev/shm" },
	{ "tracker", set_choice, AT(tracker),
	  .choices = "|auto|pagemap|soft-dirty|compare|", .fallback = "auto" },
	{ "xl", set_path, AT(xl) },
	{ "gate", set_choice, AT(gate), .choices = "|relay|plug|fake|" },
	{ "tap", set_ifname, AT(tap) },
	{ "bridge", set_ifname, AT(bridge) },
	{ "gate_queue", set_size, AT(gate_queue_bytes), .min = 64 * KIB,
	  .max = GIB, .fallback = "16M" },
	{ "node", set_node, .times = 2 },
	{ "key_file", set_path, AT(key_file), .required = true },
	{ "interval", set_time, AT(interval_ms), .min = VM_INTERVAL_MS_MIN,
	  .max = VM_INTERVAL_MS_MAX, .fallback = "25" },
	{ "max_in_flight", set_u32, AT(max_in_flight), .min = 1, .max = 16,
	  .fallback = "2" },
	{ "capture", set_size, AT(capture_bytes), .min = MIB, .max = 64 * GIB,
	  .fallback = "64M" },
	{ "cache", set_size, AT(cache_bytes), .min = MIB, .max = 64 * GIB,
	  .fallback = "64M" },
	{ "compression", set_compression, AT(compression),
	  .fallback = "auto" },
	{ "encode_threads", set_u32, AT(encode_threads), .min = 1, .max = 16,
	  .fallback = "1" },
	{ "heartbeat", set_time, AT(heartbeat_ms), .min = 10, .max = 10000,
	  .fallback = "250" },
	{ "link_timeout", set_time, AT(link_timeout_ms), .min = 100,
	  .max = 60000, .fallback = "1500" },
	{ "shutdown_timeout", set_time, AT(shutdown_timeout_ms), .min = 0,
	  .max = 600000, .fallback = "20000" },
	{ "arbiter", set_choice, AT(arbiter), .choices = "|operator|witness|",
	  .fallback = "operator" },
	{ "alone", set_alone, .fallback = "run" },
	{ "witness", set_witness, .times = WITNESSES_MAX },
	{ "witness_key", set_path, AT(witness_key) },
	{ "witness_ca", set_path, AT(witness_ca) },
	{ "witness_timeout", set_time, AT(witness_timeout_ms), .min = 50,
	  .max = 10000, .fallback = "500" },
	{ "lease", set_time, AT(lease_ms), .min = 500, .max = 60000,
	  .fallback = "3000" },
	{ "on_change", set_command, AT(on_change) },
	{ "group", .set = set_group },
	{ "state_dir", set_path, AT(state_dir), .fallback = "/var/lib/remus" },
	{ "run_dir", set_path, AT(run_dir), .fallback = "/run/remus" },
};

_Static_assert(ARRAY_LEN(keys) <= KEYS_MAX, "KEYS_MAX is too small");

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

bool config_given(const struct parse *p, const char *name)
{
	return p->count[find_key(name) - keys] > 0;
}

unsigned int config_line_of(const struct parse *p, const char *name)
{
	unsigned int at = p->at[find_key(name) - keys];

	return at != 0 ? at : p->line;
}

int config_give(struct parse *p, char *name, char *value)
{
	const struct key *k = find_key(name);
	size_t i;

	if (k == NULL)
		return config_bad(p, p->line, "unknown key '%s'", name);
	if (*value == '\0')
		return config_bad(p, p->line, "%s has no value", name);
	i = (size_t)(k - keys);
	if (p->count[i] >= (k->times == 0 ? 1 : k->times)) {
		if (k->times > 1)
			return config_bad(p, p->line,
					  "%s is given more than %u times",
					  name, k->times);
		return config_bad(p, p->line,
				  "%s is given twice, first in line %u", name,
				  p->at[i]);
	}
	p->count[i]++;
	p->at[i] = p->line;
	return k->set(p, k, value);
}

int config_fallbacks(struct parse *p)
{
	char value[64];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys) && rc == 0; i++) {
		const struct key *k = &keys[i];

		if (p->count[i] > 0)
			continue;
		if (k->required)
			return config_bad(p, p->line, "key '%s' is missing",
					  k->name);
		if (k->fallback == NULL)
			continue;
		snprintf(value, sizeof(value), "%s", k->fallback);
		rc = k->set(p, k, value);
	}
	return rc;
}
