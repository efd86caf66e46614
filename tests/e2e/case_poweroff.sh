# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest powers itself off, as its owner may: status says so, and nobody
# boots it anew by himself.
pair_begin
conf=$(host_dir alpha etc)/$VM.conf
for h in alpha beta; do
	host_signal "$h" remusd TERM
	conf=$(host_dir "$h" etc)/$VM.conf
	sed -i 's|^append.*|append = console=ttyS0 quiet panic=-1 rdinit=/bin/busybox -- sh -c "/bin/busybox sleep 8; /bin/busybox poweroff -f"|' "$conf"
done
for h in alpha beta; do
	wait_until 5 remusd_ended "$h" || die "$h: remusd does not stop"
	remusd_begin "$h"
done
must alpha start "$VM"
protect_from alpha
soon alpha .state failed 90
fact "alpha: $(get alpha .reason)"
[[ $(get alpha .reason) =~ 'powered off'|'shut down'|shutdown ]] ||
	die "the reason is: $(get alpha .reason)"
qemu_gone alpha || die "its QEMU is still there"
must alpha start "$VM" --peer-is-dead
get_is alpha .state alone || die "alpha: $(get alpha .state)"
