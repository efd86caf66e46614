/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_register.c - names, order and the changes of ticket_register.h. */
#include "ticket_register.h"

#include <errno.h>
#include <string.h>

#include "util.h"

static const char *const purposes[] = {
	[TICKET_FOR_READ] = "read",	    [TICKET_FOR_BOOT] = "boot",
	[TICKET_FOR_ALONE] = "alone",	    [TICKET_FOR_PROTECTED] = "protected",
	[TICKET_FOR_TAKEOVER] = "takeover", [TICKET_FOR_END] = "end",
	[TICKET_FOR_FENCE] = "fence",
};

static const char *const replies[] = {
	[TICKET_PROMISE] = "promise",
	[TICKET_ACCEPTED] = "accepted",
	[TICKET_RENEWED] = "renewed",
	[TICKET_REFUSED_BALLOT] = "refused-ballot",
	[TICKET_REFUSED_SEEN] = "refused-seen",
	[TICKET_REFUSED_LEASE] = "refused-lease",
	[TICKET_REFUSED_VALUE] = "refused-value",
	[TICKET_REFUSED_BAD] = "refused-bad",
};

static const char *name_of(const char *const *names, size_t n, unsigned int i)
{
	return i < n ? names[i] : "?";
}

static bool index_of(unsigned int *i, const char *const *names, size_t n,
		     const char *s)
{
	for (*i = 0; *i < n; ++*i)
		if (strcmp(names[*i], s) == 0)
			return true;
	return false;
}

const char *ticket_purpose_to_str(enum ticket_purpose p)
{
	return name_of(purposes, ARRAY_LEN(purposes), (unsigned int)p);
}

bool ticket_purpose_from_str(enum ticket_purpose *p, const char *s)
{
	unsigned int i;

	if (!index_of(&i, purposes, ARRAY_LEN(purposes), s))
		return false;
	*p = (enum ticket_purpose)i;
	return true;
}

const char *ticket_reply_to_str(enum ticket_reply r)
{
	return name_of(replies, ARRAY_LEN(replies), (unsigned int)r);
}

bool ticket_reply_from_str(enum ticket_reply *r, const char *s)
{
	unsigned int i;

	if (!index_of(&i, replies, ARRAY_LEN(replies), s))
		return false;
	*r = (enum ticket_reply)i;
	return true;
}

int ballot_cmp(const struct ballot *a, const struct ballot *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	if (a->proposer != b->proposer)
		return a->proposer < b->proposer ? -1 : 1;
	return 0;
}

unsigned int ticket_majority(unsigned int witnesses)
{
	return witnesses / 2 + 1;
}

/* Rounded so that it ends rather a millisecond too early. */
uint64_t ticket_lease_end_ms(uint64_t sent_ms, uint32_t lease_ms)
{
	return sent_ms +
	       (uint64_t)lease_ms * (1000 - TICKET_DRIFT_PERMILLE) / 1000;
}

/* And here too late: now_ms was cut to whole milliseconds as well. */
uint64_t ticket_lease_over_ms(uint64_t now_ms, uint32_t lease_ms)
{
	return now_ms + 1 +
	       ((uint64_t)lease_ms * (1000 + TICKET_DRIFT_PERMILLE) + 999) /
		       1000;
}

bool ticket_is_sound(const struct ticket *t)
{
	bool holder = t->holder[0] != '\0', backup = t->backup[0] != '\0';

	if (t->generation > TICKET_GENERATION_MAX)
		return false;
	switch (t->state) {
	case TICKET_NONE:
		return !holder && !backup;
	case TICKET_ALONE:
		return holder && !backup && t->generation > 0;
	case TICKET_PROTECTED:
		return holder && backup && t->generation > 0 &&
		       strcmp(t->holder, t->backup) != 0;
	}
	return false;
}

/* ---- changes ---- */

static bool is_alone(const struct ticket *t, const char *who)
{
	return t->state == TICKET_ALONE && strcmp(t->holder, who) == 0;
}

static bool is_primary(const struct ticket *t, const char *who)
{
	return t->state == TICKET_PROTECTED && strcmp(t->holder, who) == 0;
}

