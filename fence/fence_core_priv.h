/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_core_priv.h - what the parts of fence_core.c share; nobody else includes
 * it.
 *
 *   fence_core.c    the rounds, the judgement after each look, the events
 *   fence_look.c    what the last look tells, and which machines it is about
 *   fence_report.c  the text: who saw what
 */
#ifndef REMUS_FENCE_CORE_PRIV_H
#define REMUS_FENCE_CORE_PRIV_H

#include "fence_core.h"

/* NOT_ITS: for a while it could have been one of the target's. */
enum vm_phase { WAITS, NOT_ITS, TO_ASK, ASKS, DECIDED };

/* The last word of one witness in a round. */
struct word {
	bool seen; /* it refused because it sees a copy */
	char text[TICKET_WHY_MAX + 32];
};

struct vm {
	char name[VM_NAME_MAX + 1];
	enum vm_phase phase;
	char peer[VM_NAME_MAX + 1];
	struct ticket value;
	uint64_t quiet_at_ms;
	const char *hint; /* what it waits for, or NULL */
	struct word word[WITNESSES_MAX];
};

struct fence_core {
	struct fence_core_config c;
	uint64_t now_ms, start_ms;
	enum fence_end end;
	/* the look */
	bool look_due, looking, answered[WITNESSES_MAX];
	uint64_t look_began_ms, look_at_ms;
	struct sight *sight[WITNESSES_MAX];
	char why[WITNESSES_MAX][TICKET_WHY_MAX];
	/* the machines */
	unsigned int vms;
	struct vm vm[SIGHT_VMS_MAX];
	bool set_known;
	uint64_t quiet_since_ms; /* all decided and quiet; 0: not yet */
	char text[FENCE_TEXT_MAX];
};

static inline unsigned int fence_majority(const struct fence_core *f)
{
	return ticket_majority(f->c.witnesses);
}

/* ---- fence_report.c ---- */

void fence_say(struct fence_core *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* It has failed; the text begins anew. */
void fence_begin_failure(struct fence_core *f);
const char *fence_witness_name(const struct fence_core *f, unsigned int w);
/* Of the last look: what each has against it. */
void fence_say_sights(struct fence_core *f, const char *vm);
void fence_say_words(struct fence_core *f, const struct vm *v);
void fence_fail_seen(struct fence_core *f, const char *vm);
void fence_fail_silent(struct fence_core *f);

/* ---- fence_look.c ---- */

unsigned int fence_count_sights(const struct fence_core *f);
/* So many see the target, or can tell that it is not there. */
unsigned int fence_count_seen(const struct fence_core *f, const char *vm,
			      bool seen);
/* A majority without those that see it is not to be had. */
bool fence_is_seen(const struct fence_core *f, const char *vm);
/* As accepted by the highest ballot that was seen; NULL: none. */
const struct ticket *fence_newest_ticket(const struct fence_core *f,
					 const char *vm);
/* Does a majority say that the backup of `t` stands by? */
bool fence_stands_by(const struct fence_core *f, const char *vm,
		     const struct ticket *t);
/* Which machines it is about; false: it has failed. */
bool fence_know_set(struct fence_core *f);

#endif
