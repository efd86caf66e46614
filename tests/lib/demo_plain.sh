# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo_plain.sh - the story without a cluster: two hosts, and an operator who
# types remusctl.  See tests/demo for what it shares with the other one.
# shellcheck disable=SC2034,SC2154 # set for tests/demo, and by it

demo_packages="build lab"
demo_logs() { vm_logs; }

demo_start() {
	local h
	step "Two hosts and a client, each with a network of its own"
	vm_lab
	show_definition
	for h in alpha beta; do
		say "$h# remusd -f $VM &"
		host_spawn "$h" remusd remusd -f "$VM"
		wait_until 10 host_exec "$h" remusctl status "$VM" ||
			give_up "remusd on $h does not answer"
	done
	say "alpha# remusctl start $VM"
	vm_start alpha || give_up "the guest does not start"
	wait_until 60 vm_answers || give_up "no answer from the guest"
	note "redis in the guest answers at $VM_IP"

	step "From now on beta has it all before the network sees any of it"
	as_root alpha remusctl protect "$VM"
	wait_until 60 vm_state_is alpha protected ||
		give_up "not protected: $(vm_get alpha .reason)"
	as_root alpha remusctl status "$VM"
	P=alpha
}

demo_fail() {
	local dead=()
	case $kill in
	host)
		step "Power failure: every process of alpha dies at once"
		host_kill alpha
		dead=(--peer-is-dead)
		;;
	remusd)
		step "alpha's remusd is killed"
		say "alpha# kill -9 \$(pidof remusd)"
		host_signal alpha remusd KILL
		;;
	link)
		step "The replication cable is cut; alpha and its guest live on"
		link_cut alpha repl
		;;
	esac
	[ "$kill" = host ] || wait_until 10 vm_link_is_down beta ||
		give_up "beta did not notice"
	frames_before
	as_root beta remusctl activate "$VM" "${dead[@]}"
}

# After the activation nothing that alpha's copy sends may be seen any more.
frames_before() {
	[ "$kill" = host ] || frames=$(vm_frames_out alpha)
	[ "$kill" != link ] || released=$(vm_get alpha .gate.released)
}

frames_after() {
	[ "$kill" != host ] || return 0
	local now
	now=$(vm_frames_out alpha)
	[ "$now" -eq "$frames" ] ||
		give_up "$((now - frames)) frames left alpha after the activation"
	[ "$kill" = link ] || return 0
	now=$(vm_get alpha .gate.released)
	[[ -n $released && $now = "$released" ]] ||
		give_up "alpha's gate let out frames: $released, then $now"
	note "alpha's guest still runs, holding $(vm_get alpha .gate.held)" \
		"frames; its gate let none out, and its cable carried none"
}

demo_after() {
	frames_after
	as_root beta remusctl status "$VM"
}

demo_split() { :; }
