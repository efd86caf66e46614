/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way in which a definition can be wrong is one row of `wrong`: the good
 * file with one line replaced, or put in, and the refusal, whole, which begins
 * with the file and the line that a person has to look at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those four */
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config_value.h"
#include "util.h"
#include "vm_config.h"

static char dir[] = "/tmp/test_vm_config.XXXXXX";
static char conf[256], key[256], image[256];

/* Lines 1 to 10; @ stands for the folder of the test. */
static const char *const good[] = {
	"# a comment",
	"name = web",
	"  memory=256M  ",
	"kernel = @/image",
	"",
	"append = console=ttyS0 # quiet",
	"tap = web0",
	"node = alpha 192.0.2.1:7071",
	"node = beta  [2001:db8::2]",
	"key_file = @/key",
};

static void put(const char *path, const void *data, size_t n, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void put_key(size_t n, mode_t mode)
{
	uint8_t bytes[100];

	memset(bytes, 'k', sizeof(bytes));
	put(key, bytes, n, mode);
}

static void print_line(FILE *f, const char *line)
{
	for (; *line != '\0'; line++) {
		if (*line == '@')
			fputs(dir, f);
		else
			fputc(*line, f);
	}
	fputc('\n', f);
}

/* The good file, line `at` (from 1) replaced by `text`; NULL: left out.  at 0:
 * nothing replaced; at 11: added. */
static void put_conf(unsigned int at, const char *text)
{
	FILE *f = fopen(conf, "w");

	assert_non_null(f);
	for (unsigned int i = 0; i < ARRAY_LEN(good); i++) {
		if (i + 1 != at)
			print_line(f, good[i]);
		else if (text != NULL)
			print_line(f, text);
	}
	if (at > ARRAY_LEN(good) && text != NULL)
		print_line(f, text);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(conf, 0644), 0);
}

/* The refusal must be FILE:LINE: and `want`, '@' standing for the folder. */
static void refused(unsigned int line, const char *want)
{
	struct vm_config *c = (struct vm_config *)1;
	char err[1024] = "", expect[1024], *p = expect;
	int rc;

	p += sprintf(p, "%s:%u: ", conf, line);
	for (; *want != '\0'; want++) {
		if (*want == '@')
			p += sprintf(p, "%s", dir);
		else
			*p++ = *want;
	}
	*p = '\0';
	rc = vm_config_load(&c, conf, err, sizeof(err));
	assert_string_equal(err, expect);
	assert_int_equal(rc, -EINVAL);
	assert_null(c);
}

static struct vm_config *accepted(void)
{
	struct vm_config *c = NULL;
	char err[1024] = "";
	int rc = vm_config_load(&c, conf, err, sizeof(err));

	assert_string_equal(err, "");
	assert_int_equal(rc, 0);
	assert_non_null(c);
	return c;
}

