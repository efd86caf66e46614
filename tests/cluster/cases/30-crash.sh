# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# The host that runs it loses its power; fencing, takeover, failback
case_host_crash() {
	watch_start
	node_crash "$P"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	wait_for 10 "fencing of $P" fenced "$P"
	node_rejoin "$P"
	settled_at "$B"
	watch_goes_on
	watch_end vm1 "$P $B"
}

# The backup's host loses its power; the guest goes on, then is protected again
case_backup_crash() {
	watch_start
	node_crash "$B"
	wait_for 60 "$B offline" offline "$B"
	watch_goes_on
	wait_for 30 "vm1 at $P still" promoted vm1-clone "$P"
	node_rejoin "$B"
	settled_at "$P"
	watch_goes_on
	watch_end vm1 "$P"
}

# remusd of the running guest is killed
case_remusd_crash() {
	watch_start
	kill_in "$P" "$(quiet "$P" pgrep -x remusd)"
	wait_for 120 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	recovered "$B"
	watch_end vm1 "$P $B"
}

# remusd of the backup is killed
case_backup_remusd() {
	watch_start
	kill_in "$B" "$(quiet "$B" pgrep -x remusd)"
	wait_for 120 "a new remusd on $B" quiet "$B" remusctl status vm1
	watch_goes_on
	recovered "$P"
	watch_end vm1 "$P"
}

# The guest's process is killed
case_guest_crash() {
	watch_start
	kill_in "$P" "$(quiet "$P" pgrep -f guest=vm1)"
	wait_for 120 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	recovered "$B"
	watch_end vm1 "$P $B"
}

# remusd hangs, and every action of the agent with it
case_agent_timeout() {
	watch_start
	local pid
	pid=$(quiet "$P" pgrep -x remusd)
	quiet "$P" kill -s STOP "$pid"
	wait_for 180 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	recovered "$B"
	watch_end vm1 "$P $B"
}

# Both nodes off and on again: one boots it anew, and one alone does not
case_power_failure() {
	local generation
	generation=$(vm_value vm1 "$P" .generation)
	node_crash "$P"
	node_crash "$B"
	# The one that had the backup comes first: no quorum, no guest.
	node_boot "$B"
	node_join "$B"
	wait_for 60 "a DC on $B" has_dc
	not quorate
	not_anywhere
	node_rejoin "$P"
	settled
	look
	wait_for 20 "a newer generation" newer "$P" "$generation"
	watch_start
	watch_end vm1 "$P"
}

# ---- shared ----

kill_in() {
	local node=$1
	shift
	say "$node: kill -9 $*"
	[ -n "$*" ] && quiet "$node" kill -s KILL "$@"
}

# The failure stays in the list until somebody cleans up.
recovered() {
	wait_for 120 "vm1 protected again" vm_protected vm1
	on "$(any)" pcs resource cleanup vm1-clone
	settled_at "$1"
	watch_goes_on
}

not_anywhere() {
	local n
	for n in "${NODES[@]}"; do
		! host_running "$n" || ! quiet "$n" pgrep -f guest=vm1 ||
			[ "$(vm_value vm1 "$n" .role)" = backup ]
	done
}

fenced() { power_log | has " off $1: off"; }

newer() {
	local now
	now=$(vm_value vm1 "$1" .generation)
	[ "${now:-0}" -gt "$2" ]
}
