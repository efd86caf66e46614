# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# capture - what a checkpoint costs for each dirty page: copied in the pause and
# encoded after it, or encoded in the pause.

table_capture() {
	local rounds=15 out=$OUT/capture.out caps=$OUT/captures line words
	[ "$QUICK" = false ] || rounds=3
	table capture "A checkpoint, nanoseconds for each dirty page" \
		"file|capture|-" "pages|pages|0" "each|an epoch|0" \
		"memcpy|memcpy|0" "copy|copy: pause|0" "copy_after|after|0" \
		"huge|huge pages: pause|0" "huge_after|after|0" \
		"encode|encode: pause|0" "encode_after|after|0" \
		"lean|lean: pause|0" "lean_after|after|0" \
		"busy|encoder %|2"
	capture_files "$caps" 1024
	step "replaying"
	taskset -c 0 "$BENCH_BIN/bench_copy" --rounds "$rounds" "${CAPTURES[@]}" \
		>"$out" || give_up "no result"
	while read -r line; do
		mapfile -t words < <(jq -r '.each = .pages / .epochs |
			.busy = .copy_after * .each / 25e6 * 100 |
			to_entries[] | "\(.key)=\(.value)"' <<<"$line")
		row "${words[@]}"
	done <"$out"
	note "Replayed captures. copy is what remusd does: capture_pages() in the" \
		"pause; after it digest, XOR-RLE by the old pages' sums, and the" \
		"copy of what changed. memcpy: the floor of the pause, 4096 bytes" \
		"for each page and nothing else. huge pages: for copies, old" \
		"pages and sums. encode: XOR-RLE from" \
		"the guest's memory in the pause, the page copied to the old one;" \
		"lean: only what changed of it. Both leave the digest for later."
	note "encoder %: of a processor, if there were as many pages every 25 ms."
	load_note
	plot '{kind: "bars", x: "file", panels: [
		{title: "In the pause", ylabel: "ns a dirty page",
		y: [{key: "memcpy", label: "memcpy, the floor"},
		{key: "copy"}, {key: "huge", label: "copy, huge pages"},
		{key: "encode"}, {key: "lean", label: "encode, lean"}]},
		{title: "After it", ylabel: "ns a dirty page",
		y: [{key: "copy_after", label: "copy"},
		{key: "huge_after", label: "copy, huge pages"},
		{key: "encode_after", label: "encode"},
		{key: "lean_after", label: "encode, lean"}]}]}'
	rm -rf "$out" "$caps"
	table_end
}
