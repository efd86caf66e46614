/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remusctl_shell.c - a status as lines that a POSIX shell may eval:
 * remus_KEY='VALUE'.
 *
 * What remusd says goes into single quotes, in which the shell knows but one
 * special character, the quote itself; names are written only when they are
 * names.  So no value, whatever is in it, can become a command.
 */
#include <stdlib.h>
#include <string.h>

#include "remusctl.h"

#define PREFIX "remus_"

static bool is_name(const char *s)
{
	return *s != '\0' &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void put_quoted(FILE *f, const char *s)
{
	putc('\'', f);
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			fputs("'\\''", f);
		else
			putc(*s, f);
	}
	putc('\'', f);
}

static void put_value(FILE *f, const json_t *v)
{
	if (json_is_string(v))
		put_quoted(f, json_string_value(v));
	else if (json_is_boolean(v))
		fputs(json_is_true(v) ? "'true'" : "'false'", f);
	else if (json_is_integer(v))
		fprintf(f, "'%lld'", (long long)json_integer_value(v));
	else
		fprintf(f, "'%.2f'", json_number_value(v));
	putc('\n', f);
}

static void put_object(FILE *f, const char *outer, json_t *o)
{
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v) {
		char name[128];

		if (!is_name(key) ||
		    snprintf(name, sizeof(name), "%s%s", outer, key) >=
			    (int)sizeof(name) - 1)
			continue;
		if (json_is_object(v)) {
			strcat(name, "_");
			put_object(f, name, v);
		} else if (!json_is_array(v) && !json_is_null(v)) {
			fprintf(f, "%s=", name);
			put_value(f, v);
		}
	}
}

void show_shell(FILE *f, json_t *status)
{
	put_object(f, PREFIX, status);
}
