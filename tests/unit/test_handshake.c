/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_handshake.c - the table of remus-protocol(7), "HELLO IN DETAIL", and
 * what must hold for any two HELLOs that meet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "handshake.h"
#include "ticket.h"
#include "util.h"

enum { P = WIRE_ROLE_PRIMARY, B = WIRE_ROLE_BACKUP };
enum { NONE = WIRE_TICKET_NONE, PROT = WIRE_TICKET_PROTECTED,
       ALONE = WIRE_TICKET_ALONE };

static struct wire_hello hello(const char *node, int role, uint64_t generation,
			       int ticket)
{
	struct wire_hello h = {
		.version_min = 1, .version_max = 1, .role = (uint8_t)role,
		.ticket_state = (uint8_t)ticket, .page_bytes = 4096,
		.npages = 1000, .generation = generation,
	};

	strcpy(h.vm, "vm");
	strcpy(h.node, node);
	memset(h.fingerprint, 7, sizeof(h.fingerprint));
	return h;
}

/* The verdict on `remote`, and that a refusal can be sent as it is. */
static enum handshake_verdict judge(const struct wire_hello *local,
				    const struct wire_hello *remote,
				    struct wire_refuse *r)
{
	const char *peer = strcmp(local->node, "a") == 0 ? "b" : "a";
	uint8_t frame[WIRE_SMALL_MAX];
	struct wire_refuse got;
	enum handshake_verdict v;
	size_t n;

	memset(r, 0, sizeof(*r));
	v = handshake_judge(local, remote, peer, r);
	if (v == HANDSHAKE_OK)
		return v;
	assert_true(r->code > 0 && r->text[0] != '\0');
	assert_int_equal(r->generation, local->generation);
	n = wire_put_refuse(frame, r);
	assert_int_equal(wire_get_refuse(frame + WIRE_HEADER_BYTES,
					 n - WIRE_HEADER_BYTES, &got), 0);
	assert_string_equal(got.text, r->text);
	return v;
}

static void refused(const struct wire_hello *local,
		    const struct wire_hello *remote, unsigned int code)
{
	struct wire_refuse r;

	assert_int_equal(judge(local, remote, &r), HANDSHAKE_REFUSE);
	assert_string_equal(wire_refusal_to_str(r.code),
			    wire_refusal_to_str(code));
}

static void a_primary_and_its_backup_agree(void **state)
{
	struct wire_hello a = hello("a", P, 3, ALONE);
	struct wire_hello b = hello("b", B, 0, NONE);
	struct wire_refuse r;

	(void)state;
	assert_int_equal(judge(&a, &b, &r), HANDSHAKE_OK);
	assert_int_equal(judge(&b, &a, &r), HANDSHAKE_OK);
}

static void versions_must_overlap(void **state)
{
	struct wire_hello a = hello("a", P, 3, ALONE);
	struct wire_hello b = hello("b", B, 3, ALONE);
	struct wire_refuse r;

	(void)state;
	a.version_min = 3;
	a.version_max = 5;
	for (uint16_t lo = 1; lo <= 7; lo++)
		for (uint16_t hi = lo; hi <= 7; hi++) {
			b.version_min = lo;
			b.version_max = hi;
			if (hi >= 3 && lo <= 5) {
				assert_int_equal(judge(&a, &b, &r), 0);
				assert_int_equal(judge(&b, &a, &r), 0);
			} else {
				refused(&a, &b, WIRE_REFUSE_VERSION);
				refused(&b, &a, WIRE_REFUSE_VERSION);
			}
		}
}

/* Break what row i of the table is about, and everything below it. */
static void break_from(struct wire_hello *h, int row)
{
	switch (row) {
	case 0: h->version_min = h->version_max = 9; /* fall through */
	case 1: strcpy(h->vm, "other"); /* fall through */
	case 2: h->npages = 999; /* fall through */
	case 3: strcpy(h->node, "c"); /* fall through */
	default: h->role = P;
	}
}

