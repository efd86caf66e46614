/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_driver_xen.c - the driver, its helper and what they say to each other,
 * on a Xen that is made up (fake_xen.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver_xen.h"
#include "fake_xen.h"
#include "heard_guest.h"
#include "util.h"

#define WAIT_MS 120000
#define EPOCHS 12

/* ---- a driver, and what it said ---- */

#define ops (&driver_xen_ops)

static char dir[] = "/tmp/remus-test-XXXXXX";
static qb_loop_t *loop;

static int on_interface(void *ctx, const char *name, char *err,
			size_t err_bytes)
{
	struct guest *g = ctx;
	uint32_t domid;

	g->vifs++;
	assert_int_equal(sscanf(name, "vif%u.0", &domid), 1);
	if (!here->d[domid].paused)
		g->ran_before_the_gate = true;
	return g->no_gate ? set_err(err, err_bytes, -ENODEV, "no gate") : 0;
}

static const struct driver_events events = {
	.running = on_running, .standby = on_standby,
	.suspended = on_suspended, .device_state = on_device_state,
	.resumed = on_resumed, .interface = on_interface, .gone = on_gone,
};

static void on_late(void *data)
{
	*(bool *)data = true;
	qb_loop_stop(loop);
}

struct waiting {
	int *counter;
	qb_loop_timer_handle timer;
};

static void look(void *data)
{
	struct waiting *w = data;

	if (*w->counter > 0)
		qb_loop_stop(loop);
	else
		qb_loop_timer_add(loop, QB_LOOP_LOW, 2000000, w, look,
				  &w->timer);
}

/* Until the event has come; it is taken. */
static void await(int *counter)
{
	struct waiting w = { .counter = counter };
	qb_loop_timer_handle late;
	bool is_late = false;

	qb_loop_timer_add(loop, QB_LOOP_LOW, WAIT_MS * (uint64_t)1000000,
			  &is_late, on_late, &late);
	look(&w);
	if (*counter == 0)
		qb_loop_run(loop);
	assert_false(is_late);
	qb_loop_timer_del(loop, late);
	assert_int_equal(*counter, 1);
	*counter = 0;
}

static void pass(uint64_t ms)
{
	qb_loop_timer_handle t;
	bool done = false;

	qb_loop_timer_add(loop, QB_LOOP_LOW, ms * 1000000, &done, on_late, &t);
	qb_loop_run(loop);
	assert_true(done);
}

static void make(struct guest *g)
{
	char err[256] = "";

	memset(g, 0, sizeof(*g));
	strcpy(g->cfg.name, "vm1");
	g->cfg.memory_bytes = (uint64_t)2 << 20;
	g->cfg.run_dir = dir;
	g->cfg.xl = (char *)"/etc/xen/vm1.cfg";
	assert_int_equal(driver_xen_create_on(&g->d, &fake_xen, &g->cfg, loop,
					      &events, g, err, sizeof(err)),
			 0);
	assert_int_equal(page_bitmap_init(&g->dirty, ops->npages(g->d)), 0);
}

static void unmake(struct guest *g)
{
	ops->destroy(g->d);
	free(g->state);
	page_bitmap_free(&g->dirty);
}

static unsigned int domains(const struct host *h)
{
	unsigned int n = 0;

	for (int i = 0; i < DOMAINS; i++)
		n += h->d[i].there;
	return n;
}

static struct domain *named(struct host *h, const char *name)
{
	uint32_t domid;

	return fx_find(h, name, &domid) == 0 ? &h->d[domid] : NULL;
}

static void boot(struct guest *g)
{
	char err[256] = "";

	assert_int_equal(ops->boot(g->d, -1, err, sizeof(err)), 0);
	await(&g->running);
}

static void boot_well(struct guest *g)
{
	boot(g);
	assert_int_equal(g->rc, 0);
	assert_int_equal(g->vifs, 1);
	assert_false(g->ran_before_the_gate);
	assert_false(named(here, "vm1")->paused);
	assert_true(named(here, "vm1")->marked);
}

static void settle(struct guest *g)
{
	char err[256];
	int rc;

	while ((rc = ops->settled(g->d, err, sizeof(err))) == 0)
		pass(5);
	assert_int_equal(rc, 1);
}

static void track(struct guest *g)
{
	char err[256] = "";

	assert_int_equal(ops->track_start(g->d, err, sizeof(err)), 0);
	page_bitmap_set_all(&g->dirty);
	settle(g);
}

/* It is begun, and comes to nothing, for a reason in `err`. */
static void track_in_vain(struct guest *g, char *err, size_t err_bytes)
{
	int rc;

	assert_int_equal(ops->track_start(g->d, err, err_bytes), 0);
	while ((rc = ops->settled(g->d, err, err_bytes)) == 0)
		pass(5);
	assert_true(rc < 0);
}

static void begin_epoch(struct guest *g)
{
	assert_int_equal(ops->suspend(g->d), 0);
	await(&g->suspended);
	assert_int_equal(g->rc, 0);
	await(&g->saved);
	assert_int_equal(g->rc, 0);
	assert_int_equal(ops->collect(g->d, &g->dirty), 0);
}

static void end_epoch(struct guest *g)
{
	assert_int_equal(ops->resume(g->d), 0);
	await(&g->resumed);
}

static int set_up(void **state)
{
	(void)state;
	memset(hosts, 0, 2 * sizeof(*hosts));
	here = &hosts[0];
	return 0;
}

/* ---- tests ---- */

static void a_guest_boots_behind_its_gate_and_ends(void **state)
{
	struct guest g;

	(void)state;
	make(&g);
	boot_well(&g);
	assert_int_equal(domains(here), 1);
	ops->kill(g.d);
	await(&g.gone);
	assert_int_equal(g.expected, 1);
	assert_int_equal(domains(here), 0);
	assert_null(ops->ram(g.d));
	ops->kill(g.d); /* there is none */
	await(&g.gone);
	unmake(&g);
}

static void epochs_are_taken_over_at_the_other_host(void **state)
{
	struct guest a, b;
	char err[256] = "";
	uint8_t fa[16], fb[16];
	uint64_t count = 0;

	(void)state;
	make(&a);
	boot_well(&a);
	track(&a);
	here = &hosts[1];
	make(&b);
	assert_int_equal(ops->standby(b.d, -1, err, sizeof(err)), 0);
	await(&b.standby);
	assert_int_equal(b.rc, 0);
	ops->fingerprint(a.d, fa);
	ops->fingerprint(b.d, fb);
	assert_memory_equal(fa, fb, 16);
	here = &hosts[0];
	for (int e = 0; e < EPOCHS; e++) {
		begin_epoch(&a);
		for (gfn_t p = page_bitmap_next(&a.dirty, 0);
		     p < a.dirty.npages; p = page_bitmap_next(&a.dirty, p + 1))
			memcpy(ops->ram(b.d) + p * 4096,
			       ops->ram(a.d) + p * 4096, 4096);
		if (e > 0) /* 5 counts of 5 pages, and page 0, twice at most */
			assert_in_range(page_bitmap_count(&a.dirty), 1, 22);
		page_bitmap_clear_all(&a.dirty);
		count = named(here, "vm1")->count;
		end_epoch(&a);
	}
	assert_int_equal(domains(&hosts[1]), 0); /* nothing until then */
	here = &hosts[1];
	assert_int_equal(ops->activate(b.d, a.state, a.state_bytes, err,
				       sizeof(err)), 0);
	await(&b.running);
	assert_string_equal(b.why, "");
	assert_int_equal(b.vifs, 1);
	assert_false(b.ran_before_the_gate);
	assert_int_equal(here->unpaused_early, 0);
	assert_int_equal(named(here, "vm1")->count, count);
	assert_false(named(here, "vm1")->paused);
	track(&b); /* and goes on to be one that is protected */
	begin_epoch(&b);
	end_epoch(&b);
	unmake(&b);
	here = &hosts[0];
	unmake(&a);
	assert_int_equal(domains(&hosts[0]) + domains(&hosts[1]), 0);
}

/* ---- the standby domain ---- */

struct pair {
	struct guest a, b;
	struct page_bitmap changed; /* at b */
};

static void make_pair(struct pair *p)
{
	char err[256] = "";

	here = &hosts[0];
	make(&p->a);
	boot_well(&p->a);
	track(&p->a);
	here = &hosts[1];
	make(&p->b);
	assert_int_equal(ops->standby(p->b.d, -1, err, sizeof(err)), 0);
	await(&p->b.standby);
	assert_int_equal(page_bitmap_init(&p->changed, p->a.dirty.npages), 0);
}

static void one_epoch(struct pair *p)
{
	struct page_bitmap *dirty = &p->a.dirty;

	here = &hosts[0];
	begin_epoch(&p->a);
	for (gfn_t g = page_bitmap_next(dirty, 0); g < dirty->npages;
	     g = page_bitmap_next(dirty, g + 1)) {
		memcpy(ops->ram(p->b.d) + g * 4096,
		       ops->ram(p->a.d) + g * 4096, 4096);
		page_bitmap_set(&p->changed, g);
	}
	page_bitmap_clear_all(dirty);
	end_epoch(&p->a);
	here = &hosts[1];
	ops->committed(p->b.d, &p->changed, p->a.state, p->a.state_bytes);
	assert_int_equal(page_bitmap_count(&p->changed), 0);
}

static void take_over(struct pair *p)
{
	uint64_t count = 0;
	char err[256] = "";

	memcpy(&count, ops->ram(p->b.d), 8);
	assert_int_equal(ops->activate(p->b.d, p->a.state, p->a.state_bytes,
				       err, sizeof(err)), 0);
	await(&p->b.running);
	assert_string_equal(p->b.why, "");
	assert_false(p->b.ran_before_the_gate);
	assert_int_equal(here->unpaused_early, 0);
	assert_int_equal(named(here, "vm1")->count, count);
	assert_int_equal(domains(here), 1);
}

static void unmake_pair(struct pair *p)
{
	here = &hosts[1];
	unmake(&p->b);
	here = &hosts[0];
	unmake(&p->a);
	page_bitmap_free(&p->changed);
	assert_int_equal(domains(&hosts[0]) + domains(&hosts[1]), 0);
}

static void until(const unsigned int *counter, unsigned int value)
{
	uint64_t end = now_mono_ns() + (uint64_t)WAIT_MS * 1000000;

	while (*counter < value && now_mono_ns() < end)
		pass(5);
	assert_true(*counter >= value);
}

static void a_standby_domain_is_fed_and_taken_over(void **state)
{
	struct pair p;

	(void)state;
	make_pair(&p);
	for (unsigned int n = 1; n <= 3; n++) {
		for (int e = 0; e < 4; e++)
			one_epoch(&p);
		until(&here->checkpoints, n);
		assert_true(named(here, "vm1--standby")->paused);
		assert_null(named(here, "vm1"));
		pass(1100); /* the next one feeds again */
	}
	one_epoch(&p);
	one_epoch(&p); /* this one is not fed before it is taken over */
	take_over(&p);
	assert_true(here->checkpoints >= 4);
	assert_int_equal(here->whole, 0);
	unmake_pair(&p);
}

static void a_standby_domain_that_cannot_be_is_no_loss(void **state)
{
	struct pair p;

	(void)state;
	make_pair(&p);
	here->no_restore = 1;
	one_epoch(&p);
	one_epoch(&p);
	while (here->no_restore > 0)
		pass(5);
	take_over(&p);
	assert_int_equal(here->whole, 1);
	unmake_pair(&p);
	set_up(NULL);
	/* And when it cannot be at the very end only. */
	make_pair(&p);
	one_epoch(&p);
	until(&here->checkpoints, 1);
	kill(here->helper, SIGKILL);
	take_over(&p);
	assert_int_equal(here->whole, 1);
	unmake_pair(&p);
}

static void a_discarded_standby_leaves_nothing(void **state)
{
	struct pair p;

	(void)state;
	make_pair(&p);
	one_epoch(&p);
	until(&here->checkpoints, 1);
	assert_int_equal(domains(here), 1);
	ops->kill(p.b.d);
	await(&p.b.gone);
	assert_int_equal(p.b.expected, 1);
	assert_int_equal(domains(here), 0);
	unmake_pair(&p);
	set_up(NULL);
	make_pair(&p);
	one_epoch(&p);
	until(&here->checkpoints, 1);
	unmake_pair(&p); /* destroys it, too */
}

static void the_end_of_a_standby_domain_is_no_end(void **state)
{
	struct pair p;
	pid_t helper;

	(void)state;
	make_pair(&p);
	one_epoch(&p);
	until(&here->checkpoints, 1);
	helper = here->helper;
	kill(helper, SIGKILL);
	while (domains(here) > 0)
		pass(5);
	pass(1100);
	one_epoch(&p);
	until(&here->checkpoints, 2);
	assert_true(here->helper != helper);
	assert_int_equal(p.b.gone, 0);
	take_over(&p);
	assert_int_equal(here->whole, 0);
	unmake_pair(&p);
}

static void torn_state_is_not_activated(void **state)
{
	struct guest a, b;
	char err[256] = "";

	(void)state;
	make(&a);
	boot_well(&a);
	track(&a);
	begin_epoch(&a);
	here = &hosts[1];
	make(&b);
	assert_int_equal(ops->standby(b.d, -1, err, sizeof(err)), 0);
	await(&b.standby);
	assert_int_equal(ops->activate(b.d, a.state, a.state_bytes - 1, err,
				       sizeof(err)), -EBADMSG);
	/* The image is another epoch's: Xen would not take it. */
	assert_int_equal(ops->activate(b.d, a.state, a.state_bytes, err,
				       sizeof(err)), 0);
	await(&b.running);
	assert_true(b.rc < 0);
	assert_string_equal(b.why, "not restored");
	assert_int_equal(domains(here), 0);
	unmake(&b);
	here = &hosts[0];
	unmake(&a);
}

static void a_kill_ends_it_in_every_state(void **state)
{
	char err[256] = "";

	(void)state;
	for (int when = 0; when < 6; when++) {
		struct guest g;

		make(&g);
		if (when == 0) {
			assert_int_equal(ops->standby(g.d, -1, err,
						      sizeof(err)), 0);
		} else if (when == 1) {
			assert_int_equal(ops->boot(g.d, -1, err, sizeof(err)),
					 0);
		} else {
			boot_well(&g);
			assert_int_equal(ops->track_start(g.d, err,
							  sizeof(err)), 0);
		}
		if (when >= 3)
			assert_int_equal(ops->suspend(g.d), 0);
		if (when >= 4)
			await(&g.saved);
		if (when >= 5)
			assert_int_equal(ops->resume(g.d), 0);
		ops->kill(g.d);
		await(&g.gone);
		assert_int_equal(g.expected, 1);
		assert_int_equal(domains(here), 0);
		assert_int_equal(g.standby, 0);
		assert_int_equal(g.resumed, 0);
		unmake(&g);
	}
}

static void a_guest_that_powers_off_is_gone(void **state)
{
	struct guest g;

	(void)state;
	make(&g);
	boot_well(&g);
	assert_int_equal(ops->powerdown(g.d), 0);
	await(&g.gone);
	assert_int_equal(g.expected, 0);
	assert_string_equal(g.why, "the guest powered off");
	assert_int_equal(domains(here), 0);
	unmake(&g);
}

static void a_guest_that_powers_off_between_checkpoints_is_gone(void **state)
{
	struct guest g;

	(void)state;
	make(&g);
	boot_well(&g);
	track(&g);
	begin_epoch(&g);
	end_epoch(&g);
	assert_int_equal(ops->powerdown(g.d), 0);
	await(&g.gone);
	assert_int_equal(g.expected, 0);
	assert_int_equal(domains(here), 0);
	unmake(&g);
}

static void the_end_of_the_helper_is_the_end_of_its_domain(void **state)
{
	struct guest g;

	(void)state;
	make(&g);
	boot_well(&g);
	here->no_destroy = 2; /* and that takes some tries */
	kill(here->helper, SIGKILL);
	await(&g.gone);
	assert_int_equal(g.expected, 0);
	assert_int_equal(here->no_destroy, 0);
	assert_int_equal(domains(here), 0);
	unmake(&g);
}

static void the_end_of_remusd_is_the_end_of_its_domain(void **state)
{
	uint64_t end = now_mono_ns() + (uint64_t)WAIT_MS * 1000000;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct guest g;

		loop = qb_loop_create();
		make(&g);
		boot_well(&g);
		track(&g);
		_exit(domains(here) == 1 ? 0 : 1); /* as if killed */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	while (domains(here) > 0 && now_mono_ns() < end)
		usleep(5000);
	assert_int_equal(domains(here), 0);
}

static void what_cannot_be_protected_is_left_alone(void **state)
{
	struct guest g;
	uint32_t domid;

	(void)state;
	here->unfit = true;
	new_domain(here, "vm1", &domid);
	make(&g);
	boot(&g);
	assert_true(g.rc < 0);
	assert_string_equal(g.why, "it is unfit");
	assert_int_equal(g.vifs, 0);
	assert_non_null(named(here, "vm1")); /* not ours */
	assert_false(named(here, "vm1")->paused);
	here->d[domid].there = false;
	boot(&g);
	assert_true(g.rc < 0);
	assert_int_equal(domains(here), 0); /* ours */
	g.cfg.xl = NULL;
	boot(&g);
	assert_non_null(strstr(g.why, "no xl"));
	unmake(&g);
}

static void a_running_domain_is_attached_to(void **state)
{
	struct guest g;
	uint32_t domid;

	(void)state;
	new_domain(here, "vm1", &domid)->count = 77;
	make(&g);
	boot_well(&g);
	assert_int_equal(here->d[domid].count, 77);
	unmake(&g);
	assert_int_equal(domains(here), 0);
}

static void without_a_gate_it_never_runs(void **state)
{
	struct guest g;

	(void)state;
	make(&g);
	g.no_gate = true;
	boot(&g);
	assert_true(g.rc < 0);
	assert_string_equal(g.why, "no gate");
	assert_int_equal(domains(here), 0);
	unmake(&g);
}

static void leftovers_are_ended_before_a_standby(void **state)
{
	struct guest g;
	uint32_t domid;
	char err[256] = "";

	(void)state;
	new_domain(here, "vm1", &domid)->marked = true;
	new_domain(here, "vm1--standby", &domid);
	new_domain(here, "vm2", &domid)->marked = true;
	make(&g);
	assert_int_equal(ops->standby(g.d, -1, err, sizeof(err)), 0);
	await(&g.standby);
	assert_int_equal(domains(here), 1);
	assert_non_null(named(here, "vm2"));
	ops->kill(g.d);
	await(&g.gone);
	/* One that somebody else began is not a leftover. */
	new_domain(here, "vm1", &domid);
	assert_int_equal(ops->standby(g.d, -1, err, sizeof(err)), 0);
	await(&g.standby);
	assert_non_null(named(here, "vm1"));
	assert_non_null(ops->ram(g.d));
	unmake(&g);
	assert_non_null(named(here, "vm1"));
}

static void a_stream_that_fails_is_told_and_begun_anew(void **state)
{
	struct guest g;
	char err[256] = "";

	(void)state;
	make(&g);
	boot_well(&g);
	here->no_save = true;
	track_in_vain(&g, err, sizeof(err));
	assert_string_equal(err, "no log-dirty");
	assert_int_equal(ops->suspend(g.d), 0);
	await(&g.suspended);
	assert_true(g.rc < 0);
	here->no_save = false;
	track(&g);
	begin_epoch(&g);
	end_epoch(&g);
	here->no_suspend = true;
	assert_int_equal(ops->suspend(g.d), 0);
	await(&g.suspended);
	assert_true(g.rc < 0);
	assert_false(named(here, "vm1")->stopped);
	here->no_suspend = false;
	begin_epoch(&g); /* without another track_start() */
	end_epoch(&g);
	unmake(&g);
}

static void memory_that_has_no_place_is_told(void **state)
{
	struct guest g;
	char err[256] = "";

	(void)state;
	make(&g);
	boot_well(&g);
	here->too_big = true;
	track_in_vain(&g, err, sizeof(err));
	assert_non_null(strstr(err, "more memory than the definition"));
	assert_false(named(here, "vm1")->stopped);
	assert_int_equal(g.gone, 0);
	unmake(&g);
}

static void a_stream_left_alone_is_begun_anew(void **state)
{
	struct guest g;
	char err[256] = "";

	(void)state;
	make(&g);
	boot_well(&g);
	track(&g);
	begin_epoch(&g);
	end_epoch(&g);
	assert_int_equal(ops->settled(g.d, err, sizeof(err)), 1);
	assert_int_equal(here->saves, 1);
	pass(3200);
	assert_int_equal(ops->settled(g.d, err, sizeof(err)), 0);
	settle(&g);
	assert_int_equal(here->saves, 2);
	begin_epoch(&g);
	end_epoch(&g);
	/* And when a suspend() comes before the new one has begun. */
	pass(3200);
	assert_int_equal(ops->settled(g.d, err, sizeof(err)), 0);
	begin_epoch(&g);
	assert_int_equal(here->saves, 3);
	end_epoch(&g);
	unmake(&g);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(a_guest_boots_behind_its_gate_and_ends),
		T(epochs_are_taken_over_at_the_other_host),
		T(a_standby_domain_is_fed_and_taken_over),
		T(a_standby_domain_that_cannot_be_is_no_loss),
		T(a_discarded_standby_leaves_nothing),
		T(the_end_of_a_standby_domain_is_no_end),
		T(torn_state_is_not_activated),
		T(a_kill_ends_it_in_every_state),
		T(a_guest_that_powers_off_is_gone),
		T(a_guest_that_powers_off_between_checkpoints_is_gone),
		T(the_end_of_the_helper_is_the_end_of_its_domain),
		T(the_end_of_remusd_is_the_end_of_its_domain),
		T(what_cannot_be_protected_is_left_alone),
		T(a_running_domain_is_attached_to),
		T(without_a_gate_it_never_runs),
		T(leftovers_are_ended_before_a_standby),
		T(a_stream_that_fails_is_told_and_begun_anew),
		T(memory_that_has_no_place_is_told),
		T(a_stream_left_alone_is_begun_anew),
	};
	char log[64];
	int failed;

	if (mkdtemp(dir) == NULL)
		return 1;
	hosts = mmap(NULL, 2 * sizeof(*hosts), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	loop = qb_loop_create();
	if (hosts == MAP_FAILED || loop == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(log, sizeof(log), "%s/vm1.xen.log", dir);
	unlink(log);
	rmdir(dir);
	return failed;
}
