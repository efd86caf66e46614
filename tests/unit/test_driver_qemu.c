/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QEMU driver with a real QEMU and a tiny guest.  The guest counts: in a
 * register, in memory at COUNT, and it writes the count into one page after
 * another.  It compares register and memory each time, and sets WRONG when they
 * differ: then device state and RAM were not of the same instant.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "heard_guest.h"
#include "util.h"

#define RAM_BYTES ((uint64_t)64 << 20)
#define COUNT 0x200000
#define WRONG 0x200008
#define WAIT_MS 60000
#define EPOCHS 15
#define ops (&driver_qemu_ops)

/* A multiboot image, loaded at 1 MiB; `limit` holds the count at which it
 * powers off (port 0x604 is the machine's ACPI PM1a control). */
extern const uint8_t payload[], payload_limit[], payload_end[];
__asm__(".section .rodata\n"
	".code32\n"
	"payload: .long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)\n"
	"	.long 0x100000, 0x100000, 0x100000 + payload_end - payload\n"
	"	.long 0, 0x100000 + payload_entry - payload\n"
	"payload_limit: .long 0\n"
	"payload_entry:\n"
	"	cli\n"
	"	xorl %ebx, %ebx\n"
	"	movl %ebx, 0x200000\n"
	"1:	cmpl %ebx, 0x200000\n"
	"	jne 3f\n"
	"	incl %ebx\n"
	"	movl %ebx, %edi\n"
	"	andl $1023, %edi\n"
	"	shll $12, %edi\n"
	"	movl %ebx, 0x400000(%edi)\n"
	"	movl %ebx, 0x200000\n"
	"	movl $20000, %ecx\n"
	"2:	loop 2b\n"
	"	cmpl 0x100000 + payload_limit - payload, %ebx\n"
	"	jne 1b\n"
	"	movw $0x604, %dx\n"
	"	movw $0x2000, %ax\n"
	"	outw %ax, %dx\n"
	"3:	movl $1, 0x200008\n"
	"	jmp 3b\n"
	"payload_end:\n"
	".code64\n"
	".previous\n");

static char dir[] = "/tmp/remus-test-XXXXXX";
static char kernel[64], kernel_off[64];
static qb_loop_t *loop;

/* ---- what happened, and waiting for it ---- */

static const struct driver_events events = {
	.running = on_running,
	.standby = on_standby,
	.suspended = on_suspended,
	.device_state = on_device_state,
	.resumed = on_resumed,
	.gone = on_gone,
};

static void stop_loop(__attribute__((unused)) void *data)
{
	qb_loop_stop(loop);
}

static void turn(uint64_t ms)
{
	qb_loop_timer_handle h;

	qb_loop_timer_add(loop, QB_LOOP_LOW, ms * 1000000, NULL, stop_loop, &h);
	qb_loop_run(loop);
}

static void wait_for(const int *counter, int value)
{
	uint64_t deadline = now_mono_ns() + WAIT_MS * (uint64_t)1000000;

	while (*counter < value && now_mono_ns() < deadline)
		turn(2);
	assert_int_equal(*counter, value);
}

static uint32_t at(struct guest *g, size_t address)
{
	uint32_t v;

	memcpy(&v, ops->ram(g->d) + address, sizeof(v));
	return v;
}

static void collect(struct guest *g)
{
	assert_int_equal(ops->collect(g->d, &g->dirty), 0);
}

/* Under the compare tracker ram() shows nothing new without a collect(). */
static void wait_count(struct guest *g, uint32_t more_than)
{
	uint64_t deadline = now_mono_ns() + WAIT_MS * (uint64_t)1000000;

	while (at(g, COUNT) <= more_than && now_mono_ns() < deadline &&
	       g->gone == 0) {
		turn(2);
		if (g->gone == 0)
			collect(g);
	}
	assert_int_equal(g->gone, 0);
	assert_true(at(g, COUNT) > more_than);
	assert_int_equal(at(g, WRONG), 0);
}

/* ---- guests ---- */

