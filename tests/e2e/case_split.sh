# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The replication cable is cut, both hosts live, the backup is activated: the
# old primary's gate lets nothing out, and when they meet again it steps down
# and becomes the backup.
pair_up
client_begin
client_goes_on

link_cut alpha repl
link_soon alpha false
link_soon beta false
released=$(gate_released alpha)
frames=$(vm_frames_out alpha)
must beta activate "$VM"
client_goes_on
stays 2 "$released" gate_released alpha
[ "$(get alpha .gate.state)" = holding ] || die "alpha's gate does not hold"
[ "$(get alpha .role)" = primary ] || die "alpha is not primary any more"
qemu_pid alpha >/dev/null || die "alpha's guest is gone"
refused alpha 1 'protected' remusctl alone "$VM"
fact "alpha held $(get alpha .gate.held) frames"

link_heal alpha repl
soon alpha .role backup
soon alpha .state syncing
[ "$(vm_frames_out alpha)" = "$frames" ] ||
	die "$(($(vm_frames_out alpha) - frames)) frames left alpha after the" \
		"activation"
protect_from beta
client_goes_on
[ "$(get beta .generation)" -eq 3 ] || die "generation not 3"

must beta demote "$VM"
must alpha activate "$VM"
client_goes_on
client_end
