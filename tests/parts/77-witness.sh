# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the service's clients hold the ticket, vote and fence; hosts and lines fail
# when: all

# Two labs beside each other: they wait more than they work.  With --all the
# cluster's part has flapped already.
t_cases "$SRC/tests/cluster/run" 'qdevice_*' 'fence_*' &
beside=$!
t_log_seq=$((t_log_seq + 1)) # that one's
rc=0
t_cases "$SRC/tests/cluster/run" 'w_*' ${CHECK_ALL:+--except w_flapping} ||
	rc=$?
wait "$beside" || rc=$?
[ "$rc" -eq 0 ]
