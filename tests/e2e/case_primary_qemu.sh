# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The primary's QEMU dies under the guest: its remusd says so, shows nothing more
# and lets go of the backup, which takes over; then it can be made the backup.
pair_up
client_begin
client_goes_on

host_exec alpha kill -KILL "$(qemu_pid alpha)"
soon alpha .state failed
[[ $(get alpha .reason) =~ (signal|killed) ]] ||
	die "no reason: $(vm_get alpha .reason)"
fact "alpha: $(get alpha .reason)"
frames=$(vm_frames_out alpha)
link_soon beta false
refused alpha 1 'failed here: QEMU was ended by signal 9' \
	remusctl checkpoint "$VM"
must beta activate "$VM"
client_goes_on
[ "$(vm_frames_out alpha)" = "$frames" ] || die "frames of alpha were seen"

must alpha demote "$VM"
protect_from beta
client_goes_on
client_end
