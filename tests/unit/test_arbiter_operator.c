/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_arbiter_operator.c - the register in a file: stored, then answered. */
#include <errno.h>
#include <limits.h>
#include <qb/qbloop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "arbiter.h"
#include "util.h"

static const struct arbiter_ops *const ops = &arbiter_operator_ops;

struct world {
	char dir[64], file[96];
	struct vm_config cfg;
	qb_loop_t *loop;
	struct arbiter *a;

	unsigned int done;
	int rc;
	enum permit_kind kind;
	bool forever;
	char why[512];
	struct ticket in_file; /* at the moment of done() */
	const struct arbiter_request *again; /* to ask from within done() */
	int again_rc;
};

static struct arbiter *create(struct world *w, int self)
{
	struct arbiter *a = NULL;

	assert_int_equal(ops->create(&a, &w->cfg, self, w->loop, NULL, 0), 0);
	return a;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -1;
	strcpy(w->dir, "/tmp/remus-arbiter-XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		return -1;
	snprintf(w->file, sizeof(w->file), "%s/vm.ticket", w->dir);
	strcpy(w->cfg.name, "vm");
	strcpy(w->cfg.node[0].name, "a");
	strcpy(w->cfg.node[1].name, "b");
	w->cfg.state_dir = w->dir;
	w->loop = qb_loop_create();
	w->a = create(w, 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ops->destroy(w->a);
	qb_loop_destroy(w->loop);
	unlink(w->file);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void on_done(void *ctx, int rc, const struct permit *permit,
		    const char *why)
{
	struct world *w = ctx;

	w->done++;
	w->rc = rc;
	w->kind = permit == NULL ? PERMIT_NONE : permit_kind(permit);
	w->forever = permit != NULL && permit_live(permit, UINT64_MAX - 1);
	snprintf(w->why, sizeof(w->why), "%s", why);
	assert_int_equal(ticket_load(&w->in_file, w->file, NULL, 0), 0);
	if (w->again != NULL) {
		const struct arbiter_request *r = w->again;

		w->again = NULL;
		w->again_rc = ops->request(w->a, r, on_done, w);
		return;
	}
	qb_loop_stop(w->loop);
}

static int ask(struct world *w, enum arbiter_move m, bool dead)
{
	struct arbiter_request r = { .move = m, .peer_is_dead = dead };
	unsigned int before = w->done;

	assert_int_equal(ops->request(w->a, &r, on_done, w), 0);
	assert_int_equal(w->done, before); /* never from inside the request */
	qb_loop_run(w->loop);
	assert_int_equal(w->done, before + 1);
	return w->rc;
}

static void is(struct world *w, uint64_t generation, const char *want)
{
	const struct ticket *t = ops->ticket(w->a);
	char str[TICKET_STR_MAX];

	assert_int_equal(t->generation, generation);
	assert_string_equal(ticket_to_str(t, str, sizeof(str)), want);
}

static void it_begins_with_what_the_file_says(void **state)
{
	struct world *w = *state;
	struct arbiter *a;

	is(w, 0, "none");
	assert_int_equal(ask(w, ARBITER_COLD_BOOT, false), 0);
	a = w->a;
	w->a = create(w, 0); /* as after a restart */
	is(w, 1, "alone(a)");
	ops->destroy(a);
}

static void a_file_that_is_no_ticket_is_an_error(void **state)
{
	struct world *w = *state;
	struct arbiter *a = NULL;
	char err[512] = "";
	FILE *f = fopen(w->file, "we");

	assert_non_null(f);
	fputs("{", f);
	fclose(f);
	assert_int_equal(ops->create(&a, &w->cfg, 0, w->loop, err, sizeof(err)),
			 -EBADMSG);
	assert_non_null(strstr(err, w->file));
}

static void a_path_too_long_is_an_error(void **state)
{
	struct world *w = *state;
	struct arbiter *a = NULL;
	char longer[PATH_MAX + 1];

	memset(longer, 'a', PATH_MAX);
	longer[PATH_MAX] = '\0';
	w->cfg.state_dir = longer;
	assert_true(ops->create(&a, &w->cfg, 0, w->loop, NULL, 0) < 0);
	w->cfg.state_dir = w->dir;
}

static void it_is_stored_before_it_is_answered(void **state)
{
	static const enum arbiter_move moves[] = {
		ARBITER_COLD_BOOT, ARBITER_PROTECTED, ARBITER_ALONE,
		ARBITER_ENDED, ARBITER_COLD_BOOT,
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		assert_int_equal(ask(w, moves[i], moves[i] == ARBITER_ALONE),
				 0);
		assert_true(ticket_equal(&w->in_file, ops->ticket(w->a)));
	}
	is(w, 3, "alone(a)");
}

static void a_permit_comes_with_alone_and_with_nothing_else(void **state)
{
	struct world *w = *state;

	ask(w, ARBITER_COLD_BOOT, false);
	assert_int_equal(w->kind, PERMIT_TICKET);
	assert_true(w->forever);
	ask(w, ARBITER_PROTECTED, false);
	assert_int_equal(w->kind, PERMIT_NONE);
	assert_int_equal(ask(w, ARBITER_ALONE, false), -EPERM);
	assert_int_equal(w->kind, PERMIT_NONE);
	assert_int_equal(ask(w, ARBITER_ALONE, true), 0);
	assert_int_equal(w->kind, PERMIT_TICKET);
	ask(w, ARBITER_ENDED, false);
	assert_int_equal(w->kind, PERMIT_NONE);
}

static void the_backup_activates_what_it_was_told(void **state)
{
	struct world *w = *state;
	struct arbiter_request r = {
		.move = ARBITER_NOTE,
		.told = { .generation = 4, .state = TICKET_PROTECTED,
			  .holder = "b", .backup = "a" },
	};

	assert_int_equal(ask(w, ARBITER_ACTIVATE, true), -EPERM);
	assert_int_equal(ops->request(w->a, &r, on_done, w), 0);
	memset(&r, 0, sizeof(r)); /* it was copied */
	qb_loop_run(w->loop);
	assert_int_equal(w->rc, 0);
	assert_int_equal(w->kind, PERMIT_NONE);
	is(w, 4, "protected(b,a)");
	assert_int_equal(ask(w, ARBITER_ACTIVATE, false), 0);
	assert_int_equal(w->kind, PERMIT_TICKET);
	is(w, 4, "alone(a)");
	assert_int_equal(w->in_file.state, TICKET_ALONE);
}

static void node_1_is_node_1(void **state)
{
	struct world *w = *state;
	struct arbiter *a = w->a;

	w->a = create(w, 1);
	ops->destroy(a);
	ask(w, ARBITER_COLD_BOOT, false);
	ask(w, ARBITER_PROTECTED, false);
	is(w, 2, "protected(b,a)");
}

static void a_refusal_changes_nothing(void **state)
{
	struct world *w = *state;

	ask(w, ARBITER_COLD_BOOT, false);
	assert_int_equal(ask(w, ARBITER_ACTIVATE, true), -EPERM);
	assert_non_null(strstr(w->why, "alone(a)"));
	is(w, 1, "alone(a)");
	assert_true(ticket_equal(&w->in_file, ops->ticket(w->a)));
}

static void what_cannot_be_stored_is_refused_and_changes_nothing(void **state)
{
	struct world *w = *state;

	ask(w, ARBITER_COLD_BOOT, false);
	unlink(w->file);
	rmdir(w->dir);
	assert_int_equal(ask(w, ARBITER_PROTECTED, false), -ENOENT);
	assert_non_null(strstr(w->why, w->file));
	is(w, 1, "alone(a)");
	assert_int_equal(ask(w, ARBITER_ENDED, false), -ENOENT);
	assert_int_equal(ask(w, ARBITER_COLD_BOOT, false), -ENOENT);
	assert_int_equal(w->kind, PERMIT_NONE); /* no permit for a try */
	is(w, 1, "alone(a)");
}

static void one_request_at_a_time(void **state)
{
	struct world *w = *state;
	struct arbiter_request r = { .move = ARBITER_COLD_BOOT };
	struct arbiter_request ended = { .move = ARBITER_ENDED };

	assert_int_equal(ops->request(w->a, &r, on_done, w), 0);
	assert_int_equal(ops->request(w->a, &ended, on_done, w), -EBUSY);
	qb_loop_run(w->loop);
	assert_int_equal(w->done, 1);
	is(w, 1, "alone(a)"); /* the one refused left no trace */
}

static void done_may_ask_again(void **state)
{
	struct world *w = *state;
	struct arbiter_request r = { .move = ARBITER_PROTECTED };
	struct arbiter_request boot = { .move = ARBITER_COLD_BOOT };

	w->again = &r;
	assert_int_equal(ops->request(w->a, &boot, on_done, w), 0);
	qb_loop_run(w->loop);
	assert_int_equal(w->again_rc, 0);
	assert_int_equal(w->done, 2);
	is(w, 2, "protected(a,b)");
}

static void stop(void *data)
{
	qb_loop_stop(data);
}

static void destroyed_it_answers_no_more(void **state)
{
	struct world *w = *state;
	struct arbiter_request r = { .move = ARBITER_COLD_BOOT };

	assert_int_equal(ops->request(w->a, &r, on_done, w), 0);
	ops->destroy(w->a);
	w->a = NULL;
	ops->destroy(NULL);
	qb_loop_job_add(w->loop, QB_LOOP_LOW, w->loop, stop);
	qb_loop_run(w->loop);
	assert_int_equal(w->done, 0);
	assert_int_equal(access(w->file, F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_begins_with_what_the_file_says),
		TEST(a_file_that_is_no_ticket_is_an_error),
		TEST(a_path_too_long_is_an_error),
		TEST(it_is_stored_before_it_is_answered),
		TEST(a_permit_comes_with_alone_and_with_nothing_else),
		TEST(the_backup_activates_what_it_was_told),
		TEST(node_1_is_node_1),
		TEST(a_refusal_changes_nothing),
		TEST(what_cannot_be_stored_is_refused_and_changes_nothing),
		TEST(one_request_at_a_time),
		TEST(done_may_ask_again),
		TEST(destroyed_it_answers_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