static void the_first_code_that_applies_is_told(void **state)
{
	static const unsigned int codes[] = {
		WIRE_REFUSE_VERSION, WIRE_REFUSE_VM, WIRE_REFUSE_GEOMETRY,
		WIRE_REFUSE_ROLE, WIRE_REFUSE_SUPERSEDED,
	};
	struct wire_hello local = hello("a", P, 5, ALONE);

	(void)state;
	for (int row = 0; row < (int)ARRAY_LEN(codes); row++) {
		struct wire_hello remote = hello("b", B, 4, ALONE);

		break_from(&remote, row);
		refused(&local, &remote, codes[row]);
	}
}

static void geometry_is_pages_size_and_fingerprint(void **state)
{
	struct wire_hello a = hello("a", P, 3, ALONE), b;

	(void)state;
	b = hello("b", B, 3, ALONE);
	b.npages++;
	refused(&a, &b, WIRE_REFUSE_GEOMETRY);
	refused(&b, &a, WIRE_REFUSE_GEOMETRY);
	b = hello("b", B, 3, ALONE);
	b.page_bytes = 8192;
	refused(&a, &b, WIRE_REFUSE_GEOMETRY);
	refused(&b, &a, WIRE_REFUSE_GEOMETRY);
	for (size_t i = 0; i < sizeof(b.fingerprint); i++) {
		b = hello("b", B, 3, ALONE);
		b.fingerprint[i] ^= 0x80;
		refused(&a, &b, WIRE_REFUSE_GEOMETRY);
		refused(&b, &a, WIRE_REFUSE_GEOMETRY);
	}
}

static void only_the_peer_is_the_peer(void **state)
{
	struct wire_hello a = hello("a", P, 3, ALONE);
	struct wire_hello self = hello("a", B, 3, ALONE);
	struct wire_hello third = hello("c", B, 3, ALONE);

	(void)state;
	refused(&a, &self, WIRE_REFUSE_ROLE);
	refused(&self, &a, WIRE_REFUSE_ROLE);
	refused(&a, &third, WIRE_REFUSE_ROLE);
	/* However new the ticket of a stranger: nobody steps down for it. */
	third = hello("c", P, 99, ALONE);
	refused(&a, &third, WIRE_REFUSE_ROLE);
}

