# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# throttle - a slow link may cost checkpoints per second, not pause.

# throttle_cell COMPRESSION MBIT SECONDS
throttle_cell() {
	local a b
	step "compression $1, link $2 Mbit/s"
	lab_once
	link_throttle alpha "$2"
	pair_up 128 8000,2 "compression = $1"
	protect
	sleep 1
	a=$(host_exec alpha remusctl status "$VM" --json)
	sleep "$3"
	b=$(host_exec alpha remusctl status "$VM" --json)
	vm_state_is alpha protected || give_up "no longer protected"
	pair_down
	link_throttle alpha 0
	jq -nr --argjson a "$a" --argjson b "$b" --argjson s "$3" \
		--arg link "${2/#0/-}" --arg pages "$1" '{
		pages: (if $pages == "on" then "XOR-RLE" else "raw" end),
		link: (if $link == "-" then "no limit" else $link end),
		p50: $b.pause_us.p50, p99: $b.pause_us.p99,
		dirty: $b.dirty_pages.p50,
		epochs: (($b.epochs - $a.epochs) / $s),
		mbit: (($b.bytes_sent - $a.bytes_sent) * 8e-6 / $s),
		ack50: ($b.ack_us.p50 / 1000), ack99: ($b.ack_us.p99 / 1000)} |
		to_entries[] | "\(.key)=\(.value)"' >"$OUT/throttle.row"
	local words
	mapfile -t words <"$OUT/throttle.row"
	rm -f "$OUT/throttle.row"
	row "${words[@]}"
}

table_throttle() {
	local seconds=27 pages mbit
	[ "$QUICK" = false ] || seconds=6
	table throttle "A link without limit, and throttled to 100 Mbit/s (tbf)" \
		"pages|pages go|-" "link|Mbit/s|-" "p50|pause p50 us|0" \
		"p99|p99|0" "dirty|pages|0" "epochs|epochs/s|1" \
		"mbit|sent Mbit/s|1" "ack50|ack p50 ms|1" "ack99|p99|1"
	for pages in on off; do
		for mbit in 0 100; do
			throttle_cell "$pages" "$mbit" "$seconds"
		done
	done
	note "128 MB guest that writes 8,000 pages a second in 2 MB; interval" \
		"25 ms. Raw pages do not fit through 100 Mbit/s at that rate:" \
		"checkpoints come less often, and each has more pages to copy."
	plot '{kind: "bars", x: "link", xlabel: "link, Mbit/s", panels: [
		{title: "Pause", ylabel: "us", by: "pages", upper_label: "p99",
		y: [{key: "p50", upper: "p99"}]},
		{title: "Acknowledged after the pause", ylabel: "ms", ylog: true,
		by: "pages", upper_label: "p99",
		y: [{key: "ack50", upper: "ack99"}]},
		{title: "Checkpoints a second", ylabel: "1/s", by: "pages",
		y: [{key: "epochs"}]}]}'
	table_end
}
