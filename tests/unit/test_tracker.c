/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract of tracker.h: a written page is reported, whoever writes and
 * whenever.  The writer is this program once more, started with "--writer" and
 * with libremus-track.so preloaded, as QEMU is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tracker.h"
#include "util.h"

#define NPAGES 4096u
#define BYTES (NPAGES * REMUS_PAGE_SIZE)
#define WRITER_RAM_FD 3
#define WRITER_CTL_FD 4

/* ---- the writer ---- */

struct order {
	enum { WRITE_PAGE, BEGIN, END, DROP_FDS, UNLOCK, POPULATE } what;
	uint64_t gfn;
	uint64_t value;
};

static uint8_t *half[2]; /* of the writer's RAM */
static atomic_bool writing;

static volatile uint64_t *counter(uint64_t gfn)
{
	return (volatile uint64_t *)(void *)
		(half[gfn / (NPAGES / 2)] +
		 gfn % (NPAGES / 2) * REMUS_PAGE_SIZE);
}

/* Bursts over neighbours and jumps, all over the memory. */
static void *write_on(__attribute__((unused)) void *arg)
{
	uint64_t x = 88172645463325252u;

	while (writing) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		for (uint64_t i = 0; i < x % 8; i++)
			++*counter((x / 8 + i) % NPAGES);
	}
	return NULL;
}

static void obey(const struct order *o, pthread_t *thread)
{
	switch (o->what) {
	case WRITE_PAGE:
		*counter(o->gfn) = o->value;
		break;
	case BEGIN:
		writing = true;
		if (pthread_create(thread, NULL, write_on, NULL) != 0)
			_exit(1);
		break;
	case END:
		writing = false;
		pthread_join(*thread, NULL);
		break;
	case DROP_FDS: /* the userfaultfd among them */
		close_range(WRITER_CTL_FD + 1, ~0u, 0);
		break;
	case POPULATE:
		for (uint64_t g = 0; g < NPAGES; g++)
			*counter(g) += 0;
		break;
	case UNLOCK:
		syscall(SYS_munlockall); /* ASan turns munlockall() off */
		break;
	}
}

/* The second half first, and apart: two mappings that the kernel cannot merge,
 * whose addresses are not in the order of their pages. */
static int map_halves(void)
{
	uint8_t *at = mmap(NULL, 2 * BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -1;
	for (int i = 0; i < 2; i++) {
		half[i] = mmap(at + (i == 0 ? BYTES : 0), BYTES / 2,
			       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       WRITER_RAM_FD, (off_t)(i * (BYTES / 2)));
		if (half[i] == MAP_FAILED)
			return -1;
	}
	return 0;
}

static int writer_main(void)
{
	pthread_t thread;
	struct order o;
	char done = 0;

	if (map_halves() < 0)
		return 1;
	do {
		if (write(WRITER_CTL_FD, &done, 1) != 1)
			return 1;
		if (read(WRITER_CTL_FD, &o, sizeof(o)) != sizeof(o))
			return 0;
		obey(&o, &thread);
	} while (1);
}

/* ---- the tests' side ---- */

struct world {
	int ram_fd, ctl;
	uint8_t *ram;
	pid_t pid;
	struct tracker_target target;
	struct page_bitmap dirty;
};

/* Not /proc/self/exe: under valgrind that is valgrind. */
static char self[PATH_MAX];

static const char *track_lib(void)
{
	static char path[4096];
	const char *lib = getenv("REMUS_TRACK_LIB");
	const char *dir = getenv("top_builddir");

	if (lib != NULL)
		return lib;
	snprintf(path, sizeof(path), "%s/src/libremus-track.so",
		 dir != NULL ? dir : ".");
	return path;
}

static void exec_writer(const struct world *w, int ctl, bool preload)
{
	char file[64], *argv[] = { (char *)"writer", (char *)"--writer", NULL };
	struct stat st;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (preload && fstat(w->ram_fd, &st) == 0) {
		snprintf(file, sizeof(file), "%llu:%llu",
			 (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino);
		setenv("REMUS_TRACK_FILE", file, 1);
		setenv("LD_PRELOAD", track_lib(), 1);
		setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
	}
	/* aside first: dup2() onto itself would leave it close-on-exec */
	if (dup2(ctl, 60) < 0 || dup2(w->ram_fd, 61) < 0 ||
	    dup2(61, WRITER_RAM_FD) < 0 || dup2(60, WRITER_CTL_FD) < 0)
		_exit(1);
	close_range(WRITER_CTL_FD + 1, ~0u, 0);
	execv(self, argv);
	_exit(1);
}

static void wait_done(struct world *w)
{
	char c;

	assert_int_equal(read(w->ctl, &c, 1), 1);
}

static void order(struct world *w, int what, uint64_t gfn, uint64_t value)
{
	struct order o;

	memset(&o, 0, sizeof(o)); /* padding, too: all of it is sent */
	o.what = what;
	o.gfn = gfn;
	o.value = value;
	assert_int_equal(write(w->ctl, &o, sizeof(o)), sizeof(o));
	wait_done(w);
}

static void begin(struct world *w, bool preload)
{
	int pair[2];

	memset(w, 0, sizeof(*w));
	w->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_true(w->ram_fd >= 0);
	assert_int_equal(ftruncate(w->ram_fd, BYTES), 0);
	w->ram = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      w->ram_fd, 0);
	assert_true(w->ram != MAP_FAILED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    pair), 0);
	w->pid = fork();
	if (w->pid == 0)
		exec_writer(w, pair[1], preload);
	close(pair[1]);
	w->ctl = pair[0];
	wait_done(w);
	w->target = (struct tracker_target){
		.pid = w->pid, .ram_path = "", .ram = w->ram, .npages = NPAGES,
	};
	assert_int_equal(page_bitmap_init(&w->dirty, NPAGES), 0);
}

