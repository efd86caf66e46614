#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ticket's witnesses, nodes and fences through random faults: one holder per
# generation, nothing seen that a later holder does not know of, and after
# healing somebody serves.  (tests/parts runs a million of them.)
set -eu
sim=${top_builddir:-.}/tests/sim/ticket_sim
out=$("$sim" --schedules 8000 --seed "${REMUS_SIM_SEED:-1}")
echo "$out"
case $out in
*' violations=0') ;;
*) exit 1 ;;
esac
for count in boots takeovers alone protected fences crashes freezes late_frames
do
	case $out in
	*" $count=0 "*)
		echo "test_ticket: $count=0: the schedules miss something"
		exit 1
		;;
	esac
done
# The same seed is the same schedule.
one=$("$sim" --replay 77 --verbose)
[ "$one" = "$("$sim" --replay 77 --verbose)" ] || {
	echo "test_ticket: a replay went another way"
	exit 1
}
