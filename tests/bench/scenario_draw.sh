# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scenario_draw.sh - what happens in scenario N of a seed, and what would be
# right then.
#
#   scenario_draw SEED N     one JSON object: faults, events, truth
#
# The draw knows nothing of a configuration: it names the primary's host P, the
# backup's host B, and arbiters by number, which each configuration turns into
# what it has (three witnesses; one quorum server; nobody).  It is made of
# SHA-256("SEED:N"), so that it is the same everywhere and for ever, and
# scenario N can be had without those before it.
#
# Kinds of faults, of 100:
KINDS=(
	"primary-crash 18"
	"backup-crash 8"
	"primary-freeze 10"	# 3 to 15 s, then it goes on
	"repl-cut 12"		# cables: at either end
	"ring-cut 10"
	"lines-cut 14"		# replication and heartbeat
	"primary-client-cut 7"
	"backup-client-cut 4"
	"primary-isolated 6"	# all three cables
	"arbiter-cut 5"		# between one node and one or two of them
	"arbiter-loss 6"	# one of them dies
)
# One scenario of five has a second fault, of another kind, 0.5 to 6 s after the
# first.
#
# The power switch of a host is often lost together with something else, and
# then fencing by it fails: a crash may be one of the power supply, which feeds
# the management board as well (30 of 100 crashes); who is isolated may have its
# management board at the same switch (50); where the heartbeat is cut, its
# network may be that of both management boards (20).
#
# The truth:
#   stay     P lives and clients reach it: the guest belongs there
#   move     P is dead or out of the clients' reach; B is well, and had
#            everything until then: the guest belongs there
#   either   P stands still for some seconds: both are right
#   any      B had been lost, or lost its replica, too: nothing can be asked but
#            that there are never two

# The I-th of sixteen draws, 0..65535.
draw_bits() { echo $((16#${DRAW_HEX:$(($1 * 4)):4})); }
draw_below() { echo $(($(draw_bits "$1") * $2 / 65536)); }

# draw_kind I [NOT]: a kind, never NOT.
draw_kind() {
	local k at total=0
	for k in "${KINDS[@]}"; do
		[ "${k% *}" = "${2:-}" ] || total=$((total + ${k#* }))
	done
	at=$(draw_below "$1" "$total")
	for k in "${KINDS[@]}"; do
		[ "${k% *}" != "${2:-}" ] || continue
		at=$((at - ${k#* }))
		[ "$at" -ge 0 ] || { echo "${k% *}"; return 0; }
	done
}

# draw_fault KIND AT_MS I: its JSON, by the draws from I on.
draw_fault() {
	local kind=$1 at=$2 i=$3 side
	side=$([ "$(draw_below $((i + 1)) 2)" -eq 0 ] && echo P || echo B)
	jq -nc --arg kind "$kind" --argjson at "$at" --arg side "$side" \
		--argjson freeze $((3000 + $(draw_below "$i" 12001))) \
		--argjson first $((1 + $(draw_below "$i" 3))) \
		--argjson more "$(draw_below $((i + 2)) 3)" \
		--argjson power "$(draw_below $((i + 3)) 100)" '
		{kind: $kind, at_ms: $at} +
		({"primary-crash": {node: "P"}, "backup-crash": {node: "B"},
		"primary-freeze": {node: "P", ms: $freeze},
		"repl-cut": {node: $side, cables: ["repl"]},
		"ring-cut": {node: $side, cables: ["ring"]},
		"lines-cut": {node: $side, cables: ["repl", "ring"]},
		"primary-client-cut": {node: "P", cables: ["svc"]},
		"backup-client-cut": {node: "B", cables: ["svc"]},
		"primary-isolated": {node: "P", cables: ["repl", "ring", "svc"]},
		"arbiter-cut": {node: $side, arbiters: ([$first,
			(if $more < 2 then empty else $first % 3 + 1 end)])},
		"arbiter-loss": {arbiters: [$first]}}[$kind]) +
		{power_lost: (if ($kind | endswith("-crash")) and $power < 30
			then [if $kind == "primary-crash" then "P" else "B" end]
		elif $kind == "primary-isolated" and $power < 50 then ["P"]
		elif ($kind == "ring-cut" or $kind == "lines-cut") and
			$power < 20 then ["P", "B"]
		else [] end)}'
}

scenario_draw() {
	local seed=$1 n=$2 kind second=''
	DRAW_HEX=$(printf %s "$seed:$n" | sha256sum)
	kind=$(draw_kind 0)
	{
		draw_fault "$kind" 0 1
		if [ "$(draw_below 5 5)" -eq 0 ]; then
			second=$(draw_kind 6 "$kind")
			draw_fault "$second" $((500 + $(draw_below 7 5501))) 8
		fi
	} | jq -sc --arg seed "$seed" --argjson n "$n" \
		-f "$BENCH_DIR/scenario_truth.jq"
}
