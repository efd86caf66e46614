# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the unit tests under valgrind

t_build build CC=gcc
t_make_check build check-valgrind
