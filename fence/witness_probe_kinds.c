/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness_probe_kinds.c - how each kind of probe asks. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"
#include "witness_probe_priv.h"

static void end_fd(struct probe *p)
{
	if (p->fd < 0)
		return;
	qb_loop_poll_del(p->prober->loop, p->fd);
	close(p->fd);
	p->fd = -1;
}

static int watch(struct probe *p, int events,
		 int32_t (*fn)(int32_t fd, int32_t revents, void *data))
{
	return qb_loop_poll_add(p->prober->loop, QB_LOOP_MED, p->fd, events, p,
				fn);
}

/* ---- tcp ---- */

static int32_t on_connected(int32_t fd, int32_t revents __attribute__((unused)),
			    void *data)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	probe_finish(data, error == 0, strerror(error));
	return 0;
}

static int tcp_begin(struct probe *p)
{
	const struct vm_node *to = &p->c->addr;

	p->fd = socket(to->addr.ss_family,
		       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return -errno;
	if (connect(p->fd, (const struct sockaddr *)&to->addr,
		    to->addr_bytes) < 0 &&
	    errno != EINPROGRESS) {
		int rc = -errno;

		close(p->fd);
		p->fd = -1;
		return rc;
	}
	return watch(p, POLLOUT, on_connected);
}

/* ---- icmp ---- */

static bool is_v6(const struct probe *p)
{
	return p->c->addr.addr.ss_family == AF_INET6;
}

/* RFC 1071.  The kernel fills it in for ping sockets and for ICMPv6. */
static uint16_t checksum(const uint8_t *data, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The echo reply to ours?  A raw socket of IPv4 gets the IP header, too, and
 * both kinds of raw socket everybody's messages. */
static bool is_reply(const struct probe *p, const uint8_t *data, size_t bytes)
{
	uint8_t type = is_v6(p) ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	uint16_t id, seq;

	if (p->raw && !is_v6(p)) {
		size_t header = bytes > 0 ? (size_t)(data[0] & 15) * 4 : 0;

		if (header < sizeof(struct iphdr) || bytes < header)
			return false;
		data += header;
		bytes -= header;
	}
	if (bytes < 8 || data[0] != type)
		return false;
	id = (uint16_t)(data[4] << 8 | data[5]);
	seq = (uint16_t)(data[6] << 8 | data[7]);
	return seq == p->echo_seq && (!p->raw || id == p->echo_id);
}

static int32_t on_icmp(int32_t fd, int32_t revents __attribute__((unused)),
		       void *data)
{
	struct probe *p = data;
	uint8_t buf[512];

	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0) {
			probe_finish(p, false, strerror(errno));
			return 0;
		}
		if (is_reply(p, buf, (size_t)n)) {
			probe_finish(p, true, "");
			return 0;
		}
	}
	return 0;
}

/* A ping socket where net.ipv4.ping_group_range has our group, else a raw one
 * where we have CAP_NET_RAW. */
static int icmp_socket(struct probe *p)
{
	int family = p->c->addr.addr.ss_family;
	int protocol = is_v6(p) ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP;
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

	p->raw = false;
	p->fd = socket(family, SOCK_DGRAM | flags, protocol);
	if (p->fd < 0 && errno == EACCES) {
		p->raw = true;
		p->fd = socket(family, SOCK_RAW | flags, protocol);
	}
	return p->fd < 0 ? -errno : 0;
}

static int icmp_send(struct probe *p)
{
	uint8_t echo[16] = { is_v6(p) ? ICMP6_ECHO_REQUEST : ICMP_ECHO };
	uint16_t sum;

	gnutls_rnd(GNUTLS_RND_NONCE, &p->echo_id, sizeof(p->echo_id));
	p->echo_seq++;
	echo[4] = (uint8_t)(p->echo_id >> 8);
	echo[5] = (uint8_t)p->echo_id;
	echo[6] = (uint8_t)(p->echo_seq >> 8);
	echo[7] = (uint8_t)p->echo_seq;
	sum = checksum(echo, sizeof(echo));
	if (!is_v6(p))
		memcpy(echo + 2, &sum, sizeof(sum));
	if (send(p->fd, echo, sizeof(echo), 0) < 0)
		return -errno;
	return 0;
}

