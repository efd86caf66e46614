/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn_listen.c - the listening socket of conn.h.
 *
 * Anybody may connect; so what anybody can make us spend is bounded: sockets in
 * their handshake, lines in the log, and turns of the loop when there are no
 * file descriptors left.
 */
#include "conn_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <qb/qblog.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define ACCEPT_BURST 16
#define LOG_EVERY_NS ((uint64_t)1000000000)

struct conn_listener {
	struct conn_params params; /* identity and key are copies */
	char *identity;
	uint8_t *psk;
	int fd;
	bool polled;
	int spare_fd; /* given up to accept, and close, when there are no more */
	struct conn *pending[CONN_PENDING_MAX];
	uint64_t logged_ns;
	unsigned int unlogged;
};

static void log_refused(struct conn_listener *l, const char *why)
{
	uint64_t now = now_mono_ns();

	if (l->logged_ns != 0 && now - l->logged_ns < LOG_EVERY_NS) {
		l->unlogged++;
		return;
	}
	qb_log(LOG_WARNING, "%s: refused a connection: %s (%u more not logged)",
	       l->identity, why, l->unlogged);
	l->logged_ns = now;
	l->unlogged = 0;
}

void conn_listener_drop(struct conn_listener *l, struct conn *c,
			const char *why)
{
	for (size_t i = 0; i < CONN_PENDING_MAX; i++) {
		if (l->pending[i] == c)
			l->pending[i] = NULL;
	}
	if (why != NULL)
		log_refused(l, why);
}

static void take_connection(struct conn_listener *l, int fd, const char *peer)
{
	char err[CONN_WHY_MAX];

	for (size_t i = 0; i < CONN_PENDING_MAX; i++) {
		if (l->pending[i] != NULL)
			continue;
		if (conn_accepted(&l->pending[i], &l->params, fd, peer, l, err,
				  sizeof(err)) < 0)
			log_refused(l, err);
		return;
	}
	close(fd);
	log_refused(l, "too many connections are in their handshake");
}

/* No descriptors left: the poll would report this connection for ever. */
static void turn_away_one(struct conn_listener *l)
{
	int fd;

	if (l->spare_fd >= 0)
		close(l->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	log_refused(l, "no file descriptors left");
}

static int32_t on_accept(int32_t fd, int32_t revents, void *data)
{
	struct conn_listener *l = data;

	(void)revents;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage addr;
		socklen_t bytes = sizeof(addr);
		char peer[CONN_PEER_MAX];
		int s = accept4(fd, (struct sockaddr *)&addr, &bytes,
				SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (s < 0 && (errno == EMFILE || errno == ENFILE))
			turn_away_one(l);
		if (s < 0)
			break;
		conn_addr_to_str(peer, (struct sockaddr *)&addr, bytes);
		take_connection(l, s, peer);
	}
	return 0;
}

static int open_socket(const struct sockaddr *addr, socklen_t addr_bytes)
{
	int fd = socket(addr->sa_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	int rc;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, addr, addr_bytes) < 0 || listen(fd, 16) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int copy_params(struct conn_listener *l, const struct conn_params *p)
{
	l->identity = strdup(p->psk_identity);
	l->psk = malloc(p->psk_bytes > 0 ? p->psk_bytes : 1);
	if (l->identity == NULL || l->psk == NULL)
		return -ENOMEM;
	memcpy(l->psk, p->psk, p->psk_bytes);
	l->params = *p;
	l->params.psk_identity = l->identity;
	l->params.psk = l->psk;
	return 0;
}

int conn_listen(struct conn_listener **out, const struct conn_params *p,
		const struct sockaddr *addr, socklen_t addr_bytes, char *err,
		size_t err_bytes)
{
	struct conn_listener *l = calloc(1, sizeof(*l));
	char where[CONN_PEER_MAX];
	int rc;

	*out = NULL;
	conn_addr_to_str(where, addr, addr_bytes);
	if (l == NULL)
		return set_err(err, err_bytes, -ENOMEM, "%s: out of memory",
			       where);
	l->fd = l->spare_fd = -1;
	rc = copy_params(l, p);
	if (rc == 0)
		rc = l->fd = open_socket(addr, addr_bytes);
	if (rc >= 0)
		rc = qb_loop_poll_add(p->loop, QB_LOOP_MED, l->fd, POLLIN, l,
				      on_accept);
	if (rc < 0) {
		conn_listener_close(l);
		return set_err(err, err_bytes, rc, "cannot listen on %s: %s",
			       where, strerror(-rc));
	}
	l->polled = true;
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	*out = l;
	return 0;
}

void conn_listener_close(struct conn_listener *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < CONN_PENDING_MAX; i++)
		conn_close(l->pending[i]);
	if (l->polled)
		qb_loop_poll_del(l->params.loop, l->fd);
	if (l->fd >= 0)
		close(l->fd);
	if (l->spare_fd >= 0)
		close(l->spare_fd);
	if (l->psk != NULL)
		explicit_bzero(l->psk, l->params.psk_bytes);
	free(l->psk);
	free(l->identity);
	free(l);
}