static void end_writer(struct world *w)
{
	close(w->ctl);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
}

static void end(struct world *w)
{
	end_writer(w);
	munmap(w->ram, BYTES);
	close(w->ram_fd);
	page_bitmap_free(&w->dirty);
}

/* NULL and a skipped test where this kernel lacks the tracker. */
static struct tracker *attach(const struct tracker_ops *ops, struct world *w)
{
	struct tracker *t = NULL;
	char err[256] = "";
	int rc = ops->attach(&t, &w->target, err, sizeof(err));

	if (rc == -EOPNOTSUPP) {
		print_message("SKIP tracker %s: %s\n", ops->name, err);
		end(w);
		skip();
	}
	if (rc < 0)
		fail_msg("%s: %s", ops->name, err);
	return t;
}

static uint64_t collect(const struct tracker_ops *ops, struct tracker *t,
			struct world *w)
{
	page_bitmap_clear_all(&w->dirty);
	assert_int_equal(ops->collect(t, &w->dirty), 0);
	return page_bitmap_count(&w->dirty);
}

static const struct tracker_ops *ops_of(void **state)
{
	return *(const struct tracker_ops *const *)state;
}

static void test_written_pages_are_reported(void **state)
{
	static const uint64_t gfn[] = {
		0, 1, 63, 64, 777, NPAGES / 2 - 1, NPAGES / 2, NPAGES - 1,
	};
	const struct tracker_ops *ops = ops_of(state);
	struct world w;
	struct tracker *t;

	begin(&w, true);
	t = attach(ops, &w);
	if (tracker_wants_populated(ops->name))
		order(&w, POPULATE, 0, 0);
	order(&w, WRITE_PAGE, 5, 1);
	assert_int_equal(ops->start(t), 0);
	for (uint64_t round = 1; round <= 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(gfn); i++)
			order(&w, WRITE_PAGE, gfn[i], round);
		/* a superset is allowed; "everything, always" is no tracker */
		assert_true(collect(ops, t, &w) < NPAGES);
		for (size_t i = 0; i < ARRAY_LEN(gfn); i++) {
			assert_true(page_bitmap_test(&w.dirty, gfn[i]));
			assert_memory_equal(ops->view(t) + gfn[i] *
					    REMUS_PAGE_SIZE, &round, 8);
		}
	}
	assert_true(collect(ops, t, &w) < ARRAY_LEN(gfn));
	ops->detach(t);
	end(&w);
}

static void test_collect_adds_to_the_bitmap(void **state)
{
	const struct tracker_ops *ops = ops_of(state);
	struct world w;
	struct tracker *t;

	begin(&w, true);
	t = attach(ops, &w);
	assert_int_equal(ops->start(t), 0);
	page_bitmap_set(&w.dirty, 4000);
	order(&w, WRITE_PAGE, 7, 1);
	assert_int_equal(ops->collect(t, &w.dirty), 0);
	assert_true(page_bitmap_test(&w.dirty, 4000));
	assert_true(page_bitmap_test(&w.dirty, 7));
	ops->detach(t);
	end(&w);
}

