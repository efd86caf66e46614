# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The primary's QEMU dies under the guest: its remusd says so and shows nothing
# more.  It is still connected, so that the backup wants it to be demoted first.
pair_up
client_begin
client_goes_on

host_exec alpha kill -KILL "$(qemu_pid alpha)"
soon alpha .state failed
[[ $(get alpha .reason) =~ (signal|killed) ]] ||
	die "no reason: $(vm_get alpha .reason)"
fact "alpha: $(get alpha .reason)"
frames=$(vm_frames_out alpha)
refused beta 1 'use demote there' remusctl activate "$VM"
refused alpha 1 'failed here: QEMU was ended by signal 9' \
	remusctl checkpoint "$VM"
must alpha demote "$VM"
must beta activate "$VM"
client_goes_on
[ "$(vm_frames_out alpha)" = "$frames" ] || die "frames of alpha were seen"

protect_from beta
client_goes_on
client_end
