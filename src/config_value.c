/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Digits from *p on; *p then stands behind them.  strtoull() takes signs and
 * blanks too, which would let "-1" become an enormous number. */
static int digits(const char **p, uint64_t *out)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++) {
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v))
			return -EINVAL;
	}
	*out = v;
	return 0;
}

int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v;

	if (digits(&text, &v) < 0 || *text != '\0' || v < min || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

int parse_ms(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v, factor = 1;

	if (digits(&text, &v) < 0)
		return -EINVAL;
	if (strcmp(text, "s") == 0)
		factor = 1000;
	else if (*text != '\0' && strcmp(text, "ms") != 0)
		return -EINVAL;
	if (__builtin_mul_overflow(v, factor, &v) || v < min || v > max)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

int parse_bytes(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	uint64_t v, factor = 1;

	if (digits(&text, &v) < 0)
		return -EINVAL;
	if (*text != '\0') {
		const char *u = strchr(units, *text);

		if (u == NULL || text[1] != '\0')
			return -EINVAL;
		factor = (uint64_t)1 << (10 * (u - units + 1));
	}
	return __builtin_mul_overflow(v, factor, out) ? -EINVAL : 0;
}

/* Split "HOST:PORT", "[HOST]:PORT" or a bare host; IPv6 without brackets has
 * more than one colon and then no port. */
static int split_address(const char *text, char *host, size_t host_bytes,
			 uint16_t *port)
{
	const char *colon = strchr(text, ':'), *end = text + strlen(text);
	uint64_t v = VM_PORT_DEFAULT;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colon != NULL && strchr(colon + 1, ':') != NULL) {
		colon = NULL;
	} else if (colon != NULL) {
		end = colon;
	}
	if (colon != NULL && parse_uint(colon + 1, 1, 65535, &v) < 0)
		return -EINVAL;
	if ((size_t)(end - text) >= host_bytes)
		return -EINVAL;
	snprintf(host, host_bytes, "%.*s", (int)(end - text), text);
	*port = (uint16_t)v;
	return 0;
}

int parse_address(const char *text, struct vm_node *out)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	char host[INET6_ADDRSTRLEN];
	uint16_t port;

	if (split_address(text, host, sizeof(host), &port) < 0)
		return -EINVAL;
	memset(&out->addr, 0, sizeof(out->addr));
	if (*text != '[' && inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
		in4.sin_port = htons(port);
		memcpy(&out->addr, &in4, sizeof(in4));
		out->addr_bytes = sizeof(in4);
		snprintf(out->address, sizeof(out->address), "%s:%u", host,
			 port);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
		return -EINVAL;
	in6.sin6_port = htons(port);
	memcpy(&out->addr, &in6, sizeof(in6));
	out->addr_bytes = sizeof(in6);
	snprintf(out->address, sizeof(out->address), "[%s]:%u", host, port);
	return 0;
}

int parse_group(const char *text, gid_t *out)
{
	const struct group *gr = getgrnam(text);
	uint64_t v;

	if (gr != NULL)
		*out = gr->gr_gid;
	else if (parse_uint(text, 0, UINT32_MAX - 1, &v) == 0)
		*out = (gid_t)v;
	else
		return -EINVAL;
	return 0;
}

int parse_mac(const char *text, char out[18])
{
	unsigned int first;

	if (strlen(text) != 17)
		return -EINVAL;
	for (int i = 0; i < 17; i++) {
		unsigned char ch = (unsigned char)text[i];

		if (i % 3 == 2 ? ch != ':' : !isxdigit(ch))
			return -EINVAL;
	}
	first = (unsigned int)strtoul(text, NULL, 16);
	/* A group address cannot be anybody's own, nor can all zeros. */
	if ((first & 1) != 0 || strcmp(text, "00:00:00:00:00:00") == 0)
		return -EINVAL;
	for (int i = 0; i < 18; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	return 0;
}

bool vm_name_ok(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > VM_NAME_MAX || !isalnum((unsigned char)text[0]))
		return false;
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) &&
		    strchr("-_.", *text) == NULL)
			return false;
	}
	return true;
}

bool ifname_ok(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= IFNAMSIZ || strcmp(text, ".") == 0 ||
	    strcmp(text, "..") == 0)
		return false;
	for (; *text != '\0'; text++) {
		/* '%' would make the kernel pick a number of its own. */
		if (!isgraph((unsigned char)*text) ||
		    strchr("/:%,=", *text) != NULL)
			return false;
	}
	return true;
}

void mac_from_name(const char *name, char out[18])
{
	uint32_t h = 2166136261u; /* FNV-1a: must never change (see mac) */

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	snprintf(out, 18, "52:54:00:%02x:%02x:%02x", (h >> 16) & 0xff,
		 (h >> 8) & 0xff, h & 0xff);
}

bool url_ok(const char *text)
{
	size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
			: strncmp(text, "https://", 8) == 0 ? 8
							    : 0;
	const char *host = text + scheme, *colon = strrchr(host, ':');
	uint64_t port;

	if (scheme == 0 || colon == NULL || colon == host ||
	    parse_uint(colon + 1, 1, 65535, &port) < 0)
		return false;
	/* Names, IPv4, and IPv6 in brackets. */
	if (host[0] == '[')
		return colon > host + 2 && colon[-1] == ']' &&
		       strspn(host + 1, "0123456789abcdefABCDEF:.") ==
			       (size_t)(colon - host - 2);
	return strspn(host, "0123456789abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.") ==
	       (size_t)(colon - host);
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t");
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return s;
}

int config_line(char *text, size_t len, char **key, char **value, char *why,
		size_t why_bytes)
{
	char *eq;

	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (len > CONFIG_LINE_MAX)
		return set_err(why, why_bytes, -EINVAL,
			       "line is longer than %d bytes", CONFIG_LINE_MAX);
	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)text[i]) && text[i] != '\t')
			return set_err(why, why_bytes, -EINVAL,
				       "control character 0x%02x",
				       (unsigned char)text[i]);
	}
	text = trim(text);
	if (*text == '\0' || *text == '#')
		return 0;
	eq = strchr(text, '=');
	if (eq == NULL)
		return set_err(why, why_bytes, -EINVAL,
			       "'%.64s' is not 'key = value'", text);
	*eq++ = '\0';
	*key = trim(text);
	*value = trim(eq);
	return 1;
}
