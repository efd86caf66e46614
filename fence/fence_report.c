/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_report.c - see fence_core_priv.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fence_core_priv.h"

void fence_say(struct fence_core *f, const char *fmt, ...)
{
	size_t at = strlen(f->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text + at, sizeof(f->text) - at, fmt, ap);
	va_end(ap);
}

void fence_begin_failure(struct fence_core *f)
{
	f->end = FENCE_FAILED;
	f->text[0] = '\0';
	fence_say(f, "%s is not fenced: ", f->c.target);
}

const char *fence_witness_name(const struct fence_core *f, unsigned int w)
{
	return f->c.witness[w].name;
}

void fence_say_sights(struct fence_core *f, const char *vm)
{
	char why[TICKET_WHY_MAX];

	for (unsigned int w = 0; w < f->c.witnesses; w++) {
		const struct sight_vm *v = sight_find(f->sight[w], vm);
		const char *who = fence_witness_name(f, w);

		if (f->sight[w] == NULL)
			fence_say(f, "  %s: %s\n", who, f->why[w]);
		else if (v == NULL)
			fence_say(f, "  %s: does not know %s\n", who, vm);
		else if (sight_seen_on(v, f->c.target, why))
			fence_say(f, "  %s: %s\n", who, why);
		else if (!sight_has_looked(v))
			fence_say(f, "  %s: just started, not looked yet\n",
				  who);
		else
			fence_say(f, "  %s: sees nothing of %s\n", who,
				  f->c.target);
	}
}

void fence_say_words(struct fence_core *f, const struct vm *v)
{
	for (unsigned int w = 0; w < f->c.witnesses; w++)
		fence_say(f, "  %s: %s\n", fence_witness_name(f, w),
			  v->word[w].text[0] != '\0' ? v->word[w].text
						     : "not asked");
}

void fence_fail_seen(struct fence_core *f, const char *vm)
{
	fence_begin_failure(f);
	fence_say(f, "clients still see it serve %s\n", vm);
	fence_say_sights(f, vm);
}

void fence_fail_silent(struct fence_core *f)
{
	fence_begin_failure(f);
	fence_say(f, "no majority of the %u witnesses answers\n",
		  f->c.witnesses);
	for (unsigned int w = 0; w < f->c.witnesses; w++)
		fence_say(f, "  %s: %s\n", fence_witness_name(f, w),
			  f->sight[w] != NULL ? "answered" : f->why[w]);
}
