# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the service's clients hold the ticket, vote and fence; hosts and lines fail
# when: asked

t_cases "$SRC/tests/cluster/run" 'w_*' 'qdevice_*' 'fence_*'
