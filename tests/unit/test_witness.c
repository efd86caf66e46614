/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness.c - requests and answers of a witness, without a network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../fence/witness.h"
#include "../../fence/witness_nonce.h"
#include "witness_client.h"
#include "witness_message.h"

#define WALL 1700000000000u

static struct witness_config c;
static struct witness *w;
static struct witness_now now;
static struct witness_reply reply;
static int disk_rc, saves;
static struct ticket_acceptor on_disk;

static int load(void *ctx, const char *vm, struct ticket_acceptor *a,
		char *err, size_t err_bytes)
{
	(void)ctx;
	(void)err;
	(void)err_bytes;
	assert_string_equal(vm, "web");
	*a = on_disk;
	return 0;
}

static int save(void *ctx, const char *vm, const struct ticket_acceptor *a,
		char *err, size_t err_bytes)
{
	(void)ctx;
	assert_string_equal(vm, "web");
	if (disk_rc < 0) {
		snprintf(err, err_bytes, "no space");
		return disk_rc;
	}
	saves++;
	on_disk = *a;
	return 0;
}

static void start(void)
{
	static const struct witness_disk disk = { load, save, NULL };
	char err[256];

	assert_int_equal(witness_new(&w, &c, &disk, now, err, sizeof(err)), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	memset(&on_disk, 0, sizeof(on_disk));
	strcpy(c.name, "w1");
	c.nodes = 3;
	strcpy(c.node[0].name, "alpha");
	c.node[0].id = 1;
	strcpy(c.node[1].name, "beta");
	c.node[1].id = 2;
	strcpy(c.node[2].name, "gamma");
	c.vms = 1;
	strcpy(c.vm[0].name, "web");
	c.vm[0].node[1] = 1;
	c.lease_max_ms = 10000;
	c.vote_lease_max_ms = 10000;
	c.time_window_ms = 30000;
	c.probe_interval_ms = 250;
	c.probe_timeout_ms = 1000;
	memset(c.key.bytes, 7, 32);
	c.key.count = 32;
	disk_rc = saves = 0;
	now = (struct witness_now){ 500000, WALL };
	start();
	now.boot_ms += 20000;
	now.wall_ms += 20000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(reply.body);
	memset(&reply, 0, sizeof(reply));
	witness_free(w);
	return 0;
}

static unsigned int head(const struct witness_auth *a, const char *path)
{
	char header[WITNESS_AUTH_MAX];
	struct witness_auth read_back;
	const char *why;

	witness_auth_to_header(a, header);
	return witness_head(w, "POST", path, 10, header, now, &read_back,
			    &why);
}

static struct witness_auth sign(const char *node, const char *path,
				const char *body)
{
	struct witness_auth a;

	assert_int_equal(witness_auth_new(&a, node, "w1"), 0);
	a.time_ms = now.wall_ms;
	assert_int_equal(witness_auth_sign(&a, &c.key, "POST", path, body,
					   strlen(body)),
			 0);
	return a;
}

static unsigned int post(const struct witness_auth *a, const char *path,
			 const char *body)
{
	free(reply.body);
	assert_int_equal(head(a, path), 0);
	witness_request(w, path, a, body, strlen(body), now, &reply);
	assert_non_null(reply.body);
	return reply.status;
}

/* Whole: signed, sent, the answer's signature looked at. */
static unsigned int ask(const char *node, const char *path, const char *body)
{
	struct witness_auth a = sign(node, path, body);
	unsigned int status = post(&a, path, body);

	assert_int_equal(witness_auth_check_answer(&a, &c.key, status,
						   reply.body,
						   strlen(reply.body),
						   reply.auth),
			 0);
	return status;
}

static struct ticket_answer ask_ticket(const char *node,
				       const struct ticket_message *m)
{
	json_t *j = ticket_message_to_json(m);
	char *text = json_dumps(j, 0), err[256] = "";
	struct ticket_answer a;

	json_decref(j);
	assert_int_equal(ask(node, "/v1/ticket", text), 200);
	free(text);
	j = witness_json_parse(reply.body, strlen(reply.body), err,
			       sizeof(err));
	assert_int_equal(ticket_answer_from_json(&a, j, err, sizeof(err)), 0);
	json_decref(j);
	return a;
}

static struct ticket_message prepare(uint64_t n, enum ticket_purpose p,
				     const char *from)
{
	struct ticket_message m = { .question = TICKET_PREPARE,
				    .ballot = { n, 77 }, .purpose = p };

	strcpy(m.vm, "web");
	strcpy(m.from, from);
	return m;
}

static struct ticket_message accept_alone(uint64_t n, enum ticket_purpose p,
					  const char *who)
{
	struct ticket_message m = prepare(n, p, who);

	m.question = TICKET_ACCEPT;
	m.value = (struct ticket){ .generation = 1, .state = TICKET_ALONE };
	strcpy(m.value.holder, who);
	m.lease_ms = 2000;
	return m;
}

static void the_head_is_judged_before_the_body(void **state)
{
	struct witness_auth a = sign("alpha", "/v1/alive", "{}"), out;
	char header[WITNESS_AUTH_MAX];
	const char *why = NULL;

	(void)state;
	witness_auth_to_header(&a, header);
#define HEAD(method, path, bytes, h) \
	witness_head(w, method, path, bytes, h, now, &out, &why)
	assert_int_equal(HEAD("POST", "/v1/alive", 2, header), 0);
	assert_int_equal(HEAD("GET", "/v1/alive", 2, header), 405);
	assert_int_equal(HEAD("POST", "/v1/alive/", 2, header), 404);
	assert_int_equal(HEAD("POST", "/v1/alive", -1, header), 411);
	assert_int_equal(HEAD("POST", "/v1/alive", 16385, header), 413);
	assert_int_equal(HEAD("POST", "/v1/alive", 2, NULL), 401);
	assert_int_equal(HEAD("POST", "/v1/alive", 2, "1 x"), 401);
	strcpy(a.node, "delta");
	assert_int_equal(head(&a, "/v1/alive"), 401);
	strcpy(a.node, "alpha");
	strcpy(a.witness, "w2");
	assert_int_equal(head(&a, "/v1/alive"), 403);
	strcpy(a.witness, "w1");
	a.time_ms = now.wall_ms + 30001;
	assert_int_equal(head(&a, "/v1/alive"), 403);
	a.time_ms = now.wall_ms + 30000;
	assert_int_equal(head(&a, "/v1/alive"), 0);
	a.time_ms = WALL - 1; /* before this witness started */
	assert_int_equal(head(&a, "/v1/alive"), 403);
	now.wall_ms += 100000;
	a.time_ms = now.wall_ms - 30001;
	assert_int_equal(head(&a, "/v1/alive"), 403);
}

static void a_wrong_signature_gets_nowhere(void **state)
{
	struct witness_auth a = sign("alpha", "/v1/evidence", "{}");

	(void)state;
	a.mac[0] = a.mac[0] == '0' ? '1' : '0';
	assert_int_equal(post(&a, "/v1/evidence", "{}"), 401);
	assert_string_equal(reply.auth, "");
	a = sign("alpha", "/v1/evidence", "{}");
	assert_int_equal(post(&a, "/v1/evidence", "{ }"), 401);
	/* A refused one has not used up the nonce. */
	assert_int_equal(post(&a, "/v1/evidence", "{}"), 200);
}

static void a_request_is_taken_once(void **state)
{
	struct witness_auth a = sign("alpha", "/v1/evidence", "{}");

	(void)state;
	assert_int_equal(post(&a, "/v1/evidence", "{}"), 200);
	assert_int_equal(post(&a, "/v1/evidence", "{}"), 403);
	assert_non_null(strstr(reply.body, "repeated"));
	now.boot_ms += 29999;
	now.wall_ms += 29999;
	assert_int_equal(post(&a, "/v1/evidence", "{}"), 403);
}

static void a_node_that_floods_is_alone_in_it(void **state)
{
	struct witness_auth a = sign("alpha", "/v1/evidence", "{}");

	(void)state;
	for (int i = 0; i < NONCES_MAX; i++) {
		snprintf(a.nonce, sizeof(a.nonce), "%032x", i * 16381);
		witness_auth_sign(&a, &c.key, "POST", "/v1/alive", "[", 1);
		assert_int_equal(post(&a, "/v1/alive", "["), 400);
	}
	assert_int_equal(ask("alpha", "/v1/evidence", "{}"), 429);
	assert_int_equal(ask("beta", "/v1/evidence", "{}"), 200);
	now.boot_ms += 60001;
	now.wall_ms += 60001;
	assert_int_equal(ask("alpha", "/v1/evidence", "{}"), 200);
}

static void bodies_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "/v1/ticket", "" },
		{ "/v1/ticket", "{" },
		{ "/v1/ticket", "{}" },
		{ "/v1/alive", "{\"vm\":\"web\"}" },
		{ "/v1/alive",
		  "{\"vm\":\"db\",\"role\":\"\",\"state\":\"\",\"generation\""
		  ":1,\"serving\":true,\"ceased\":false}" },
		{ "/v1/alive",
		  "{\"vm\":\"web\",\"role\":\"\",\"state\":\"\",\"generation\""
		  ":1,\"serving\":1,\"ceased\":false}" },
		{ "/v1/vote", "{}" },
		{ "/v1/vote", "{\"cluster\":\"c\",\"nodeid\":1,\"ring\":{"
			      "\"nodeid\":1,\"seq\":1},\"members\":[2,1],"
			      "\"lease_ms\":1000}" },
		{ "/v1/vote", "{\"cluster\":\"c\",\"nodeid\":2,\"ring\":{"
			      "\"nodeid\":1,\"seq\":1},\"members\":[1,2],"
			      "\"lease_ms\":1000}" },
		{ "/v1/vote", "{\"cluster\":\"c\",\"nodeid\":1,\"ring\":{"
			      "\"nodeid\":1,\"seq\":1},\"members\":[1,9],"
			      "\"lease_ms\":1000}" },
		{ "/v1/evidence", "{\"vm\":\"db\"}" },
		{ "/v1/evidence", "{\"vm\":5}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ask("alpha", bad[i][0], bad[i][1]), 400);
		assert_non_null(strstr(reply.body, "{\"error\":\""));
	}
}

