# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it
#
# Clients that do not reach the primary, although nothing else is wrong: the
# clients' cables, and their witnesses.  See 70-witness.sh.

# For SECONDS: Pacemaker has the guest at HOST and nowhere else.
stays_at() { # HOST SECONDS
	local end=$((SECONDS + $2))
	while [ "$SECONDS" -lt "$end" ]; do
		serves_now "$1" || { say "$1 has it no more"; return 1; }
		sleep 1
	done
	promoted vm1-clone "$1"
}

says_witnesses() { [ "$(vm_value vm1 "$1" .witnesses)" = "$2" ]; }

# witnesses: the cable to the clients is cut, of the primary alone (witnesses)
case_w_client_cable() {
	unplug "$P" svc
	wait_for 30 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	wait_for 60 "vm1 protected" vm_protected vm1
	stays_at "$B" 15
	plug "$P" svc
	clean_settled
	stays_at "$B" 5
	watch_goes_on
	# And back, for the same reason.
	unplug "$B" svc
	wait_for 30 "vm1 promoted on $P" promoted vm1-clone "$P"
	plug "$B" svc
	clean_settled
	watch_goes_on
	watch_end vm1 "$P $B $P"
}

# witnesses: one dies, then another; the cables of both nodes are cut: nobody moves (witnesses)
case_w_client_all() {
	local c
	witness_crash w1
	stays_at "$P" 12
	says_witnesses "$P" reached
	watch_goes_on
	witness_crash w2
	wait_for 20 "$P without a majority" says_witnesses "$P" lost
	stays_at "$P" 12
	watch_goes_on
	witness_start w1
	witness_start w2
	wait_for 20 "$P with a majority" says_witnesses "$P" reached
	for c in "$B" "$P"; do
		unplug "$c" svc
	done
	wait_for 20 "$P without a majority" says_witnesses "$P" lost
	stays_at "$P" 12
	for c in "$P" "$B"; do
		plug "$c" svc
	done
	# Both may have failed to start the device of the clients, one maybe
	# only now: its failure-timeout brings it back.
	settled
	stays_at "$P" 5
	watch_goes_on
	watch_end vm1 "$P"
}

# witnesses: a frozen node thaws that the cluster likes better than the one that took over (fresh)
case_w_freeze_liked() {
	witnessed
	on "$P" pcs constraint location vm1-clone rule role=Promoted \
		score=5000 '#uname' eq "$P"
	wait_for 30 "rest in the cluster" idle
	node_freeze "$P"
	QUERY=$B
	wait_for 30 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	node_thaw "$P"
	wait_for 30 "$P stepping down" is_backup "$P"
	# Only with all that it had at the other one.
	wait_for 120 "vm1 back on $P" serves_now "$P"
	QUERY=
	settled
	watch_goes_on
	watch_end vm1 "$P $B $P"
}

# As when two halves of a cluster meet, and one's scores are there first; the agent
# is to believe that it told this one.
score_is() { # HOST SCORE
	quiet "$1" sed -i "s/^score=.*/score=$2/" /run/remus/vm1.agent
	on "$P" crm_attribute --node "$1" --name master-vm1 --lifetime reboot \
		--update "$2"
}

# witnesses: for a moment the cluster rates a node higher that has no whole copy (witnesses)
case_w_misjudged() {
	unplug "$P" repl
	wait_for 10 "vm1 going on alone" runs_alone "$P"
	score_is "$B" 1000
	score_is "$P" 5
	keeps "$P" 20
	plug "$P" repl
	wait_for 60 "vm1 protected again" vm_protected vm1
	# A promotion may have been refused.
	on "$(any)" pcs resource cleanup vm1
	settled
	watch_goes_on
	watch_end vm1 "$P"
}