static const struct {
	unsigned int at;      /* line of the good file that is replaced */
	const char *text;     /* by this */
	unsigned int line;    /* that the refusal names */
	const char *want;
} wrong[] = {
	/* form */
	{ 5, "colour = red", 5, "unknown key 'colour'" },
	{ 5, "nonsense", 5, "'nonsense' is not 'key = value'" },
	{ 5, "= 5", 5, "unknown key ''" },
	{ 5, "cpus =", 5, "cpus has no value" },
	{ 5, "cpus = 1\r", 5, "control character 0x0d" },
	{ 5, "name = web", 5, "name is given twice, first in line 2" },
	{ 11, "memory = 1G", 11, "memory is given twice, first in line 3" },
	/* missing */
	{ 2, NULL, 9, "key 'name' is missing" },
	{ 3, NULL, 9, "key 'memory' is missing" },
	{ 7, NULL, 9, "key 'tap' is missing" },
	{ 9, NULL, 9, "a second 'node' is missing; it must be given for both "
		      "nodes" },
	{ 10, NULL, 9, "key 'key_file' is missing" },
	/* the name */
	{ 2, "name = web2", 2, "name 'web2' does not fit the file, which "
			       "would have to be web2.conf" },
	{ 2, "name = we", 2, "name 'we' does not fit the file, which would "
			     "have to be we.conf" },
	{ 2, "name = ../web", 2, "name '../web' is not 1 to 64 letters, "
				 "digits or any of '-_.'" },
	/* values out of range or of another kind */
	{ 3, "memory = 0", 3, "memory is a size from 2M to 1T, not '0'" },
	{ 3, "memory = 2T", 3, "memory is a size from 2M to 1T, not '2T'" },
	{ 3, "memory = -1M", 3, "memory is a size from 2M to 1T, not '-1M'" },
	{ 3, "memory = 64MB", 3, "memory is a size from 2M to 1T, not '64MB'" },
	{ 3, "memory = 3M", 3, "memory must be a multiple of 2M" },
	{ 3, "memory = 99999999999999999999G", 3,
	  "memory is a size from 2M to 1T, not '99999999999999999999G'" },
	{ 5, "cpus = 0", 5, "cpus is a number from 1 to 64, not '0'" },
	{ 5, "cpus = 2x", 5, "cpus is a number from 1 to 64, not '2x'" },
	{ 5, "interval = 4", 5,
	  "interval is a time from 5ms to 10000ms, not '4'" },
	{ 5, "interval = 11s", 5,
	  "interval is a time from 5ms to 10000ms, not '11s'" },
	{ 5, "interval = 5 minutes", 5,
	  "interval is a time from 5ms to 10000ms, not '5 minutes'" },
	{ 5, "interval = 18446744073709551617s", 5,
	  "interval is a time from 5ms to 10000ms, not "
	  "'18446744073709551617s'" },
	{ 5, "max_in_flight = 17", 5,
	  "max_in_flight is a number from 1 to 16, not '17'" },
	{ 5, "capture = 4K", 5, "capture is a size from 1M to 64G, not '4K'" },
	{ 5, "cache = 1", 5, "cache is a size from 1M to 64G, not '1'" },
	{ 5, "gate_queue = 2G", 5,
	  "gate_queue is a size from 64K to 1G, not '2G'" },
	{ 5, "compression = maybe", 5,
	  "compression is one of off|fast|tight|auto|on, not 'maybe'" },
	{ 5, "compression = o", 5,
	  "compression is one of off|fast|tight|auto|on, not 'o'" },
	{ 5, "encode_threads = 0", 5,
	  "encode_threads is a number from 1 to 16, not '0'" },
	{ 5, "encode_threads = 17", 5,
	  "encode_threads is a number from 1 to 16, not '17'" },
	{ 5, "encode_threads = auto", 5,
	  "encode_threads is a number from 1 to 16, not 'auto'" },
	{ 5, "driver = vmware", 5, "driver is one of qemu|xen|fake, not 'vmware'" },
	{ 5, "driver = qemu|fake", 5,
	  "driver is one of qemu|xen|fake, not 'qemu|fake'" },
	{ 5, "xl = /etc/xen/web.cfg", 5, "xl is only for driver xen" },
	{ 5, "xl = web.cfg", 5, "xl must be an absolute path, not 'web.cfg'" },
	{ 5, "accel = fast", 5, "accel is one of auto|kvm|tcg, not 'fast'" },
	{ 5, "tracker = magic", 5,
	  "tracker is one of auto|pagemap|soft-dirty|compare, not 'magic'" },
	{ 5, "gate = open", 5, "gate is one of relay|plug|fake, not 'open'" },
	{ 5, "gate = fake", 5, "gate fake is only for driver fake" },
	{ 5, "mac = 52:54:00:12:34", 5,
	  "mac '52:54:00:12:34' is not a unicast Ethernet address such as "
	  "52:54:00:12:34:56" },
	{ 5, "mac = 53:54:00:12:34:56", 5,
	  "mac '53:54:00:12:34:56' is not a unicast Ethernet address such as "
	  "52:54:00:12:34:56" },
	{ 7, "tap = a-name-of-16-byt", 7,
	  "tap 'a-name-of-16-byt' is not a name for a network interface (at "
	  "most 15 bytes, no '/')" },
	{ 7, "tap = tap%d", 7,
	  "tap 'tap%d' is not a name for a network interface (at most 15 "
	  "bytes, no '/')" },
	{ 5, "bridge = web0", 5, "tap and bridge are both called 'web0'" },
	{ 5, "group = no-such-group-here", 5,
	  "group 'no-such-group-here': no such group on this node" },
	{ 5, "console = log", 5, "console must be an absolute path, not "
				 "'log'" },
	{ 5, "link_timeout = 499", 5,
	  "link_timeout (499 ms) is less than twice heartbeat (250 ms)" },
	{ 5, "heartbeat = 1s", 10,
	  "link_timeout (1500 ms) is less than twice heartbeat (1000 ms)" },
	/* witnesses */
	{ 5, "arbiter = witness", 5,
	  "arbiter = witness without a 'witness'" },
	{ 5, "witness = w1 http://192.0.2.9:7071", 5,
	  "witness without arbiter = witness" },
	{ 5, "arbiter = witness\nwitness = w1 http://192.0.2.9:7071", 5,
	  "arbiter = witness without 'witness_key'" },
	{ 5, "arbiter = witness\nwitness_key = @/key\n"
	     "witness = w1 http://192.0.2.9:7071\n"
	     "witness = w1 http://192.0.2.10:7071", 8,
	  "witness w1 is witness w1 of line 7" },
	{ 5, "witness = w1", 5,
	  "witness is NAME http://ADDRESS:PORT (or https:), not 'w1 '" },
	{ 5, "witness = w1 ftp://192.0.2.9:7071", 5,
	  "witness is NAME http://ADDRESS:PORT (or https:), not 'w1 "
	  "ftp://192.0.2.9:7071'" },
	{ 5, "witness = w1 http://192.0.2.9", 5,
	  "witness is NAME http://ADDRESS:PORT (or https:), not 'w1 "
	  "http://192.0.2.9'" },
	{ 5, "witness = w1 http://a@192.0.2.9:1", 5,
	  "witness is NAME http://ADDRESS:PORT (or https:), not 'w1 "
	  "http://a@192.0.2.9:1'" },
	{ 5, "alone = maybe", 5,
	  "alone is one of run|freeze, not 'maybe'" },
	{ 5, "lease = 100ms", 5,
	  "lease is a time from 500ms to 60000ms, not '100ms'" },
	/* nodes */
	{ 8, "node = alpha", 8, "node is NAME ADDRESS:PORT, not 'alpha'" },
	{ 8, "node = alpha host.example:7070", 8,
	  "node alpha: 'host.example:7070' is not ADDRESS:PORT (numeric, IPv6 "
	  "in brackets)" },
	{ 8, "node = alpha 192.0.2.1:0", 8,
	  "node alpha: '192.0.2.1:0' is not ADDRESS:PORT (numeric, IPv6 in "
	  "brackets)" },
	{ 8, "node = alpha 192.0.2.1:65536", 8,
	  "node alpha: '192.0.2.1:65536' is not ADDRESS:PORT (numeric, IPv6 "
	  "in brackets)" },
	{ 8, "node = alpha [192.0.2.1]:1", 8,
	  "node alpha: '[192.0.2.1]:1' is not ADDRESS:PORT (numeric, IPv6 in "
	  "brackets)" },
	{ 8, "node = alpha [2001:db8::1", 8,
	  "node alpha: '[2001:db8::1' is not ADDRESS:PORT (numeric, IPv6 in "
	  "brackets)" },
	{ 9, "node = alpha 192.0.2.2", 9, "both nodes are called 'alpha'" },
	{ 9, "node = beta 192.0.2.1:7071", 9,
	  "both nodes have the address 192.0.2.1:7071" },
	{ 11, "node = gamma 192.0.2.3", 11, "node is given more than 2 times" },
	/* files */
	{ 4, "kernel = @/none", 4, "kernel '@/none': No such file or "
				   "directory" },
	{ 4, "kernel = @", 4, "kernel '@' is not a plain file" },
	{ 5, "initrd = @/none", 5, "initrd '@/none': No such file or "
				   "directory" },
	{ 4, NULL, 5, "append without kernel" },
	{ 5, "ram_dir = @/none", 5, "ram_dir '@/none' is not a directory" },
	{ 10, "key_file = @/none", 10, "key_file '@/none': No such file or "
				       "directory" },
};

