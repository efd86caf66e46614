/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "witness_auth.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config_value.h"

#define MAC_BYTES 32
#define TEXT_MAX 512

static void to_hex(char *out, const uint8_t *in, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		snprintf(out + 2 * i, 3, "%02x", in[i]);
}

int witness_auth_new(struct witness_auth *a, const char *node,
		     const char *witness)
{
	uint8_t nonce[WITNESS_NONCE_HEX / 2];
	struct timespec ts;

	memset(a, 0, sizeof(*a));
	if (!vm_name_ok(node) || !vm_name_ok(witness))
		return -ERANGE;
	if (gnutls_rnd(GNUTLS_RND_NONCE, nonce, sizeof(nonce)) < 0 ||
	    clock_gettime(CLOCK_REALTIME, &ts) < 0)
		return -EIO;
	strcpy(a->node, node);
	strcpy(a->witness, witness);
	a->time_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	to_hex(a->nonce, nonce, sizeof(nonce));
	return 0;
}

/* HMAC over what stands before the body, and the body. */
static int mac_hex(const struct witness_key *key, const char *text,
		   const void *body, size_t bytes, char out[WITNESS_MAC_HEX + 1])
{
	uint8_t mac[MAC_BYTES];
	gnutls_hmac_hd_t h;
	int r;

	if (gnutls_hmac_init(&h, GNUTLS_MAC_SHA256, key->bytes, key->count) < 0)
		return -EIO;
	r = gnutls_hmac(h, text, strlen(text));
	if (r == 0 && bytes > 0)
		r = gnutls_hmac(h, body, bytes);
	gnutls_hmac_deinit(h, mac);
	if (r < 0)
		return -EIO;
	to_hex(out, mac, sizeof(mac));
	return 0;
}

static int request_mac(const struct witness_auth *a,
		       const struct witness_key *key, const char *method,
		       const char *path, const void *body, size_t bytes,
		       char out[WITNESS_MAC_HEX + 1])
{
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text),
			 "remus-witness 1 request\n%s\n%s\n%s\n%s\n%llu\n%s\n",
			 method, path, a->node, a->witness,
			 (unsigned long long)a->time_ms, a->nonce);

	if (n >= (int)sizeof(text))
		return -ERANGE;
	return mac_hex(key, text, body, bytes, out);
}

static int answer_mac(const struct witness_auth *a,
		      const struct witness_key *key, unsigned int status,
		      const void *body, size_t bytes,
		      char out[WITNESS_MAC_HEX + 1])
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text),
		 "remus-witness 1 answer\n%s\n%s\n%s\n%u\n", a->witness,
		 a->node, a->nonce, status);
	return mac_hex(key, text, body, bytes, out);
}

int witness_auth_sign(struct witness_auth *a, const struct witness_key *key,
		      const char *method, const char *path, const void *body,
		      size_t bytes)
{
	return request_mac(a, key, method, path, body, bytes, a->mac);
}

/* In a time that does not tell how much of it was right. */
static bool same_mac(const char *a, const char *b)
{
	return gnutls_memcmp(a, b, WITNESS_MAC_HEX) == 0;
}

int witness_auth_check(const struct witness_auth *a,
		       const struct witness_key *key, const char *method,
		       const char *path, const void *body, size_t bytes)
{
	char mac[WITNESS_MAC_HEX + 1];

	if (request_mac(a, key, method, path, body, bytes, mac) < 0 ||
	    !same_mac(mac, a->mac))
		return -EACCES;
	return 0;
}

void witness_auth_to_header(const struct witness_auth *a,
			    char header[WITNESS_AUTH_MAX])
{
	snprintf(header, WITNESS_AUTH_MAX, "1 %s %s %llu %s %s", a->node,
		 a->witness, (unsigned long long)a->time_ms, a->nonce, a->mac);
}

/* The next word of *p, which ends at one blank or at the end. */
static int word(const char **p, char *out, size_t out_bytes)
{
	size_t len = strcspn(*p, " ");

	if (len == 0 || len >= out_bytes)
		return -EBADMSG;
	memcpy(out, *p, len);
	out[len] = '\0';
	*p += len;
	if (**p == ' ') {
		(*p)++;
		if (**p == '\0')
			return -EBADMSG;
	}
	return 0;
}

static int hex_word(const char **p, char *out, size_t digits)
{
	if (word(p, out, digits + 1) < 0 ||
	    strspn(out, "0123456789abcdef") != digits)
		return -EBADMSG;
	return 0;
}

int witness_auth_from_header(struct witness_auth *a, const char *header)
{
	char version[2], time_text[21];

	memset(a, 0, sizeof(*a));
	if (word(&header, version, sizeof(version)) < 0 || *version != '1' ||
	    word(&header, a->node, sizeof(a->node)) < 0 ||
	    word(&header, a->witness, sizeof(a->witness)) < 0 ||
	    word(&header, time_text, sizeof(time_text)) < 0 ||
	    hex_word(&header, a->nonce, WITNESS_NONCE_HEX) < 0 ||
	    hex_word(&header, a->mac, WITNESS_MAC_HEX) < 0 || *header != '\0')
		return -EBADMSG;
	if (!vm_name_ok(a->node) || !vm_name_ok(a->witness) ||
	    parse_uint(time_text, 0, INT64_MAX, &a->time_ms) < 0)
		return -EBADMSG;
	/* "007" is 7 too, but was not what was signed. */
	return time_text[0] == '0' && time_text[1] != '\0' ? -EBADMSG : 0;
}

int witness_auth_answer(const struct witness_auth *a,
			const struct witness_key *key, unsigned int status,
			const void *body, size_t bytes,
			char header[WITNESS_AUTH_MAX])
{
	char mac[WITNESS_MAC_HEX + 1];
	int rc = answer_mac(a, key, status, body, bytes, mac);

	if (rc == 0)
		snprintf(header, WITNESS_AUTH_MAX, "1 %s %s", a->witness, mac);
	return rc;
}

int witness_auth_check_answer(const struct witness_auth *a,
			      const struct witness_key *key,
			      unsigned int status, const void *body,
			      size_t bytes, const char *header)
{
	char want[WITNESS_AUTH_MAX];
	size_t len;

	if (witness_auth_answer(a, key, status, body, bytes, want) < 0)
		return -EACCES;
	len = strlen(want);
	if (strlen(header) != len || gnutls_memcmp(header, want, len) != 0)
		return -EACCES;
	return 0;
}
