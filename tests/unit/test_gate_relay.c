/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_gate_relay.c - the relay gate between a real socket pair and a real TAP.
 *
 *   guest end --> gate --> tap0 --[br0]-- v0 ~~ v1 <-- the outside (AF_PACKET)
 *
 * Every test has a network namespace of its own.  Needs root, /dev/net/tun and
 * iproute2; exits 77 where one is missing.
 *
 * That nothing came out is shown without waiting for a time: a marker frame
 * sent through the same bridge afterwards arrives, and nothing came before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "frame_queue.h"
#include "gate.h"
#include "netns.h"
#include "permit_make.h"
#include "util.h"

#define MARKER 0xffff0000u
#define WARM_UP (MARKER - 1)

static const struct gate_ops *const ops = &gate_relay_ops;

static const struct gate_config config = {
	.vm = "v", .tap = "tap0", .bridge = "br0", .queue_bytes = 1 << 20,
};

struct world {
	qb_loop_t *loop;
	struct gate *g;
	int guest;   /* the guest's end */
	int outside; /* on v1 */
	int marker;  /* on br0 */
	uint32_t markers;
};

static const char *const net_up =
	"ip link add br0 type bridge && ip link add v0 type veth peer name v1 "
	"&& ip link set v0 master br0 && ip link set br0 up "
	"&& ip link set v0 up && ip link set v1 up";

/* A cable that was just plugged in drops what is sent until the kernel has
 * noticed; that may take a moment on a busy machine. */
static bool cable_is_up(struct world *w)
{
	uint64_t end = test_ms() + DEADLINE_MS;
	uint8_t f[TEST_FRAME_BYTES];
	uint32_t got;

	make_frame(f, WARM_UP);
	while (test_ms() < end) {
		if (send(w->marker, f, sizeof(f), 0) == sizeof(f) &&
		    frame_next(w->outside, &got, 100))
			return true;
	}
	return false;
}

/* The next frame outside; not one of those that made sure of the cable. */
static bool next_outside(struct world *w, uint32_t *nr)
{
	do {
		if (!frame_next(w->outside, nr, DEADLINE_MS))
			return false;
	} while (*nr == WARM_UP);
	return true;
}

static int setup_net(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL || enter_new_netns() < 0 || system(net_up) != 0)
		return -1;
	w->loop = qb_loop_create();
	w->guest = -1;
	w->outside = frame_socket("v1");
	w->marker = frame_socket("br0");
	*state = w;
	return w->outside < 0 || w->marker < 0 || !cable_is_up(w) ? -1 : 0;
}

static int setup(void **state)
{
	char err[200];
	struct world *w;

	if (setup_net(state) < 0)
		return -1;
	w = *state;
	if (ops->create(&w->g, &config, w->loop, err, sizeof(err)) < 0) {
		print_error("%s\n", err);
		return -1;
	}
	w->guest = ops->guest_fd(w->g);
	return w->guest < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ops->destroy(w->g);
	qb_loop_destroy(w->loop);
	close(w->outside);
	close(w->marker);
	free(w);
	return 0;
}

/* ---- running the loop until something is true ---- */

struct until {
	struct world *w;
	bool (*cond)(struct world *w, uint64_t arg);
	uint64_t arg, end_ms;
	bool met;
};

static void check_until(void *data)
{
	struct until *u = data;
	qb_loop_timer_handle h;

	u->met = u->cond(u->w, u->arg);
	if (u->met || test_ms() > u->end_ms)
		qb_loop_stop(u->w->loop);
	else
		qb_loop_timer_add(u->w->loop, QB_LOOP_LOW, 1000000, u,
				  check_until, &h);
}

static void run_until(struct world *w,
		      bool (*cond)(struct world *w, uint64_t arg), uint64_t arg)
{
	struct until u = { .w = w, .cond = cond, .arg = arg,
			   .end_ms = test_ms() + DEADLINE_MS };
	qb_loop_timer_handle h;

	qb_loop_timer_add(w->loop, QB_LOOP_LOW, 1000000, &u, check_until, &h);
	qb_loop_run(w->loop);
	assert_true(u.met);
}

