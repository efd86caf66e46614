# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# codec - XOR-RLE, and packed, on captures of a guest, beside memcmp, memcpy,
# zstd, lz4 and QEMU's xbzrle.

table_codec() {
	local rounds=30 out=$OUT/codec.out caps=$OUT/captures line words
	[ "$QUICK" = false ] || rounds=5
	table codec "The codec on captures of a guest, one processor" \
		"file|capture|-" "limit_gbs|memcmp GB/s|1" \
		"memcpy_gbs|memcpy GB/s|1" "fast|fast|2" "tight|tight|2" \
		"xor_zstd|XOR+zstd|2" "xor_lz4|XOR+lz4|2" "fast_decode|fast dec.|2" \
		"tight_decode|tight dec.|2" "fast_ratio|fast ratio|1" \
		"tight_ratio|tight|1" "bare_ratio|fast, bare|1" \
		"xbzrle_ratio|xbzrle|1" "xor_zstd_ratio|XOR+zstd|1" \
		"xor_lz4_ratio|XOR+lz4|1" "zstd_ratio|zstd|1"
	capture_files "$caps" 1024
	step "encoding and decoding"
	taskset -c 0 "$BENCH_BIN/bench_codec" --json --rounds "$rounds" \
		"${CAPTURES[@]}" fill same >"$out" || give_up "$(cat "$out")"
	while read -r line; do
		mapfile -t words < <(jq -r 'to_entries[] |
			"\(.key)=\(.value)"' <<<"$line")
		row "${words[@]}"
	done <"$out"
	note "Speeds as a share of memcmp's on as many bytes that do not differ;" \
		"ratios as bytes in by bytes out, everything counted for fast and" \
		"tight, no places and no lengths for the others and fast, bare."
	note "fill: pages rewritten with noise; same: pages that did not change."
	load_note
	rm -rf "$out" "$caps"
	plot '{kind: "bars", x: "file", panels: [
		{title: "Encoding", ylabel: "of the speed of memcmp",
		y: [{key: "fast"}, {key: "tight"},
		{key: "xor_zstd", label: "XOR, zstd -1"},
		{key: "xor_lz4", label: "XOR, lz4"}],
		limits: [{at: 1, label: "memcmp"}]},
		{title: "Decoding", ylabel: "of the speed of memcmp", ylog: true,
		y: [{key: "fast_decode", label: "fast"},
		{key: "tight_decode", label: "tight"}],
		limits: [{at: 1, label: "memcmp"}]},
		{title: "Ratio", ylabel: "bytes in by bytes out", ylog: true,
		y: [{key: "fast_ratio", label: "fast"},
		{key: "tight_ratio", label: "tight"},
		{key: "xbzrle_ratio", label: "xbzrle"},
		{key: "xor_zstd_ratio", label: "XOR, zstd -1"},
		{key: "xor_lz4_ratio", label: "XOR, lz4"}]}]}'
	table_end
}
