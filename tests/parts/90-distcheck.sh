# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make distcheck
# when: all

[ -e "$GCC_BUILD/src/remusd" ] || t_build "$GCC_BUILD" CC=gcc
t_run distcheck make -s -C "$GCC_BUILD" distcheck