static void refuses_each_wrong_line_by_its_number(void **state)
{
	(void)state;
	put_key(32, 0600);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		put_conf(wrong[i].at, wrong[i].text);
		refused(wrong[i].line, wrong[i].want);
	}
}

static void refuses_a_key_that_is_no_secret(void **state)
{
	static const mode_t open_modes[] = { 0640, 0604, 0660, 0610, 0601 };
	char want[512];

	(void)state;
	put_conf(0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(open_modes); i++) {
		put_key(32, open_modes[i]);
		snprintf(want, sizeof(want),
			 "key_file '@/key' has mode %04o, open to group or "
			 "others; chmod it to 0600, and take a new key if "
			 "anybody may have read it",
			 (unsigned int)open_modes[i]);
		refused(10, want);
	}
}

static void refuses_a_key_of_the_wrong_length(void **state)
{
	(void)state;
	put_conf(0, NULL);
	put_key(31, 0600);
	refused(10, "key_file '@/key' holds too few bytes; it must hold 32 to "
		    "64 random bytes");
	put_key(0, 0600);
	refused(10, "key_file '@/key' holds too few bytes; it must hold 32 to "
		    "64 random bytes");
	put_key(65, 0600);
	refused(10, "key_file '@/key' holds too many bytes; it must hold 32 "
		    "to 64 random bytes");
	put_key(64, 0400);
	vm_config_free(accepted());
	put_key(32, 0600);
}

