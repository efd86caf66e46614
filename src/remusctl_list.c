/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remusctl_list.c - the commands that look at definitions: list and check. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "remusctl.h"
#include "util.h"
#include "vm_config.h"

#define LIST_TIMEOUT_MS 2000 /* per VM: one that hangs must not hide the rest */

static int is_conf(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return len > 5 && strcmp(d->d_name + len - 5, ".conf") == 0;
}

/* One VM as JSON: what its remusd says, or why it says nothing. */
static json_t *one_vm(const struct ctl *ctl, const char *vm, const char *path)
{
	json_t *j, *reply = NULL, *req = json_pack("{s:s}", "cmd", "status");
	int ms = ctl->timeout_ms < LIST_TIMEOUT_MS ? ctl->timeout_ms
						   : LIST_TIMEOUT_MS;
	struct vm_config *cfg = NULL;
	char err[512] = "", wrong[1024] = "";
	enum ctl_exit x = ctl_ask(vm, req, ms, &reply, err, sizeof(err));

	json_decref(req);
	vm_config_load(&cfg, path, wrong, sizeof(wrong));
	vm_config_free(cfg);
	j = json_pack("{s:s, s:s, s:s, s:b, s:s}", "vm", vm, "file", path,
		      "wrong", wrong, "answers", x == CTL_DONE, "error",
		      x == CTL_DONE ? show_str(reply, "error") : err);
	if (j != NULL && x == CTL_DONE) {
		json_object_set(j, "role", json_object_get(reply, "role"));
		json_object_set(j, "state", json_object_get(reply, "state"));
		json_object_set_new(j, "status", json_incref(reply));
	}
	json_decref(reply);
	return j;
}

static void print_vm(const json_t *j)
{
	const json_t *status = json_object_get(j, "status");
	char text[256];

	if (status == NULL)
		snprintf(text, sizeof(text), "unknown: %s",
			 show_str(j, "error"));
	else if (*show_str(j, "error") != '\0')
		snprintf(text, sizeof(text), "%s", show_str(j, "error"));
	else
		show_summary(status, text, sizeof(text));
	printf("%-20s %s\n", show_str(j, "vm"), text);
	if (*show_str(j, "wrong") != '\0')
		printf("%-20s %s\n", "", show_str(j, "wrong"));
}

static void list_one(const struct ctl *ctl, json_t *all, const char *file)
{
	char path[PATH_MAX], vm[NAME_MAX + 1];
	json_t *j;

	snprintf(path, sizeof(path), "%s/%s", ctl->config_dir, file);
	snprintf(vm, sizeof(vm), "%.*s", (int)(strlen(file) - 5), file);
	if (!vm_name_ok(vm))
		return;
	j = one_vm(ctl, vm, path);
	if (j == NULL)
		return;
	if (!ctl->json)
		print_vm(j);
	json_array_append_new(all, j);
}

enum ctl_exit ctl_list(const struct ctl *ctl, char *err, size_t err_bytes)
{
	json_t *all = json_array(), *top;
	struct dirent **files;
	int n = scandir(ctl->config_dir, &files, is_conf, alphasort);

	if (n < 0) {
		json_decref(all);
		set_err(err, err_bytes, -errno, "%s: %s", ctl->config_dir,
			strerror(errno));
		return CTL_USAGE;
	}
	for (int i = 0; i < n; i++) {
		list_one(ctl, all, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	top = json_pack("{s:b, s:o}", "ok", 1, "vms", all);
	if (ctl->json && top != NULL) {
		json_dumpf(top, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(top);
	return CTL_DONE;
}

enum ctl_exit ctl_check(const struct ctl *ctl, char *err, size_t err_bytes)
{
	struct vm_config *cfg;
	char path[PATH_MAX], note[512] = "";
	int self;

	if (strchr(ctl->vm, '/') != NULL || strstr(ctl->vm, ".conf") != NULL)
		snprintf(path, sizeof(path), "%s", ctl->vm);
	else
		snprintf(path, sizeof(path), "%s/%s.conf", ctl->config_dir,
			 ctl->vm);
	if (vm_config_load(&cfg, path, err, err_bytes) < 0)
		return CTL_USAGE;
	/* Not an error: files are also checked elsewhere. */
	self = vm_config_self(cfg, NULL, note, sizeof(note));
	if (ctl->json)
		printf("{\"ok\": true, \"vm\": \"%s\", \"node\": \"%s\"}\n",
		       cfg->name, self < 0 ? "" : cfg->node[self].name);
	else
		printf("%s: good\n", path);
	if (self < 0)
		fprintf(stderr, "remusctl: note: %s\n", note);
	vm_config_free(cfg);
	return CTL_DONE;
}
