# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make distcheck
# when: all

[ -e "$GCC_BUILD/src/remusd" ] || t_build "$GCC_BUILD" CC=gcc
# VERBOSE: what a test that fails there has said comes last.
t_run distcheck make -s -C "$GCC_BUILD" distcheck VERBOSE=1
