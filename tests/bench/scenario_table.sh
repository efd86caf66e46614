# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scenario_table.sh - OUT/scenarios.json and OUT/kinds.json, and what is printed,
# of the lines in OUT/CONFIG.jsonl.

SCENARIO_CONFIGS="heartbeat qnetd clientprobe"

# judged CONFIG FILTER: of all its scenarios, judged.
judged() {
	jq -sr -L "$BENCH_DIR" "include \"scenario_judge\"; scenarios |
		map(select(.failed | not) | judge) | $2" "$OUT/$1.jsonl"
}

# Nothing is compared that did not go through the same.
same_draws() {
	local c files=()
	for c in $SCENARIO_CONFIGS; do
		[ ! -s "$OUT/$c.jsonl" ] || files+=("$OUT/$c.jsonl")
	done
	[ ${#files[@]} -gt 0 ] || die "nothing in $OUT"
	jq -se 'group_by([.seed, .n]) |
		all(.[]; [.[] | .faults] | unique | length == 1) and
		([.[][] | .seed] | unique | length == 1)' "${files[@]}" \
		>/dev/null || die "$OUT has scenarios of several draws"
}

scenario_row() {
	local words
	mapfile -t words < <(judged "$1" '
		def seconds: if . == null then "" else . / 1000 end;
		def of(f): [.[] | select(f) | .gap_ms];
		of(.truth == "move") as $move | of(.truth == "stay") as $stay |
		"count=\(length)", "stay=\(count(.truth == "stay"))",
		"wrong=\(count(.wrong))",
		"due=\(count(.truth == "move" or .truth == "either"))",
		"missed=\(count(.missed))", "split=\(count(.split))",
		"bad=\(count(.bad > 0))",
		"move50=\($move | quantile(0.5) | seconds)",
		"move99=\($move | quantile(0.99) | seconds)",
		"stay50=\($stay | quantile(0.5) | seconds)",
		"stay99=\($stay | quantile(0.99) | seconds)"')
	row config="$1" "${words[@]}"
}

scenario_notes() {
	note "$1:" "$(judged "$1" '
		"wrong: moved \(count(.wrong and .moved)), interrupted" +
		" \(count(.wrong and (.moved | not)));" +
		" missed: power switch lost too" +
		" \(count(.missed and .power_lost)) of \(count(.missed));" +
		" writes lost or doubled: \(map(.bad) | add // 0)" +
		" of \(map(.acked // 0) | add // 0);" +
		" not counted, no whole replica being left:" +
		" \(map(.unjudged) | add // 0);" +
		" without a verdict of the client:" +
		" \(count(.verified | not))."')" \
		"$(jq -sr -L "$BENCH_DIR" 'include "scenario_judge"; scenarios |
		"Not made: \(count(.failed)). Seed \(.[0].seed);" +
		" \(map(.date // empty) | min) to \(map(.date // empty) | max);" +
		" load average, median: \(map(.load // empty) | quantile(0.5))."
		' "$OUT/$1.jsonl")"
}

# What went wrong where the only fault was of KIND: "3 wrong, 1 split".
kind_cell() {
	judged "$1" "map(select(([.faults[] | .kind] | if length > 1
		then \"two faults\" else .[0] end) == \"$2\")) |
		[{wrong: count(.wrong), missed: count(.missed),
		split: count(.split), writes: count(.bad > 0)} |
		to_entries[] | select(.value > 0) | \"\(.value) \(.key)\"] |
		if . == [] then \"-\" else join(\", \") end"
}

kind_count() {
	judged "$1" "count(([.faults[] | .kind] | if length > 1
		then \"two faults\" else .[0] end) == \"$2\")"
}

table_kinds() {
	local c kind most n words columns=()
	for c in $SCENARIO_CONFIGS; do
		columns+=("$c|$c|-")
	done
	table kinds "... by fault" "kind|fault|-" "n|scenarios|0" \
		"${columns[@]}"
	for kind in "${KINDS[@]% *}" "two faults"; do
		words=() most=0
		for c in $SCENARIO_CONFIGS; do
			[ -s "$OUT/$c.jsonl" ] || continue
			n=$(kind_count "$c" "$kind")
			[ "$n" -le "$most" ] || most=$n
			words+=("$c=$(kind_cell "$c" "$kind")")
		done
		row kind="$kind" n="$most" "${words[@]}"
	done
	table_end
}

table_scenarios() {
	local c least=1000000 n
	same_draws
	for c in $SCENARIO_CONFIGS; do
		n=0
		[ ! -s "$OUT/$c.jsonl" ] || n=$(judged "$c" length)
		[ "$n" -ge "$least" ] || least=$n
	done
	# Each line has its own; that of this moment says nothing.
	# shellcheck disable=SC2034 # for lib.sh
	BENCH_LOAD=null
	# shellcheck disable=SC2034
	QUICK=$([ "$least" -ge 200 ] && echo false || echo true)
	table scenarios "Random faults: is the host dead?" \
		"config|judged by|-" "count|scenarios|0" "stay|well|0" \
		"wrong|wrong|0" "due|dark|0" "missed|missed|0" \
		"split|split|0" "bad|writes|0" "move50|dark p50|1" \
		"move99|p99|1" "stay50|well p50|2" "stay99|p99|2"
	for c in $SCENARIO_CONFIGS; do
		[ -s "$OUT/$c.jsonl" ] || continue
		scenario_row "$c"
	done
	note "well: scenarios in which the primary lived and clients reached it;" \
		"wrong: of these, the guest was moved, or silent for more than" \
		"5 s. dark: it did not serve, and another host could; missed:" \
		"nobody served within 15 s. split: frames of two copies were" \
		"heard. writes: in so many, acknowledged writes were lost or" \
		"doubled. Then the longest silence for the client, seconds: where" \
		"the guest had to move (one that never came to an end: as long as" \
		"it was watched), and where it had to stay."
	for c in $SCENARIO_CONFIGS; do
		[ ! -s "$OUT/$c.jsonl" ] || scenario_notes "$c"
	done
	table_end
	table_kinds
}
