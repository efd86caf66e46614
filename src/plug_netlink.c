/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plug_netlink.c - see plug_netlink.h. */
#ifdef HAVE_LIBNL_ROUTE

#include "plug_netlink.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/plug.h>
#include <netlink/route/tc.h>
#include <stdlib.h>

#define PLUG_HANDLE 0x00010000u
#define INGRESS_HANDLE 0xffff0000u
#define REDIRECT_PRIO 1
#define REDIRECT_TABLE 0x800
#define REDIRECT_NODE 1

/* libnl's codes name fewer things than errno; building a request fails for
 * want of memory, or because we asked for nonsense. */
static int build_rc(int r)
{
	if (r >= 0)
		return 0;
	return r == -NLE_NOMEM ? -ENOMEM : -EINVAL;
}

/* ---- links ---- */

int plug_msg_ifb_add(struct nl_msg **out, const char *name)
{
	struct rtnl_link *l = rtnl_link_alloc();
	int r;

	if (l == NULL)
		return -ENOMEM;
	rtnl_link_set_name(l, name);
	r = rtnl_link_set_type(l, "ifb");
	if (r >= 0)
		r = rtnl_link_build_add_request(l, NLM_F_CREATE | NLM_F_EXCL,
						out);
	rtnl_link_put(l);
	return build_rc(r);
}

int plug_msg_link_del(struct nl_msg **out, unsigned int ifindex)
{
	struct rtnl_link *l = rtnl_link_alloc();
	int r;

	if (l == NULL)
		return -ENOMEM;
	rtnl_link_set_ifindex(l, (int)ifindex);
	r = rtnl_link_build_delete_request(l, out);
	rtnl_link_put(l);
	return build_rc(r);
}

int plug_msg_link_set(struct nl_msg **out, unsigned int ifindex, bool up)
{
	struct rtnl_link *l = rtnl_link_alloc(), *change = rtnl_link_alloc();
	int r = -NLE_NOMEM;

	if (l != NULL && change != NULL) {
		rtnl_link_set_ifindex(l, (int)ifindex);
		if (up)
			rtnl_link_set_flags(change, IFF_UP);
		else
			rtnl_link_unset_flags(change, IFF_UP);
		r = rtnl_link_build_change_request(l, change, 0, out);
	}
	if (l != NULL)
		rtnl_link_put(l);
	if (change != NULL)
		rtnl_link_put(change);
	return build_rc(r);
}

/* ---- queueing disciplines ---- */

static struct rtnl_qdisc *qdisc_new(unsigned int ifindex, uint32_t parent,
				    uint32_t handle, const char *kind)
{
	struct rtnl_qdisc *q = rtnl_qdisc_alloc();

	if (q == NULL)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(q), (int)ifindex);
	rtnl_tc_set_parent(TC_CAST(q), parent);
	rtnl_tc_set_handle(TC_CAST(q), handle);
	if (rtnl_tc_set_kind(TC_CAST(q), kind) < 0) {
		rtnl_qdisc_put(q);
		return NULL;
	}
	return q;
}

int plug_msg_plug_add(struct nl_msg **out, unsigned int ifindex,
		      size_t limit_bytes)
{
	struct rtnl_qdisc *q = qdisc_new(ifindex, TC_H_ROOT, PLUG_HANDLE,
					 "plug");
	int r;

	if (q == NULL)
		return -ENOMEM;
	r = rtnl_qdisc_plug_set_limit(q, limit_bytes > INT_MAX ?
					 INT_MAX : (int)limit_bytes);
	if (r >= 0)
		r = rtnl_qdisc_build_add_request(q, NLM_F_CREATE | NLM_F_EXCL,
						 out);
	rtnl_qdisc_put(q);
	return build_rc(r);
}

int plug_msg_plug_cmd(struct nl_msg **out, unsigned int ifindex,
		      enum plug_cmd cmd)
{
	struct rtnl_qdisc *q = qdisc_new(ifindex, TC_H_ROOT, PLUG_HANDLE,
					 "plug");
	int r;

	if (q == NULL)
		return -ENOMEM;
	if (cmd == PLUG_BUFFER)
		r = rtnl_qdisc_plug_buffer(q);
	else
		r = rtnl_qdisc_plug_release_one(q);
	/* Without NLM_F_CREATE this changes the plug that is there, and fails
	 * where there is none. */
	if (r >= 0)
		r = rtnl_qdisc_build_add_request(q, 0, out);
	rtnl_qdisc_put(q);
	return build_rc(r);
}

int plug_msg_ingress_add(struct nl_msg **out, unsigned int ifindex)
{
	struct rtnl_qdisc *q = qdisc_new(ifindex, TC_H_INGRESS, INGRESS_HANDLE,
					 "ingress");
	int r;

	if (q == NULL)
		return -ENOMEM;
	r = rtnl_qdisc_build_add_request(q, NLM_F_CREATE | NLM_F_EXCL, out);
	rtnl_qdisc_put(q);
	return build_rc(r);
}

static int qdisc_del(struct nl_msg **out, struct rtnl_qdisc *q)
{
	int r;

	if (q == NULL)
		return -ENOMEM;
	r = rtnl_qdisc_build_delete_request(q, out);
	rtnl_qdisc_put(q);
	return build_rc(r);
}

