/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remus-qdevice.c - the quorum device "clientprobe": corosync, the witnesses
 * and the status on one qb_loop; what is decided is decided in qdevice_core.c.
 *
 * Exit codes: 0 stopped as asked, or the quorum device is not configured any
 * more; 1 could not start, or corosync is gone; 2 usage or configuration.
 */
#include <errno.h>
#include <getopt.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "background.h"
#include "log.h"
#include "qdevice_daemon.h"
#include "qdevice_status.h"

#define COROSYNC_WAIT_MS 10000

/* ---- the vote ---- */

static void say_vote(struct daemon *d, bool cast)
{
	char line[1024];

	if (d->said && d->said_cast == cast)
		return;
	d->said = true;
	d->said_cast = cast;
	qdevice_status_line(&d->core, &d->cfg, now_boot_ms(), line,
			    sizeof(line));
	qb_log(LOG_NOTICE, "%s: %s", cast ? "this node has the vote"
					  : "this node has no vote", line);
}

/* The next turn of qdevice_pump() looks at the clock again: had we been frozen
 * in here, the vote is taken back at once. */
static void vote(struct daemon *d, bool cast)
{
	int rc = qdevice_cluster_poll(d->cluster, &d->core.ring, cast);

	qdevice_core_polled(&d->core, cast, rc == 0, now_boot_ms());
	if (rc == 0)
		say_vote(d, cast);
}

static void on_timer(void *data)
{
	struct daemon *d = data;

	d->timer_armed = false;
	qdevice_pump(d);
}

static void wake_me(struct daemon *d, uint64_t at_ms, uint64_t now)
{
	uint64_t ms = at_ms > now ? at_ms - now : 0;

	if (d->timer_armed)
		qb_loop_timer_del(d->loop, d->timer);
	d->timer_armed = false;
	if (at_ms == UINT64_MAX)
		return;
	if (qb_loop_timer_add(d->loop, QB_LOOP_HIGH, ms * NS_PER_MS, d,
			      on_timer, &d->timer) == 0) {
		d->timer_armed = true;
		return;
	}
	/* Without it the vote would not be taken back: better none at all. */
	qb_log(LOG_CRIT, "no timer: ending");
	d->exit_code = 1;
	qb_loop_stop(d->loop);
}

void qdevice_pump(struct daemon *d)
{
	struct qdevice_action a;
	uint64_t now;

	for (;;) {
		now = now_boot_ms();
		a = qdevice_core_next(&d->core, now);
		if (a.what == QDEVICE_NOTHING)
			break;
		if (a.what == QDEVICE_POLL)
			vote(d, a.cast);
		else
			qdevice_ask(d, &a);
	}
	wake_me(d, a.at_ms, now);
}

/* ---- corosync ---- */

static void on_ring(void *ctx, const struct qdevice_ring *ring)
{
	char members[VOTE_WHY_MAX];
	struct daemon *d = ctx;

	qdevice_core_ring(&d->core, ring, now_boot_ms());
	qb_log(LOG_INFO, "ring %x.%llx: members %s", ring->nodeid,
	       (unsigned long long)ring->seq,
	       vote_set_to_str(&ring->members, members, sizeof(members)));
	d->said = false;
	qdevice_pump(d);
}

static void on_lost(void *ctx, const char *why)
{
	struct daemon *d = ctx;

	qb_log(LOG_ERR, "%s: ending", why);
	d->exit_code = 1;
	qb_loop_stop(d->loop);
}

static void on_reloaded(void *ctx)
{
	struct daemon *d = ctx;

	loop_soon(&d->reload);
}

/* ---- the configuration ---- */

static uint64_t seed(void)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		n = now_boot_ns() ^ (uint64_t)getpid();
	return n;
}

static void log_config(const struct qdevice_config *c)
{
	const struct qdevice_timing *t = &c->timing;

	qb_log(LOG_NOTICE, "node %s (%u) of cluster %s, %u witness%s, lease %u "
			   "ms, vote counted for %u ms",
	       c->node, c->nodeid, c->cluster, c->witnesses,
	       c->witnesses == 1 ? "" : "es", t->lease_ms,
	       t->vote_timeout_ms);
	if (c->witnesses % 2 == 0)
		qb_log(LOG_WARNING, "%u witnesses are no better than %u: with "
				    "an even number no more may be lost",
		       c->witnesses, c->witnesses - 1);
}

/* Take cfg.  The old one stays when that does not work. */
static int use(struct daemon *d, const struct qdevice_config *cfg, char *err,
	       size_t err_bytes)
{
	struct witness_client_config wc = {
		.self = cfg->node,
		.witnesses = cfg->witnesses,
		.key_file = cfg->key_file,
		.ca_file = cfg->ca_file[0] != '\0' ? cfg->ca_file : NULL,
		.timeout_ms = cfg->request_timeout_ms,
	};
	struct qdevice_core before = d->core;
	struct witness_client *client;
	int rc;

	memcpy(wc.witness, cfg->witness, sizeof(wc.witness));
	rc = witness_client_new(&client, &wc, d->loop, err, err_bytes);
	if (rc < 0)
		return rc;
	witness_client_free(d->client);
	qdevice_ask_forget(d);
	d->client = client;
	d->cfg = *cfg;
	qdevice_core_init(&d->core, &cfg->timing, cfg->witnesses, seed());
	log_config(&d->cfg);
	if (before.have_ring)
		qdevice_core_ring(&d->core, &before.ring, now_boot_ms());
	return 0;
}

