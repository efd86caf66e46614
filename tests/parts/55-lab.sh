# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the lab: hosts, cables and the guest do what the tests rely on

t_run lab bash "$SRC/tests/lib/test_lab.sh"
