/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_arbiter_witness.c - the arbiter of a node, before three real acceptors
 * that a client of this test's own reaches: at once, or not at all.
 */
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
#include "ticket_acceptor.h"
#include "util.h"
#include "witness_client.h"
#include "witness_message.h"

#define WITNESSES 3
#define NS_PER_MS UINT64_C(1000000)
#define DEADLINE_MS 60000
#define LEASE_MS 2000

static const struct arbiter_ops *const ops = &arbiter_witness_ops;

struct world {
	char dir[64], file[96];
	struct vm_config cfg;
	qb_loop_t *loop;
	struct arbiter *a;

	unsigned int done;
	int rc;
	struct permit permit;
	char why[1024];

	unsigned int renewed, lost, moved, reports, ceased;
	uint64_t renewed_until;
	bool stop_on_event;
};

/* ---- the witnesses ---- */

static struct witness {
	struct ticket_acceptor acceptor;
	bool silent;
	const char *sees; /* why a copy elsewhere may not be taken over */
} witness[WITNESSES];
static qb_loop_t *the_loop;
static unsigned int reports, ceased;

struct post {
	unsigned int to;
	char path[32];
	json_t *body;
	witness_done done;
	void *ctx;
	struct post *next;
};
static struct post *posts; /* on their way */

int witness_client_new(struct witness_client **out,
		       const struct witness_client_config *c, qb_loop_t *loop,
		       char *err, size_t err_bytes)
{
	(void)err;
	(void)err_bytes;
	assert_int_equal(c->witnesses, WITNESSES);
	assert_string_equal(c->witness[2].name, "w3");
	*out = (struct witness_client *)&witness;
	the_loop = loop;
	return 0;
}

void witness_client_free(struct witness_client *c)
{
	(void)c;
	while (posts != NULL) {
		struct post *p = posts;

		posts = p->next;
		json_decref(p->body);
		free(p);
	}
}

static json_t *answer_ticket(struct witness *w, const json_t *body)
{
	struct ticket_evidence seen = { .seen = w->sees != NULL,
					.why = w->sees };
	struct ticket_message m;
	struct ticket_answer a;
	char err[128];
	bool store;

	assert_int_equal(ticket_message_from_json(&m, body, err, sizeof(err)),
			 0);
	ticket_acceptor_on(&w->acceptor, &m, &seen, now_boot_ns() / NS_PER_MS,
			   10000, &a, &store);
	return ticket_answer_to_json(&a);
}

static void deliver(void *data)
{
	struct post *p = data, **at = &posts;
	struct witness *w = &witness[p->to];
	json_t *answer = NULL;

	while (*at != NULL && *at != p)
		at = &(*at)->next;
	if (*at == NULL)
		return; /* the client is gone */
	*at = p->next;
	if (!w->silent && strcmp(p->path, "/v1/ticket") == 0)
		answer = answer_ticket(w, p->body);
	else if (!w->silent)
		answer = json_pack("{s:o}", "ticket",
				   ticket_to_json(&w->acceptor.stored.value));
	p->done(p->ctx, p->to, answer == NULL ? -ECONNREFUSED : 0, answer,
		answer == NULL ? "silent" : "");
	json_decref(answer);
	json_decref(p->body);
	free(p);
}

int witness_client_post(struct witness_client *c, unsigned int to,
			const char *path, const json_t *body, witness_done done,
			void *ctx)
{
	struct post *p = calloc(1, sizeof(*p));
	qb_loop_timer_handle handle;

	(void)c;
	assert_non_null(p);
	assert_true(to < WITNESSES);
	p->to = to;
	strncpy(p->path, path, sizeof(p->path) - 1);
	p->body = json_deep_copy(body);
	p->done = done;
	p->ctx = ctx;
	p->next = posts;
	posts = p;
	if (strcmp(path, "/v1/alive") == 0) {
		reports++;
		ceased += json_is_true(json_object_get(body, "ceased"));
	}
	return qb_loop_timer_add(the_loop, QB_LOOP_MED, 0, p, deliver, &handle);
}

static struct ticket ticket_of(uint64_t generation, enum ticket_state state,
			       const char *holder, const char *backup)
{
	struct ticket t = { .generation = generation, .state = state };

	strcpy(t.holder, holder);
	strcpy(t.backup, backup);
	return t;
}