/* Verdicts on remote (role, generation, ticket) by local ones. */
static const struct {
	int role, generation, ticket;
	int remote_role, remote_generation, remote_ticket;
	enum handshake_verdict verdict;
	unsigned int code;
} rows[] = {
	/* two primaries: the newer ticket is right, in both directions */
	{ P, 5, ALONE, P, 4, ALONE, HANDSHAKE_REFUSE, WIRE_REFUSE_SUPERSEDED },
	{ P, 4, ALONE, P, 5, ALONE, HANDSHAKE_STEP_DOWN, WIRE_REFUSE_ROLE },
	{ P, 5, ALONE, P, 5, PROT, HANDSHAKE_REFUSE, WIRE_REFUSE_SUPERSEDED },
	{ P, 5, PROT, P, 5, ALONE, HANDSHAKE_STEP_DOWN, WIRE_REFUSE_ROLE },
	{ P, 5, PROT, P, 4, ALONE, HANDSHAKE_REFUSE, WIRE_REFUSE_SUPERSEDED },
	/* of the same age: nobody is right, so nobody is ended */
	{ P, 5, ALONE, P, 5, ALONE, HANDSHAKE_REFUSE, WIRE_REFUSE_ROLE },
	{ P, 5, PROT, P, 5, PROT, HANDSHAKE_REFUSE, WIRE_REFUSE_ROLE },
	/* two backups */
	{ B, 5, PROT, B, 5, PROT, HANDSHAKE_REFUSE, WIRE_REFUSE_ROLE },
	{ B, 5, PROT, B, 6, ALONE, HANDSHAKE_REFUSE, WIRE_REFUSE_ROLE },
	/* a backup that knows as much, or less */
	{ B, 5, PROT, P, 5, PROT, HANDSHAKE_OK, 0 },
	{ B, 5, PROT, P, 5, ALONE, HANDSHAKE_OK, 0 },
	{ B, 5, ALONE, P, 5, ALONE, HANDSHAKE_OK, 0 },
	{ B, 4, ALONE, P, 5, PROT, HANDSHAKE_OK, 0 },
	{ B, 0, NONE, P, 1, ALONE, HANDSHAKE_OK, 0 },
	{ P, 5, PROT, B, 5, PROT, HANDSHAKE_OK, 0 },
	{ P, 5, ALONE, B, 5, PROT, HANDSHAKE_OK, 0 },
	{ P, 1, ALONE, B, 0, NONE, HANDSHAKE_OK, 0 },
	/* a backup that took over meanwhile, or knows who did */
	{ B, 5, ALONE, P, 5, PROT, HANDSHAKE_REFUSE, WIRE_REFUSE_STALE },
	{ B, 6, PROT, P, 5, ALONE, HANDSHAKE_REFUSE, WIRE_REFUSE_STALE },
	{ P, 5, PROT, B, 5, ALONE, HANDSHAKE_STEP_DOWN, WIRE_REFUSE_ROLE },
	{ P, 5, ALONE, B, 6, PROT, HANDSHAKE_STEP_DOWN, WIRE_REFUSE_ROLE },
	/* ... and has ended the guest since */
	{ B, 5, NONE, P, 5, PROT, HANDSHAKE_REFUSE, WIRE_REFUSE_STALE },
	{ B, 7, NONE, P, 5, PROT, HANDSHAKE_REFUSE, WIRE_REFUSE_STALE },
	{ P, 5, PROT, B, 5, NONE, HANDSHAKE_STEP_DOWN, WIRE_REFUSE_ROLE },
	/* nothing runs there, and what runs here never had a backup */
	{ B, 5, NONE, P, 5, ALONE, HANDSHAKE_OK, 0 },
	{ B, 7, NONE, P, 5, ALONE, HANDSHAKE_REFUSE, WIRE_REFUSE_BUSY },
	{ P, 5, ALONE, B, 5, NONE, HANDSHAKE_OK, 0 },
};

static void roles_and_tickets_are_judged_as_in_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_hello l = hello("a", rows[i].role,
					    (uint64_t)rows[i].generation,
					    rows[i].ticket);
		struct wire_hello r = hello(
			"b", rows[i].remote_role,
			(uint64_t)rows[i].remote_generation,
			rows[i].remote_ticket);
		struct wire_refuse refuse;
		enum handshake_verdict v = judge(&l, &r, &refuse);

		if (v != rows[i].verdict || refuse.code != rows[i].code)
			fail_msg("row %zu: verdict %d, code %s", i, (int)v,
				 wire_refusal_to_str(refuse.code));
	}
}

/* What side x does after it judged y and y judged it: does its guest end? */
static bool ends(const struct wire_hello *x, enum handshake_verdict own,
		 enum handshake_verdict others, const struct wire_refuse *r)
{
	if (x->role != P)
		return false;
	return own == HANDSHAKE_STEP_DOWN ||
	       (others != HANDSHAKE_OK && handshake_refusal_is_final(r, x));
}

