/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pausewatch - when a domain stood still, seen from dom0.
 *
 *	pausewatch DOMID
 *
 * Looks every POLL_US whether the domain is suspended, which it is from its own
 * hypercall until somebody resumes it, whoever that is: so the pauses of xl
 * remus and of remusd are measured by the same clock.  Each line is one pause:
 * when it began, in ns of CLOCK_REALTIME, and how many us it took.  Ends with
 * the domain, or by SIGTERM.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>

#define POLL_US 1000

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* 1: it stands still, 0: it does not, -1: it is gone. */
static int stands_still(xc_interface *xc, uint32_t domid)
{
	xc_dominfo_t info;

	if (xc_domain_getinfo(xc, domid, 1, &info) != 1 ||
	    info.domid != domid || info.dying)
		return -1;
	return info.shutdown;
}

static void watch(xc_interface *xc, uint32_t domid)
{
	uint64_t began = 0;

	while (!stop_asked) {
		int still = stands_still(xc, domid);

		if (still < 0)
			return;
		if (still && began == 0)
			began = now_ns();
		if (!still && began != 0) {
			printf("%llu %llu\n", (unsigned long long)began,
			       (unsigned long long)(now_ns() - began) / 1000);
			fflush(stdout);
			began = 0;
		}
		usleep(POLL_US);
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };
	xc_interface *xc;

	if (argc != 2) {
		fprintf(stderr, "usage: pausewatch DOMID\n");
		return 2;
	}
	sigaction(SIGTERM, &act, NULL);
	xc = xc_interface_open(NULL, NULL, 0);
	if (xc == NULL) {
		fprintf(stderr, "pausewatch: there is no Xen below\n");
		return 1;
	}
	watch(xc, (uint32_t)strtoul(argv[1], NULL, 10));
	xc_interface_close(xc);
	return 0;
}