static void refuses_a_file_that_is_not_a_definition(void **state)
{
	struct vm_config *c = (struct vm_config *)1;
	char err[512], other[300], text[5000];

	(void)state;
	put_conf(0, NULL);
	assert_int_equal(chmod(conf, 0646), 0);
	refused(1, "the file is writable for everybody");
	put(conf, "", 0, 0644);
	refused(1, "key 'name' is missing");
	put(conf, "name = web\nmemory\0 = 5\n", 23, 0644);
	refused(2, "control character 0x00");
	memset(text, '#', sizeof(text));
	put(conf, text, sizeof(text), 0644);
	refused(1, "line is longer than 4096 bytes");
	snprintf(other, sizeof(other), "%s/other.conf", dir);
	assert_int_equal(vm_config_load(&c, other, err, sizeof(err)), -ENOENT);
	assert_null(c);
	assert_non_null(strstr(err, other));
	assert_int_equal(vm_config_load(&c, dir, err, sizeof(err)), -EINVAL);
	assert_null(c);
}

static void two_names_for_one_file(void **state)
{
	struct vm_config *c = NULL;
	char err[512], copy[300], want[700];

	(void)state;
	put_conf(0, NULL);
	snprintf(copy, sizeof(copy), "%s/copy.conf", dir);
	unlink(copy);
	assert_int_equal(link(conf, copy), 0);
	assert_int_equal(vm_config_load(&c, copy, err, sizeof(err)), -EINVAL);
	snprintf(want, sizeof(want),
		 "%s:2: name 'web' does not fit the file, which would have to "
		 "be web.conf", copy);
	assert_string_equal(err, want);
	unlink(copy);
}

