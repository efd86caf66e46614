/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_libxl.c - Xen as it is: libxenlight, libxenguest, xenstore.
 *
 * What they have to say goes to stderr, the helper's log; the last error of it
 * into `err`.
 */
#ifdef HAVE_XENLIGHT

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "util.h"
#include "xen_libxl_priv.h"

/* ---- what the libraries say ---- */

static void on_message(xentoollog_logger *l, xentoollog_level level,
		       int errnoval, const char *context, const char *format,
		       va_list al)
	__attribute__((format(printf, 5, 0)));
static void on_message(xentoollog_logger *l, xentoollog_level level,
		       int errnoval, const char *context, const char *format,
		       va_list al)
{
	struct logger *log = (struct logger *)l;
	char line[400];

	if (level < XTL_NOTICE)
		return;
	vsnprintf(line, sizeof(line), format, al);
	fprintf(stderr, "%s: %s: %s%s%s\n", context != NULL ? context : "xen",
		xtl_level_to_string(level), line, errnoval > 0 ? ": " : "",
		errnoval > 0 ? strerror(errnoval) : "");
	if (level >= XTL_ERROR)
		snprintf(log->last, sizeof(log->last), "%.150s%s%.40s", line,
			 errnoval > 0 ? ": " : "",
			 errnoval > 0 ? strerror(errnoval) : "");
}

static void on_destroy(xentoollog_logger *l)
{
	(void)l;
}

int xen_bad(struct xen *x, char *err, size_t err_bytes, const char *what)
{
	return set_err(err, err_bytes, -EIO, "%s%s%s", what,
		       x->log.last[0] != '\0' ? ": " : "", x->log.last);
}

/* ---- life ---- */

static void xen_close(void *xen)
{
	struct xen *x = xen;

	if (x->xs != NULL)
		xs_close(x->xs);
	if (x->xc != NULL)
		xc_interface_close(x->xc);
	if (x->ctx != NULL)
		libxl_ctx_free(x->ctx);
	free(x);
}

static int xen_open(void **xen, char *err, size_t err_bytes)
{
	struct xen *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	x->log.vtable.vmessage = on_message;
	x->log.vtable.destroy = on_destroy;
	if (libxl_ctx_alloc(&x->ctx, LIBXL_VERSION, 0, &x->log.vtable) != 0)
		x->ctx = NULL;
	x->xc = xc_interface_open(&x->log.vtable, NULL, 0);
	x->xs = xs_open(0);
	if (x->ctx == NULL || x->xc == NULL || x->xs == NULL) {
		int rc = xen_bad(x, err, err_bytes, "no Xen that can be talked"
				 " to (is this a dom0, with its daemons?)");

		xen_close(x);
		return rc;
	}
	*xen = x;
	return 0;
}

static int xen_version(char *out, size_t bytes, char *err, size_t err_bytes)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	int v = xc == NULL ? -1 : xc_version(xc, XENVER_version, NULL);

	if (xc != NULL)
		xc_interface_close(xc);
	if (v < 0)
		return set_err(err, err_bytes, -ENODEV, "driver xen: there is "
			       "no Xen below (is this a dom0?)");
	snprintf(out, bytes, "%d.%d", v >> 16, v & 0xffff);
	return 0;
}

/* ---- domains ---- */

static int xen_find(void *xen, const char *name, uint32_t *domid)
{
	struct xen *x = xen;

	return libxl_name_to_domid(x->ctx, name, domid) == 0 ? 0 : -ENOENT;
}

