/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls.h - TLS 1.3 with an external pre-shared key over a connected,
 * non-blocking socket.  The parameters are those of remus-protocol(7).
 *
 * Only TLS 1.3, only the key: no certificate, no resumption, no early data.  A
 * peer that does not prove the key gets no further than the handshake, whose
 * parser is GnuTLS's.
 *
 * Nothing blocks, and no SIGPIPE is raised.  The fd stays the caller's.
 */
#ifndef REMUS_TLS_H
#define REMUS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum tls_side { TLS_CLIENT = 1, TLS_SERVER = 2 };

struct tls;

/* A session on `fd`; nothing is sent yet.  Identity and key are copied.  0, or
 * -errno with a line in `err`. */
int tls_create(struct tls **out, enum tls_side side, int fd,
	       const char *identity, const uint8_t *psk, size_t psk_bytes,
	       char *err, size_t err_bytes);

/* One step of the handshake.  0: done, the peer has proved the key.  -EAGAIN:
 * call again when the fd is writable (tls_wants_write) or else readable.
 * -EACCES: key or identity differ.  Other -errno: anything else.  After a
 * failure a line is in `err`, and only tls_destroy() is allowed. */
int tls_handshake(struct tls *t, char *err, size_t err_bytes);
bool tls_wants_write(const struct tls *t);

/* Send up to `bytes` (> 0) bytes.  Returns how many were taken, at least 1.
 * -EAGAIN: the kernel takes no more now.  Then some of these bytes may be on
 * their way already: call again with the same bytes first, or more behind them.
 * Other -errno: the session is broken; a line is in `err`. */
ssize_t tls_send(struct tls *t, const void *data, size_t bytes, char *err,
		 size_t err_bytes);

/* Receive up to `bytes` (> 0).  Returns how many; 0: the peer closed in order;
 * -EAGAIN: none now; other -errno: the session is broken (a bad record, a cut
 * connection), a line is in `err`. */
ssize_t tls_recv(struct tls *t, void *data, size_t bytes, char *err,
		 size_t err_bytes);

/* Bytes that tls_recv() would return without a look at the fd, of which no poll
 * will tell. */
bool tls_pending(const struct tls *t);

/* Say goodbye (closing alert), as far as the kernel takes it at once. */
void tls_bye(struct tls *t);

/* NULL is allowed.  Forgets the key. */
void tls_destroy(struct tls *t);

/* The priority string in use, for status and logs. */
const char *tls_priority(void);

#endif
