/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_cmdline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* ---- the command line ---- */

/* Words are collected into one text, NUL after each, then pointed at. */
struct words {
	FILE *f;
	size_t n;
};

static void word(struct words *w, const char *s)
{
	fputs(s, w->f);
	fputc('\0', w->f);
	w->n++;
}

static void option(struct words *w, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void option(struct words *w, const char *name, const char *fmt, ...)
{
	va_list ap;

	word(w, name);
	va_start(ap, fmt);
	vfprintf(w->f, fmt, ap);
	va_end(ap);
	fputc('\0', w->f);
	w->n++;
}

/* In QEMU's key=value lists a comma in a value is written twice. */
static void end_with_value(struct words *w, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == ',')
			fputc(',', w->f);
		fputc(*value, w->f);
	}
	fputc('\0', w->f);
	w->n++;
}

static void machine(struct words *w, const struct qemu_start *s)
{
	const struct vm_config *c = s->cfg;
	uint64_t mib = c->memory_bytes >> 20;

	/* suppress-vmdesc and send-configuration: what xen-save-devices-state
	 * writes has neither, and the loader must not wait for them. */
	option(w, "-machine", "q35,memory-backend=ram0,suppress-vmdesc=on");
	option(w, "-global", "migration.send-configuration=off");
	option(w, "-accel", "%s", s->kvm ? "kvm" : "tcg");
	option(w, "-cpu", "%s", s->kvm ? "host" : "max");
	option(w, "-smp", "%" PRIu32, c->cpus);
	option(w, "-m", "%" PRIu64 "M", mib);
	option(w, "-object", "memory-backend-file,id=ram0,size=%" PRIu64
	       "M,mem-path=/proc/self/fd/%d,share=on%s", mib, QEMU_FD_RAM,
	       s->populate ? ",prealloc=on" : "");
}

static void control(struct words *w, const struct qemu_start *s)
{
	option(w, "-chardev", "socket,id=qmp,fd=%d", QEMU_FD_QMP);
	option(w, "-mon", "chardev=qmp,mode=control");
	if (s->incoming)
		option(w, "-incoming", "defer");
	else
		word(w, "-S");
}

static bool uses_tap(const struct qemu_start *s)
{
	return !s->have_net && s->cfg->gate != NULL &&
	       strcmp(s->cfg->gate, "plug") == 0;
}

static void network(struct words *w, const struct qemu_start *s)
{
	if (s->have_net) {
		option(w, "-netdev", "dgram,id=net0,local.type=fd,local.str=%d",
		       QEMU_FD_NET);
	} else if (uses_tap(s)) {
		word(w, "-netdev");
		fputs("tap,id=net0,script=no,downscript=no,vhost=off,ifname=",
		      w->f);
		end_with_value(w, s->cfg->tap);
	} else {
		return;
	}
	option(w, "-device",
	       "virtio-net-pci,id=nic0,netdev=net0,romfile=,mac=%s",
	       s->cfg->mac);
}

static void console(struct words *w, const struct vm_config *c)
{
	if (c->console == NULL) {
		option(w, "-serial", "none");
		return;
	}
	/* append: the standby opens the same file while the primary writes */
	word(w, "-chardev");
	fputs("file,id=console0,append=on,path=", w->f);
	end_with_value(w, c->console);
	option(w, "-serial", "chardev:console0");
}

static void payload(struct words *w, const struct vm_config *c)
{
	if (c->kernel != NULL)
		option(w, "-kernel", "%s", c->kernel);
	if (c->initrd != NULL)
		option(w, "-initrd", "%s", c->initrd);
	if (c->append != NULL)
		option(w, "-append", "%s", c->append);
	for (char **a = c->qemu_args; a != NULL && *a != NULL; a++)
		word(w, *a);
}

static void all_words(struct words *w, const struct qemu_start *s)
{
	const struct vm_config *c = s->cfg;

	word(w, c->qemu_binary != NULL ? c->qemu_binary : QEMU_BINARY);
	word(w, "-name");
	fputs("debug-threads=on,guest=", w->f);
	end_with_value(w, c->name);
	word(w, "-nodefaults");
	word(w, "-no-user-config");
	option(w, "-display", "none");
	option(w, "-vga", "none");
	machine(w, s);
	control(w, s);
	network(w, s);
	console(w, c);
	payload(w, c);
}

char **qemu_cmdline_build(const struct qemu_start *s)
{
	char *text = NULL, **argv = NULL;
	struct words w = { 0 };
	size_t bytes = 0, head;
	int failed;

	w.f = open_memstream(&text, &bytes);
	if (w.f == NULL)
		return NULL;
	all_words(&w, s);
	failed = ferror(w.f);
	if (fclose(w.f) == 0 && !failed) {
		head = (w.n + 1) * sizeof(*argv);
		argv = malloc(head + bytes);
		if (argv != NULL) {
			char *p = memcpy((char *)argv + head, text, bytes);

			for (size_t i = 0; i < w.n; i++, p += strlen(p) + 1)
				argv[i] = p;
			argv[w.n] = NULL;
		}
	}
	free(text);
	return argv;
}

/* ---- fingerprint ---- */

/* FNV-1a, 64 bits.  Two nodes of one administrator compare this to catch
 * mistakes; nobody gains by a collision. */
static void mix(uint64_t *h, const char *s)
{
	do {
		*h ^= (uint8_t)*s;
		*h *= UINT64_C(0x100000001b3);
	} while (*s++ != '\0'); /* the NUL too: it keeps words apart */
}

static void mix_all(uint64_t *h, const struct qemu_start *s,
		    const char *version, const char *cpu)
{
	const struct vm_config *c = s->cfg;
	char line[128];

	snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu32 " %d%d%d%d",
		 c->memory_bytes, c->cpus, s->kvm, s->have_net || uses_tap(s),
		 c->console != NULL, c->kernel != NULL);
	mix(h, version);
	mix(h, line);
	mix(h, c->mac);
	mix(h, s->kvm ? cpu : "");
	for (char **a = c->qemu_args; a != NULL && *a != NULL; a++)
		mix(h, *a);
}

void qemu_fingerprint(const struct qemu_start *s, const char *version,
		      const char *cpu, uint8_t out[16])
{
	uint64_t h[2] = { UINT64_C(0xcbf29ce484222325),
			  UINT64_C(0x9ae16a3b2f90404f) };

	for (size_t i = 0; i < 2; i++) {
		mix_all(&h[i], s, version, cpu);
		for (size_t b = 0; b < 8; b++)
			out[i * 8 + b] = (uint8_t)(h[i] >> (8 * b));
	}
}
