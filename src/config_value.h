/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_value.h - the kinds of values that remus.conf(5) knows.  Pure, but
 * for parse_group(), which asks the user database.  (parse_ms() and
 * parse_bytes() are in vm_config.h; remusctl uses them too.)
 *
 * Every parser takes a terminated string, wants all of it to be the value, and
 * returns 0 or -EINVAL; then *out is untouched.
 */
#ifndef REMUS_CONFIG_VALUE_H
#define REMUS_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm_config.h"

#define VM_PORT_DEFAULT 7070

/* Decimal digits only, in [min, max]. */
int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out);
/* "192.0.2.1", "192.0.2.1:7070", "2001:db8::1", "[2001:db8::1]:7070"; sets
 * address, addr and addr_bytes of *out. */
int parse_address(const char *text, struct vm_node *out);
/* Group name or number. */
int parse_group(const char *text, gid_t *out);
/* "52:54:00:12:34:56", unicast; out gets it in lower case. */
int parse_mac(const char *text, char out[18]);

/* One line of `key = value`, cut up in place: 1; 0: empty, or a comment;
 * -EINVAL with what is wrong in `why`. */
#define CONFIG_LINE_MAX 4096
int config_line(char *text, size_t len, char **key, char **value, char *why,
		size_t why_bytes);

/* Fit to be the name of a VM or node. */
bool vm_name_ok(const char *text);
/* Fit to be the name of a network interface. */
bool ifname_ok(const char *text);
/* An address in 52:54:00 that follows from the name, the same everywhere. */
void mac_from_name(const char *name, char out[18]);

/* "http://HOST:PORT" or "https://HOST:PORT": no path, no credentials. */
bool url_ok(const char *text);

#endif
