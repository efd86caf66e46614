/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_fence_core.c - the decision to call a node fenced: what three witnesses
 * see before and after the rounds, and how the rounds end -> done or failed,
 * with whom as the new holder, and with what reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "fence_core.h"
#include "sights.h"
#include "util.h"

#define N 3
static const struct witness_address witness[WITNESSES_MAX] = {
	{ "w1", "http://192.0.2.1:7071" }, { "w2", "http://192.0.2.2:7071" },
	{ "w3", "http://192.0.2.3:7071" }, { "w4", "http://192.0.2.4:7071" },
	{ "w5", "http://192.0.2.5:7071" },
};

/* What one witness answers to a look. */
static const struct made quiet = { .beta = STANDS_BY };
static const struct made no_backup = { .beta = NEVER };
static const struct made old_backup = {
	.beta = "\"age_ms\":80,\"role\":\"backup\",\"state\":\"standby\","
		"\"generation\":2,\"serving\":false"
};
static const struct made late_backup = {
	.beta = "\"age_ms\":9000,\"role\":\"backup\",\"state\":\"standby\","
		"\"generation\":3,\"serving\":false"
};
static const struct made syncing = {
	.beta = "\"age_ms\":80,\"role\":\"backup\",\"state\":\"syncing\","
		"\"generation\":3,\"serving\":false"
};
static const struct made seen = { .seen_on = "alpha", .beta = STANDS_BY };
static const struct made seen_somewhere = { .seen_on = "",
					    .beta = STANDS_BY };
static const struct made reported = { .alpha = SERVES, .beta = STANDS_BY };
static const struct made seen_beta = { .seen_on = "beta",
				       .state = "alone", .holder = "beta" };
static const struct made fresh = { .looking_ms = 300, .beta = STANDS_BY };
static const struct made alone_alpha = { .state = "alone",
					 .holder = "alpha" };
static const struct made alone_beta = { .state = "alone", .holder = "beta" };
static const struct made stranger = { .vm = "other",
				      .nodes = "[\"gamma\",\"delta\"]",
				      .state = "none", .holder = "" };
#define SILENT NULL
#define NO_END { -ETIMEDOUT, -ETIMEDOUT, -ETIMEDOUT, -ETIMEDOUT }

struct row {
	const char *name;
	const struct made *before[N], *after[N];
	int rc[4];	   /* of the rounds, one after the other */
	uint32_t quiet_ms; /* leases run so long after the decision */
	int heard_seen;	   /* so many witnesses refuse, seeing a copy */
	enum fence_end end;
	const char *peer; /* NULL: no round may be begun */
	const char *says;
	unsigned int within_ms; /* it must have ended; 0: the time-out */
};

