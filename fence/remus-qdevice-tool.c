/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remus-qdevice-tool.c - ask remus-qdevice how it stands.
 *
 * Exit codes: 0 it answered; 1 it did not; 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "ipc.h"
#include "log.h"
#include "qdevice_status.h"

#define TIMEOUT_MS 3000

static void usage(FILE *to)
{
	fputs("usage: remus-qdevice-tool [--json] [status]\n"
	      "  -j, --json     as JSON\n"
	      "  -V, --version\n"
	      "See remus-qdevice(8).\n",
	      to);
}

/* ipc.h's words are of VMs. */
static int ask(json_t **reply, char *err, size_t err_bytes)
{
	json_t *request = json_pack("{s:s}", "cmd", "status");
	struct ipc_client *c = NULL;
	int rc;

	rc = ipc_connect(&c, QDEVICE_IPC_NAME, TIMEOUT_MS, err, err_bytes);
	if (rc == 0)
		rc = ipc_call(c, request, TIMEOUT_MS, reply, err, err_bytes);
	ipc_disconnect(c);
	json_decref(request);
	switch (rc) {
	case 0: break;
	case -ENOENT:
		snprintf(err, err_bytes, "no remus-qdevice runs on this node");
		break;
	case -EACCES:
		snprintf(err, err_bytes,
			 "you may not talk to the remus-qdevice of this node");
		break;
	case -ETIMEDOUT:
		snprintf(err, err_bytes,
			 "the remus-qdevice of this node does not answer");
		break;
	default:
		snprintf(err, err_bytes, "remus-qdevice: %s", strerror(-rc));
	}
	return rc;
}

static int status(bool as_json)
{
	char err[256] = "";
	json_t *reply = NULL;
	int rc = ask(&reply, err, sizeof(err));

	if (rc == 0 && as_json) {
		json_object_del(reply, "ok");
		json_dumpf(reply, stdout, JSON_INDENT(2));
		puts("");
	} else if (rc == 0) {
		rc = qdevice_status_print(reply, stdout);
		if (rc < 0)
			snprintf(err, sizeof(err), "remus-qdevice's answer "
						   "makes no sense");
	}
	json_decref(reply);
	if (rc < 0)
		fprintf(stderr, "remus-qdevice-tool: %s\n", err);
	return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool as_json = false;
	int c, rc;

	while ((c = getopt_long(argc, argv, "jVh", longs, NULL)) != -1) {
		switch (c) {
		case 'j': as_json = true; break;
		case 'V': puts("remus-qdevice-tool " PACKAGE_VERSION); return 0;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	}
	if (optind < argc &&
	    (optind + 1 < argc || strcmp(argv[optind], "status") != 0)) {
		usage(stderr);
		return 2;
	}
	log_init("remus-qdevice-tool", true, -1);
	rc = status(as_json);
	log_fini();
	return rc;
}
