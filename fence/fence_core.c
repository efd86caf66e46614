/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_core.c - see fence_core.h; its parts are named in fence_core_priv.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fence_core_priv.h"
#include "util.h"

static bool in_grace(const struct fence_core *f, uint64_t since_ms)
{
	return f->now_ms < since_ms + f->c.grace_ms;
}

static uint64_t deadline(const struct fence_core *f)
{
	return f->start_ms + f->c.timeout_ms;
}

/* ---- rounds ---- */

/* False: not now. */
static bool choose_peer(struct fence_core *f, struct vm *v)
{
	const struct ticket *t = fence_newest_ticket(f, v->name);

	v->peer[0] = '\0';
	v->hint = NULL;
	if (t == NULL || t->state != TICKET_PROTECTED ||
	    strcmp(t->holder, f->c.target) != 0)
		return true;
	if (fence_stands_by(f, v->name, t)) {
		strcpy(v->peer, t->backup);
		return true;
	}
	if (!in_grace(f, f->start_ms))
		return true;
	v->hint = "waited for its backup";
	return false;
}

static void begin_rounds(struct fence_core *f)
{
	unsigned int busy = 0;

	for (unsigned int i = 0; i < f->vms; i++)
		busy += f->vm[i].phase == TO_ASK || f->vm[i].phase == ASKS;
	for (unsigned int i = 0; i < f->vms && busy < FENCE_ROUNDS_MAX; i++) {
		struct vm *v = &f->vm[i];

		if (v->phase == WAITS && choose_peer(f, v)) {
			v->phase = TO_ASK;
			busy++;
		}
	}
}

static uint32_t give_up_ms(const struct fence_core *f)
{
	uint64_t left = deadline(f) > f->now_ms ? deadline(f) - f->now_ms : 0;

	/* A sight that lasts is to be told when its grace is over. */
	return left < f->c.grace_ms || f->c.grace_ms == 0 ? (uint32_t)left
							  : f->c.grace_ms;
}

/* Because of those that see a copy there is no majority. */
static bool words_of_sight(const struct fence_core *f, const struct vm *v)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < f->c.witnesses; w++)
		n += v->word[w].seen;
	return f->c.witnesses - n < fence_majority(f);
}

static bool is_targets(const struct fence_core *f, const struct ticket *t)
{
	return t->state != TICKET_NONE &&
	       (strcmp(t->holder, f->c.target) == 0 ||
		strcmp(t->backup, f->c.target) == 0);
}

static void on_decided(struct fence_core *f, struct vm *v,
		       const struct ticket_outcome *o)
{
	v->value = o->value;
	v->quiet_at_ms = o->quiet_at_ms;
	v->phase = DECIDED;
	if (is_targets(f, &o->value)) { /* a fence makes no such thing */
		fence_begin_failure(f);
		fence_say(f, "the ticket of %s is still its\n", v->name);
	} else if (v->quiet_at_ms > deadline(f)) {
		fence_begin_failure(f);
		fence_say(f, "the ticket of %s is taken from it, but a lease may be "
		    "used for %llu ms more, which is longer than `timeout'\n",
		    v->name,
		    (unsigned long long)(v->quiet_at_ms - f->now_ms));
	}
}

void fence_core_outcome(struct fence_core *f, unsigned int vm,
			const struct ticket_outcome *o, uint64_t now_ms)
{
	struct vm *v;

	if (f->end != FENCE_RUNS || vm >= f->vms || f->vm[vm].phase != ASKS)
		return;
	f->now_ms = now_ms;
	v = &f->vm[vm];
	v->phase = WAITS;
	if (o->rc == 0) {
		on_decided(f, v, o);
	} else if (words_of_sight(f, v) && !in_grace(f, f->start_ms)) {
		fence_begin_failure(f);
		fence_say(f, "clients still see it serve %s\n", v->name);
		fence_say_words(f, v);
	}
	fence_core_tick(f, now_ms);
}