static const struct row table[] = {
	{ "its backup is there", { &quiet, &quiet, &quiet },
	  { &quiet, &quiet, &quiet }, { 0 }, 0, 0, FENCE_DONE, "beta",
	  "web: alpha has nothing of it", 1000 },
	{ "one witness is silent", { &quiet, SILENT, &quiet },
	  { &quiet, SILENT, &quiet }, { 0 }, 0, 0, FENCE_DONE, "beta", "", 1000 },
	{ "a minority answers", { &quiet, SILENT, SILENT },
	  { &quiet, SILENT, SILENT }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "no majority of the 3 witnesses answers\n  w1: answered\n  w2: off\n",
	  0 },
	{ "nobody answers", { SILENT, SILENT, SILENT },
	  { SILENT, SILENT, SILENT }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "no majority", 0 },
	{ "no backup: none, after the grace",
	  { &no_backup, &no_backup, &no_backup },
	  { &no_backup, &no_backup, &no_backup }, { 0 }, 0, 0, FENCE_DONE, "",
	  "", 0 },
	{ "one of an older generation is none",
	  { &old_backup, &old_backup, &old_backup },
	  { &old_backup, &old_backup, &old_backup }, { 0 }, 0, 0, FENCE_DONE,
	  "", "", 0 },
	{ "one that was there long ago is none",
	  { &late_backup, &late_backup, &late_backup },
	  { &late_backup, &late_backup, &late_backup }, { 0 }, 0, 0,
	  FENCE_DONE, "", "", 0 },
	{ "one that has no state is none", { &syncing, &syncing, &syncing },
	  { &syncing, &syncing, &syncing }, { 0 }, 0, 0, FENCE_DONE, "", "",
	  0 },
	{ "one by a minority's word is none",
	  { &quiet, &no_backup, &no_backup },
	  { &quiet, &no_backup, &no_backup }, { 0 }, 0, 0, FENCE_DONE, "", "",
	  0 },
	{ "it ran alone: its lease is waited for",
	  { &alone_alpha, &alone_alpha, &alone_alpha },
	  { &alone_alpha, &alone_alpha, &alone_alpha }, { 0 }, 3030, 0,
	  FENCE_DONE, "", "", 0 },
	{ "a lease longer than the time that is left",
	  { &alone_alpha, &alone_alpha, &alone_alpha },
	  { &alone_alpha, &alone_alpha, &alone_alpha }, { 0 }, 60600, 0,
	  FENCE_FAILED, "", "a lease may be used for 60600 ms more", 1000 },
	{ "another's already: asked all the same",
	  { &alone_beta, &alone_beta, &alone_beta },
	  { &alone_beta, &alone_beta, &alone_beta }, { 0 }, 0, 0, FENCE_DONE,
	  "", "the ticket is", 1000 },
	{ "another's already, and seen there",
	  { &seen_beta, &seen_beta, &seen_beta },
	  { &seen_beta, &seen_beta, &seen_beta }, { 0 }, 0, 0, FENCE_DONE, "",
	  "", 1000 },
	{ "clients see it serve", { &seen, &seen, &seen },
	  { &seen, &seen, &seen }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "clients still see it serve web\n"
	  "  w1: service tcp:192.0.2.9:80 answered 120 ms ago\n", 6000 },
	{ "a majority of them does", { &seen, &quiet, &seen },
	  { &seen, &quiet, &seen }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "  w2: sees nothing of alpha\n  w3: service", 6000 },
	{ "one of them does", { &seen, &quiet, &quiet },
	  { &seen, &quiet, &quiet }, { 0 }, 0, 1, FENCE_DONE, "beta", "",
	  1000 },
	{ "one of them does, one is silent", { &seen, SILENT, &quiet },
	  { &seen, SILENT, &quiet }, NO_END, 0, 1, FENCE_FAILED,
	  "beta", "in 20000 ms", 0 },
	{ "its own remusd serves", { &reported, &reported, &quiet },
	  { &reported, &reported, &quiet }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "w1: alpha's remusd served 80 ms ago", 6000 },
	{ "a copy, nobody knows whose",
	  { &seen_somewhere, &seen_somewhere, &quiet },
	  { &seen_somewhere, &seen_somewhere, &quiet }, { 0 }, 0, 0,
	  FENCE_FAILED, NULL, "clients still see it", 6000 },
	{ "seen by a majority in the round only",
	  { &quiet, &quiet, &quiet }, { &quiet, &quiet, &quiet },
	  { -EBUSY, -EBUSY, -EBUSY, -EBUSY }, 0, 2, FENCE_FAILED, "beta",
	  "clients still see it serve web\n  w1: seen by w1\n", 12000 },
	{ "refused for once", { &quiet, &quiet, &quiet },
	  { &quiet, &quiet, &quiet }, { -EPERM, -EBUSY, 0 }, 0, 0, FENCE_DONE,
	  "beta", "", 2000 },
	{ "a time-out is not a success", { &quiet, &quiet, &quiet },
	  { &quiet, &quiet, &quiet },
	  NO_END, 0, 0,
	  FENCE_FAILED, "beta", "nothing is known to be decided about web", 0 },
	{ "decided, and yet seen", { &quiet, &quiet, &quiet },
	  { &seen, &seen, &seen }, { 0 }, 0, 0, FENCE_FAILED, "beta",
	  "clients still see it serve web", 7000 },
	{ "decided, and nobody is there to confirm it",
	  { &quiet, &quiet, &quiet }, { SILENT, SILENT, &quiet }, { 0 }, 0, 0,
	  FENCE_FAILED, "beta", "all is decided, but no majority says", 0 },
	{ "decided, but they have not looked yet", { &quiet, &quiet, &quiet },
	  { &fresh, &fresh, &quiet }, { 0 }, 0, 0, FENCE_FAILED, "beta",
	  "w1: just started, not looked yet", 0 },
	{ "nobody knows of it", { &stranger, &stranger, &stranger },
	  { &stranger, &stranger, &stranger }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "no majority of the witnesses knows a virtual machine of it", 1000 },
	{ "a minority knows of it", { &quiet, &stranger, &stranger },
	  { &quiet, &stranger, &stranger }, { 0 }, 0, 0, FENCE_FAILED, NULL,
	  "no majority of the witnesses knows", 1000 },
	{ "one knows of it, one does not say", { &quiet, &stranger, SILENT },
	  { &quiet, &stranger, SILENT }, NO_END, 0, 0, FENCE_FAILED,
	  "", "nothing is known to be decided about web", 0 },
};

