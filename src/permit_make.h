/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * permit_make.h - how permits come into being.  Only epoch.c (acknowledgements)
 * and arbiter_*.c (tickets) include this; see permit.h.
 */
#ifndef REMUS_PERMIT_MAKE_H
#define REMUS_PERMIT_MAKE_H

#include "permit.h"

struct permit permit_from_ack(uint64_t epoch_acked, uint64_t until_boot_ns);
struct permit permit_from_ticket(uint64_t expires_boot_ns);

#endif
