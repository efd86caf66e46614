/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness_http.h - the witness's listener: libmicrohttpd on the qb_loop.
 *
 * Bounds: HTTP_CONNECTIONS_MAX connections for each listening address,
 * HTTP_PER_ADDRESS_MAX from one address; 8 KiB for the head of a request and
 * WITNESS_BODY_MAX for its body, taken only when the head was right.  Who has
 * not finished a request (its handshake included) in HTTP_REQUEST_MS, or does
 * not take the answer, is cut off, and so is who is idle for HTTP_IDLE_MS.
 */
#ifndef REMUS_WITNESS_HTTP_H
#define REMUS_WITNESS_HTTP_H

#include <qb/qbloop.h>

#include "witness.h"

#define HTTP_CONNECTIONS_MAX 512
#define HTTP_PER_ADDRESS_MAX 128
#define HTTP_REQUEST_MS 5000
#define HTTP_IDLE_MS 15000

struct http; /* opaque */

/* Listens on all of c->listen, or fails with a line. */
int http_new(struct http **out, const struct witness_config *c,
	     struct witness *w, qb_loop_t *loop, char *err, size_t err_bytes);
void http_free(struct http *h);
/* Call every 100 ms: cuts off who is too slow. */
void http_tick(struct http *h, uint64_t boot_ms);

#endif
