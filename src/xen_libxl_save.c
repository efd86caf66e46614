/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_libxl_save.c - checkpoints of a domain: a stream of libxl whose inner one
 * libxenguest writes.
 *
 * libxl has no call that makes one checkpoint when it is told to.  So its layer
 * is made here: header and LIBXC_CONTEXT before, and behind each CHECKPOINT of
 * libxc the state of an HVM guest's device model, and CHECKPOINT_END.
 */
#ifdef HAVE_XENLIGHT

#include "xen_libxl_priv.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "xen_emulator.h"

/* Where libxl has its device models' sockets, and has their state saved. */
#define QMP_SOCKET "/var/run/xen/qmp-libxl-%u"
#define SAVED_STATE "/var/lib/xen/qemu-save.%u"
#define PHYSMAP "/local/domain/0/device-model/%u/physmap"

static bool is_suspended(struct xen *x, uint32_t domid)
{
	libxl_dominfo info;
	bool is;

	libxl_dominfo_init(&info);
	is = libxl_domain_info(x->ctx, &info, domid) == 0 && info.shutdown &&
	     info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
	libxl_dominfo_dispose(&info);
	return is;
}

int xen_libxl_suspend(void *xen, uint32_t domid)
{
	struct xen *x = xen;

	if (libxl_domain_suspend_only(x->ctx, domid, NULL) == 0)
		return 0;
	/* An HVM guest may have suspended, and its device model not: it is not
	 * to stand still for that. */
	if (is_suspended(x, domid))
		xen_libxl_resume(xen, domid);
	return -EIO;
}

int xen_libxl_resume(void *xen, uint32_t domid)
{
	struct xen *x = xen;

	return libxl_domain_resume(x->ctx, domid, 1, NULL) == 0 ? 0 : -EIO;
}

struct saving {
	struct xen *x;
	uint32_t domid;
	int fd;
	bool hvm;
	const struct xen_save_calls *calls;
	void *ctx;
	struct xen_bytes records;
	char why[200];
};

/* ---- libxl's layer ---- */

static int put_record(struct saving *s, uint32_t type)
{
	uint32_t head[2] = { htole32(type), 0 };

	return xen_bytes_add(&s->records, head, sizeof(head));
}

static int flush(struct saving *s)
{
	int rc = write_fully(s->fd, s->records.data, s->records.bytes);

	s->records.bytes = 0;
	return rc;
}

static int begin(struct saving *s)
{
	static const uint8_t header[16] = {
		'L', 'i', 'b', 'x', 'l', 'F', 'm', 't', 0, 0, 0, 2,
	};
	int rc = xen_bytes_add(&s->records, header, sizeof(header));

	if (rc == 0)
		rc = put_record(s, XL_LIBXC_CONTEXT);
	return rc == 0 ? flush(s) : rc;
}

/* ---- the device model ---- */

static int add_pair(struct saving *s, struct xen_bytes *pairs,
		    const char *entry, const char *key)
{
	char path[160], name[100];
	unsigned int n;
	char *value;
	int rc;

	snprintf(name, sizeof(name), "physmap/%s/%s", entry, key);
	snprintf(path, sizeof(path), PHYSMAP "/%s/%s", s->domid, entry, key);
	value = xs_read(s->x->xs, XBT_NULL, path, &n);
	if (value == NULL)
		return -errno;
	rc = xen_bytes_add(pairs, name, strlen(name) + 1);
	if (rc == 0)
		rc = xen_bytes_add(pairs, value, strlen(value) + 1);
	free(value);
	return rc;
}

/* Where in the guest's memory its device model has put some of its own: the
 * screen's. */
