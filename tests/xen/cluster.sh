# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cluster.sh - corosync and pacemaker on the lab's Xen hosts.
#
# tests/cluster/lib.sh does it, as on hosts made of namespaces; here is what is
# different where a host is a machine of its own: how its files get there, and
# how its fence device gets word out of it.
#
# Then cluster_start with hosts that are up, and on, quiet, wait_for, online,
# promoted, ... of tests/cluster/lib.sh.  Needs lib.sh, and what that one needs.

# Emulated hosts get no processor for long: a token as on a busy machine.
TOKEN_MS=${TOKEN_MS:-10000}
# shellcheck source-path=SCRIPTDIR source=../cluster/lib.sh
. "$TESTS_DIR/cluster/lib.sh"

# What `cat` of the fifo brings out is a request; its answer goes back in.
xen_power_serve() {
	local name=$1 id what host answer
	while read -r id what host; do
		answer=$(power_do "$what" "$host") || answer=failed
		[ "$what" = ping ] || echo "${EPOCHREALTIME/,/.} $id $what" \
			"$host: ${answer//$'\n'/ }" >>"$POWER_DIR/log"
		# shellcheck disable=SC2016
		xen_on "$name" sh -c 'cd /run/lab-power && echo "$1" >".$2" &&
			mv ".$2" "answer.$2"' - "$answer" "$id" </dev/null
	done < <(xen_on "$name" sh -c 'cd /run/lab-power
		while :; do cat requests; done' </dev/null)
}

# What power.sh cannot know of hosts that are not namespaces.
power_do() {
	case $1 in
	ping) echo pong ;;
	list) printf '%s\n' "${NODES[@]}" ;;
	status) if host_running "$2"; then echo on; else echo off; fi ;;
	off)
		! host_running "$2" || host_kill "$2"
		echo off
		;;
	*) echo "unknown request" ;;
	esac
}

# Nothing of a node is outside of it.
node_prepare() { :; }

node_boot() {
	local n=$1
	POWER_DIR=$LAB_DIR/power
	mkdir -p "$POWER_DIR"
	: >>"$POWER_DIR/log"
	corosync_conf "${NODES[@]}" | xen_on "$n" sh -c '
		mkdir -p /run/lab-power /etc/corosync /var/log/cluster \
			/var/log/pacemaker /run/crm /run/resource-agents
		chown hacluster:haclient /run/crm /var/log/pacemaker
		mkfifo /run/lab-power/requests
		rm -f /var/lib/pacemaker/cib/*
		cat >/etc/corosync/corosync.conf'
	xen_put "$n" "$CLUSTER_DIR/fence_lab" /usr/sbin/fence_lab
	xen_power_serve "$n" </dev/null >/dev/null 2>&1 &
	on_exit kill_pid $!
	host_spawn "$n" syslog busybox syslogd -n -O /var/log/syslog -S
}