/* ---- a world for one row ---- */

struct world {
	const struct row *row;
	struct fence_core *core;
	uint64_t now_ms, round_at_ms;
	unsigned int rounds, asked;
	bool decided, round_runs;
	struct ticket_request request;
	char peer[VM_NAME_MAX + 1];
};

static void answer_look(struct world *w)
{
	for (unsigned int i = 0; i < N; i++) {
		const struct made *m = w->decided ? w->row->after[i]
						  : w->row->before[i];

		fence_core_saw(w->core, i,
			       m != NULL ? made_sight(witness[i].name, m, 1)
					 : NULL,
			       "off", w->now_ms);
	}
}

static void words(struct world *w)
{
	struct ticket_answer a = { .reply = TICKET_PROMISE };

	for (unsigned int i = 0; i < N; i++) {
		bool sees = (int)i < w->row->heard_seen;

		a.reply = sees ? TICKET_REFUSED_SEEN : TICKET_ACCEPTED;
		snprintf(a.why, sizeof(a.why), "%s%.2s", sees ? "seen by " : "",
			 sees ? witness[i].name : "");
		fence_core_heard(w->core, 0, i, &a, NULL);
	}
}

static void end_round(struct world *w)
{
	int rc = w->asked < 4 ? w->row->rc[w->asked] : w->row->rc[3];
	struct ticket_outcome o = { .rc = rc };

	w->asked++;
	w->round_runs = false;
	if (rc == 0) {
		w->decided = true;
		o.quiet_at_ms = w->now_ms + w->row->quiet_ms;
		o.value.generation = 3;
		if (w->request.peer[0] != '\0') {
			o.value.state = TICKET_ALONE;
			strcpy(o.value.holder, w->request.peer);
		}
	}
	words(w);
	fence_core_outcome(w->core, 0, &o, w->now_ms);
}

static void todo(struct world *w)
{
	struct fence_todo t;

	while (fence_core_next(w->core, &t)) {
		if (t.step == FENCE_LOOK) {
			answer_look(w);
			continue;
		}
		assert_int_equal(t.request.purpose, TICKET_FOR_FENCE);
		assert_string_equal(t.request.target, "alpha");
		assert_true(t.request.give_up_ms > 0);
		w->rounds++;
		w->request = t.request;
		strcpy(w->peer, t.request.peer);
		w->round_runs = true;
		/* A failed one lasts. */
		w->round_at_ms = w->now_ms + 10;
		if (w->asked < 4 && (w->row->rc[w->asked] == -ETIMEDOUT ||
				     w->row->rc[w->asked] == -EBUSY))
			w->round_at_ms = w->now_ms + (w->row->heard_seen > 0
				? t.request.give_up_ms : 10);
	}
}

static void run_row(const struct row *row)
{
	struct fence_core_config c = { .target = "alpha", .witness = witness,
				       .witnesses = N, .timeout_ms = 20000,
				       .grace_ms = 5000 };
	struct world w = { .row = row, .now_ms = 1000000 };
	uint64_t start = w.now_ms;

	w.core = fence_core_new(&c, w.now_ms);
	assert_non_null(w.core);
	todo(&w);
	while (fence_core_end(w.core) == FENCE_RUNS) {
		uint64_t at = fence_core_wake_ms(w.core);

		if (w.round_runs && w.round_at_ms < at)
			at = w.round_at_ms;
		assert_true(at < start + 60000);
		if (at > w.now_ms)
			w.now_ms = at;
		if (w.round_runs && w.now_ms >= w.round_at_ms)
			end_round(&w);
		fence_core_tick(w.core, w.now_ms);
		todo(&w);
	}
	print_message("%s: after %u ms\n%s", row->name,
		      (unsigned int)(w.now_ms - start),
		      fence_core_text(w.core));
	assert_int_equal(fence_core_end(w.core), row->end);
	assert_non_null(strstr(fence_core_text(w.core), row->says));
	assert_true(w.now_ms - start <=
		    (row->within_ms != 0 ? row->within_ms : 20000));
	if (row->peer == NULL)
		assert_int_equal(w.rounds, 0);
	else
		assert_string_equal(w.peer, row->peer);
	/* Never before the leases are over. */
	if (row->end == FENCE_DONE)
		assert_true(w.now_ms - start >= row->quiet_ms);
	fence_core_free(w.core);
}

