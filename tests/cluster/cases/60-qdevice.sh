# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The quorum device clientprobe: corosync alone, without Pacemaker, which would
# fence whom the heartbeat has lost.

# As an administrator adds it; on each node's own file, because there is no pcsd
# here to carry it to the others.
qdevice_add() {
	local n
	for n in "${NODES[@]}"; do
		on "$n" pcs --corosync_conf=/etc/corosync/corosync.conf \
			quorum device add timeout=3000 sync_timeout=10000 \
			model clientprobe "witnesses=$(witness_list)" \
			--force
	done
}

qdevice_cluster() {
	local n
	lab_wipe
	for n in "${NODES[@]}"; do
		node_prepare "$n"
		node_boot "$n"
		host_spawn "$n" corosync corosync -f
	done
	witness_begin
	for n in "${NODES[@]}"; do
		witness_key_to "$n"
		wait_for 20 "corosync on $n" quiet "$n" corosync-cfgtool -s
		wait_for 30 "both on $n" members "$n" 1,2
	done
}

# All of it, voting.
stage_votes() {
	local n
	if [ -z "$STAGE_IS_UP" ]; then
		qdevice_cluster
		qdevice_add
		on alpha corosync-cfgtool -R
		for n in "${NODES[@]}"; do
			qdevice_start "$n"
		done
	fi
	for n in "${NODES[@]}"; do
		wait_for 40 "the vote on $n" votes "$n"
		wait_for 10 "three votes on $n" total_votes "$n" 3
	done
}

qdevice_start() { host_spawn "$1" qdevice remus-qdevice -f; }

# Without quorum it fails, but says so first.
quorumtool() { quiet "$1" corosync-quorumtool -s 2>/dev/null || :; }
has_quorum() { quorumtool "$1" | has '^Quorate: *Yes'; }
no_quorum() { quorumtool "$1" | has '^Quorate: *No'; }
total_votes() { quorumtool "$1" | has "^Total votes: *$2\$"; }
# votequorum's own word: the device is registered, alive, and votes.
votes() { quorumtool "$1" | has 'A,V,NMW.*(local)'; }

tool() { quiet "$1" remus-qdevice-tool --json | jq -e "$2" >/dev/null; }
members() {
	[ "$(quiet "$1" corosync-quorumtool -l 2>/dev/null |
		awk '$1 ~ /^[1-9]/ { printf "%s%s", c, $1; c = "," }')" = "$2" ]
}
alone() { members "$1" "${NODE_ID[$1]}"; }

one_has_quorum() {
	local a b
	alone alpha && alone beta || return 1
	a=$(has_quorum alpha && echo 1 || echo 0)
	b=$(has_quorum beta && echo 1 || echo 0)
	[ $((a + b)) -eq 1 ]
}

# Sets W, who won, and L.
split() {
	unplug beta ring
	wait_for 40 "one side with quorum" one_has_quorum
	W=alpha L=beta
	has_quorum alpha || { W=beta L=alpha; }
	say "$W has it"
	quiet "$W" remus-qdevice-tool
	quiet "$L" remus-qdevice-tool
}

heal() {
	local n
	plug beta ring
	for n in "${NODES[@]}"; do
		wait_for 40 "both on $n" members "$n" 1,2
		wait_for 40 "the vote on $n" votes "$n"
	done
}

# The same on each look, for so many seconds.
stays() {
	local end=$((SECONDS + $1))
	shift
	while [ "$SECONDS" -lt "$end" ]; do
		"$@" || { say "no longer: $*"; return 1; }
		sleep 0.3
	done
}

