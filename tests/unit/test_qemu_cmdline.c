/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu_cmdline.h"
#include "util.h"

static struct vm_config config(void)
{
	struct vm_config c = {
		.name = "web,1",
		.memory_bytes = (uint64_t)128 << 20,
		.cpus = 2,
		.mac = "52:54:00:01:02:03",
		.gate = (char *)"relay",
		.tap = (char *)"tap,0",
	};

	return c;
}

/* All words in one line, "|" after each. */
static const char *joined(const struct qemu_start *s)
{
	static char line[4096];
	char **argv = qemu_cmdline_build(s);
	size_t n = 0;

	assert_non_null(argv);
	for (char **a = argv; *a != NULL; a++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s|", *a);
	free(argv);
	return line;
}

static void test_primary(__attribute__((unused)) void **state)
{
	struct vm_config c = config();
	struct qemu_start s = { .cfg = &c, .have_net = true };

	assert_string_equal(joined(&s),
		"qemu-system-x86_64|-name|debug-threads=on,guest=web,,1|"
		"-nodefaults|-no-user-config|-display|none|-vga|none|"
		"-machine|q35,memory-backend=ram0,suppress-vmdesc=on|"
		"-global|migration.send-configuration=off|"
		"-accel|tcg|-cpu|max|-smp|2|-m|128M|"
		"-object|memory-backend-file,id=ram0,size=128M,"
		"mem-path=/proc/self/fd/4,share=on|"
		"-chardev|socket,id=qmp,fd=3|-mon|chardev=qmp,mode=control|"
		"-S|-netdev|dgram,id=net0,local.type=fd,local.str=6|"
		"-device|virtio-net-pci,id=nic0,netdev=net0,romfile=,"
		"mac=52:54:00:01:02:03|-serial|none|");
}

static void test_standby_differs_by_incoming_only(__attribute__((unused))
						  void **state)
{
	struct vm_config c = config();
	struct qemu_start s = { .cfg = &c, .have_net = true };
	char primary[4096], *at;

	snprintf(primary, sizeof(primary), "%s", joined(&s));
	s.incoming = true;
	at = strstr(primary, "-S|");
	assert_non_null(at);
	*at = '\0';
	assert_int_equal(strncmp(joined(&s), primary, strlen(primary)), 0);
	assert_int_equal(strncmp(joined(&s) + strlen(primary),
				 "-incoming|defer|", 16), 0);
	assert_string_equal(joined(&s) + strlen(primary) + 16, at + 3);
}

static void test_kvm_payload_console(__attribute__((unused)) void **state)
{
	struct vm_config c = config();
	struct qemu_start s = { .cfg = &c, .kvm = true, .populate = true };
	static char *more[] = { (char *)"-uuid", (char *)"x y|z", NULL };
	const char *line;

	c.kernel = (char *)"/boot/vmlinuz, old";
	c.initrd = (char *)"/boot/initrd";
	c.append = (char *)"console=ttyS0 quiet,x=%s";
	c.console = (char *)"/var/log/a,b";
	c.qemu_binary = (char *)"/opt/qemu";
	c.qemu_args = more;
	line = joined(&s);
	assert_int_equal(strncmp(line, "/opt/qemu|", 10), 0);
	assert_non_null(strstr(line, "|-accel|kvm|-cpu|host|"));
	assert_non_null(strstr(line, ",share=on,prealloc=on|"));
	assert_non_null(strstr(line, "|-chardev|file,id=console0,append=on,"
			       "path=/var/log/a,,b|-serial|chardev:console0|"
			       "-kernel|/boot/vmlinuz, old|"
			       "-initrd|/boot/initrd|"
			       "-append|console=ttyS0 quiet,x=%s|"
			       "-uuid|x y|z|"));
	assert_null(strstr(line, "virtio-net")); /* relay, but no descriptor */
}

static void test_plug_gate_takes_the_tap(__attribute__((unused)) void **state)
{
	struct vm_config c = config();
	struct qemu_start s = { .cfg = &c };

	c.gate = (char *)"plug";
	assert_non_null(strstr(joined(&s), "|-netdev|tap,id=net0,script=no,"
			       "downscript=no,vhost=off,ifname=tap,,0|"
			       "-device|virtio-net-pci,"));
}

/* ---- further words ---- */

#define ARGS(...) ((char *const []){ __VA_ARGS__, NULL })
#define W(s) ((char *)s)

static void test_harmless_words_pass(__attribute__((unused)) void **state)
{
	char err[256];

	assert_int_equal(qemu_args_check(NULL, err, sizeof(err)), 0);
	assert_int_equal(qemu_args_check((char *const []){ NULL }, err,
					 sizeof(err)), 0);
	assert_int_equal(qemu_args_check(ARGS(
		W("-cpu"), W("max,-avx"), W("-device"), W("virtio-rng-pci"),
		W("--device"), W("i6300esb,id=w"), W("-object"),
		W("rng-random,id=r"), W("-no-hpet"), W("-uuid"), W("-hda"),
		W("-smbios"), W("type=1,serial=x")), err, sizeof(err)), 0);
}

static void refused(char *const *args, const char *text)
{
	char err[256] = "";

	assert_true(qemu_args_check(args, err, sizeof(err)) < 0);
	if (strstr(err, text) == NULL)
		fail_msg("'%s' does not say '%s'", err, text);
}

static void test_dangerous_words_are_refused(__attribute__((unused))
					     void **state)
{
	static const char *const words[] = {
		"-drive", "-blockdev", "-hda", "-hdb", "-hdc", "-hdd", "-sd",
		"-cdrom", "-fda", "-mtdblock", "-pflash", "-netdev", "-nic",
		"-net", "-vnc", "-spice", "-chardev", "-monitor", "-qmp",
		"-mon", "-serial", "-incoming", "-snapshot", "-loadvm",
		"-daemonize", "-S", "-pidfile", "-gdb", "-s", "-machine", "-m",
		"-virtfs", "-readconfig", "-set", "-preconfig", "--drive",
		"-icount", "-numa", "-tpmdev", "-xen-attach", "-cpu=max", "-",
		"--", "", "disk.img", "-DRIVE",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		refused(ARGS(W(words[i]), W("x")), words[i]);
}

static void test_dangerous_values_are_refused(__attribute__((unused))
					      void **state)
{
	static const char *const devices[] = {
		"virtio-blk-pci,drive=d", "scsi-hd", "nvme", "ide-hd",
		"e1000", "virtio-net-pci", "vfio-pci,host=1", "pc-dimm",
		"virtio-balloon-pci", "ivshmem-plain", "virtio-mem-pci",
		"vhost-vsock-pci", "isa-serial", "", "i6300esbx",
		"id=a,driver=nvme", "i6300esb,driver=nvme",
		"{\"driver\":\"nvme\"}", "i6300", "virtio-rn",
	};

	for (size_t i = 0; i < ARRAY_LEN(devices); i++)
		refused(ARGS(W("-device"), W(devices[i])), "refused");
	refused(ARGS(W("-object"), W("memory-backend-ram,id=r")), "refused");
	refused(ARGS(W("-object"), W("filter-mirror,id=m")), "refused");
	refused(ARGS(W("-global"), W("migration.send-configuration=on")),
		"refused");
	refused(ARGS(W("-device")), "value");
	refused(ARGS(W("-no-hpet"), W("-cpu")), "value");
	refused(ARGS(W("-cpu"), W("max"), W("-hda"), W("d")), "-hda");
}

/* ---- fingerprint ---- */

static void test_fingerprint_follows_the_layout(__attribute__((unused))
						void **state)
{
	struct vm_config c = config(), d = config();
	struct qemu_start s = { .cfg = &c }, t = { .cfg = &d };
	static char *more[] = { (char *)"-no-hpet", NULL };
	uint8_t a[16], b[16];

#define DIFFERS(change) do { \
		d = config(); \
		t = (struct qemu_start){ .cfg = &d }; \
		change; \
		qemu_fingerprint(&t, "v1", "cpu1", b); \
		assert_memory_not_equal(a, b, 16); \
		assert_memory_not_equal(a, b, 8); \
		assert_memory_not_equal(a + 8, b + 8, 8); \
	} while (0)
	qemu_fingerprint(&s, "v1", "cpu1", a);
	qemu_fingerprint(&t, "v1", "cpu1", b);
	assert_memory_equal(a, b, 16);
	assert_memory_not_equal(a, a + 8, 8);
	DIFFERS(d.memory_bytes *= 2);
	DIFFERS(d.cpus = 1);
	DIFFERS(d.mac[0] = '6');
	DIFFERS(d.console = (char *)"x");
	DIFFERS(d.kernel = (char *)"x");
	DIFFERS(d.qemu_args = more);
	DIFFERS(t.have_net = true);
	DIFFERS(t.kvm = true);
	/* paths may differ; the processor counts under KVM alone */
	d = config();
	t = (struct qemu_start){ .cfg = &d };
	d.ram_dir = (char *)"/elsewhere";
	qemu_fingerprint(&t, "v1", "cpu2", b);
	assert_memory_equal(a, b, 16);
	qemu_fingerprint(&t, "v2", "cpu1", b);
	assert_memory_not_equal(a, b, 16);
	s.kvm = t.kvm = true;
	qemu_fingerprint(&s, "v1", "cpu1", a);
	qemu_fingerprint(&t, "v1", "cpu2", b);
	assert_memory_not_equal(a, b, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_primary),
		cmocka_unit_test(test_standby_differs_by_incoming_only),
		cmocka_unit_test(test_kvm_payload_console),
		cmocka_unit_test(test_plug_gate_takes_the_tap),
		cmocka_unit_test(test_harmless_words_pass),
		cmocka_unit_test(test_dangerous_words_are_refused),
		cmocka_unit_test(test_dangerous_values_are_refused),
		cmocka_unit_test(test_fingerprint_follows_the_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
