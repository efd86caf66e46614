# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# latency - a redis round trip as the client sees it.

# latency_row INTERVAL|- CLIENT RATE SECONDS; plain50[RATE] is the unprotected one
latency_row() {
	local s bound=""
	step "interval $1 ms, $2"
	run_client "$4" --rate "$3"
	s=$(host_exec alpha remusctl status "$VM" --json)
	if [ "$1" = - ]; then
		plain50[$3]=$(jq .p50_us <<<"$CLIENT")
	else
		bound=$(jq -n --argjson s "$s" --argjson i "$1" \
			'$i + ($s.pause_us.p50 + $s.rtt_us) / 1000')
	fi
	row interval="${1/#-/none}" client="$2" \
		p50="$(jq '.p50_us / 1000' <<<"$CLIENT")" \
		p99="$(jq '.p99_us / 1000' <<<"$CLIENT")" \
		added="$([ "$1" = - ] || jq --argjson p "${plain50[$3]}" \
			'(.p50_us - $p) / 1000' <<<"$CLIENT")" \
		bound="$bound" \
		pause="$([ "$1" = - ] || jq '.pause_us.p50 / 1000' <<<"$s")" \
		rtt="$([ "$1" = - ] || jq '.rtt_us / 1000' <<<"$s")" \
		ack="$([ "$1" = - ] || jq '.ack_us.p50 / 1000' <<<"$s")"
}

table_latency() {
	local ms seconds=20 plain50=() intervals=(5 10 25 50)
	if [ "$QUICK" = true ]; then
		seconds=4 intervals=(10 25)
	fi
	table latency "A redis round trip seen by the client, milliseconds" \
		"interval|interval|-" "client|commands|-" "p50|p50|1" \
		"p99|p99|1" "added|added p50|1" \
		"bound|interval+pause+RTT|1" "pause|pause|1" "rtt|RTT|2" \
		"ack|ack|1"
	step "unprotected"
	pair_up 128 ""
	latency_row - "one by one" 0 "$seconds"
	latency_row - "17 a second" 17 "$seconds"
	protect
	for ms in "${intervals[@]}"; do
		host_exec alpha remusctl set "$VM" "interval=$ms" >/dev/null ||
			give_up "set interval fails"
		# the last 1024 checkpoints are to be of this interval
		wait_epochs "$([ "$QUICK" = true ] && echo 50 || echo 1024)"
		latency_row "$ms" "one by one" 0 "$seconds"
		latency_row "$ms" "17 a second" 17 "$seconds"
	done
	pair_down
	note "One by one: the next command follows the answer, so nearly all" \
		"of an interval is waited for each time. 17 a second: commands" \
		"come at any time of an interval. pause, RTT (heartbeats) and" \
		"ack (end of the pause to acknowledgement) are medians of" \
		"status; ack has encoding, sending and committing in it."
	plot '{kind: "lines", x: "interval", xlabel: "interval, ms",
		panels: ["one by one", "17 a second" | {title: "Commands \(.)",
		ylabel: "round trip, ms", where: {client: .}, upper_label: "p99",
		y: [{key: "p50", label: "median", upper: "p99"},
		{key: "bound", label: "interval + pause + RTT"}]}]}'
	table_end
}
