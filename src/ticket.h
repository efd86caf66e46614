/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket.h - the register that decides who may be seen: (generation, state).
 *
 *   none            nobody was ever started, or the VM ended for good
 *   alone(X)        X's copy may be seen without acknowledgements; no other may
 *   protected(A,B)  A's output waits for B; B may take over
 *
 * Each node keeps its own knowledge of it in state_dir/NAME.ticket (written
 * durably before anything is done that relies on it).  The order of two
 * tickets is (generation, protected < none < alone): within one generation
 * `protected` moves to `alone` and never back.  `none` comes after `protected`:
 * who ended the guest in a generation had taken it over before, and the old
 * primary must not go on with a backup that has forgotten that.  It comes
 * before `alone`: where nothing runs, a copy that does run is not obsolete.
 */
#ifndef REMUS_TICKET_H
#define REMUS_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm_config.h"

enum ticket_state { TICKET_NONE = 0, TICKET_PROTECTED = 1, TICKET_ALONE = 2 };

/* The file keeps it as a JSON integer. */
#define TICKET_GENERATION_MAX ((uint64_t)INT64_MAX)

struct ticket {
	uint64_t generation; /* 0 only with TICKET_NONE */
	enum ticket_state state;
	char holder[VM_NAME_MAX + 1]; /* alone: X; protected: A; else "" */
	char backup[VM_NAME_MAX + 1]; /* protected: B; else "" */
};

/* "none", "alone(a)", "protected(a,b)" */
const char *ticket_to_str(const struct ticket *t, char *buf, size_t bytes);
#define TICKET_STR_MAX (2 * VM_NAME_MAX + 16)

/* < 0, 0, > 0 as `a` is older than, as new as, newer than `b`. */
int ticket_cmp(const struct ticket *a, const struct ticket *b);
/* The very same: names too.  (ticket_cmp() says 0 of two holders in one
 * generation as well, which is what must never be.) */
bool ticket_equal(const struct ticket *a, const struct ticket *b);

/* The file is JSON, one object.  A missing file is a TICKET_NONE of generation
 * 0 and returns 0.  A file that is there and cannot be understood is an error
 * (-EBADMSG, with a line): better no VM than a guess.  ticket_store() refuses
 * what ticket_load() would not take (-ERANGE: the generation). */
int ticket_load(struct ticket *t, const char *path, char *err,
		size_t err_bytes);
int ticket_store(const struct ticket *t, const char *path, char *err,
		 size_t err_bytes);

#endif
