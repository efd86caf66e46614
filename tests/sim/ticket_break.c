/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_break.c - one rule broken, to show that the simulation would notice.
 * What the code under test decides in one place (ticket_register.h) is replaced
 * here (--wrap); other rules are broken where the simulation stands for the
 * program around it.
 */
#include <errno.h>
#include <string.h>

#include "ticket_world.h"

enum rule broken;

static const char *const names[RULES] = {
	[ANSWER_BEFORE_STORE] = "answer-before-store",
	[FORGET_PROMISES] = "forget-promises",
	[IGNORE_LEASES] = "ignore-leases",
	[RESTART_GRANTS] = "restart-grants",
	[LEASE_FROM_RECEIPT] = "lease-from-receipt",
	[NO_DRIFT_MARGIN] = "no-drift-margin",
	[GATE_NO_CLOCK] = "gate-no-clock",
	[ANY_VALUE] = "any-value",
	[MINORITY] = "minority",
	[FENCE_NO_WAIT] = "fence-no-wait",
	[TAKEOVER_ANY] = "takeover-any-generation",
	[READER_GIVES_BACK] = "reader-gives-back",
	[RENEW_ANYTHING] = "renew-anything",
	[ACK_WHILE_TAKING] = "ack-while-taking",
};

int break_rule(const char *name)
{
	for (unsigned int i = 1; i < RULES; i++)
		if (strcmp(names[i], name) == 0) {
			broken = (enum rule)i;
			return 0;
		}
	return -EINVAL;
}

const char *break_name(enum rule r)
{
	return r == KEEP_ALL ? NULL : names[r];
}

unsigned int __real_ticket_majority(unsigned int witnesses);
unsigned int __wrap_ticket_majority(unsigned int witnesses);
uint64_t __real_ticket_lease_end_ms(uint64_t sent_ms, uint32_t lease_ms);
uint64_t __wrap_ticket_lease_end_ms(uint64_t sent_ms, uint32_t lease_ms);
uint64_t __real_ticket_lease_over_ms(uint64_t now_ms, uint32_t lease_ms);
uint64_t __wrap_ticket_lease_over_ms(uint64_t now_ms, uint32_t lease_ms);
int __real_ticket_change(const struct ticket *now,
			 const struct ticket_message *m, const char *peer,
			 uint64_t generation, struct ticket *next, char *err,
			 size_t err_bytes);
int __wrap_ticket_change(const struct ticket *now,
			 const struct ticket_message *m, const char *peer,
			 uint64_t generation, struct ticket *next, char *err,
			 size_t err_bytes);

unsigned int __wrap_ticket_majority(unsigned int witnesses)
{
	return broken == MINORITY && witnesses > 1 ?
		       witnesses / 2 :
		       __real_ticket_majority(witnesses);
}

uint64_t __wrap_ticket_lease_end_ms(uint64_t sent_ms, uint32_t lease_ms)
{
	if (broken == LEASE_FROM_RECEIPT)
		sent_ms = world.running_ms;
	if (broken == NO_DRIFT_MARGIN)
		return sent_ms + lease_ms;
	return __real_ticket_lease_end_ms(sent_ms, lease_ms);
}

uint64_t __wrap_ticket_lease_over_ms(uint64_t now_ms, uint32_t lease_ms)
{
	if (broken == NO_DRIFT_MARGIN)
		return now_ms + lease_ms;
	return __real_ticket_lease_over_ms(now_ms, lease_ms);
}

int __wrap_ticket_change(const struct ticket *now,
			 const struct ticket_message *m, const char *peer,
			 uint64_t generation, struct ticket *next, char *err,
			 size_t err_bytes)
{
	if (broken == TAKEOVER_ANY && m->purpose == TICKET_FOR_TAKEOVER)
		generation = now->generation;
	return __real_ticket_change(now, m, peer, generation, next, err,
				    err_bytes);
}
