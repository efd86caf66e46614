/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * failover_sim.c - many schedules, each drawn from a seed; see sim.h.
 *
 * failover_sim [--schedules N] [--failovers N] [--seed S] [--verbose]
 *		[--break RULE]
 *
 * Schedule i of a run has the seed S + i.  Exit code 0: nothing was violated;
 * 1: something was; 2: wrong usage.
 */
#include <getopt.h>
#include <inttypes.h>
#include <qb/qblog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define EVENTS_MAX 20000000u

struct options {
	uint64_t schedules, failovers, seed;
	const char *rule;
};

static void run_schedule(uint64_t seed, struct counts *n)
{
	uint64_t limit = n->events + EVENTS_MAX;

	world_reset(seed, n);
	net_reset();
	nodes_reset();
	outside_reset();
	operator_reset();
	while (world.violation[0] == '\0' && !operator_done())
		if (!world_step() || n->events > limit)
			violate("liveness: the world spins or stands still");
	nodes_reset();
	net_reset();
	world_clear();
	requests_clear();
	n->schedules++;
}

static void print_counts(FILE *f, const struct counts *n)
{
	fprintf(f,
		"schedules=%" PRIu64 " crashes=%" PRIu64 " failovers=%" PRIu64
		" handovers=%" PRIu64 " boots=%" PRIu64 " epochs=%" PRIu64
		" frames=%" PRIu64 " resyncs_partial=%" PRIu64
		" resyncs_full=%" PRIu64,
		n->schedules, n->crashes, n->failovers, n->handovers, n->boots,
		n->epochs, n->frames, n->partial, n->full);
}

static void fail(const struct options *o)
{
	fprintf(stderr, "failover_sim: seed %" PRIu64 ": %s\n", world.seed,
		world.violation);
	fprintf(stderr,
		"failover_sim: to see it: failover_sim --verbose --schedules 1 "
		"--seed %" PRIu64 "%s%s\n",
		world.seed, o->rule == NULL ? "" : " --break ",
		o->rule == NULL ? "" : o->rule);
}

static int run_all(const struct options *o)
{
	struct counts n = { 0 };
	bool tty = isatty(STDERR_FILENO) && !world.verbose;
	int rc = 0;

	for (uint64_t i = 0;
	     rc == 0 && (i < o->schedules || n.failovers < o->failovers); i++) {
		run_schedule(o->seed + i, &n);
		rc = world.violation[0] != '\0';
		if (tty && (i % 16 == 0 || rc != 0)) {
			fputs("\r\033[K", stderr);
			if (rc == 0)
				print_counts(stderr, &n);
		}
	}
	if (tty)
		fputs("\r\033[K", stderr);
	if (rc != 0)
		fail(o);
	printf("failover_sim: ");
	print_counts(stdout, &n);
	printf(" violations=%d\n", rc);
	return rc;
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: failover_sim [--schedules N] [--failovers N] "
		"[--seed S] [--verbose]\n"
		"                    [--break RULE]\n"
		"Two nodes, a network and an operator in virtual time: "
		"random crash points,\n"
		"as many schedules as asked for and until there were so many "
		"failovers.\n"
		"Rules: %s\n",
		break_names());
}

static void log_to_stderr(void)
{
	qb_log_init("sim", LOG_USER, LOG_TRACE);
	qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
	qb_log_filter_ctl(QB_LOG_STDERR, QB_LOG_FILTER_ADD,
			  QB_LOG_FILTER_FILE, "*", LOG_TRACE);
	qb_log_format_set(QB_LOG_STDERR, "             [%p] %b");
	qb_log_ctl(QB_LOG_STDERR, QB_LOG_CONF_ENABLED, QB_TRUE);
}

static const struct option long_options[] = {
	{ "schedules", required_argument, NULL, 'n' },
	{ "failovers", required_argument, NULL, 'f' },
	{ "seed", required_argument, NULL, 's' },
	{ "break", required_argument, NULL, 'b' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static bool number(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0';
}

/* 0: run; 1: help was shown; 2: wrong */
static int parse(int argc, char **argv, struct options *o)
{
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", long_options, NULL)) !=
			     -1) {
		switch (c) {
		case 'n': ok = number(optarg, &o->schedules); break;
		case 'f': ok = number(optarg, &o->failovers); break;
		case 's': ok = number(optarg, &o->seed); break;
		case 'b':
			o->rule = optarg;
			ok = break_rule(optarg) == 0;
			break;
		case 'v': world.verbose = true; break;
		case 'h': usage(stdout); return 1;
		default: ok = false;
		}
	}
	if (ok && optind == argc)
		return 0;
	usage(stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct options o = { .schedules = 300, .seed = 1 };
	int rc = parse(argc, argv, &o);

	if (rc != 0)
		return rc == 1 ? 0 : rc;
	if (world.verbose)
		log_to_stderr();
	rc = run_all(&o);
	if (world.verbose)
		qb_log_fini();
	guests_free();
	return rc;
}
