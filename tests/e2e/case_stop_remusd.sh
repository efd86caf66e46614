# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The primary's remusd hangs (SIGSTOP) while its guest runs on: no frame passes.
# The backup is activated; the old one, awake again, steps down and never shows
# a frame of its own.
pair_up
client_begin
client_goes_on

host_signal alpha remusd STOP
sleep 0.1 # what is on its way through the kernel
frames=$(vm_frames_out alpha)
qemu_pid alpha >/dev/null || die "the guest is gone"
stays 2 "$frames" vm_frames_out alpha
must beta activate "$VM" --peer-is-dead
soon beta .state active
client_goes_on

host_signal alpha remusd CONT
soon alpha .role backup
soon alpha .state syncing
grep -q 'steps down: refused by beta' "$LAB_DIR/alpha-remusd.log" ||
	die "alpha does not say why: $(tail -n 1 "$LAB_DIR/alpha-remusd.log")"
refused alpha 1 'no committed epoch' remusctl activate "$VM"
client_goes_on
[ "$(vm_frames_out alpha)" = "$frames" ] ||
	die "$(($(vm_frames_out alpha) - frames)) frames left alpha after the" \
		"activation"
protect_from beta
client_goes_on
client_end
