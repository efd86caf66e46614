/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - remusd: init, log, lock, VM, ready, loop, reverse teardown.
 *
 * Exit codes: 0 stopped as asked; 1 could not start, or failed; 2 usage or
 * configuration.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <qb/qbdefs.h>
#include <qb/qblog.h>
#include <qb/qbloop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "background.h"
#include "log.h"
#include "util.h"
#include "vm.h"
#include "vm_config.h"

struct options {
	bool foreground;
	int verbosity;
	const char *config, *node, *name;
};

static void usage(FILE *to)
{
	fputs("usage: remusd [-f] [-v] [-c FILE] [--node NAME] VM\n"
	      "  -f, --foreground  stay in the foreground, log to stderr\n"
	      "  -v, --verbose     more log; twice: every action\n"
	      "  -c, --config F    default /etc/remus/VM.conf\n"
	      "      --node NAME   this node's name, default `uname -n`\n"
	      "  -V, --version\n"
	      "See remusd(8).\n",
	      to);
}

/* 0: go on; else the exit code + 1 */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "config", required_argument, NULL, 'c' },
		{ "node", required_argument, NULL, 'n' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "fvc:Vh", longs, NULL)) != -1) {
		switch (c) {
		case 'f': o->foreground = true; break;
		case 'v': o->verbosity++; break;
		case 'c': o->config = optarg; break;
		case 'n': o->node = optarg; break;
		case 'V': puts("remusd " PACKAGE_VERSION); return 1;
		case 'h': usage(stdout); return 1;
		default: usage(stderr); return 3;
		}
	}
	if (optind + 1 != argc) {
		fputs("remusd: expected the name of one VM\n", stderr);
		usage(stderr);
		return 3;
	}
	o->name = argv[optind];
	return 0;
}

static int load_config(const struct options *o, struct vm_config **cfg,
		       int *self, char *err, size_t err_bytes)
{
	char path[PATH_MAX];
	int rc;

	if (o->config == NULL &&
	    snprintf(path, sizeof(path), "/etc/remus/%s.conf", o->name) >=
		    (int)sizeof(path))
		return set_err(err, err_bytes, -ENAMETOOLONG,
			       "the VM's name is too long");
	rc = vm_config_load(cfg, o->config != NULL ? o->config : path, err,
			    err_bytes);
	if (rc < 0)
		return rc;
	if (strcmp((*cfg)->name, o->name) != 0)
		return set_err(err, err_bytes, -EINVAL,
			       "%s: defines VM %s, not %s", (*cfg)->path,
			       (*cfg)->name, o->name);
	*self = vm_config_self(*cfg, o->node, err, err_bytes);
	return *self < 0 ? *self : 0;
}

static int make_dir(const char *path, mode_t mode, char *err, size_t err_bytes)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST) {
		int rc = -errno;

		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	}
	return 0;
}

/* One remusd per VM and node.  The lock goes with the process, however it
 * ends.  Returns the descriptor. */
static int lock(const struct vm_config *cfg, char *err, size_t err_bytes)
{
	char path[PATH_MAX];
	int fd, rc;

	rc = make_dir(cfg->run_dir, 0755, err, err_bytes);
	if (rc == 0)
		rc = make_dir(cfg->state_dir, 0700, err, err_bytes);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/%s.lock", cfg->run_dir, cfg->name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = -errno;
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return set_err(err, err_bytes, -EADDRINUSE,
			       "%s: a remusd of %s runs here already", path,
			       cfg->name);
	}
	return fd;
}

/* Into the lock's file, for who must end us when we do not answer. */
static int store_pid(int fd)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)n, 0) != n)
		return -EIO;
	return 0;
}

static int32_t on_signal(int32_t sig, void *data)
{
	qb_log(LOG_NOTICE, "signal %d: ending the guest and stopping", sig);
	vm_stop(data);
	return 0;
}

static int run(const struct options *o, struct vm_config *cfg, int self,
	       int lock_fd, char *err, size_t err_bytes)
{
	qb_loop_t *loop = qb_loop_create();
	qb_loop_signal_handle term, intr;
	struct vm *vm;
	int report = -1, rc;

	if (loop == NULL) {
		vm_config_free(cfg);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
	if (!o->foreground) {
		report = background();
		if (report < 0) {
			vm_config_free(cfg);
			return set_err(err, err_bytes, report, "cannot fork");
		}
	}
	rc = store_pid(lock_fd);
	if (rc < 0) {
		vm_config_free(cfg);
		return set_err(err, err_bytes, rc, "cannot write the lock");
	}
	rc = vm_new(&vm, cfg, self, loop, err, err_bytes);
	if (rc < 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	qb_loop_signal_add(loop, QB_LOOP_HIGH, SIGTERM, vm, on_signal, &term);
	qb_loop_signal_add(loop, QB_LOOP_HIGH, SIGINT, vm, on_signal, &intr);
	if (!o->foreground) {
		log_init("remusd", false, o->verbosity);
		background_report(report, 0);
	}
	qb_log(LOG_NOTICE, "%s: remusd " PACKAGE_VERSION " on %s", cfg->name,
	       cfg->node[self].name);
	qb_loop_run(loop);
	vm_free(vm);
	qb_loop_destroy(loop);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct vm_config *cfg = NULL;
	char err[1024] = "";
	int rc, self = 0, fd;

	rc = parse(argc, argv, &o);
	if (rc != 0)
		return rc - 1;
	log_init("remusd", true, o.verbosity);
	rc = load_config(&o, &cfg, &self, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "remusd: %s\n", err);
		vm_config_free(cfg);
		log_fini();
		return 2;
	}
	fd = lock(cfg, err, sizeof(err));
	if (fd < 0) {
		vm_config_free(cfg);
		rc = fd;
	} else {
		rc = run(&o, cfg, self, fd, err, sizeof(err));
	}
	if (rc < 0)
		fprintf(stderr, "remusd: %s\n", err);
	log_fini();
	return rc < 0 ? 1 : 0;
}
