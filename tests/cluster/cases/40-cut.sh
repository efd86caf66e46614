# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# The heartbeat is cut: STONITH decides, for the one with the running guest
case_ring_cut() {
	on "$P" pcs property set priority-fencing-delay=10s
	on "$P" pcs resource meta vm1-clone priority=1
	wait_for 60 rest idle
	watch_start
	unplug "$B" ring
	wait_for 60 "the end of $B" not host_running "$B"
	QUERY=$P
	wait_for 60 "$B offline" offline "$B"
	watch_goes_on
	wait_for 30 "vm1 at $P still" promoted vm1-clone "$P"
	QUERY=
	node_rejoin "$B" # its cables are plugged in again
	settled_at "$P"
	watch_goes_on
	on "$P" pcs property set priority-fencing-delay=
	watch_end vm1 "$P"
}

# The replication cable alone is cut: the guest goes on alone, then protected
case_repl_cut() {
	watch_start
	unplug "$B" repl
	wait_for 30 "a held output in crm_mon" mon_says "$P" waiting
	# The backup's instance was stopped for it: from here on it has nothing.
	wait_for 60 "vm1 going on alone, in crm_mon" mon_says "$P" "(alone|active)"
	watch_goes_on
	wait_for 60 rest idle
	wait_for 30 "vm1 at $P still" promoted vm1-clone "$P"
	wait_for 30 "an instance on $B again" unpromoted vm1-clone "$B"
	not vm_protected vm1
	wait_for 60 "a degraded monitor" degraded
	plug "$B" repl
	wait_for 120 "vm1 protected again" vm_protected vm1
	# Without a hand, also in the list of failures.
	wait_for 60 "a list without failures" no_failures
	watch_goes_on
	settled
	watch_end vm1 "$P"
}

# A host freezes, is fenced, and its guest goes on elsewhere
case_freeze() {
	watch_start
	node_freeze "$P"
	wait_for 90 "vm1 promoted on $B" promoted vm1-clone "$B"
	wait_for 10 "fencing of $P" fenced "$P"
	watch_goes_on
	node_rejoin "$P"
	settled_at "$B"
	watch_goes_on
	watch_end vm1 "$P $B"
}

# A host freezes and thaws in time: nothing happens, or a clean takeover
case_freeze_short() {
	local heard=$P
	watch_start
	node_freeze "$P"
	wait_for 10 "a state that ages" lags "$B"
	node_thaw "$P"
	watch_goes_on
	if ! host_running "$P" || ! promoted vm1-clone "$P"; then
		say "(this machine was too slow for less than a token)"
		wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
		host_running "$P" || node_rejoin "$P"
		heard="$P $B"
	fi
	settled
	watch_end vm1 "$heard"
}

# Frozen, and fencing fails: nobody takes over before it is known to be dead
case_freeze_unfenced() {
	watch_start
	power_fail "$P" on
	node_freeze "$P"
	wait_for 60 "two refusals of the fence device" refused_twice "$P"
	not promoted vm1-clone "$B"
	[ "$(vm_value vm1 "$B" .role)" = backup ]
	node_thaw "$P"
	power_fail "$P" off
	wait_for 120 "vm1 promoted somewhere, and answering" vm_ping vm1
	watch_goes_on
	host_running "$P" || node_rejoin "$P"
	wait_for 120 "vm1 protected again" vm_protected vm1
	on "$(any)" pcs resource cleanup vm1-clone
	clean_fencing power
	settled
	if promoted vm1-clone "$P"; then
		watch_end vm1 "$P"
	else
		watch_end vm1 "$P $B"
	fi
}

lags() {
	local ms
	ms=$(vm_value vm1 "$1" .lag_ms)
	[ "${ms:-0}" -ge 300 ]
}

refused_twice() { [ "$(power_log | grep -c " off $1: the switch is broken")" -ge 2 ]; }

mon_says() { # NODE STATES
	quiet "$1" crm_mon -1A | has -E "remus-vm1-state.*: primary $2"
}
degraded() { crm_xml | has '<failure .*degraded'; }
