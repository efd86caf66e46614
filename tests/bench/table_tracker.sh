# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tracker - finding 1,000 written pages, by tracker and size of memory.

tracker_run() {
	REMUS_TRACK_LIB=$PRODUCT_ROOT/usr/lib/remus-ha/libremus-track.so \
		"$BENCH_BIN/bench_tracker" "$@"
}

# tracker_us TRACKER FILE
tracker_us() {
	jq -r --arg t "$1" 'select(.tracker == $t) | .us // empty' "$2"
}

table_tracker() {
	local rounds=50 sizes=(128 512 1024 2048) all near mb t v words
	if [ "$QUICK" = true ]; then
		rounds=5 sizes=(128 512)
	fi
	table tracker "Finding 1,000 written pages, microseconds (median)" \
		"mb|MB|0" "none|pagemap, 1 page|0" "near|within 32 MB|0" \
		"pagemap|all over|0" "soft-dirty|soft-dirty|0" \
		"compare|compare|0" "memcmp|memcmp of all|0"
	all=$OUT/tracker.all near=$OUT/tracker.near
	for mb in "${sizes[@]}"; do
		step "$mb MB"
		tracker_run 1 "$rounds" 32 "$mb" >"$near"
		words=("none=$(tracker_us pagemap "$near")")
		tracker_run 1000 "$rounds" 32 "$mb" >"$near"
		words+=("near=$(tracker_us pagemap "$near")")
		tracker_run 1000 "$rounds" 0 "$mb" >"$all"
		for t in pagemap soft-dirty compare memcmp; do
			words+=("$t=$(tracker_us "$t" "$all")")
		done
		row mb="$mb" "${words[@]}"
	done
	jq -r 'select(.why) | "\(.tracker): \(.why)."' "$all" | sort -u |
		while read -r v; do note "$v"; done
	rm -f "$all" "$near"
	note "All of the memory has been touched, so that the kernel has a page" \
		"table entry of 8 bytes to look at for every page: what is left" \
		"of a cost that follows the memory."
	plot '{kind: "lines", x: "mb", xlabel: "guest memory, MB", xlog: true,
		panels: [{title: "Finding 1,000 written pages", ylabel: "us",
		ylog: true, y: [{key: "near", label: "pagemap, within 32 MB"},
		{key: "pagemap", label: "pagemap, all over"},
		{key: "soft-dirty"}, {key: "compare"},
		{key: "memcmp", label: "memcmp of all"}]}]}'
	table_end
}
