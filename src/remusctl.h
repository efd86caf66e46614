/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remusctl.h - what the parts of remusctl(8) share. */
#ifndef REMUS_REMUSCTL_H
#define REMUS_REMUSCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* remusctl's exit codes are an interface: agents decide by them. */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_REFUSED = 1,     /* remusd said no, or failed */
	CTL_USAGE = 2,	     /* wrong command line or configuration */
	CTL_NO_ANSWER = 3,   /* no remusd answers: the VM's state is unknown */
	CTL_OUTCOME_UNKNOWN = 4, /* asked, but not answered (in time) */
};

struct ctl {
	bool json;
	bool shell;		/* status: as lines for a shell */
	bool peer_is_dead;
	bool end;		/* demote: end the guest, no handover */
	uint64_t generation_above; /* start: at least one more than this */
	int timeout_ms;
	unsigned int count;	/* top: screens before it ends; 0: no end */
	const char *config_dir;
	const char *cmd;
	const char *vm;
	char **more; /* words after the VM's name */
	int n_more;
};

/* ---- remusctl.c ---- */

/* Ask the remusd of `vm`.  CTL_DONE with a new reference in *reply (which may
 * still say "ok": false), else the exit code, with a line in `err`. */
enum ctl_exit ctl_ask(const char *vm, const json_t *request, int timeout_ms,
		      json_t **reply, char *err, size_t err_bytes);

/* ---- remusctl_show.c: JSON of a status as text for people ---- */

void show_status(FILE *f, const json_t *status);
/* The state, in few words: "primary, syncing 40 %". */
void show_summary(const json_t *status, char *buf, size_t bytes);
/* "12.3 ms"; "4.5 MB" */
const char *show_us(long long us, char *buf, size_t bytes);
const char *show_bytes(double n, char *buf, size_t bytes);
/* Members of an object, and of an object in it; 0 or "" when not there. */
long long show_num(const json_t *j, const char *key);
long long show_num2(const json_t *j, const char *outer, const char *key);
const char *show_str(const json_t *j, const char *key);

/* ---- remusctl_shell.c ---- */

/* remus_KEY='VALUE' lines, safe to eval; members of an inner object as
 * remus_OUTER_KEY. */
void show_shell(FILE *f, json_t *status);

/* ---- remusctl_top.c ---- */

enum ctl_exit ctl_top(const struct ctl *ctl, char *err, size_t err_bytes);

/* ---- remusctl_list.c ---- */

enum ctl_exit ctl_list(const struct ctl *ctl, char *err, size_t err_bytes);
enum ctl_exit ctl_check(const struct ctl *ctl, char *err, size_t err_bytes);

#endif
