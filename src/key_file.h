/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * key_file.h - the file with a shared secret (key_file in remus.conf(5) and
 * remus-witness.conf(5)).
 */
#ifndef REMUS_KEY_FILE_H
#define REMUS_KEY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "vm_config.h"

/* The file must belong to root or to the caller, be closed to group and
 * others, and hold VM_KEY_BYTES_MIN..MAX bytes.  0; -errno (-EINVAL: what it
 * is) with a line "key_file 'PATH' ...", and nothing in `key`. */
int key_file_read(const char *path, uint8_t key[VM_KEY_BYTES_MAX],
		  size_t *key_bytes, char *err, size_t err_bytes);

#endif
