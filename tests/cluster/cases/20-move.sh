# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# Planned switchover and back, again and again
case_switchover() {
	local n rounds=${ALL:+20} heard=$P from=$P to=$B
	watch_start
	for ((n = 1; n <= ${rounds:-4}; n++)); do
		on "$from" pcs resource move vm1-clone "$to" --promoted
		wait_for 120 "vm1 promoted on $to" promoted vm1-clone "$to"
		heard+=" $to"
		settled_at "$to"
		to=$from
		from=$(other "$to")
		watch_goes_on
	done
	watch_end vm1 "$heard"
}

# standby of the node that runs it, then of the one that keeps up
case_standby() {
	watch_start
	on "$B" pcs node standby "$P"
	wait_for 120 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	on "$B" pcs node unstandby "$P"
	settled_at "$B"
	watch_goes_on
	# Now the backup: the guest goes on alone, and is protected again.
	on "$B" pcs node standby "$P"
	wait_for 60 rest idle
	watch_goes_on
	wait_for 30 "vm1 at $B still" promoted vm1-clone "$B"
	on "$B" pcs node unstandby "$P"
	settled_at "$B"
	watch_goes_on
	watch_end vm1 "$P $B"
}
