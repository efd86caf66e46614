#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The simulation finds each safety rule that is broken on purpose, within a
# bounded number of schedules, and says which seed shows it.
set -eu
sim=${top_builddir:-.}/tests/sim/failover_sim
failed=0

finds() { # RULE PROPERTY...: the violation begins with one of them
	local rule=$1 rc=0 text property
	shift
	text=$("$sim" --schedules 1500 --seed 1 --break "$rule" 2>&1) || rc=$?
	if [ "$rc" -ne 1 ]; then
		echo "test_broken_rules: $rule: exit $rc, not found: $text"
		failed=1
		return
	fi
	for property in "$@"; do
		case $text in
		*"failover_sim: seed "*": $property: "*"--break $rule"*)
			echo "$rule: ${text%%$'\n'*}"
			return
			;;
		esac
	done
	echo "test_broken_rules: $rule: found as something else: $text"
	failed=1
}

finds release-unacked S1
finds commit-torn S2
# liveness: the rightful guest ends, because the twin has the newer ticket.
finds link-activates S1 S3 liveness
# S5: the epochs go into the memory of a guest that runs.
finds ack-after-activation S1 S2 S5
finds stale-old-page S5
finds no-digest S2
finds output-ahead S1
"$sim" --break no-such-rule >/dev/null 2>&1 && {
	echo "test_broken_rules: a rule that there is not was broken"
	failed=1
}
exit "$failed"
