/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_args.c - which further words QEMU's command line may have.
 *
 * A list of what is allowed, not of what is forbidden: QEMU has many ways to
 * give a guest an output or a memory that no checkpoint knows of, and gains
 * more with each version.
 */
#include <errno.h>
#include <string.h>

#include "qemu_cmdline.h"
#include "util.h"

/* "virtio-rng*": any name that begins so. */
static const char *const devices[] = {
	"virtio-rng*", "pvpanic*", "i6300esb", "ib700", "vmgenid",
	"vmcoreinfo", "pcie-root-port", "pcie-pci-bridge", "pci-bridge",
	"virtio-keyboard*", "virtio-mouse*", "virtio-tablet*", "qemu-xhci",
	"usb-kbd", "usb-mouse", "usb-tablet", "isa-debug-exit", NULL,
};

static const char *const objects[] = {
	"rng-random", "rng-builtin", NULL,
};

enum value_kind {
	NO_VALUE,
	ANY_VALUE,
	DEVICE_VALUE,
	OBJECT_VALUE,
	GLOBAL_VALUE,
};

static const struct {
	const char *name;
	enum value_kind kind;
} allowed[] = {
	{ "-cpu", ANY_VALUE },	    { "-device", DEVICE_VALUE },
	{ "-object", OBJECT_VALUE }, { "-global", GLOBAL_VALUE },
	{ "-smbios", ANY_VALUE },   { "-uuid", ANY_VALUE },
	{ "-rtc", ANY_VALUE },	    { "-boot", ANY_VALUE },
	{ "-bios", ANY_VALUE },	    { "-option-rom", ANY_VALUE },
	{ "-acpitable", ANY_VALUE }, { "-fw_cfg", ANY_VALUE },
	{ "-sandbox", ANY_VALUE },  { "-overcommit", ANY_VALUE },
	{ "-msg", ANY_VALUE },	    { "-compat", ANY_VALUE },
	{ "-seed", ANY_VALUE },	    { "-no-hpet", NO_VALUE },
	{ "-no-acpi", NO_VALUE },   { "-no-reboot", NO_VALUE },
	{ "-usb", NO_VALUE },
};

#define DISK "disks are not replicated"
#define NET "it would reach the network around the gate"
#define OUTPUT "it is an output around the gate"
#define OURS "remusd sets this itself"

static const struct {
	const char *name, *why;
} refused[] = {
	{ "-drive", DISK },	{ "-blockdev", DISK },	{ "-hda", DISK },
	{ "-hdb", DISK },	{ "-hdc", DISK },	{ "-hdd", DISK },
	{ "-cdrom", DISK },	{ "-fda", DISK },	{ "-fdb", DISK },
	{ "-sd", DISK },	{ "-mtdblock", DISK },	{ "-pflash", DISK },
	{ "-iscsi", DISK },	{ "-snapshot", DISK },	{ "-virtfs", DISK },
	{ "-fsdev", DISK },	{ "-netdev", NET },	{ "-nic", NET },
	{ "-net", NET },	{ "-vnc", OUTPUT },	{ "-spice", OUTPUT },
	{ "-chardev", OUTPUT }, { "-monitor", OUTPUT }, { "-qmp", OUTPUT },
	{ "-qmp-pretty", OUTPUT }, { "-mon", OUTPUT },	{ "-gdb", OUTPUT },
	{ "-s", OUTPUT },	{ "-parallel", OUTPUT },
	{ "-debugcon", OUTPUT },
	{ "-serial", "use the key 'console'" },
	{ "-kernel", "use the key 'kernel'" },
	{ "-initrd", "use the key 'initrd'" },
	{ "-append", "use the key 'append'" },
	{ "-m", "use the key 'memory'" },
	{ "-smp", "use the key 'cpus'" },
	{ "-accel", "use the key 'accel'" },
	{ "-enable-kvm", "use the key 'accel'" },
	{ "-machine", OURS },	{ "-M", OURS },		{ "-name", OURS },
	{ "-nodefaults", OURS }, { "-no-user-config", OURS },
	{ "-display", OURS },	{ "-nographic", OURS },	{ "-vga", OURS },
	{ "-incoming", OURS },	{ "-S", OURS },		{ "-loadvm", OURS },
	{ "-daemonize", OURS },	{ "-pidfile", OURS },	{ "-add-fd", OURS },
	{ "-mem-path", OURS },	{ "-mem-prealloc", OURS },
	{ "-action", OURS },	{ "-no-shutdown", OURS },
	{ "-runas", OURS },	{ "-chroot", OURS },
};

/* The type that "TYPE,key=value,..." begins with; QEMU also takes
 * "driver=TYPE" and "qom-type=TYPE" at any place, which nobody needs here. */
static bool type_allowed(const char *value, const char *const *types)
{
	size_t len = strcspn(value, ",");

	if (memchr(value, '=', len) != NULL || value[0] == '{' ||
	    strstr(value, ",driver=") != NULL ||
	    strstr(value, ",qom-type=") != NULL)
		return false;
	for (; *types != NULL; types++) {
		size_t n = strlen(*types);

		if ((*types)[n - 1] == '*' ?
		    len >= n - 1 && strncmp(value, *types, n - 1) == 0 :
		    len == n && strncmp(value, *types, n) == 0)
			return true;
	}
	return false;
}

static int check_value(enum value_kind kind, const char *name,
		       const char *value, char *err, size_t err_bytes)
{
	if (value == NULL)
		return set_err(err, err_bytes, -EINVAL,
			       "'%s' needs a value after it", name);
	if (kind == DEVICE_VALUE && !type_allowed(value, devices))
		return set_err(err, err_bytes, -EINVAL,
			       "'-device %s' is refused: not a device that is "
			       "known to be safe under checkpoints", value);
	if (kind == OBJECT_VALUE && !type_allowed(value, objects))
		return set_err(err, err_bytes, -EINVAL,
			       "'-object %s' is refused: only rng-random and "
			       "rng-builtin may be added", value);
	if (kind == GLOBAL_VALUE && (strstr(value, "migration") != NULL ||
				     strstr(value, "memory-backend") != NULL))
		return set_err(err, err_bytes, -EINVAL,
			       "'-global %s' is refused: " OURS, value);
	return 0;
}

static int refuse(const char *given, const char *name, char *err,
		  size_t err_bytes)
{
	if (name[0] != '-')
		return set_err(err, err_bytes, -EINVAL, "'%s' is refused: a "
			       "word of its own is a disk image, and " DISK,
			       given);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (strcmp(refused[i].name, name) == 0)
			return set_err(err, err_bytes, -EINVAL,
				       "'%s' is refused: %s", given,
				       refused[i].why);
	return set_err(err, err_bytes, -EINVAL, "'%s' is refused: not an option"
		       " that is known to be safe under checkpoints", given);
}

int qemu_args_check(char *const *args, char *err, size_t err_bytes)
{
	if (args == NULL)
		return 0;
	for (; *args != NULL; args++) {
		const char *given = *args, *name = given;
		size_t i = 0;
		int rc;

		if (name[0] == '-' && name[1] == '-') /* QEMU takes both */
			name++;
		while (i < ARRAY_LEN(allowed) &&
		       strcmp(allowed[i].name, name) != 0)
			i++;
		if (i == ARRAY_LEN(allowed))
			return refuse(given, name, err, err_bytes);
		if (allowed[i].kind == NO_VALUE)
			continue;
		rc = check_value(allowed[i].kind, name, args[1], err,
				 err_bytes);
		if (rc < 0)
			return rc;
		args++;
	}
	return 0;
}
