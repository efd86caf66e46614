# SPDX-License-Identifier: GPL-2.0-or-later
#
# scenario_judge.jq - from what was seen in a scenario to what it was.  A module.

# Served again within so long, or it was missed; a primary that is well and
# silent for so long was interrupted by mistake.
def limit_ms: 15000;
def long_ms: 5000;

# wrong    the guest belonged where it was, and was moved or interrupted
# missed   nobody served, and somebody could have
# split    frames of the first copy after the first frame of the second
# bad      acknowledged writes lost or doubled; where no whole replica was left,
#          some may have to be lost, and they are in `unjudged`.  Where nobody
#          could be asked any more, even after the healing, all are lost.
def judge: . + {
	wrong: (.truth == "stay" and (.moved or .gap_ms > long_ms)),
	missed: ((.truth == "move" or .truth == "either") and
		.gap_ms > limit_ms),
	split: (.frames_back > 0),
	bad: (if .truth == "any" then 0
		elif .verified then .lost + .duplicated else .acked // 1 end),
	unjudged: (if .truth == "any" and .verified
		then .lost + .duplicated else 0 end)};

# The last word on each; a second try makes the first one void.
def scenarios: group_by(.n) | map(last);

# Of an array of numbers.
def quantile($q): sort | if length == 0 then null
	else .[([(length * $q | ceil), 1] | max) - 1] end;

def count(f): [.[] | select(f)] | length;

def faults_text: [.faults[] | .kind +
	(if .at_ms > 0 then " at \(.at_ms / 1000) s" else "" end) +
	(if .power_lost != [] then " (power switch lost)" else "" end)] |
	join(", ");

def line($took): if .failed then "\(.n) could not be made: \(faults_text)"
	else judge | "\(.n) \(.truth): " + ([
	(if .wrong then "WRONG" else empty end),
	(if .missed then "MISSED" else empty end),
	(if .split then "SPLIT" else empty end),
	(if .bad > 0 then "WRITES \(.bad)" else empty end),
	(if .verified then empty else "unverified" end)] |
	if . == [] then "well" else join(" ") end) +
	" (silence \(.gap_ms) ms, heard \(.heard); \($took) s): " +
	faults_text end;
