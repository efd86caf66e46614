/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qdevice_cluster.h"

#include <corosync/cmap.h>
#include <corosync/votequorum.h>
#include <errno.h>
#include <poll.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "util.h"

#define DEVICE "quorum.device."
#define OURS DEVICE QDEVICE_MODEL "."
#define RELOADING "config.reload_in_progress"
#define TRY_AGAIN_MS 100

struct qdevice_cluster {
	qb_loop_t *loop;
	const struct qdevice_cluster_events *events;
	void *ctx;
	votequorum_handle_t vq;
	cmap_handle_t cmap;
	cmap_track_handle_t track;
	int vq_fd, cmap_fd;
	bool have_vq, have_cmap, registered, is_lost;
	struct loop_soon tell_lost;
	char why[256];
};

static int to_errno(cs_error_t e)
{
	switch (e) {
	case CS_OK: return 0;
	case CS_ERR_TRY_AGAIN:
	case CS_ERR_MESSAGE_ERROR: /* poll: corosync is in another ring */
	case CS_ERR_TIMEOUT:
	case CS_ERR_INTERRUPT: return -EAGAIN;
	case CS_ERR_ACCESS: return -EACCES;
	case CS_ERR_NO_MEMORY: return -ENOMEM;
	case CS_ERR_EXIST: return -EEXIST;
	case CS_ERR_NOT_EXIST: return -ENOENT;
	default: return -ECONNREFUSED;
	}
}

/* Said from the loop: who called us is not done yet. */
static void say_lost(void *data)
{
	struct qdevice_cluster *c = data;

	c->events->lost(c->ctx, c->why);
}

static void lost(struct qdevice_cluster *c, const char *what, cs_error_t e)
{
	if (c->is_lost)
		return;
	c->is_lost = true;
	snprintf(c->why, sizeof(c->why), "%s: corosync: %s", what,
		 cs_strerror(e));
	loop_soon(&c->tell_lost);
}

/* ---- what corosync tells ---- */

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void on_nodes(votequorum_handle_t vq,
		     uint64_t context __attribute__((unused)),
		     votequorum_ring_id_t ring_id, uint32_t entries,
		     uint32_t node_list[])
{
	struct qdevice_cluster *c = NULL;
	struct qdevice_ring ring;
	void *at = NULL;

	if (votequorum_context_get(vq, &at) != CS_OK || at == NULL)
		return;
	c = at;
	memset(&ring, 0, sizeof(ring));
	ring.nodeid = ring_id.nodeid;
	ring.seq = ring_id.seq;
	if (entries > VOTE_NODES_MAX) {
		qb_log(LOG_ERR, "%u members: no witness votes for more than "
				"%d", entries, VOTE_NODES_MAX);
		entries = 0;
	}
	ring.members.count = entries;
	for (uint32_t i = 0; i < entries; i++)
		ring.members.id[i] = node_list[i];
	qsort(ring.members.id, entries, sizeof(ring.members.id[0]), by_id);
	c->events->ring(c->ctx, &ring);
}

static int32_t on_vq(int32_t fd __attribute__((unused)), int32_t revents,
		     void *data)
{
	struct qdevice_cluster *c = data;
	cs_error_t e;

	if ((revents & POLLIN) == 0) {
		lost(c, "votequorum", CS_ERR_LIBRARY);
		return -1;
	}
	e = votequorum_dispatch(c->vq, CS_DISPATCH_ALL);
	if (e != CS_OK && e != CS_ERR_TRY_AGAIN) {
		lost(c, "votequorum", e);
		return -1;
	}
	return 0;
}

static void on_reload(cmap_handle_t h __attribute__((unused)),
		      cmap_track_handle_t track __attribute__((unused)),
		      int32_t event __attribute__((unused)),
		      const char *key __attribute__((unused)),
		      struct cmap_notify_value now,
		      struct cmap_notify_value before __attribute__((unused)),
		      void *data)
{
	struct qdevice_cluster *c = data;

	if (now.type == CMAP_VALUETYPE_UINT8 && now.len == 1 &&
	    *(const uint8_t *)now.data == 0)
		c->events->reloaded(c->ctx);
}

static int32_t on_cmap(int32_t fd __attribute__((unused)), int32_t revents,
		       void *data)
{
	struct qdevice_cluster *c = data;
	cs_error_t e;

	if ((revents & POLLIN) == 0) {
		lost(c, "cmap", CS_ERR_LIBRARY);
		return -1;
	}
	e = cmap_dispatch(c->cmap, CS_DISPATCH_ALL);
	if (e != CS_OK && e != CS_ERR_TRY_AGAIN) {
		lost(c, "cmap", e);
		return -1;
	}
	return 0;
}

