/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ticket_move.c - every move of the ticket from every state, as a table,
 * seen from node "a" whose peer is "b".
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arbiter.h"
#include "util.h"

/* A ticket of generation 5: its state and holders as one word. */
enum word { NO = 0, NONE, ALONE_A, ALONE_B, ALONE_C, PROT_AB, PROT_BA, PROT_AC,
	    PROT_CA, WORDS };

static const struct ticket words[WORDS] = {
	[NONE] = { .state = TICKET_NONE },
	[ALONE_A] = { .state = TICKET_ALONE, .holder = "a" },
	[ALONE_B] = { .state = TICKET_ALONE, .holder = "b" },
	[ALONE_C] = { .state = TICKET_ALONE, .holder = "c" },
	[PROT_AB] = { .state = TICKET_PROTECTED, .holder = "a", .backup = "b" },
	[PROT_BA] = { .state = TICKET_PROTECTED, .holder = "b", .backup = "a" },
	[PROT_AC] = { .state = TICKET_PROTECTED, .holder = "a", .backup = "c" },
	[PROT_CA] = { .state = TICKET_PROTECTED, .holder = "c", .backup = "a" },
};

static struct ticket ticket(enum word w, uint64_t generation)
{
	struct ticket t = words[w];

	t.generation = generation;
	return t;
}

struct row {
	enum arbiter_move move;
	bool peer_is_dead;
	uint64_t plus; /* generations */
	/* what becomes of each word; NO: refused */
	enum word next[WORDS];
};

static const struct row rows[] = {
	{ ARBITER_COLD_BOOT, false, 1,
	  { [NONE] = ALONE_A, [ALONE_A] = ALONE_A } },
	{ ARBITER_COLD_BOOT, true, 1,
	  { [NONE] = ALONE_A, [ALONE_A] = ALONE_A, [ALONE_B] = ALONE_A,
	    [ALONE_C] = ALONE_A, [PROT_AB] = ALONE_A, [PROT_BA] = ALONE_A,
	    [PROT_AC] = ALONE_A, [PROT_CA] = ALONE_A } },
	{ ARBITER_ALONE, false, 0, { [ALONE_A] = ALONE_A } },
	{ ARBITER_ALONE, true, 0,
	  { [ALONE_A] = ALONE_A, [PROT_AB] = ALONE_A } },
	{ ARBITER_PROTECTED, false, 1, { [ALONE_A] = PROT_AB } },
	{ ARBITER_PROTECTED, true, 1, { [ALONE_A] = PROT_AB } },
	{ ARBITER_ACTIVATE, false, 0, { [PROT_BA] = ALONE_A } },
	{ ARBITER_ACTIVATE, true, 0, { [PROT_BA] = ALONE_A } },
	{ ARBITER_ENDED, false, 0, { [NONE] = NONE, [ALONE_A] = NONE } },
	{ ARBITER_ENDED, true, 0, { [NONE] = NONE, [ALONE_A] = NONE } },
};

static void every_move_from_every_state_is_as_in_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (enum word w = NONE; w < WORDS; w++) {
			const struct row *row = &rows[i];
			struct arbiter_request r = {
				.move = row->move,
				.peer_is_dead = row->peer_is_dead,
			};
			struct ticket now = ticket(w, 5), next, want;
			char err[512] = "", str[TICKET_STR_MAX];
			int rc = ticket_move(&now, &r, "a", "b", &next, err,
					     sizeof(err));

			assert_int_equal(rc, row->next[w] == NO ? -EPERM : 0);
			if (rc < 0) {
				/* says what there is, and to whom */
				assert_non_null(strstr(err, "generation 5"));
				assert_non_null(strstr(
					err, ticket_to_str(&now, str,
							   sizeof(str))));
				continue;
			}
			want = ticket(row->next[w], 5 + row->plus);
			assert_true(ticket_equal(&next, &want));
		}
}

/* Whatever is granted: never two holders of `alone` in one generation. */
static void no_move_takes_alone_from_another_in_its_generation(void **state)
{
	(void)state;
	for (enum arbiter_move m = ARBITER_COLD_BOOT; m <= ARBITER_ENDED; m++)
		for (int dead = 0; dead <= 1; dead++)
			for (enum word w = NONE; w < WORDS; w++) {
				struct arbiter_request r = {
					.move = m, .peer_is_dead = dead,
					.told = ticket(w, 5),
				};
				struct ticket now = ticket(ALONE_B, 5), next;

				if (ticket_move(&now, &r, "a", "b", &next, NULL,
						0) < 0)
					continue;
				assert_true(next.generation > 5 ||
					    ticket_equal(&next, &now));
			}
}

/* ARBITER_NOTE of (told, at generation 5 + d) to (now, at 5). */
static int note(enum word now_word, enum word told, int d)
{
	struct arbiter_request r = {
		.move = ARBITER_NOTE,
		.told = ticket(told, (uint64_t)(5 + d)),
	};
	struct ticket now = ticket(now_word, 5), next;
	char err[512];
	int rc = ticket_move(&now, &r, "a", "b", &next, err, sizeof(err));

	if (rc == 0)
		assert_true(ticket_equal(&next, &r.told));
	return rc;
}

