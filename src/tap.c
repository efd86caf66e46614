/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap.c - see tap.h. */
#include "tap.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#ifndef IFF_TUN_EXCL
#define IFF_TUN_EXCL 0x8000
#endif

int tap_name_check(const char *name, const char *what, char *err,
		   size_t err_bytes)
{
	const char *p;

	if (name == NULL || name[0] == '\0' || strlen(name) >= IFNAMSIZ)
		return set_err(err, err_bytes, -EINVAL,
			       "%s '%s': an interface name of 1 to %d bytes "
			       "expected", what, name == NULL ? "" : name,
			       IFNAMSIZ - 1);
	/* '%' would make the kernel choose another name. */
	for (p = name; *p != '\0'; p++)
		if (*p == '/' || *p == '%' || *p == ':' ||
		    !isgraph((unsigned char)*p))
			return set_err(err, err_bytes, -EINVAL,
				       "%s '%s': not an interface name", what,
				       name);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return set_err(err, err_bytes, -EINVAL,
			       "%s '%s': not an interface name", what, name);
	return 0;
}

static void set_name(struct ifreq *ifr, const char *name)
{
	memset(ifr, 0, sizeof(*ifr));
	memcpy(ifr->ifr_name, name, strlen(name)); /* checked: shorter */
}

static int attach(int fd, const char *name, char *err, size_t err_bytes)
{
	struct ifreq ifr;
	int rc;

	set_name(&ifr, name);
	/* EXCL: an existing interface would be somebody else's, and might be
	 * persistent, that is, outlive us. */
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	rc = -errno;
	if (rc == -EBUSY || if_nametoindex(name) != 0)
		return set_err(err, err_bytes, -EEXIST,
			       "tap '%s': an interface of that name exists "
			       "already; remusd makes its own", name);
	return set_err(err, err_bytes, rc, "tap '%s': cannot be made: %s%s",
		       name, strerror(-rc),
		       rc == -EPERM ? " (CAP_NET_ADMIN expected)" : "");
}

/* A bridge without an address of its own takes the lowest of its ports'; one
 * that begins with fe cannot be the lowest, so that the host's address on the
 * bridge does not change when a guest comes or goes. */
static int set_high_mac(int s, const char *name)
{
	struct ifreq ifr;

	set_name(&ifr, name);
	if (ioctl(s, SIOCGIFHWADDR, &ifr) < 0)
		return -errno;
	ifr.ifr_hwaddr.sa_data[0] = (char)0xfe;
	return ioctl(s, SIOCSIFHWADDR, &ifr) < 0 ? -errno : 0;
}

static int join(int s, const char *name, const char *bridge, char *err,
		size_t err_bytes)
{
	struct ifreq ifr;
	int rc;

	if (if_nametoindex(bridge) == 0)
		return set_err(err, err_bytes, -ENODEV,
			       "tap '%s': there is no bridge '%s'", name,
			       bridge);
	set_name(&ifr, bridge);
	ifr.ifr_ifindex = (int)if_nametoindex(name);
	if (ioctl(s, SIOCBRADDIF, &ifr) == 0)
		return 0;
	rc = -errno;
	if (rc == -EOPNOTSUPP || rc == -EINVAL)
		return set_err(err, err_bytes, rc,
			       "tap '%s': '%s' is not a bridge", name, bridge);
	return set_err(err, err_bytes, rc,
		       "tap '%s': cannot join bridge '%s': %s", name, bridge,
		       strerror(-rc));
}

static int set_up(int s, const char *name)
{
	struct ifreq ifr;

	set_name(&ifr, name);
	if (ioctl(s, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int configure(const char *name, const char *bridge, char *err,
		     size_t err_bytes)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (s < 0)
		return set_err(err, err_bytes, -errno, "tap '%s': no socket: %s",
			       name, strerror(errno));
	rc = set_high_mac(s, name);
	if (rc < 0)
		set_err(err, err_bytes, rc, "tap '%s': cannot set its address: "
			"%s", name, strerror(-rc));
	if (rc == 0 && bridge != NULL)
		rc = join(s, name, bridge, err, err_bytes);
	if (rc == 0) {
		rc = set_up(s, name);
		if (rc < 0)
			set_err(err, err_bytes, rc, "tap '%s': cannot be set "
				"up: %s", name, strerror(-rc));
	}
	close(s);
	return rc;
}

int tap_open(const char *name, const char *bridge, char *err, size_t err_bytes)
{
	int fd, rc;

	rc = tap_name_check(name, "tap", err, err_bytes);
	if (rc == 0 && bridge != NULL)
		rc = tap_name_check(bridge, "bridge", err, err_bytes);
	if (rc < 0)
		return rc;
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return set_err(err, err_bytes, -errno,
			       "tap '%s': /dev/net/tun: %s", name,
			       strerror(errno));
	rc = attach(fd, name, err, err_bytes);
	if (rc == 0)
		rc = configure(name, bridge, err, err_bytes);
	if (rc < 0) {
		close(fd); /* takes the interface with it */
		return rc;
	}
	return fd;
}