static struct gate_stats stats(struct world *w)
{
	struct gate_stats s;

	ops->stats(w->g, &s);
	return s;
}

static bool held_is(struct world *w, uint64_t n)
{
	return stats(w).held == n;
}

static bool dropped_is(struct world *w, uint64_t n)
{
	return stats(w).dropped == n;
}

static bool released_is(struct world *w, uint64_t n)
{
	return stats(w).released == n;
}

static bool inbound_is(struct world *w, uint64_t n)
{
	return stats(w).inbound == n;
}

static bool inbound_dropped_is(struct world *w, uint64_t n)
{
	return stats(w).inbound_dropped >= n;
}

static bool guest_may_send(struct world *w, uint64_t unused)
{
	struct pollfd p = { .fd = w->guest, .events = POLLOUT };

	(void)unused;
	return poll(&p, 1, 0) == 1;
}

static bool state_is(struct world *w, uint64_t s)
{
	return ops->state(w->g) == (enum gate_state)s;
}

/* ---- both ends ---- */

static void guest_send(struct world *w, uint32_t nr)
{
	uint8_t f[TEST_FRAME_BYTES];

	make_frame(f, nr);
	assert_int_equal(send(w->guest, f, sizeof(f), 0), sizeof(f));
}

static void expect_outside(struct world *w, uint32_t nr)
{
	uint32_t got;

	assert_true(next_outside(w, &got));
	assert_int_equal(got, nr);
}

/* Nothing but the marker comes. */
static void expect_silence(struct world *w)
{
	uint32_t nr = MARKER + w->markers++;
	uint8_t f[TEST_FRAME_BYTES];

	make_frame(f, nr);
	assert_int_equal(send(w->marker, f, sizeof(f), 0), sizeof(f));
	expect_outside(w, nr);
}

static int release(struct world *w, uint64_t epoch)
{
	struct permit p = permit_from_ack(epoch, UINT64_MAX);

	return ops->release(w->g, &p);
}

static int open_for_ms(struct world *w, uint64_t ms)
{
	struct permit p = permit_from_ticket(now_boot_ns() + ms * 1000000);

	return ops->open(w->g, &p);
}

/* ---- creation ---- */

static void expect_error(struct world *w, const struct gate_config *cfg,
			 int rc, const char *name)
{
	char err[200] = "?";
	struct gate *g;

	assert_int_equal(ops->create(&g, cfg, w->loop, err, sizeof(err)), rc);
	assert_null(g);
	assert_non_null(strstr(err, name));
	assert_null(strchr(err, '\n'));
}

static void wrong_names_are_clear_errors(void **state)
{
	struct world *w = *state;
	struct gate_config c = config;

	c.tap = "sixteen-bytes-xx";
	expect_error(w, &c, -EINVAL, "sixteen-bytes-xx");
	c.tap = "";
	expect_error(w, &c, -EINVAL, "1 to 15");
	c.tap = "tap%d"; /* the kernel would choose */
	expect_error(w, &c, -EINVAL, "tap%d");
	c.tap = "a/b";
	expect_error(w, &c, -EINVAL, "a/b");
	c.tap = "lo"; /* exists */
	expect_error(w, &c, -EEXIST, "'lo'");
	c = config;
	c.bridge = "br9";
	expect_error(w, &c, -ENODEV, "'br9'");
	assert_int_equal(if_nametoindex("tap0"), 0);
	c.bridge = "v1";
	expect_error(w, &c, -EOPNOTSUPP, "'v1' is not a bridge");
	assert_int_equal(if_nametoindex("tap0"), 0);
	c = config;
	c.queue_bytes = 100;
	expect_error(w, &c, -EINVAL, "100");
	assert_int_equal(if_nametoindex("tap0"), 0);
}

static void persistent_tap_of_others_is_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(system("ip tuntap add tap0 mode tap"), 0);
	expect_error(w, &config, -EEXIST, "'tap0'");
	assert_int_not_equal(if_nametoindex("tap0"), 0);
}

