/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_witness.c - any bytes as a request to a witness: the first one picks
 * the path, the rest is the body.  It comes as the head of a request first
 * (without a right signature nothing may happen), then rightly signed, to a
 * witness that has been running for a while, then is read as a witness's
 * answer.  What is answered must be JSON, and, where it is a ticket's, be read
 * back.
 */
#include <stdlib.h>
#include <string.h>

#include "../../fence/witness.h"
#include "witness_client.h"
#include "witness_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WALL 1700000000000u

static const char *const paths[] = { "/v1/ticket", "/v1/alive", "/v1/vote",
				     "/v1/evidence" };

static int load(void *ctx, const char *vm, struct ticket_acceptor *a, char *err,
		size_t err_bytes)
{
	(void)ctx;
	(void)vm;
	(void)err;
	(void)err_bytes;
	memset(a, 0, sizeof(*a));
	return 0;
}

static int save(void *ctx, const char *vm, const struct ticket_acceptor *a,
		char *err, size_t err_bytes)
{
	(void)ctx;
	(void)vm;
	(void)a;
	(void)err;
	(void)err_bytes;
	return 0;
}

static struct witness *make(const struct witness_config *c)
{
	static const struct witness_disk disk = { load, save, NULL };
	struct witness *w;
	char err[256];

	if (witness_new(&w, c, &disk, (struct witness_now){ 1000, WALL }, err,
			sizeof(err)) < 0)
		abort();
	return w;
}

static const struct witness_config *config(void)
{
	static struct witness_config c = {
		.name = "w1", .nodes = 2, .vms = 1, .lease_max_ms = 10000,
		.vote_lease_max_ms = 500, .time_window_ms = 30000,
		.probe_interval_ms = 250, .probe_timeout_ms = 1000,
		.node = { { "alpha", 1 }, { "beta", 2 } },
		.vm = { { .name = "web", .node = { 0, 1 } } },
		.key = { .count = 32 },
	};

	return &c;
}

static void look_at(const struct witness_reply *r, const char *path)
{
	struct ticket_answer a;
	json_t *o;

	if (r->body == NULL)
		return;
	o = witness_json_parse(r->body, strlen(r->body), NULL, 0);
	if (o == NULL)
		abort();
	if (r->status == 200 && strcmp(path, "/v1/ticket") == 0 &&
	    ticket_answer_from_json(&a, o, NULL, 0) < 0)
		abort();
	json_decref(o);
}

static void as_head(struct witness *w, const char *path, const char *body,
		    size_t size, struct witness_now now)
{
	char *header = strndup(body, size);
	struct witness_reply r = { 0 };
	struct witness_auth a;
	const char *why;

	if (header != NULL &&
	    witness_head(w, "POST", path, (int64_t)size, header, now, &a,
			 &why) == 0) {
		witness_request(w, path, &a, body, size, now, &r);
		if (r.status != 401)
			abort();
		free(r.body);
	}
	free(header);
}

static void as_request(struct witness *w, const char *path, const char *body,
		       size_t size, struct witness_now now)
{
	struct witness_reply r = { 0 };
	struct witness_auth a;

	if (witness_auth_new(&a, "beta", "w1") < 0)
		return;
	a.time_ms = now.wall_ms;
	if (witness_auth_sign(&a, &config()->key, "POST", path, body, size) < 0)
		return;
	witness_request(w, path, &a, body, size, now, &r);
	look_at(&r, path);
	free(r.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct witness_now now = { 20000, WALL + 20000 };
	static struct witness *w;
	struct ticket_answer a;
	const char *body, *path;
	json_t *o;

	if (size < 1 || size > WITNESS_BODY_MAX)
		return 0;
	if (w == NULL)
		w = make(config());
	now.boot_ms += 10;
	now.wall_ms += 10;
	path = paths[data[0] % 4];
	body = (const char *)data + 1;
	as_head(w, path, body, size - 1, now);
	as_request(w, path, body, size - 1, now);
	o = witness_json_parse(body, size - 1, NULL, 0);
	if (o != NULL)
		(void)ticket_answer_from_json(&a, o, NULL, 0);
	json_decref(o);
	return 0;
}
