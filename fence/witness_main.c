/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_main.c - remus-witness: configuration, state, listen, ready, loop,
 * reverse teardown.
 *
 * Exit codes: 0 stopped as asked; 1 could not start; 2 usage or configuration.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "util.h"
#include "witness_http.h"
#include "witness_probe.h"
#include "witness_store.h"

#define TICK_MS 100
#define CONFIG_DEFAULT REMUS_CONFDIR "/witness.conf"

enum task { RUN, CHECK_CONFIG, INIT, ADD_VM };

struct options {
	enum task task;
	bool foreground;
	int verbosity;
	const char *config, *key_file, *vm;
};

/* Everything that runs. */
struct daemon {
	const struct witness_config *c;
	struct store store;
	struct witness *w;
	struct prober *prober;
	struct http *http;
	qb_loop_t *loop;
	qb_loop_timer_handle timer;
};

static void usage(FILE *to)
{
	fputs("usage: remus-witness [-f] [-v] [-c FILE] [-k KEYFILE]\n"
	      "       remus-witness [-c FILE] --check-config | --init |"
	      " --add-vm VM\n"
	      "  -f, --foreground    stay in the foreground, log to stderr\n"
	      "  -v, --verbose       more log; twice: everything\n"
	      "  -c, --config FILE   default " CONFIG_DEFAULT "\n"
	      "  -k, --key KEYFILE   instead of the configuration's key_file\n"
	      "      --check-config  is it right?\n"
	      "      --init          make the state of a new witness, once\n"
	      "      --add-vm VM     make the empty register of a new machine\n"
	      "  -V, --version\n"
	      "See remus-witness(8).\n",
	      to);
}

/* 0: go on; else the exit code + 1 */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "config", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "init", no_argument, NULL, 'I' },
		{ "add-vm", required_argument, NULL, 'A' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "fvc:k:Vh", longs, NULL)) != -1) {
		switch (c) {
		case 'f': o->foreground = true; break;
		case 'v': o->verbosity++; break;
		case 'c': o->config = optarg; break;
		case 'k': o->key_file = optarg; break;
		case 'C': o->task = CHECK_CONFIG; break;
		case 'I': o->task = INIT; break;
		case 'A': o->task = ADD_VM; o->vm = optarg; break;
		case 'V': puts("remus-witness " PACKAGE_VERSION); return 1;
		case 'h': usage(stdout); return 1;
		default: usage(stderr); return 3;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "remus-witness: what is '%s'?\n",
			argv[optind]);
		usage(stderr);
		return 3;
	}
	return 0;
}

/* ---- running ---- */

static struct witness_now now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct witness_now){
		.boot_ms = now_boot_ms(),
		.wall_ms = (uint64_t)ts.tv_sec * 1000 +
			   (uint64_t)ts.tv_nsec / 1000000,
	};
}

static int load_register(void *ctx, const char *vm, struct ticket_acceptor *a,
			 char *err, size_t err_bytes)
{
	return store_load(ctx, vm, a, err, err_bytes);
}

static int save_register(void *ctx, const char *vm,
			 const struct ticket_acceptor *a, char *err,
			 size_t err_bytes)
{
	return store_save(ctx, vm, a, err, err_bytes);
}

static void on_tick(void *data)
{
	uint64_t boot_ms = now_boot_ms();
	struct daemon *d = data;

	witness_tick(d->w, boot_ms);
	http_tick(d->http, boot_ms);
	qb_loop_timer_add(d->loop, QB_LOOP_HIGH, TICK_MS * QB_TIME_NS_IN_MSEC,
			  d, on_tick, &d->timer);
}

static int32_t on_signal(int32_t sig, void *data)
{
	qb_log(LOG_NOTICE, "signal %d: stopping", sig);
	qb_loop_stop(data);
	return 0;
}

/* No network before the state is there and understood. */
static int start(struct daemon *d, char *err, size_t err_bytes)
{
	const struct witness_disk disk = { load_register, save_register,
					   &d->store };
	int rc;

	d->loop = qb_loop_create();
	if (d->loop == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	rc = store_open(&d->store, d->c, err, err_bytes);
	if (rc == 0)
		rc = witness_new(&d->w, d->c, &disk, now(), err, err_bytes);
	if (rc == 0)
		rc = prober_new(&d->prober, d->c, d->w, d->loop, err,
				err_bytes);
	if (rc == 0)
		rc = http_new(&d->http, d->c, d->w, d->loop, err, err_bytes);
	return rc;
}

static void stop(struct daemon *d)
{
	http_free(d->http);
	prober_free(d->prober);
	witness_free(d->w);
	store_close(&d->store);
	if (d->loop != NULL)
		qb_loop_destroy(d->loop);
}

static int run(const struct options *o, const struct witness_config *c,
	       char *err, size_t err_bytes)
{
	struct daemon d = { .c = c, .store = { .lock_fd = -1 } };
	qb_loop_signal_handle term, intr;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	rc = start(&d, err, err_bytes);
	/* Everything is open: who started us sees whether that went well. */
	if (rc == 0 && !o->foreground) {
		if (daemon(0, 0) < 0)
			rc = set_err(err, err_bytes, -errno, "cannot fork");
		else
			log_init("remus-witness", false, o->verbosity);
	}
	if (rc == 0) {
		qb_loop_signal_add(d.loop, QB_LOOP_HIGH, SIGTERM, d.loop,
				   on_signal, &term);
		qb_loop_signal_add(d.loop, QB_LOOP_HIGH, SIGINT, d.loop,
				   on_signal, &intr);
		qb_log(LOG_NOTICE, "remus-witness " PACKAGE_VERSION ": %s",
		       c->name);
		on_tick(&d);
		qb_loop_run(d.loop);
	}
	stop(&d);
	return rc;
}

static int perform(const struct options *o, const struct witness_config *c,
		   char *err, size_t err_bytes)
{
	switch (o->task) {
	case CHECK_CONFIG:
		puts("ok");
		return 0;
	case INIT:
		return store_init(c, err, err_bytes);
	case ADD_VM:
		return store_add(c, o->vm, err, err_bytes);
	case RUN:
		break;
	}
	return run(o, c, err, err_bytes);
}

int main(int argc, char **argv)
{
	struct options o = { .config = CONFIG_DEFAULT };
	struct witness_config *c = NULL;
	char err[1024] = "";
	int rc;

	rc = parse(argc, argv, &o);
	if (rc != 0)
		return rc - 1;
	log_init("remus-witness", true, o.verbosity);
	rc = witness_config_load(&c, o.config, o.key_file, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "remus-witness: %s\n", err);
		log_fini();
		return 2;
	}
	rc = perform(&o, c, err, sizeof(err));
	if (rc < 0)
		fprintf(stderr, "remus-witness: %s\n", err);
	witness_config_free(c);
	log_fini();
	return rc < 0 ? 1 : 0;
}
