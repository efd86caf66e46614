# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The primary's remusd hangs (SIGSTOP) while its guest runs on: no frame passes.
# The backup is activated; the old one, awake again, steps down and never shows
# a frame of its own, though an acknowledgement from before waits in its socket.
pair_up link_timeout=3s
client_begin
client_goes_on

host_signal beta remusd STOP
sleep 0.3 # epochs are on their way
host_signal alpha remusd STOP
host_signal beta remusd CONT # acknowledges them
sleep 0.1 # frames that are on their way through the kernel
frames=$(vm_frames_out alpha)
qemu_pid alpha >/dev/null || die "the guest is gone"
stays 1 "$frames" vm_frames_out alpha
link_soon beta false
must beta activate "$VM"
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
