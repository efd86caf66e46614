# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the other cases on a real Xen: more than an hour
# when: asked

t_cases "$SRC/tests/xen/run" stream_idle stream_save stream_memory switchover \
	discard remusd_killed standby_destroyed pvh hvm equality_off \
	equality_tight cluster soak
