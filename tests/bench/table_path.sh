# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# path - the whole way of a checkpoint, by interval, compression and link, with
# redis in the guest asked for as much as it can do.

# More than an emulated guest can answer.
PATH_ASKED=20000

# link_cell MODE INTERVAL MBIT SECONDS LOAD ASKED: a protected guest behind that
# link (0: no limit), with memload's LOAD, and ASKED SETs a second asked of its
# redis, if any; sets CELL to what SECONDS of it were like, in words for `row`.
link_cell() {
	local a b rate=null
	step "compression $1, interval $2 ms, link $3 Mbit/s"
	lab_once
	link_throttle alpha "$3"
	pair_up 128 "$5" "compression = $1" "interval = $2"
	[ "$6" -eq 0 ] || load_begin "$6"
	protect
	sleep 2
	[ "$6" -eq 0 ] || load_mark
	a=$(host_exec alpha remusctl status "$VM" --json)
	sleep "$4"
	b=$(host_exec alpha remusctl status "$VM" --json)
	[ "$6" -eq 0 ] || rate=$(load_end)
	vm_state_is alpha protected || give_up "no longer protected"
	pair_down
	link_throttle alpha 0
	mapfile -t CELL < <(jq -nr --argjson a "$a" --argjson b "$b" \
		--argjson s "$4" --arg link "$3" --arg mode "$1" \
		--arg interval "$2" --argjson rate "$rate" \
		'($b.epochs - $a.epochs) as $n | {
		link: (if $link == "0" then "none" else $link end),
		mode: $mode, used: $b.codec, interval: $interval, n: $n,
		p50: ($b.pause_us.p50 / 1000), p99: ($b.pause_us.p99 / 1000),
		ack50: ($b.ack_us.p50 / 1000), ack99: ($b.ack_us.p99 / 1000),
		epochs: ($n / $s), dirty: $b.dirty_pages.p50,
		kb: (if $n > 0 then ($b.bytes_sent - $a.bytes_sent) / $n / 1000
			else "" end),
		mbit: (($b.bytes_sent - $a.bytes_sent) * 8e-6 / $s),
		rate: ($rate // "")} | to_entries[] | "\(.key)=\(.value)"')
}

path_plain() {
	step "unprotected"
	pair_up 128 ""
	load_begin "$PATH_ASKED"
	sleep 2
	load_mark
	sleep "$1"
	PATH_PLAIN=$(load_end)
	pair_down
}

# Three links beside each other, a measure below the other.
path_plot() {
	plot '{kind: "lines", x: "interval", xlabel: "interval, ms", xlog: true,
		panels: [
		{title: "pause", ylabel: "ms", key: "p50", upper: "p99"},
		{title: "until acknowledged", ylabel: "ms", key: "ack50",
			upper: "ack99", ylog: true},
		{title: "checkpoints", ylabel: "1/s", key: "epochs", ylog: true},
		{title: "redis", ylabel: "SETs/s", key: "rate",
			limits: [{at: '"$PATH_PLAIN"', label: "unprotected"}]},
		{title: "bytes of a checkpoint", ylabel: "kB", key: "kb",
			ylog: true} | . as $p |
		"none", "1000", "100" | (tonumber? // .) as $link | $p + {
		title: ($p.title + (if $link == "none" then ", link without limit"
			else ", link of \($link) Mbit/s" end)),
		by: "mode", where: {link: $link},
		y: [{key: $p.key, upper: $p.upper}]} +
		if $p.upper then {upper_label: "p99"} else {} end]}'
}

table_path() {
	local seconds=12 intervals=(5 10 25 50 100 200) links=(0 1000 100)
	local modes=(off fast tight auto) mbit mode ms
	if [ "$QUICK" = true ]; then
		seconds=4 intervals=(25 100) links=(0 100) modes=(off auto)
	fi
	table path "The whole path: redis under full load" "link|Mbit/s|-" \
		"mode|compression|-" "interval|interval ms|0" \
		"p50|pause p50 ms|1" "p99|p99|1" "ack50|ack p50 ms|1" \
		"ack99|p99|1" "epochs|epochs/s|1" "dirty|pages|0" \
		"kb|kB/epoch|1" "mbit|Mbit/s|1" "rate|SETs/s|0" "used|codec|-"
	path_plain "$seconds"
	for mbit in "${links[@]}"; do
		for mode in "${modes[@]}"; do
			for ms in "${intervals[@]}"; do
				# a hundred checkpoints at least
				link_cell "$mode" "$ms" "$mbit" \
					"$((ms * 100 > seconds * 1000 &&
					seconds > 4 ? ms / 10 : seconds))" \
					"" "$PATH_ASKED"
				row "${CELL[@]}"
			done
		done
	done
	note "128 MB guest, $PATH_ASKED SETs a second asked of its redis, at most" \
		"4096 of them waiting for an answer; unprotected it answers" \
		"$PATH_PLAIN. ack: from the end of the pause until the backup has" \
		"all of the checkpoint. codec: in use at the end."
	load_note
	path_plot
	table_end
}
