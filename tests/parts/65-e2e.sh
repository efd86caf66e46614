# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# real guests, real failures, one TCP connection that counts
# when: all

t_cases "$SRC/tests/e2e/run"
