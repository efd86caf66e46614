/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate_relay.c - the gate for guests whose network device is a datagram socket.
 *
 *   guest (QEMU) <--AF_UNIX datagrams--> remusd <--> TAP <--> bridge
 *                       one frame each     queue
 *
 * Nothing but this process joins the two sides, and the TAP is not persistent:
 * killed, the interface is gone; stopped or hung, nobody moves a frame (S7).
 *
 * How much waits where: the socket takes SOCKET_BYTES, the queue queue_bytes.
 * Beyond that the guest's card (QEMU) sees a full socket, or the queue drops
 * the newest frames.
 *
 * The TAP when it is full: a frame whose permit has come but which the kernel
 * refuses (ENOBUFS, EAGAIN, interface down) is dropped and counted, as a
 * network card does; it is not kept, so that order needs no second watermark.
 * Losing a frame is safe, a late or doubled one would not be.
 *
 * While CLOSED, frames for the guest are dropped, but for the newest segment of
 * each TCP connection: segments.h says why; it gets them when the gate opens.
 *
 * A ticket's clock is read before every single frame.  What remains is a stop
 * of the whole process between that look and the write() after it: at most
 * one frame, already under way when the ticket was good.
 *
 * Work per call from the loop is bounded by BATCHES_PER_CALL; barrier() and
 * release() are bounded by the socket's and the queue's size.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate_core.h"
#include "segments.h"
#include "tap.h"
#include "util.h"

#define SOCKET_BYTES (4 << 20)
#define BATCHES_PER_CALL 4   /* of FRAME_BATCH frames from the guest */
#define INBOUND_PER_CALL 64  /* frames towards the guest */
#define CHECK_NS 100000000u  /* how soon an idle gate notices a dead ticket */
/* barrier(): more frames than any socket of SOCKET_BYTES can hold mean that
 * the guest still sends. */
#define BARRIER_FRAMES_MAX (SOCKET_BYTES / 64)

struct gate {
	struct gate_core core;
	qb_loop_t *loop;
	char tap[IFNAMSIZ];
	int tap_fd;
	bool tap_watched;
	bool tap_refuses; /* said so already */
	int ours, guests; /* the socket pair; -1: none yet */
	struct segments *late; /* came while CLOSED */
	qb_loop_timer_handle timer;
	bool timer_armed;
	struct mmsghdr msgs[FRAME_BATCH];
	struct iovec iovs[FRAME_BATCH];
	uint8_t inbound[FRAME_BYTES_MAX + 1];
};

/* ---- guest -> TAP ---- */

static int emit(void *ctx, const void *frame, size_t len)
{
	struct gate *g = ctx;
	ssize_t n;
	int rc;

	do
		n = write(g->tap_fd, frame, len);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		g->tap_refuses = false;
		return 0;
	}
	rc = -errno;
	if (!g->tap_refuses)
		qb_log(LOG_WARNING, "%s: gate: tap '%s' refuses output: %s; "
		       "frames are dropped", g->core.vm, g->tap, strerror(-rc));
	g->tap_refuses = true;
	return rc;
}

static uint64_t clock_ns(void *ctx)
{
	(void)ctx;
	return now_boot_ns();
}

static const struct gate_core_ops core_ops = {
	.emit = emit,
	.now_boot_ns = clock_ns,
};

/* One batch from the guest's socket: number of frames, 0 when there are none
 * now, or -errno. */
