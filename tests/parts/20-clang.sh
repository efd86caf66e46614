# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# clang without a warning, the tests' programs included

t_build build CC=clang --enable-werror
t_run "test programs build" make -s -C build -j"$(nproc)" check TESTS=