static int icmp_begin(struct probe *p)
{
	struct sockaddr_storage to = p->c->addr.addr;
	int rc = icmp_socket(p);

	if (rc < 0)
		return rc;
	if (is_v6(p)) /* to a raw socket, a port is the protocol */
		((struct sockaddr_in6 *)&to)->sin6_port = 0;
	if (connect(p->fd, (struct sockaddr *)&to, p->c->addr.addr_bytes) < 0)
		rc = -errno;
	if (rc == 0)
		rc = icmp_send(p);
	if (rc == 0)
		return watch(p, POLLIN, on_icmp);
	close(p->fd);
	p->fd = -1;
	return rc;
}

/* ---- command ---- */

static void finish_command(struct probe *p, int status)
{
	char why[64];

	if (WIFEXITED(status))
		snprintf(why, sizeof(why), "exit code %d",
			 WEXITSTATUS(status));
	else
		snprintf(why, sizeof(why), "signal %d", WTERMSIG(status));
	probe_finish(p, WIFEXITED(status) && WEXITSTATUS(status) == 0, why);
}

static int32_t on_exit_of(int32_t fd __attribute__((unused)),
			  int32_t revents __attribute__((unused)), void *data)
{
	struct probe *p = data;
	pid_t pid = p->pid;
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return 0;
	kill(-pid, SIGKILL); /* what it left behind */
	p->pid = 0;
	end_fd(p);
	if (p->killed)
		p->killed = false;
	else
		finish_command(p, status);
	return 0;
}

static int spawn(struct probe *p)
{
	static char *const environment[] = {
		(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
			"/usr/bin:/sbin:/bin",
		(char *)"LC_ALL=C", NULL
	};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	for (int fd = 0; fd <= 2; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null",
						 O_RDWR, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
						POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	r = posix_spawn(&p->pid, p->c->argv[0], &files, &attr, p->c->argv,
			environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	if (r != 0)
		p->pid = 0;
	return -r;
}

static int command_begin(struct probe *p)
{
	int rc;

	if (p->killed)
		return -EBUSY; /* the last one is not to be got rid of */
	rc = spawn(p);
	if (rc < 0)
		return rc;
	p->fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->fd < 0) {
		rc = -errno;
		kill(-p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		p->pid = 0;
		return rc;
	}
	return watch(p, POLLIN, on_exit_of);
}

static void command_end(struct probe *p)
{
	if (p->pid == 0 || p->killed)
		return;
	kill(-p->pid, SIGKILL);
	p->killed = true; /* its pidfd stays watched until it is gone */
}

/* ---- http ---- */

#ifdef HAVE_LIBCURL

static size_t drop(char *data __attribute__((unused)), size_t size, size_t n,
		   void *ctx __attribute__((unused)))
{
	return size * n;
}

static void http_end(struct probe *p)
{
	if (p->easy == NULL)
		return;
	curl_loop_remove(p->prober->curl, p->easy);
	curl_easy_cleanup(p->easy);
	p->easy = NULL;
}

/* A connection of its own each time: one that lives on says nothing about
 * whether a client could come.  The certificate is not what is asked about. */
static int http_begin(struct probe *p)
{
	CURLcode r = CURLE_OK;
	CURL *e = curl_easy_init();

	if (e == NULL)
		return -ENOMEM;
	p->easy = e;
	r |= curl_easy_setopt(e, CURLOPT_URL, p->c->text);
	r |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	r |= curl_easy_setopt(e, CURLOPT_PROXY, "");
	r |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	r |= curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	r |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	r |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
	r |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	r |= curl_easy_setopt(e, CURLOPT_MAXFILESIZE, 1L << 20);
	r |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, drop);
	r |= curl_easy_setopt(e, CURLOPT_PRIVATE, p);
	return r == CURLE_OK ? curl_loop_add(p->prober->curl, e) : -EIO;
}

void probe_http_done(void *ctx __attribute__((unused)), CURL *easy, CURLcode r)
{
	struct probe *p = NULL;
	char why[64];
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &p);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (r != CURLE_OK)
		snprintf(why, sizeof(why), "%s", curl_easy_strerror(r));
	else
		snprintf(why, sizeof(why), "HTTP status %ld", status);
	probe_finish(p, r == CURLE_OK && status < 500, why);
}

#else

static int http_begin(struct probe *p __attribute__((unused)))
{
	return -ENOSYS;
}

static void http_end(struct probe *p __attribute__((unused)))
{
}

#endif

const struct probe_ops probe_ops[] = {
	[PROBE_TCP] = { tcp_begin, end_fd },
	[PROBE_HTTP] = { http_begin, http_end },
	[PROBE_ICMP] = { icmp_begin, end_fd },
	[PROBE_COMMAND] = { command_begin, command_end },
};
