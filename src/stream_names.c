/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_names.c - what xen's specifications call the numbers in a stream. */
#include "stream_parse.h"
#include "util.h"

#define OPTIONAL (1u << 31)

static const char *const libxl_names[] = {
	"END", "LIBXC_CONTEXT", "EMULATOR_XENSTORE_DATA", "EMULATOR_CONTEXT",
	"CHECKPOINT_END", "CHECKPOINT_STATE",
};
static const char *const libxc_names[] = {
	"END", "PAGE_DATA", "X86_PV_INFO", "X86_PV_P2M_FRAMES",
	"X86_PV_VCPU_BASIC", "X86_PV_VCPU_EXTENDED", "X86_PV_VCPU_XSAVE",
	"SHARED_INFO", "X86_TSC_INFO", "HVM_CONTEXT", "HVM_PARAMS",
	"TOOLSTACK", "X86_PV_VCPU_MSRS", "VERIFY", "CHECKPOINT",
	"CHECKPOINT_DIRTY_PFN_LIST", "STATIC_DATA_END", "X86_CPUID_POLICY",
	"X86_MSR_POLICY",
};

const char *stream_record_name(enum stream_layer layer, uint32_t type)
{
	if (layer == STREAM_LIBXL && type < ARRAY_LEN(libxl_names))
		return libxl_names[type];
	if (layer == STREAM_LIBXC && type < ARRAY_LEN(libxc_names))
		return libxc_names[type];
	return type & OPTIONAL ? "optional" : "?";
}

const char *stream_guest_name(uint32_t guest_type)
{
	static const char *const names[] = { "?", "x86 PV", "x86 HVM",
					     "x86 PVH", "ARM" };

	return guest_type < ARRAY_LEN(names) ? names[guest_type] : "?";
}

bool stream_pfn_has_data(uint64_t pfn)
{
	return pfn >> 60 < 0xd; /* BROKEN, XALLOC, XTAB have none */
}
