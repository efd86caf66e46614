/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_sight.h - what one witness sees, as fence_clientprobe needs it: the
 * answer to /v1/evidence, remus-witness(8), checked (S8).
 */
#ifndef REMUS_FENCE_SIGHT_H
#define REMUS_FENCE_SIGHT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ticket_register.h"

/* More of anything than these makes the answer a bad one: what was cut off
 * could be what matters. */
#define SIGHT_VMS_MAX 128
#define SIGHT_NODES 2
#define SIGHT_REPORTS_MAX 4

#define SIGHT_NEVER UINT64_MAX
/* A remusd reports five times a second.  So old may one be that proves that it
 * serves; one that proves that it is there to take over; and one that keeps
 * its node from being `off`. */
#define SIGHT_SERVED_MS 1000
#define SIGHT_THERE_MS 3000
#define SIGHT_GONE_MS 5000

struct sight_report {
	char node[VM_NAME_MAX + 1];
	uint64_t age_ms; /* SIGHT_NEVER */
	char role[33], state[33];
	uint64_t generation;
	bool serving;
};

struct sight_vm {
	char name[VM_NAME_MAX + 1];
	char node[SIGHT_NODES][VM_NAME_MAX + 1];
	struct ticket ticket;	/* as accepted there */
	struct ballot accepted; /* n 0: never anything */
	char leased_to[VM_NAME_MAX + 1]; /* "*": it does not know to whom */
	uint64_t lease_left_ms;
	uint64_t looking_ms, window_ms;
	bool seen;
	char seen_on[VM_NAME_MAX + 1]; /* "": not known */
	char why[TICKET_WHY_MAX];      /* printable */
	unsigned int reports;
	struct sight_report report[SIGHT_REPORTS_MAX];
};

struct sight {
	unsigned int vms;
	struct sight_vm vm[];
};

/* What `witness` answered.  0 with *out, for sight_free(); -EBADMSG with a
 * line naming the machine and the member; -ENOMEM. */
int sight_from_json(struct sight **out, const char *witness, const json_t *j,
		    char *err, size_t err_bytes);
void sight_free(struct sight *s);

/* NULL: this witness does not know it, or `s` is NULL. */
const struct sight_vm *sight_find(const struct sight *s, const char *vm);

/* May `node` have to do with it, by what this witness knows? */
bool sight_names(const struct sight_vm *v, const char *node);
/* Is a copy seen that is `node`'s, or may be?  With a line, printable. */
bool sight_seen_on(const struct sight_vm *v, const char *node,
		   char why[TICKET_WHY_MAX]);
/* Has it looked for long enough to see nothing? */
bool sight_has_looked(const struct sight_vm *v);
/* Is `node` there to take over from protected(.,node) of `generation`? */
bool sight_stands_by(const struct sight_vm *v, const char *node,
		     uint64_t generation);
/* Nothing of `node`: no ticket, no lease, no copy seen, no word of its remusd.
 * If false, a line says what there is. */
bool sight_clear_of(const struct sight_vm *v, const char *node,
		    char why[TICKET_WHY_MAX]);

#endif
