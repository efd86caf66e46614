/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "witness.h"

#include <errno.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "witness_message.h"
#include "witness_client.h"
#include "witness_priv.h"

/* Between two ticks; more means that we were frozen or blocked, and reports
 * that came meanwhile have not been read. */
#define BLINK_MS 500

/* Each: the answer, or NULL with *status and a line in call->why. */
typedef json_t *(*handler)(struct witness_call *call, unsigned int *status);

const struct ticket *watched_ticket(const struct watched *v)
{
	return v->acceptor.stored.accepted.n == 0 ? NULL
						  : &v->acceptor.stored.value;
}

json_t *witness_refuse(struct witness_call *call, unsigned int *status,
		      unsigned int with, const char *why)
{
	*status = with;
	if (why != NULL)
		snprintf(call->why, sizeof(call->why), "%s", why);
	return NULL;
}

static struct watched *find_vm(struct witness *w, const char *name)
{
	for (unsigned int i = 0; i < w->c->vms; i++) {
		if (strcmp(w->c->vm[i].name, name) == 0)
			return &w->vm[i];
	}
	return NULL;
}

static int find_node(const struct witness *w, const char *name)
{
	for (unsigned int i = 0; i < w->c->nodes; i++) {
		if (strcmp(w->c->node[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

/* ---- /v1/ticket ---- */

static bool is_its_node(const struct watched *v, const char *name)
{
	return strcmp(v->evidence.node[0], name) == 0 ||
	       strcmp(v->evidence.node[1], name) == 0;
}

/* Names that are not of this machine must not come into its register. */
static const char *names_are_wrong(const struct watched *v,
				   const struct ticket_message *m)
{
	bool may_ask = m->question != TICKET_RENEW &&
		       (m->purpose == TICKET_FOR_READ ||
			m->purpose == TICKET_FOR_FENCE);

	if (!may_ask && !is_its_node(v, m->from))
		return "from: not a node of this vm";
	if (m->target[0] != '\0' && !is_its_node(v, m->target))
		return "target: not a node of this vm";
	if ((m->value.holder[0] != '\0' &&
	     !is_its_node(v, m->value.holder)) ||
	    (m->value.backup[0] != '\0' && !is_its_node(v, m->value.backup)))
		return "value: names who is not a node of this vm";
	return NULL;
}

/* The answer leaves when this has returned 0, and not otherwise. */
static int keep(struct witness_call *call, struct watched *v)
{
	struct witness *w = call->w;
	int rc = w->disk.save(w->disk.ctx, v->config->name, &v->acceptor,
			      call->why, sizeof(call->why));

	if (rc < 0 && !w->disk_failed)
		qb_log(LOG_ERR, "%s; requests are refused until it can",
		       call->why);
	else if (rc == 0 && w->disk_failed)
		qb_log(LOG_NOTICE, "%s: stored again", v->config->name);
	w->disk_failed = rc < 0;
	return rc;
}

static void log_ticket(struct witness_call *call, struct watched *v,
		       const struct ticket_message *m,
		       const struct ticket_answer *a)
{
	char str[TICKET_STR_MAX];

	if (a->reply == TICKET_ACCEPTED) {
		qb_log(LOG_NOTICE, "%s: %s: %s of generation %llu accepted",
		       m->vm, m->from,
		       ticket_to_str(&m->value, str, sizeof(str)),
		       (unsigned long long)m->value.generation);
	} else if (a->reply == TICKET_REFUSED_SEEN &&
		   call->now_ms - v->logged_ms >= 1000) {
		v->logged_ms = call->now_ms;
		qb_log(LOG_NOTICE, "%s: %s: no promise for %s: %s", m->vm,
		       m->from, ticket_purpose_to_str(m->purpose), a->why);
	}
}

static json_t *on_ticket(struct witness_call *call, unsigned int *status)
{
	char seen_why[EVIDENCE_WHY_MAX];
	struct ticket_evidence seen = { .why = seen_why };
	struct ticket_acceptor before;
	struct ticket_message m;
	struct ticket_answer a;
	struct watched *v;
	const char *wrong;
	bool store;

	if (ticket_message_from_json(&m, call->body, call->why,
				     sizeof(call->why)) < 0)
		return witness_refuse(call, status, 400, NULL);
	if (strcmp(m.from, call->auth->node) != 0)
		return witness_refuse(call, status, 400, "from: not who signed");
	v = find_vm(call->w, m.vm);
	if (v == NULL)
		return witness_refuse(call, status, 400, "vm: not known here");
	wrong = names_are_wrong(v, &m);
	if (wrong != NULL)
		return witness_refuse(call, status, 400, wrong);
	seen.seen = evidence_against(&v->evidence, &m, watched_ticket(v),
				     call->now_ms, seen_why);
	before = v->acceptor;
	ticket_acceptor_on(&v->acceptor, &m, &seen, call->now_ms,
			   call->w->c->lease_max_ms, &a, &store);
	if (store && keep(call, v) < 0) {
		v->acceptor = before;
		return witness_refuse(call, status, 503, NULL);
	}
	if (store || a.reply == TICKET_REFUSED_SEEN)
		log_ticket(call, v, &m, &a);
	return ticket_answer_to_json(&a);
}

/* ---- /v1/alive ---- */

static json_t *on_alive(struct witness_call *call, unsigned int *status)
{
	struct evidence_report r = { 0 };
	char name[VM_NAME_MAX + 1];
	const json_t *o = call->body;
	size_t n = sizeof(call->why);
	struct watched *v;

	if (member_name(o, "vm", false, name, call->why, n) < 0 ||
	    member_text(o, "role", r.role, sizeof(r.role), call->why, n) < 0 ||
	    member_text(o, "state", r.state, sizeof(r.state), call->why, n) <
		    0 ||
	    member_uint(o, "generation", 0, TICKET_GENERATION_MAX,
			&r.generation, call->why, n) < 0 ||
	    member_bool(o, "serving", &r.serving, call->why, n) < 0 ||
	    member_bool(o, "ceased", &r.ceased, call->why, n) < 0)
		return witness_refuse(call, status, 400, NULL);
	v = find_vm(call->w, name);
	if (v == NULL)
		return witness_refuse(call, status, 400, "vm: not known here");
	if (evidence_reported(&v->evidence, call->auth->node, &r,
			      call->now_ms) < 0)
		return witness_refuse(call, status, 400, "not a node of this vm");
	return json_pack("{s:o}", "ticket",
			 ticket_to_json(&v->acceptor.stored.value));
}

/* ---- /v1/evidence ---- */

static json_t *on_evidence(struct witness_call *call, unsigned int *status)
{
	char only[VM_NAME_MAX + 1];

	if (member_name(call->body, "vm", true, only, call->why,
			sizeof(call->why)) < 0)
		return witness_refuse(call, status, 400, NULL);
	if (only[0] != '\0' && find_vm(call->w, only) == NULL)
		return witness_refuse(call, status, 400, "vm: not known here");
	return witness_view(call->w, only, call->now_ms);
}

/* ---- requests ---- */

static const struct {
	const char *path;
	handler on;
} paths[] = {
	{ "/v1/ticket", on_ticket },
	{ "/v1/alive", on_alive },
	{ "/v1/vote", witness_on_vote },
	{ "/v1/evidence", on_evidence },
};

static handler find_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (strcmp(paths[i].path, path) == 0)
			return paths[i].on;
	}
	return NULL;
}

static unsigned int deny(unsigned int status, const char *text,
			 const char **why)
{
	*why = text;
	return status;
}

unsigned int witness_head(const struct witness *w, const char *method,
			  const char *path, int64_t body_bytes,
			  const char *header, struct witness_now now,
			  struct witness_auth *a, const char **why)
{
	uint64_t off;

	if (find_path(path) == NULL)
		return deny(404, "no such path", why);
	if (strcmp(method, "POST") != 0)
		return deny(405, "only POST", why);
	if (body_bytes < 0)
		return deny(411, "no Content-Length", why);
	if (body_bytes > WITNESS_BODY_MAX)
		return deny(413, "body is too long", why);
	if (header == NULL || witness_auth_from_header(a, header) < 0)
		return deny(401, "no signature", why);
	if (find_node(w, a->node) < 0)
		return deny(401, "unknown node", why);
	if (strcmp(a->witness, w->c->name) != 0)
		return deny(403, "meant for another witness", why);
	off = a->time_ms > now.wall_ms ? a->time_ms - now.wall_ms
				       : now.wall_ms - a->time_ms;
	if (off > w->c->time_window_ms)
		return deny(403, "the clocks differ by more than time_window",
			    why);
	if (a->time_ms < w->started_wall_ms)
		return deny(403, "signed before this witness started", why);
	return 0;
}

void witness_refusal(struct witness_reply *reply, unsigned int status,
		     const char *why)
{
	json_t *o = json_pack("{s:s}", "error", why);

	memset(reply, 0, sizeof(*reply));
	reply->status = status;
	reply->body = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	json_decref(o);
}

/* 0, or the status: the nonce of this node was seen, or too many were. */
static unsigned int take_nonce(struct witness_call *call)
{
	struct witness *w = call->w;
	struct nonces **n = &w->nonces[call->node];
	int rc;

	if (*n == NULL)
		*n = nonces_new();
	if (*n == NULL)
		return 503;
	rc = nonces_add(*n, call->auth->nonce, call->now_ms,
			call->now_ms + 2 * w->c->time_window_ms);
	if (rc == -EEXIST)
		snprintf(call->why, sizeof(call->why), "repeated");
	else if (rc < 0)
		snprintf(call->why, sizeof(call->why), "too many requests");
	return rc == 0 ? 0 : rc == -EEXIST ? 403 : 429;
}

static json_t *answer(struct witness_call *call, handler on, const char *body,
		      size_t bytes, unsigned int *status)
{
	json_t *o, *result;

	*status = take_nonce(call);
	if (*status != 0)
		return NULL;
	o = witness_json_parse(body, bytes, call->why, sizeof(call->why));
	if (o == NULL)
		return witness_refuse(call, status, 400, NULL);
	call->body = o;
	*status = 200;
	result = on(call, status);
	json_decref(o);
	if (result == NULL && *status == 200)
		return witness_refuse(call, status, 503, "out of memory");
	return result;
}

void witness_request(struct witness *w, const char *path,
		     const struct witness_auth *a, const char *body,
		     size_t bytes, struct witness_now now,
		     struct witness_reply *reply)
{
	struct witness_call call = { .w = w, .auth = a, .now_ms = now.boot_ms };
	handler on = find_path(path);
	int node = find_node(w, a->node);
	unsigned int status;
	json_t *o;

	if (on == NULL || node < 0 ||
	    witness_auth_check(a, &w->c->key, "POST", path, body, bytes) < 0) {
		witness_refusal(reply, 401, "wrong signature");
		return;
	}
	call.node = (unsigned int)node;
	o = answer(&call, on, body, bytes, &status);
	if (o == NULL)
		witness_refusal(reply, status, call.why);
	else
		*reply = (struct witness_reply){
			.status = 200, .body = json_dumps(o, JSON_COMPACT)
		};
	json_decref(o);
	if (reply->body != NULL &&
	    witness_auth_answer(a, &w->c->key, reply->status, reply->body,
				strlen(reply->body), reply->auth) < 0)
		reply->auth[0] = '\0';
}

/* ---- the witness ---- */

void witness_tick(struct witness *w, uint64_t boot_ms)
{
	if (boot_ms - w->ticked_ms > BLINK_MS) {
		qb_log(LOG_NOTICE, "could not look for %llu ms",
		       (unsigned long long)(boot_ms - w->ticked_ms));
		for (unsigned int i = 0; i < w->c->vms; i++)
			evidence_blinked(&w->vm[i].evidence, boot_ms);
	}
	w->ticked_ms = boot_ms;
}

struct evidence *witness_evidence(struct witness *w, unsigned int i)
{
	return &w->vm[i].evidence;
}

static int start_vm(struct witness *w, unsigned int i, uint64_t now_ms,
		    char *err, size_t err_bytes)
{
	const struct witness_vm *c = &w->c->vm[i];
	struct watched *v = &w->vm[i];
	int rc;

	v->config = c;
	evidence_init(&v->evidence, w->c->node[c->node[0]].name,
		      w->c->node[c->node[1]].name, w->c->probe_interval_ms,
		      w->c->probe_timeout_ms, now_ms);
	v->evidence.probes = c->probes;
	for (unsigned int j = 0; j < c->probes; j++)
		v->evidence.probe[j].text = c->probe[j].text;
	rc = w->disk.load(w->disk.ctx, c->name, &v->acceptor, err, err_bytes);
	if (rc == 0)
		ticket_acceptor_restart(&v->acceptor, now_ms,
					w->c->lease_max_ms);
	return rc;
}

int witness_new(struct witness **out, const struct witness_config *c,
		const struct witness_disk *disk, struct witness_now now,
		char *err, size_t err_bytes)
{
	struct witness *w = calloc(1, sizeof(*w));
	int rc = 0;

	*out = NULL;
	if (w == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	w->c = c;
	w->disk = *disk;
	w->started_boot_ms = w->ticked_ms = now.boot_ms;
	w->started_wall_ms = now.wall_ms;
	vote_lease_init(&w->vote, c->vote_lease_max_ms, now.boot_ms);
	for (unsigned int i = 0; i < c->vms && rc == 0; i++)
		rc = start_vm(w, i, now.boot_ms, err, err_bytes);
	if (rc < 0)
		witness_free(w);
	else
		*out = w;
	return rc;
}

void witness_free(struct witness *w)
{
	if (w == NULL)
		return;
	for (unsigned int i = 0; i < WITNESS_NODES_MAX; i++)
		nonces_free(w->nonces[i]);
	free(w);
}
