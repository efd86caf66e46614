/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_look.c - see fence_core_priv.h. */
#include <string.h>

#include "fence_core_priv.h"

/* ---- the last look ---- */

unsigned int fence_count_sights(const struct fence_core *f)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < f->c.witnesses; w++)
		n += f->sight[w] != NULL;
	return n;
}

unsigned int fence_count_seen(const struct fence_core *f, const char *vm,
			       bool seen)
{
	char why[TICKET_WHY_MAX];
	unsigned int n = 0;

	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		const struct sight_vm *v = sight_find(f->sight[w], vm);
		bool s = v != NULL && sight_seen_on(v, f->c.target, why);

		n += seen ? s : v != NULL && !s && sight_has_looked(v);
	}
	return n;
}

bool fence_is_seen(const struct fence_core *f, const char *vm)
{
	return f->c.witnesses - fence_count_seen(f, vm, true) < fence_majority(f);
}

const struct ticket *fence_newest_ticket(const struct fence_core *f,
					  const char *vm)
{
	const struct sight_vm *best = NULL;

	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		const struct sight_vm *v = sight_find(f->sight[w], vm);

		if (v != NULL && v->accepted.n != 0 &&
		    (best == NULL ||
		     ballot_cmp(&v->accepted, &best->accepted) > 0))
			best = v;
	}
	return best == NULL ? NULL : &best->ticket;
}

bool fence_stands_by(const struct fence_core *f, const char *vm,
		      const struct ticket *t)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		const struct sight_vm *v = sight_find(f->sight[w], vm);

		n += v != NULL &&
		     sight_stands_by(v, t->backup, t->generation);
	}
	return n >= fence_majority(f);
}

/* ---- which machines ---- */

static struct vm *find_vm(struct fence_core *f, const char *name)
{
	for (unsigned int i = 0; i < f->vms; i++) {
		if (strcmp(f->vm[i].name, name) == 0)
			return &f->vm[i];
	}
	return NULL;
}

static bool add_vm(struct fence_core *f, const char *name)
{
	if (find_vm(f, name) != NULL)
		return true;
	if (f->vms == SIGHT_VMS_MAX) {
		fence_begin_failure(f);
		fence_say(f, "more than %d virtual machines\n", SIGHT_VMS_MAX);
		return false;
	}
	strcpy(f->vm[f->vms++].name, name);
	return true;
}

static unsigned int count_names(const struct fence_core *f, const char *vm,
				const char *node)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		const struct sight_vm *v = sight_find(f->sight[w], vm);

		n += v != NULL && (node == NULL || sight_names(v, node));
	}
	return n;
}

static bool check_given(struct fence_core *f)
{
	unsigned int silent = f->c.witnesses - fence_count_sights(f);

	for (unsigned int i = 0; i < f->vms; i++) {
		const char *vm = f->vm[i].name;

		if (count_names(f, vm, NULL) + silent >= fence_majority(f))
			continue;
		fence_begin_failure(f);
		fence_say(f, "no majority of the witnesses knows %s\n", vm);
		fence_say_sights(f, vm);
		return false;
	}
	return true;
}

/* Could it be one by a majority's word, with that of those who are silent?  (If
 * it is by theirs only, no majority decides its round: a failure.) */
static bool may_be_its(const struct fence_core *f, const char *vm)
{
	unsigned int silent = f->c.witnesses - fence_count_sights(f);

	return count_names(f, vm, f->c.target) + silent >= fence_majority(f);
}

static bool find_vms(struct fence_core *f)
{
	bool any = false;

	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		const struct sight *s = f->sight[w];

		for (unsigned int i = 0; s != NULL && i < s->vms; i++) {
			const char *vm = s->vm[i].name;

			if (may_be_its(f, vm) && !add_vm(f, vm))
				return false;
		}
	}
	for (unsigned int i = 0; i < f->vms; i++) {
		struct vm *v = &f->vm[i];

		if (v->phase == WAITS || v->phase == NOT_ITS)
			v->phase = may_be_its(f, v->name) ? WAITS : NOT_ITS;
		any |= v->phase != NOT_ITS;
	}
	if (any)
		return true;
	fence_begin_failure(f);
	fence_say(f, "no majority of the witnesses knows a virtual machine of "
		     "it\n");
	for (unsigned int w = 0; w < f->c.witnesses; w++)
		fence_say(f, "  %s: %s\n", fence_witness_name(f, w),
			  f->sight[w] == NULL ? f->why[w] : "knows none");
	return false;
}

bool fence_know_set(struct fence_core *f)
{
	return f->c.vms > 0 ? check_given(f) : find_vms(f);
}
