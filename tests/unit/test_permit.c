/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_permit.c - what a permit permits, and that nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "permit.h"
#include "permit_make.h"

static void zeroed_permits_nothing(void **state)
{
	struct permit p;

	(void)state;
	memset(&p, 0, sizeof(p));
	assert_int_equal(permit_kind(&p), PERMIT_NONE);
	assert_int_equal(permit_epoch(&p), 0);
	assert_false(permit_live(&p, 0));
}

static void ack_names_its_epoch_and_is_no_ticket(void **state)
{
	struct permit p = permit_from_ack(42, UINT64_MAX);

	(void)state;
	assert_int_equal(permit_kind(&p), PERMIT_ACK);
	assert_int_equal(permit_epoch(&p), 42);
	assert_false(permit_live(&p, 0));
}

static void ack_is_in_time_until_its_expiry(void **state)
{
	struct permit p = permit_from_ack(42, 1000);

	(void)state;
	assert_int_equal(permit_epoch(&p), 42);
	assert_true(permit_in_time(&p, 0));
	assert_true(permit_in_time(&p, 999));
	assert_false(permit_in_time(&p, 1000));
	p.expires_boot_ns_ = 2000;
	assert_false(permit_in_time(&p, 0));
	p = permit_from_ticket(1000);
	assert_false(permit_in_time(&p, 0));
}

static void ticket_lives_until_its_expiry(void **state)
{
	struct permit p = permit_from_ticket(1000);

	(void)state;
	assert_int_equal(permit_kind(&p), PERMIT_TICKET);
	assert_int_equal(permit_epoch(&p), 0);
	assert_true(permit_live(&p, 0));
	assert_true(permit_live(&p, 999));
	assert_false(permit_live(&p, 1000));
	assert_false(permit_live(&p, UINT64_MAX));
}

static void forever_has_no_expiry(void **state)
{
	struct permit p = permit_from_ticket(PERMIT_FOREVER);

	(void)state;
	assert_true(permit_live(&p, 0));
	assert_true(permit_live(&p, UINT64_MAX - 1));
	assert_true(permit_live(&p, UINT64_MAX));
}

static void ticket_of_time_zero_is_dead(void **state)
{
	struct permit p = permit_from_ticket(0);

	(void)state;
	assert_false(permit_live(&p, 0));
}

static void copy_permits_the_same(void **state)
{
	struct permit p = permit_from_ack(7, UINT64_MAX), q = p;

	(void)state;
	assert_int_equal(permit_epoch(&q), 7);
}

/* Whatever member is written by hand, the permit permits nothing. */
static void changed_permit_is_none(void **state)
{
	struct permit p;

	(void)state;
	p = permit_from_ack(7, UINT64_MAX);
	p.epoch_++;
	assert_int_equal(permit_kind(&p), PERMIT_NONE);
	assert_int_equal(permit_epoch(&p), 0);

	p = permit_from_ack(7, UINT64_MAX);
	p.seal_ ^= 1;
	assert_int_equal(permit_epoch(&p), 0);

	p = permit_from_ack(7, UINT64_MAX);
	p.kind_ = PERMIT_TICKET;
	p.expires_boot_ns_ = PERMIT_FOREVER;
	assert_false(permit_live(&p, 0));

	p = permit_from_ticket(1000);
	p.expires_boot_ns_ = 2000;
	assert_false(permit_live(&p, 0));
	assert_int_equal(permit_kind(&p), PERMIT_NONE);
}

static void handmade_permit_is_none(void **state)
{
	struct permit p = { .kind_ = PERMIT_ACK, .epoch_ = 9 };
	struct permit t = { .kind_ = PERMIT_TICKET,
			    .expires_boot_ns_ = PERMIT_FOREVER };

	(void)state;
	assert_int_equal(permit_kind(&p), PERMIT_NONE);
	assert_false(permit_live(&t, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_permits_nothing),
		cmocka_unit_test(ack_names_its_epoch_and_is_no_ticket),
		cmocka_unit_test(ack_is_in_time_until_its_expiry),
		cmocka_unit_test(ticket_lives_until_its_expiry),
		cmocka_unit_test(forever_has_no_expiry),
		cmocka_unit_test(ticket_of_time_zero_is_dead),
		cmocka_unit_test(copy_permits_the_same),
		cmocka_unit_test(changed_permit_is_none),
		cmocka_unit_test(handmade_permit_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
