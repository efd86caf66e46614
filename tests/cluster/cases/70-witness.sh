# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it
#
# Everything together: three clients of vm1 as witnesses on hosts of their own,
# who hold the ticket, give the vote, and fence.  No power device.  What is asked
# of each fault: no two visible copies, nothing acknowledged lost, and whoever
# should serve serves.

stage_witnesses() {
	local n
	VMS=(vm1) WITNESSED=1 QDEVICE=1
	if [ -z "$STAGE_IS_UP" ]; then
		lab_wipe
		witness_begin "vm1=${VM_ADDR[vm1]}"
		# The votes need the key before the first VM's definition
		# brings it.
		for n in alpha beta; do
			mkdir -p "$(host_dir "$n" etc)"
			witness_key_to "$n"
		done
		cluster_start alpha beta
		on alpha pcs stonith create clients fence_clientprobe \
			"witnesses=$(witness_list)" \
			key_file=/etc/remus/witness.key \
			meta failure-timeout=10s
		on alpha pcs stonith delete power
		# A standby that is stopped for want of quorum has lost its
		# epoch.
		on alpha pcs property set no-quorum-policy=freeze
		wait_for 60 "the device of the clients" started clients
		vm_make vm1
	fi
	settled
	look
	W=$P # where it began
	watch_start
}

# The same for a case that is fresh, because it leaves something behind.
witnessed() { stage_witnesses; }

# A node whose copies the clients have taken out of sight lives on, and is back
# when its cables are whole.  Its Pacemaker may hear that it was fenced, and ends
# then: it is started again.  Or it stays pending, which is put right as
# fence_clientprobe(8) has it; that may begin when it has been online already.
comes_back() {
	local c
	for c in repl svc ring; do
		plug "$1" "$c"
	done
	QUERY=$(other "$1")
	wait_for 60 "$1 back for good, or out" back_for_good_or_out "$1"
	if ! host_alive "$1" pacemakerd; then
		say "$1 has heard that it was fenced"
		! host_alive "$1" qdevice || host_signal "$1" qdevice TERM
		! host_alive "$1" corosync || host_signal "$1" corosync TERM
		wait_for 30 "the end of corosync on $1" \
			not host_alive "$1" corosync
		node_rejoin "$1"
	fi
	QUERY=
}

back_for_good_or_out() {
	for _ in 1 2 3 4; do
		host_alive "$1" pacemakerd || return 0
		stays_pending "$1" && return 1
		online "$1" || return 1
		sleep 0.5
	done
}

# Both halves ran, so nobody wants it down any more.
stays_pending() {
	local id
	node_attrs "$1" online=true pending=true expected_up=false || return 1
	id=$(crm_xml | sed -n "s/.*<node name=\"$1\" id=\"\([^\"]*\)\" online=.*/\1/p")
	on "$(asked)" cibadmin --modify --scope status \
		--xml-text "<node_state id=\"$id\" expected=\"member\"/>"
}

cut_from_all() {
	local c
	for c in repl svc ring; do
		unplug "$1" "$c"
	done
}

serves_now() { [ "$(vm_value vm1 "$1" .role)" = primary ]; }
is_backup() { not serves_now "$1"; }
# A guest that has taken over once is called active when it has no backup.
runs_alone() { [[ $(vm_value vm1 "$1" .state) =~ ^(alone|active)$ ]]; }

# The fence device asks the witnesses too, and its monitor fails, should it come
# just then, where they are not reached.
clean_settled() {
	clean_fencing clients
	settled
}

# For SECONDS: the guest stays at P and is heard, and B never has it.
serves_on() {
	local end=$((SECONDS + $1))
	while [ "$SECONDS" -lt "$end" ]; do
		is_backup "$B" || { say "$B has it"; return 1; }
		watch_goes_on
		sleep 1
	done
}

# witnesses: the primary's host dies, and nobody has a power switch (witnesses)
case_w_host_crash() {
	node_crash "$P"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	node_rejoin "$P"
	settled
	watch_goes_on
	watch_end vm1 "$P $B"
}

