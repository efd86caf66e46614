# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the counting client notices what it is there to notice

t_run ackclient bash "$SRC/tests/lib/test_ackclient.sh"
