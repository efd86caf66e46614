# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# Two machines in opposite directions, and one host dies
case_two_vms() {
	vm_make vm2
	VMS=(vm1 vm2)
	settled
	if [ "$(where_promoted vm2-clone)" = "$P" ]; then
		on "$P" pcs resource move vm2-clone "$B" --promoted
		settled
	fi
	[ "$(where_promoted vm2-clone)" = "$B" ]
	watch_start vm1
	watch_start vm2
	node_crash "$P"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on vm1
	watch_goes_on vm2
	node_rejoin "$P"
	settled_at "$B"
	watch_goes_on vm1
	watch_goes_on vm2
	watch_end vm1 "$P $B"
	watch_end vm2 "$B"
	on "$P" pcs resource delete vm2-clone
	VMS=(vm1)
	settled
}

# A third node that may run neither, and gives the majority (fresh)
case_third_node() {
	VMS=(vm1)
	cluster_start alpha beta gamma
	vm_make vm1
	# The definition is not there, and nobody has to tell the cluster.
	settled
	on alpha crm_mon -1
	look
	! located vm1-clone | has gamma
	watch_start
	node_crash "$P"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	node_rejoin "$P"
	settled_at "$B"
	# The other way round: a pair that loses the third feels nothing.
	node_crash gamma
	wait_for 60 "gamma offline" offline gamma
	watch_goes_on
	node_rejoin gamma
	settled_at "$B"
	watch_end vm1 "$P $B"
}