static void create(struct guest *g, const char *name)
{
	char err[512] = "";

	memset(g, 0, sizeof(*g));
	snprintf(g->cfg.name, sizeof(g->cfg.name), "%s", name);
	g->cfg.driver = (char *)"qemu";
	g->cfg.memory_bytes = RAM_BYTES;
	g->cfg.cpus = 1;
	g->cfg.kernel = kernel;
	g->cfg.accel = VM_ACCEL_TCG;
	snprintf(g->cfg.mac, sizeof(g->cfg.mac), "52:54:00:0a:0b:0c");
	g->cfg.ram_dir = (char *)"/dev/shm";
	g->cfg.tracker = (char *)"auto";
	g->cfg.gate = (char *)"relay";
	g->cfg.run_dir = dir;
	if (ops->create(&g->d, &g->cfg, loop, &events, g, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	assert_int_equal(page_bitmap_init(&g->dirty, ops->npages(g->d)), 0);
}

static void destroy(struct guest *g)
{
	ops->destroy(g->d);
	page_bitmap_free(&g->dirty);
	free(g->state);
}

static void boot(struct guest *g, int net_fd)
{
	char err[512] = "";

	if (ops->boot(g->d, net_fd, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	assert_int_equal(g->running, 0); /* never from inside the call */
	assert_null(ops->ram(g->d));
	wait_for(&g->running, 1);
	if (g->rc != 0)
		fail_msg("%s", g->why);
}

static void make_standby(struct guest *g, int net_fd)
{
	char err[512] = "";

	if (ops->standby(g->d, net_fd, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	wait_for(&g->standby, 1);
	if (g->rc != 0)
		fail_msg("%s", g->why);
	assert_non_null(ops->ram(g->d));
}

static void track(struct guest *g)
{
	char err[512] = "";

	if (ops->track_start(g->d, err, sizeof(err)) < 0)
		fail_msg("%s", err);
}

static void suspend(struct guest *g)
{
	int n = g->saved;

	assert_int_equal(ops->suspend(g->d), 0);
	wait_for(&g->saved, n + 1);
	assert_int_equal(g->suspended, g->saved);
	assert_int_equal(g->rc, 0);
	assert_true(g->state_bytes > 1000);
}

static void resume(struct guest *g)
{
	int n = g->resumed;

	assert_int_equal(ops->resume(g->d), 0);
	wait_for(&g->resumed, n + 1);
	assert_int_equal(g->rc, 0);
}

/* Process id of our only, or newest, child that is a QEMU. */
static pid_t qemu_pid(void)
{
	char path[64], buf[4096], *p, *save = NULL;
	pid_t pid = -1;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		 (int)getpid());
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	assert_true(n > 0);
	buf[n] = '\0';
	for (p = strtok_r(buf, " ", &save); p != NULL;
	     p = strtok_r(NULL, " ", &save))
		pid = atoi(p);
	return pid;
}

/* ---- tests ---- */

static void test_boot_suspend_resume(__attribute__((unused)) void **state)
{
	struct guest g;
	uint32_t count;

	create(&g, "vm");
	assert_int_equal(ops->npages(g.d), RAM_BYTES / REMUS_PAGE_SIZE);
	assert_string_equal(ops->tracker_name(g.d), "none");
	assert_true(ops->suspend(g.d) < 0); /* nothing runs yet */
	boot(&g, -1);
	track(&g);
	wait_count(&g, 0);
	print_message("tracker: %s\n", ops->tracker_name(g.d));
	assert_true(ops->resume(g.d) < 0); /* it is not suspended */
	suspend(&g);
	assert_true(ops->suspend(g.d) < 0); /* twice */
	collect(&g);
	count = at(&g, COUNT);
	turn(50);
	collect(&g);
	assert_int_equal(at(&g, COUNT), count);
	resume(&g);
	wait_count(&g, count);
	ops->kill(g.d);
	assert_int_equal(g.gone, 0);
	wait_for(&g.gone, 1);
	assert_int_equal(g.expected, 1);
	assert_null(ops->ram(g.d));
	destroy(&g);
}

static void copy_dirty(struct guest *to, struct guest *from)
{
	struct page_bitmap *dirty = &from->dirty;

	for (gfn_t p = page_bitmap_next(dirty, 0); p < dirty->npages;
	     p = page_bitmap_next(dirty, p + 1))
		memcpy(ops->ram(to->d) + p * REMUS_PAGE_SIZE,
		       ops->ram(from->d) + p * REMUS_PAGE_SIZE,
		       REMUS_PAGE_SIZE);
	page_bitmap_clear_all(dirty);
}

/* A live copy, then checkpoints of the dirty pages alone, each compared with
 * the whole RAM; a is left suspended. */
static void replicate(struct guest *a, struct guest *b)
{
	page_bitmap_set_all(&a->dirty);
	copy_dirty(b, a);
	for (int i = 0; i < EPOCHS; i++) {
		if (i > 0)
			resume(a);
		turn(20);
		if (i == EPOCHS / 2) { /* one more live round */
			collect(a);
			copy_dirty(b, a);
		}
		suspend(a);
		collect(a);
		if (i != EPOCHS / 2)
			assert_true(page_bitmap_test(&a->dirty, COUNT /
						     REMUS_PAGE_SIZE));
		copy_dirty(b, a);
		assert_memory_equal(ops->ram(a->d), ops->ram(b->d), RAM_BYTES);
	}
}

static void failover_with(const char *tracker)
{
	struct guest a, b;
	uint8_t fa[16], fb[16];
	char err[512] = "";
	uint32_t count;

	create(&a, "a");
	create(&b, "b");
	a.cfg.tracker = (char *)tracker;
	ops->fingerprint(a.d, fa);
	ops->fingerprint(b.d, fb);
	assert_memory_equal(fa, fb, 16);
	boot(&a, -1);
	make_standby(&b, -1);
	track(&a);
	wait_count(&a, 0);
	replicate(&a, &b);
	if (strcmp(tracker, "auto") != 0)
		assert_string_equal(ops->tracker_name(a.d), tracker);
	count = at(&b, COUNT);
	assert_true(count > 0);
	resume(&a);
	wait_count(&a, count + 5); /* the old one goes on, and is lost */
	ops->kill(a.d);
	wait_for(&a.gone, 1);
	assert_int_equal(at(&b, COUNT), count);
	if (ops->activate(b.d, a.state, a.state_bytes, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	wait_for(&b.running, 1);
	if (b.rc != 0)
		fail_msg("%s", b.why);
	track(&b); /* it can be protected in its turn */
	wait_count(&b, count);
	for (int i = 0; i < 5; i++) {
		turn(50);
		suspend(&b);
		resume(&b);
	}
	assert_int_equal(at(&b, WRONG), 0);
	assert_int_equal(a.gone, 1);
	assert_int_equal(b.gone, 0);
	destroy(&a);
	destroy(&b);
}

static void test_failover(__attribute__((unused)) void **state)
{
	failover_with("auto");
}

static void test_failover_compare(__attribute__((unused)) void **state)
{
	failover_with("compare");
}

static void test_rotten_device_state(__attribute__((unused)) void **state)
{
	struct guest g;
	uint8_t junk[5000];
	char err[512] = "";

	memset(junk, 0x5a, sizeof(junk));
	create(&g, "vm");
	assert_true(ops->activate(g.d, junk, sizeof(junk), err,
				  sizeof(err)) < 0); /* no standby */
	make_standby(&g, -1);
	assert_true(ops->activate(g.d, junk, 0, err, sizeof(err)) < 0);
	assert_int_equal(ops->activate(g.d, junk, sizeof(junk), err,
				       sizeof(err)), 0);
	wait_for(&g.running, 1);
	assert_true(g.rc < 0);
	assert_int_equal(g.gone, 0);
	print_message("why: %s\n", g.why);
	destroy(&g);
}

static void test_guest_powers_off(__attribute__((unused)) void **state)
{
	struct guest g;

	create(&g, "vm");
	g.cfg.kernel = kernel_off;
	boot(&g, -1);
	wait_for(&g.gone, 1);
	assert_int_equal(g.expected, 0);
	assert_non_null(strstr(g.why, "powered off"));
	destroy(&g);
}

static void test_qemu_dies(__attribute__((unused)) void **state)
{
	struct guest g;
	int saved;

	create(&g, "vm");
	boot(&g, -1);
	kill(qemu_pid(), SIGKILL);
	saved = g.saved;
	ops->suspend(g.d); /* outstanding: gone() is the one event */
	wait_for(&g.gone, 1);
	turn(50);
	assert_int_equal(g.gone, 1);
	assert_int_equal(g.expected, 0);
	assert_int_equal(g.saved, saved);
	assert_non_null(strstr(g.why, "signal 9"));
	g.running = g.gone = 0;
	make_standby(&g, -1);
	kill(qemu_pid(), SIGSEGV);
	wait_for(&g.gone, 1);
	assert_int_equal(g.expected, 0);
	destroy(&g);
}

static void test_kill_at_any_time(__attribute__((unused)) void **state)
{
	struct guest g;
	char err[512] = "";

	create(&g, "vm");
	ops->kill(g.d); /* EMPTY */
	assert_int_equal(g.gone, 0);
	wait_for(&g.gone, 1);
	assert_int_equal(g.expected, 1);
	assert_int_equal(ops->boot(g.d, -1, err, sizeof(err)), 0);
	assert_true(ops->boot(g.d, -1, err, sizeof(err)) < 0);
	ops->kill(g.d); /* while booting */
	wait_for(&g.gone, 2);
	assert_int_equal(g.running, 0);
	boot(&g, -1);
	assert_int_equal(ops->suspend(g.d), 0);
	ops->kill(g.d); /* while suspending */
	ops->kill(g.d);
	wait_for(&g.gone, 3);
	turn(50);
	assert_int_equal(g.suspended + g.saved, 0);
	assert_int_equal(g.gone, 3);
	destroy(&g);
}

static void fails_to_boot(struct guest *g, const char *text)
{
	char err[512] = "";
	int rc = ops->boot(g->d, -1, err, sizeof(err));

	if (rc == 0) {
		wait_for(&g->running, 1);
		rc = g->rc;
		snprintf(err, sizeof(err), "%s", g->why);
	}
	assert_true(rc < 0);
	print_message("why: %s\n", err);
	assert_non_null(strstr(err, text));
	assert_int_equal(g->gone, 0);
	destroy(g);
}

static void test_what_is_wrong_is_named(__attribute__((unused)) void **state)
{
	static char *args[] = { (char *)"-device", (char *)"i6300esb,nix=1",
				NULL };
	struct guest g;

	create(&g, "vm");
	g.cfg.kernel = (char *)"/nowhere/vmlinuz";
	fails_to_boot(&g, "/nowhere/vmlinuz");
	create(&g, "vm");
	g.cfg.ram_dir = (char *)"/nowhere/shm";
	fails_to_boot(&g, "/nowhere/shm");
	create(&g, "vm");
	g.cfg.run_dir = (char *)"/nowhere/run";
	fails_to_boot(&g, "/nowhere/run");
	create(&g, "vm");
	g.cfg.qemu_binary = (char *)"/nowhere/qemu";
	fails_to_boot(&g, "/nowhere/qemu");
	create(&g, "vm");
	g.cfg.tracker = (char *)"guess";
	fails_to_boot(&g, "guess");
	create(&g, "vm");
	g.cfg.qemu_args = args;
	fails_to_boot(&g, "nix");
}

static void test_full_tmpfs_is_an_error(__attribute__((unused)) void **state)
{
	char small[96];
	struct guest g;

	snprintf(small, sizeof(small), "%s/small", dir);
	/* in a mount namespace of our own: gone with this process */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mkdir(small, 0700) < 0 ||
	    mount("tmpfs", small, "tmpfs", 0, "size=8m") < 0) {
		print_message("SKIP: cannot mount a tmpfs\n");
		rmdir(small);
		skip();
	}
	create(&g, "vm");
	g.cfg.ram_dir = small;
	fails_to_boot(&g, "No space left");
	assert_int_equal(umount(small), 0);
	rmdir(small);
}

static void test_create_refuses(__attribute__((unused)) void **state)
{
	static char *args[] = { (char *)"-hda", (char *)"disk", NULL };
	struct vm_config cfg = { .memory_bytes = RAM_BYTES, .cpus = 1 };
	struct driver *d;
	char err[512] = "";

	cfg.qemu_args = args;
	assert_true(ops->create(&d, &cfg, loop, &events, NULL, err,
				sizeof(err)) < 0);
	assert_non_null(strstr(err, "-hda"));
	cfg.qemu_args = NULL;
	cfg.qemu_binary = (char *)"/nowhere/qemu";
	assert_true(ops->create(&d, &cfg, loop, &events, NULL, err,
				sizeof(err)) < 0);
	assert_non_null(strstr(err, "/nowhere/qemu"));
	cfg.qemu_binary = (char *)"/bin/false";
	assert_true(ops->create(&d, &cfg, loop, &events, NULL, err,
				sizeof(err)) < 0);
	assert_non_null(strstr(err, "/bin/false"));
}

static void test_frames_reach_the_gate(__attribute__((unused)) void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x0a, 0x0b, 0x0c };
	struct guest g;
	uint8_t frame[2048];
	ssize_t n = -1;
	int net[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
				    net), 0);
	create(&g, "vm");
	boot(&g, net[0]);
	ops->announce(g.d);
	for (int i = 0; i < WAIT_MS / 10 && n < 0; i++) {
		turn(10);
		n = recv(net[1], frame, sizeof(frame), MSG_DONTWAIT);
	}
	assert_true(n >= 42);
	assert_memory_equal(frame + 6, mac, 6); /* it speaks as the guest */
	assert_int_equal(send(net[1], frame, (size_t)n, 0), n);
	destroy(&g);
	close(net[0]);
	close(net[1]);
}

static bool alive(pid_t pid)
{
	char path[64], buf[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p != NULL && p[2] != 'Z' && p[2] != 'X';
}

/* No guest without a keeper, however the keeper dies. */
static void test_guest_dies_with_its_keeper(__attribute__((unused))
					    void **state)
{
	pid_t keeper, pid = -1;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	keeper = fork();
	if (keeper == 0) {
		struct guest g;

		loop = qb_loop_create();
		create(&g, "kept");
		boot(&g, -1);
		pid = qemu_pid();
		if (write(fd[1], &pid, sizeof(pid)) == sizeof(pid))
			turn(WAIT_MS);
		_exit(1);
	}
	assert_int_equal(read(fd[0], &pid, sizeof(pid)), sizeof(pid));
	assert_true(alive(pid));
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
	for (int i = 0; i < WAIT_MS / 10 && alive(pid); i++)
		poll(NULL, 0, 10);
	assert_false(alive(pid));
	close(fd[0]);
	close(fd[1]);
}

/* ---- set-up ---- */

static void write_payload(const char *path, uint32_t limit)
{
	size_t bytes = (size_t)(payload_end - payload);
	uint8_t *copy = malloc(bytes);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memcpy(copy, payload, bytes);
	memcpy(copy + (payload_limit - payload), &limit, sizeof(limit));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, copy, bytes), bytes);
	close(fd);
	free(copy);
}

static int set_up(__attribute__((unused)) void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(kernel, sizeof(kernel), "%s/count", dir);
	snprintf(kernel_off, sizeof(kernel_off), "%s/count-and-end", dir);
	write_payload(kernel, 0);
	write_payload(kernel_off, 100);
	loop = qb_loop_create();
	return 0;
}

static int tear_down(__attribute__((unused)) void **state)
{
	static const char *const names[] = {
		"count", "count-and-end", "vm.qemu.log", "a.qemu.log",
		"b.qemu.log", "kept.qemu.log",
	};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
	qb_loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_suspend_resume),
		cmocka_unit_test(test_failover),
		cmocka_unit_test(test_failover_compare),
		cmocka_unit_test(test_rotten_device_state),
		cmocka_unit_test(test_guest_powers_off),
		cmocka_unit_test(test_qemu_dies),
		cmocka_unit_test(test_kill_at_any_time),
		cmocka_unit_test(test_what_is_wrong_is_named),
		cmocka_unit_test(test_full_tmpfs_is_an_error),
		cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_frames_reach_the_gate),
		cmocka_unit_test(test_guest_dies_with_its_keeper),
	};

	if (system("qemu-system-x86_64 --version > /dev/null 2>&1") != 0) {
		printf("SKIP: qemu-system-x86_64 is not installed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
