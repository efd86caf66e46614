/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_make.h - streams as Xen writes them, made up.
 *
 * Written after xen's two specifications, not after our parser: every kind of
 * record, pages of every type, in any order and twice in a record, checkpoints.
 * xen's own verifier classes (xen-utils, xen/migration/) take them, but for what
 * `strange` adds, which a reader has to ignore.
 */
#ifndef REMUS_TEST_STREAM_MAKE_H
#define REMUS_TEST_STREAM_MAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAKE_PAGE 4096
#define MAKE_GUEST 96 /* pages of the guest */

struct recipe {
	bool xl, libxl;	      /* headers; without libxl a bare libxc stream */
	unsigned int version; /* of libxc: 2 or 3 */
	bool hvm;
	unsigned int checkpoints; /* of Remus */
	bool end;		  /* ends with END, not behind a checkpoint */
	bool strange;		  /* reserved bits set, optional records */
	uint64_t seed;
	bool steady; /* beside pages, an epoch is as the last, but for 8 bytes */
};

struct made {
	uint8_t *data;
	size_t bytes, cap;
	uint64_t pages, absent; /* with content, and without */
	size_t checkpoint[16];	/* where each of the first ends */
	unsigned int checkpoints;
	uint64_t x;
	uint8_t guest[MAKE_GUEST][MAKE_PAGE];
};

static inline uint64_t made_random(struct made *m)
{
	m->x ^= m->x << 13;
	m->x ^= m->x >> 7;
	m->x ^= m->x << 17;
	return m->x;
}

static inline void put(struct made *m, const void *data, size_t n)
{
	if (m->cap - m->bytes < n) {
		m->cap = 2 * m->cap + n;
		m->data = realloc(m->data, m->cap);
		if (m->data == NULL)
			abort();
	}
	memcpy(m->data + m->bytes, data, n);
	m->bytes += n;
}

static inline void put_number(struct made *m, uint64_t v, unsigned int bytes,
			      bool big)
{
	uint8_t b[8];

	for (unsigned int i = 0; i < bytes; i++)
		b[big ? bytes - 1 - i : i] = (uint8_t)(v >> (8 * i));
	put(m, b, bytes);
}

/* A record: what its body must begin with (8 bytes, or none), noise, padding. */
static inline void put_headed(struct made *m, uint32_t type, uint32_t length,
			      uint64_t first)
{
	put_number(m, type, 4, false);
	put_number(m, length, 4, false);
	if (length >= 8)
		put_number(m, first, 8, false);
	for (uint32_t i = 8; i < length; i++)
		put_number(m, made_random(m), 1, false);
	put_number(m, 0, (8 - length % 8) % 8, false);
}

/* A record whose body is noise, and its padding. */
static inline void put_record(struct made *m, uint32_t type, uint32_t length)
{
	put_number(m, type, 4, false);
	put_number(m, length, 4, false);
	for (uint32_t i = 0; i < length; i++)
		put_number(m, made_random(m), 1, false);
	put_number(m, 0, (8 - length % 8) % 8, false);
}

static inline void change_page(struct made *m, uint8_t *page)
{
	switch (made_random(m) % 6) {
	case 0: /* unchanged */
		break;
	case 1:
		memset(page, 0, MAKE_PAGE);
		break;
	case 2: /* rewritten */
		for (size_t i = 0; i < MAKE_PAGE; i++)
			page[i] = (uint8_t)made_random(m);
		break;
	case 3: /* rewritten with text */
		for (size_t i = 0; i < MAKE_PAGE; i++)
			page[i] = (uint8_t)('a' + made_random(m) % 3);
		break;
	default: /* some words */
		for (int i = 0; i < 5; i++)
			page[made_random(m) % MAKE_PAGE] ^= 0x55;
		page[100] ^= 0x55; /* what it was before, again and again */
	}
}

/* One PAGE_DATA of `count` pages from `first` on, up or down. */
static inline void put_page_data(struct made *m, unsigned int first,
				 unsigned int count, bool down, bool strange)
{
	static const uint8_t types[] = { 0, 0, 0, 0, 1, 4, 9, 0xc, 0xd, 0xe,
					 0xf };
	uint8_t type[MAKE_GUEST];
	uint64_t gfn[MAKE_GUEST];
	uint32_t with = 0;

	for (unsigned int i = 0; i < count; i++) {
		gfn[i] = (down ? first + count - 1 - i : first + i) %
			 MAKE_GUEST;
		type[i] = types[made_random(m) % sizeof(types)];
		with += type[i] < 0xd;
	}
	put_number(m, 1, 4, false);
	put_number(m, 8 + 8 * (uint64_t)count + MAKE_PAGE * (uint64_t)with, 4,
		   false);
	put_number(m, count, 4, false);
	put_number(m, strange && first % 3 == 1 ? 0xdeadbeef : 0, 4, false);
	for (unsigned int i = 0; i < count; i++) {
		/* Page 7 stands for one that is out of any cache's reach. */
		uint64_t pfn = gfn[i] == 7 ? ((uint64_t)1 << 52) - 1 : gfn[i];

		if (strange && i % 11 == 3)
			pfn |= (uint64_t)0xa5 << 52;
		put_number(m, pfn | (uint64_t)type[i] << 60, 8, false);
	}
	for (unsigned int i = 0; i < count; i++) {
		if (type[i] >= 0xd)
			continue;
		change_page(m, m->guest[gfn[i]]);
		put(m, m->guest[gfn[i]], MAKE_PAGE);
	}
	m->pages += with;
	m->absent += count - with;
}

