/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain-memory - a PV domain held at a checkpoint, and what its memory is.
 *
 *	domain-memory hold DOMID     waits until somebody suspends it, and pauses
 *	                             it before that one can resume it
 *	domain-memory dump DOMID     to standard output, for each of its pages:
 *	                             pfn, mfn, type (64 bits each, as they lie in
 *	                             memory here), content
 *
 * Pages are found by whose frames they are, not by the guest's tables: those of a
 * domain that was restored and has not run yet are not complete.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>

#define POLL_US 500
#define BATCH 1024
#define PFN_MAX 0xffffffffu

/* Exported, but not declared. */
int xc_get_pfn_type_batch(xc_interface *xc, uint32_t domid, unsigned int n,
			  xen_pfn_t *mfns);

struct dump {
	xc_interface *xc;
	xenforeignmemory_handle *mem;
	uint32_t domid;
	xen_pfn_t *m2p;
	/* this batch: the domain's own, and what they are */
	xen_pfn_t mfns[BATCH], types[BATCH];
	size_t n;
};

static int state(xc_interface *xc, uint32_t domid, xc_dominfo_t *info)
{
	if (xc_domain_getinfo(xc, domid, 1, info) == 1 && info->domid == domid)
		return 0;
	fprintf(stderr, "domain-memory: no domain %" PRIu32 "\n", domid);
	return -1;
}

static int hold(xc_interface *xc, uint32_t domid)
{
	xc_dominfo_t info;

	do {
		usleep(POLL_US);
		if (state(xc, domid, &info) < 0)
			return 1;
	} while (!info.shutdown);
	if (xc_domain_pause(xc, domid) < 0 || state(xc, domid, &info) < 0)
		return 1;
	/* Resumed between the two looks, it may have run. */
	return info.shutdown && info.paused ? 0 : 3;
}

static int put(const void *data, size_t bytes)
{
	return fwrite(data, bytes, 1, stdout) == 1 ? 0 : -1;
}

/* Which frames are the domain's: of others the hypervisor says nothing. */
static int find_batch(struct dump *d, xen_pfn_t from, xen_pfn_t n)
{
	xen_pfn_t types[BATCH];

	for (xen_pfn_t i = 0; i < n; i++)
		types[i] = from + i;
	if (xc_get_pfn_type_batch(d->xc, d->domid, (unsigned int)n, types) < 0)
		return -1;
	d->n = 0;
	for (xen_pfn_t i = 0; i < n; i++) {
		xen_pfn_t type = types[i] & XEN_DOMCTL_PFINFO_LTAB_MASK;

		if (type == XEN_DOMCTL_PFINFO_XTAB ||
		    d->m2p[from + i] > PFN_MAX)
			continue;
		d->mfns[d->n] = from + i;
		d->types[d->n++] = type;
	}
	return 0;
}

static int dump_batch(const struct dump *d)
{
	int errs[BATCH], rc = 0;
	uint8_t *pages;

	if (d->n == 0)
		return 0;
	pages = xenforeignmemory_map(d->mem, d->domid, PROT_READ, d->n,
				     d->mfns, errs);
	if (pages == NULL)
		return -1;
	for (size_t i = 0; i < d->n && rc == 0; i++) {
		uint64_t head[3] = { d->m2p[d->mfns[i]], d->mfns[i],
				     d->types[i] };

		rc = errs[i] != 0 ? -1 : put(head, sizeof(head));
		if (rc == 0)
			rc = put(pages + i * XC_PAGE_SIZE, XC_PAGE_SIZE);
	}
	xenforeignmemory_unmap(d->mem, pages, d->n);
	return rc;
}

static int dump_all(struct dump *d)
{
	unsigned long mfn0;
	xen_pfn_t max;

	d->mem = xenforeignmemory_open(NULL, 0);
	if (d->mem == NULL || xc_maximum_ram_page(d->xc, &max) < 0)
		return -1;
	d->m2p = xc_map_m2p(d->xc, max, PROT_READ, &mfn0);
	if (d->m2p == NULL)
		return -1;
	for (xen_pfn_t mfn = 0; mfn < max; mfn += BATCH)
		if (find_batch(d, mfn, max - mfn < BATCH ? max - mfn : BATCH) <
			    0 ||
		    dump_batch(d) < 0)
			return -1;
	return fflush(stdout) == 0 ? 0 : -1;
}

static int dump(xc_interface *xc, uint32_t domid)
{
	static struct dump d;
	xc_dominfo_t info;

	if (state(xc, domid, &info) < 0)
		return 1;
	if (!info.paused) {
		fprintf(stderr, "domain-memory: it is not paused\n");
		return 1;
	}
	d.xc = xc;
	d.domid = domid;
	if (dump_all(&d) == 0)
		return 0;
	perror("domain-memory");
	return 1;
}

int main(int argc, char **argv)
{
	xc_interface *xc;
	uint32_t domid;
	int rc;

	if (argc != 3 ||
	    (strcmp(argv[1], "hold") != 0 && strcmp(argv[1], "dump") != 0)) {
		fprintf(stderr, "usage: domain-memory hold|dump DOMID\n");
		return 2;
	}
	xc = xc_interface_open(NULL, NULL, 0);
	if (xc == NULL) {
		fprintf(stderr, "domain-memory: there is no Xen below\n");
		return 1;
	}
	domid = (uint32_t)strtoul(argv[2], NULL, 10);
	rc = argv[1][0] == 'h' ? hold(xc, domid) : dump(xc, domid);
	xc_interface_close(xc);
	return rc;
}