static void takes_a_good_file_and_fills_in_the_rest(void **state)
{
	const struct sockaddr_in6 *in6;
	const struct sockaddr_in *in4;
	struct vm_config *c;
	char mac[18];

	(void)state;
	put_conf(0, NULL);
	c = accepted();
	assert_string_equal(c->path, conf);
	assert_string_equal(c->name, "web");
	assert_string_equal(c->driver, "qemu");
	assert_int_equal(c->memory_bytes, (uint64_t)256 << 20);
	assert_int_equal(c->cpus, 1);
	assert_string_equal(c->kernel, image);
	assert_null(c->initrd);
	assert_string_equal(c->append, "console=ttyS0 # quiet");
	assert_int_equal(c->accel, VM_ACCEL_AUTO);
	mac_from_name("web", mac);
	assert_string_equal(c->mac, mac);
	assert_int_equal(strncmp(mac, "52:54:00:", 9), 0);
	assert_string_equal(c->qemu_binary, "qemu-system-x86_64");
	assert_null(c->qemu_args);
	assert_null(c->console);
	assert_string_equal(c->ram_dir, "/dev/shm");
	assert_string_equal(c->tracker, "auto");
	assert_string_equal(c->gate, "relay");
	assert_string_equal(c->tap, "web0");
	assert_null(c->bridge);
	assert_int_equal(c->gate_queue_bytes, 16 << 20);
	assert_string_equal(c->node[0].name, "alpha");
	assert_string_equal(c->node[0].address, "192.0.2.1:7071");
	in4 = (const struct sockaddr_in *)&c->node[0].addr;
	assert_int_equal(c->node[0].addr_bytes, sizeof(*in4));
	assert_int_equal(in4->sin_family, AF_INET);
	assert_int_equal(ntohs(in4->sin_port), 7071);
	assert_int_equal(ntohl(in4->sin_addr.s_addr), 0xc0000201);
	assert_string_equal(c->node[1].name, "beta");
	assert_string_equal(c->node[1].address, "[2001:db8::2]:7070");
	in6 = (const struct sockaddr_in6 *)&c->node[1].addr;
	assert_int_equal(c->node[1].addr_bytes, sizeof(*in6));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(in6->sin6_port), 7070);
	assert_int_equal(c->key_bytes, 32);
	assert_int_equal(c->key[0], 'k');
	assert_int_equal(c->interval_ms, 25);
	assert_int_equal(c->max_in_flight, 2);
	assert_int_equal(c->capture_bytes, 64 << 20);
	assert_int_equal(c->cache_bytes, 64 << 20);
	assert_int_equal(c->compression, COMPRESSION_AUTO);
	assert_int_equal(c->encode_threads, 1);
	assert_int_equal(c->heartbeat_ms, 250);
	assert_int_equal(c->link_timeout_ms, 1500);
	assert_int_equal(c->group, 0);
	assert_string_equal(c->state_dir, "/var/lib/remus");
	assert_string_equal(c->run_dir, "/run/remus");
	vm_config_free(c);
}