static inline void put_memory(struct made *m, unsigned int epoch, bool strange)
{
	unsigned int n = epoch == 0 ? MAKE_GUEST : 20;

	put_page_data(m, epoch == 0 ? 0 : (unsigned int)(made_random(m) % 64),
		      n, false, strange);
	put_page_data(m, (unsigned int)(made_random(m) % 90), 9, true, strange);
	put_page_data(m, (unsigned int)(made_random(m) % 90), 1, false,
		      strange);
}

/* X86_TSC_INFO; its last 4 bytes are reserved. */
static inline void put_tsc(struct made *m)
{
	put_record(m, 8, 24);
	memset(m->data + m->bytes - 4, 0, 4);
}

static inline void put_state(struct made *m, const struct recipe *r)
{
	if (r->hvm) {
		put_record(m, 9, 8192 + 4);   /* HVM_CONTEXT */
		put_headed(m, 0xa, 8 + 32, 2); /* HVM_PARAMS: 2 of 16 bytes */
		put_tsc(m);
		return;
	}
	put_record(m, 7, 4096); /* SHARED_INFO */
	put_tsc(m);
	for (uint32_t vcpu = 4; vcpu <= 6; vcpu++)
		put_headed(m, vcpu, 8 + 100 * vcpu + vcpu, 0);
	put_headed(m, 0xc, 8 + 32, 0); /* X86_PV_VCPU_MSRS */
	if (r->strange)
		put_record(m, 0x80000123, 5);
}

/* Of QEMU (2), the first. */
static inline void put_emulator(struct made *m, const struct recipe *r)
{
	static const char pairs[] = "physmap/0\0";

	if (!r->libxl || !r->hvm)
		return;
	put_number(m, 2, 4, false); /* EMULATOR_XENSTORE_DATA */
	put_number(m, 8 + sizeof(pairs), 4, false);
	put_number(m, 2, 8, false);
	put(m, pairs, sizeof(pairs));
	put_number(m, 0, (8 - sizeof(pairs) % 8) % 8, false);
	put_headed(m, 3, 70000 + 3, 2); /* EMULATOR_CONTEXT */
}

static inline void put_headers(struct made *m, const struct recipe *r)
{
	if (r->xl) {
		put(m, "Xen saved domain, xl format\n \0 \r", 32);
		put_number(m, 0x01020304, 4, false);
		put_number(m, 3, 4, false); /* JSON, stream v2 */
		put_number(m, 0, 4, false);
		put_number(m, 37, 4, false);
		put(m, "{\"c_info\":{\"name\":\"g\"},\"b_info\":{}}\n\0", 37);
	}
	if (r->libxl) {
		put(m, "LibxlFmt", 8);
		put_number(m, 2, 4, true);
		put_number(m, 0, 4, true);
		put_record(m, 1, 0); /* LIBXC_CONTEXT */
	}
	put_number(m, UINT64_MAX, 8, true);
	put_number(m, 0x58454e46, 4, true);
	put_number(m, r->version, 4, true);
	put_number(m, 0, 8, true);
	put_number(m, r->hvm ? 2 : 1, 4, false);
	put_number(m, 12, 4, false);
	put_number(m, 4, 4, false);
	put_number(m, 17, 4, false);
}

static inline void put_checkpoint(struct made *m, const struct recipe *r)
{
	put_record(m, 0xe, 0); /* CHECKPOINT */
	put_emulator(m, r);
	if (r->libxl)
		put_record(m, 4, 0); /* CHECKPOINT_END */
	m->checkpoint[m->checkpoints++ % 16] = m->bytes;
}

static inline void make_stream(struct made *m, const struct recipe *r)
{
	memset(m, 0, sizeof(*m));
	m->x = r->seed * 2 + 88172645463325253u;
	put_headers(m, r);
	if (!r->hvm)
		put_headed(m, 2, 8, 0x0408); /* X86_PV_INFO: 64 bits, 4 levels */
	if (r->version == 3) {
		put_record(m, 0x11, 2 * 24); /* X86_CPUID_POLICY */
		put_record(m, 0x12, 16);     /* X86_MSR_POLICY */
		put_record(m, 0x10, 0); /* STATIC_DATA_END */
	}
	if (!r->hvm)
		put_headed(m, 3, 8 + 8 * 5, (uint64_t)2559 << 32); /* ..P2M_FRAMES */
	for (unsigned int i = 0; i < r->checkpoints; i++) {
		size_t begin;
		uint64_t x;

		put_memory(m, i, r->strange);
		begin = m->bytes;
		x = m->x;
		if (r->steady)
			m->x = r->seed;
		put_state(m, r);
		if (r->steady && m->bytes - begin > 2000)
			memcpy(m->data + begin + 1000 + 10 * i, &x, sizeof(x));
		put_checkpoint(m, r);
		if (r->steady)
			m->x = x;
	}
	if (!r->end)
		return;
	put_memory(m, r->checkpoints, r->strange);
	put_record(m, 0xd, 0); /* VERIFY */
	put_state(m, r);
	put_record(m, 0, 0); /* END */
	put_emulator(m, r);
	if (r->libxl)
		put_record(m, 0, 0);
}

static inline void made_free(struct made *m)
{
	free(m->data);
}

#endif
