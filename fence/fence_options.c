/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_options.c - see fence_options.h. */
#include "fence_options.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config_value.h"
#include "fence_options_priv.h"
#include "util.h"

#define SEPARATORS " \t\r\n,;"
#define LINE_BYTES_MAX 16384

static const struct {
	const char *name;
	enum fence_action action;
} actions[] = {
	{ "off", ACTION_OFF },
	{ "reboot", ACTION_REBOOT },
	{ "on", ACTION_ON },
	{ "status", ACTION_STATUS },
	{ "monitor", ACTION_MONITOR },
	{ "list", ACTION_LIST },
	{ "list-status", ACTION_LIST_STATUS },
	{ "validate-all", ACTION_VALIDATE_ALL },
	{ "metadata", ACTION_METADATA },
	{ "meta-data", ACTION_METADATA },
};

/* ---- setters: one for each kind of value ---- */

static void *member(struct fence_options *o, const struct option_key *k)
{
	return (char *)o + k->offset;
}

static int set_action(struct fence_options *o, const struct option_key *k,
		      char *value, char *err, size_t err_bytes)
{
	(void)k;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcmp(actions[i].name, value) == 0) {
			o->action = actions[i].action;
			return 0;
		}
	}
	return set_err(err, err_bytes, -EINVAL, "unknown action '%.64s'",
		       value);
}

static int set_node(struct fence_options *o, const struct option_key *k,
		    char *value, char *err, size_t err_bytes)
{
	if (value[0] != '\0' && !vm_name_ok(value))
		return set_err(err, err_bytes, -EINVAL,
			       "%s '%.80s' is not the name of a node", k->name,
			       value);
	strcpy(member(o, k), value);
	return 0;
}

static int add_witness(struct fence_options *o, char *word, char *err,
		       size_t err_bytes)
{
	struct witness_address *w = &o->witness[o->witnesses];
	char *url = strchr(word, '=');

	if (url != NULL)
		*url++ = '\0';
	if (url == NULL || !vm_name_ok(word) || !url_ok(url) ||
	    strlen(url) >= sizeof(w->url))
		return set_err(err, err_bytes, -EINVAL,
			       "witnesses: expected NAME=http://ADDRESS:PORT "
			       "(or https:), not '%.64s%s%.128s'",
			       word, url != NULL ? "=" : "",
			       url != NULL ? url : "");
	for (unsigned int i = 0; i < o->witnesses; i++) {
		if (strcmp(o->witness[i].name, word) == 0 ||
		    strcmp(o->witness[i].url, url) == 0)
			return set_err(err, err_bytes, -EINVAL,
				       "witnesses: %s is %s once more", word,
				       o->witness[i].name);
	}
	if (o->witnesses == WITNESSES_MAX)
		return set_err(err, err_bytes, -EINVAL,
			       "witnesses: more than %d", WITNESSES_MAX);
	strcpy(w->name, word);
	strcpy(w->url, url);
	o->witnesses++;
	return 0;
}

static int set_witnesses(struct fence_options *o, const struct option_key *k,
			 char *value, char *err, size_t err_bytes)
{
	char *save = NULL;
	int rc = 0;

	(void)k;
	for (char *word = strtok_r(value, SEPARATORS, &save);
	     word != NULL && rc == 0; word = strtok_r(NULL, SEPARATORS, &save))
		rc = add_witness(o, word, err, err_bytes);
	return rc;
}

static int add_vm(struct fence_options *o, const char *word, char *err,
		  size_t err_bytes)
{
	if (!vm_name_ok(word))
		return set_err(err, err_bytes, -EINVAL,
			       "vms: '%.80s' is not the name of a virtual "
			       "machine", word);
	for (unsigned int i = 0; i < o->vms; i++) {
		if (strcmp(o->vm[i], word) == 0)
			return 0;
	}
	if (o->vms == SIGHT_VMS_MAX)
		return set_err(err, err_bytes, -EINVAL, "vms: more than %d",
			       SIGHT_VMS_MAX);
	strcpy(o->vm[o->vms++], word);
	return 0;
}

