/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_xen.h - a Xen that there is not, behind xen_ops.h: two hosts in shared
 * memory, each with some domains.
 *
 * A domain that runs counts, in its memory, in its processor's record and in
 * its device model; where a stream of it is restored, all three have to agree.
 */
#ifndef REMUS_TEST_FAKE_XEN_H
#define REMUS_TEST_FAKE_XEN_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream_parse.h"
#include "util.h"
#include "xen_ops.h"

#define PAGES 64
#define DOMAINS 4
#define CONFIG "{\"c_info\": {\"type\": \"pvh\"}}"

struct domain {
	bool there, paused, stopped, marked;
	char name[64];
	uint64_t count;
	uint8_t memory[PAGES][4096];
};

struct host {
	struct domain d[DOMAINS];
	pid_t helper;	/* who opened it last */
	unsigned int saves, unpaused_early, checkpoints, whole;
	/* what is to go wrong */
	bool unfit, no_save, no_suspend, too_big, powered_off;
	unsigned int no_restore; /* times */
	unsigned int no_destroy; /* times */
};

static struct host *hosts; /* two, shared */
static struct host *here;  /* of the process */

static int fx_version(char *out, size_t bytes, char *err, size_t err_bytes)
{
	(void)err;
	(void)err_bytes;
	snprintf(out, bytes, "4.17");
	return 0;
}

static int fx_open(void **xen, char *err, size_t err_bytes)
{
	(void)err;
	(void)err_bytes;
	*xen = here;
	here->helper = getpid();
	return 0;
}

static void fx_close(void *xen)
{
	(void)xen;
}

static int fx_find(void *xen, const char *name, uint32_t *domid)
{
	struct host *h = xen;

	for (uint32_t i = 0; i < DOMAINS; i++)
		if (h->d[i].there && strcmp(h->d[i].name, name) == 0) {
			*domid = i;
			return 0;
		}
	return -ENOENT;
}

static struct domain *new_domain(struct host *h, const char *name,
				 uint32_t *domid)
{
	for (uint32_t i = 0; i < DOMAINS; i++) {
		struct domain *d = &h->d[i];

		if (d->there)
			continue;
		memset(d, 0, sizeof(*d));
		d->there = true;
		snprintf(d->name, sizeof(d->name), "%s", name);
		*domid = i;
		return d;
	}
	abort();
}

static int fx_create(void *xen, const char *cfg, const char *name,
		     uint32_t *domid, char *err, size_t err_bytes)
{
	if (strcmp(cfg, "/etc/xen/vm1.cfg") != 0)
		return set_err(err, err_bytes, -EIO, "no such file");
	new_domain(xen, name, domid)->paused = true;
	return 0;
}

static int fx_describe(void *xen, uint32_t domid, uint64_t memory_bytes,
		       struct xen_domain *out, char *err, size_t err_bytes)
{
	struct host *h = xen;

	(void)memory_bytes;
	if (h->unfit)
		return set_err(err, err_bytes, -EOPNOTSUPP, "it is unfit");
	snprintf(out->vif, sizeof(out->vif), "vif%u.0", domid);
	out->config = strdup(CONFIG);
	return 0;
}

static int fx_mark(void *xen, uint32_t domid)
{
	struct host *h = xen;

	h->d[domid].marked = true;
	return 0;
}

static int fx_marked(void *xen, uint32_t domid)
{
	struct host *h = xen;

	return h->d[domid].marked;
}

static int fx_pause(void *xen, uint32_t domid)
{
	struct host *h = xen;

	h->d[domid].paused = true;
	return 0;
}

static int fx_unpause(void *xen, uint32_t domid)
{
	struct host *h = xen;

	if (strcmp(h->d[domid].name, "vm1") != 0)
		h->unpaused_early++;
	h->d[domid].paused = false;
	return 0;
}

static int fx_rename(void *xen, uint32_t domid, const char *old,
		     const char *name)
{
	struct domain *d = &((struct host *)xen)->d[domid];

	if (strcmp(d->name, old) != 0)
		return -EIO;
	snprintf(d->name, sizeof(d->name), "%s", name);
	return 0;
}