static void table_of_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		run_row(&table[i]);
}

/* ---- more than one machine ---- */

static struct fence_core *core_of(const char (*vm)[VM_NAME_MAX + 1],
				  unsigned int vms)
{
	struct fence_core_config c = { .target = "alpha", .witness = witness,
				       .witnesses = N, .timeout_ms = 20000,
				       .grace_ms = 5000, .vm = vm,
				       .vms = vms };
	struct fence_core *f = fence_core_new(&c, 0);
	struct fence_todo t;

	assert_non_null(f);
	assert_true(fence_core_next(f, &t));
	assert_int_equal(t.step, FENCE_LOOK);
	return f;
}

static void look_all(struct fence_core *f, const struct made *m,
		     unsigned int n, uint64_t now)
{
	for (unsigned int i = 0; i < N; i++)
		fence_core_saw(f, i, made_sight(witness[i].name, m, n), "",
			       now);
}

static void all_machines_or_none(void **state)
{
	struct made m[2] = { quiet, quiet };
	struct ticket_outcome ok = { .rc = 0, .quiet_at_ms = 20 };
	struct fence_core *f = core_of(NULL, 0);
	struct fence_todo t;

	(void)state;
	m[1].vm = "db";
	m[1].seen_on = "alpha";
	/* db is seen: web is not touched either. */
	look_all(f, m, 2, 10);
	assert_false(fence_core_next(f, &t));
	fence_core_tick(f, 300);
	assert_true(fence_core_next(f, &t));
	assert_int_equal(t.step, FENCE_LOOK);
	m[1].seen_on = NULL;
	look_all(f, m, 2, 310);
	assert_true(fence_core_next(f, &t));
	assert_int_equal(t.step, FENCE_ROUND);
	assert_string_equal(fence_core_vm(f, t.vm), "web");
	fence_core_outcome(f, t.vm, &ok, 320);
	assert_true(fence_core_next(f, &t));
	assert_string_equal(fence_core_vm(f, t.vm), "db");
	assert_false(fence_core_next(f, &t));
	/* One is decided, the other is not: not fenced. */
	fence_core_tick(f, 600);
	assert_true(fence_core_next(f, &t));
	look_all(f, m, 2, 610);
	assert_int_equal(fence_core_end(f), FENCE_RUNS);
	fence_core_outcome(f, t.vm + 1, &ok, 620);
	fence_core_tick(f, 900);
	while (fence_core_next(f, &t))
		look_all(f, m, 2, 910);
	assert_int_equal(fence_core_end(f), FENCE_DONE);
	assert_non_null(strstr(fence_core_text(f), "web: "));
	assert_non_null(strstr(fence_core_text(f), "db: "));
	fence_core_free(f);
}

static void given_machines(void **state)
{
	static const char vm[2][VM_NAME_MAX + 1] = { "web", "db" };
	struct fence_core *f = core_of(vm, 2);
	struct fence_todo t;

	(void)state;
	look_all(f, &quiet, 1, 10);
	assert_int_equal(fence_core_end(f), FENCE_FAILED);
	assert_non_null(strstr(fence_core_text(f),
			       "no majority of the witnesses knows db"));
	assert_false(fence_core_next(f, &t));
	fence_core_free(f);
	/* Others are not touched. */
	f = core_of(vm, 1);
	struct made m[2] = { quiet, quiet };

	m[1].vm = "db";
	look_all(f, m, 2, 10);
	assert_true(fence_core_next(f, &t));
	assert_string_equal(fence_core_vm(f, t.vm), "web");
	assert_false(fence_core_next(f, &t));
	fence_core_free(f);
}

/* What a witness named while others were silent is not waited for when they
 * say that they do not know it. */
