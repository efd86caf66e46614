# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cluster.sh - what the tables share that need a whole cluster: corosync,
# pacemaker and pcs of tests/cluster on alpha and beta.
#
#   in_cluster CMD ARG...   run CMD with a cluster of two, in a process and a lab
#                           of its own, since tests/cluster has its own words;
#                           what it says to descriptor 3 is in $CELLS then, the
#                           rest is shown if it fails
#   cell KEY=VALUE...       there: a line of $CELLS
#   rows_of_cells           here: each of them a row
#   client_begin NAME, client_end   there: the counting client; $ANSWERS
#   limit_note TEXT KEY LIMIT       here: "TEXT under LIMIT ms: met in N of N"

in_cluster() {
	local log=$OUT/$TABLE.log
	CELLS=$OUT/$TABLE.cells
	packages_need cluster
	guest_image
	set +e
	(
		set -e
		cluster_process
		# Here: what they declare would be local to a function that
		# returns.
		. "$TESTS_DIR/cluster/lib.sh"
		. "$TESTS_DIR/cluster/watch.sh"
		. "$TESTS_DIR/cluster/split.sh"
		cluster_lab
		on_exit cluster_story
		"$@"
	) 3>"$CELLS" >"$log" 2>&1
	process_ended $? "$log"
}

# process_ended EXIT LOG: what such a process said is worth reading if it failed.
process_ended() {
	set -e
	[ "$1" -eq 0 ] || {
		step_end
		cat "$2" >&2
		die "$TABLE: exit $1"
	}
	rm -f "$2"
}

cluster_process() {
	cleanups_begin
	# shellcheck disable=SC2034 # for hosts.sh
	LAB_ID="rl$BASHPID" LAB_SWITCH="rl$BASHPID-sw" LAB_DIR='' LAB_NETNS=()
	step() { printf '\n== %s\n' "$*"; }
}

# shellcheck disable=SC2154 # run_cleanups' rc
cluster_story() {
	[ "$rc" -eq 0 ] || [ "$rc" -ge 128 ] || cluster_logs
}

one_vm() {
	# shellcheck disable=SC2034 # for watch.sh
	VMS=(vm1)
	cluster_start alpha beta
	vm_make vm1
	settled
}

cell() { printf '%s\t' "$@" >&3; printf '\n' >&3; }

rows_of_cells() {
	local words
	while IFS=$'\t' read -ra words; do
		row "${words[@]}"
	done <"$CELLS"
	rm -f "$CELLS"
}

client_begin() {
	ANSWERS=$LAB_DIR/answers.$1
	rm -f "$LAB_DIR/client-counter.log"
	host_spawn client counter "$BENCH_BIN/ackclient" --host "$VM_IP" \
		--rate 100 --stall-limit 120 --quiet --answers "$ANSWERS" \
		--json "$LAB_DIR/client.json"
	split_ear
	sleep 3
	host_alive client counter || die "client: $(client_verdict)"
}

client_verdict() { tail -n 1 "$LAB_DIR/client-counter.log"; }

client_end() {
	split_ear_end
	host_signal client counter TERM
	wait_for 60 "the client's verdict" not host_alive client counter
	client_verdict
}

limit_note() {
	local n met
	n=$(wc -l <"$ROWS")
	met=$(jq -s --arg k "$2" --argjson limit "$3" \
		'[.[] | select(.[$k] < $limit)] | length' "$ROWS")
	note "$1 under $3 ms: met in $met of $n."
}
