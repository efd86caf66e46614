# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ocf:remus:vm under a real corosync, pacemaker and pcs; hosts fail

t_cases "$SRC/tests/cluster/run" ${CHECK_ALL:+--all} \
	--except 'w_*' --except 'qdevice_*' --except 'fence_*'