static void destroy_removes_the_interface(void **state)
{
	struct world *w = *state;

	assert_int_not_equal(if_nametoindex("tap0"), 0);
	assert_int_equal(system("ip -o link show tap0 | grep -q 'master br0.* "
				"state U'"), 0);
	ops->destroy(w->g);
	w->g = NULL;
	assert_int_equal(if_nametoindex("tap0"), 0);
	assert_int_equal(fcntl(w->guest, F_GETFD), -1);
}

/* ---- guest -> outside ---- */

static void closed_drops(void **state)
{
	struct world *w = *state;

	guest_send(w, 1);
	run_until(w, dropped_is, 1);
	expect_silence(w);
}

static void held_until_its_ack(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_send(w, 1);
	guest_send(w, 2);
	run_until(w, held_is, 2);
	expect_silence(w);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	guest_send(w, 3);
	run_until(w, held_is, 3);
	assert_int_equal(release(w, 1), 2);
	expect_outside(w, 1);
	expect_outside(w, 2);
	expect_silence(w);
	assert_int_equal(ops->barrier(w->g, 2), 0);
	assert_int_equal(release(w, 2), 1);
	expect_outside(w, 3);
	assert_int_equal(stats(w).released, 3);
	assert_int_equal(stats(w).dropped, 0);
}

/* The loop never ran: everything is still in the socket. */
static void barrier_drains_the_socket(void **state)
{
	struct world *w = *state;
	uint32_t i;

	ops->hold(w->g, 1);
	for (i = 0; i < 1000; i++)
		guest_send(w, i);
	assert_int_equal(stats(w).held, 0);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	assert_int_equal(stats(w).held, 1000);
	guest_send(w, 5000);
	assert_int_equal(release(w, 1), 1000);
	for (i = 0; i < 1000; i++)
		expect_outside(w, i);
	ops->barrier(w->g, 2);
	expect_silence(w);
	assert_int_equal(release(w, 2), 1);
	expect_outside(w, 5000);
}

static void bound_drops_the_newest(void **state)
{
	struct world *w = *state;
	uint64_t fit = (1 << 20) / frame_queue_cost(TEST_FRAME_BYTES);
	uint64_t sent = 0;
	uint8_t f[TEST_FRAME_BYTES];

	ops->hold(w->g, 1);
	while (sent < fit + 100) {
		make_frame(f, (uint32_t)sent);
		if (send(w->guest, f, sizeof(f), 0) > 0)
			sent++;
		else
			run_until(w, guest_may_send, 0);
	}
	assert_int_equal(ops->barrier(w->g, 1), 0);
	assert_int_equal(stats(w).held, fit);
	assert_int_equal(stats(w).dropped, 100);
	assert_true(stats(w).held_bytes <= 1 << 20);
}

static void impossible_frames_are_dropped(void **state)
{
	struct world *w = *state;
	static uint8_t big[FRAME_BYTES_MAX + 1];

	ops->hold(w->g, 1);
	assert_int_equal(send(w->guest, big, 0, 0), 0);
	assert_int_equal(send(w->guest, big, 13, 0), 13);
	assert_int_equal(send(w->guest, big, sizeof(big), 0), sizeof(big));
	assert_int_equal(send(w->guest, big, FRAME_BYTES_MAX, 0),
			 FRAME_BYTES_MAX);
	assert_int_equal(ops->barrier(w->g, 1), 0);
	assert_int_equal(stats(w).dropped, 3);
	assert_int_equal(stats(w).held, 1);
}

static void downed_interface_drops_and_counts(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_send(w, 1);
	ops->barrier(w->g, 1);
	assert_int_equal(system("ip link set tap0 down"), 0);
	assert_int_equal(release(w, 1), 0);
	assert_int_equal(system("ip link set tap0 up"), 0);
	assert_int_equal(stats(w).dropped, 1);
	assert_int_equal(release(w, 1), 0);
	expect_silence(w);
}