static void who_asks_must_be_who_signed_and_of_this_vm(void **state)
{
	struct ticket_message m = prepare(1, TICKET_FOR_BOOT, "alpha");
	json_t *j = ticket_message_to_json(&m);
	char *text = json_dumps(j, 0);

	(void)state;
	assert_int_equal(ask("beta", "/v1/ticket", text), 400);
	free(text);
	json_decref(j);
	m = prepare(1, TICKET_FOR_BOOT, "gamma");
	j = ticket_message_to_json(&m);
	text = json_dumps(j, 0);
	assert_int_equal(ask("gamma", "/v1/ticket", text), 400);
	free(text);
	json_decref(j);
	/* A third node may fence. */
	m = prepare(1, TICKET_FOR_FENCE, "gamma");
	strcpy(m.target, "alpha");
	assert_int_equal(ask_ticket("gamma", &m).reply, TICKET_PROMISE);
}

static void a_promise_is_stored_before_it_is_told(void **state)
{
	struct ticket_message m = prepare(1, TICKET_FOR_BOOT, "alpha");

	(void)state;
	assert_int_equal(ask_ticket("alpha", &m).reply, TICKET_PROMISE);
	assert_int_equal(saves, 1);
	m = accept_alone(1, TICKET_FOR_BOOT, "alpha");
	assert_int_equal(ask_ticket("alpha", &m).reply, TICKET_ACCEPTED);
	assert_int_equal(saves, 2);
	assert_string_equal(on_disk.stored.value.holder, "alpha");
}