/* xl.cfg is xl's: only it can read all of it. */
static int run_xl(const char *cfg, const char *name)
{
	char word[160];
	int status;
	pid_t pid;

	snprintf(word, sizeof(word), "name=\"%s\"", name);
	pid = fork();
	if (pid == 0) {
		execlp("xl", "xl", "create", "-q", "-e", "-p", cfg, word,
		       (char *)NULL);
		fprintf(stderr, "xl: %s\n", strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int xen_create(void *xen, const char *cfg, const char *name,
		      uint32_t *domid, char *err, size_t err_bytes)
{
	if (run_xl(cfg, name) < 0)
		return set_err(err, err_bytes, -EIO, "xl create %s failed; the "
			       "log says why", cfg);
	if (xen_find(xen, name, domid) < 0)
		return set_err(err, err_bytes, -EIO, "xl create %s left no "
			       "domain %s", cfg, name);
	return 0;
}

static int unfit(char *err, size_t err_bytes, const char *why)
{
	return set_err(err, err_bytes, -EOPNOTSUPP, "%s", why);
}

static bool is_on(libxl_defbool b)
{
	return !libxl_defbool_is_default(b) && libxl_defbool_val(b);
}

static int check_hvm(const libxl_domain_config *c, char *err, size_t err_bytes)
{
	const libxl_domain_build_info *b = &c->b_info;

	/* Where nobody chose one, none is said. */
	if (b->device_model_version ==
		    LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN_TRADITIONAL ||
	    is_on(b->device_model_stubdomain))
		return unfit(err, err_bytes, "its device model is not QEMU in "
			     "dom0, whose state alone is replicated");
	if (is_on(b->nested_hvm) || is_on(b->u.hvm.nested_hvm))
		return unfit(err, err_bytes, "it has nestedhvm, whose state "
			     "Xen does not save");
	for (int i = 0; i < c->num_nics; i++)
		if (c->nics[i].nictype != LIBXL_NIC_TYPE_VIF)
			return unfit(err, err_bytes, "its vif has an emulated "
				     "card too, whose output the gate does not "
				     "hold; add type=vif to the vif");
	return 0;
}

static int check_kind(struct xen *x, const libxl_domain_config *c, char *err,
		      size_t err_bytes)
{
	libxl_physinfo p;
	bool shadow;

	if (c->c_info.type == LIBXL_DOMAIN_TYPE_PVH)
		return 0;
	if (c->c_info.type == LIBXL_DOMAIN_TYPE_HVM)
		return check_hvm(c, err, err_bytes);
	if (c->c_info.type != LIBXL_DOMAIN_TYPE_PV)
		return unfit(err, err_bytes, "a guest of unknown type");
	libxl_physinfo_init(&p);
	if (libxl_get_physinfo(x->ctx, &p) != 0)
		return xen_bad(x, err, err_bytes, "the hypervisor does not say "
			       "what it can do");
	shadow = p.cap_shadow;
	libxl_physinfo_dispose(&p);
	if (!shadow)
		return unfit(err, err_bytes, "this hypervisor has no shadow "
			     "paging: PV guests cannot be checkpointed; use "
			     "type=\"pvh\"");
	return 0;
}

static int check_devices(const libxl_domain_config *c, char *err,
			 size_t err_bytes)
{
	for (int i = 0; i < c->num_disks; i++)
		if (c->disks[i].readwrite)
			return unfit(err, err_bytes, "it has a disk that it can"
				     " write to, which is not replicated");
	if (c->num_pcidevs > 0 || c->num_rdms > 0 || c->num_dtdevs > 0 ||
	    c->num_usbctrls > 0 || c->num_usbdevs > 0)
		return unfit(err, err_bytes, "it has a device of this host's");
	if (c->num_vtpms > 0 || c->num_p9s > 0 || c->num_pvcallsifs > 0 ||
	    c->num_vdispls > 0 || c->num_vsnds > 0)
		return unfit(err, err_bytes, "it has a device whose state is "
			     "not replicated");
	if (c->num_nics != 1)
		return unfit(err, err_bytes, "it has not exactly one vif, and "
			     "the gate holds the output of one");
	return 0;
}

static int check(struct xen *x, const libxl_domain_config *c,
		 uint64_t memory_bytes, char *err, size_t err_bytes)
{
	int rc = check_kind(x, c, err, err_bytes);

	if (rc == 0)
		rc = check_devices(c, err, err_bytes);
	if (rc == 0 && c->b_info.max_memkb > memory_bytes / 1024)
		rc = set_err(err, err_bytes, -EOPNOTSUPP, "it has up to %llu "
			     "MiB of memory, and the definition says %llu",
			     (unsigned long long)c->b_info.max_memkb / 1024,
			     (unsigned long long)memory_bytes >> 20);
	return rc;
}

static int find_vif(struct xen *x, uint32_t domid, char vif[XEN_VIF_MAX])
{
	int n = 0, rc = -ENODEV;
	libxl_device_nic *nics = libxl_device_nic_list(x->ctx, domid, &n);

	if (nics == NULL)
		return -ENODEV;
	if (n == 1 && nics[0].ifname != NULL && nics[0].ifname[0] != '\0' &&
	    strlen(nics[0].ifname) < XEN_VIF_MAX) {
		strcpy(vif, nics[0].ifname);
		rc = 0;
	} else if (n == 1) {
		snprintf(vif, XEN_VIF_MAX, "vif%u.%d", domid, nics[0].devid);
		rc = 0;
	}
	libxl_device_nic_list_free(nics, n);
	return rc;
}

static int xen_describe(void *xen, uint32_t domid, uint64_t memory_bytes,
			struct xen_domain *out, char *err, size_t err_bytes)
{
	struct xen *x = xen;
	libxl_domain_config c;
	int rc;

	libxl_domain_config_init(&c);
	if (libxl_retrieve_domain_configuration(x->ctx, domid, &c, NULL) != 0) {
		rc = xen_bad(x, err, err_bytes, "its configuration cannot be "
			     "had");
		goto out;
	}
	rc = check(x, &c, memory_bytes, err, err_bytes);
	if (rc < 0)
		goto out;
	rc = find_vif(x, domid, out->vif);
	if (rc < 0) {
		xen_bad(x, err, err_bytes, "its vif cannot be found");
		goto out;
	}
	out->config = libxl_domain_config_to_json(x->ctx, &c);
	if (out->config == NULL)
		rc = xen_bad(x, err, err_bytes, "its configuration cannot be "
			     "written");
out:
	libxl_domain_config_dispose(&c);
	return rc;
}

static void mark_path(char path[64], uint32_t domid)
{
	snprintf(path, 64, "/libxl/%u/remus-ha", domid);
}

static int xen_mark(void *xen, uint32_t domid)
{
	struct xen *x = xen;
	char path[64];

	mark_path(path, domid);
	return xs_write(x->xs, XBT_NULL, path, "1", 1) ? 0 : -EIO;
}

static int xen_marked(void *xen, uint32_t domid)
{
	struct xen *x = xen;
	char path[64], *value;
	unsigned int n;

	mark_path(path, domid);
	value = xs_read(x->xs, XBT_NULL, path, &n);
	free(value);
	return value != NULL;
}

static int xen_pause(void *xen, uint32_t domid)
{
	struct xen *x = xen;

	return libxl_domain_pause(x->ctx, domid, NULL) == 0 ? 0 : -EIO;
}

static int xen_unpause(void *xen, uint32_t domid)
{
	struct xen *x = xen;

	return libxl_domain_unpause(x->ctx, domid, NULL) == 0 ? 0 : -EIO;
}

static int xen_rename(void *xen, uint32_t domid, const char *old,
		      const char *name)
{
	struct xen *x = xen;

	return libxl_domain_rename(x->ctx, domid, old, name) == 0 ? 0 : -EIO;
}

static int xen_powerdown(void *xen, uint32_t domid)
{
	struct xen *x = xen;

	return libxl_domain_shutdown(x->ctx, domid, NULL) == 0 ? 0 : -EIO;
}

static int xen_destroy(void *xen, uint32_t domid)
{
	struct xen *x = xen;

	return libxl_domain_destroy(x->ctx, domid, NULL) == 0 ? 0 : -EIO;
}

static const char *how_it_ended(libxl_shutdown_reason r)
{
	switch (r) {
	case LIBXL_SHUTDOWN_REASON_POWEROFF: return "the guest powered off";
	case LIBXL_SHUTDOWN_REASON_REBOOT: return "the guest rebooted";
	case LIBXL_SHUTDOWN_REASON_CRASH: return "the guest crashed";
	case LIBXL_SHUTDOWN_REASON_WATCHDOG:
		return "the guest's watchdog ended it";
	default: return "the guest was shut down";
	}
}

/* When nobody can say, it is there (S6). */
static int xen_alive(void *xen, uint32_t domid, char *why, size_t why_bytes)
{
	struct xen *x = xen;
	libxl_dominfo info;
	int r, alive = 1;

	libxl_dominfo_init(&info);
	r = libxl_domain_info(x->ctx, &info, domid);
	if (r == ERROR_DOMAIN_NOTFOUND || (r == 0 && info.dying)) {
		snprintf(why, why_bytes, "the domain was destroyed");
		alive = 0;
	} else if (r == 0 && info.shutdown &&
		   info.shutdown_reason != LIBXL_SHUTDOWN_REASON_SUSPEND) {
		snprintf(why, why_bytes, "%s",
			 how_it_ended(info.shutdown_reason));
		alive = 0;
	}
	libxl_dominfo_dispose(&info);
	return alive;
}

/* ---- the backup ---- */

static int xen_restore(void *xen, const char *config, const char *name, int fd,
		       bool checkpoints, uint32_t *domid, char *err,
		       size_t err_bytes)
{
	struct xen *x = xen;
	libxl_domain_restore_params params;
	libxl_domain_config c;
	int rc = 0;

	libxl_domain_restore_params_init(&params);
	params.checkpointed_stream = checkpoints
					     ? LIBXL_CHECKPOINTED_STREAM_REMUS
					     : LIBXL_CHECKPOINTED_STREAM_NONE;
	params.stream_version = 2;
	libxl_domain_config_init(&c);
	x->log.last[0] = '\0';
	if (libxl_domain_config_from_json(x->ctx, &c, config) != 0) {
		rc = xen_bad(x, err, err_bytes, "the domain's configuration "
			     "cannot be read");
	} else {
		free(c.c_info.name);
		c.c_info.name = strdup(name);
		if (c.c_info.name == NULL)
			rc = set_err(err, err_bytes, -ENOMEM, "out of memory");
		else if (libxl_domain_create_restore(x->ctx, &c, domid, fd, -1,
						     &params, NULL, NULL) != 0)
			rc = xen_bad(x, err, err_bytes, "the domain cannot be "
				     "restored");
	}
	libxl_domain_config_dispose(&c);
	libxl_domain_restore_params_dispose(&params);
	return rc;
}

static const struct xen_ops libxl_ops = {
	.version = xen_version,
	.open = xen_open,
	.close = xen_close,
	.find = xen_find,
	.create = xen_create,
	.describe = xen_describe,
	.mark = xen_mark,
	.marked = xen_marked,
	.pause = xen_pause,
	.unpause = xen_unpause,
	.rename = xen_rename,
	.powerdown = xen_powerdown,
	.destroy = xen_destroy,
	.alive = xen_alive,
	.suspend = xen_libxl_suspend,
	.resume = xen_libxl_resume,
	.save = xen_libxl_save,
	.restore = xen_restore,
};

const struct xen_ops *const xen_libxl = &libxl_ops;

#else

#include "xen_ops.h"

const struct xen_ops *const xen_libxl = NULL;

#endif
