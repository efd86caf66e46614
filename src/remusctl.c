/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remusctl.c - the operator's and the agent's door to remusd; remusctl(8).
 *
 *   command line -> JSON request -> ipc -> reply -> text or JSON, exit code
 *
 * Exit codes keep apart what must not be mixed up (S6): remusd said no (1),
 * nobody answered (3), and nobody knows what became of the request (4).
 */
#include "remusctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "compression.h"
#include "config_value.h"
#include "ipc.h"
#include "util.h"

#define TIMEOUT_MS_DEFAULT 30000
#define TIMEOUT_MS_MAX (3600 * 1000)
#define ERR_BYTES 1024

struct command {
	const char *name;
	enum ctl_exit (*run)(const struct ctl *ctl, char *err,
			     size_t err_bytes);
	bool needs_vm;
	bool takes_dead; /* --peer-is-dead */
	bool takes_more; /* key=value */
	const char *help;
};

static enum ctl_exit run_status(const struct ctl *, char *, size_t);
static enum ctl_exit run_action(const struct ctl *, char *, size_t);
static enum ctl_exit run_set(const struct ctl *, char *, size_t);
static enum ctl_exit run_version(const struct ctl *, char *, size_t);
static enum ctl_exit run_help(const struct ctl *, char *, size_t);

