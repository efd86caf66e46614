#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 1,000 failovers of two whole daemons in a simulated world, crashed at random
# points: no output is lost, no epoch torn, no second copy seen (S1 to S5), and
# the pair always recovers.
set -eu
sim=${top_builddir:-.}/tests/sim/failover_sim
out=$("$sim" --failovers 1000 --schedules 100 --seed "${REMUS_SIM_SEED:-1}")
echo "$out"
case $out in
*' violations=0') ;;
*) exit 1 ;;
esac
for count in crashes handovers resyncs_partial resyncs_full; do
	case $out in
	*" $count=0 "*)
		echo "test_failovers: $count=0: the schedules miss something"
		exit 1
		;;
	esac
done