static void reload(void *data)
{
	struct daemon *d = data;
	struct qdevice_config cfg;
	char err[512] = "";
	int rc;

	rc = qdevice_cluster_config(d->cluster, &cfg, err, sizeof(err));
	if (rc == -ENODEV) {
		qb_log(LOG_NOTICE, "%s: ending", err);
		qb_loop_stop(d->loop);
		return;
	}
	if (rc == 0 && memcmp(&cfg, &d->cfg, sizeof(cfg)) != 0)
		rc = use(d, &cfg, err, sizeof(err));
	if (rc < 0)
		qb_log(LOG_ERR, "%s: going on as before", err);
	qdevice_pump(d);
}

/* ---- the status ---- */

static void on_request(void *ctx, struct ipc_request *req, const char *cmd,
		       const json_t *args __attribute__((unused)))
{
	struct daemon *d = ctx;

	if (strcmp(cmd, "status") != 0)
		ipc_reply_error(req, "there is no command '%.64s'", cmd);
	else
		ipc_reply_ok(req, qdevice_status_json(&d->core, &d->cfg,
						      now_boot_ms()));
}

/* ---- beginning and end ---- */

struct options {
	bool foreground;
	int verbosity;
};

static void usage(FILE *to)
{
	fputs("usage: remus-qdevice [-f] [-v]\n"
	      "  -f, --foreground  stay in the foreground, log to stderr\n"
	      "  -v, --verbose     more log\n"
	      "  -V, --version\n"
	      "Its configuration is in corosync.conf; see remus-qdevice(8).\n",
	      to);
}

/* 0: go on; else the exit code + 1 */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "fvVh", longs, NULL)) != -1) {
		switch (c) {
		case 'f': o->foreground = true; break;
		case 'v': o->verbosity++; break;
		case 'V': puts("remus-qdevice " PACKAGE_VERSION); return 1;
		case 'h': usage(stdout); return 1;
		default: usage(stderr); return 3;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 3;
	}
	return 0;
}

static int32_t on_signal(int32_t sig, void *data)
{
	struct daemon *d = data;

	qb_log(LOG_NOTICE, "signal %d: withdrawing the vote and stopping", sig);
	qb_loop_stop(d->loop);
	return 0;
}

/* 0; -EINVAL: the configuration; other -errno. */
static int start(struct daemon *d, char *err, size_t err_bytes)
{
	static const struct qdevice_cluster_events events = {
		.ring = on_ring,
		.reloaded = on_reloaded,
		.lost = on_lost,
	};
	struct qdevice_config cfg;
	int rc;

	rc = ipc_server_start(&d->ipc, d->loop, QDEVICE_IPC_NAME, 0,
			      on_request, d, err, err_bytes);
	if (rc == -EADDRINUSE)
		return set_err(err, err_bytes, rc,
			       "a remus-qdevice runs here already");
	if (rc == 0)
		rc = qdevice_cluster_open(&d->cluster, d->loop, &events, d,
					  COROSYNC_WAIT_MS, err, err_bytes);
	if (rc == 0)
		rc = qdevice_cluster_config(d->cluster, &cfg, err, err_bytes);
	if (rc == 0)
		rc = use(d, &cfg, err, err_bytes);
	if (rc == -ENODEV)
		rc = -EINVAL;
	if (rc == 0)
		rc = qdevice_cluster_register(d->cluster, err, err_bytes);
	return rc;
}

/* First the vote is given back, then all else. */
static void stop(struct daemon *d)
{
	qdevice_cluster_close(d->cluster);
	loop_soon_cancel(&d->reload);
	ipc_server_stop(d->ipc);
	witness_client_free(d->client);
	qdevice_ask_forget(d);
	if (d->timer_armed)
		qb_loop_timer_del(d->loop, d->timer);
}

static int run(struct daemon *d, const struct options *o, int report_fd)
{
	qb_loop_signal_handle term, intr;
	char err[512] = "";
	int rc, code;

	d->loop = qb_loop_create();
	if (d->loop == NULL)
		return 1;
	loop_soon_init(&d->reload, d->loop, reload, d);
	signal(SIGPIPE, SIG_IGN);
	qb_loop_signal_add(d->loop, QB_LOOP_HIGH, SIGTERM, d, on_signal, &term);
	qb_loop_signal_add(d->loop, QB_LOOP_HIGH, SIGINT, d, on_signal, &intr);
	rc = start(d, err, sizeof(err));
	code = rc == 0 ? 0 : rc == -EINVAL ? 2 : 1;
	if (rc < 0) {
		qb_log(LOG_ERR, "%s", err);
		if (!o->foreground)
			fprintf(stderr, "remus-qdevice: %s\n", err);
	}
	if (report_fd >= 0)
		background_report(report_fd, code);
	if (rc == 0) {
		qb_log(LOG_NOTICE, "remus-qdevice " PACKAGE_VERSION);
		qb_loop_run(d->loop);
		code = d->exit_code;
	}
	stop(d);
	qb_loop_destroy(d->loop);
	return code;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	struct options o = { 0 };
	int rc, fd = -1;

	rc = parse(argc, argv, &o);
	if (rc != 0)
		return rc - 1;
	if (!o.foreground) {
		fd = background();
		if (fd < 0) {
			fprintf(stderr, "remus-qdevice: cannot fork: %s\n",
				strerror(-fd));
			return 1;
		}
	}
	log_init("remus-qdevice", o.foreground, o.verbosity);
	rc = run(&d, &o, fd);
	log_fini();
	return rc;
}