static void deleted_interface_is_survived(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_send(w, 1);
	assert_int_equal(system("ip link del tap0"), 0);
	run_until(w, held_is, 1);
	ops->barrier(w->g, 1);
	assert_int_equal(release(w, 1), 0);
	assert_int_equal(stats(w).dropped, 1);
	expect_silence(w);
}

static void open_passes_at_once_and_lapses(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_send(w, 1);
	run_until(w, held_is, 1);
	assert_int_equal(open_for_ms(w, 600000), 0);
	expect_outside(w, 1);
	guest_send(w, 2);
	run_until(w, released_is, 2);
	expect_outside(w, 2);
	open_for_ms(w, 20);
	run_until(w, state_is, GATE_HOLDING);
	guest_send(w, 3);
	run_until(w, held_is, 1);
	expect_silence(w);
	assert_int_equal(open_for_ms(w, 600000), 0);
	expect_outside(w, 3);
}

static void new_guest_fd_forgets_the_old_socket(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_send(w, 1);
	w->guest = ops->guest_fd(w->g);
	assert_true(w->guest >= 0);
	guest_send(w, 2);
	ops->barrier(w->g, 1);
	assert_int_equal(release(w, 1), 1);
	expect_outside(w, 2);
	assert_true(fcntl(w->guest, F_GETFD) & FD_CLOEXEC);
}

static void shut_drops_what_the_socket_holds(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	guest_send(w, 1);
	run_until(w, held_is, 1);
	guest_send(w, 2);
	ops->shut(w->g);
	assert_int_equal(stats(w).dropped, 2);
	ops->hold(w->g, 1);
	ops->barrier(w->g, 1);
	assert_int_equal(release(w, 1), 0);
	expect_silence(w);
}

/* ---- outside -> guest ---- */

static void outside_send(struct world *w, uint32_t nr)
{
	uint8_t f[TEST_FRAME_BYTES];

	make_frame(f, nr);
	assert_int_equal(send(w->outside, f, sizeof(f), 0), sizeof(f));
}

/* The kernel itself sends on a new interface too: skip what is not ours. */
static bool guest_next(struct world *w, uint32_t *nr)
{
	uint8_t buf[10000];
	ssize_t n;

	while ((n = recv(w->guest, buf, sizeof(buf), MSG_DONTWAIT)) >= 0)
		if (n == TEST_FRAME_BYTES && buf[12] == TEST_ETHERTYPE >> 8 &&
		    buf[13] == (TEST_ETHERTYPE & 0xff)) {
			*nr = frame_nr(buf);
			return true;
		}
	return false;
}

static bool guest_sees(struct world *w, uint64_t nr)
{
	uint32_t got;

	return guest_next(w, &got) && got == nr;
}

static void inbound_passes_while_output_is_held(void **state)
{
	struct world *w = *state;

	ops->hold(w->g, 1);
	outside_send(w, 9);
	run_until(w, guest_sees, 9);
	assert_true(stats(w).inbound >= 1);
}

static void inbound_is_dropped_while_closed(void **state)
{
	struct world *w = *state;
	uint32_t nr;

	outside_send(w, 9);
	run_until(w, inbound_dropped_is, 1);
	run_until(w, inbound_is, 0);
	assert_false(guest_next(w, &nr));
}

/* One TCP segment with one byte, always of the same connection.  Its IP header
 * is right, because a bridge may look (br_netfilter). */
static void outside_send_tcp(struct world *w, uint8_t data)
{
	uint8_t f[TEST_FRAME_BYTES + 1];

	make_frame(f, 0);
	memcpy(f + 12, "\x08\0" "\x45\0\0\x29" "\0\0\0\0" "\x40\x06"
	       "\x66\xcd" "\x0a\0\0\1" "\x0a\0\0\2", 22);
	f[46] = 0x50;
	f[54] = data;
	assert_int_equal(send(w->outside, f, sizeof(f), 0), sizeof(f));
}

/* What was sent so far has been read from the TAP.  (The kernel sends a few
 * frames of its own there, so a number alone says little.) */
