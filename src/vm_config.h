/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_config.h - one VM's definition, read from /etc/remus/NAME.conf.
 *
 * The file format is remus.conf(5): `key = value` lines, '#' comments.  The
 * same file serves both nodes.  A file that is wrong in any way is refused as a
 * whole, with one line "FILE:LINE: what is wrong, what was expected".
 */
#ifndef REMUS_VM_CONFIG_H
#define REMUS_VM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "compression.h"

#define VM_NAME_MAX 64
#define VM_KEY_BYTES_MIN 32 /* of random bytes in the key file */
#define VM_KEY_BYTES_MAX 64
#define VM_INTERVAL_MS_MIN 5
#define VM_INTERVAL_MS_MAX 10000

struct vm_node {
	char name[VM_NAME_MAX + 1]; /* as `uname -n` prints it */
	char address[128];	    /* "192.0.2.1:7070", for people */
	struct sockaddr_storage addr;
	socklen_t addr_bytes;
};

#define WITNESSES_MAX 9

struct witness_address {
	char name[VM_NAME_MAX + 1]; /* "w1" */
	char url[256];		    /* "http://192.0.2.7:7071", or https: */
};

enum vm_accel { VM_ACCEL_AUTO = 0, VM_ACCEL_KVM, VM_ACCEL_TCG };

struct vm_config {
	char *path;  /* where it was read from */
	char name[VM_NAME_MAX + 1]; /* key `name`; must equal the file's */
	char *driver;	      /* "qemu" (default), "fake" (tests), "xen" */

	/* the machine */
	uint64_t memory_bytes; /* multiple of 2 MiB */
	uint32_t cpus;
	char *kernel, *initrd, *append; /* NULL: not given */
	enum vm_accel accel;
	char mac[18];
	char *qemu_binary;     /* default qemu-system-x86_64, found in PATH */
	char **qemu_args;      /* further words, NULL-terminated */
	char *console;	       /* file for the serial console; NULL: none */
	char *ram_dir;	       /* tmpfs for the RAM image; default /dev/shm */
	char *xl;	       /* xl.cfg; NULL: attach only (driver xen) */
	char *tracker;	       /* auto | pagemap | soft-dirty | compare */

	/* the network */
	char *gate;	       /* relay (default) | plug */
	char *tap;	       /* interface name */
	char *bridge;	       /* NULL: none */
	uint64_t gate_queue_bytes;

	/* replication */
	struct vm_node node[2];
	char *key_file;
	uint8_t key[VM_KEY_BYTES_MAX];
	size_t key_bytes;
	uint32_t interval_ms;
	uint32_t max_in_flight;	 /* epochs captured but not acknowledged */
	uint64_t capture_bytes;	 /* bound of the copy made in the pause */
	uint64_t cache_bytes;	 /* bound of the old-page cache */
	enum compression compression;
	uint32_t encode_threads; /* the loop's among them */
	uint32_t heartbeat_ms, link_timeout_ms;
	uint32_t shutdown_timeout_ms; /* 0: the guest is not asked */

	/* who decides */
	char *arbiter;	       /* operator (default) | witness */
	bool alone_run;	       /* ask a witness arbiter for `alone` when the
				  backup is lost */
	struct witness_address witness[WITNESSES_MAX];
	unsigned int witnesses;
	char *witness_key;     /* file; NULL only with arbiter operator */
	char *witness_ca;      /* NULL: the system's */
	uint32_t lease_ms;     /* of alone(X) */
	uint32_t witness_timeout_ms; /* of one request */

	/* local */
	char **on_change; /* command and words, NULL-terminated; NULL: none */
	gid_t group;	  /* may use the IPC besides root; 0: nobody */
	char *state_dir;  /* default /var/lib/remus */
	char *run_dir;	  /* default /run/remus */
};

/* 0, or -errno with a line in `err` (always terminated): -ENOENT and friends
 * when a file cannot be read, -EINVAL when it says something wrong.  On failure
 * *out is NULL and nothing is kept.  Reads the key file too: it must be owned
 * by the caller or root, be unreadable for others, and hold KEY_BYTES_MIN..MAX
 * bytes. */
int vm_config_load(struct vm_config **out, const char *path, char *err,
		   size_t err_bytes);
void vm_config_free(struct vm_config *c);

/* Index into node[] of this node (`name`, or uname -n when NULL); -ENOENT with
 * a line in `err` naming both. */
int vm_config_self(const struct vm_config *c, const char *name, char *err,
		   size_t err_bytes);

/* "25", "25ms", "2s": milliseconds in [min, max].  0 or -EINVAL. */
int parse_ms(const char *text, uint32_t min, uint32_t max, uint32_t *out);
/* "128M", "2G", "65536": bytes.  0 or -EINVAL. */
int parse_bytes(const char *text, uint64_t *out);

#endif
