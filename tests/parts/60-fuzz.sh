# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the fuzz targets, two at a time, on a copy of the kept corpus

t_build build CC=clang --enable-fuzzers

fuzz_one() {
	local bin=$1 name=$2 out=$PART_DIR/$2
	mkdir -p "$out/corpus" "$out/found"
	[ ! -d "$SRC/tests/fuzz/corpus/$name" ] ||
		cp -r "$SRC/tests/fuzz/corpus/$name/." "$out/corpus/"
	"$bin" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$out/found/" \
		"$out/corpus" </dev/null >"$out/log" 2>&1
}

fuzz_verdict() {
	local name=$1 rc=$2 f
	echo "exit $rc"
	tail -n 30 "$PART_DIR/$name/log"
	for f in "$PART_DIR/$name/found"/*; do
		[ ! -e "$f" ] || { echo "${f##*/}:"; base64 "$f"; }
	done
	return "$rc"
}

names=()
pids=()
reap() { # the oldest
	local rc=0
	wait "${pids[0]}" || rc=$?
	t_run "${names[0]} for $FUZZ_SECONDS s" fuzz_verdict "${names[0]}" $rc ||
		:
	pids=("${pids[@]:1}")
	names=("${names[@]:1}")
}

for bin in build/tests/fuzz/fuzz_*; do
	[[ -f $bin && -x $bin ]] || continue
	name=${bin##*/fuzz_}
	fuzz_one "$bin" "$name" &
	pids+=($!)
	names+=("$name")
	[ ${#pids[@]} -lt "$(nproc)" ] || reap
done
while [ ${#pids[@]} -gt 0 ]; do
	reap
done