# witnesses: heartbeat and replication are cut, and clients reach the primary (witnesses)
case_w_lines_cut() {
	unplug "$B" repl
	unplug "$B" ring
	QUERY=$P
	wait_for 10 "vm1 going on alone" runs_alone "$P"
	serves_on 10
	wait_for 30 "vm1 at $P still" promoted vm1-clone "$P"
	comes_back "$B"
	settled
	wait_for 10 "vm1 at $P still" promoted vm1-clone "$P"
	watch_goes_on
	watch_end vm1 "$P"
}

# witnesses: the primary is cut off from everything, and is never seen again (witnesses)
case_w_isolated() {
	cut_from_all "$P"
	QUERY=$B
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	comes_back "$P"
	wait_for 30 "$P stepping down" is_backup "$P"
	clean_settled
	watch_goes_on
	watch_end vm1 "$P $B"
}

# witnesses: the replication line alone is cut (witnesses)
case_w_repl_cut() {
	unplug "$P" repl
	wait_for 10 "vm1 going on alone" runs_alone "$P"
	serves_on 10
	plug "$P" repl
	wait_for 60 "vm1 protected again" vm_protected vm1
	settled
	watch_end vm1 "$P"
}

# witnesses: the heartbeat alone is cut (witnesses)
case_w_ring_cut() {
	unplug "$B" ring
	QUERY=$P
	serves_on 10
	comes_back "$B"
	settled
	wait_for 10 "vm1 at $P still" promoted vm1-clone "$P"
	# The backup may take over again, after all that.
	node_crash "$P"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	node_rejoin "$P"
	settled
	watch_end vm1 "$P $B"
}

# witnesses: one dead, then two, then restarted in the middle of a takeover (witnesses)
case_w_witnesses_die() {
	witness_crash w1
	watch_goes_on
	node_crash "$P"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	node_rejoin "$P"
	settled
	watch_goes_on
	# A protected guest needs none of them.
	witness_crash w2
	serves_at "$B"
	# But nobody may take over.
	node_crash "$B"
	stays_down 10
	witness_start w2
	witness_start w1
	wait_for 90 "vm1 promoted on $P" promoted vm1-clone "$P"
	witness_crash w3
	witness_start w3
	watch_goes_on
	node_rejoin "$B"
	clean_settled
	watch_goes_on
	watch_end vm1 "$P $B $P"
}

serves_at() { wait_for 10 "vm1 at $1 still" promoted vm1-clone "$1"; watch_goes_on; }

# Nobody answers, all that time.
stays_down() {
	local end=$((SECONDS + $1))
	while [ "$SECONDS" -lt "$end" ]; do
		! vm_ping vm1 || { say "vm1 answers"; return 1; }
	done
}

# witnesses: each node sees others of them, and the nodes not each other (witnesses)
case_w_asymmetric() {
	local M
	# The primary one of three, the backup the other two.
	witness_block "$P" w2
	witness_block "$P" w3
	witness_block "$B" w1
	watch_goes_on
	unplug "$B" ring
	unplug "$B" repl
	QUERY=$B
	# No majority sees the primary's remusd; all see the service.
	stays_sane 15
	witness_unblock "$P" w2
	witness_unblock "$P" w3
	witness_unblock "$B" w1
	wait_for 60 "an answer of vm1" vm_ping vm1
	stays_sane 5
	M=$(is_backup "$B" && echo "$P" || echo "$B")
	plug "$B" ring
	plug "$B" repl
	comes_back "$(other "$M")"
	clean_settled
	watch_goes_on
	look
	# When they meet, Pacemaker may go by the scores of the other half for
	# a moment, and hand over.
	watch_end vm1 "$(printf '%s\n' "$W" "$M" "$P" | uniq | paste -sd ' ')"
}

# Never two that may be seen.
stays_sane() {
	local end=$((SECONDS + $1)) n open
	while [ "$SECONDS" -lt "$end" ]; do
		open=0
		for n in alpha beta; do
			[ "$(vm_value vm1 "$n" .gate.state)" != open ] ||
				open=$((open + 1))
		done
		[ "$open" -lt 2 ] || { say "two gates are open"; return 1; }
		sleep 0.5
	done
}

