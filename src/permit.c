/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * permit.c - see permit.h.  The seal is not cryptography: it catches a permit
 * made by assignment or left from freed memory, that is, our own mistakes.
 */
#include "permit.h"

#include "permit_make.h"

static uint64_t seal_of(const struct permit *p)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ (uint64_t)p->kind_;

	h = (h ^ p->epoch_) * 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	h = (h ^ p->expires_boot_ns_) * 0xc4ceb9fe1a85ec53u;
	return h ^ (h >> 29);
}

struct permit permit_from_ack(uint64_t epoch_acked, uint64_t until_boot_ns)
{
	struct permit p = { .kind_ = PERMIT_ACK,
			    .epoch_ = epoch_acked,
			    .expires_boot_ns_ = until_boot_ns };

	p.seal_ = seal_of(&p);
	return p;
}

struct permit permit_from_ticket(uint64_t expires_boot_ns)
{
	struct permit p = { .kind_ = PERMIT_TICKET,
			    .expires_boot_ns_ = expires_boot_ns };

	p.seal_ = seal_of(&p);
	return p;
}

enum permit_kind permit_kind(const struct permit *p)
{
	if (p->kind_ == PERMIT_NONE || p->seal_ != seal_of(p))
		return PERMIT_NONE;
	return p->kind_;
}

uint64_t permit_epoch(const struct permit *p)
{
	return permit_kind(p) == PERMIT_ACK ? p->epoch_ : 0;
}

bool permit_in_time(const struct permit *p, uint64_t now_boot_ns)
{
	return permit_kind(p) == PERMIT_ACK &&
	       now_boot_ns < p->expires_boot_ns_;
}

bool permit_live(const struct permit *p, uint64_t now_boot_ns)
{
	return permit_kind(p) == PERMIT_TICKET &&
	       (p->expires_boot_ns_ == PERMIT_FOREVER ||
		now_boot_ns < p->expires_boot_ns_);
}
