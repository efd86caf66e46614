#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_lab.sh - does the lab do what its users rely on?  Hosts that see each
# other on the right network alone, die at once, freeze whole; cables that cut;
# a guest of plain QEMU that the client host reaches through a host's bridge.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packages.sh"
. "$here/common.sh"
. "$here/guest.sh"
. "$here/hosts.sh"

packages_need build lab
guest_image
links_before=$(ip -o link | sort)

lab_start
root=$LAB_DIR/root
mkdir -p "$root/usr/sbin" "$root/etc/remus-lab"
echo '#!/bin/sh' >"$root/usr/sbin/remus-lab-probe"
chmod 755 "$root/usr/sbin/remus-lab-probe"
HOST_ROOT=$root
host_start alpha 10.77.1.1 -
host_start beta 10.77.1.2 -
host_start client - 10.77.2.100

# ---- what a host sees ----
[ "$(host_exec alpha uname -n)" = alpha ] || die "alpha has another name"
[ "$(host_exec alpha cat /proc/1/comm)" = bash ] || die "not its own /proc"
host_exec alpha remus-lab-probe || die "HOST_ROOT is not installed in alpha"
[ ! -e /usr/sbin/remus-lab-probe ] || die "HOST_ROOT reached the machine"
host_exec alpha sh -c 'echo 1 >/etc/remus/a; echo 1 >/dev/shm/a; echo 1 >/run/a'
for f in /etc/remus/a /dev/shm/a /run/a; do
	[ ! -e "$f" ] || die "alpha's $f reached the machine"
	! host_exec beta test -e "$f" || die "alpha's $f reached beta"
done
[ -e "$(host_dir alpha etc)/a" ] || die "host_dir names another directory"

# ---- cables ----
ping1() { host_exec "$1" ping -q -c 1 -W 1 "$2" >/dev/null 2>&1; }
can_ping=
if type -P ping >/dev/null; then can_ping=1; fi
if [ -n "$can_ping" ]; then
	ping1 alpha 10.77.1.2 || die "no replication network"
	! ping1 client 10.77.1.2 || die "the client reaches the replication net"
	link_cut alpha repl
	! ping1 alpha 10.77.1.2 || die "a cut cable carries"
	link_heal alpha repl
	wait_until 5 ping1 alpha 10.77.1.2 || die "a healed cable does not carry"
fi
link_throttle alpha 100
[[ $(tc -n "$(host_ns alpha)" qdisc show dev repl0) == *tbf*'rate 100Mbit'* ]] ||
	die "no throttle"
link_throttle alpha 0

# ---- a guest, reached by the client ----
append=$(guest_append 10.77.2.10/24 10.77.2.100 100,8)
host_exec alpha ip tuntap add tap0 mode tap
host_exec alpha ip link set tap0 master br0 up
host_spawn alpha qemu qemu-system-x86_64 -machine q35 -accel tcg -m 128 \
	-display none -vga none -serial file:/run/console -no-reboot \
	-kernel "$GUEST_KERNEL" -initrd "$GUEST_INITRD" -append "$append" \
	-netdev tap,id=n0,ifname=tap0,script=no,downscript=no \
	-device virtio-net-pci,netdev=n0,romfile=
begin=$(now_ms)
redis() { host_exec client timeout 2 redis-cli -h 10.77.2.10 "$@" 2>/dev/null; }
pong() { [ "$(redis ping)" = PONG ]; }
wait_until 60 pong || die "no redis: $(host_exec alpha cat /run/console)"
log "guest answers after $(($(now_ms) - begin)) ms"

# ---- freeze, thaw, crash ----
host_freeze alpha
! pong || die "a frozen host answers"
host_thaw alpha
wait_until 10 pong || die "a thawed host does not answer"
pids=$(host_pids alpha)
host_exec alpha sh -c 'echo kept >/var/lib/remus/x'
host_kill alpha
for pid in $pids; do
	pid_ended "$pid" || die "process $pid outlived its host"
done
! pong || die "a dead host answers"
host_start alpha 10.77.1.1 -
[ "$(host_exec alpha cat /var/lib/remus/x)" = kept ] || die "the disk is lost"
! host_exec alpha test -e /run/console || die "/run outlived a crash"
[ -z "$can_ping" ] || wait_until 5 ping1 alpha 10.77.1.2 ||
	die "alpha is not back on its network"

# ---- nothing stays ----
netns=("${LAB_NETNS[@]}")
lab_stop
for ns in "${netns[@]}"; do
	[ ! -e "/run/netns/$ns" ] || die "$ns is still there"
done
[ "$(ip -o link | sort)" = "$links_before" ] ||
	die "the machine's own interfaces have changed"
log "lab: all as promised"
