/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls.c - see tls.h. */
#include "tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_AES
#define HWCAP_AES (1 << 3)
#endif
#endif

#include "util.h"

/* No ciphers with a SHA-384 hash: an external PSK is bound to SHA-256.  No PSK
 * without (EC)DHE: a key that leaks later must not open recorded streams.
 * GnuTLS takes no list without a signature algorithm; it is of no use to a peer
 * as neither side has credentials for certificates. */
#define PRIORITY(ciphers)                                                      \
	"NONE:+VERS-TLS1.3:+ECDHE-PSK:+DHE-PSK:+GROUP-X25519"                  \
	":+GROUP-SECP256R1:+GROUP-FFDHE2048:+AEAD"                             \
	":+SIGN-ECDSA-SECP256R1-SHA256" ciphers

/* A fatal record or handshake error is final; others ask for another call.
 * This many in a row without progress is a peer that plays with us. */
#define NONFATAL_MAX 16

struct tls {
	gnutls_session_t session;
	enum tls_side side;
	gnutls_psk_client_credentials_t client_cred;
	gnutls_psk_server_credentials_t server_cred;
	char *identity;
	uint8_t *psk;
	size_t psk_bytes;
	size_t send_pending;   /* bytes that GnuTLS holds after -EAGAIN */
	bool identity_unknown; /* server: the peer asked for another one */
};

static bool cpu_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_cpu_init();
	return __builtin_cpu_supports("aes") &&
	       __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
	return false;
#endif
}

const char *tls_priority(void)
{
	return cpu_has_aes() ?
		       PRIORITY(":+AES-128-GCM:+CHACHA20-POLY1305") :
		       PRIORITY(":+CHACHA20-POLY1305:+AES-128-GCM");
}

static int gnutls_to_errno(int r)
{
	switch (r) {
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
		return -ECONNRESET;
	case GNUTLS_E_TIMEDOUT:
		return -ETIMEDOUT;
	default:
		return -EPROTO;
	}
}

static const char *alert_name(struct tls *t)
{
	const char *name =
		gnutls_alert_get_name(gnutls_alert_get(t->session));

	return name != NULL ? name : "unknown alert";
}

/* One line for a GnuTLS failure. */
static int fail(struct tls *t, int r, char *err, size_t err_bytes)
{
	int saved_errno = errno;

	if (r == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return set_err(err, err_bytes, -EPROTO, "TLS: the peer says: %s",
			       alert_name(t));
	if (r == GNUTLS_E_PREMATURE_TERMINATION)
		return set_err(err, err_bytes, -ECONNRESET,
			       "the connection was cut");
	if ((r == GNUTLS_E_PULL_ERROR || r == GNUTLS_E_PUSH_ERROR) &&
	    saved_errno != 0)
		return set_err(err, err_bytes, -saved_errno, "%s",
			       strerror(saved_errno));
	return set_err(err, err_bytes, gnutls_to_errno(r), "TLS: %s",
		       gnutls_strerror(r));
}

/* Server: which key belongs to this identity?  For an unknown one GnuTLS goes
 * on with a random key, so that the peer sees no difference. */
static int find_psk(gnutls_session_t session, const char *username,
		    gnutls_datum_t *key)
{
	struct tls *t = gnutls_session_get_ptr(session);

	if (username == NULL || strcmp(username, t->identity) != 0) {
		t->identity_unknown = true;
		key->data = NULL;
		key->size = 0;
		return 0;
	}
	t->identity_unknown = false;
	key->data = gnutls_malloc(t->psk_bytes);
	if (key->data == NULL)
		return -1;
	memcpy(key->data, t->psk, t->psk_bytes);
	key->size = (unsigned int)t->psk_bytes;
	return 0;
}

static int set_credentials(struct tls *t)
{
	gnutls_datum_t key = { t->psk, (unsigned int)t->psk_bytes };
	int r;

	if (t->side == TLS_SERVER) {
		r = gnutls_psk_allocate_server_credentials(&t->server_cred);
		if (r < 0)
			return r;
		gnutls_psk_set_server_credentials_function(t->server_cred,
							   find_psk);
		return gnutls_credentials_set(t->session, GNUTLS_CRD_PSK,
					      t->server_cred);
	}
	r = gnutls_psk_allocate_client_credentials(&t->client_cred);
	if (r < 0)
		return r;
	r = gnutls_psk_set_client_credentials(t->client_cred, t->identity,
					      &key, GNUTLS_PSK_KEY_RAW);
	if (r < 0)
		return r;
	return gnutls_credentials_set(t->session, GNUTLS_CRD_PSK,
				      t->client_cred);
}

static int set_up_session(struct tls *t, int fd)
{
	unsigned int flags = GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS |
			     GNUTLS_NO_SIGNAL |
			     (t->side == TLS_SERVER ? GNUTLS_SERVER :
						      GNUTLS_CLIENT);
	int r;

	r = gnutls_init(&t->session, flags);
	if (r < 0) {
		t->session = NULL;
		return r;
	}
	gnutls_session_set_ptr(t->session, t);
	r = gnutls_priority_set_direct(t->session, tls_priority(), NULL);
	if (r < 0)
		return r;
	r = set_credentials(t);
	if (r < 0)
		return r;
	/* The owner's timer watches the handshake. */
	gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT);
	gnutls_transport_set_int(t->session, fd);
	return 0;
}

