# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it
#
# fence_clientprobe as a STONITH device, as fence_clientprobe(8) shows it: with
# vm1, whose witnesses are on hosts of their own.

stage_clients() {
	local n
	VMS=(vm1) WITNESSED=1
	if [ -z "$STAGE_IS_UP" ]; then
		lab_wipe
		witness_begin "vm1=${VM_ADDR[vm1]}"
		cluster_start alpha beta
		vm_make vm1
		on alpha pcs stonith create clients fence_clientprobe \
			"witnesses=$(witness_list)" \
			key_file=/etc/remus/witness.key
		wait_for 60 "the device of the clients" started clients
	fi
	settled
	look
	for n in alpha beta; do
		FENCER_FROM[$n]=$(wc -l <"$(fencer_log "$n")")
	done
}

clientprobe() { # NODE ACTION WORD...
	local node=$1 action=$2
	shift 2
	quiet "$node" fence_clientprobe -o "$action" -w "$(witness_list)" \
		-k /etc/remus/witness.key "$@"
}

# What the fencer of NODE has heard of its agent since the case began.
declare -A FENCER_FROM=()
fencer_log() { echo "$(host_dir "$1" disk)/var/log/pacemaker/pacemaker.log"; }
fencer_says() {
	tail -n "+$((FENCER_FROM[$1] + 1))" "$(fencer_log "$1")" | has -F -- "$2"
}
power_untouched() { ! power_log | has " off $1"; }

# Beside a power device: none is cut off whom clients see serve (clients)
case_fence_level() {
	on "$P" pcs stonith describe fence_clientprobe |
		has 'witnesses (required)'
	on "$P" pcs stonith level add 1 alpha clients power
	on "$P" pcs stonith level add 1 beta clients power
	on "$P" pcs stonith level verify
	wait_for 60 rest idle
	watch_start
	unplug "$B" ring
	# The primary's side may switch the other off, and does; not vice versa.
	wait_for 90 "the end of $B" not host_running "$B"
	power_untouched "$P"
	QUERY=$P
	wait_for 60 "$B offline" offline "$B"
	watch_goes_on
	wait_for 30 "vm1 at $P still" promoted vm1-clone "$P"
	QUERY=
	node_rejoin "$B"
	settled_at "$P"
	watch_goes_on
	node_crash "$P"
	wait_for 90 "vm1 promoted on $B" promoted vm1-clone "$B"
	wait_for 10 "$P's power being cut" fenced "$P"
	watch_goes_on
	node_rejoin "$P"
	settled_at "$B"
	watch_end vm1 "$P $B"
}

# Clients fence alone: who is dead, but not who serves (clients)
case_fence_clients() {
	on "$P" pcs stonith level clear
	on "$P" pcs stonith delete power
	wait_for 60 rest idle
	clientprobe "$P" status -n "$P" | has "Status: ON"
	watch_start
	node_crash "$P"
	wait_for 90 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	wait_for 30 "$P offline" offline "$P"
	fencer_says "$B" "targeting $P using clients returned 0"
	node_rejoin "$P"
	settled_at "$B"
	look
	# Each side thinks that the other is dead.  The clients know better.
	unplug "$B" ring
	wait_for 90 "the refusal, on $B" fencer_says "$B" \
		"clients still see it serve vm1"
	fencer_says "$B" "$P is not fenced"
	QUERY=$P
	wait_for 90 "$B offline for $P" offline "$B"
	wait_for 30 "vm1 at $P still" promoted vm1-clone "$P"
	not clientprobe "$B" off -n "$P" -g 2
	watch_goes_on
	host_running "$B"
	QUERY=
	watch_end vm1 "$B $P"
	cluster_wipe
}
