/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_node.c - the life of a node: its disk, its start, its end, and the
 * commands that the operator gives to it (ipc.h). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "util.h"

struct node nodes[2];

static struct ipc_request *requests;

struct node *node_of_loop(qb_loop_t *loop)
{
	return (struct node *)(void *)loop;
}

bool frozen(const struct node *n)
{
	return n->frozen_until > world.now;
}

bool effect(struct node *n)
{
	if (n->crashed)
		return false;
	if (n->crash_in == 0 || --n->crash_in > 0)
		return true;
	n->crashed = true;
	return false;
}

/* ---- the disk ---- */

int __wrap_ticket_load(struct ticket *t, const char *path, char *err,
		       size_t err_bytes);
int __wrap_ticket_store(const struct ticket *t, const char *path, char *err,
			size_t err_bytes);

static struct node *node_of_path(const char *path)
{
	return &nodes[path[0] == 'b'];
}

int __wrap_ticket_load(struct ticket *t, const char *path, char *err,
		       size_t err_bytes)
{
	(void)err;
	(void)err_bytes;
	*t = node_of_path(path)->disk;
	return 0;
}

int __wrap_ticket_store(const struct ticket *t, const char *path, char *err,
			size_t err_bytes)
{
	struct node *n = node_of_path(path);
	bool dead = n->crashed;
	char str[TICKET_STR_MAX];

	if (!effect(n)) {
		/* A crash while storing leaves the old or the new. */
		if (!dead && one_in(2))
			n->disk = *t;
		return 0;
	}
	if (world.faults && one_in(world.k.disk_fails))
		return set_err(err, err_bytes, -ENOSPC, "%s: disk full", path);
	say("%s: stores ticket %s of generation %llu", n->name,
	    ticket_to_str(t, str, sizeof(str)),
	    (unsigned long long)t->generation);
	n->disk = *t;
	return 0;
}

/* ---- commands ---- */

struct ipc_server {
	struct node *node;
};

int ipc_server_start(struct ipc_server **out, qb_loop_t *loop, const char *vm,
		     gid_t group, ipc_handler handler, void *ctx, char *err,
		     size_t err_bytes)
{
	(void)vm;
	(void)group;
	(void)handler; /* command() calls it */
	(void)ctx;
	(void)err;
	(void)err_bytes;
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		abort();
	(*out)->node = node_of_loop(loop);
	return 0;
}

static void reply(struct ipc_request *req, bool ok, const char *error)
{
	if (req->answered) {
		violate("ipc: \"%s\" on %s is answered twice", req->cmd,
			req->node->name);
		return;
	}
	req->answered = true;
	req->ok = ok;
	snprintf(req->error, sizeof(req->error), "%s", error);
	say("%s: %s: %s%s", req->node->name, req->cmd, ok ? "ok" : "error: ",
	    error);
}

void ipc_server_stop(struct ipc_server *s)
{
	struct ipc_request *r;

	if (s == NULL)
		return;
	for (r = requests; r != NULL; r = r->next)
		if (r->node == s->node && r->life == s->node->life &&
		    !r->answered)
			reply(r, false, "remusd ends");
	free(s);
}

void ipc_reply_ok(struct ipc_request *req, json_t *more)
{
	json_decref(more);
	reply(req, true, "");
}

void ipc_reply_error(struct ipc_request *req, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply(req, false, text);
}

void command(struct node *n, const char *cmd, json_t *args)
{
	struct ipc_request *r = calloc(1, sizeof(*r));
	char *text;

	if (args == NULL)
		args = json_object();
	text = json_dumps(args, JSON_COMPACT);
	if (r == NULL || text == NULL)
		abort();
	say("operator: %s on %s %s", cmd, n->name, text);
	free(text);
	snprintf(r->cmd, sizeof(r->cmd), "%s", cmd);
	r->node = n;
	r->life = n->life;
	r->next = requests;
	requests = r;
	n->last = r;
	vm_command(n->vm, r, cmd, args);
	json_decref(args);
}