/* A page that is never touched before start() has no page table entry. */
static void test_first_touch_is_reported(void **state)
{
	const struct tracker_ops *ops = ops_of(state);
	struct world w;
	struct tracker *t;

	begin(&w, true);
	t = attach(ops, &w);
	assert_int_equal(ops->start(t), 0);
	for (uint64_t g = 0; g < NPAGES; g++)
		order(&w, WRITE_PAGE, g, g + 1);
	assert_int_equal(collect(ops, t, &w), NPAGES);
	ops->detach(t);
	end(&w);
}

/* What the engine does in a live synchronisation: copy what is reported, from
 * view(), while the writer goes on.  When it has stopped, one more collection
 * makes the copy equal. */
static void test_copy_converges_under_a_writer(void **state)
{
	const struct tracker_ops *ops = ops_of(state);
	struct tracker *t;
	struct world w;
	uint64_t seen = 0;
	uint8_t *copy;

	begin(&w, true);
	t = attach(ops, &w);
	copy = malloc(BYTES);
	assert_non_null(copy);
	order(&w, BEGIN, 0, 0);
	assert_int_equal(ops->start(t), 0);
	memcpy(copy, ops->view(t), BYTES);
	for (int i = 0; i <= 200; i++) {
		if (i == 200)
			order(&w, END, 0, 0);
		seen += collect(ops, t, &w);
		for (gfn_t g = page_bitmap_next(&w.dirty, 0); g < NPAGES;
		     g = page_bitmap_next(&w.dirty, g + 1))
			memcpy(copy + g * REMUS_PAGE_SIZE,
			       ops->view(t) + g * REMUS_PAGE_SIZE,
			       REMUS_PAGE_SIZE);
	}
	assert_true(seen > 0);
	assert_memory_equal(copy, w.ram, BYTES);
	ops->detach(t);
	end(&w);
	free(copy);
}

/* 0, 1, 0 between two collections: a reader must not be left with the 1. */
static void test_reader_never_keeps_what_was_undone(void **state)
{
	const struct tracker_ops *ops = ops_of(state);
	struct world w;
	struct tracker *t;
	uint64_t read_live, now = 0;

	begin(&w, true);
	t = attach(ops, &w);
	assert_int_equal(ops->start(t), 0);
	order(&w, WRITE_PAGE, 9, 1);
	memcpy(&read_live, ops->view(t) + 9 * REMUS_PAGE_SIZE, 8);
	order(&w, WRITE_PAGE, 9, 0);
	collect(ops, t, &w);
	if (page_bitmap_test(&w.dirty, 9))
		memcpy(&read_live, ops->view(t) + 9 * REMUS_PAGE_SIZE, 8);
	assert_int_equal(read_live, now);
	ops->detach(t);
	end(&w);
}

/* Locked, untouched memory is passed over; unlocked memory must not be.  Either
 * way, what is written later in such a place is found. */
static void test_unlocked_memory_is_watched_whole(void **state)
{
	const struct tracker_ops *ops = ops_of(state);
	struct tracker *t;
	struct world w;

	begin(&w, true);
	order(&w, UNLOCK, 0, 0);
	t = attach(ops, &w);
	assert_int_equal(ops->start(t), 0);
	order(&w, WRITE_PAGE, NPAGES - 3, 1);
	assert_true(collect(ops, t, &w) < 512); /* no whole unit: all armed */
	assert_true(page_bitmap_test(&w.dirty, NPAGES - 3));
	ops->detach(t);
	end(&w);
}

static void test_untouched_units_come_one_by_one(void **state)
{
	const struct tracker_ops *ops = ops_of(state);
	struct tracker *t;
	struct world w;

	begin(&w, true);
	t = attach(ops, &w);
	assert_int_equal(ops->start(t), 0);
	for (uint64_t g = 100; g < NPAGES; g += 512) {
		order(&w, WRITE_PAGE, g, 1);
		assert_true(collect(ops, t, &w) <= 1024);
		assert_true(page_bitmap_test(&w.dirty, g));
		order(&w, WRITE_PAGE, g, 2);
		assert_true(collect(ops, t, &w) <= 2);
		assert_true(page_bitmap_test(&w.dirty, g));
	}
	ops->detach(t);
	end(&w);
}

/* ---- when it cannot work, it says so ---- */

static void test_pagemap_refuses_without_the_library(
	__attribute__((unused)) void **state)
{
	struct tracker *t;
	struct world w;
	char err[256] = "";

	begin(&w, false);
	assert_int_equal(tracker_pagemap_ops.attach(&t, &w.target, err,
						    sizeof(err)), -EOPNOTSUPP);
	assert_true(err[0] != '\0');
	end(&w);
}

