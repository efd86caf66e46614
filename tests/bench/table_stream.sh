# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# stream - the codec on what a real `xl remus` sends of a PV guest: its pages
# beside memcmp, zstd, lz4 and QEMU's xbzrle, and the stream as a whole.

# shellcheck source=tests/bench/table_xen.sh
. "$BENCH_DIR/table_xen.sh"

# KIND, or KIND2s: an epoch each 2 s instead of 500 ms
stream_captures() {
	local name
	xen_power alpha
	xen_wait alpha
	for name in "$@"; do
		step "capturing $name"
		export CAPTURE_INTERVAL_MS=500 CAPTURE_SECONDS=20
		[[ $name != *2s ]] ||
			export CAPTURE_INTERVAL_MS=2000 CAPTURE_SECONDS=40
		capture_kind alpha "${name%2s}" "$OUT/stream.d/$name"
	done
}

# What comes behind the first epoch, of a file and the packed one: all counted.
stream_whole() { # FILE MODE
	jq -r --arg mode "$2" '.files[0].again.modes[$mode].ratio' "$1"
}

table_stream() {
	local rounds=30 names=(idle redis redis2s text text2s memory) name line
	local words dir=$OUT/stream.d stream=$PRODUCT_ROOT/usr/bin/remus-stream
	[ "$QUICK" = false ] || rounds=3 names=(idle)
	table stream "The codec on captures of xl remus, one processor" \
		"file|capture|-" "pages|pages|0" "limit_gbs|memcmp GB/s|1" \
		"fast|fast|2" "tight|tight|2" "xor_zstd|XOR+zstd|2" \
		"xor_lz4|XOR+lz4|2" "fast_ratio|fast ratio|1" \
		"tight_ratio|tight|1" "xbzrle_ratio|xbzrle|1" \
		"xor_zstd_ratio|XOR+zstd|1" "xor_lz4_ratio|XOR+lz4|1" \
		"zstd_ratio|zstd|1" "whole_fast|stream, fast|1" \
		"whole_tight|stream, tight|1"
	mkdir -p "$dir"
	in_xen stream_captures "${names[@]}"
	for name in "${names[@]}"; do
		step "encoding and decoding $name"
		taskset -c 0 "$BENCH_BIN/bench_codec" --json --rounds "$rounds" \
			"$dir/$name" >"$dir/out" || give_up "$(cat "$dir/out")"
		taskset -c 0 "$stream" bench --json "$dir/$name" \
			>"$dir/whole" 2>"$dir/err" ||
			give_up "$(cat "$dir/err")"
		line=$(cat "$dir/out")
		mapfile -t words < <(jq -r 'to_entries[] |
			"\(.key)=\(.value)"' <<<"$line")
		row "${words[@]}" "whole_fast=$(stream_whole "$dir/whole" fast)" \
			"whole_tight=$(stream_whole "$dir/whole" tight)"
	done
	note "Pages behind the first epoch, every 500 ms (2s: 2 s).  Speeds as a" \
		"share of memcmp's on as many bytes that do not differ; ratios as in" \
		"the table of QEMU's captures.  stream: all that xl remus sends there" \
		"by what remus-stream makes of it."
	load_note
	rm -rf "$dir"
	table_end
}
