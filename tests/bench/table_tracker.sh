# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tracker - finding 1,000 written pages, by tracker and size of memory.

table_tracker() {
	local rounds=50 sizes=(128 512 1024 2048) lines mb t v words
	if [ "$QUICK" = true ]; then
		rounds=5 sizes=(128 512)
	fi
	table tracker "Finding 1,000 written pages, microseconds (median)" \
		"mb|MB|0" "pagemap|pagemap|0" "soft-dirty|soft-dirty|0" \
		"compare|compare|0" "memcmp|memcmp of all|0"
	lines=$OUT/tracker.lines
	for mb in "${sizes[@]}"; do
		step "$mb MB"
		REMUS_TRACK_LIB=$PRODUCT_ROOT/usr/lib/remus-ha/libremus-track.so \
			"$BENCH_BIN/bench_tracker" 1000 "$rounds" "$mb" >"$lines"
		words=()
		for t in pagemap soft-dirty compare memcmp; do
			v=$(jq -r --arg t "$t" \
				'select(.tracker == $t) | .us // empty' "$lines")
			words+=("$t=$v")
		done
		row mb="$mb" "${words[@]}"
	done
	jq -r 'select(.why) | "\(.tracker): \(.why)."' "$lines" | sort -u |
		while read -r v; do note "$v"; done
	rm -f "$lines"
	table_end
}
