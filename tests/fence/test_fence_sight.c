/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_fence_sight.c - answers to /v1/evidence: read, refused, and what they
 * say of a node; and status and list, which follow from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "fence_view.h"
#include "sights.h"
#include "util.h"

static const struct witness_address witness[WITNESSES_MAX] = {
	{ "w1", "http://192.0.2.1:7071" }, { "w2", "http://192.0.2.2:7071" },
	{ "w3", "http://192.0.2.3:7071" },
};

static void reads_all(void **state)
{
	struct made m = { .seen_on = "alpha", .leased_to = "alpha",
			  .alpha = SERVES, .beta = STANDS_BY };
	struct sight *s = made_sight("w1", &m, 1);
	const struct sight_vm *v = sight_find(s, "web");

	(void)state;
	assert_non_null(v);
	assert_null(sight_find(s, "db"));
	assert_null(sight_find(NULL, "web"));
	assert_string_equal(v->node[1], "beta");
	assert_int_equal(v->ticket.state, TICKET_PROTECTED);
	assert_int_equal(v->accepted.n, 7);
	assert_string_equal(v->leased_to, "alpha");
	assert_int_equal(v->lease_left_ms, 700);
	assert_true(v->seen);
	assert_string_equal(v->seen_on, "alpha");
	assert_int_equal(v->reports, 2);
	assert_true(v->report[0].serving);
	assert_string_equal(v->report[1].state, "standby");
	assert_int_equal(v->report[1].age_ms, 80);
	sight_free(s);
}

/* ---- hostile answers ---- */

static int read_text(const char *text)
{
	json_t *j = json_loads(text, JSON_ALLOW_NUL, NULL);
	struct sight *s = NULL;
	char err[256] = "";
	int rc = sight_from_json(&s, "w1", j, err, sizeof(err));

	if (rc < 0) {
		assert_null(s);
		assert_true(err[0] != '\0');
	}
	sight_free(s);
	json_decref(j);
	return rc;
}

/* In the text of a good answer `from` becomes `to`. */
static int read_spoilt(const char *from, const char *to)
{
	struct made m = { .seen_on = "alpha", .leased_to = "alpha",
			  .alpha = SERVES, .beta = STANDS_BY };
	json_t *j = made_json("w1", &m, 1);
	char *text = json_dumps(j, JSON_COMPACT), *at, *all;
	int rc;

	at = strstr(text, from);
	if (at == NULL)
		fail_msg("no %s in %s", from, text);
	all = calloc(1, strlen(text) + strlen(to) + 1);
	memcpy(all, text, (size_t)(at - text));
	strcat(all, to);
	strcat(all, at + strlen(from));
	rc = read_text(all);
	free(all);
	free(text);
	json_decref(j);
	return rc;
}

