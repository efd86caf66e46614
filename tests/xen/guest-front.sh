#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later
# guest-front.sh - before the first process of the test guest: Xen's network
# card.  It comes into being some time after its driver.

/bin/busybox mount -t sysfs sys /sys
/bin/busybox insmod /modules/xen-netfront.ko
tries=0
while [ ! -e /sys/class/net/eth0 ] && [ "$tries" -lt 200 ]; do
	/bin/busybox usleep 50000
	tries=$((tries + 1))
done
/bin/busybox umount /sys
exec /init