/* ---- opening ---- */

static cs_error_t connect_both(struct qdevice_cluster *c)
{
	votequorum_callbacks_t callbacks = {
		.votequorum_nodelist_notify_fn = on_nodes,
	};
	cs_error_t e = CS_OK;

	if (!c->have_cmap) {
		e = cmap_initialize(&c->cmap);
		c->have_cmap = e == CS_OK;
	}
	if (e == CS_OK && !c->have_vq) {
		e = votequorum_initialize(&c->vq, &callbacks);
		c->have_vq = e == CS_OK;
	}
	return e;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
			      .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static cs_error_t watch(struct qdevice_cluster *c)
{
	cs_error_t e = votequorum_context_set(c->vq, c);

	if (e == CS_OK)
		e = votequorum_fd_get(c->vq, &c->vq_fd);
	if (e == CS_OK)
		e = cmap_fd_get(c->cmap, &c->cmap_fd);
	if (e == CS_OK)
		e = cmap_track_add(c->cmap, RELOADING,
				   CMAP_TRACK_ADD | CMAP_TRACK_MODIFY,
				   on_reload, c, &c->track);
	if (e == CS_OK &&
	    (qb_loop_poll_add(c->loop, QB_LOOP_HIGH, c->vq_fd, POLLIN, c,
			      on_vq) < 0 ||
	     qb_loop_poll_add(c->loop, QB_LOOP_MED, c->cmap_fd, POLLIN, c,
			      on_cmap) < 0))
		e = CS_ERR_NO_MEMORY;
	return e;
}

int qdevice_cluster_open(struct qdevice_cluster **out, qb_loop_t *loop,
			 const struct qdevice_cluster_events *events, void *ctx,
			 unsigned int wait_ms, char *err, size_t err_bytes)
{
	uint64_t end = now_mono_ns() + (uint64_t)wait_ms * 1000000u;
	struct qdevice_cluster *c = calloc(1, sizeof(*c));
	cs_error_t e;

	*out = NULL;
	if (c == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	c->loop = loop;
	c->events = events;
	c->ctx = ctx;
	c->vq_fd = c->cmap_fd = -1;
	loop_soon_init(&c->tell_lost, loop, say_lost, c);
	while ((e = connect_both(c)) != CS_OK && now_mono_ns() < end)
		sleep_ms(TRY_AGAIN_MS);
	if (e == CS_OK)
		e = watch(c);
	if (e == CS_OK) {
		*out = c;
		return 0;
	}
	qdevice_cluster_close(c);
	return set_err(err, err_bytes, to_errno(e),
		       "no corosync with votequorum answers here: %s",
		       cs_strerror(e));
}

void qdevice_cluster_close(struct qdevice_cluster *c)
{
	if (c == NULL)
		return;
	loop_soon_cancel(&c->tell_lost);
	if (c->vq_fd >= 0)
		qb_loop_poll_del(c->loop, c->vq_fd);
	if (c->cmap_fd >= 0)
		qb_loop_poll_del(c->loop, c->cmap_fd);
	if (c->registered && !c->is_lost)
		votequorum_qdevice_unregister(c->vq, QDEVICE_MODEL);
	if (c->have_vq)
		votequorum_finalize(c->vq);
	if (c->have_cmap)
		cmap_finalize(c->cmap);
	free(c);
}

/* ---- the configuration ---- */

/* 1: there; 0: not there; -errno. */
static int get_text(struct qdevice_cluster *c, const char *key, char *out,
		    size_t bytes)
{
	char *text = NULL;
	cs_error_t e = cmap_get_string(c->cmap, key, &text);

	if (e != CS_OK)
		return e == CS_ERR_NOT_EXIST ? 0 : to_errno(e);
	snprintf(out, bytes, "%s", text);
	free(text);
	return 1;
}

/* corosync itself takes them as uint32, and complains of anything else. */
static void get_uint(struct qdevice_cluster *c, const char *key, uint32_t *out)
{
	uint32_t value;

	if (cmap_get_uint32(c->cmap, key, &value) == CS_OK)
		*out = value;
}

/* Our keys, each. */
static int get_ours(struct qdevice_cluster *c, struct qdevice_config *cfg,
		    char *err, size_t err_bytes)
{
	char key[CMAP_KEYNAME_MAXLEN + 1], value[1024];
	cmap_value_types_t type;
	cmap_iter_handle_t it;
	size_t bytes;
	int rc = 0;

	if (cmap_iter_init(c->cmap, OURS, &it) != CS_OK)
		return set_err(err, err_bytes, -EIO, "cmap does not answer");
	while (rc >= 0 &&
	       cmap_iter_next(c->cmap, it, key, &bytes, &type) == CS_OK) {
		const char *name = key + strlen(OURS);

		if (type != CMAP_VALUETYPE_STRING ||
		    get_text(c, key, value, sizeof(value)) <= 0)
			continue;
		rc = qdevice_config_set(cfg, name, value, err, err_bytes);
		if (rc == -ENOENT) {
			qb_log(LOG_WARNING, "%s%s: there is no such option",
			       OURS, name);
			rc = 0;
		}
	}
	cmap_iter_finalize(c->cmap, it);
	return rc;
}

/* This node's name in corosync.conf's nodelist. */
static void get_node_name(struct qdevice_cluster *c, uint32_t nodeid,
			  char out[VM_NAME_MAX + 1])
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	cmap_value_types_t type;
	cmap_iter_handle_t it;
	unsigned int at;
	size_t bytes;
	uint32_t id;
	int n = 0;

	out[0] = '\0';
	if (cmap_iter_init(c->cmap, "nodelist.node.", &it) != CS_OK)
		return;
	while (cmap_iter_next(c->cmap, it, key, &bytes, &type) == CS_OK) {
		if (sscanf(key, "nodelist.node.%u.nodei%n", &at, &n) != 1 ||
		    n == 0 || strcmp(key + n, "d") != 0 ||
		    cmap_get_uint32(c->cmap, key, &id) != CS_OK ||
		    id != nodeid)
			continue;
		snprintf(key, sizeof(key), "nodelist.node.%u.name", at);
		get_text(c, key, out, VM_NAME_MAX + 1);
		break;
	}
	cmap_iter_finalize(c->cmap, it);
	if (out[0] == '\0' && gethostname(out, VM_NAME_MAX + 1) == 0)
		out[VM_NAME_MAX] = '\0';
}

int qdevice_cluster_config(struct qdevice_cluster *c,
			   struct qdevice_config *cfg, char *err,
			   size_t err_bytes)
{
	char model[64] = "";
	int rc;

	qdevice_config_init(cfg);
	get_text(c, DEVICE "model", model, sizeof(model));
	if (strcmp(model, QDEVICE_MODEL) != 0)
		return set_err(err, err_bytes, -ENODEV,
			       "corosync.conf has no quorum device of model "
			       QDEVICE_MODEL "%s%s",
			       model[0] != '\0' ? ", but " : "", model);
	get_uint(c, DEVICE "timeout", &cfg->timing.vote_timeout_ms);
	get_uint(c, DEVICE "sync_timeout", &cfg->sync_timeout_ms);
	get_uint(c, "runtime.votequorum.this_node_id", &cfg->nodeid);
	get_node_name(c, cfg->nodeid, cfg->node);
	get_text(c, "totem.cluster_name", cfg->cluster, sizeof(cfg->cluster));
	rc = get_ours(c, cfg, err, err_bytes);
	if (rc < 0)
		return rc;
	return qdevice_config_finish(cfg, err, err_bytes);
}

/* ---- the vote ---- */

int qdevice_cluster_register(struct qdevice_cluster *c, char *err,
			     size_t err_bytes)
{
	cs_error_t e;
	int tries = 50;

	/* While a membership is formed it is "try again". */
	while ((e = votequorum_qdevice_register(c->vq, QDEVICE_MODEL)) ==
		       CS_ERR_TRY_AGAIN && tries-- > 0)
		sleep_ms(TRY_AGAIN_MS);
	c->registered = e == CS_OK;
	/* With master_wins a partition that has the vote is quorate whatever
	 * the others are; these may be, too, if they are enough nodes. */
	if (e == CS_OK)
		e = votequorum_qdevice_master_wins(c->vq, QDEVICE_MODEL, 0);
	if (e == CS_OK)
		e = votequorum_trackstart(c->vq, 0,
					  CS_TRACK_CURRENT | CS_TRACK_CHANGES);
	if (e == CS_OK)
		return 0;
	return set_err(err, err_bytes, to_errno(e),
		       "corosync does not take the quorum device: %s%s",
		       cs_strerror(e),
		       e == CS_ERR_EXIST ? " (another one is registered)" :
		       e == CS_ERR_ACCESS ? " (see its log)" : "");
}

int qdevice_cluster_poll(struct qdevice_cluster *c,
			 const struct qdevice_ring *ring, bool cast)
{
	votequorum_ring_id_t id = { .nodeid = ring->nodeid, .seq = ring->seq };
	cs_error_t e;
	int rc;

	if (c->is_lost)
		return -ECONNREFUSED;
	e = votequorum_qdevice_poll(c->vq, QDEVICE_MODEL, cast, id);
	rc = to_errno(e);
	if (rc < 0 && rc != -EAGAIN)
		lost(c, "the vote", e);
	return rc;
}