/* As if a majority had decided it long ago. */
static void they_have(struct ticket t)
{
	for (unsigned int i = 0; i < WITNESSES; i++) {
		witness[i].acceptor.stored.promised.n++;
		witness[i].acceptor.stored.promised.proposer = 1;
		witness[i].acceptor.stored.accepted =
			witness[i].acceptor.stored.promised;
		witness[i].acceptor.stored.value = t;
	}
}

/* ---- the node ---- */

static void on_renewed(void *ctx, const struct permit *permit)
{
	struct world *w = ctx;

	assert_int_equal(permit_kind(permit), PERMIT_TICKET);
	w->permit = *permit;
	w->renewed++;
	if (w->stop_on_event)
		qb_loop_stop(w->loop);
}

static void on_lost(void *ctx, const struct ticket *now)
{
	struct world *w = ctx;

	(void)now;
	w->lost++;
	qb_loop_stop(w->loop);
}

static void on_moved(void *ctx)
{
	struct world *w = ctx;

	w->moved++;
	if (w->stop_on_event)
		qb_loop_stop(w->loop);
}

static void on_report(void *ctx, struct arbiter_report *out)
{
	(void)ctx;
	out->role = "primary";
	out->state = "alone";
	out->serving = true;
}

static const struct arbiter_events events = {
	.renewed = on_renewed,
	.lost = on_lost,
	.moved = on_moved,
	.report = on_report,
};

static void on_deadline(void *data)
{
	(void)data;
	fail_msg("nothing more happens");
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	qb_loop_timer_handle deadline;
	char err[256];

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
	w->cfg.witnesses = WITNESSES;
	for (int i = 0; i < WITNESSES; i++)
		snprintf(w->cfg.witness[i].name, 8, "w%d", i + 1);
	w->cfg.lease_ms = LEASE_MS;
	w->cfg.witness_timeout_ms = 200;
	memset(witness, 0, sizeof(witness));
	reports = ceased = 0;
	w->loop = qb_loop_create();
	qb_loop_timer_add(w->loop, QB_LOOP_MED, DEADLINE_MS * NS_PER_MS, w,
			  on_deadline, &deadline);
	if (ops->create(&w->a, &w->cfg, 0, w->loop, err, sizeof(err)) < 0)
		return -1;
	ops->watch(w->a, &events, w);
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
	memset(&w->permit, 0, sizeof(w->permit));
	if (permit != NULL)
		w->permit = *permit;
	snprintf(w->why, sizeof(w->why), "%s", why);
	qb_loop_stop(w->loop);
}

static int ask_with(struct world *w, const struct arbiter_request *r)
{
	unsigned int before = w->done;

	assert_int_equal(ops->request(w->a, r, on_done, w), 0);
	assert_int_equal(w->done, before); /* never from inside the request */
	assert_int_equal(ops->request(w->a, r, on_done, w), -EBUSY);
	qb_loop_run(w->loop);
	assert_int_equal(w->done, before + 1);
	return w->rc;
}

static int ask(struct world *w, enum arbiter_move m)
{
	struct arbiter_request r = { .move = m };

	return ask_with(w, &r);
}

static int note(struct world *w, struct ticket t)
{
	struct arbiter_request r = { .move = ARBITER_NOTE, .told = t };

	return ask_with(w, &r);
}

/* Here, and on its disk. */
static void is(struct world *w, uint64_t generation, const char *want)
{
	const struct ticket *t = ops->ticket(w->a);
	char str[TICKET_STR_MAX];
	struct ticket stored;

	assert_int_equal(t->generation, generation);
	assert_string_equal(ticket_to_str(t, str, sizeof(str)), want);
	assert_int_equal(ticket_load(&stored, w->file, NULL, 0), 0);
	assert_true(ticket_equal(t, &stored));
}

static bool permit_runs_out(const struct world *w, uint32_t within_ms)
{
	uint64_t now = now_boot_ns();

	return permit_live(&w->permit, now) &&
	       !permit_live(&w->permit, now + within_ms * NS_PER_MS);
}

/* ---- tests ---- */

static void a_boot_gets_a_permit_that_runs_out(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, ARBITER_COLD_BOOT), 0);
	is(w, 1, "alone(a)");
	assert_true(permit_runs_out(w, LEASE_MS));
}

static void it_is_renewed_and_passed_on(void **state)
{
	struct world *w = *state;
	struct permit first;

	ask(w, ARBITER_COLD_BOOT);
	first = w->permit;
	w->stop_on_event = true;
	qb_loop_run(w->loop);
	assert_true(w->renewed > 0);
	assert_true(permit_runs_out(w, LEASE_MS));
	/* at a time at which the first would not do any more */
	while (permit_live(&first, now_boot_ns()))
		qb_loop_run(w->loop);
	assert_true(permit_live(&w->permit, now_boot_ns()));
	assert_true(reports > 0);
}

