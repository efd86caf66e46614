/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask.c - ask one witness as a node does, through witness_client.
 *
 *	ask NAME URL KEYFILE NODE PATH JSON [TIMES]
 *		prints "RC BODY" or "RC WHY", a line for each of TIMES requests,
 *		which are sent at once; REMUS_CA: file, for https
 *	ask --head NAME KEYFILE NODE PATH BODY [SECONDS]
 *		prints the value of Remus-Auth for such a request, signed
 *		SECONDS from now
 */
#include <errno.h>
#include <qb/qbloop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_file.h"
#include "witness_auth.h"
#include "witness_client.h"

static qb_loop_t *loop;
static int left;

static void on_answer(void *ctx, unsigned int witness, int rc,
		      const json_t *body, const char *why)
{
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);

	(void)ctx;
	(void)witness;
	printf("%d %s\n", rc, text != NULL ? text : why);
	free(text);
	if (--left == 0)
		qb_loop_stop(loop);
}

static int ask(char **arg, int times)
{
	struct witness_client_config c = {
		.self = arg[3], .witnesses = 1, .key_file = arg[2],
		.timeout_ms = 5000, .ca_file = getenv("REMUS_CA"),
	};
	struct witness_client *client;
	json_t *body = json_loads(arg[5], 0, NULL);
	char err[256];
	int rc = 0;

	snprintf(c.witness[0].name, sizeof(c.witness[0].name), "%s", arg[0]);
	snprintf(c.witness[0].url, sizeof(c.witness[0].url), "%s", arg[1]);
	loop = qb_loop_create();
	if (body == NULL ||
	    witness_client_new(&client, &c, loop, err, sizeof(err)) < 0) {
		fprintf(stderr, "ask: %s\n", body == NULL ? "no JSON" : err);
		return 2;
	}
	for (int i = 0; i < times && rc == 0; i++) {
		rc = witness_client_post(client, 0, arg[4], body, on_answer,
					 NULL);
		left += rc == 0;
	}
	if (rc < 0)
		printf("%d post: %s\n", rc, strerror(-rc));
	if (left > 0)
		qb_loop_run(loop);
	witness_client_free(client);
	json_decref(body);
	qb_loop_destroy(loop);
	return 0;
}

static int head(char **arg, long seconds)
{
	char header[WITNESS_AUTH_MAX], err[256];
	struct witness_auth a;
	struct witness_key key;

	if (key_file_read(arg[1], key.bytes, &key.count, err, sizeof(err)) <
		    0 ||
	    witness_auth_new(&a, arg[2], arg[0]) < 0)
		return 2;
	a.time_ms += (uint64_t)(seconds * 1000);
	if (witness_auth_sign(&a, &key, "POST", arg[3], arg[4],
			      strlen(arg[4])) < 0)
		return 2;
	witness_auth_to_header(&a, header);
	puts(header);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 7 && strcmp(argv[1], "--head") == 0)
		return head(argv + 2, argc > 7 ? atol(argv[7]) : 0);
	if (argc >= 7)
		return ask(argv + 1, argc > 7 ? atoi(argv[7]) : 1);
	fputs("usage: see the source\n", stderr);
	return 2;
}
