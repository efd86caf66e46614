# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two wrong words of the operator: `alone --peer-is-dead` on the primary and
# `activate --peer-is-dead` on a backup that is not dead, while they cannot
# talk.  No register but theirs could have refused; what can be done is to see
# it when they meet: neither gives in, neither talks the other into anything,
# both say it, and it ends when one of them is stopped, or dies.
both_alone() {
	link_cut alpha repl
	link_soon alpha false
	link_soon beta false
	must alpha alone "$VM" --peer-is-dead
	must beta activate "$VM" --peer-is-dead
	must beta protect "$VM"
	link_heal alpha repl
}

pair_up
both_alone
for h in alpha beta; do
	wait_until 10 get_says_both "$h" || die "$h: $(vm_get "$h" .reason)"
	fact "$h: $(get "$h" .state): $(get "$h" .reason)"
	[ "$(get "$h" .role)" = primary ] || die "$h gave in"
	refused "$h" 1 'not protected' remusctl demote "$VM"
done
must beta stop "$VM"
wait_until 5 remusd_ended beta || die "beta's remusd does not stop"
remusd_begin beta
soon alpha .state protected 20
soon beta .state standby
fact "alpha: $(get alpha .ticket), generation $(get alpha .generation)"

# Whose ticket still says that it is alone has lost its guest, when it comes back.
both_alone
wait_until 10 get_says_both beta || die "beta: $(vm_get beta .reason)"
must alpha protect "$VM"
host_signal beta remusd KILL
wait_until 5 remusd_ended beta || die "beta's remusd does not die"
wait_until 10 qemu_gone beta || die "its guest does not"
[ "$(jq -r .state "$(host_dir beta lib)/$VM.ticket")" = alone ]
remusd_begin beta
soon alpha .state protected 20
soon beta .state standby
fact "alpha: $(get alpha .ticket), generation $(get alpha .generation)"