void fence_core_heard(struct fence_core *f, unsigned int vm, unsigned int w,
		      const struct ticket_answer *a, const char *why)
{
	struct word *word;

	if (vm >= f->vms || w >= f->c.witnesses)
		return;
	word = &f->vm[vm].word[w];
	word->seen = a != NULL && a->reply == TICKET_REFUSED_SEEN;
	if (a == NULL)
		snprintf(word->text, sizeof(word->text), "%s", why);
	else if (word->seen && a->why[0] != '\0')
		snprintf(word->text, sizeof(word->text), "%s", a->why);
	else
		snprintf(word->text, sizeof(word->text), "%s%s%s",
			 ticket_reply_to_str(a->reply),
			 a->why[0] != '\0' ? ": " : "", a->why);
	for (char *ch = word->text; *ch != '\0'; ch++) {
		if ((unsigned char)*ch < ' ' || *ch == 0x7f)
			*ch = '?';
	}
}

/* ---- the judgement after each look ---- */

static bool is_open(const struct vm *v)
{
	return v->phase != DECIDED && v->phase != NOT_ITS;
}

static bool all_decided(const struct fence_core *f)
{
	bool any = false;

	for (unsigned int i = 0; i < f->vms; i++) {
		if (is_open(&f->vm[i]))
			return false;
		any |= f->vm[i].phase == DECIDED;
	}
	return any;
}

static uint64_t quiet_at(const struct fence_core *f)
{
	uint64_t at = 0;

	for (unsigned int i = 0; i < f->vms; i++) {
		if (f->vm[i].quiet_at_ms > at)
			at = f->vm[i].quiet_at_ms;
	}
	return at;
}

static void done(struct fence_core *f)
{
	char text[TICKET_STR_MAX];

	f->end = FENCE_DONE;
	f->text[0] = '\0';
	for (unsigned int i = 0; i < f->vms; i++) {
		if (f->vm[i].phase == NOT_ITS)
			continue;
		fence_say(f, "%s: %s has nothing of it; the ticket is %s\n",
		    f->vm[i].name, f->c.target,
		    ticket_to_str(&f->vm[i].value, text, sizeof(text)));
	}
}

/* This look began when all was decided and quiet. */
static void confirm(struct fence_core *f)
{
	const char *seen = NULL;
	bool clear = true;

	for (unsigned int i = 0; i < f->vms; i++) {
		const char *vm = f->vm[i].name;

		if (f->vm[i].phase == NOT_ITS ||
		    fence_count_seen(f, vm, false) >= fence_majority(f))
			continue;
		clear = false;
		if (fence_is_seen(f, vm))
			seen = vm;
	}
	if (clear)
		done(f);
	else if (seen != NULL && !in_grace(f, f->quiet_since_ms))
		fence_fail_seen(f, seen);
}

static void judge(struct fence_core *f)
{
	unsigned int known = f->vms;

	if (fence_count_sights(f) < fence_majority(f))
		return;
	if (!fence_know_set(f))
		return;
	f->set_known = true;
	if (f->vms > known)
		f->quiet_since_ms = 0;
	if (all_decided(f)) {
		if (f->quiet_since_ms != 0 &&
		    f->look_began_ms >= f->quiet_since_ms)
			confirm(f);
		return;
	}
	for (unsigned int i = 0; i < f->vms; i++) {
		if (f->vm[i].phase != WAITS || !fence_is_seen(f, f->vm[i].name))
			continue;
		if (!in_grace(f, f->start_ms))
			fence_fail_seen(f, f->vm[i].name);
		return;
	}
	begin_rounds(f);
}

/* ---- events ---- */

static void look(struct fence_core *f)
{
	f->look_due = f->looking = true;
	f->look_began_ms = f->now_ms;
	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		sight_free(f->sight[w]);
		f->sight[w] = NULL;
		f->answered[w] = false;
		strcpy(f->why[w], "no answer yet");
	}
}

void fence_core_saw(struct fence_core *f, unsigned int w, struct sight *s,
		    const char *why, uint64_t now_ms)
{
	if (f->end != FENCE_RUNS || !f->looking || w >= f->c.witnesses ||
	    f->answered[w]) {
		sight_free(s);
		return;
	}
	f->now_ms = now_ms;
	f->answered[w] = true;
	f->sight[w] = s;
	snprintf(f->why[w], sizeof(f->why[w]), "%s", s == NULL ? why : "");
	for (unsigned int i = 0; i < f->c.witnesses; i++) {
		if (!f->answered[i])
			return;
	}
	f->looking = false;
	f->look_at_ms = now_ms + FENCE_LOOK_AGAIN_MS;
	judge(f);
	fence_core_tick(f, now_ms);
}

