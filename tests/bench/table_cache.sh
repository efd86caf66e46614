# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cache - what a page cache smaller than the guest costs, and which page to give
# up for another.

table_cache() {
	local sizes=(1 2 3 5 7 10 15 20 35 50 75 100)
	local out=$OUT/cache.out caps=$OUT/captures file line words
	[ "$QUICK" = false ] || sizes=(1 5 20 100)
	table cache "The page cache: size and who is replaced" "file|capture|-" \
		"percent|%|0" "mb|MB|1" "used_found|found|3" "free_found|free|3" "lru_found|LRU|3" \
		"clock_found|clock|3" "fifo_found|FIFO|3" "best_found|best|3" \
		"used_ratio|fast|1" "free_ratio|free|1" "lru_ratio|LRU|1" "clock_ratio|clock|1" \
		"fifo_ratio|FIFO|1" "best_ratio|best|1" "tight_ratio|tight|1"
	capture_files "$caps" 2048
	for file in "${CAPTURES[@]}"; do
		step "${file##*/}"
		"$BENCH_BIN/bench_cache" "$file" "${sizes[@]}" \
			>"$out" || give_up "no result of ${file##*/}"
		while read -r line; do
			mapfile -t words < <(jq -r 'to_entries[] |
				"\(.key)=\(.value)"' <<<"$line")
			row "${words[@]}"
		done <"$out"
	done
	note "%: of the guest's 128 MB; MB: what the cache takes then. found: of" \
		"the pages to be sent, those whose old content was still there," \
		"by the policy in use, by the same without sets (free), and by" \
		"others that may put a page anywhere; best knows the future." \
		"Then the ratio of fast with each, and that of tight with the one" \
		"in use. A page that is not found goes as it is."
	plot '{kind: "lines", x: "percent", xlabel: "cache, % of guest memory",
		xlog: true, panels: ['"$(printf '"%s",' "${CAPTURES[@]##*/}" |
			sed 's/,$//')"' | {title: ., ylabel: "ratio of fast",
		where: {file: .}, ylog: true,
		y: [{key: "used_ratio", label: "in use"},
		{key: "free_ratio", label: "without sets"},
		{key: "lru_ratio", label: "LRU"},
		{key: "clock_ratio", label: "clock"},
		{key: "fifo_ratio", label: "FIFO"},
		{key: "best_ratio", label: "best"}]}]}'
	rm -rf "$out" "$caps"
	table_end
}
