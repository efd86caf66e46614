/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_config.h - remus-witness.conf(5).  A file that is wrong in any way is
 * refused as a whole, with one line "FILE:LINE: what is wrong".
 */
#ifndef REMUS_WITNESS_CONFIG_H
#define REMUS_WITNESS_CONFIG_H

#include <stdint.h>

#include "vm_config.h"
#include "vote_lease.h"
#include "witness_auth.h"
#include "witness_evidence.h"

#define WITNESS_PORT_DEFAULT 7071
#define WITNESS_LISTEN_MAX 4
#define WITNESS_NODES_MAX 32
#define WITNESS_VMS_MAX 32

enum probe_kind { PROBE_TCP, PROBE_HTTP, PROBE_ICMP, PROBE_COMMAND };

struct probe_config {
	enum probe_kind kind;
	char *text;	     /* as it was given */
	struct vm_node addr; /* tcp, icmp */
	char **argv;	     /* command */
};

struct witness_node {
	char name[VM_NAME_MAX + 1];
	uint32_t id; /* 0: has no vote */
};

struct witness_vm {
	char name[VM_NAME_MAX + 1];
	unsigned int node[2]; /* indices */
	struct probe_config probe[EVIDENCE_PROBES_MAX];
	unsigned int probes;
};

struct witness_config {
	char *path;
	char name[VM_NAME_MAX + 1];
	char cluster[VM_NAME_MAX + 1]; /* "": any */
	char *state_dir, *key_file;
	struct vm_node listen[WITNESS_LISTEN_MAX];
	unsigned int listens;
	uint32_t lease_max_ms, vote_lease_max_ms, time_window_ms;
	uint32_t probe_interval_ms, probe_timeout_ms;
	char *tls_certificate, *tls_key; /* NULL: not given */
	struct witness_node node[WITNESS_NODES_MAX];
	unsigned int nodes;
	struct witness_vm vm[WITNESS_VMS_MAX];
	unsigned int vms;
	struct witness_key key;
};

/* `key_file`: instead of the file's, or NULL.  0, or -errno with a line. */
int witness_config_load(struct witness_config **out, const char *path,
			const char *key_file, char *err, size_t err_bytes);
void witness_config_free(struct witness_config *c);

#endif
