# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# No monitor for ten minutes: each crash is told at once all the same (fresh)
case_at_once() {
	VMS=(vm1)
	cluster_start alpha beta
	vm_make vm1 op monitor interval=600s role=Promoted \
		monitor interval=601s role=Unpromoted
	settled
	look
	watch_start
	kill_in "$P" "$(quiet "$P" pgrep -x remusd)"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	recovered "$B"
	kill_in "$B" "$(quiet "$B" pgrep -f guest=vm1)"
	wait_for 60 "vm1 promoted on $P" promoted vm1-clone "$P"
	watch_goes_on
	recovered "$P"
	kill_in "$B" "$(quiet "$B" pgrep -x remusd)"
	wait_for 60 "its failure in the list" not no_failures
	recovered "$P"
	watch_end vm1 "$P $B $P"
}

# The cluster's status loses what the nodes told it, as where two halves meet
case_scores_lost() {
	local who log generation
	generation=$(vm_value vm1 "$P" .generation)
	log=$(host_dir "$P" disk)/var/log/pacemaker/pacemaker.log
	watch_start
	# Of the primary; of both, so that nobody would be promoted instead.
	for who in "@uname='$P'" @uname; do
		on "$P" cibadmin --delete-all --force \
			--xpath "//node_state[$who]/transient_attributes"
		wait_for 20 "the score of $P" knows_score "$P"
		settled
		stays_at "$P" 3
	done
	[ "$(grep -c "vm1: the cluster has lost the score of $P" "$log")" -eq 2 ]
	[ "$(vm_value vm1 "$P" .generation)" = "$generation" ]
	# Who is moved on purpose does not stay.
	on "$P" pcs resource move vm1-clone "$B" --promoted
	settled_at "$B"
	watch_end vm1 "$P $B"
}

knows_score() {
	quiet "$1" cibadmin --query --scope status --xpath \
		"//node_state[@uname='$1']//nvpair[@name='master-vm1']" |
		grep -q value=
}
