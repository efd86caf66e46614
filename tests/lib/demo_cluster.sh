# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo_cluster.sh - the story as an administrator lives it: corosync, pacemaker
# and pcs on alpha and beta, a fence device that kills, and crm_mon.  See
# tests/demo for what it shares with the other one.
# shellcheck disable=SC2034,SC2154 # set for tests/demo, and by it

# shellcheck source=tests/cluster/lib.sh
. "$TESTS_DIR/cluster/lib.sh"
# shellcheck source=tests/cluster/watch.sh
. "$TESTS_DIR/cluster/watch.sh"
# shellcheck source=tests/cluster/split.sh
. "$TESTS_DIR/cluster/split.sh"
tell # those files have manners of their own

demo_packages="build lab cluster"
LOG_LINES=20
demo_logs() { cluster_logs; }

demo_start() {
	step "Two nodes, alpha and beta, with corosync, pacemaker and pcs"
	cluster_lab
	cluster_start alpha beta

	step "A virtual machine: one file, and one pcs command"
	vm_files "$VM"
	show_definition
	as_root alpha pcs resource create "$VM" ocf:remus:vm \
		"config=/etc/remus/$VM.conf" promotable notify=true
	wait_for 120 "the guest promoted, with a backup that has all of it" \
		vm_protected "$VM" || give_up "it is not protected"
	wait_for 60 "an answer of redis in the guest, at $VM_IP" vm_answers ||
		give_up "no answer from the guest"
	wait_for 60 "rest in the cluster" idle || give_up "it does not settle"
	as_root alpha crm_mon -1A
	look
	[ "$P" = alpha ] || say "(it runs on $P; so $P will be the one to fail)"
}

demo_fail() {
	local pid
	case $kill in
	host)
		step "Power failure: every process of $P dies at once"
		split_mark
		host_kill "$P"
		;;
	remusd)
		step "$P's remusd is killed"
		pid=$(quiet "$P" pgrep -x remusd)
		say "$P# kill -9 $pid"
		split_mark
		quiet "$P" kill -s KILL "$pid"
		;;
	link)
		step "The replication cable of $P is cut; the heartbeat's is whole"
		split_mark
		link_cut "$P" repl
		;;
	esac
	wait_until 60 split_noticed "$B" "$kill" ||
		give_up "$B does not notice"
	if [ "$kill" = link ]; then
		as_root "$B" crm_mon -1A
	else
		as_root "$B" crm_mon -1
	fi
	wait_until 120 split_answered "$answers" ||
		give_up "the guest does not answer any more"
	say "The client has an answer again."
}

demo_after() {
	[ "$kill" != link ] || say "It goes on at $P, alone: first, Pacemaker" \
		"has stopped the copy at $B for it."
	[ "$kill" != host ] ||
		note "the fence device: $(power_log | grep " off " | tail -n 1)"
	as_root "$B" crm_mon -1A
	case $kill in
	host)
		step "$P's power is back; its cluster software starts"
		node_boot "$P"
		node_join "$P"
		;;
	remusd) step "Pacemaker starts another one" ;;
	link)
		step "The cable is whole again"
		link_heal "$P" repl
		;;
	esac
	wait_for 120 "a backup that has all of it, without a hand" \
		vm_protected "$VM" || give_up "it is not protected again"
	wait_for 60 "rest in the cluster" idle || give_up "it does not settle"
	as_root "$B" crm_mon -1A
}

# For the last line.
demo_split() {
	local where=$B
	[ "$kill" != link ] || where=$P
	split_ear_end
	split_take "$where" "$kill" "$answers" || give_up "not measured"
	note "$DETECTION_MS ms until it was noticed, $DECISION_MS ms until" \
		"Pacemaker had decided, $HEARD_MS ms until the guest was" \
		"heard again, and $((ACTIVATION_MS - HEARD_MS)) ms more until" \
		"TCP had said again what was lost"
	split=" failover_ms=$FAILOVER_MS detection_ms=$DETECTION_MS"
	split+=" decision_ms=$DECISION_MS activation_ms=$ACTIVATION_MS"
}
