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
