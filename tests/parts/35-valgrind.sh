# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# the unit tests under valgrind

[ -e "$GCC_BUILD/src/remusd" ] || t_build "$GCC_BUILD" CC=gcc
t_make_check "$GCC_BUILD" check-valgrind
