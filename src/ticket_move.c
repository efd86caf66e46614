/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_move.c - the moves of the ticket, as one pure function (arbiter.h). */
#include <errno.h>
#include <string.h>

#include "arbiter.h"
#include "util.h"

static bool is_alone(const struct ticket *t, const char *who)
{
	return t->state == TICKET_ALONE && strcmp(t->holder, who) == 0;
}

static bool is_protected(const struct ticket *t, const char *a, const char *b)
{
	return t->state == TICKET_PROTECTED && strcmp(t->holder, a) == 0 &&
	       strcmp(t->backup, b) == 0;
}

static void set_ticket(struct ticket *t, uint64_t generation,
		       enum ticket_state state, const char *holder,
		       const char *backup)
{
	memset(t, 0, sizeof(*t));
	t->generation = generation;
	t->state = state;
	strncpy(t->holder, holder, VM_NAME_MAX);
	strncpy(t->backup, backup, VM_NAME_MAX);
}

static int may_cold_boot(const struct ticket *now, bool peer_is_dead,
			 const char *self)
{
	/* A guest was running under an ungraceful end here, or nowhere: a new
	 * one is a new generation.  Otherwise the other node may have it. */
	return now->state == TICKET_NONE || is_alone(now, self) ||
	       peer_is_dead;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

int ticket_move(const struct ticket *now, const struct arbiter_request *r,
		const char *self, const char *peer, struct ticket *next,
		char *err, size_t err_bytes)
{
	char str[TICKET_STR_MAX];
	bool ok = false;

	switch (r->move) {
	case ARBITER_COLD_BOOT:
		ok = may_cold_boot(now, r->peer_is_dead, self);
		set_ticket(next, max_u64(now->generation, r->told.generation) +
			   1,
			   TICKET_ALONE, self, "");
		break;
	case ARBITER_ALONE:
		ok = is_alone(now, self) ||
		     (r->peer_is_dead && is_protected(now, self, peer));
		set_ticket(next, now->generation, TICKET_ALONE, self, "");
		break;
	case ARBITER_PROTECTED:
		ok = is_alone(now, self);
		set_ticket(next, now->generation + 1, TICKET_PROTECTED, self,
			   peer);
		break;
	case ARBITER_ACTIVATE:
		ok = is_protected(now, peer, self);
		set_ticket(next, now->generation, TICKET_ALONE, self, "");
		break;
	case ARBITER_NOTE:
		/* Newer, or the very same.  Two `alone` of one generation but
		 * of different holders is what must never be, unless somebody
		 * vouched wrongly: then who is told this is a backup, and lost
		 * its own guest, or it would not be one.  From here on it may
		 * less than before. */
		ok = ticket_cmp(&r->told, now) > 0 ||
		     ticket_equal(&r->told, now) ||
		     (ticket_cmp(&r->told, now) == 0 && is_alone(now, self) &&
		      is_alone(&r->told, peer));
		*next = r->told;
		break;
	case ARBITER_ENDED:
		ok = is_alone(now, self) || now->state == TICKET_NONE;
		set_ticket(next, now->generation, TICKET_NONE, "", "");
		break;
	}
	/* The last generation has no next one: never wrap to an old one. */
	if (now->generation > TICKET_GENERATION_MAX ||
	    next->generation > TICKET_GENERATION_MAX)
		ok = false;
	if (!ok)
		return set_err(err, err_bytes, -EPERM,
			       "the ticket is %s of generation %llu: no %s on "
			       "%s",
			       ticket_to_str(now, str, sizeof(str)),
			       (unsigned long long)now->generation,
			       arbiter_move_to_str(r->move), self);
	return 0;
}

const char *arbiter_move_to_str(enum arbiter_move m)
{
	static const char *const names[] = {
		[ARBITER_COLD_BOOT] = "cold boot",
		[ARBITER_ALONE] = "going on alone",
		[ARBITER_PROTECTED] = "protection",
		[ARBITER_ACTIVATE] = "activation",
		[ARBITER_NOTE] = "older ticket",
		[ARBITER_ENDED] = "end",
	};

	return names[m];
}