static int set_vms(struct fence_options *o, const struct option_key *k,
		   char *value, char *err, size_t err_bytes)
{
	char *save = NULL;
	int rc = 0;

	(void)k;
	for (char *word = strtok_r(value, SEPARATORS, &save);
	     word != NULL && rc == 0; word = strtok_r(NULL, SEPARATORS, &save))
		rc = add_vm(o, word, err, err_bytes);
	if (rc == 0 && o->vms == 0)
		rc = set_err(err, err_bytes, -EINVAL, "vms: names none");
	return rc;
}

static int set_path(struct fence_options *o, const struct option_key *k,
		    char *value, char *err, size_t err_bytes)
{
	if (value[0] != '/' || strlen(value) >= PATH_MAX)
		return set_err(err, err_bytes, -EINVAL,
			       "%s must be an absolute path, not '%.200s'",
			       k->name, value);
	strcpy(member(o, k), value);
	return 0;
}

/* Seconds, as everywhere in this API, or with a unit as in remus.conf(5). */
static int set_time(struct fence_options *o, const struct option_key *k,
		    char *value, char *err, size_t err_bytes)
{
	uint32_t *slot = member(o, k);
	uint64_t s;

	if (parse_uint(value, 0, FENCE_TIMEOUT_MS_MAX / 1000, &s) == 0 &&
	    s * 1000 >= k->min && s * 1000 <= k->max) {
		*slot = (uint32_t)s * 1000;
		return 0;
	}
	if (strspn(value, "0123456789") != strlen(value) &&
	    parse_ms(value, k->min, k->max, slot) == 0)
		return 0;
	return set_err(err, err_bytes, -EINVAL,
		       "%s is a time from %u ms to %u s (a number alone is "
		       "seconds), not '%.64s'",
		       k->name, k->min, k->max / 1000, value);
}

static int set_verbose(struct fence_options *o, const struct option_key *k,
		       char *value, char *err, size_t err_bytes)
{
	(void)k;
	(void)err;
	(void)err_bytes;
	o->verbose = value[0] == '\0' || strcmp(value, "1") == 0 ||
		     strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 ||
		     strcmp(value, "on") == 0;
	return 0;
}

static int set_help(struct fence_options *o, const struct option_key *k,
		    char *value, char *err, size_t err_bytes)
{
	(void)value;
	(void)err;
	(void)err_bytes;
	o->action = k->letter == 'h' ? ACTION_HELP : ACTION_VERSION;
	return 0;
}

#define AT(m) offsetof(struct fence_options, m)

