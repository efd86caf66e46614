# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make check under AddressSanitizer and UndefinedBehaviorSanitizer

t_build build CC=gcc --enable-sanitizers
t_make_check build check