static void not_its_after_all(void **state)
{
	struct made m[2] = { quiet, quiet };
	struct ticket_outcome ok = { .rc = 0, .quiet_at_ms = 20 };
	struct fence_core *f = core_of(NULL, 0);
	struct fence_todo t;

	(void)state;
	m[1].vm = "db";
	m[1].seen_on = "alpha";
	fence_core_saw(f, 0, made_sight("w1", m, 2), "", 10);
	fence_core_saw(f, 1, made_sight("w2", m, 1), "", 10);
	fence_core_saw(f, 2, NULL, "slow", 10);
	assert_true(fence_core_next(f, &t));
	assert_string_equal(fence_core_vm(f, t.vm), "web");
	fence_core_next(f, &t);
	fence_core_outcome(f, 0, &ok, 20);
	fence_core_outcome(f, 1, &(struct ticket_outcome){ .rc = -EBUSY }, 20);
	assert_int_equal(fence_core_end(f), FENCE_RUNS);
	for (uint64_t now = 300; now < 2000 &&
	     fence_core_end(f) == FENCE_RUNS; now += 300) {
		fence_core_tick(f, now);
		while (fence_core_next(f, &t)) {
			assert_int_equal(t.step, FENCE_LOOK);
			fence_core_saw(f, 0, made_sight("w1", m, 2), "", now);
			fence_core_saw(f, 1, made_sight("w2", m, 1), "", now);
			fence_core_saw(f, 2, made_sight("w3", m, 1), "", now);
		}
	}
	assert_int_equal(fence_core_end(f), FENCE_DONE);
	assert_null(strstr(fence_core_text(f), "db"));
	fence_core_free(f);
}

/* The look that confirms must have begun when all was over. */
static void an_old_look_confirms_nothing(void **state)
{
	struct ticket_outcome ok = { .rc = 0, .quiet_at_ms = 400 };
	struct fence_core *f = core_of(NULL, 0);
	struct fence_todo t;

	(void)state;
	look_all(f, &quiet, 1, 10);
	assert_true(fence_core_next(f, &t));
	fence_core_outcome(f, 0, &ok, 20);
	fence_core_tick(f, 300); /* a look begins before the lease is over */
	assert_true(fence_core_next(f, &t));
	assert_int_equal(t.step, FENCE_LOOK);
	fence_core_tick(f, 450);
	look_all(f, &quiet, 1, 460);
	assert_int_equal(fence_core_end(f), FENCE_RUNS);
	fence_core_tick(f, fence_core_wake_ms(f));
	assert_true(fence_core_next(f, &t));
	look_all(f, &quiet, 1, 800);
	assert_int_equal(fence_core_end(f), FENCE_DONE);
	fence_core_free(f);
}

/* Whatever a round says: what names the target is not fenced. */
static void still_its_ticket(void **state)
{
	struct ticket_outcome o = { .rc = 0, .value = { 3, TICKET_PROTECTED,
							"beta", "alpha" } };
	struct fence_core *f = core_of(NULL, 0);
	struct fence_todo t;

	(void)state;
	look_all(f, &quiet, 1, 10);
	assert_true(fence_core_next(f, &t));
	fence_core_outcome(f, 0, &o, 20);
	assert_int_equal(fence_core_end(f), FENCE_FAILED);
	fence_core_free(f);
}

/* The evidence that was accepted last is what counts for the backup. */
static void newest_ticket_counts(void **state)
{
	struct made old = quiet, new = quiet;
	struct fence_core *f = core_of(NULL, 0);
	struct fence_todo t;

	(void)state;
	old.ballot = 5;
	old.state = "alone";
	old.holder = "alpha";
	fence_core_saw(f, 0, made_sight("w1", &old, 1), "", 10);
	fence_core_saw(f, 1, made_sight("w2", &new, 1), "", 10);
	fence_core_saw(f, 2, made_sight("w3", &new, 1), "", 10);
	assert_true(fence_core_next(f, &t));
	assert_string_equal(t.request.peer, "beta");
	fence_core_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_of_rows),
		cmocka_unit_test(all_machines_or_none),
		cmocka_unit_test(given_machines),
		cmocka_unit_test(not_its_after_all),
		cmocka_unit_test(an_old_look_confirms_nothing),
		cmocka_unit_test(still_its_ticket),
		cmocka_unit_test(newest_ticket_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
