/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qdevice_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "util.h"

#define WITNESS_PREFIX "witness_"
#define REQUEST_TIMEOUT_MS 1000

void qdevice_config_init(struct qdevice_config *c)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->key_file, sizeof(c->key_file), "%s",
		 REMUS_CONFDIR "/witness.key");
	c->request_timeout_ms = REQUEST_TIMEOUT_MS;
	c->timing.vote_timeout_ms = 10000; /* corosync's own defaults */
	c->sync_timeout_ms = 30000;
}

static int add_witness(struct qdevice_config *c, const char *name,
		       const char *url, char *err, size_t err_bytes)
{
	struct witness_address *w = &c->witness[c->witnesses];

	if (c->witnesses == WITNESSES_MAX)
		return set_err(err, err_bytes, -EINVAL,
			       "more than %d witnesses", WITNESSES_MAX);
	if (!vm_name_ok(name) || !url_ok(url) || strlen(url) >= sizeof(w->url))
		return set_err(err, err_bytes, -EINVAL,
			       "a witness is NAME=http://ADDRESS:PORT (or "
			       "https:), not '%.64s=%.64s'",
			       name, url);
	for (unsigned int i = 0; i < c->witnesses; i++) {
		if (strcmp(c->witness[i].name, name) == 0)
			return set_err(err, err_bytes, -EINVAL,
				       "witness %s is given twice", name);
		if (strcmp(c->witness[i].url, url) == 0)
			return set_err(err, err_bytes, -EINVAL,
				       "%s is given twice, as %s and %s: one "
				       "would count for two",
				       url, c->witness[i].name, name);
	}
	strcpy(w->name, name);
	strcpy(w->url, url);
	c->witnesses++;
	return 0;
}

/* "w1=http://192.0.2.7:7071 w2=..." */
static int add_witnesses(struct qdevice_config *c, const char *value, char *err,
			 size_t err_bytes)
{
	char *copy = strdup(value), *save = NULL;
	int rc = copy == NULL ? -ENOMEM : 0;

	if (rc < 0)
		return set_err(err, err_bytes, rc, "out of memory");
	for (char *word = strtok_r(copy, " \t,", &save);
	     word != NULL && rc == 0; word = strtok_r(NULL, " \t,", &save)) {
		char *eq = strchr(word, '=');

		if (eq != NULL)
			*eq = '\0';
		rc = add_witness(c, word, eq == NULL ? "" : eq + 1, err,
				 err_bytes);
	}
	free(copy);
	return rc;
}

static int set_text(char *out, size_t bytes, const char *key, const char *value,
		    char *err, size_t err_bytes)
{
	if (strlen(value) >= bytes)
		return set_err(err, err_bytes, -EINVAL, "%s is too long", key);
	strcpy(out, value);
	return 0;
}

static int set_path(char *out, const char *key, const char *value, char *err,
		    size_t err_bytes)
{
	if (value[0] != '/')
		return set_err(err, err_bytes, -EINVAL,
			       "%s must be a path from /, not '%.64s'", key,
			       value);
	return set_text(out, QDEVICE_PATH_MAX, key, value, err, err_bytes);
}

static int set_name(char out[VM_NAME_MAX + 1], const char *key,
		    const char *value, char *err, size_t err_bytes)
{
	if (!vm_name_ok(value))
		return set_err(err, err_bytes, -EINVAL,
			       "%s must be 1 to %d letters, digits, '-', '_' "
			       "or '.', not '%.64s'",
			       key, VM_NAME_MAX, value);
	return set_text(out, VM_NAME_MAX + 1, key, value, err, err_bytes);
}

static int set_ms(uint32_t *out, const char *key, const char *value,
		  uint32_t min, uint32_t max, char *err, size_t err_bytes)
{
	if (parse_ms(value, min, max, out) < 0)
		return set_err(err, err_bytes, -EINVAL,
			       "%s must be from %u to %u ms, not '%.64s'", key,
			       min, max, value);
	return 0;
}

int qdevice_config_set(struct qdevice_config *c, const char *key,
		       const char *value, char *err, size_t err_bytes)
{
	struct qdevice_timing *t = &c->timing;
	size_t prefix = strlen(WITNESS_PREFIX);

	if (strcmp(key, "witnesses") == 0)
		return add_witnesses(c, value, err, err_bytes);
	if (strncmp(key, WITNESS_PREFIX, prefix) == 0)
		return add_witness(c, key + prefix, value, err, err_bytes);
	if (strcmp(key, "key_file") == 0)
		return set_path(c->key_file, key, value, err, err_bytes);
	if (strcmp(key, "ca_file") == 0)
		return set_path(c->ca_file, key, value, err, err_bytes);
	if (strcmp(key, "node") == 0)
		return set_name(c->node, key, value, err, err_bytes);
	if (strcmp(key, "cluster") == 0)
		return set_name(c->cluster, key, value, err, err_bytes);
	if (strcmp(key, "request_timeout") == 0)
		return set_ms(&c->request_timeout_ms, key, value, 50, 10000,
			      err, err_bytes);
	if (strcmp(key, "lease") == 0)
		return set_ms(&t->lease_ms, key, value, 500, 60000, err,
			      err_bytes);
	if (strcmp(key, "interval") == 0)
		return set_ms(&t->interval_ms, key, value, 50, 10000, err,
			      err_bytes);
	if (strcmp(key, "ring_wait") == 0)
		return set_ms(&t->ring_wait_ms, key, value, 100, 60000, err,
			      err_bytes);
	return -ENOENT;
}

int qdevice_config_finish(struct qdevice_config *c, char *err, size_t err_bytes)
{
	struct qdevice_timing *t = &c->timing;
	uint32_t half = c->sync_timeout_ms / 2;

	if (c->witnesses == 0)
		return set_err(err, err_bytes, -EINVAL,
			       "no witnesses: give witnesses="
			       "\"NAME=http://ADDRESS:PORT ...\"");
	if (!vm_name_ok(c->node))
		return set_err(err, err_bytes, -EINVAL,
			       "this node's name '%.64s' cannot be one to the "
			       "witnesses: give node=NAME",
			       c->node);
	if (!vm_name_ok(c->cluster))
		return set_err(err, err_bytes, -EINVAL,
			       "the cluster's name '%.64s' cannot be one to "
			       "the witnesses: give cluster=NAME",
			       c->cluster);
	if (c->timing.vote_timeout_ms > 30000)
		return set_err(err, err_bytes, -EINVAL,
			       "quorum.device.timeout (%u ms) is more than "
			       "30000 ms",
			       t->vote_timeout_ms);
	if (t->lease_ms == 0)
		t->lease_ms = 2 * t->vote_timeout_ms;
	if (t->interval_ms == 0)
		t->interval_ms = t->vote_timeout_ms / 5;
	if (t->ring_wait_ms == 0)
		t->ring_wait_ms = half < QDEVICE_SYNC_WAIT_MS
					  ? half
					  : QDEVICE_SYNC_WAIT_MS;
	/* Two answers must fit in: the bid's, and the lease's that follows. */
	t->bid_ms = 2 * c->request_timeout_ms;
	if (t->bid_ms < 500)
		t->bid_ms = 500;
	if (t->bid_ms >= t->lease_ms)
		t->bid_ms = t->lease_ms - 1;
	return qdevice_timing_check(t, c->sync_timeout_ms, err, err_bytes);
}