void requests_check(void)
{
	for (struct ipc_request *r = requests; r != NULL; r = r->next)
		if (!r->answered)
			violate("ipc: \"%s\" on %s was never answered", r->cmd,
				r->node->name);
}

void requests_clear(void)
{
	while (requests != NULL) {
		struct ipc_request *r = requests;

		requests = r->next;
		free(r);
	}
	nodes[0].last = nodes[1].last = NULL;
}

/* ---- start and end ---- */

const struct driver_ops *__wrap_driver_find(const char *name);
const struct gate_ops *__wrap_gate_find(const char *name);

const struct driver_ops *__wrap_driver_find(const char *name)
{
	(void)name;
	return &sim_driver_ops;
}

const struct gate_ops *__wrap_gate_find(const char *name)
{
	(void)name;
	return &sim_gate_ops;
}

static struct vm_config *config_of(const struct node *n)
{
	struct vm_config *c = calloc(1, sizeof(*c));
	const struct knobs *k = &world.k;

	if (c == NULL)
		abort();
	strcpy(c->name, "vm");
	c->path = strdup("vm.conf");
	c->driver = strdup("fake");
	c->arbiter = strdup("operator");
	c->gate = strdup("fake");
	c->tap = strdup("tap");
	c->state_dir = strdup(n->name);
	c->memory_bytes = k->npages * REMUS_PAGE_SIZE;
	c->gate_queue_bytes = k->gate_queue_bytes;
	strcpy(c->node[0].name, "a");
	strcpy(c->node[1].name, "b");
	c->interval_ms = k->interval_ms;
	c->max_in_flight = k->max_in_flight;
	c->capture_bytes = k->capture_bytes;
	c->cache_bytes = k->cache_bytes;
	c->compression = k->compression;
	c->link_timeout_ms = k->link_timeout_ms;
	c->heartbeat_ms = k->link_timeout_ms / 4;
	c->shutdown_timeout_ms = k->link_timeout_ms;
	return c;
}

void node_start(struct node *n)
{
	char err[512] = "";
	int rc;

	n->life++;
	n->crashed = n->host_crash = n->stopped = false;
	n->frozen_until = n->restart_at = n->last_job_at = 0;
	n->jobs = 0;
	say("%s: starts", n->name);
	rc = vm_new(&n->vm, config_of(n), n->id, (qb_loop_t *)(void *)n, err,
		    sizeof(err));
	if (rc < 0) {
		n->vm = NULL;
		if (!n->crashed)
			violate("%s does not start: %s", n->name, err);
	}
}

static void reap(struct node *n)
{
	bool crashed = n->crashed;

	say("%s: %s", n->name,
	    !crashed	      ? "ends"
	    : n->host_crash   ? "host crash"
			      : "process crash");
	world.n->crashes += crashed;
	n->crash_in = 0;
	n->crashed = true; /* nobody hears what vm_free() says */
	vm_free(n->vm);
	n->vm = NULL;
	net_node_gone(n);
	if (!crashed && n->jobs > 0)
		violate("%s: %u timers or jobs outlive their owner", n->name,
			n->jobs);
	n->restart_at = world.now + rnd_in(50 * MS, 3 * SEC);
}

void nodes_reap(void)
{
	for (int i = 0; i < 2; i++)
		if (nodes[i].vm != NULL &&
		    (nodes[i].crashed || nodes[i].stopped))
			reap(&nodes[i]);
}

void nodes_reset(void)
{
	for (int i = 0; i < 2; i++) {
		struct node *n = &nodes[i];

		if (n->vm != NULL) {
			n->crashed = true;
			vm_free(n->vm);
		}
		memset(n, 0, sizeof(*n));
		n->id = i;
		n->name = i == 0 ? "a" : "b";
	}
}