static void what_cannot_be_stored_has_not_happened(void **state)
{
	struct ticket_message m = prepare(5, TICKET_FOR_BOOT, "alpha");
	json_t *j = ticket_message_to_json(&m);
	char *text = json_dumps(j, 0);
	struct ticket_message other = prepare(4, TICKET_FOR_BOOT, "beta");

	(void)state;
	disk_rc = -ENOSPC;
	assert_int_equal(ask("alpha", "/v1/ticket", text), 503);
	assert_non_null(strstr(reply.body, "no space"));
	disk_rc = 0;
	/* Ballot 5 was not promised. */
	assert_int_equal(ask_ticket("beta", &other).reply, TICKET_PROMISE);
	assert_int_equal(ask_ticket("alpha", &m).reply, TICKET_PROMISE);
	free(text);
	json_decref(j);
}

static void a_restart_keeps_the_register_and_waits_for_leases(void **state)
{
	struct ticket_message m = prepare(1, TICKET_FOR_BOOT, "alpha");

	(void)state;
	ask_ticket("alpha", &m);
	m = accept_alone(1, TICKET_FOR_BOOT, "alpha");
	ask_ticket("alpha", &m);
	witness_free(w);
	start();
	m = prepare(2, TICKET_FOR_FENCE, "beta");
	strcpy(m.target, "alpha");
	assert_int_equal(ask_ticket("beta", &m).reply, TICKET_REFUSED_SEEN);
	now.boot_ms += 1250;
	assert_int_equal(ask_ticket("beta", &m).reply, TICKET_PROMISE);
	m = accept_alone(2, TICKET_FOR_BOOT, "beta");
	assert_int_equal(ask_ticket("beta", &m).reply, TICKET_REFUSED_LEASE);
	now.boot_ms += 10100;
	assert_int_equal(ask_ticket("beta", &m).reply, TICKET_ACCEPTED);
}

