/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netns.h - for tests that need interfaces: a network namespace of the test's
 * own, and numbered frames.  Included by one .c file per program.
 */
#ifndef REMUS_TEST_NETNS_H
#define REMUS_TEST_NETNS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TEST_ETHERTYPE 0x88b5 /* IEEE: local experiments */
#define TEST_FRAME_BYTES 64
#define DEADLINE_MS 10000

/* A broadcast frame that carries its number. */
static inline void make_frame(uint8_t *f, uint32_t nr)
{
	memset(f, 0, TEST_FRAME_BYTES);
	memset(f, 0xff, 6);
	f[6] = 0x02;
	f[11] = 0x77;
	f[12] = TEST_ETHERTYPE >> 8;
	f[13] = TEST_ETHERTYPE & 0xff;
	memcpy(f + 14, &nr, sizeof(nr));
}

static inline uint32_t frame_nr(const uint8_t *f)
{
	uint32_t nr;

	memcpy(&nr, f + 14, sizeof(nr));
	return nr;
}

static inline uint64_t test_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Into a new namespace: loopback is up, nothing else is there.  The one of the
 * last test, with all its interfaces, goes when nobody is in it any more. */
static inline int enter_new_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	return system("ip link set lo up") == 0 ? 0 : -ENOENT;
}

/* A socket that sees (and sends) the numbered frames of an interface. */
static inline int frame_socket(const char *ifname)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(TEST_ETHERTYPE) };
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       htons(TEST_ETHERTYPE));
	int bytes = 8 << 20;

	if (s < 0)
		return -1;
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	sll.sll_ifindex = (int)if_nametoindex(ifname);
	if (sll.sll_ifindex == 0 ||
	    bind(s, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
		close(s);
		return -1;
	}
	return s;
}

/* Next frame that came in (what this host sent on it is skipped). */
static inline bool frame_next(int s, uint32_t *nr, int timeout_ms)
{
	uint64_t end = test_ms() + (uint64_t)timeout_ms;
	struct sockaddr_ll from;
	uint8_t buf[10000];

	for (;;) {
		struct pollfd p = { .fd = s, .events = POLLIN };
		socklen_t fl = sizeof(from);
		uint64_t now = test_ms();
		ssize_t n = recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &fl);

		if (n >= 18 && from.sll_pkttype != PACKET_OUTGOING) {
			*nr = frame_nr(buf);
			return true;
		}
		if (n >= 0)
			continue;
		if (now >= end)
			return false;
		poll(&p, 1, (int)(end - now));
	}
}

#endif
