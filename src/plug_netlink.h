/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plug_netlink.h - what gate_plug.c says to the kernel, by libnl-route-3.
 *
 * Each plug_msg_ function makes one rtnetlink request: 0 and a message in *out
 * that the caller frees with nlmsg_free(), or -errno.  struct plug_io is how
 * requests reach a kernel; tests put one of their own in its place.
 *
 * What sch_plug does with its commands (include/uapi/linux/pkt_sched.h,
 * net/sched/sch_plug.c); it counts, it does not mark frames:
 *   BUFFER       last = current; current = 0
 *   RELEASE_ONE  to_release += last; last = 0
 * There is one `last`: a second BUFFER before RELEASE_ONE forgets the first
 * count, and then RELEASE_ONE would let out frames of a wrong epoch.
 */
#ifndef REMUS_PLUG_NETLINK_H
#define REMUS_PLUG_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate.h"

struct nl_msg;

enum plug_cmd { PLUG_BUFFER, PLUG_RELEASE_ONE };

struct plug_stats {
	uint64_t qlen, backlog_bytes; /* waiting now */
	uint64_t packets;	      /* dequeued ever */
	uint64_t drops;		      /* refused by the limit, ever */
};

struct plug_io {
	/* Send and wait for the kernel's answer (it answers within the call).
	 * 0 or the -errno that the kernel gave. */
	int (*talk)(void *ctx, struct nl_msg *msg);
	/* Index of an interface; 0: there is none of that name. */
	unsigned int (*ifindex)(void *ctx, const char *name);
	/* Of the root qdisc of an interface. */
	int (*stats)(void *ctx, unsigned int ifindex, struct plug_stats *out);
	void (*close)(void *ctx);
};

/* The running kernel.  0 or -errno. */
extern const struct plug_io plug_kernel_io;
int plug_kernel_open(void **ctx);

/* An IFB named `name`, down. */
int plug_msg_ifb_add(struct nl_msg **out, const char *name);
int plug_msg_link_del(struct nl_msg **out, unsigned int ifindex);
int plug_msg_link_set(struct nl_msg **out, unsigned int ifindex, bool up);
/* A plug as root qdisc 1:, holding at most limit_bytes, everything plugged.
 * -EEXIST from the kernel when there is one. */
int plug_msg_plug_add(struct nl_msg **out, unsigned int ifindex,
		      size_t limit_bytes);
int plug_msg_plug_del(struct nl_msg **out, unsigned int ifindex);
int plug_msg_plug_cmd(struct nl_msg **out, unsigned int ifindex,
		      enum plug_cmd cmd);
int plug_msg_ingress_add(struct nl_msg **out, unsigned int ifindex);
int plug_msg_ingress_del(struct nl_msg **out, unsigned int ifindex);
/* Everything that comes in by `from` leaves by `to` instead. -EEXIST from the
 * kernel when there is such a filter already. */
int plug_msg_redirect_add(struct nl_msg **out, unsigned int from,
			  unsigned int to);

/* gate_plug_ops.create() with another kernel; takes io_ctx over, and closes it
 * also when it fails. */
int gate_plug_create_on(struct gate **out, const struct gate_config *cfg,
			qb_loop_t *loop, const struct plug_io *io,
			void *io_ctx, char *err, size_t err_bytes);

#endif