#define SERVES \
	"{\"vm\":\"web\",\"role\":\"primary\",\"state\":\"alone\"," \
	"\"generation\":1,\"serving\":true,\"ceased\":false}"

static void a_report_vetoes_and_shows(void **state)
{
	struct ticket_message m = prepare(1, TICKET_FOR_BOOT, "beta");
	struct ticket_answer a;

	(void)state;
	assert_int_equal(ask("alpha", "/v1/alive", SERVES), 200);
	assert_string_equal(reply.body,
			    "{\"ticket\":{\"generation\":0,\"state\":"
			    "\"none\",\"holder\":\"\",\"backup\":\"\"}}");
	now.boot_ms += 100;
	a = ask_ticket("beta", &m);
	assert_int_equal(a.reply, TICKET_REFUSED_SEEN);
	assert_string_equal(a.why, "alpha's remusd served 100 ms ago");
	assert_int_equal(ask("gamma", "/v1/alive", SERVES), 400);
	assert_int_equal(ask("beta", "/v1/evidence", "{}"), 200);
	assert_non_null(strstr(reply.body, "\"seen_on\":\"alpha\""));
}

static bool vote(const char *node, const char *id, const char *members)
{
	char body[256];

	snprintf(body, sizeof(body),
		 "{\"cluster\":\"c\",\"nodeid\":%s,\"ring\":{\"nodeid\":1,"
		 "\"seq\":%zu},\"members\":[%s],\"lease_ms\":1000}",
		 id, 9 - strlen(members), members);
	assert_int_equal(ask(node, "/v1/vote", body), 200);
	return strstr(reply.body, "\"granted\":true") != NULL;
}

static void the_part_that_serves_has_the_vote(void **state)
{
	(void)state;
	assert_true(vote("alpha", "1", "1,2"));
	assert_int_equal(ask("alpha", "/v1/alive", SERVES), 200);
	assert_false(vote("beta", "2", "2"));
	assert_non_null(strstr(reply.body, "web is seen on alpha: alpha's"));
	assert_true(vote("alpha", "1", "1"));
}

static void who_could_not_look_has_not_seen(void **state)
{
	struct ticket_message m = prepare(1, TICKET_FOR_BOOT, "beta");

	(void)state;
	witness_tick(w, now.boot_ms);
	witness_tick(w, now.boot_ms += 501);
	assert_int_equal(ask_ticket("beta", &m).reply, TICKET_REFUSED_SEEN);
	for (int i = 0; i < 13; i++)
		witness_tick(w, now.boot_ms += 100);
	assert_int_equal(ask_ticket("beta", &m).reply, TICKET_PROMISE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_head_is_judged_before_the_body),
		T(a_wrong_signature_gets_nowhere),
		T(a_request_is_taken_once),
		T(a_node_that_floods_is_alone_in_it),
		T(bodies_that_make_no_sense_are_refused),
		T(who_asks_must_be_who_signed_and_of_this_vm),
		T(a_promise_is_stored_before_it_is_told),
		T(what_cannot_be_stored_has_not_happened),
		T(a_restart_keeps_the_register_and_waits_for_leases),
		T(a_report_vetoes_and_shows),
		T(the_part_that_serves_has_the_vote),
		T(who_could_not_look_has_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