# quorum device clientprobe: added by pcs, shown by corosync-quorumtool (fresh)
case_qdevice_add() {
	local out
	qdevice_cluster
	! quiet alpha remus-qdevice -f 2>"$LAB_DIR/qd.err" || return 1
	note "$(cat "$LAB_DIR/qd.err")"
	has 'no quorum device of model clientprobe' <"$LAB_DIR/qd.err"
	if quiet alpha remus-qdevice-tool 2>"$LAB_DIR/qd.err"; then
		return 1
	fi
	[ "$(wc -l <"$LAB_DIR/qd.err")" -eq 1 ]
	has 'no remus-qdevice runs' <"$LAB_DIR/qd.err"
	qdevice_add
	on alpha cat /etc/corosync/corosync.conf
	not quiet alpha grep -q two_node /etc/corosync/corosync.conf
	on alpha corosync-cfgtool -R
	qdevice_start alpha
	qdevice_start beta
	wait_for 40 "the vote on alpha" votes alpha
	wait_for 40 "the vote on beta" votes beta
	on alpha corosync-quorumtool -s
	wait_for 10 "three votes" total_votes alpha 3
	out=$(quorumtool alpha)
	has '^Flags: .*Qdevice' <<<"$out"
	has '^Expected votes: *3$' <<<"$out"
	has ' clientprobe$' <<<"$out"
	on alpha remus-qdevice-tool
	tool alpha '.vote == "yes" and .members == [1,2] and .majority == 2 and
		([.witnesses[] | select(.verdict == "granted")] | length >= 2)'
	# A second one of the same would speak against the first.
	! quiet alpha remus-qdevice -f 2>"$LAB_DIR/qd.err" || return 1
	has 'runs here already' <"$LAB_DIR/qd.err"
	# Two witnesses are worth no more than one: said, but taken.
	on alpha pcs --corosync_conf=/etc/corosync/corosync.conf quorum device \
		update model "witnesses=w1=http://$(witness_ip w1):$WITNESS_PORT w2=http://$(witness_ip w2):$WITNESS_PORT" \
		--force
	on alpha corosync-cfgtool -R
	wait_for 20 "the new witnesses" tool alpha '.witnesses | length == 2'
	has 'even number' <"$LAB_DIR/alpha-qdevice.log"
	wait_for 20 "the vote still" votes alpha
	# A stop in order gives the vote back at once, not after the timeout.
	host_signal alpha qdevice TERM
	wait_for 10 "no device on alpha" not votes alpha
	has 'withdrawing' <"$LAB_DIR/alpha-qdevice.log"
	# Removed, it ends by itself.
	on beta pcs --corosync_conf=/etc/corosync/corosync.conf quorum device \
		remove
	on beta corosync-cfgtool -R
	wait_for 20 "the end of remus-qdevice on beta" \
		not host_alive beta qdevice
}

# quorum device clientprobe: a cut, with all, two and one of three witnesses (votes)
case_qdevice_cut() {
	local W L
	split
	tool "$L" '.vote == "no"'
	stays 5 one_has_quorum
	heal
	witness_crash w3
	stays 5 has_quorum alpha
	votes alpha && votes beta
	split
	stays 5 one_has_quorum
	heal
	witness_crash w2
	wait_for 20 "no vote on alpha" not votes alpha
	wait_for 20 "no vote on beta" not votes beta
	# Two nodes of three votes are still a majority.
	has_quorum alpha && has_quorum beta
	unplug beta ring
	wait_for 40 "alpha without quorum" no_quorum alpha
	wait_for 40 "beta without quorum" no_quorum beta
	stays 5 no_quorum alpha
	no_quorum beta
	# One comes back, keeps what it may have granted, and then one side wins.
	witness_start w2
	wait_for 60 "one side with quorum" one_has_quorum
	heal
	witness_start w3
	wait_for 60 "all three on alpha" tool alpha \
		'[.witnesses[] | select(.verdict == "granted")] | length == 3'
}

# quorum device clientprobe: its daemon is killed, frozen, started again (votes)
case_qdevice_dead() {
	local W L
	split
	say "$W: remus-qdevice is killed"
	host_signal "$W" qdevice KILL
	wait_for 20 "$W without quorum" no_quorum "$W"
	wait_for 40 "$L with quorum" has_quorum "$L"
	not has_quorum "$W"
	if quiet "$W" remus-qdevice-tool 2>"$LAB_DIR/qd.err"; then
		return 1
	fi
	has 'no remus-qdevice runs' <"$LAB_DIR/qd.err"
	qdevice_start "$W"
	stays 5 one_has_quorum
	heal
	split
	say "$W: remus-qdevice is stopped, as by a debugger"
	host_signal "$W" qdevice STOP
	wait_for 20 "$W without quorum" no_quorum "$W"
	wait_for 40 "$L with quorum" has_quorum "$L"
	host_signal "$W" qdevice CONT
	stays 5 one_has_quorum
	no_quorum "$W"
	heal
	split
	node_freeze "$W"
	wait_for 40 "$L with quorum" has_quorum "$L"
	node_thaw "$W"
	wait_for 20 "$W without quorum" no_quorum "$W"
	stays 5 one_has_quorum
	has_quorum "$L"
	heal
}