static void closed_gate_reads_all(struct world *w)
{
	int i;

	for (i = 0; i < 100; i++)
		outside_send(w, 9);
	run_until(w, inbound_dropped_is, 100);
}

static unsigned int guest_tcp_seen(struct world *w)
{
	uint8_t f[2000];
	unsigned int n = 0;
	ssize_t got;

	while ((got = recv(w->guest, f, sizeof(f), MSG_DONTWAIT)) > 0)
		n += got > 54 && f[12] == 0x08 && f[13] == 0 && f[54] == 'x';
	return n;
}

static void tcp_that_came_while_closed_comes_late(void **state)
{
	struct world *w = *state;
	struct permit p = permit_from_ticket(now_boot_ns() + 60000000000u);

	outside_send_tcp(w, 'o');
	outside_send_tcp(w, 'x'); /* the newest of its connection */
	closed_gate_reads_all(w);
	ops->hold(w->g, 1);
	assert_int_equal(guest_tcp_seen(w), 0); /* it does not run yet */
	assert_int_equal(ops->open(w->g, &p), 0);
	assert_int_equal(guest_tcp_seen(w), 1);
	assert_int_equal(ops->open(w->g, &p), 0); /* renewed */
	assert_int_equal(guest_tcp_seen(w), 0);
}

static void a_new_guest_gets_nothing_late(void **state)
{
	struct world *w = *state;
	struct permit p = permit_from_ticket(now_boot_ns() + 60000000000u);

	outside_send_tcp(w, 'x');
	closed_gate_reads_all(w);
	w->guest = ops->guest_fd(w->g);
	ops->hold(w->g, 1);
	assert_int_equal(ops->open(w->g, &p), 0);
	assert_int_equal(guest_tcp_seen(w), 0);
}

/* A guest that does not read costs a bounded socket, not our memory. */
static void slow_guest_loses_frames(void **state)
{
	struct world *w = *state;
	uint64_t end = test_ms() + DEADLINE_MS;
	uint8_t f[1500];
	int i;

	make_frame(f, 1);
	memset(f + TEST_FRAME_BYTES, 0, sizeof(f) - TEST_FRAME_BYTES);
	ops->hold(w->g, 1);
	while (stats(w).inbound_dropped == 0 && test_ms() < end) {
		for (i = 0; i < 200; i++)
			send(w->outside, f, sizeof(f), 0);
		run_until(w, inbound_dropped_is, 0);
	}
	assert_true(stats(w).inbound_dropped > 0);
	assert_true(stats(w).inbound > 0);
}

/* ---- S7: a remusd that is stopped or killed ---- */

static int send_fd(int sock, int fd)
{
	char byte = 'f', ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &m, 0) == 1 ? 0 : -1;
}

static int recv_fd(int sock)
{
	char byte, ctl[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(sock, &m, 0) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL)
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* The daemon: owns the gate, opens it until `expires`, runs its loop. */
static void daemon_main(int sock, uint64_t expires)
{
	struct permit p = permit_from_ticket(expires);
	qb_loop_t *loop = qb_loop_create();
	struct gate *g;
	char err[200];

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* should an assertion fail */
	if (ops->create(&g, &config, loop, err, sizeof(err)) < 0)
		_exit(1);
	ops->hold(g, 1);
	if (ops->open(g, &p) < 0 || send_fd(sock, ops->guest_fd(g)) < 0)
		_exit(2);
	close(sock);
	qb_loop_run(loop);
	_exit(3);
}

static pid_t start_daemon(struct world *w, uint64_t expires)
{
	int sv[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sv),
			 0);
	pid = fork();
	if (pid == 0)
		daemon_main(sv[1], expires);
	close(sv[1]);
	w->guest = recv_fd(sv[0]);
	close(sv[0]);
	assert_true(w->guest >= 0);
	return pid;
}

/* The guest goes on sending whatever becomes of the daemon: errors are its
 * card's problem. */