static void out_of_time(struct fence_core *f)
{
	const struct vm *open = NULL;

	for (unsigned int i = 0; i < f->vms && open == NULL; i++) {
		if (is_open(&f->vm[i]))
			open = &f->vm[i];
	}
	if (!f->set_known) {
		fence_fail_silent(f);
		return;
	}
	if (open != NULL && fence_is_seen(f, open->name)) {
		fence_fail_seen(f, open->name);
		return;
	}
	fence_begin_failure(f);
	if (open != NULL) {
		fence_say(f, "nothing is known to be decided about %s in %u ms%s%s\n",
		    open->name, f->c.timeout_ms,
		    open->hint != NULL ? "; " : "",
		    open->hint != NULL ? open->hint : "");
		fence_say_words(f, open);
	} else {
		fence_say(f, "all is decided, but no majority says in %u ms that it "
		    "sees nothing of it\n", f->c.timeout_ms);
		for (unsigned int i = 0; i < f->vms; i++) {
			if (f->vm[i].phase == DECIDED)
				fence_say_sights(f, f->vm[i].name);
		}
	}
}

void fence_core_tick(struct fence_core *f, uint64_t now_ms)
{
	if (f->end != FENCE_RUNS)
		return;
	f->now_ms = now_ms;
	if (now_ms >= deadline(f)) {
		out_of_time(f);
		return;
	}
	if (f->quiet_since_ms == 0 && all_decided(f) && now_ms >= quiet_at(f)) {
		f->quiet_since_ms = now_ms;
		if (!f->looking)
			f->look_at_ms = now_ms;
	}
	if (!f->looking && now_ms >= f->look_at_ms)
		look(f);
}

bool fence_core_next(struct fence_core *f, struct fence_todo *out)
{
	if (f->end != FENCE_RUNS)
		return false;
	memset(out, 0, sizeof(*out));
	if (f->look_due) {
		f->look_due = false;
		out->step = FENCE_LOOK;
		return true;
	}
	for (unsigned int i = 0; i < f->vms; i++) {
		struct vm *v = &f->vm[i];

		if (v->phase != TO_ASK)
			continue;
		v->phase = ASKS;
		memset(v->word, 0, sizeof(v->word));
		out->step = FENCE_ROUND;
		out->vm = i;
		out->request.purpose = TICKET_FOR_FENCE;
		strcpy(out->request.target, f->c.target);
		strcpy(out->request.peer, v->peer);
		out->request.give_up_ms = give_up_ms(f);
		return true;
	}
	return false;
}

uint64_t fence_core_wake_ms(const struct fence_core *f)
{
	uint64_t at = deadline(f);

	if (f->end != FENCE_RUNS)
		return UINT64_MAX;
	if (!f->looking && f->look_at_ms < at)
		at = f->look_at_ms;
	if (f->quiet_since_ms == 0 && all_decided(f) && quiet_at(f) < at)
		at = quiet_at(f);
	return at;
}

enum fence_end fence_core_end(const struct fence_core *f)
{
	return f->end;
}

const char *fence_core_text(const struct fence_core *f)
{
	return f->text;
}

const char *fence_core_vm(const struct fence_core *f, unsigned int vm)
{
	return f->vm[vm].name;
}

struct fence_core *fence_core_new(const struct fence_core_config *c,
				  uint64_t now_ms)
{
	struct fence_core *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->c = *c;
	f->now_ms = f->start_ms = now_ms;
	for (unsigned int i = 0; i < c->vms; i++)
		strcpy(f->vm[f->vms++].name, c->vm[i]);
	look(f);
	return f;
}

void fence_core_free(struct fence_core *f)
{
	if (f == NULL)
		return;
	for (unsigned int w = 0; w < f->c.witnesses; w++)
		sight_free(f->sight[w]);
	free(f);
}
