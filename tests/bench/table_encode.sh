# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# encode - what a second thread is worth, and what it costs: a checkpoint's time
# from the copy to the last byte for the link.

table_encode() {
	local rounds=25 out=$OUT/encode.out caps=$OUT/captures line words
	[ "$QUICK" = false ] || rounds=3
	table encode "A checkpoint from the copy to the last byte, by one and by two threads" \
		"file|capture|-" "each|pages|0" \
		"fast_one|fast: us|0" "fast_time|2 threads|2" "fast_cpu|CPU|2" \
		"tight_one|tight: us|0" "tight_time|2 threads|2" \
		"tight_cpu|CPU|2"
	capture_files "$caps" 1024
	step "replaying"
	"$BENCH_BIN/bench_encode" --rounds "$rounds" "${CAPTURES[@]}" >"$out" ||
		give_up "no result"
	while read -r line; do
		mapfile -t words < <(jq -r '
			.fast_time = .fast_more / .fast_one |
			.fast_cpu = .fast_more_cpu / .fast_one_cpu |
			.tight_time = .tight_more / .tight_one |
			.tight_cpu = .tight_more_cpu / .tight_one_cpu |
			.what = "\(.file | rtrimstr(".cap")), \(.each | round)" |
			to_entries[] | "\(.key)=\(.value)"' <<<"$line")
		row "${words[@]}"
	done <"$out"
	note "Replayed captures, through remusd's own sender and loop: with" \
		"encode_threads = 1 microseconds, with 2 as a share of it, by the" \
		"clock and by the time of all threads. Each capture twice: its" \
		"checkpoints as they were, and eight of them as one."
	load_note
	plot '{kind: "bars", x: "what", xlabel: "capture, pages of a checkpoint", panels: [
		"fast", "tight" | {title: "encode_threads = 2, \(.)",
		ylabel: "of one thread",
		y: [{key: "\(.)_time", label: "time"},
		{key: "\(.)_cpu", label: "processors"}],
		limits: [{at: 1, label: "one thread"}]}]}'
	rm -rf "$out" "$caps"
	table_end
}