static void takes_every_key(void **state)
{
	struct vm_config *c;

	(void)state;
	put_conf(5, "cpus = 4\ninitrd = @/image\naccel = tcg\n"
		    "mac = 52:54:00:AB:cd:01\nqemu_binary = @/image\n"
		    "qemu_arg = -rtc  clock=vm\nqemu_arg = -cpu max\n"
		    "console = @/log\n"
		    "ram_dir = @\ntracker = compare\ngate = plug\n"
		    "bridge = br0\ngate_queue = 64K\ninterval = 2s\n"
		    "max_in_flight = 1\ncapture = 8M\ncache = 1G\n"
		    "compression = off\nencode_threads = 16\n"
		    "heartbeat = 100ms\n"
		    "alone = freeze\n"
		    "link_timeout = 200\ngroup = 12\nstate_dir = @/state\n"
		    "run_dir = @/run\ndriver = qemu\n"
		    "on_change = /bin/echo  one two");
	c = accepted();
	assert_int_equal(c->cpus, 4);
	assert_string_equal(c->initrd, image);
	assert_int_equal(c->accel, VM_ACCEL_TCG);
	assert_string_equal(c->mac, "52:54:00:ab:cd:01");
	assert_string_equal(c->qemu_args[0], "-rtc");
	assert_string_equal(c->qemu_args[1], "clock=vm");
	assert_string_equal(c->qemu_args[2], "-cpu");
	assert_string_equal(c->qemu_args[3], "max");
	assert_null(c->qemu_args[4]);
	assert_string_equal(c->on_change[0], "/bin/echo");
	assert_string_equal(c->on_change[1], "one");
	assert_string_equal(c->on_change[2], "two");
	assert_null(c->on_change[3]);
	assert_string_equal(c->tracker, "compare");
	assert_string_equal(c->gate, "plug");
	assert_string_equal(c->bridge, "br0");
	assert_int_equal(c->gate_queue_bytes, 64 << 10);
	assert_int_equal(c->interval_ms, 2000);
	assert_int_equal(c->max_in_flight, 1);
	assert_int_equal(c->capture_bytes, 8 << 20);
	assert_int_equal(c->cache_bytes, 1 << 30);
	assert_int_equal(c->compression, COMPRESSION_OFF);
	assert_int_equal(c->encode_threads, 16);
	assert_int_equal(c->heartbeat_ms, 100);
	assert_int_equal(c->link_timeout_ms, 200);
	assert_false(c->alone_run);
	assert_int_equal(c->group, 12);
	vm_config_free(c);
}

static void witnesses_make_the_link_time_out_sooner(void **state)
{
	struct vm_config *c;

	(void)state;
	put_conf(5, "arbiter = witness\nwitness_key = @/key\n"
		    "witness = w1 http://192.0.2.9:7071\n"
		    "witness = w2 https://[2001:db8::9]:7071\n"
		    "witness = w3 http://w3.example:80");
	c = accepted();
	assert_string_equal(c->arbiter, "witness");
	assert_int_equal(c->witnesses, 3);
	assert_string_equal(c->witness[1].name, "w2");
	assert_string_equal(c->witness[1].url, "https://[2001:db8::9]:7071");
	assert_int_equal(c->link_timeout_ms, 150);
	assert_int_equal(c->heartbeat_ms, 30);
	assert_int_equal(c->lease_ms, 3000);
	vm_config_free(c);
	put_conf(5, "arbiter = witness\nwitness_key = @/key\n"
		    "witness = w1 http://192.0.2.9:7071\n"
		    "link_timeout = 800");
	c = accepted();
	assert_int_equal(c->link_timeout_ms, 800);
	assert_int_equal(c->heartbeat_ms, 250);
	vm_config_free(c);
}

static void fake_driver_needs_no_tap(void **state)
{
	struct vm_config *c;

	(void)state;
	put_conf(7, "driver = fake");
	c = accepted();
	assert_string_equal(c->driver, "fake");
	assert_string_equal(c->gate, "fake");
	assert_null(c->tap);
	vm_config_free(c);
}

static void put_xen(const char *last)
{
	static const char *const lines[] = {
		"name = web", "memory = 128M", "node = alpha 192.0.2.1",
		"node = beta 192.0.2.2", "key_file = @/key", "driver = xen",
	};
	FILE *f = fopen(conf, "w");

	assert_non_null(f);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		print_line(f, lines[i]);
	print_line(f, last);
	assert_int_equal(fclose(f), 0);
}

static void xen_has_its_guest_from_xl_cfg(void **state)
{
	struct vm_config *c;

	(void)state;
	put_xen("");
	c = accepted();
	assert_string_equal(c->driver, "xen");
	assert_string_equal(c->gate, "plug");
	assert_null(c->xl);
	assert_null(c->tap);
	vm_config_free(c);
	put_xen("xl = @/key");
	c = accepted();
	assert_string_equal(c->xl, key);
	vm_config_free(c);
	put_xen("xl = @/none.cfg");
	refused(7, "xl '@/none.cfg': No such file or directory");
	put_xen("tap = vif1.0");
	refused(7, "tap is not for driver xen: xl.cfg describes the guest");
	put_xen("cpus = 2");
	refused(7, "cpus is not for driver xen: xl.cfg describes the guest");
	put_xen("gate = relay");
	refused(7, "driver xen needs gate plug");
}

