# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# switchover - crm_resource --move --promoted: the gap that the client sees.

# longest_gap FILE FROM: of a list of clocks, the longest time between two, of
# those after FROM.
longest_gap() {
	awk -v from="$2" '$1 > from && last && $1 - last > gap {
			gap = $1 - last }
		{ last = $1 } END { printf "%.0f\n", gap }' "$1"
}

# switchover_round N
switchover_round() {
	local began promoted quiet_gap
	look
	client_begin "$1"
	began=$(now_ms)
	quiet_gap=$(longest_gap "$ANSWERS" 0)
	on "$P" crm_resource --move --promoted -r vm1-clone -N "$B"
	wait_for 60 "vm1 promoted on $B" promoted vm1-clone "$B"
	promoted=$(($(now_ms) - began))
	on "$B" crm_resource --clear -r vm1-clone
	settled
	client_end
	split_echoes >"$LAB_DIR/echoes"
	cell round="$1" way="$P to $B" move="$promoted" \
		echo_gap="$(longest_gap "$LAB_DIR/echoes" "$began")" \
		gap="$(longest_gap "$ANSWERS" "$began")" \
		before="$quiet_gap" \
		bad="$(jq '.lost + .duplicated + .reconnects' \
			"$LAB_DIR/client.json")"
}

switchover_rounds() {
	local n
	one_vm
	for ((n = 1; n <= $1; n++)); do
		step "round $n"
		switchover_round "$n"
	done
}

table_switchover() {
	local n=6
	[ "$QUICK" = false ] || n=2
	table switchover "Pacemaker: planned switchover, milliseconds" \
		"round|round|0" "way|way|-" "echo_gap|gap of echoes|0" \
		"gap|of answers|0" "before|before the move|0" \
		"move|whole move|0" "bad|wrong|0"
	step "a cluster"
	in_cluster switchover_rounds "$n"
	rows_of_cells
	note "Gaps: the longest time between two echo replies (one is asked" \
		"for every 20 ms), and between two answers on the client's TCP" \
		"connection, during the move; before: of answers, in the 3 s" \
		"before it. whole move: crm_resource --move --promoted until" \
		"Pacemaker calls the guest promoted on the other node."
	note "wrong: writes lost or doubled, and connections made again."
	load_note
	table_end
}
