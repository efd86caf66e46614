# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kill -9 of the primary's remusd: the guest dies with it, no frame passes, and
# a remusd that is started there again does not boot a second guest.
pair_up
client_begin
client_goes_on

host_signal alpha remusd KILL
frames=$(vm_frames_out alpha)
wait_until 2 qemu_gone alpha || die "the guest outlived its remusd"
stays 1 "$frames" vm_frames_out alpha
link_soon beta false
must beta activate "$VM"
client_goes_on

remusd_begin alpha
refused alpha 1 'protected\(alpha,beta\)' remusctl start "$VM"
refused alpha 1 'no committed epoch' remusctl activate "$VM"
[ "$(vm_frames_out alpha)" = "$frames" ] || die "frames of alpha were seen"
protect_from beta
client_goes_on
client_end
