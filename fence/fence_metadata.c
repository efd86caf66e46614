/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence_metadata.c - what the agent says about itself; fence_options.h. */
#include <string.h>

#include "fence_options_priv.h"

static const char shortdesc[] =
	"Fencing of replicated virtual machines by their clients";

static const char longdesc[] =
	"fence_clientprobe counts a node as fenced when a majority of the "
	"witnesses (remus-witness, on the clients of the service) has decided "
	"that no copy of a virtual machine on it can be seen again: its "
	"tickets are another's or nobody's, and its leases are over.  While "
	"the clients still see the node serve, it fails and says who sees "
	"what.\n\n"
	"It switches nothing off.  It holds back what the copies on the node "
	"send, and nothing else: where disks or anything else is shared "
	"between the nodes, and for resources other than virtual machines of "
	"ocf:remus:vm, it is not enough alone.  Use it then in one level "
	"beside a power device.  The action reboot is the same as off; there "
	"is no action on.  See fence_clientprobe(8).";

static const char *const actions[] = {
	"off",	       "reboot",   "status",   "monitor", "list",
	"list-status", "metadata", "validate-all",
};

/* The long form is spelt with '-'. */
static void put_long(FILE *out, const char *name)
{
	fputs("--", out);
	for (; *name != '\0'; name++)
		fputc(*name == '_' ? '-' : *name, out);
}

static void put_getopt(FILE *out, const struct option_key *k)
{
	fputs("\t\t<getopt mixed=\"", out);
	if (k->letter != '\0')
		fprintf(out, "-%c, ", k->letter);
	put_long(out, k->name);
	if (k->value != NULL)
		fprintf(out, "=%s", k->value);
	fputs("\" />\n", out);
}

static void put_parameter(FILE *out, const struct option_key *k)
{
	fprintf(out, "\t<parameter name=\"%s\" unique=\"0\" required=\"%d\"",
		k->name, k->required);
	if (k->deprecated)
		fputs(" deprecated=\"1\"", out);
	if (k->obsoletes != NULL)
		fprintf(out, " obsoletes=\"%s\"", k->obsoletes);
	fputs(">\n", out);
	put_getopt(out, k);
	fprintf(out, "\t\t<content type=\"%s\"", k->type);
	if (k->fallback != NULL)
		fprintf(out, " default=\"%s\"", k->fallback);
	fprintf(out, " />\n\t\t<shortdesc lang=\"en\">%s</shortdesc>\n"
		"\t</parameter>\n", k->help);
}

void fence_options_metadata(FILE *out)
{
	fprintf(out, "<?xml version=\"1.0\" ?>\n"
		"<resource-agent name=\"fence_clientprobe\" shortdesc=\"%s\" >\n"
		"<longdesc>%s</longdesc>\n<vendor-url></vendor-url>\n"
		"<parameters>\n", shortdesc, longdesc);
	for (size_t i = 0; i < option_keys_count; i++) {
		if (!option_keys[i].hidden)
			put_parameter(out, &option_keys[i]);
	}
	fputs("</parameters>\n<actions>\n", out);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		fprintf(out, "\t<action name=\"%s\" />\n", actions[i]);
	fputs("</actions>\n</resource-agent>\n", out);
}

void fence_options_help(FILE *out)
{
	fputs("usage: fence_clientprobe [options]\n"
	      "Without options they are read from standard input, one "
	      "key=value a line.\n\n", out);
	for (size_t i = 0; i < option_keys_count; i++) {
		const struct option_key *k = &option_keys[i];

		if (k->hidden)
			continue;
		fputs("  ", out);
		if (k->letter != '\0')
			fprintf(out, "-%c, ", k->letter);
		put_long(out, k->name);
		fprintf(out, "%s%s\n        %s\n", k->value != NULL ? "=" : "",
			k->value != NULL ? k->value : "", k->help);
	}
	fputs("\nActions: off, reboot (the same), status, monitor, list, "
	      "list-status,\nvalidate-all, metadata.  Exit codes: 0 done or "
	      "on, 1 failed or unknown, 2 off.\n", out);
}