static void refuses_wrong_members(void **state)
{
	static const char *const spoils[][2] = {
		{ "\"witness\":\"w1\"", "\"witness\":\"w2\"" },
		{ "\"witness\":\"w1\"", "\"witness\":7" },
		{ "\"vms\":[", "\"vms\":7,\"x\":[" },
		{ "\"vms\":[{", "\"vms\":[7,{" },
		{ "\"vms\":[{", "\"vms\":[null,{" },
		{ "\"vm\":\"web\"", "\"vm\":\"../web\"" },
		{ "\"vm\":\"web\"", "\"vm\":\"\"" },
		{ "[\"alpha\",\"beta\"]", "[\"alpha\"]" },
		{ "[\"alpha\",\"beta\"]", "[\"alpha\",\"beta\",\"c\"]" },
		{ "[\"alpha\",\"beta\"]", "[\"alpha\",7]" },
		{ "[\"alpha\",\"beta\"]", "\"alpha\"" },
		{ "\"state\":\"protected\",\"holder\"",
		  "\"state\":\"all\",\"holder\"" },
		{ "\"holder\":\"alpha\"", "\"holder\":\"\"" },
		{ "\"generation\":3", "\"generation\":-3" },
		{ "\"generation\":3", "\"generation\":1e99" },
		{ "\"n\":7", "\"n\":-1" },
		{ "\"accepted\":{", "\"accepted\":[],\"x\":{" },
		{ "\"leased_to\":\"alpha\"", "\"leased_to\":\"a b\"" },
		{ "\"leased_to\":\"alpha\"", "\"leased_to\":null" },
		{ "\"lease_left_ms\":700", "\"lease_left_ms\":-1" },
		{ "\"lease_left_ms\":700", "\"lease_left_ms\":\"700\"" },
		{ "\"looking_ms\":5000", "\"looking_ms\":null" },
		{ "\"window_ms\":1250", "\"window\":1250" },
		{ "\"seen\":true", "\"seen\":1" },
		{ "\"seen\":true", "\"seen\":null" },
		{ "\"seen_on\":\"alpha\"", "\"seen_on\":\"a\\u0000b\"" },
		{ "\"reports\":[", "\"reports\":{},\"x\":[" },
		{ "\"reports\":[", "\"reports\":[{},{},{}," },
		{ "\"node\":\"alpha\"", "\"node\":null" },
		{ "\"age_ms\":80", "\"age_ms\":-80" },
		{ "\"age_ms\":80", "\"age_ms\":\"80\"" },
		{ "\"serving\":true", "\"serving\":\"true\"" },
		{ "\"role\":\"primary\"", "\"role\":\"0123456789abcdef"
		  "0123456789abcdef0\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
		int rc = read_spoilt(spoils[i][0], spoils[i][1]);

		if (rc != -EBADMSG)
			fail_msg("%s: %d", spoils[i][1], rc);
	}
	assert_int_equal(read_spoilt("\"n\":7", "\"n\":8"), 0);
	assert_int_equal(read_spoilt("\"up_ms\":9", "\"more\":[{}]"), 0);
	assert_int_equal(read_text("{}"), -EBADMSG);
	assert_int_equal(read_text("[]"), -EBADMSG);
}

static void refuses_too_many(void **state)
{
	static struct made m[SIGHT_VMS_MAX + 1];
	json_t *j = json_pack("{s:s, s:[]}", "witness", "w1", "vms");
	json_t *one = made_json("w1", m, 1);
	struct sight *s;
	char err[256];

	(void)state;
	for (int i = 0; i <= SIGHT_VMS_MAX; i++) {
		json_t *v = json_deep_copy(
			json_array_get(json_object_get(one, "vms"), 0));
		char name[16];

		snprintf(name, sizeof(name), "vm%d", i);
		json_object_set_new(v, "vm", json_string(name));
		if (i == SIGHT_VMS_MAX) {
			assert_int_equal(sight_from_json(&s, "w1", j, err,
							 sizeof(err)), 0);
			assert_int_equal(s->vms, SIGHT_VMS_MAX);
			sight_free(s);
		}
		json_array_append_new(json_object_get(j, "vms"), v);
	}
	assert_int_equal(sight_from_json(&s, "w1", j, err, sizeof(err)),
			 -EBADMSG);
	json_decref(j);
	json_decref(one);
	/* One machine, twice: which of them holds? */
	j = made_json("w1", m, 2);
	assert_int_equal(sight_from_json(&s, "w1", j, err, sizeof(err)),
			 -EBADMSG);
	json_decref(j);
}

/* What a witness says goes to a terminal. */
static void control_characters(void **state)
{
	json_t *j = made_json("w1", &(struct made){ .seen_on = "" }, 1);
	json_t *v = json_array_get(json_object_get(j, "vms"), 0);
	char err[256], why[TICKET_WHY_MAX];
	struct sight *s;

	(void)state;
	json_object_set_new(v, "why", json_string("a\x1b[2J\nb"));
	assert_int_equal(sight_from_json(&s, "w1", j, err, sizeof(err)), 0);
	assert_true(sight_seen_on(sight_find(s, "web"), "alpha", why));
	assert_string_equal(why, "a?[2J?b");
	sight_free(s);
	json_decref(j);
}

/* ---- of a node ---- */

static void clear_of_alpha(void **state)
{
	static const struct {
		struct made m;
		bool clear, seen;
	} rows[] = {
		{ { .state = "alone", .holder = "beta" }, true, false },
		{ { .state = "none", .holder = "" }, true, false },
		{ { .state = NULL }, false, false },
		{ { .state = "protected", .holder = "beta",
		    .backup = "alpha" }, false, false },
		{ { .state = "alone", .holder = "alpha" }, false, false },
		{ { .state = "none", .holder = "", .leased_to = "alpha" },
		  false, false },
		{ { .state = "none", .holder = "", .leased_to = "*" }, false,
		  false },
		{ { .state = "none", .holder = "", .leased_to = "beta" },
		  true, false },
		{ { .state = "none", .holder = "", .looking_ms = 1249 },
		  false, false },
		{ { .state = "none", .holder = "", .looking_ms = 1250 }, true,
		  false },
		{ { .state = "none", .holder = "", .seen_on = "alpha" },
		  false, true },
		{ { .state = "none", .holder = "", .seen_on = "" }, false,
		  true },
		{ { .state = "none", .holder = "", .seen_on = "beta" }, true,
		  false },
		{ { .state = "none", .holder = "", .alpha = SERVES }, false,
		  true },
		/* Whom it sees first is not all that there is. */
		{ { .state = "none", .holder = "", .seen_on = "beta",
		    .alpha = SERVES }, false, true },
		{ { .state = "none", .holder = "", .alpha = STANDS_BY },
		  false, false },
		{ { .state = "none", .holder = "",
		    .alpha = "\"age_ms\":5001,\"role\":\"backup\",\"state\":"
			     "\"\",\"generation\":3,\"serving\":true" }, true,
		  false },
		{ { .state = "none", .holder = "",
		    .alpha = "\"age_ms\":4999,\"role\":\"backup\",\"state\":"
			     "\"\",\"generation\":3,\"serving\":true" }, false,
		  false },
	};
	char why[TICKET_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sight *s = made_sight("w1", &rows[i].m, 1);

		print_message("row %zu\n", i);
		assert_int_equal(sight_clear_of(&s->vm[0], "alpha", why),
				 rows[i].clear);
		assert_int_equal(sight_seen_on(&s->vm[0], "alpha", why),
				 rows[i].seen);
		sight_free(s);
	}
}

static void named(void **state)
{
	struct made m = { .state = "none", .holder = "" };
	struct sight *s = made_sight("w1", &m, 1);

	(void)state;
	assert_true(sight_names(&s->vm[0], "alpha"));
	assert_true(sight_names(&s->vm[0], "beta"));
	assert_false(sight_names(&s->vm[0], "gamma"));
	assert_false(sight_names(&s->vm[0], "alph"));
	sight_free(s);
}

/* ---- status, list ---- */

static enum view_power power(const struct made *const m[3], const char *node)
{
	struct fence_view v = { .witness = witness, .witnesses = 3 };
	struct sight *s[3] = { NULL };
	char text[4096];
	enum view_power p;

	for (int i = 0; i < 3; i++) {
		if (m[i] != NULL)
			s[i] = made_sight(witness[i].name, m[i], 1);
		v.sight[i] = s[i];
		v.why[i] = "off";
	}
	p = fence_view_power(&v, node, text, sizeof(text));
	for (int i = 0; i < 3; i++)
		sight_free(s[i]);
	return p;
}

static void status_of_alpha(void **state)
{
	static const struct made off = { .state = "alone", .holder = "beta" };
	static const struct made old = { .ballot = 5, .leased_to = "alpha" };
	static const struct made on = { .alpha = SERVES };
	static const struct made else_where = { .vm = "db",
						.nodes = "[\"c\",\"d\"]",
						.state = "none",
						.holder = "" };
	const struct {
		const struct made *m[3];
		enum view_power p;
	} rows[] = {
		{ { &off, &off, &off }, VIEW_OFF },
		{ { &off, &off, NULL }, VIEW_OFF },
		{ { &off, &old, &off }, VIEW_OFF },
		{ { &off, &on, &off }, VIEW_OFF },
		{ { &off, &on, NULL }, VIEW_ON },
		{ { &on, &on, &on }, VIEW_ON },
		{ { &off, &on, &on }, VIEW_ON },
		{ { &off, NULL, NULL }, VIEW_UNKNOWN },
		{ { NULL, NULL, NULL }, VIEW_UNKNOWN },
		{ { &else_where, &else_where, &else_where }, VIEW_UNKNOWN },
		{ { &off, &else_where, &else_where }, VIEW_UNKNOWN },
		{ { &off, &else_where, NULL }, VIEW_ON },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("row %zu\n", i);
		assert_int_equal(power(rows[i].m, "alpha"), rows[i].p);
	}
}

static void nodes_of_a_majority(void **state)
{
	static const struct made both[2] = {
		{ .vm = "web" },
		{ .vm = "db", .nodes = "[\"gamma\",\"alpha\"]" },
	};
	static const struct made extra = { .vm = "x",
					   .nodes = "[\"x1\",\"x2\"]" };
	struct fence_view v = { .witness = witness, .witnesses = 3 };
	const char *node[VIEW_NODES_MAX];
	struct sight *a = made_sight("w1", both, 2),
		     *b = made_sight("w2", both, 2),
		     *c = made_sight("w3", &extra, 1);

	(void)state;
	v.sight[0] = a;
	v.sight[1] = b;
	v.sight[2] = c;
	assert_int_equal(fence_view_nodes(&v, node), 3);
	assert_string_equal(node[0], "alpha");
	assert_string_equal(node[1], "beta");
	assert_string_equal(node[2], "gamma");
	sight_free(a);
	sight_free(b);
	sight_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all),
		cmocka_unit_test(refuses_wrong_members),
		cmocka_unit_test(refuses_too_many),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(clear_of_alpha),
		cmocka_unit_test(named),
		cmocka_unit_test(status_of_alpha),
		cmocka_unit_test(nodes_of_a_majority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
