# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cluster - the host of the guest loses its power under corosync and pacemaker:
# what the time until the client's next answer is made of.

cluster_rounds() {
	local n
	one_vm
	for ((n = 1; n <= $1; n++)); do
		step "round $n"
		look
		client_begin "$n"
		split_mark
		host_kill "$P"
		wait_for 60 "an answer" split_answered "$ANSWERS"
		sleep 1
		client_end
		split_take "$B" host "$ANSWERS"
		cell round="$n" detection="$DETECTION_MS" \
			decision="$DECISION_MS" heard="$HEARD_MS" \
			activation="$ACTIVATION_MS" \
			visible="$((DETECTION_MS + DECISION_MS + HEARD_MS))" \
			total="$FAILOVER_MS" \
			acked="$(jq .acked "$LAB_DIR/client.json")" \
			bad="$(jq '.lost + .duplicated + .reconnects' \
				"$LAB_DIR/client.json")"
		node_rejoin "$P"
		settled
	done
}

table_cluster() {
	local n=3
	[ "$QUICK" = false ] || n=1
	table cluster "Pacemaker: the guest's host loses its power, milliseconds" \
		"round|round|0" "detection|detection|0" "decision|decision|0" \
		"heard|guest heard|0" "visible|sum|0" \
		"activation|client's answer|0" "total|sum|0" \
		"acked|acknowledged|0" "bad|wrong|0"
	step "a cluster"
	in_cluster cluster_rounds "$n"
	rows_of_cells
	limit_note "Limit for the client's next answer after the crash, token 1000 ms:" \
		total 4000
	limit_note "Limit from the promote call until the guest is heard:" \
		heard 300
	limit_note "Limit from the promote call until the client's answer:" \
		activation 300
	note "detection: until corosync on the other node has a membership" \
		"without the lost one (token and consensus of 1000 and 1200 ms)." \
		"decision: until Pacemaker, the node fenced, calls promote." \
		"guest heard, client's answer: both from there; the first echo" \
		"reply (one is asked for every 20 ms), and the first answer on" \
		"the one TCP connection, whose repeat timer doubles each time."
	note "wrong: writes lost or doubled, and connections made again."
	load_note
	table_end
}