static bool is_backup(const struct ticket *t, const char *who)
{
	return t->state == TICKET_PROTECTED && strcmp(t->backup, who) == 0;
}

/* Names may be those of *t itself. */
static void set_ticket(struct ticket *t, uint64_t generation,
		       enum ticket_state state, const char *holder,
		       const char *backup)
{
	struct ticket new = { .generation = generation, .state = state };

	memcpy(new.holder, holder, strnlen(holder, VM_NAME_MAX));
	memcpy(new.backup, backup, strnlen(backup, VM_NAME_MAX));
	*t = new;
}

static bool boot(const struct ticket *now, const char *self, uint64_t above,
		 struct ticket *next)
{
	if (now->state != TICKET_NONE && !is_alone(now, self))
		return false;
	if (above < now->generation)
		above = now->generation;
	if (above >= TICKET_GENERATION_MAX)
		return false;
	set_ticket(next, above + 1, TICKET_ALONE, self, "");
	return true;
}

static bool go_alone(const struct ticket *now, const char *self,
		     uint64_t generation, struct ticket *next)
{
	if (generation != 0 && generation != now->generation)
		return false;
	if (!is_alone(now, self) && !is_primary(now, self))
		return false;
	set_ticket(next, now->generation, TICKET_ALONE, self, "");
	return true;
}

static bool protect(const struct ticket *now, const char *self,
		    const char *peer, struct ticket *next)
{
	if (is_primary(now, self) && is_backup(now, peer))
		return true;
	if (!is_alone(now, self) || peer[0] == '\0' ||
	    strcmp(peer, self) == 0 ||
	    now->generation >= TICKET_GENERATION_MAX)
		return false;
	set_ticket(next, now->generation + 1, TICKET_PROTECTED, self, peer);
	return true;
}

static bool take_over(const struct ticket *now, const char *self,
		      uint64_t generation, struct ticket *next)
{
	if (now->generation != generation)
		return false;
	if (!is_alone(now, self) && !is_backup(now, self))
		return false;
	set_ticket(next, generation, TICKET_ALONE, self, "");
	return true;
}

static bool end(const struct ticket *now, const char *self,
		struct ticket *next)
{
	if (now->state != TICKET_NONE && !is_alone(now, self))
		return false;
	set_ticket(next, now->generation, TICKET_NONE, "", "");
	return true;
}

static bool fence(const struct ticket *now, const char *target,
		  const char *peer, struct ticket *next)
{
	if (target[0] == '\0')
		return false;
	if (is_backup(now, target)) {
		set_ticket(next, now->generation, TICKET_ALONE, now->holder,
			   "");
	} else if (is_primary(now, target) && peer[0] != '\0') {
		/* Who claims to be there to take it is not its backup. */
		if (!is_backup(now, peer))
			return false;
		set_ticket(next, now->generation, TICKET_ALONE, peer, "");
	} else if (is_primary(now, target) || is_alone(now, target)) {
		set_ticket(next, now->generation, TICKET_NONE, "", "");
	}
	return true;
}

int ticket_change(const struct ticket *now, const struct ticket_message *m,
		  const char *peer, uint64_t generation, struct ticket *next,
		  char *err, size_t err_bytes)
{
	char str[TICKET_STR_MAX];
	bool ok = false;

	*next = *now;
	switch (m->purpose) {
	case TICKET_FOR_READ: ok = true; break;
	case TICKET_FOR_BOOT: ok = boot(now, m->from, generation, next); break;
	case TICKET_FOR_ALONE:
		ok = go_alone(now, m->from, generation, next);
		break;
	case TICKET_FOR_PROTECTED:
		ok = protect(now, m->from, peer, next);
		break;
	case TICKET_FOR_TAKEOVER:
		ok = take_over(now, m->from, generation, next);
		break;
	case TICKET_FOR_END: ok = end(now, m->from, next); break;
	case TICKET_FOR_FENCE:
		ok = fence(now, m->target, peer, next);
		break;
	}
	if (ok)
		return 0;
	return set_err(err, err_bytes, -EPERM,
		       "the ticket is %s of generation %llu: no %s for %s",
		       ticket_to_str(now, str, sizeof(str)),
		       (unsigned long long)now->generation,
		       ticket_purpose_to_str(m->purpose), m->from);
}
