# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make distcheck
# when: all

t_build build
t_run distcheck make -s -C build distcheck