int plug_msg_plug_del(struct nl_msg **out, unsigned int ifindex)
{
	return qdisc_del(out, qdisc_new(ifindex, TC_H_ROOT, PLUG_HANDLE,
					"plug"));
}

int plug_msg_ingress_del(struct nl_msg **out, unsigned int ifindex)
{
	return qdisc_del(out, qdisc_new(ifindex, TC_H_INGRESS, INGRESS_HANDLE,
					"ingress"));
}

/* ---- the redirection ---- */

static struct rtnl_act *redirect_to(unsigned int ifindex)
{
	struct rtnl_act *a = rtnl_act_alloc();

	if (a == NULL)
		return NULL;
	if (rtnl_tc_set_kind(TC_CAST(a), "mirred") < 0 ||
	    rtnl_mirred_set_action(a, TCA_EGRESS_REDIR) < 0 ||
	    rtnl_mirred_set_policy(a, TC_ACT_STOLEN) < 0 ||
	    rtnl_mirred_set_ifindex(a, ifindex) < 0) {
		rtnl_act_put(a);
		return NULL;
	}
	return a;
}

int plug_msg_redirect_add(struct nl_msg **out, unsigned int from,
			  unsigned int to)
{
	struct rtnl_cls *c = rtnl_cls_alloc();
	struct rtnl_act *a = redirect_to(to);
	int r = -NLE_NOMEM;

	if (c == NULL || a == NULL)
		goto end;
	rtnl_tc_set_ifindex(TC_CAST(c), (int)from);
	rtnl_tc_set_parent(TC_CAST(c), INGRESS_HANDLE);
	r = rtnl_tc_set_kind(TC_CAST(c), "u32");
	if (r < 0)
		goto end;
	rtnl_cls_set_prio(c, REDIRECT_PRIO);
	rtnl_cls_set_protocol(c, ETH_P_ALL);
	rtnl_u32_set_handle(c, REDIRECT_TABLE, 0, REDIRECT_NODE);
	r = rtnl_u32_add_key_uint32(c, 0, 0, 0, 0);
	if (r >= 0)
		r = rtnl_u32_set_cls_terminal(c);
	if (r >= 0)
		r = rtnl_u32_add_action(c, a);
	if (r >= 0)
		r = rtnl_cls_build_add_request(c, NLM_F_CREATE | NLM_F_EXCL,
					       out);
end:
	if (a != NULL)
		rtnl_act_put(a);
	if (c != NULL)
		rtnl_cls_put(c);
	return build_rc(r);
}

/* ---- the running kernel ---- */

struct kernel {
	struct nl_sock *sock;
	int error; /* of the last answer */
};

/* libnl would fold the kernel's errno into its own, fewer codes. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct kernel *k = arg;

	(void)from;
	k->error = e->error;
	return NL_STOP;
}

int plug_kernel_open(void **ctx)
{
	struct kernel *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->sock = nl_socket_alloc();
	if (k->sock == NULL) {
		free(k);
		return -ENOMEM;
	}
	if (nl_connect(k->sock, NETLINK_ROUTE) < 0) {
		nl_socket_free(k->sock);
		free(k);
		return -EIO;
	}
	nl_socket_modify_err_cb(k->sock, NL_CB_CUSTOM, on_error, k);
	*ctx = k;
	return 0;
}

static void kernel_close(void *ctx)
{
	struct kernel *k = ctx;

	nl_socket_free(k->sock);
	free(k);
}

static int kernel_talk(void *ctx, struct nl_msg *msg)
{
	struct kernel *k = ctx;
	int r;

	k->error = 0;
	r = nl_send_auto(k->sock, msg);
	if (r >= 0)
		r = nl_wait_for_ack(k->sock);
	if (k->error != 0)
		return k->error;
	return r < 0 ? -EIO : 0;
}

static unsigned int kernel_ifindex(void *ctx, const char *name)
{
	(void)ctx;
	return if_nametoindex(name);
}

static int kernel_stats(void *ctx, unsigned int ifindex, struct plug_stats *out)
{
	struct kernel *k = ctx;
	struct nl_cache *all;
	struct rtnl_qdisc *q;
	struct rtnl_tc *tc;

	if (rtnl_qdisc_alloc_cache(k->sock, &all) < 0)
		return -EIO;
	q = rtnl_qdisc_get_by_parent(all, (int)ifindex, TC_H_ROOT);
	if (q != NULL) {
		tc = TC_CAST(q);
		out->qlen = rtnl_tc_get_stat(tc, RTNL_TC_QLEN);
		out->backlog_bytes = rtnl_tc_get_stat(tc, RTNL_TC_BACKLOG);
		out->packets = rtnl_tc_get_stat(tc, RTNL_TC_PACKETS);
		out->drops = rtnl_tc_get_stat(tc, RTNL_TC_DROPS);
		rtnl_qdisc_put(q);
	}
	nl_cache_free(all);
	return q == NULL ? -ENOENT : 0;
}

const struct plug_io plug_kernel_io = {
	.talk = kernel_talk,
	.ifindex = kernel_ifindex,
	.stats = kernel_stats,
	.close = kernel_close,
};

#endif /* HAVE_LIBNL_ROUTE */
