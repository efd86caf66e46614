#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dom0-init.sh - the first process of a Xen host of the lab, in its dom0.
#
# Its command line gives lab.name=NAME and lab.id=N (the last byte of all its
# addresses).  /lab is the lab's own disk, read only: this file, the guest, the
# product under /lab/root, and the key of who may log in.

export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export HOME=/root LC_ALL=C.UTF-8
cd /
# What the smallest Debian has no package for, busybox does.
for tool in mount umount; do
	command -v "$tool" >/dev/null || ln -s /bin/busybox "/usr/local/sbin/$tool"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /dev/pts /dev/shm /run/lock /run/lab /run/xen /var/lock /var/log/xen
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t xenfs xenfs /proc/xen
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd

name=dom0
id=1
read -r -a words </proc/cmdline
for word in "${words[@]}"; do
	case $word in
	lab.name=*) name=${word#*=} ;;
	lab.id=*) id=${word#*=} ;;
	esac
done
hostname "$name"
echo "$name" >/etc/hostname
printf '127.0.0.1 localhost\n10.77.3.1 alpha\n10.77.3.2 beta\n' >/etc/hosts
echo 1 >/proc/sys/vm/overcommit_memory
echo "/var/log/core.%e.%p" >/proc/sys/kernel/core_pattern

modprobe -a virtio_net xen-evtchn xen-gntdev xen-gntalloc xen-privcmd \
	xen-netback bridge sch_plug act_mirred
modprobe tun
modprobe ifb numifbs=0

# Which card is which, by the last byte of its address.
for dev in /sys/class/net/eth*; do
	read -r mac <"$dev/address"
	case $mac in
	*:01) ip link set "${dev##*/}" name ctl0 ;;
	*:02) ip link set "${dev##*/}" name repl0 ;;
	*:03) ip link set "${dev##*/}" name svc0 ;;
	*:04) ip link set "${dev##*/}" name ring0 ;;
	esac
done
sysctl -q net.ipv6.conf.all.disable_ipv6=1 \
	net.ipv6.conf.default.disable_ipv6=1
ip link set lo up
ip addr add "10.77.9.$id/24" dev ctl0
ip addr add "10.77.1.$id/24" dev repl0
ip addr add "10.77.3.$id/24" dev ring0
ip link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
ip link set svc0 master br0
ip addr add "10.77.2.$id/24" dev br0
for dev in ctl0 repl0 ring0 svc0 br0; do
	ip link set "$dev" up
done

install -d -m 700 /root/.ssh
install -m 600 /lab/key.pub /root/.ssh/authorized_keys
[ ! -d /lab/root ] || cp -a /lab/root/. /
mkdir -p /etc/dropbear
# Nobody may log in before everything is there.
trap '' HUP

xen=$(echo /usr/lib/xen-[0-9]*/bin)
# Without it `xl create` waits for a console in vain.
mkdir -p /var/log/xen/console /var/run/xenstored /var/lib/xenstored \
	/var/lib/xen
set -e
"$xen/oxenstored" --pid-file /run/xenstored.pid
"$xen/xen-init-dom0"
"$xen/xenconsoled" --log=guest --log-dir=/var/log/xen/console \
	--pid-file=/run/xenconsoled.pid
set +e
if xl info >/run/lab/xl-info 2>&1; then
	: >/run/lab/up.ok
fi
dropbear -R -s -p 22
echo "lab: $name is up after $(cut -d ' ' -f 1 /proc/uptime) s"

# Process 1 must not end; bash reaps what others leave behind.
while :; do
	sleep 3600 &
	wait $!
done