# Where it is now, after where it began.
came_from() { [ "$P" = "$W" ] && echo "$P" || echo "$W $P"; }

# witnesses: the primary's host freezes and thaws, fenced without knowing it (witnesses)
case_w_freeze() {
	local seconds heard
	heard=$P
	for seconds in ${FREEZES:-${ALL:+3 6 20} 11}; do
		freeze_and_thaw "$seconds"
		look
		[[ $heard == *"$P" ]] || heard+=" $P"
	done
	watch_end vm1 "$heard"
}

# Nobody helps the node that thaws.  A backup that has taken over keeps the
# guest, all the time; and the node becomes its backup.
freeze_and_thaw() { # SECONDS
	look
	say "a freeze of $1 s"
	node_freeze "$P"
	QUERY=$B
	sleep "$1"
	[ "$1" -lt 10 ] || serves_now "$B"
	node_thaw "$P"
	if serves_now "$B"; then
		keeps "$B" 25
	fi
	QUERY=
	wait_for 60 "vm1 protected" vm_protected vm1
	# A monitor of the thawed node may have said that it is promoted no more.
	on "$(any)" pcs resource cleanup vm1
	settled
	watch_goes_on
}

# For SECONDS: HOST has the guest, and it is not booted anew.
keeps() {
	local end=$((SECONDS + $2))
	while [ "$SECONDS" -lt "$end" ]; do
		serves_now "$1" || { say "$1 has it no more"; return 1; }
		sleep 0.5
	done
}

# witnesses: the lines between the nodes flap, each and both (witnesses)
case_w_flapping() {
	local end heard=$W
	end=$((SECONDS + ${FLAPS:-$([ -n "$LONG" ] && echo 600 || echo 30)}))
	QUERY=$P
	while [ "$SECONDS" -lt "$end" ]; do
		case $((RANDOM % 3)) in
		0) flap repl ;;
		1) flap ring ;;
		2) flap repl ring ;;
		esac
		is_backup "$B" || moved
		watch_goes_on
	done
	comes_back "$B"
	settled
	look
	[[ $heard == *"$P" ]] || heard+=" $P"
	watch_end vm1 "$heard"
}

# As in w_asymmetric: when two halves meet, the cluster may hand over by what one
# of them knew.  That loses nothing, and is borne once.
moved() {
	say "$B has it"
	[ "$heard" = "$W" ] || return 1
	heard+=" $B"
	P=$B
	B=$(other "$P")
	QUERY=$P
}

# One in five for long enough to have the cluster act.
flap() { # CABLE...
	local c seconds=0.$((RANDOM % 9 + 1))
	[ $((RANDOM % 5)) -ne 0 ] || seconds=$((RANDOM % 3 + 2))
	for c in "$@"; do
		unplug "$B" "$c"
	done
	sleep "$seconds"
	for c in "$@"; do
		plug "$B" "$c"
	done
	sleep 0.$((RANDOM % 9 + 1))
}

# witnesses: both hosts lose their power, and the witnesses live (witnesses)
case_w_both_hosts() {
	local generation n
	generation=$(vm_value vm1 "$P" .generation)
	node_crash "$P"
	node_crash "$B"
	for n in alpha beta; do
		node_boot "$n"
		node_join "$n"
	done
	settled
	look
	wait_for 20 "a newer generation" newer "$P" "$generation"
	watch_end vm1 "$(came_from)" reconnected
}

# witnesses: their disks are full; nothing can be decided, and nothing is lost (witnesses)
case_w_disks_full() {
	local w
	for w in w1 w2; do
		witness_disk_full "$w"
	done
	serves_at "$P"
	node_crash "$P"
	stays_down 10
	for w in w1 w2; do
		witness_disk_free "$w"
	done
	wait_for 90 "vm1 promoted on $B" promoted vm1-clone "$B"
	watch_goes_on
	node_rejoin "$P"
	clean_settled
	watch_end vm1 "$P $B"
}