static void any_two(const struct wire_hello *a, const struct wire_hello *b)
{
	struct wire_refuse ra, rb;
	enum handshake_verdict va = judge(a, b, &ra), vb = judge(b, a, &rb);
	bool a_ends = ends(a, va, vb, &rb), b_ends = ends(b, vb, va, &ra);
	int cmp = ticket_cmp(
		&(struct ticket){ .generation = a->generation,
				  .state = (enum ticket_state)a->ticket_state },
		&(struct ticket){
			.generation = b->generation,
			.state = (enum ticket_state)b->ticket_state });

	/* Only a primary steps down, and only for a newer ticket. */
	assert_true(va != HANDSHAKE_STEP_DOWN || (a->role == P && cmp < 0));
	assert_false(a_ends && cmp >= 0);
	assert_false(b_ends && cmp <= 0);
	assert_false(a_ends && b_ends);
	/* Two of a kind never work together. */
	if (a->role == b->role)
		assert_true(va != HANDSHAKE_OK && vb != HANDSHAKE_OK);
	/* Two primaries under different tickets: the old one ends, whichever
	 * of the two HELLOs arrives. */
	if (a->role == P && b->role == P && cmp != 0) {
		assert_true(cmp < 0 ? a_ends : b_ends);
		assert_int_equal(cmp < 0 ? va : vb, HANDSHAKE_STEP_DOWN);
	}
	/* A primary goes on with a backup only if that knows nothing newer. */
	if (a->role == P && b->role == B && va == HANDSHAKE_OK)
		assert_true(cmp >= 0);
	/* Who ends a primary's guest by its HELLO would have refused it too. */
	if (va == HANDSHAKE_STEP_DOWN)
		assert_true(vb != HANDSHAKE_OK);
}

static void nobody_steps_down_for_an_older_ticket_nor_both(void **state)
{
	(void)state;
	for (int ra = P; ra <= B; ra++)
	for (int rb = P; rb <= B; rb++)
	for (uint64_t ga = 0; ga <= 3; ga++)
	for (uint64_t gb = 0; gb <= 3; gb++)
	for (int ta = NONE; ta <= ALONE; ta++)
	for (int tb = NONE; tb <= ALONE; tb++) {
		struct wire_hello a = hello("a", ra, ga, ta);
		struct wire_hello b = hello("b", rb, gb, tb);

		any_two(&a, &b);
	}
}

static void only_superseded_and_stale_are_final_and_not_by_the_old(void **state)
{
	struct wire_hello local = hello("a", P, 5, PROT);

	(void)state;
	for (unsigned int code = 0; code <= 20; code++)
		for (uint64_t g = 3; g <= 7; g++) {
			struct wire_refuse r = { .code = (uint16_t)code,
						 .generation = g };
			bool names_newer = code == WIRE_REFUSE_SUPERSEDED ||
					   code == WIRE_REFUSE_STALE;

			assert_int_equal(
				handshake_refusal_is_final(&r, &local) != 0,
				names_newer && g >= 5);
		}
}

static void names_of_full_length_make_no_torn_text(void **state)
{
	struct wire_hello a = hello("a", P, UINT64_MAX, ALONE);
	struct wire_hello b = hello("b", P, UINT64_MAX, ALONE);
	struct wire_refuse r;

	(void)state;
	memset(a.node, 'a', WIRE_NAME_MAX);
	memset(b.node, 'b', WIRE_NAME_MAX);
	memset(a.vm, 'v', WIRE_NAME_MAX);
	memset(b.vm, 'v', WIRE_NAME_MAX);
	assert_int_equal(handshake_judge(&a, &b, b.node, &r),
			 HANDSHAKE_REFUSE);
	assert_true(strlen(r.text) <= WIRE_TEXT_MAX);
	assert_non_null(strstr(r.text, b.node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_primary_and_its_backup_agree),
		cmocka_unit_test(versions_must_overlap),
		cmocka_unit_test(the_first_code_that_applies_is_told),
		cmocka_unit_test(geometry_is_pages_size_and_fingerprint),
		cmocka_unit_test(only_the_peer_is_the_peer),
		cmocka_unit_test(roles_and_tickets_are_judged_as_in_the_table),
		cmocka_unit_test(nobody_steps_down_for_an_older_ticket_nor_both),
		cmocka_unit_test(
			only_superseded_and_stale_are_final_and_not_by_the_old),
		cmocka_unit_test(names_of_full_length_make_no_torn_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