static void one_of_three_may_be_silent_and_two_may_not(void **state)
{
	struct world *w = *state;

	witness[1].silent = true;
	assert_int_equal(ask(w, ARBITER_COLD_BOOT), 0);
	witness[2].silent = true;
	assert_int_equal(ask(w, ARBITER_ENDED), -ETIMEDOUT);
	is(w, 1, "alone(a)");
	assert_int_equal(permit_kind(&w->permit), PERMIT_NONE);
	assert_non_null(strstr(w->why, "w2: "));
	assert_non_null(strstr(w->why, "w3: "));
}

/* Whoever asks for protection has no permit from then on. */
static void protection_gives_the_lease_back(void **state)
{
	struct world *w = *state;

	ask(w, ARBITER_COLD_BOOT);
	assert_int_equal(ask(w, ARBITER_PROTECTED), 0);
	is(w, 2, "protected(a,b)");
	assert_int_equal(permit_kind(&w->permit), PERMIT_NONE);
	assert_int_equal(witness[0].acceptor.leased_until_ms, 0);
	assert_int_equal(ask(w, ARBITER_ALONE), 0);
	is(w, 2, "alone(a)");
	assert_true(permit_runs_out(w, LEASE_MS));
}

static void a_backup_takes_over_what_it_was_told(void **state)
{
	struct world *w = *state;

	they_have(ticket_of(4, TICKET_PROTECTED, "b", "a"));
	assert_int_equal(note(w, ticket_of(4, TICKET_PROTECTED, "b", "a")), 0);
	assert_int_equal(ask(w, ARBITER_ACTIVATE), 0);
	is(w, 4, "alone(a)");
}

static void not_while_the_other_is_seen(void **state)
{
	struct world *w = *state;

	they_have(ticket_of(4, TICKET_PROTECTED, "b", "a"));
	note(w, ticket_of(4, TICKET_PROTECTED, "b", "a"));
	witness[0].sees = witness[1].sees = "b served 3 ms ago";
	assert_int_equal(ask(w, ARBITER_ACTIVATE), -EBUSY);
	is(w, 4, "protected(b,a)");
	assert_non_null(strstr(w->why, "w1: b served 3 ms ago"));
}

static void not_when_the_other_went_on_alone(void **state)
{
	struct world *w = *state;

	they_have(ticket_of(4, TICKET_ALONE, "b", ""));
	note(w, ticket_of(4, TICKET_PROTECTED, "b", "a"));
	assert_int_equal(ask(w, ARBITER_ACTIVATE), -EPERM);
	is(w, 4, "alone(b)"); /* and it knows now */
}

/* Its epoch is of generation 4: of what was seen in 5 it may have nothing. */
static void nor_another_generation_now_or_the_next_time(void **state)
{
	struct world *w = *state;

	they_have(ticket_of(5, TICKET_PROTECTED, "b", "a"));
	note(w, ticket_of(4, TICKET_PROTECTED, "b", "a"));
	assert_int_equal(ask(w, ARBITER_ACTIVATE), -EPERM);
	is(w, 4, "protected(b,a)");
	assert_int_equal(ask(w, ARBITER_ACTIVATE), -EPERM);
}

static void a_boot_takes_it_away_only_from_whom_somebody_vouches_for(
	void **state)
{
	struct world *w = *state;
	struct arbiter_request r = { .move = ARBITER_COLD_BOOT };

	they_have(ticket_of(6, TICKET_PROTECTED, "b", "a"));
	assert_int_equal(ask_with(w, &r), -EPERM);
	r.peer_is_dead = true;
	assert_int_equal(ask_with(w, &r), 0);
	is(w, 7, "alone(a)");
	assert_true(permit_runs_out(w, LEASE_MS));
}

/* Both hosts lost their power, and this one had the guest. */
static void also_from_its_own_backup(void **state)
{
	struct world *w = *state;
	struct arbiter_request r = { .move = ARBITER_COLD_BOOT };

	they_have(ticket_of(6, TICKET_PROTECTED, "a", "b"));
	assert_int_equal(ask_with(w, &r), -EPERM);
	r.peer_is_dead = true;
	assert_int_equal(ask_with(w, &r), 0);
	is(w, 7, "alone(a)");
}