const struct option_key option_keys[] = {
	{ "action", 'o', "[action]", set_action, .type = "string",
	  .fallback = "reboot", .help = "Fencing action" },
	{ "plug", 'n', "[node]", set_node, AT(plug), .type = "string",
	  .obsoletes = "port",
	  .help = "Node to fence, by its name in remus.conf" },
	{ "port", '\0', "[node]", set_node, AT(port), .type = "string",
	  .deprecated = true,
	  .help = "Node to fence, by its name in remus.conf" },
	{ "nodename", '\0', "[node]", set_node, AT(nodename), .hidden = true,
	  .help = "The same, as the fencer gives it" },
	{ "witnesses", 'w', "[list]", set_witnesses, .type = "string",
	  .required = true,
	  .help = "The witnesses, NAME=URL each: all that remus.conf names, by "
		  "the same names" },
	{ "key_file", 'k', "[file]", set_path, AT(key_file), .type = "string",
	  .required = true,
	  .help = "File with the secret that nodes and witnesses share" },
	{ "ca_file", 'c', "[file]", set_path, AT(ca_file), .type = "string",
	  .help = "For https: certificates to trust instead of the system's" },
	{ "vms", 'm', "[list]", set_vms, .type = "string",
	  .help = "Virtual machines to take from the node; default: all that "
		  "a majority of the witnesses knows with it" },
	{ "timeout", 't', "[seconds]", set_time, AT(timeout_ms), .min = 1000,
	  .max = FENCE_TIMEOUT_MS_MAX, .type = "second", .fallback = "30",
	  .help = "When off and reboot fail at the latest; must be longer than "
		  "the longest lease, and shorter than the cluster's own "
		  "time-out" },
	{ "grace", 'g', "[seconds]", set_time, AT(grace_ms), .min = 0,
	  .max = FENCE_TIMEOUT_MS_MAX, .type = "second", .fallback = "5",
	  .help = "How long clients may see the node before off and reboot "
		  "fail, and how long a backup is waited for" },
	{ "request_timeout", 'r', "[seconds]", set_time,
	  AT(request_timeout_ms), .min = 50, .max = 60000, .type = "second",
	  .fallback = "1", .help = "How long a witness may take to answer" },
	{ "self", 's', "[node]", set_node, AT(self), .type = "string",
	  .help = "Name of the node that asks; default: uname -n" },
	{ "verbose", 'v', NULL, set_verbose, .type = "boolean",
	  .help = "Say more" },
	{ "version", 'V', NULL, set_help, .type = "boolean",
	  .help = "Print the version and exit" },
	{ "help", 'h', NULL, set_help, .type = "boolean",
	  .help = "Print how it is used and exit" },
};
const size_t option_keys_count = ARRAY_LEN(option_keys);

/* ---- from where ---- */

/* key_file and key-file are the same. */
static bool is_key(const struct option_key *k, const char *name, size_t len)
{
	if (strlen(k->name) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (k->name[i] != (name[i] == '-' ? '_' : name[i]))
			return false;
	}
	return true;
}

static const struct option_key *find_key(const char *name, size_t len)
{
	for (size_t i = 0; i < option_keys_count; i++) {
		if (is_key(&option_keys[i], name, len))
			return &option_keys[i];
	}
	return NULL;
}

static const struct option_key *find_letter(char letter)
{
	for (size_t i = 0; i < option_keys_count; i++) {
		if (option_keys[i].letter == letter && letter != '\0')
			return &option_keys[i];
	}
	return NULL;
}

static int set(struct fence_options *o, const struct option_key *k,
	       const char *value, char *err, size_t err_bytes)
{
	char copy[LINE_BYTES_MAX];

	if (strlen(value) >= sizeof(copy))
		return set_err(err, err_bytes, -EINVAL, "%s is too long",
			       k->name);
	if (value[0] == '\0' && k->value != NULL && k->set != set_node)
		return set_err(err, err_bytes, -EINVAL, "%s is empty",
			       k->name);
	strcpy(copy, value);
	return k->set(o, k, copy, err, err_bytes);
}

static int bad_option(const char *arg, char *err, size_t err_bytes)
{
	return set_err(err, err_bytes, -EINVAL, "unknown option '%.80s'; "
		       "try --help", arg);
}

/* The value of `k`, if it takes one: `rest` if that is there, else the next
 * word. */
static int set_from_words(struct fence_options *o, const struct option_key *k,
			  const char *rest, int *i, int argc, char **argv,
			  char *err, size_t err_bytes)
{
	if (k->value == NULL)
		return rest != NULL ? bad_option(argv[*i], err, err_bytes)
				    : set(o, k, "", err, err_bytes);
	if (rest == NULL && *i + 1 < argc)
		rest = argv[++*i];
	if (rest == NULL)
		return set_err(err, err_bytes, -EINVAL, "%.80s wants a value",
			       argv[*i]);
	return set(o, k, rest, err, err_bytes);
}