static int fx_powerdown(void *xen, uint32_t domid)
{
	(void)domid;
	((struct host *)xen)->powered_off = true;
	return 0;
}

static int fx_destroy(void *xen, uint32_t domid)
{
	struct host *h = xen;

	if (h->no_destroy > 0) {
		h->no_destroy--;
		_exit(3); /* it takes its helper with it */
	}
	h->d[domid].there = false;
	return 0;
}

static int fx_alive(void *xen, uint32_t domid, char *why, size_t why_bytes)
{
	struct host *h = xen;

	snprintf(why, why_bytes, "the guest powered off");
	return h->d[domid].there && !h->powered_off;
}

/* The guest's time goes by while it is waited for. */
static void live(struct domain *d)
{
	if (d->paused || d->stopped)
		abort();
	for (int i = 0; i < 5; i++) {
		d->count++;
		memcpy(d->memory[0], &d->count, 8);
		memcpy(d->memory[1 + d->count % (PAGES - 1)], &d->count, 8);
	}
}

static int fx_suspend(void *xen, uint32_t domid)
{
	struct host *h = xen;

	if (h->no_suspend)
		return -EIO;
	live(&h->d[domid]);
	h->d[domid].stopped = true;
	return 0;
}

static int fx_resume(void *xen, uint32_t domid)
{
	struct host *h = xen;

	h->d[domid].stopped = false;
	return 0;
}

/* ---- streams ---- */