static void a_note_of_another_generation_goes_by_it(void **state)
{
	(void)state;
	for (enum word now = NONE; now < WORDS; now++)
		for (enum word told = NONE; told < WORDS; told++) {
			assert_int_equal(note(now, told, 1), 0);
			assert_int_equal(note(now, told, -1), -EPERM);
		}
}

static int rank(enum word w)
{
	return words[w].state == TICKET_PROTECTED ? 0
	       : words[w].state == TICKET_NONE	  ? 1
						  : 2;
}

static void a_note_of_the_same_generation_only_moves_on(void **state)
{
	(void)state;
	for (enum word now = NONE; now < WORDS; now++)
		for (enum word told = NONE; told < WORDS; told++)
			assert_int_equal(note(now, told, 0),
					 rank(told) > rank(now) ||
							 told == now ||
							 (now == ALONE_A &&
							  told == ALONE_B)
						 ? 0
						 : -EPERM);
	/* In words: two holders in one generation, where somebody vouched
	 * wrongly; who is told has no guest any more, and gives in. */
	assert_int_equal(note(ALONE_A, ALONE_B, 0), 0);
	assert_int_equal(note(ALONE_B, ALONE_A, 0), -EPERM);
	assert_int_equal(note(PROT_AB, PROT_BA, 0), -EPERM);
	assert_int_equal(note(PROT_BA, PROT_BA, 0), 0);
}

static void a_note_is_compared_without_padding(void **state)
{
	struct arbiter_request r;
	struct ticket now = ticket(PROT_BA, 5), next;

	(void)state;
	memset(&r, 0xff, sizeof(r));
	r.move = ARBITER_NOTE;
	r.peer_is_dead = false;
	r.told.generation = 5;
	r.told.state = TICKET_PROTECTED;
	strcpy(r.told.holder, "b");
	strcpy(r.told.backup, "a");
	assert_int_equal(ticket_move(&now, &r, "a", "b", &next, NULL, 0), 0);
}

static void the_last_generation_has_no_next_one(void **state)
{
	static const enum arbiter_move moves[] = { ARBITER_COLD_BOOT,
						   ARBITER_PROTECTED };
	struct ticket now = ticket(ALONE_A, TICKET_GENERATION_MAX), next;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		struct arbiter_request r = { .move = moves[i] };

		assert_int_equal(ticket_move(&now, &r, "a", "b", &next, NULL,
					     0), -EPERM);
		now.generation = UINT64_MAX;
		assert_int_equal(ticket_move(&now, &r, "a", "b", &next, NULL,
					     0), -EPERM);
		now.generation = TICKET_GENERATION_MAX - 1;
		assert_int_equal(ticket_move(&now, &r, "a", "b", &next, NULL,
					     0), 0);
		now.generation = TICKET_GENERATION_MAX;
	}
	/* Nor does a peer talk us into one that could not be stored. */
	now = ticket(NONE, 5);
	assert_int_equal(ticket_move(&now,
				     &(struct arbiter_request){
					     .move = ARBITER_NOTE,
					     .told = ticket(ALONE_B,
							    UINT64_MAX) },
				     "a", "b", &next, NULL, 0), -EPERM);
}

static void names_of_full_length_are_kept_whole(void **state)
{
	char a[VM_NAME_MAX + 1], b[VM_NAME_MAX + 1];
	struct arbiter_request r = { .move = ARBITER_PROTECTED };
	struct ticket now = ticket(ALONE_A, 5), next;

	(void)state;
	memset(a, 'a', VM_NAME_MAX);
	memset(b, 'b', VM_NAME_MAX);
	a[VM_NAME_MAX] = b[VM_NAME_MAX] = '\0';
	strcpy(now.holder, a);
	assert_int_equal(ticket_move(&now, &r, a, b, &next, NULL, 0), 0);
	assert_string_equal(next.holder, a);
	assert_string_equal(next.backup, b);
}

static void every_move_has_a_name(void **state)
{
	(void)state;
	for (enum arbiter_move m = ARBITER_COLD_BOOT; m <= ARBITER_ENDED; m++) {
		assert_non_null(arbiter_move_to_str(m));
		for (enum arbiter_move n = ARBITER_COLD_BOOT; n < m; n++)
			assert_string_not_equal(arbiter_move_to_str(m),
						arbiter_move_to_str(n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_move_from_every_state_is_as_in_the_table),
		cmocka_unit_test(
			no_move_takes_alone_from_another_in_its_generation),
		cmocka_unit_test(a_note_of_another_generation_goes_by_it),
		cmocka_unit_test(a_note_of_the_same_generation_only_moves_on),
		cmocka_unit_test(a_note_is_compared_without_padding),
		cmocka_unit_test(the_last_generation_has_no_next_one),
		cmocka_unit_test(names_of_full_length_are_kept_whole),
		cmocka_unit_test(every_move_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