int fence_options_argv(struct fence_options *o, int argc, char **argv,
		       char *err, size_t err_bytes)
{
	int rc = 0;

	for (int i = 1; i < argc && rc == 0; i++) {
		const struct option_key *k = NULL;
		const char *arg = argv[i], *rest = NULL;

		if (strncmp(arg, "--", 2) == 0) {
			size_t len = strcspn(arg + 2, "=");

			k = find_key(arg + 2, len);
			rest = arg[2 + len] == '=' ? arg + 3 + len : NULL;
		} else if (arg[0] == '-') {
			k = find_letter(arg[1]);
			rest = arg[1] != '\0' && arg[2] != '\0' ? arg + 2
								: NULL;
		}
		rc = k == NULL ? bad_option(arg, err, err_bytes)
			       : set_from_words(o, k, rest, &i, argc, argv,
						err, err_bytes);
	}
	return rc;
}

/* What is between the blanks. */
static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

int fence_options_stdin(struct fence_options *o, FILE *in, char *err,
			size_t err_bytes)
{
	char line[LINE_BYTES_MAX];
	int rc = 0;

	while (rc == 0 && fgets(line, sizeof(line), in) != NULL) {
		const struct option_key *k;
		char *key, *value;

		if (strchr(line, '\n') == NULL && !feof(in))
			return set_err(err, err_bytes, -EINVAL,
				       "a line of the input is too long");
		key = trim(line);
		value = strchr(key, '=');
		if (key[0] == '#' || value == NULL)
			continue;
		*value++ = '\0';
		key = trim(key);
		k = find_key(key, strlen(key));
		if (k != NULL)
			rc = set(o, k, trim(value), err, err_bytes);
	}
	if (rc == 0 && ferror(in))
		rc = set_err(err, err_bytes, -EIO, "cannot read the input");
	return rc;
}

/* ---- all together ---- */

int fence_options_init(struct fence_options *o, char *err, size_t err_bytes)
{
	struct utsname u;

	memset(o, 0, sizeof(*o));
	o->action = ACTION_REBOOT;
	if (uname(&u) == 0 && vm_name_ok(u.nodename))
		strcpy(o->self, u.nodename);
	for (size_t i = 0; i < option_keys_count; i++) {
		const struct option_key *k = &option_keys[i];
		int rc = k->fallback == NULL
				 ? 0
				 : set(o, k, k->fallback, err, err_bytes);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool wants_plug(enum fence_action a)
{
	return a == ACTION_OFF || a == ACTION_REBOOT || a == ACTION_STATUS;
}

static int check_file(const char *key, const char *path, char *err,
		      size_t err_bytes)
{
	if (path[0] == '\0' || access(path, R_OK) == 0)
		return 0;
	return set_err(err, err_bytes, -errno, "%s '%s': %s", key, path,
		       strerror(errno));
}

int fence_options_check(struct fence_options *o, char *err, size_t err_bytes)
{
	if (o->plug[0] == '\0')
		strcpy(o->plug, o->port[0] != '\0' ? o->port : o->nodename);
	if (o->action == ACTION_ON)
		return set_err(err, err_bytes, -ENOTSUP,
			       "'on' is not there: what was taken from a node "
			       "comes back when it is protected again");
	if (o->action >= ACTION_METADATA)
		return 0;
	if (o->witnesses == 0)
		return set_err(err, err_bytes, -EINVAL,
			       "no witnesses are given");
	if (o->key_file[0] == '\0')
		return set_err(err, err_bytes, -EINVAL, "no key_file is given");
	if (o->self[0] == '\0')
		return set_err(err, err_bytes, -EINVAL,
			       "this node's name is not one for remus: give "
			       "`self'");
	if (wants_plug(o->action) && o->plug[0] == '\0')
		return set_err(err, err_bytes, -EINVAL, "which node? (plug)");
	if ((o->action == ACTION_OFF || o->action == ACTION_REBOOT) &&
	    strcmp(o->plug, o->self) == 0)
		return set_err(err, err_bytes, -EINVAL,
			       "%s is this node: none fences itself", o->plug);
	if (o->grace_ms >= o->timeout_ms)
		return set_err(err, err_bytes, -EINVAL,
			       "grace must be shorter than timeout");
	return check_file("ca_file", o->ca_file, err, err_bytes);
}