static void guest_storm(struct world *w, uint32_t from, uint32_t n)
{
	uint8_t f[TEST_FRAME_BYTES];
	uint32_t i;

	for (i = 0; i < n; i++) {
		make_frame(f, from + i);
		send(w->guest, f, sizeof(f), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

/* What was let out before the signal took effect may still be on its way. */
static void drain_outside(struct world *w)
{
	uint32_t nr = MARKER + w->markers++, got = 0;
	uint8_t f[TEST_FRAME_BYTES];

	make_frame(f, nr);
	assert_int_equal(send(w->marker, f, sizeof(f), 0), sizeof(f));
	while (got != nr)
		assert_true(next_outside(w, &got));
}

static void stop(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void reap(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void stopped_daemon_passes_nothing(void **state)
{
	struct world *w = *state;
	pid_t pid = start_daemon(w, PERMIT_FOREVER);
	uint32_t nr;

	guest_storm(w, 0, 100);
	expect_outside(w, 0); /* it does pass while it runs */
	stop(pid);
	drain_outside(w);
	guest_storm(w, 10000, 500);
	expect_silence(w);
	/* What waited was held, not lost, and the gate works on. */
	assert_int_equal(kill(pid, SIGCONT), 0);
	do
		assert_true(next_outside(w, &nr));
	while (nr < 10000);
	reap(pid);
	close(w->guest);
}

static void thawed_daemon_passes_nothing_after_expiry(void **state)
{
	struct world *w = *state;
	uint64_t expires = now_boot_ns() + 3000000000u;
	pid_t pid = start_daemon(w, expires);
	struct pollfd p = { .fd = w->guest, .events = POLLOUT };

	guest_storm(w, 0, 10);
	expect_outside(w, 0);
	stop(pid);
	drain_outside(w);
	/* Fill the socket, so that one free place shows that it read. */
	guest_storm(w, 10000, 100000);
	assert_int_equal(poll(&p, 1, 0), 0);
	while (now_boot_ns() < expires)
		poll(NULL, 0, 10);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	expect_silence(w);
	reap(pid);
	close(w->guest);
}

static void killed_daemon_takes_the_interface_along(void **state)
{
	struct world *w = *state;
	pid_t pid = start_daemon(w, PERMIT_FOREVER);

	guest_storm(w, 0, 100);
	expect_outside(w, 0);
	assert_int_not_equal(if_nametoindex("tap0"), 0);
	reap(pid);
	assert_int_equal(if_nametoindex("tap0"), 0);
	drain_outside(w);
	guest_storm(w, 10000, 500);
	expect_silence(w);
	close(w->guest);
}

static int why_not(const char **why)
{
	int fd;

	if (enter_new_netns() < 0) {
		*why = "no network namespace of our own (root and iproute2 "
		       "expected)";
		return -1;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		*why = "no /dev/net/tun";
		return -1;
	}
	close(fd);
	if (system(net_up) != 0) {
		*why = "no bridge or veth in this kernel";
		return -1;
	}
	return 0;
}

#define GATE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NET(f) cmocka_unit_test_setup_teardown(f, setup_net, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET(wrong_names_are_clear_errors),
		NET(persistent_tap_of_others_is_refused),
		GATE(destroy_removes_the_interface),
		GATE(closed_drops),
		GATE(held_until_its_ack),
		GATE(barrier_drains_the_socket),
		GATE(bound_drops_the_newest),
		GATE(impossible_frames_are_dropped),
		GATE(downed_interface_drops_and_counts),
		GATE(deleted_interface_is_survived),
		GATE(open_passes_at_once_and_lapses),
		GATE(new_guest_fd_forgets_the_old_socket),
		GATE(shut_drops_what_the_socket_holds),
		GATE(inbound_passes_while_output_is_held),
		GATE(inbound_is_dropped_while_closed),
		GATE(tcp_that_came_while_closed_comes_late),
		GATE(a_new_guest_gets_nothing_late),
		GATE(slow_guest_loses_frames),
		NET(stopped_daemon_passes_nothing),
		NET(thawed_daemon_passes_nothing_after_expiry),
		NET(killed_daemon_takes_the_interface_along),
	};
	const char *why = "";

	if (why_not(&why) < 0) {
		printf("test_gate_relay: skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
