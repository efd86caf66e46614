/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_sim.c - many schedules, each drawn from a seed; see ticket_world.h.
 *
 * ticket_sim [--schedules N] [--seed S] [--jobs J] [--break RULE]
 * ticket_sim --replay SEED [--verbose] [--break RULE]
 *
 * Schedule i of a run has the seed S + i.  Exit code 0: nothing was violated;
 * 1: something was; 2: wrong usage.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ticket_world.h"

/* After everything has healed, a guest has to serve within this time, and for
 * longer than a lease that it may have had before. */
#define PROGRESS_US (15000 * MS)
#define FRAMES_AGAIN 3
#define EVENTS_MAX 100000u

#define JOBS_MAX 64

struct options {
	uint64_t schedules, seed;
	unsigned int jobs;
};

static bool step(uint64_t until, struct counts *n, uint64_t limit)
{
	if (n->events > limit)
		violate("progress: the world spins");
	return world.violation[0] == '\0' && world_step(until);
}

static void run_schedule(uint64_t seed, struct counts *n)
{
	uint64_t healed, limit = n->events + EVENTS_MAX;

	world_reset(seed, n);
	witnesses_reset();
	outside_reset();
	nodes_reset();
	cluster_reset();
	while (step(world.k.faults_us, n, limit))
		;
	cluster_heal();
	healed = world.now;
	outside_count_from(healed + world.k.lease_max_ms * MS * 3 / 2);
	while (world.violation[0] == '\0' && outside_counted() < FRAMES_AGAIN)
		if (!step(healed + PROGRESS_US, n, limit))
			violate("progress: nobody serves, %u ms after all "
				"healed", (unsigned int)(PROGRESS_US / MS));
	n->healed_us += world.now - healed;
	cluster_free();
	nodes_free();
	n->schedules++;
}

static void print_counts(const struct counts *n)
{
	printf("schedules=%" PRIu64 " events=%" PRIu64 " frames=%" PRIu64
	       " late_frames=%" PRIu64 " boots=%" PRIu64 " takeovers=%" PRIu64
	       " alone=%" PRIu64 " protected=%" PRIu64 " fences=%" PRIu64
	       " crashes=%" PRIu64 " freezes=%" PRIu64 " healed_ms=%" PRIu64,
	       n->schedules, n->events, n->frames, n->late_frames, n->boots,
	       n->takeovers, n->alone, n->protects, n->fences, n->crashes,
	       n->freezes,
	       n->schedules == 0 ? 0 : n->healed_us / MS / n->schedules);
}

static void fail(void)
{
	const char *rule = break_name(broken);

	fprintf(stderr, "ticket_sim: seed %" PRIu64 ": %s\n", world.seed,
		world.violation);
	fprintf(stderr,
		"ticket_sim: to see it: ticket_sim --replay %" PRIu64
		" --verbose%s%s\n",
		world.seed, rule == NULL ? "" : " --break ",
		rule == NULL ? "" : rule);
}

/* Every jobs-th schedule.  1: one was violated. */
static int run_some(const struct options *o, unsigned int job,
		    struct counts *n)
{
	for (uint64_t i = job; i < o->schedules; i += o->jobs) {
		run_schedule(o->seed + i, n);
		if (world.violation[0] != '\0') {
			fail();
			return 1;
		}
	}
	return 0;
}

static void add_counts(struct counts *sum, const struct counts *n)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)n;

	_Static_assert(sizeof(*sum) % sizeof(*to) == 0, "only counts");
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static int child(const struct options *o, unsigned int job, int fd)
{
	struct counts n = { 0 };
	int rc = run_some(o, job, &n);

	if (write(fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		return 2;
	return rc;
}

static int run_jobs(const struct options *o, struct counts *sum)
{
	int fd[JOBS_MAX][2], status, worst = 0;
	pid_t pid[JOBS_MAX];
	struct counts n;

	for (unsigned int i = 0; i < o->jobs; i++) {
		if (pipe(fd[i]) != 0 || (pid[i] = fork()) < 0) {
			perror("ticket_sim");
			exit(2);
		}
		if (pid[i] == 0)
			_exit(child(o, i, fd[i][1]));
		close(fd[i][1]);
	}
	for (unsigned int i = 0; i < o->jobs; i++) {
		if (read(fd[i][0], &n, sizeof(n)) == (ssize_t)sizeof(n))
			add_counts(sum, &n);
		close(fd[i][0]);
		if (waitpid(pid[i], &status, 0) != pid[i] ||
		    !WIFEXITED(status) || WEXITSTATUS(status) > 1)
			worst = 2;
		else if (WEXITSTATUS(status) > worst)
			worst = WEXITSTATUS(status);
	}
	return worst;
}

static int run_all(const struct options *o)
{
	struct counts n = { 0 };
	int rc;

	fflush(stdout);
	rc = o->jobs > 1 ? run_jobs(o, &n) : run_some(o, 0, &n);
	print_counts(&n);
	printf(" violations=%d\n", rc);
	return rc;
}

static void usage(FILE *f)
{
	fprintf(f, "usage: ticket_sim [--schedules N] [--seed S] [--jobs J] "
		   "[--break RULE]\n"
		   "       ticket_sim --replay SEED [--verbose] "
		   "[--break RULE]\n"
		   "Witnesses, two nodes and who fences them in virtual time, "
		   "through random faults.\nRules:");
	for (unsigned int i = 1; i < RULES; i++)
		fprintf(f, " %s", break_name((enum rule)i));
	fputc('\n', f);
}

static const struct option long_options[] = {
	{ "schedules", required_argument, NULL, 'n' },
	{ "seed", required_argument, NULL, 's' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "replay", required_argument, NULL, 'r' },
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

static bool option(int c, struct options *o)
{
	uint64_t jobs = 1;

	switch (c) {
	case 'n': return number(optarg, &o->schedules);
	case 's': return number(optarg, &o->seed);
	case 'r': o->schedules = 1; return number(optarg, &o->seed);
	case 'b': return break_rule(optarg) == 0;
	case 'v': world.verbose = true; return true;
	case 'j':
		if (!number(optarg, &jobs) || jobs < 1 || jobs > JOBS_MAX)
			return false;
		o->jobs = (unsigned int)jobs;
		return true;
	case 'h': usage(stdout); exit(0);
	default: return false;
	}
}

int main(int argc, char **argv)
{
	struct options o = { .schedules = 10000, .seed = 1, .jobs = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (!option(c, &o)) {
			usage(stderr);
			return 2;
		}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	return run_all(&o);
}
