#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later
# guest-init.sh - the first process of the test guest.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1

while read -r m; do
	if [ -e "/modules/$m.ko" ]; then
		insmod "/modules/$m.ko" || echo "guest: no module $m"
	fi
done </modules/order

ip=
gw=
load=
# shellcheck disable=SC2013 # words are wanted
for word in $(cat /proc/cmdline); do
	case $word in
	remus.ip=*) ip=${word#*=} ;;
	remus.gw=*) gw=${word#*=} ;;
	remus.load=*) load=${word#*=} ;;
	esac
done

ip link set lo up
[ -z "$ip" ] || ip addr add "$ip" dev eth0
ip link set eth0 up
[ -z "$gw" ] || ip route add default via "$gw"

echo 1 >/proc/sys/vm/overcommit_memory
redis-server --save "" --appendonly no --protected-mode no --daemonize no \
	--loglevel warning --tcp-keepalive 0 --timeout 0 &
if [ -n "$load" ]; then
	memload "${load%%,*}" "$(expr "$load" : '.*,\(.*\)')" &
fi
echo "guest: ready ${ip:-without an address}"

# Process 1 must not end, and reaps what the others leave behind.
while :; do
	wait
	sleep 60
done
