#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ticket_sim finds each rule that is broken on purpose, within a bounded number
# of schedules, says which seed shows it, and shows it again.
set -eu
sim=${top_builddir:-.}/tests/sim/ticket_sim
failed=0

complain() {
	echo "test_ticket_broken_rules: $*"
	failed=1
}

finds() { # RULE
	local rule=$1 rc=0 text seed
	text=$("$sim" --schedules 60000 --seed 1 --break "$rule" 2>&1) || rc=$?
	[ "$rc" -eq 1 ] || {
		complain "$rule: exit $rc, not found: $text"
		return
	}
	case $text in
	*"ticket_sim: seed "*": "*"--break $rule"*) ;;
	*)
		complain "$rule: $text"
		return
		;;
	esac
	seed=${text#*ticket_sim: seed }
	seed=${seed%%:*}
	rc=0
	"$sim" --replay "$seed" --break "$rule" >/dev/null 2>&1 || rc=$?
	[ "$rc" -eq 1 ] || complain "$rule: seed $seed shows nothing"
	rc=0
	"$sim" --replay "$seed" >/dev/null 2>&1 || rc=$?
	[ "$rc" -eq 0 ] || complain "$rule: seed $seed, rule kept: exit $rc"
	text=${text#*ticket_sim: }
	echo "$rule: ${text%%$'\n'*}"
}

rules=$("$sim" --help | sed -n 's/^Rules: *//p')
[ -n "$rules" ] || complain "no rules"
for rule in $rules; do
	finds "$rule"
done
"$sim" --break no-such-rule >/dev/null 2>&1 && complain "no-such-rule was broken"
exit "$failed"
