/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_file.h - a configuration's file, line by line: remus.conf(5) and
 * remus-witness.conf(5) are read alike, and differ in their keys.
 */
#ifndef REMUS_CONFIG_FILE_H
#define REMUS_CONFIG_FILE_H

#include <stddef.h>

#define CONFIG_FILE_BYTES_MAX (256 * 1024)

/* A line's key and value, both terminated, neither empty key nor comment.  0,
 * or -errno, which ends the reading; then it has written the message. */
typedef int config_file_fn(void *ctx, char *key, char *value);

/* Reads all of `path`.  *line is the number of the line being given, and that
 * of the last one when all is read; at least 1.  0, or -errno with "FILE: ..."
 * or "FILE:LINE: ..." in err.  Refused is what somebody else than root or this
 * user may have written (it decides what is run here), what is no plain file,
 * and what is longer than CONFIG_FILE_BYTES_MAX. */
int config_file_read(const char *path, unsigned int *line, config_file_fn *give,
		     void *ctx, char *err, size_t err_bytes);

#endif
