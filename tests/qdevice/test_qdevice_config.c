/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What corosync.conf may say of the quorum device (fence/qdevice_config.h), and
 * the status that is shown (fence/qdevice_status.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qdevice_config.h"
#include "qdevice_status.h"

static struct qdevice_config cfg;
static char err[512];

static int set(const char *key, const char *value)
{
	err[0] = '\0';
	return qdevice_config_set(&cfg, key, value, err, sizeof(err));
}

static int finish(void)
{
	err[0] = '\0';
	return qdevice_config_finish(&cfg, err, sizeof(err));
}

/* As pcs and corosync leave it. */
static void ordinary(void)
{
	qdevice_config_init(&cfg);
	strcpy(cfg.node, "alpha");
	strcpy(cfg.cluster, "lab");
	cfg.nodeid = 1;
	cfg.timing.vote_timeout_ms = 3000;
	cfg.sync_timeout_ms = 20000;
	assert_int_equal(set("witnesses", "w1=http://192.0.2.1:7071 "
					  "w2=http://192.0.2.2:7071 "
					  "w3=https://w3.example:7071"),
			 0);
}

static void defaults_follow_from_corosync(void **state)
{
	(void)state;
	ordinary();
	assert_int_equal(finish(), 0);
	assert_int_equal(cfg.witnesses, 3);
	assert_string_equal(cfg.witness[2].name, "w3");
	assert_string_equal(cfg.witness[2].url, "https://w3.example:7071");
	assert_int_equal(cfg.timing.lease_ms, 6000);
	assert_int_equal(cfg.timing.interval_ms, 600);
	assert_int_equal(cfg.timing.bid_ms, 2000);
	assert_int_equal(cfg.timing.ring_wait_ms, 5000);
	assert_string_equal(cfg.ca_file, "");
	assert_non_null(strstr(cfg.key_file, "/witness.key"));
}

static void a_short_sync_timeout_shortens_ring_wait(void **state)
{
	(void)state;
	ordinary();
	cfg.sync_timeout_ms = 6000;
	assert_int_equal(finish(), 0);
	assert_int_equal(cfg.timing.ring_wait_ms, 3000);
}

static void every_key_is_taken(void **state)
{
	(void)state;
	ordinary();
	assert_int_equal(set("witness_w4", "http://[2001:db8::4]:7071"), 0);
	assert_int_equal(set("key_file", "/etc/remus/other.key"), 0);
	assert_int_equal(set("ca_file", "/etc/remus/ca.pem"), 0);
	assert_int_equal(set("node", "alpha.example"), 0);
	assert_int_equal(set("cluster", "c1"), 0);
	assert_int_equal(set("request_timeout", "300"), 0);
	assert_int_equal(set("lease", "8s"), 0);
	assert_int_equal(set("interval", "500"), 0);
	assert_int_equal(set("ring_wait", "4000ms"), 0);
	assert_int_equal(finish(), 0);
	assert_int_equal(cfg.witnesses, 4);
	assert_int_equal(cfg.timing.lease_ms, 8000);
	assert_int_equal(cfg.timing.interval_ms, 500);
	assert_int_equal(cfg.timing.bid_ms, 600);
	assert_int_equal(cfg.timing.ring_wait_ms, 4000);
}

static void an_unknown_key_is_told_apart(void **state)
{
	(void)state;
	ordinary();
	assert_int_equal(set("heuristics", "on"), -ENOENT);
	assert_int_equal(finish(), 0);
}

static void bad_values_are_named(void **state)
{
	static const char *const bad[][2] = {
		{ "witnesses", "w9" },
		{ "witnesses", "w9=" },
		{ "witnesses", "w9=ftp://192.0.2.9:7071" },
		{ "witnesses", "=http://192.0.2.9:7071" },
		{ "witnesses", "w1=http://192.0.2.9:7071" },
		{ "witnesses", "w9=http://192.0.2.1:7071" },
		{ "witness_", "http://192.0.2.9:7071" },
		{ "key_file", "witness.key" },
		{ "ca_file", "" },
		{ "node", "a b" },
		{ "cluster", "" },
		{ "request_timeout", "1" },
		{ "lease", "forever" },
		{ "interval", "-1" },
		{ "ring_wait", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ordinary();
		assert_int_equal(set(bad[i][0], bad[i][1]), -EINVAL);
		assert_string_not_equal(err, "");
	}
}

static void more_witnesses_than_there_is_room_for(void **state)
{
	char key[32], url[64];
	int rc = 0, n;

	(void)state;
	ordinary();
	for (n = 4; n <= WITNESSES_MAX + 1; n++) {
		snprintf(key, sizeof(key), "witness_w%d", n);
		snprintf(url, sizeof(url), "http://192.0.2.%d:7071", n);
		rc = set(key, url);
		assert_int_equal(rc, n <= WITNESSES_MAX ? 0 : -EINVAL);
	}
	assert_int_equal(cfg.witnesses, WITNESSES_MAX);
}

static void without_witnesses_there_is_no_device(void **state)
{
	(void)state;
	ordinary();
	cfg.witnesses = 0;
	assert_int_equal(finish(), -EINVAL);
	assert_non_null(strstr(err, "witnesses="));
}

static void names_the_witnesses_cannot_know_are_refused(void **state)
{
	(void)state;
	ordinary();
	strcpy(cfg.cluster, "my cluster");
	assert_int_equal(finish(), -EINVAL);
	assert_non_null(strstr(err, "cluster=NAME"));
	ordinary();
	cfg.node[0] = '\0';
	assert_int_equal(finish(), -EINVAL);
	assert_non_null(strstr(err, "node=NAME"));
}

static void a_lease_within_the_votes_time_is_refused(void **state)
{
	(void)state;
	ordinary();
	assert_int_equal(set("lease", "3000"), 0);
	assert_int_equal(finish(), -EINVAL);
	assert_non_null(strstr(err, "quorum.device.timeout"));
}

/* ---- the status ---- */

static char *printed(const json_t *status)
{
	size_t bytes;
	char *text;
	FILE *to = open_memstream(&text, &bytes);

	assert_int_equal(qdevice_status_print(status, to), 0);
	fclose(to);
	return text;
}

static json_t *status_of(struct qdevice_core *core, uint64_t now)
{
	json_t *s = qdevice_status_json(core, &cfg, now);

	assert_non_null(s);
	return s;
}

static void the_status_shows_each_witness(void **state)
{
	struct qdevice_answer yes = { .granted = true, .lease_ms = 2000 },
			      no = { .why = "beta has it", .wait_ms = 900 };
	struct qdevice_ring ring = { .nodeid = 1, .seq = 0x40,
				     .members = { 2, { 1, 2 } } };
	static struct qdevice_core core;
	char *text;
	json_t *s;

	(void)state;
	ordinary();
	assert_int_equal(finish(), 0);
	qdevice_core_init(&core, &cfg.timing, cfg.witnesses, 1);
	s = status_of(&core, 1000);
	text = printed(s);
	assert_non_null(strstr(text, "no membership yet"));
	assert_non_null(strstr(text, "vote: waiting"));
	free(text);
	json_decref(s);
	qdevice_core_ring(&core, &ring, 1000);
	while (qdevice_core_next(&core, 1000).what == QDEVICE_ASK)
		;
	qdevice_core_answer(&core, 0, core.witness[0].id, &yes, 1100);
	qdevice_core_answer(&core, 1, core.witness[1].id, &no, 1100);
	qdevice_core_polled(&core, false, true, 1200);
	s = status_of(&core, 1300);
	text = printed(s);
	assert_non_null(strstr(text, "node alpha (1) of cluster lab"));
	assert_non_null(strstr(text, "ring 1.40, members 1,2"));
	assert_non_null(strstr(text, "vote: no; majority: 2 of 3"));
	assert_non_null(strstr(text, "granted (bid)     0.2 s     1.7 s"));
	assert_non_null(strstr(text, "beta has it"));
	assert_non_null(strstr(text, "not-asked             -         -"));
	free(text);
	json_decref(s);
}

static void what_is_no_status_is_not_printed(void **state)
{
	json_t *o = json_object();

	(void)state;
	assert_int_equal(qdevice_status_print(o, stdout), -EBADMSG);
	json_decref(o);
}

static void the_log_says_that_leases_are_cut(void **state)
{
	struct qdevice_answer yes = { .granted = true, .lease_ms = 2500 };
	struct qdevice_ring ring = { .nodeid = 1, .seq = 40,
				     .members = { 1, { 1 } } };
	static struct qdevice_core core;
	char line[512];

	(void)state;
	ordinary();
	cfg.witnesses = 1;
	assert_int_equal(finish(), 0);
	qdevice_core_init(&core, &cfg.timing, cfg.witnesses, 1);
	qdevice_core_ring(&core, &ring, 1000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(qdevice_core_next(&core, 1000).what,
				 QDEVICE_ASK);
		qdevice_core_answer(&core, 0, core.witness[0].id, &yes, 1000);
	}
	qdevice_status_line(&core, &cfg, 1000, line, sizeof(line));
	assert_non_null(strstr(line, "1 of 1 witnesses granted"));
	assert_non_null(strstr(line, "vote_lease_max"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_follow_from_corosync),
		cmocka_unit_test(a_short_sync_timeout_shortens_ring_wait),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(an_unknown_key_is_told_apart),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(more_witnesses_than_there_is_room_for),
		cmocka_unit_test(without_witnesses_there_is_no_device),
		cmocka_unit_test(names_the_witnesses_cannot_know_are_refused),
		cmocka_unit_test(a_lease_within_the_votes_time_is_refused),
		cmocka_unit_test(the_status_shows_each_witness),
		cmocka_unit_test(what_is_no_status_is_not_printed),
		cmocka_unit_test(the_log_says_that_leases_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
