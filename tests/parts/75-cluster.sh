# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ocf:remus:vm under a real corosync, pacemaker and pcs; hosts fail

# With --all, cables flap beside it for ten minutes, under witnesses: two labs
# wait more than they work.
flapping=
if [ -n "$CHECK_ALL" ]; then
	t_cases "$SRC/tests/cluster/run" --long w_flapping &
	flapping=$!
	t_log_seq=$((t_log_seq + 1)) # that one's
fi
rc=0
t_cases "$SRC/tests/cluster/run" ${CHECK_ALL:+--all} \
	--except 'w_*' --except 'qdevice_*' --except 'fence_*' || rc=$?
[ -z "$flapping" ] || wait "$flapping" || rc=$?
[ "$rc" -eq 0 ]
