# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# codec - XOR-RLE, beside memcpy and memcmp.

table_codec() {
	local seconds=0.3 out heads columns words i
	[ "$QUICK" = false ] || seconds=0.05
	out=$OUT/codec.out
	"$BENCH_BIN/bench_codec" "$seconds" >"$out"
	read -ra heads < <(sed -n 2p "$out")
	columns=("${heads[0]}|${heads[0]}|-")
	for i in "${heads[@]:1}"; do
		columns+=("$i|$i|1")
	done
	table codec "XOR-RLE beside memcpy and memcmp, GB/s" "${columns[@]}"
	while read -ra words; do
		for i in "${!heads[@]}"; do
			[ "${words[i]}" != - ] || words[i]=
			words[i]="${heads[i]}=${words[i]}"
		done
		row "${words[@]}"
	done < <(tail -n +3 "$out")
	note "$(sed -n 1p "$out")."
	note "bytes: mean length of a delta, a page sent raw counting 4096."
	rm -f "$out"
	table_end
}