static int put(int fd, const void *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(fd, data, bytes);

		if (n <= 0)
			return -EPIPE;
		data = (const uint8_t *)data + n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int put_record(int fd, uint32_t type, const void *body, uint32_t bytes)
{
	uint32_t head[2] = { type, bytes };
	int rc = put(fd, head, sizeof(head));

	return rc < 0 ? rc : put(fd, body, bytes); /* of 8 bytes each */
}

/* The pages are those of a guest with memory far apart, all of them. */
static int put_pages(const struct host *h, const struct domain *d, int fd)
{
	uint32_t head[4] = { 1, 8 + PAGES * (8 + 4096), PAGES, 0 };
	uint64_t pfns[PAGES];
	int rc;

	for (uint64_t i = 0; i < PAGES; i++) {
		pfns[i] = i < 32 ? i : 0xfeff8 - 64 + i;
		if (h->too_big)
			pfns[i] = i * 512;
	}
	rc = put(fd, head, sizeof(head));
	if (rc == 0)
		rc = put(fd, pfns, sizeof(pfns));
	return rc < 0 ? rc : put(fd, d->memory, sizeof(d->memory));
}

static int put_headers(int fd)
{
	static const uint8_t headers[] = {
		'L', 'i', 'b', 'x', 'l', 'F', 'm', 't', 0, 0, 0, 2, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0, /* LIBXC_CONTEXT */
		255, 255, 255, 255, 255, 255, 255, 255, 'X', 'E', 'N', 'F',
		0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,
		3, 0, 0, 0, 12, 0, 0, 0, 4, 0, 0, 0, 17, 0, 0, 0,
	};
	int rc = put(fd, headers, sizeof(headers));

	return rc < 0 ? rc : put_record(fd, 0x10, NULL, 0);
}

/* EMULATOR_CONTEXT, CHECKPOINT_END */
static int put_emulator(const struct domain *d, int fd)
{
	uint64_t body[2] = { 2, d->count };
	int rc = put_record(fd, 3, body, sizeof(body));

	return rc < 0 ? rc : put_record(fd, 4, NULL, 0);
}

static int one_checkpoint(struct host *h, struct domain *d, int fd,
			  const struct xen_save_calls *c, void *ctx)
{
	if (c->suspend(ctx) != 1 || put_pages(h, d, fd) < 0 ||
	    put_record(fd, 9, &d->count, 8) < 0 ||
	    put_record(fd, 0xe, NULL, 0) < 0 || put_emulator(d, fd) < 0 ||
	    c->postcopy(ctx) != 1)
		return -EIO;
	return c->checkpoint(ctx) == 1 ? 1 : 0;
}

static int fx_save(void *xen, uint32_t domid, int fd,
		   const struct xen_save_calls *c, void *ctx, char *err,
		   size_t err_bytes)
{
	struct host *h = xen;
	struct domain *d = &h->d[domid];
	int rc = put_headers(fd), more = 1;

	h->saves++;
	for (unsigned int round = 0; rc == 0 && more > 0; round++) {
		live(d);
		rc = put_pages(h, d, fd);
		if (h->no_save)
			return set_err(err, err_bytes, -EIO, "no log-dirty");
		if (rc == 0)
			more = c->live(ctx, round);
	}
	if (rc < 0 || more < 0)
		return set_err(err, err_bytes, -EIO, "given up");
	while ((more = one_checkpoint(h, d, fd, c, ctx)) > 0)
		live(d);
	return more < 0 ? set_err(err, err_bytes, -EIO, "a checkpoint failed")
			: 0;
}

struct reading {
	struct host *h;
	struct domain *d;
	uint64_t pfns[PAGES];
	unsigned int n, at;
	bool record, emulator, counted, torn;
	uint64_t emulated;
};

static int read_event(void *ctx, const struct stream_event *ev)
{
	struct reading *r = ctx;

	if (ev->kind == STREAM_PAGE_DATA) {
		r->n = ev->pfns;
		r->at = 0;
		memcpy(r->pfns, ev->data + STREAM_PAGE_HEAD, 8 * ev->pfns);
	} else if (ev->kind == STREAM_PAGES) {
		for (uint32_t i = 0; i < ev->pages; i++) {
			uint64_t pfn = r->pfns[r->at++];

			pfn = pfn < 32 ? pfn : pfn + 64 - 0xfeff8;
			memcpy(r->d->memory[pfn], ev->data + i * 4096, 4096);
		}
	} else if (ev->kind == STREAM_RECORD) {
		r->record = ev->layer == STREAM_LIBXC && ev->type == 9;
		r->emulator = ev->layer == STREAM_LIBXL && ev->type == 3;
	} else if (ev->kind == STREAM_BODY && r->emulator) {
		memcpy(&r->emulated, ev->data + 8, 8);
	} else if (ev->kind == STREAM_BODY && r->record) {
		memcpy(&r->d->count, ev->data, 8);
		r->counted = true;
	} else if (ev->kind == STREAM_CHECKPOINT || ev->kind == STREAM_END) {
		uint64_t count;

		memcpy(&count, r->d->memory[0], 8);
		r->torn |= !r->counted || count != r->d->count ||
			   count != r->emulated;
		if (ev->kind == STREAM_CHECKPOINT)
			r->h->checkpoints++;
		else
			r->h->whole++;
	}
	return 0;
}

static int fx_restore(void *xen, const char *config, const char *name, int fd,
		      bool checkpoints, uint32_t *domid, char *err,
		      size_t err_bytes)
{
	struct host *h = xen;
	struct domain *d = new_domain(xen, name, domid);
	struct reading r = { .h = h, .d = d };
	struct stream_parser *p = stream_parser_new(read_event, &r);
	static uint8_t buf[65536];
	ssize_t n;
	int rc = 0;

	if (h->no_restore > 0) {
		h->no_restore--;
		d->there = false;
		return set_err(err, err_bytes, -ENOMEM, "no memory for it");
	}
	d->paused = true;
	while (rc == 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		rc = stream_parser_feed(p, buf, (size_t)n);
	if (rc == 0)
		rc = stream_parser_finish(p);
	if (rc != 0 || stream_parser_info(p)->ended == checkpoints || r.torn ||
	    !r.counted || strcmp(config, CONFIG) != 0) {
		d->there = false;
		rc = set_err(err, err_bytes, -EIO, "not restored");
	}
	stream_parser_free(p);
	return rc;
}

static const struct xen_ops fake_xen = {
	.version = fx_version, .open = fx_open, .close = fx_close,
	.find = fx_find, .create = fx_create, .describe = fx_describe,
	.mark = fx_mark, .marked = fx_marked, .pause = fx_pause,
	.unpause = fx_unpause, .rename = fx_rename,
	.powerdown = fx_powerdown, .destroy = fx_destroy, .alive = fx_alive,
	.suspend = fx_suspend, .resume = fx_resume, .save = fx_save,
	.restore = fx_restore,
};

#endif
