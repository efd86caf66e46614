# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# gcc without a warning, and make check

# Kept for the parts that can use the same build.
t_build "$GCC_BUILD" CC=gcc --enable-werror
t_make_check "$GCC_BUILD" check