static void finds_itself_among_the_nodes(void **state)
{
	struct vm_config *c;
	struct utsname u;
	char err[512], line[200];

	(void)state;
	put_conf(0, NULL);
	c = accepted();
	assert_int_equal(vm_config_self(c, "alpha", err, sizeof(err)), 0);
	assert_int_equal(vm_config_self(c, "beta", err, sizeof(err)), 1);
	assert_int_equal(vm_config_self(c, "gamma", err, sizeof(err)),
			 -ENOENT);
	assert_non_null(strstr(err, "'gamma'"));
	assert_non_null(strstr(err, "'alpha' and 'beta'"));
	vm_config_free(c);
	uname(&u);
	if (!vm_name_ok(u.nodename))
		return;
	snprintf(line, sizeof(line), "node = %s 192.0.2.9", u.nodename);
	put_conf(9, line);
	c = accepted();
	assert_int_equal(vm_config_self(c, NULL, err, sizeof(err)), 1);
	vm_config_free(c);
}

static void times_and_sizes(void **state)
{
	uint32_t ms = 77;
	uint64_t b = 77;

	(void)state;
	assert_int_equal(parse_ms("25", 5, 100, &ms), 0);
	assert_int_equal(ms, 25);
	assert_int_equal(parse_ms("5ms", 5, 100, &ms), 0);
	assert_int_equal(ms, 5);
	assert_int_equal(parse_ms("2s", 5, 2000, &ms), 0);
	assert_int_equal(ms, 2000);
	assert_int_equal(parse_ms("2001", 5, 2000, &ms), -EINVAL);
	assert_int_equal(parse_ms("", 0, 100, &ms), -EINVAL);
	assert_int_equal(parse_ms("s", 0, 100, &ms), -EINVAL);
	assert_int_equal(parse_ms("+5", 0, 100, &ms), -EINVAL);
	assert_int_equal(parse_ms(" 5", 0, 100, &ms), -EINVAL);
	assert_int_equal(parse_ms("5m", 0, 100, &ms), -EINVAL);
	assert_int_equal(ms, 2000);
	assert_int_equal(parse_bytes("65536", &b), 0);
	assert_int_equal(b, 65536);
	assert_int_equal(parse_bytes("128M", &b), 0);
	assert_int_equal(b, 128 << 20);
	assert_int_equal(parse_bytes("16777215T", &b), 0);
	assert_int_equal(b, (uint64_t)16777215 << 40);
	assert_int_equal(parse_bytes("16777216T", &b), -EINVAL);
	assert_int_equal(parse_bytes("", &b), -EINVAL);
	assert_int_equal(parse_bytes("M", &b), -EINVAL);
	assert_int_equal(parse_bytes("1m", &b), -EINVAL);
	assert_int_equal(parse_bytes("0x10", &b), -EINVAL);
}

static int make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(conf, sizeof(conf), "%s/web.conf", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	put(image, "x", 1, 0644);
	put_key(32, 0600);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	unlink(conf);
	unlink(key);
	unlink(image);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_good_file_and_fills_in_the_rest),
		cmocka_unit_test(takes_every_key),
		cmocka_unit_test(witnesses_make_the_link_time_out_sooner),
		cmocka_unit_test(fake_driver_needs_no_tap),
		cmocka_unit_test(xen_has_its_guest_from_xl_cfg),
		cmocka_unit_test(refuses_each_wrong_line_by_its_number),
		cmocka_unit_test(refuses_a_key_that_is_no_secret),
		cmocka_unit_test(refuses_a_key_of_the_wrong_length),
		cmocka_unit_test(refuses_a_file_that_is_not_a_definition),
		cmocka_unit_test(two_names_for_one_file),
		cmocka_unit_test(finds_itself_among_the_nodes),
		cmocka_unit_test(times_and_sizes),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
