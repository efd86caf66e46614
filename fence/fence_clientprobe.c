/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_clientprobe.c - fence agent: a node is fenced when a majority of the
 * witnesses has decided that its copies can never be seen again;
 * fence_clientprobe(8).
 *
 * Exit codes: 0 done, or `on`; 1 anything else, unknown too (S6); 2 `off`, of
 * status.  What failed goes to standard error, where the cluster logs it.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fence_run.h"

#define EXIT_OFF 2

static int complain(const char *err)
{
	fprintf(stderr, "fence_clientprobe: %s\n", err);
	return EXIT_FAILURE;
}

static int off(struct fence_run *r)
{
	char text[FENCE_TEXT_MAX];
	int rc = fence_run_off(r, text, sizeof(text));

	fputs(text, rc == 0 ? stdout : stderr);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int status(struct fence_run *r, const struct fence_options *o)
{
	char text[FENCE_TEXT_MAX];
	struct fence_view v;
	enum view_power p;

	fence_run_look(r, &v);
	p = fence_view_power(&v, o->plug, text, sizeof(text));
	if (p == VIEW_UNKNOWN) {
		fprintf(stderr, "fence_clientprobe: what %s does is not "
			"known\n%s", o->plug, text);
		return EXIT_FAILURE;
	}
	printf("Status: %s\n", p == VIEW_ON ? "ON" : "OFF");
	if (o->verbose)
		fputs(text, stdout);
	return p == VIEW_ON ? EXIT_SUCCESS : EXIT_OFF;
}

static int monitor(struct fence_run *r, const struct fence_options *o)
{
	char text[FENCE_TEXT_MAX];
	struct fence_view v;
	bool ok;

	fence_run_look(r, &v);
	ok = fence_view_majority(&v);
	fence_view_answers(&v, text, sizeof(text));
	if (!ok)
		fprintf(stderr, "fence_clientprobe: no majority of the %u "
			"witnesses answers\n%s", v.witnesses, text);
	else if (o->verbose)
		fputs(text, stdout);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const char *power_word(const struct fence_view *v, const char *node)
{
	char text[FENCE_TEXT_MAX];

	switch (fence_view_power(v, node, text, sizeof(text))) {
	case VIEW_ON: return "ON";
	case VIEW_OFF: return "OFF";
	case VIEW_UNKNOWN: break;
	}
	return "UNKNOWN";
}

static int list(struct fence_run *r, bool with_status)
{
	const char *node[VIEW_NODES_MAX];
	char text[FENCE_TEXT_MAX];
	struct fence_view v;
	unsigned int n;

	fence_run_look(r, &v);
	if (!fence_view_majority(&v)) {
		fence_view_answers(&v, text, sizeof(text));
		fprintf(stderr, "fence_clientprobe: no majority of the %u "
			"witnesses answers\n%s", v.witnesses, text);
		return EXIT_FAILURE;
	}
	n = fence_view_nodes(&v, node);
	for (unsigned int i = 0; i < n; i++) {
		if (with_status)
			printf("%s,,%s\n", node[i], power_word(&v, node[i]));
		else
			printf("%s,\n", node[i]);
	}
	return EXIT_SUCCESS;
}

static int act(const struct fence_options *o)
{
	struct fence_run *r;
	char err[1024];
	int code;

	/* validate-all too: the key is read, nobody is asked. */
	if (fence_run_new(&r, o, err, sizeof(err)) < 0)
		return complain(err);
	switch (o->action) {
	case ACTION_OFF:
	case ACTION_REBOOT: code = off(r); break;
	case ACTION_STATUS: code = status(r, o); break;
	case ACTION_MONITOR: code = monitor(r, o); break;
	case ACTION_LIST: code = list(r, false); break;
	case ACTION_LIST_STATUS: code = list(r, true); break;
	case ACTION_VALIDATE_ALL: code = EXIT_SUCCESS; break;
	default: code = EXIT_FAILURE; break;
	}
	fence_run_free(r);
	return code;
}

int main(int argc, char **argv)
{
	static struct fence_options o;
	char err[1024];
	int rc = fence_options_init(&o, err, sizeof(err));
	int code = EXIT_SUCCESS;

	if (rc == 0)
		rc = argc > 1 ? fence_options_argv(&o, argc, argv, err,
						   sizeof(err))
			      : fence_options_stdin(&o, stdin, err,
						    sizeof(err));
	if (rc == 0)
		rc = fence_options_check(&o, err, sizeof(err));
	if (rc < 0)
		return complain(err);
	if (o.action == ACTION_METADATA)
		fence_options_metadata(stdout);
	else if (o.action == ACTION_HELP)
		fence_options_help(stdout);
	else if (o.action == ACTION_VERSION)
		puts(PACKAGE_STRING);
	else
		code = act(&o);
	/* A list that was cut off is not one. */
	if (fflush(stdout) != 0 || ferror(stdout))
		code = code == EXIT_OFF ? code : EXIT_FAILURE;
	return code;
}
