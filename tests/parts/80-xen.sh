# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guests on a real Xen, in emulation: streams, and what protects them
# when: all

# What fits beside all the rest; xen-more has the others.
t_cases "$SRC/tests/xen/run" host guest stream_redis failover