/* The lease of the other has to be over before. */
static void and_not_before_his_lease_is_over(void **state)
{
	struct arbiter_request r = { .move = ARBITER_COLD_BOOT,
				     .peer_is_dead = true };
	uint64_t over = now_boot_ns() / NS_PER_MS + 300;
	struct world *w = *state;

	they_have(ticket_of(6, TICKET_ALONE, "b", ""));
	for (int i = 0; i < WITNESSES; i++) {
		strcpy(witness[i].acceptor.leased_to, "b");
		witness[i].acceptor.leased_until_ms = over;
	}
	assert_int_equal(ask_with(w, &r), 0);
	assert_true(now_boot_ns() / NS_PER_MS >= over);
	is(w, 7, "alone(a)");
}

static void a_ticket_that_others_changed_is_noticed(void **state)
{
	struct world *w = *state;

	they_have(ticket_of(4, TICKET_PROTECTED, "a", "b"));
	note(w, ticket_of(4, TICKET_PROTECTED, "a", "b"));
	they_have(ticket_of(4, TICKET_ALONE, "a", ""));
	w->stop_on_event = true;
	qb_loop_run(w->loop);
	assert_int_equal(w->moved, 1);
	assert_int_equal(ask(w, ARBITER_ALONE), 0);
	is(w, 4, "alone(a)");
}

static void a_lease_that_others_ended_is_lost(void **state)
{
	struct world *w = *state;

	ask(w, ARBITER_COLD_BOOT);
	they_have(ticket_of(1, TICKET_NONE, "", ""));
	while (w->lost == 0)
		qb_loop_run(w->loop);
	is(w, 1, "none");
}

static void who_ceases_says_so_at_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(ceased, 0);
	ops->ceased(w->a);
	assert_int_equal(ceased, WITNESSES);
}

static void on_time(void *data)
{
	qb_loop_stop(data);
}

/* So many reports to each of them. */
static void report_times(struct world *w, unsigned int n)
{
	unsigned int until = reports + n * WITNESSES;
	qb_loop_timer_handle timer;

	while (reports < until) {
		qb_loop_timer_add(w->loop, QB_LOOP_LOW, 20 * NS_PER_MS,
				  w->loop, on_time, &timer);
		qb_loop_run(w->loop);
	}
}

static void a_majority_that_does_not_answer_is_told_of(void **state)
{
	struct world *w = *state;

	report_times(w, 2);
	witness[0].silent = true;
	report_times(w, 6);
	assert_true(ops->silent_ms(w->a) <= 400);
	witness[2].silent = true;
	report_times(w, 6);
	assert_in_range(ops->silent_ms(w->a), 1000, 1600);
	/* What it sleeps through is not counted: nobody was asked. */
	usleep(1500000);
	report_times(w, 1);
	assert_in_range(ops->silent_ms(w->a), 1200, 2000);
	witness[0].silent = false;
	report_times(w, 2);
	assert_true(ops->silent_ms(w->a) <= 400);
}

static void an_older_ticket_is_not_noted(void **state)
{
	struct world *w = *state;

	assert_int_equal(note(w, ticket_of(4, TICKET_ALONE, "b", "")), 0);
	assert_int_equal(note(w, ticket_of(3, TICKET_PROTECTED, "b", "a")),
			 -EPERM);
	is(w, 4, "alone(b)");
}

/* Which is never, with witnesses; but their memory may have been lost. */
static void two_alone_in_one_generation_do_not_last_for_ever(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, ARBITER_COLD_BOOT), 0);
	assert_int_equal(note(w, ticket_of(1, TICKET_ALONE, "b", "")), 0);
	is(w, 1, "alone(b)");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_boot_gets_a_permit_that_runs_out),
		T(it_is_renewed_and_passed_on),
		T(one_of_three_may_be_silent_and_two_may_not),
		T(protection_gives_the_lease_back),
		T(a_backup_takes_over_what_it_was_told),
		T(not_while_the_other_is_seen),
		T(not_when_the_other_went_on_alone),
		T(nor_another_generation_now_or_the_next_time),
		T(a_boot_takes_it_away_only_from_whom_somebody_vouches_for),
		T(also_from_its_own_backup),
		T(and_not_before_his_lease_is_over),
		T(a_ticket_that_others_changed_is_noticed),
		T(a_lease_that_others_ended_is_lost),
		T(who_ceases_says_so_at_once),
		T(a_majority_that_does_not_answer_is_told_of),
		T(an_older_ticket_is_not_noted),
		T(two_alone_in_one_generation_do_not_last_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