int tls_create(struct tls **out, enum tls_side side, int fd,
	       const char *identity, const uint8_t *psk, size_t psk_bytes,
	       char *err, size_t err_bytes)
{
	struct tls *t = calloc(1, sizeof(*t));
	int r = GNUTLS_E_MEMORY_ERROR;

	*out = NULL;
	if (t == NULL)
		goto fail;
	t->side = side;
	t->identity = strdup(identity);
	t->psk = malloc(psk_bytes > 0 ? psk_bytes : 1);
	if (t->identity == NULL || t->psk == NULL)
		goto fail;
	memcpy(t->psk, psk, psk_bytes);
	t->psk_bytes = psk_bytes;
	r = set_up_session(t, fd);
	if (r < 0)
		goto fail;
	*out = t;
	return 0;
fail:
	tls_destroy(t);
	return set_err(err, err_bytes, gnutls_to_errno(r), "TLS: %s",
		       gnutls_strerror(r));
}

/* Whether a failed handshake is about the key.  The client hears an alert; the
 * server sees the binder fail. */
static bool is_about_the_key(struct tls *t, int r)
{
	if (t->side == TLS_SERVER)
		return r == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER ||
		       r == GNUTLS_E_DECRYPTION_FAILED ||
		       r == GNUTLS_E_INSUFFICIENT_CREDENTIALS ||
		       t->identity_unknown;
	if (r != GNUTLS_E_FATAL_ALERT_RECEIVED)
		return false;
	switch ((int)gnutls_alert_get(t->session)) {
	case GNUTLS_A_ILLEGAL_PARAMETER:
	case GNUTLS_A_DECRYPT_ERROR:
	case GNUTLS_A_UNKNOWN_PSK_IDENTITY:
		return true;
	default:
		return false;
	}
}

static int handshake_failed(struct tls *t, int r, char *err, size_t err_bytes)
{
	int rc = fail(t, r, err, err_bytes);

	if (t->side == TLS_SERVER && r != GNUTLS_E_FATAL_ALERT_RECEIVED)
		gnutls_alert_send_appropriate(t->session, r);
	if (!is_about_the_key(t, r))
		return rc;
	if (t->identity_unknown)
		return set_err(err, err_bytes, -EACCES,
			       "the peer asks for another VM than \"%s\"",
			       t->identity);
	return set_err(err, err_bytes, -EACCES,
		       "the peer has another key or VM name than \"%s\"",
		       t->identity);
}

int tls_handshake(struct tls *t, char *err, size_t err_bytes)
{
	for (int i = 0; i < NONFATAL_MAX; i++) {
		int r;

		errno = 0;
		r = gnutls_handshake(t->session);
		if (r == 0)
			return 0;
		if (r == GNUTLS_E_AGAIN)
			return -EAGAIN;
		if (gnutls_error_is_fatal(r))
			return handshake_failed(t, r, err, err_bytes);
	}
	return set_err(err, err_bytes, -EPROTO, "TLS: too many alerts");
}

bool tls_wants_write(const struct tls *t)
{
	return gnutls_record_get_direction(t->session) == 1;
}

ssize_t tls_send(struct tls *t, const void *data, size_t bytes, char *err,
		 size_t err_bytes)
{
	for (int i = 0; i < NONFATAL_MAX; i++) {
		ssize_t r;

		errno = 0;
		/* GnuTLS keeps the record that it could not send.  NULL asks it
		 * to go on; other bytes than those would be a mistake, and the
		 * caller may have more of them by now. */
		if (t->send_pending > 0)
			r = gnutls_record_send(t->session, NULL, 0);
		else
			r = gnutls_record_send(t->session, data, bytes);
		if (r > 0) {
			t->send_pending = 0;
			return r;
		}
		if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED) {
			t->send_pending = bytes;
			if (r == GNUTLS_E_AGAIN)
				return -EAGAIN;
		} else if (r == 0 || gnutls_error_is_fatal((int)r)) {
			return fail(t, r == 0 ? GNUTLS_E_INTERNAL_ERROR : (int)r,
				    err, err_bytes);
		}
	}
	return -EAGAIN;
}

ssize_t tls_recv(struct tls *t, void *data, size_t bytes, char *err,
		 size_t err_bytes)
{
	for (int i = 0; i < NONFATAL_MAX; i++) {
		ssize_t r;

		errno = 0;
		r = gnutls_record_recv(t->session, data, bytes);
		if (r >= 0)
			return r;
		if (r == GNUTLS_E_AGAIN)
			return -EAGAIN;
		if (gnutls_error_is_fatal((int)r))
			return fail(t, (int)r, err, err_bytes);
	}
	return set_err(err, err_bytes, -EPROTO, "TLS: too many alerts");
}

bool tls_pending(const struct tls *t)
{
	return gnutls_record_check_pending(t->session) > 0;
}

void tls_bye(struct tls *t)
{
	/* After -EAGAIN the kernel's buffer is full: an alert would not fit
	 * either, and must not go before the record that waits. */
	if (t->send_pending == 0)
		gnutls_bye(t->session, GNUTLS_SHUT_WR);
}

void tls_destroy(struct tls *t)
{
	if (t == NULL)
		return;
	if (t->session != NULL)
		gnutls_deinit(t->session);
	if (t->client_cred != NULL)
		gnutls_psk_free_client_credentials(t->client_cred);
	if (t->server_cred != NULL)
		gnutls_psk_free_server_credentials(t->server_cred);
	if (t->psk != NULL)
		explicit_bzero(t->psk, t->psk_bytes);
	free(t->psk);
	free(t->identity);
	free(t);
}
