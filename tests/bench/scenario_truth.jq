# SPDX-License-Identifier: GPL-2.0-or-later
#
# scenario_truth.jq - from the faults of a scenario (an array, in the order of
# time) to what is to be done at which time, and what would be right.

def ends_primary: .kind == "primary-crash" or .kind == "primary-client-cut" or
	.kind == "primary-isolated";
def ends_backup: .kind == "backup-crash" or .kind == "backup-client-cut";
def ends_replica: ends_backup or (.cables // [] | index("repl") != null);

def events:
	[.[] | . as $f |
	{at_ms, do: (if .kind | endswith("-crash") then "crash"
		elif .kind == "primary-freeze" then "freeze"
		elif .kind == "arbiter-cut" then "block"
		elif .kind == "arbiter-loss" then "kill-arbiter"
		else "unplug" end),
	node: (.node // "-"), what: (.cables // .arbiters // [] | map(tostring))},
	(select(.ms) | {at_ms: (.at_ms + .ms), do: "thaw", node, what: []}),
	(.power_lost[] | {at_ms: $f.at_ms, do: "power-lost", node: ., what: []})] |
	# A power switch is gone at the moment of its host, not after it.
	sort_by([.at_ms, .do != "power-lost"]);

# When the last of them was, and when the first after which P does not serve.
def first_end: [.[] | select(ends_primary) | .at_ms] | min;
def freeze: [.[] | select(.kind == "primary-freeze")][0];

def truth:
	first_end as $gone | freeze as $freeze |
	(if $gone == null then $freeze.at_ms elif $freeze == null then $gone
		else [$gone, $freeze.at_ms] | min end) as $since |
	if $since == null then "stay"
	# A replica may be lost after P's end, but not the host that has it.
	elif any(.[]; ends_backup) then "any"
	elif any(.[]; ends_replica and .at_ms < $since) then "any"
	# Frozen, and then cut off or dead: due.
	elif $gone != null then "move"
	else "either" end;

. as $faults | events as $events |
{n: $n, seed: $seed, faults: $faults, events: $events, truth: ($faults | truth),
	power_lost: any($faults[]; .power_lost != []),
	from_ms: ($faults | first_end // 0),
	last_ms: ([$events[].at_ms] | max)}
