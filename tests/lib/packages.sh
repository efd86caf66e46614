# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# packages.sh - the one list of Debian packages, and how they get installed.
#
# Sourced by tests/demo and tests/check before anything else: it uses nothing
# but bash, dpkg and apt.  packages_need WHICH... installs what is missing of
# the named groups, without a question; when nothing is missing it costs one
# dpkg-query.  The redis-server package is left out on purpose: installing it
# would start a server on the machine; redis-tools has the same program.

PACKAGES_BUILD="autoconf automake libtool make gcc libc6-dev pkg-config
	libqb-dev libgnutls28-dev libcurl4-gnutls-dev libjansson-dev
	libmicrohttpd-dev libvotequorum-dev libcmap-dev libxxhash-dev libzstd-dev libnl-3-dev libnl-route-3-dev libcmocka-dev xz-utils
	libxen-dev"
PACKAGES_LAB="iproute2 util-linux procps kmod cpio busybox-static redis-tools iputils-ping
	qemu-system-x86 jq python3"
PACKAGES_CLUSTER="corosync pacemaker pacemaker-cli-utils pcs crmsh
	resource-agents tcpdump"
PACKAGES_QNETD="corosync-qnetd corosync-qdevice"
PACKAGES_BENCH="liblz4-dev"
PACKAGES_XEN="mmdebstrap dpkg-dev flex bison openssh-client python3"
PACKAGES_CHECK="clang llvm libclang-rt-14-dev valgrind shellcheck mandoc
	tcpdump nftables resource-agents libxml2-utils openssl python3"

packages_missing() {
	local p have
	have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" \
		2>/dev/null | sed -n 's/ installed$//p')
	for p in "$@"; do
		grep -qxF -- "$p" <<<"$have" || printf '%s ' "$p"
	done
}

# Another apt may hold a lock (a fresh machine upgrades itself): wait for it,
# up to about five minutes, instead of failing.
packages_apt() {
	local try log
	log=$(mktemp)
	for try in $(seq 30); do
		if DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
			apt-get -q -y -o DPkg::Lock::Timeout=300 \
			-o Dpkg::Options::=--force-confold \
			-o APT::Sandbox::User=root "$@" \
			</dev/null >"$log" 2>&1; then
			rm -f "$log"
			return 0
		fi
		grep -qiE 'could not get lock|unable to lock' "$log" || break
		[ "$try" -eq 1 ] && echo "waiting for another apt to end" >&2
		sleep 10
	done
	cat "$log" >&2
	rm -f "$log"
	return 1
}

# Some packages (corosync, pacemaker, pcs) would start a cluster on the machine
# itself, now and at its next boot.  The tests want their programs only.
packages_install() {
	local policy=/usr/sbin/policy-rc.d rc=0 daemon enabled=""
	[ -e "$policy" ] && policy=
	if [ -n "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	for daemon in corosync pacemaker pcsd corosync-qnetd corosync-qdevice; do
		[[ " $* " != *" ${daemon/pcsd/pcs} "* ]] || enabled+=" $daemon"
	done
	packages_apt install --no-install-recommends "$@" || rc=$?
	[ -z "$policy" ] || rm -f "$policy"
	# shellcheck disable=SC2086 # a list of words
	[ -z "$enabled" ] ||
		systemctl disable $enabled >/dev/null 2>&1 || :
	return "$rc"
}

packages_need() {
	local group list="" missing
	for group in "$@"; do
		case $group in
		build) list+=" $PACKAGES_BUILD" ;;
		lab) list+=" $PACKAGES_LAB" ;;
		cluster) list+=" $PACKAGES_CLUSTER" ;;
		qnetd) list+=" $PACKAGES_QNETD" ;;
		bench) list+=" $PACKAGES_BENCH" ;;
		xen) list+=" $PACKAGES_XEN" ;;
		check) list+=" $PACKAGES_CHECK" ;;
		*) echo "packages_need: no group '$group'" >&2; return 1 ;;
		esac
	done
	# shellcheck disable=SC2086 # a list of words
	missing=$(packages_missing $list)
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "missing packages, and not root: $missing" >&2
		return 1
	fi
	echo "installing: $missing" >&2
	# shellcheck disable=SC2086
	{ packages_apt update &&
		packages_install $missing; } || {
		echo "apt-get could not install: $missing" >&2
		return 1
	}
}
