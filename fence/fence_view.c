/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_view.c - see fence_view.h. */
#include "fence_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *buf;
	size_t bytes;
};

static void say(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	size_t at = strlen(t->buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->buf + at, t->bytes - at, fmt, ap);
	va_end(ap);
}

static unsigned int majority(const struct fence_view *v)
{
	return ticket_majority(v->witnesses);
}

static unsigned int count_sights(const struct fence_view *v)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < v->witnesses; w++)
		n += v->sight[w] != NULL;
	return n;
}

bool fence_view_majority(const struct fence_view *v)
{
	return count_sights(v) >= majority(v);
}

void fence_view_answers(const struct fence_view *v, char *text,
			size_t text_bytes)
{
	struct text t = { text, text_bytes };

	text[0] = '\0';
	for (unsigned int w = 0; w < v->witnesses; w++)
		say(&t, "  %s: %s\n", v->witness[w].name,
		    v->sight[w] != NULL ? "answered" : v->why[w]);
}

/* ---- power ---- */

static bool counts(const struct fence_view *v, const char *vm)
{
	for (unsigned int i = 0; i < v->vms; i++) {
		if (strcmp(v->vm[i], vm) == 0)
			return true;
	}
	return v->vms == 0;
}

static unsigned int count_clear(const struct fence_view *v, const char *vm,
				const char *node)
{
	char why[TICKET_WHY_MAX];
	unsigned int n = 0;

	for (unsigned int w = 0; w < v->witnesses; w++) {
		const struct sight_vm *s = sight_find(v->sight[w], vm);

		n += s != NULL && sight_clear_of(s, node, why);
	}
	return n;
}

static void say_vm(const struct fence_view *v, const char *vm,
		   const char *node, struct text *t)
{
	char why[TICKET_WHY_MAX];

	for (unsigned int w = 0; w < v->witnesses; w++) {
		const struct sight_vm *s = sight_find(v->sight[w], vm);

		if (v->sight[w] == NULL)
			say(t, "  %s: %s\n", v->witness[w].name, v->why[w]);
		else if (s == NULL)
			say(t, "  %s: does not know %s\n", v->witness[w].name,
			    vm);
		else if (!sight_clear_of(s, node, why))
			say(t, "  %s: %s: %s\n", v->witness[w].name, vm, why);
		else
			say(t, "  %s: %s: nothing of it\n",
			    v->witness[w].name, vm);
	}
}

/* Was it dealt with when an earlier witness named it? */
static bool seen_before(const struct fence_view *v, unsigned int w,
			const char *vm, const char *node)
{
	for (unsigned int i = 0; i < w; i++) {
		const struct sight_vm *s = sight_find(v->sight[i], vm);

		if (s != NULL && sight_names(s, node))
			return true;
	}
	return false;
}

static unsigned int count_names(const struct fence_view *v, const char *vm,
				const char *node)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < v->witnesses; w++) {
		const struct sight_vm *s = sight_find(v->sight[w], vm);

		n += s != NULL && (node == NULL || sight_names(s, node));
	}
	return n;
}

/* Those that were asked for. */
static bool knows_given(const struct fence_view *v, struct text *t)
{
	for (unsigned int i = 0; i < v->vms; i++) {
		if (count_names(v, v->vm[i], NULL) > 0)
			continue;
		say(t, "  no witness knows %s\n", v->vm[i]);
		return false;
	}
	return true;
}

enum view_power fence_view_power(const struct fence_view *v, const char *node,
				 char *text, size_t text_bytes)
{
	unsigned int silent = v->witnesses - count_sights(v), its = 0;
	struct text t = { text, text_bytes };
	bool off = true;

	text[0] = '\0';
	if (!fence_view_majority(v)) {
		fence_view_answers(v, text, text_bytes);
		return VIEW_UNKNOWN;
	}
	for (unsigned int w = 0; w < v->witnesses; w++) {
		const struct sight *s = v->sight[w];

		for (unsigned int i = 0; s != NULL && i < s->vms; i++) {
			const char *vm = s->vm[i].name;
			unsigned int n = count_names(v, vm, node);

			if (n == 0 || n + silent < majority(v) ||
			    !counts(v, vm) || seen_before(v, w, vm, node))
				continue;
			its++;
			off &= count_clear(v, vm, node) >= majority(v);
			say_vm(v, vm, node, &t);
		}
	}
	if (its == 0) {
		say(&t, "  no majority of the witnesses knows a virtual "
		    "machine of it\n");
		return VIEW_UNKNOWN;
	}
	if (!knows_given(v, &t))
		return VIEW_UNKNOWN;
	return off ? VIEW_OFF : VIEW_ON;
}

/* ---- nodes ---- */

static bool is_node_of(const struct sight *s, const char *node)
{
	for (unsigned int i = 0; s != NULL && i < s->vms; i++) {
		for (unsigned int k = 0; k < SIGHT_NODES; k++) {
			if (strcmp(s->vm[i].node[k], node) == 0)
				return true;
		}
	}
	return false;
}

static bool is_listed(const char *const *list, unsigned int n,
		      const char *node)
{
	for (unsigned int i = 0; i < n; i++) {
		if (strcmp(list[i], node) == 0)
			return true;
	}
	return false;
}

static bool majority_names(const struct fence_view *v, const char *node)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < v->witnesses; w++)
		n += is_node_of(v->sight[w], node);
	return n >= majority(v);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

unsigned int fence_view_nodes(const struct fence_view *v,
			      const char *node[VIEW_NODES_MAX])
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < v->witnesses; w++) {
		const struct sight *s = v->sight[w];

		for (unsigned int i = 0; s != NULL && i < s->vms; i++) {
			for (unsigned int k = 0; k < SIGHT_NODES; k++) {
				const char *name = s->vm[i].node[k];

				if (n < VIEW_NODES_MAX &&
				    !is_listed(node, n, name) &&
				    majority_names(v, name))
					node[n++] = name;
			}
		}
	}
	qsort(node, n, sizeof(node[0]), by_name);
	return n;
}