static const struct command commands[] = {
	{ "status", run_status, true, false, false,
	  "what the VM's remusd on this node does" },
	{ "list", ctl_list, false, false, false,
	  "all VMs that have a definition on this node" },
	{ "top", ctl_top, true, false, false, "a live screen; q ends it" },
	{ "start", run_action, true, true, false,
	  "boot the VM, cold, on this node" },
	{ "stop", run_action, true, false, false,
	  "end the VM, or the backup, and its remusd" },
	{ "protect", run_action, true, false, false,
	  "begin to replicate to the peer" },
	{ "activate", run_action, true, true, false,
	  "backup: run the last committed epoch here" },
	{ "demote", run_action, true, false, false,
	  "primary: a last epoch, end the guest here, be backup" },
	{ "checkpoint", run_action, true, false, false,
	  "one epoch now; done when acknowledged" },
	{ "alone", run_action, true, true, false,
	  "primary: let output go without a backup" },
	{ "set", run_set, true, false, true,
	  "interval=TIME or compression=MODE, at run time" },
	{ "check", ctl_check, true, false, false,
	  "check a definition (a name or a file)" },
	{ "version", run_version, false, false, false, "print the version" },
	{ "help", run_help, false, false, false, "print this" },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static void usage(FILE *f)
{
	fputs("usage: remusctl [options] COMMAND [NAME] [key=value ...]\n\n",
	      f);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(f, "  %-11s%s\n", commands[i].name, commands[i].help);
	fputs("\n"
	      "  -j, --json            print JSON\n"
	      "  -t, --timeout S       wait for so many seconds (30)\n"
	      "      --peer-is-dead    with start, activate and alone: you "
	      "know that the\n"
	      "                        peer does not run the VM, and never "
	      "will\n"
	      "      --end             with demote: end the guest, nobody "
	      "takes over\n"
	      "      --generation-above N  with start: the ticket's generation "
	      "becomes\n"
	      "                        larger than N\n"
	      "      --shell           with status: print lines for a shell to "
	      "eval\n"
	      "      --config-dir DIR  where definitions are (" REMUS_CONFDIR ")\n"
	      "  -n, --count N         top: end after N screens\n\n"
	      "Exit codes: 0 done; 1 remusd refused or failed; 2 wrong usage "
	      "or\nconfiguration; 3 no remusd answers (which does not mean "
	      "that the VM is\nstopped); 4 no answer in time (the outcome is "
	      "unknown).\n", f);
}

/* ---- asking ---- */

static enum ctl_exit exit_of_connect(int rc)
{
	switch (rc) {
	case -ENOENT:
	case -ETIMEDOUT: /* connected to nothing yet, so nothing was asked */
		return CTL_NO_ANSWER;
	case -EACCES:
		return CTL_REFUSED;
	}
	return CTL_NO_ANSWER;
}

static enum ctl_exit exit_of_call(int rc)
{
	if (rc == 0)
		return CTL_DONE;
	return rc == -EMSGSIZE ? CTL_USAGE : CTL_OUTCOME_UNKNOWN;
}

enum ctl_exit ctl_ask(const char *vm, const json_t *request, int timeout_ms,
		      json_t **reply, char *err, size_t err_bytes)
{
	uint64_t begin = now_mono_ns(), used_ms;
	struct ipc_client *c;
	int rc;

	*reply = NULL;
	rc = ipc_connect(&c, vm, timeout_ms, err, err_bytes);
	if (rc < 0)
		return exit_of_connect(rc);
	used_ms = (now_mono_ns() - begin) / 1000000u;
	timeout_ms = used_ms < (uint64_t)timeout_ms
			     ? timeout_ms - (int)used_ms
			     : 0;
	rc = ipc_call(c, request, timeout_ms, reply, err, err_bytes);
	ipc_disconnect(c);
	return exit_of_call(rc);
}

/* Ask, and make a refusal an exit code too; *reply is there in both cases. */
static enum ctl_exit ask(const struct ctl *ctl, json_t *request,
			 json_t **reply, char *err, size_t err_bytes)
{
	enum ctl_exit x;

	if (request == NULL) {
		set_err(err, err_bytes, -ENOMEM, "out of memory");
		return CTL_REFUSED;
	}
	x = ctl_ask(ctl->vm, request, ctl->timeout_ms, reply, err, err_bytes);
	json_decref(request);
	if (x == CTL_DONE && !json_is_true(json_object_get(*reply, "ok"))) {
		set_err(err, err_bytes, -EIO, "%s",
			show_str(*reply, "error"));
		x = CTL_REFUSED;
	}
	if (x == CTL_DONE && ctl->json) {
		json_dumpf(*reply, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return x;
}

/* ---- the commands ---- */

static enum ctl_exit run_status(const struct ctl *ctl, char *err,
				size_t err_bytes)
{
	json_t *reply = NULL;
	enum ctl_exit x = ask(ctl, json_pack("{s:s}", "cmd", "status"), &reply,
			      err, err_bytes);

	if (x == CTL_DONE && ctl->shell)
		show_shell(stdout, reply);
	else if (x == CTL_DONE && !ctl->json)
		show_status(stdout, reply);
	json_decref(reply);
	return x;
}

/* "web: checkpoint: done, epoch 12" */
static void print_done(const struct ctl *ctl, const json_t *reply)
{
	char took[32];

	printf("%s: %s: done", ctl->vm, ctl->cmd);
	if (json_object_get(reply, "epoch") != NULL)
		printf(", epoch %lld", show_num(reply, "epoch"));
	if (json_object_get(reply, "took_us") != NULL)
		printf(" in %s", show_us(show_num(reply, "took_us"), took,
					 sizeof(took)));
	if (*show_str(reply, "message") != '\0')
		printf(": %s", show_str(reply, "message"));
	putchar('\n');
}

static enum ctl_exit do_request(const struct ctl *ctl, json_t *request,
				char *err, size_t err_bytes)
{
	json_t *reply = NULL;
	enum ctl_exit x = ask(ctl, request, &reply, err, err_bytes);

	if (x == CTL_DONE && !ctl->json)
		print_done(ctl, reply);
	json_decref(reply);
	return x;
}

static enum ctl_exit run_action(const struct ctl *ctl, char *err,
				size_t err_bytes)
{
	json_t *request = json_pack("{s:s}", "cmd", ctl->cmd);

	if (request != NULL && ctl->peer_is_dead)
		json_object_set_new(request, "peer_is_dead", json_true());
	if (request != NULL && ctl->end)
		json_object_set_new(request, "end", json_true());
	if (request != NULL && ctl->generation_above > 0)
		json_object_set_new(request, "generation_above",
				    json_integer((json_int_t)
						 ctl->generation_above));
	return do_request(ctl, request, err, err_bytes);
}

/* One key=value into the request.  remusd checks the value too; doing it here
 * makes a mistake a usage error whether or not a remusd answers. */
static int add_setting(json_t *request, const char *word, char *err,
		       size_t err_bytes)
{
	enum compression c;
	uint32_t ms;

	if (strncmp(word, "interval=", 9) == 0) {
		if (parse_ms(word + 9, VM_INTERVAL_MS_MIN, VM_INTERVAL_MS_MAX,
			     &ms) < 0)
			return set_err(err, err_bytes, -EINVAL,
				       "interval is a time from %dms to %dms, "
				       "not '%s'", VM_INTERVAL_MS_MIN,
				       VM_INTERVAL_MS_MAX, word + 9);
		return json_object_set_new(request, "interval",
					   json_string(word + 9));
	}
	if (strncmp(word, "compression=", 12) == 0) {
		if (compression_from_str(word + 12, &c) < 0)
			return set_err(err, err_bytes, -EINVAL,
				       "compression is one of "
				       COMPRESSION_NAMES ", not '%s'",
				       word + 12);
		return json_object_set_new(request, "compression",
					   json_string(word + 12));
	}
	return set_err(err, err_bytes, -EINVAL,
		       "'%s' cannot be set; interval=TIME and "
		       "compression=" COMPRESSION_NAMES " can", word);
}

static enum ctl_exit run_set(const struct ctl *ctl, char *err,
			     size_t err_bytes)
{
	json_t *request = json_pack("{s:s}", "cmd", "set");

	if (ctl->n_more == 0) {
		json_decref(request);
		set_err(err, err_bytes, -EINVAL, "set what? interval=TIME or "
			"compression=" COMPRESSION_NAMES);
		return CTL_USAGE;
	}
	for (int i = 0; i < ctl->n_more; i++) {
		if (add_setting(request, ctl->more[i], err, err_bytes) < 0) {
			json_decref(request);
			return CTL_USAGE;
		}
	}
	return do_request(ctl, request, err, err_bytes);
}

static enum ctl_exit run_version(const struct ctl *ctl, char *err,
				 size_t err_bytes)
{
	(void)err;
	(void)err_bytes;
	if (ctl->json)
		puts("{\"name\": \"" PACKAGE "\", \"version\": \"" VERSION
		     "\"}");
	else
		puts("remusctl (" PACKAGE ") " VERSION);
	return CTL_DONE;
}

static enum ctl_exit run_help(const struct ctl *ctl, char *err,
			      size_t err_bytes)
{
	(void)ctl;
	(void)err;
	(void)err_bytes;
	usage(stdout);
	return CTL_DONE;
}

/* ---- the command line ---- */

/* Seconds, or with a unit: "5", "2s", "500ms". */
static int parse_timeout(const char *text, int *out)
{
	uint64_t s;
	uint32_t ms;

	if (parse_uint(text, 1, TIMEOUT_MS_MAX / 1000, &s) == 0)
		*out = (int)s * 1000;
	else if (strchr(text, 's') != NULL &&
		 parse_ms(text, 1, TIMEOUT_MS_MAX, &ms) == 0)
		*out = (int)ms;
	else
		return -EINVAL;
	return 0;
}

static int parse_option(struct ctl *ctl, int opt, const char *arg, char *err,
			size_t err_bytes)
{
	uint64_t v;

	switch (opt) {
	case 'j':
		ctl->json = true;
		return 0;
	case 't':
		if (parse_timeout(arg, &ctl->timeout_ms) < 0)
			return set_err(err, err_bytes, -EINVAL, "--timeout is "
				       "1 to 3600 seconds, not '%s'", arg);
		return 0;
	case 'n':
		if (parse_uint(arg, 1, 1000000000, &v) < 0)
			return set_err(err, err_bytes, -EINVAL, "--count is a "
				       "number from 1, not '%s'", arg);
		ctl->count = (unsigned int)v;
		return 0;
	case 'D':
		ctl->peer_is_dead = true;
		return 0;
	case 'E':
		ctl->end = true;
		return 0;
	case 'S':
		ctl->shell = true;
		return 0;
	case 'G':
		if (parse_uint(arg, 0, INT64_MAX, &ctl->generation_above) < 0)
			return set_err(err, err_bytes, -EINVAL,
				       "--generation-above is a number, not "
				       "'%s'", arg);
		return 0;
	case 'C':
		ctl->config_dir = arg;
		return 0;
	case 'h':
		ctl->cmd = "help";
		return 0;
	case 'V':
		ctl->cmd = "version";
		return 0;
	}
	return set_err(err, err_bytes, -EINVAL,
		       "unknown option, or one without its value: '%s'",
		       arg == NULL ? "?" : arg);
}

static int parse_options(struct ctl *ctl, int argc, char **argv, char *err,
			 size_t err_bytes)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "timeout", required_argument, NULL, 't' },
		{ "count", required_argument, NULL, 'n' },
		{ "peer-is-dead", no_argument, NULL, 'D' },
		{ "end", no_argument, NULL, 'E' },
		{ "generation-above", required_argument, NULL, 'G' },
		{ "shell", no_argument, NULL, 'S' },
		{ "config-dir", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, rc = 0;

	opterr = 0;
	while (rc == 0 &&
	       (opt = getopt_long(argc, argv, "jt:n:hV", longs, NULL)) != -1)
		rc = parse_option(ctl, opt, opt == '?' ? argv[optind - 1]
						       : optarg,
				  err, err_bytes);
	return rc;
}

/* Options of one command each. */
static int only_for(const struct ctl *ctl, char *err, size_t err_bytes)
{
	const char *cmd = ctl->cmd, *what = NULL;

	if (ctl->end && strcmp(cmd, "demote") != 0)
		what = "--end";
	else if (ctl->shell && strcmp(cmd, "status") != 0)
		what = "--shell";
	else if (ctl->generation_above > 0 && strcmp(cmd, "start") != 0)
		what = "--generation-above";
	if (what != NULL)
		return set_err(err, err_bytes, -EINVAL, "%s does not take %s",
			       cmd, what);
	if (ctl->shell && ctl->json)
		return set_err(err, err_bytes, -EINVAL,
			       "--shell or --json, not both");
	return 0;
}

/* Words: COMMAND [NAME] [key=value...]; `check` takes a file for a name. */
static int parse_words(struct ctl *ctl, const struct command **cmd, int n,
		       char **words, char *err, size_t err_bytes)
{
	if (ctl->cmd == NULL && n == 0)
		return set_err(err, err_bytes, -EINVAL,
			       "which command? (remusctl help)");
	if (ctl->cmd == NULL) {
		ctl->cmd = *words++;
		n--;
	}
	*cmd = find_command(ctl->cmd);
	if (*cmd == NULL)
		return set_err(err, err_bytes, -EINVAL,
			       "unknown command '%s' (remusctl help)",
			       ctl->cmd);
	if ((*cmd)->needs_vm && n == 0)
		return set_err(err, err_bytes, -EINVAL, "%s which VM?",
			       ctl->cmd);
	if ((*cmd)->needs_vm) {
		ctl->vm = *words++;
		n--;
		if ((*cmd)->run != ctl_check && !vm_name_ok(ctl->vm))
			return set_err(err, err_bytes, -EINVAL,
				       "'%s' is not the name of a VM",
				       ctl->vm);
	}
	ctl->more = words;
	ctl->n_more = n;
	if (n > 0 && !(*cmd)->takes_more && (*cmd)->run != run_help)
		return set_err(err, err_bytes, -EINVAL,
			       "%s does not take '%s'", ctl->cmd, *words);
	if (ctl->peer_is_dead && !(*cmd)->takes_dead)
		return set_err(err, err_bytes, -EINVAL,
			       "%s does not take --peer-is-dead", ctl->cmd);
	return only_for(ctl, err, err_bytes);
}

static void print_failure(const struct ctl *ctl, enum ctl_exit x,
			  const char *err)
{
	json_t *j;

	if (ctl->vm != NULL && x != CTL_USAGE)
		fprintf(stderr, "remusctl: %s: %s\n", ctl->vm, err);
	else
		fprintf(stderr, "remusctl: %s\n", err);
	if (!ctl->json)
		return;
	j = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", err, "exit",
		      (int)x);
	if (j == NULL)
		return;
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .timeout_ms = TIMEOUT_MS_DEFAULT,
			   .config_dir = REMUS_CONFDIR };
	const struct command *cmd = NULL;
	char err[ERR_BYTES] = "";
	enum ctl_exit x = CTL_USAGE;

	if (parse_options(&ctl, argc, argv, err, sizeof(err)) == 0 &&
	    parse_words(&ctl, &cmd, argc - optind, argv + optind, err,
			sizeof(err)) == 0)
		x = cmd->run(&ctl, err, sizeof(err));
	if (x != CTL_DONE)
		print_failure(&ctl, x, err);
	/* A full disk or a closed pipe must not look like a result. */
	if (fflush(stdout) != 0 && x == CTL_DONE) {
		fprintf(stderr, "remusctl: cannot write: %s\n",
			strerror(errno));
		x = CTL_OUTCOME_UNKNOWN;
	}
	return x;
}
