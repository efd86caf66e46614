#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_scenarios.sh - are scenarios drawn as they always were, is the truth about
# them true, and are they judged by it?
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
command -v jq >/dev/null || skip "no jq"
BENCH_DIR=$here
. "$here/scenario_draw.sh"

same() { [ "$2" = "$3" ] || die "$1: '$2', not '$3'"; }

# A table that was made of a seed can be made again.
draws() {
	local n
	for n in {1..12}; do
		scenario_draw 1 "$n"
	done | jq -r '[.n, .truth, (.faults[] | "\(.kind)@\(.at_ms)",
		.ms // (.node // "-") + (.cables // .arbiters // [] |
			map(tostring) | join("+")), (.power_lost | add // "-"))] |
		map(tostring) | join(" ")'
}
same "seed 1" "$(draws)" "1 move primary-isolated@0 Prepl+ring+svc P
2 stay repl-cut@0 Brepl -
3 stay ring-cut@0 Pring - arbiter-loss@724 -1 -
4 either primary-freeze@0 11252 -
5 stay repl-cut@0 Prepl -
6 stay repl-cut@0 Prepl -
7 stay backup-crash@0 B - arbiter-loss@4157 -2 -
8 either primary-freeze@0 3083 -
9 move primary-client-cut@0 Psvc -
10 stay lines-cut@0 Prepl+ring -
11 stay backup-crash@0 B -
12 stay backup-client-cut@0 Bsvc - lines-cut@4369 Brepl+ring PB"

# Of 256 draws, each kind has its share.
shares() {
	local b
	for b in {0..65535..256}; do
		DRAW_HEX=$(printf '%04x' "$b")
		draw_kind 0
	done | sort | uniq -c | awk '{ printf "%s%s %d", s, $2, $1; s = " " }'
}
same shares "$(shares)" "arbiter-cut 13 arbiter-loss 15 \
backup-client-cut 10 backup-crash 20 lines-cut 36 primary-client-cut 18 \
primary-crash 47 primary-freeze 26 primary-isolated 15 repl-cut 30 ring-cut 26"

# draw_fault's draws do not matter here.
truth() {
	local kind at=0
	DRAW_HEX=$(printf '%064d' 0)
	for kind in "$@"; do
		draw_fault "$kind" "$at" 0
		at=$((at + 2000))
	done | jq -sr --arg seed 1 --argjson n 1 -f "$here/scenario_truth.jq" |
		jq -r '"\(.truth) \(.from_ms) \(.last_ms)"'
}
judge_truth() { # TRUTH... KIND...
	same "${*:2}" "$(truth "${@:2}")" "$1"
}
judge_truth "stay 0 0" lines-cut
judge_truth "stay 0 2000" lines-cut arbiter-loss
judge_truth "stay 0 2000" backup-crash repl-cut
judge_truth "move 0 0" primary-crash
judge_truth "move 0 0" primary-client-cut
judge_truth "move 2000 2000" arbiter-loss primary-isolated
judge_truth "move 2000 2000" ring-cut primary-crash
judge_truth "move 0 2000" primary-crash repl-cut
judge_truth "move 2000 3000" primary-freeze primary-crash
judge_truth "either 0 3000" primary-freeze
judge_truth "any 2000 2000" repl-cut primary-crash
judge_truth "any 0 5000" lines-cut primary-freeze
judge_truth "any 0 2000" primary-crash backup-crash
judge_truth "any 2000 2000" backup-client-cut primary-isolated

# verdict JSON: which of the four it is.
verdict() {
	jq -nr -L "$here" --argjson seen "$1" 'include "scenario_judge";
		{moved: false, gap_ms: 300, frames_back: 0, verified: true,
		lost: 0, duplicated: 0} + $seen | judge |
		[(if .wrong then "wrong" else empty end),
		(if .missed then "missed" else empty end),
		(if .split then "split" else empty end),
		"\(.bad) \(.unjudged)"] | join(" ")'
}
judged() { same "$1" "$(verdict "$1")" "$2"; }
judged '{"truth": "stay"}' "0 0"
judged '{"truth": "stay", "moved": true}' "wrong 0 0"
judged '{"truth": "stay", "gap_ms": 5001}' "wrong 0 0"
judged '{"truth": "move", "moved": true, "gap_ms": 6000}' "0 0"
judged '{"truth": "move", "gap_ms": 15001}' "missed 0 0"
judged '{"truth": "either", "gap_ms": 14000}' "0 0"
judged '{"truth": "any", "gap_ms": 30000, "lost": 7}' "0 7"
judged '{"truth": "move", "moved": true, "frames_back": 1}' "split 0 0"
judged '{"truth": "stay", "lost": 2, "duplicated": 1}' "3 0"
judged '{"truth": "stay", "acked": 9, "verified": false}' "9 0"
judged '{"truth": "any", "acked": 9, "verified": false}' "0 0"
