# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# gcc without a warning, and make check

t_build build CC=gcc --enable-werror
t_make_check build check