static int take_batch(struct gate *g)
{
	unsigned int n, i;
	int got;

	n = frame_queue_reserve(g->core.queue, g->iovs, FRAME_BATCH);
	for (i = 0; i < n; i++) {
		memset(&g->msgs[i].msg_hdr, 0, sizeof(g->msgs[i].msg_hdr));
		g->msgs[i].msg_hdr.msg_iov = &g->iovs[i];
		g->msgs[i].msg_hdr.msg_iovlen = 1;
	}
	do
		got = recvmmsg(g->ours, g->msgs, n, MSG_DONTWAIT, NULL);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	for (i = 0; i < (unsigned int)got; i++) {
		size_t len = g->msgs[i].msg_len;

		if (g->msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
			len = FRAME_BYTES_MAX + 1;
		gate_core_take(&g->core, i, len);
	}
	gate_core_pass(&g->core);
	return got;
}

/* Everything that is in the socket, or -errno. */
static int take_all(struct gate *g)
{
	unsigned int total = 0;
	int got;

	if (g->ours < 0)
		return 0;
	while ((got = take_batch(g)) > 0) {
		total += (unsigned int)got;
		if (total > BARRIER_FRAMES_MAX)
			return -EOVERFLOW;
	}
	return got;
}

static int32_t on_guest(int32_t fd, int32_t revents, void *data)
{
	struct gate *g = data;
	int i, got = 1;

	(void)revents;
	if (fd != g->ours)
		return -1;
	for (i = 0; i < BATCHES_PER_CALL && got > 0; i++)
		got = take_batch(g);
	if (got < 0) {
		qb_log(LOG_ERR, "%s: gate: the guest's socket: %s", g->core.vm,
		       strerror(-got));
		return -1;
	}
	return 0;
}

/* ---- TAP -> guest ---- */

static void send_inbound(void *ctx, const void *frame, size_t len)
{
	struct gate *g = ctx;

	if (g->ours >= 0 && len <= FRAME_BYTES_MAX &&
	    send(g->ours, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		g->core.n.inbound++;
	else
		g->core.n.inbound_dropped++;
}

static void pass_inbound(struct gate *g, size_t len)
{
	if (g->core.state != GATE_CLOSED) {
		send_inbound(g, g->inbound, len);
		return;
	}
	/* Nobody runs that could read, and frames that waited in the socket
	 * would reach a guest long after they were sent. */
	g->core.n.inbound_dropped++;
	segments_put(g->late, g->inbound, len, now_boot_ns());
}

static int32_t on_tap(int32_t fd, int32_t revents, void *data)
{
	struct gate *g = data;
	ssize_t n;
	int i;

	(void)revents;
	for (i = 0; i < INBOUND_PER_CALL; i++) {
		n = read(fd, g->inbound, sizeof(g->inbound));
		if (n >= 0) {
			pass_inbound(g, (size_t)n);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return 0;
		qb_log(LOG_ERR, "%s: gate: tap '%s' is lost: %s", g->core.vm,
		       g->tap, strerror(errno));
		g->tap_watched = false;
		return -1;
	}
	return 0;
}

/* ---- life ---- */

static void drop_pair(struct gate *g)
{
	if (g->ours < 0)
		return;
	qb_loop_poll_del(g->loop, g->ours);
	close(g->ours);
	close(g->guests);
	g->ours = g->guests = -1;
}

static void relay_destroy(struct gate *g)
{
	if (g == NULL)
		return;
	if (g->timer_armed)
		qb_loop_timer_del(g->loop, g->timer);
	drop_pair(g);
	if (g->tap_watched)
		qb_loop_poll_del(g->loop, g->tap_fd);
	if (g->tap_fd >= 0)
		close(g->tap_fd);
	gate_core_fini(&g->core);
	segments_free(g->late);
	free(g);
}

static int relay_create(struct gate **out, const struct gate_config *cfg,
			qb_loop_t *loop, char *err, size_t err_bytes)
{
	struct gate *g = calloc(1, sizeof(*g));
	int rc;

	*out = NULL;
	if (g == NULL)
		return set_err(err, err_bytes, -ENOMEM, "gate of %s: no memory",
			       cfg->vm);
	g->loop = loop;
	g->tap_fd = g->ours = g->guests = -1;
	rc = gate_core_init(&g->core, cfg, &core_ops, g, err, err_bytes);
	g->late = segments_new();
	if (rc == 0 && g->late == NULL)
		rc = set_err(err, err_bytes, -ENOMEM, "gate of %s: no memory",
			     cfg->vm);
	if (rc == 0)
		rc = g->tap_fd = tap_open(cfg->tap, cfg->bridge, err, err_bytes);
	if (rc < 0)
		goto fail;
	memcpy(g->tap, cfg->tap, strlen(cfg->tap) + 1); /* checked there */
	rc = qb_loop_poll_add(loop, QB_LOOP_MED, g->tap_fd, POLLIN, g, on_tap);
	if (rc < 0) {
		set_err(err, err_bytes, rc, "tap '%s': cannot be watched: %s",
			cfg->tap, strerror(-rc));
		goto fail;
	}
	g->tap_watched = true;
	set_err(err, err_bytes, 0, "%s", "");
	*out = g;
	return 0;
fail:
	relay_destroy(g);
	return rc;
}

/* As root beyond the system's limit, else as far as that goes. */
static void enlarge(int fd)
{
	int bytes = SOCKET_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
		       sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int relay_attach(struct gate *g, const char *name, char *err,
		size_t err_bytes)
{
	(void)g;
	return set_err(err, err_bytes, -EOPNOTSUPP, "gate relay cannot hold "
		       "the output of '%s'", name);
}

static int relay_guest_fd(struct gate *g)
{
	int sv[2], rc;

	drop_pair(g);
	segments_clear(g->late); /* another guest */
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       sv) < 0)
		return -errno;
	enlarge(sv[0]);
	enlarge(sv[1]);
	rc = qb_loop_poll_add(g->loop, QB_LOOP_MED, sv[0], POLLIN, g, on_guest);
	if (rc < 0) {
		close(sv[0]);
		close(sv[1]);
		return rc;
	}
	g->ours = sv[0];
	g->guests = sv[1];
	return g->guests;
}

/* ---- states ---- */

static void relay_hold(struct gate *g, uint64_t epoch)
{
	gate_core_hold(&g->core, epoch);
}

static int relay_barrier(struct gate *g, uint64_t epoch)
{
	int rc = take_all(g);

	if (rc < 0) {
		qb_log(LOG_ERR, "%s: gate: barrier: the guest's output cannot "
		       "be taken in: %s", g->core.vm, strerror(-rc));
		return rc;
	}
	return gate_core_barrier(&g->core, epoch);
}

static void relay_segments(const struct gate *g, uint64_t epoch,
			   struct segments *out)
{
	gate_core_segments(&g->core, epoch, out);
}

static void relay_put(struct gate *g, const void *frame, size_t len)
{
	gate_core_take_copy(&g->core, frame, len);
}

static int relay_release(struct gate *g, const struct permit *p)
{
	return gate_core_release(&g->core, p);
}

static void on_timer(void *data);

static void arm_timer(struct gate *g)
{
	if (!g->timer_armed)
		g->timer_armed = qb_loop_timer_add(g->loop, QB_LOOP_MED,
						   CHECK_NS, g, on_timer,
						   &g->timer) == 0;
}

/* An idle gate must not go on calling itself open; passing nothing is how it
 * finds out. */
static void on_timer(void *data)
{
	struct gate *g = data;

	g->timer_armed = false;
	gate_core_pass(&g->core);
	if (g->core.state == GATE_OPEN)
		arm_timer(g);
}

static int relay_open(struct gate *g, const struct permit *p)
{
	int rc = gate_core_open(&g->core, p);

	if (rc == 0) {
		arm_timer(g);
		/* It runs; before, its card would not have taken them in. */
		segments_drain(g->late, now_boot_ns(), send_inbound, g);
	}
	return rc;
}

static void relay_shut(struct gate *g)
{
	gate_core_shut(&g->core);
	take_all(g); /* CLOSED: counted as dropped */
}

static enum gate_state relay_state(const struct gate *g)
{
	return gate_core_state(&g->core);
}

static void relay_stats(const struct gate *g, struct gate_stats *out)
{
	gate_core_stats(&g->core, out);
}

const struct gate_ops gate_relay_ops = {
	.name = "relay",
	.create = relay_create,
	.guest_fd = relay_guest_fd,
	.attach = relay_attach,
	.hold = relay_hold,
	.barrier = relay_barrier,
	.segments = relay_segments,
	.put = relay_put,
	.release = relay_release,
	.open = relay_open,
	.shut = relay_shut,
	.state = relay_state,
	.stats = relay_stats,
	.destroy = relay_destroy,
};