static int add_physmap(struct saving *s)
{
	static const char *const keys[] = { "start_addr", "size", "name" };
	struct xen_bytes pairs = { .data = NULL };
	unsigned int n = 0;
	char path[64], **entries;
	int rc = 0;

	snprintf(path, sizeof(path), PHYSMAP, s->domid);
	entries = xs_directory(s->x->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; entries != NULL && i < n; i++)
		for (size_t k = 0; k < ARRAY_LEN(keys) && rc == 0; k++)
			rc = add_pair(s, &pairs, entries[i], keys[k]);
	if (rc == 0)
		rc = xen_emulator_add_xenstore(&s->records, &pairs);
	free(entries);
	free(pairs.data);
	return rc < 0 ? set_err(s->why, sizeof(s->why), rc,
				"%s of xenstore cannot be had: %s", path,
				strerror(-rc))
		      : 0;
}

static int add_emulator(struct saving *s)
{
	char path[64];
	int rc = add_physmap(s);

	snprintf(path, sizeof(path), SAVED_STATE, s->domid);
	return rc < 0 ? rc
		      : xen_emulator_add_context(&s->records, path, s->why,
						 sizeof(s->why));
}

/* ---- what libxenguest calls ---- */

static int on_precopy(struct precopy_stats st, void *data)
{
	struct saving *s = data;
	int r;

	if (st.dirty_count >= 0) /* before a round */
		return XGS_POLICY_CONTINUE_PRECOPY;
	r = s->calls->live(s->ctx, st.iteration);
	return r < 0 ? XGS_POLICY_ABORT :
	       r > 0 ? XGS_POLICY_CONTINUE_PRECOPY : XGS_POLICY_STOP_AND_COPY;
}

static int on_suspend(void *data)
{
	struct saving *s = data;

	return s->calls->suspend(s->ctx);
}

/* Behind libxc's CHECKPOINT. */
static int on_postcopy(void *data)
{
	struct saving *s = data;
	int rc = s->hvm ? add_emulator(s) : 0;

	if (rc == 0)
		rc = put_record(s, XL_CHECKPOINT_END);
	if (rc == 0)
		rc = flush(s);
	return rc < 0 ? 0 : s->calls->postcopy(s->ctx);
}

static int on_checkpoint(void *data)
{
	struct saving *s = data;

	return s->calls->checkpoint(s->ctx);
}

/* PVH guests have no device model; PV guests do not ask. */
static int on_logdirty(uint32_t domid, unsigned int enable, void *data)
{
	struct saving *s = data;
	char path[64];

	if (!s->hvm)
		return 0;
	snprintf(path, sizeof(path), QMP_SOCKET, domid);
	return xen_emulator_log_dirty(path, enable, s->why, sizeof(s->why));
}

/* Not known is an error: without its device model an HVM guest is not whole. */
static int find_type(struct saving *s)
{
	libxl_dominfo info;
	int rc;

	libxl_dominfo_init(&info);
	rc = libxl_domain_info(s->x->ctx, &info, s->domid) == 0 ? 0 : -EIO;
	s->hvm = rc == 0 && info.domain_type == LIBXL_DOMAIN_TYPE_HVM;
	libxl_dominfo_dispose(&info);
	return rc;
}

int xen_libxl_save(void *xen, uint32_t domid, int fd,
		   const struct xen_save_calls *calls, void *ctx, char *err,
		   size_t err_bytes)
{
	struct saving s = { .x = xen, .domid = domid, .fd = fd,
			    .calls = calls, .ctx = ctx };
	struct save_callbacks cb = {
		.suspend = on_suspend,
		.precopy_policy = on_precopy,
		.postcopy = on_postcopy,
		.checkpoint = on_checkpoint,
		.switch_qemu_logdirty = on_logdirty,
		.data = &s,
	};
	int rc;

	s.x->log.last[0] = '\0';
	rc = find_type(&s);
	if (rc == 0)
		rc = begin(&s);
	if (rc == 0)
		rc = xc_domain_save(s.x->xc, fd, domid, XCFLAGS_LIVE, &cb,
				    XC_STREAM_REMUS, -1);
	free(s.records.data);
	if (rc == 0)
		return 0;
	if (s.why[0] != '\0')
		return set_err(err, err_bytes, -EIO, "%s", s.why);
	return xen_bad(xen, err, err_bytes, "the domain cannot be saved");
}

#endif