static void test_pagemap_fails_when_registration_is_lost(
	__attribute__((unused)) void **state)
{
	struct tracker *t;
	struct world w;

	begin(&w, true);
	t = attach(&tracker_pagemap_ops, &w);
	assert_int_equal(tracker_pagemap_ops.start(t), 0);
	order(&w, DROP_FDS, 0, 0);
	order(&w, WRITE_PAGE, 3, 1);
	assert_true(tracker_pagemap_ops.collect(t, &w.dirty) < 0);
	tracker_pagemap_ops.detach(t);
	end(&w);
}

static void test_pagemap_fails_when_process_is_dead(
	__attribute__((unused)) void **state)
{
	struct tracker *t;
	struct world w;
	int rc = 0;

	begin(&w, true);
	t = attach(&tracker_pagemap_ops, &w);
	assert_int_equal(tracker_pagemap_ops.start(t), 0);
	order(&w, WRITE_PAGE, 3, 1);
	end_writer(&w);
	/* on a busy machine its memory may outlive it for a moment: then the
	 * page is still reported */
	for (int i = 0; i < 1000 && rc == 0; i++) {
		rc = tracker_pagemap_ops.collect(t, &w.dirty);
		assert_true(rc < 0 || page_bitmap_test(&w.dirty, 3));
		poll(NULL, 0, 10);
	}
	assert_true(rc < 0);
	tracker_pagemap_ops.detach(t);
	end(&w);
}

static void test_process_without_the_mapping_is_refused(
	__attribute__((unused)) void **state)
{
	struct tracker *t;
	struct world w;
	char err[256] = "";
	pid_t other;

	begin(&w, true);
	assert_int_equal(madvise(w.ram, BYTES, MADV_DONTFORK), 0);
	other = fork();
	if (other == 0) {
		pause();
		_exit(0);
	}
	w.target.pid = other;
	assert_int_equal(tracker_pagemap_ops.attach(&t, &w.target, err,
						    sizeof(err)), -ENXIO);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	end(&w);
}

static void test_names(__attribute__((unused)) void **state)
{
	const struct tracker_ops *ops;
	struct tracker *t;
	struct world w;
	char err[256] = "";

	begin(&w, true);
	ops = tracker_attach(&t, "auto", &w.target, err, sizeof(err));
	assert_non_null(ops);
	print_message("auto: %s\n", ops->name);
	ops->detach(t);
	ops = tracker_attach(&t, "compare", &w.target, err, sizeof(err));
	assert_ptr_equal(ops, &tracker_compare_ops);
	ops->detach(t);
	assert_null(tracker_attach(&t, "guess", &w.target, err, sizeof(err)));
	assert_non_null(strstr(err, "guess"));
	end(&w);
	/* without the library, auto falls back to something that works */
	begin(&w, false);
	ops = tracker_attach(&t, NULL, &w.target, err, sizeof(err));
	assert_non_null(ops);
	assert_ptr_not_equal(ops, &tracker_pagemap_ops);
	ops->detach(t);
	assert_null(tracker_attach(&t, "pagemap", &w.target, err,
				   sizeof(err)));
	assert_non_null(strstr(err, "pagemap"));
	end(&w);
}

#define EACH(test, ops) \
	{ #test " (" #ops ")", test, NULL, NULL, (void *)&tracker_##ops##_ops }
#define ALL(test) EACH(test, pagemap), EACH(test, softdirty), \
	EACH(test, compare)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ALL(test_written_pages_are_reported),
		ALL(test_collect_adds_to_the_bitmap),
		ALL(test_first_touch_is_reported),
		ALL(test_copy_converges_under_a_writer),
		ALL(test_reader_never_keeps_what_was_undone),
		EACH(test_unlocked_memory_is_watched_whole, pagemap),
		EACH(test_untouched_units_come_one_by_one, pagemap),
		cmocka_unit_test(test_pagemap_refuses_without_the_library),
		cmocka_unit_test(test_pagemap_fails_when_registration_is_lost),
		cmocka_unit_test(test_pagemap_fails_when_process_is_dead),
		cmocka_unit_test(test_process_without_the_mapping_is_refused),
		cmocka_unit_test(test_names),
	};

	if (argc == 2 && strcmp(argv[1], "--writer") == 0)
		return writer_main();
	if (realpath(argv[0], self) == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
