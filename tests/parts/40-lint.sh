# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# every shell file by shellcheck, every manual page by mandoc

cd "$SRC" || exit
while IFS= read -r f; do
	t_run "$f" shellcheck -x -P SCRIPTDIR:tests/lib -S warning "$f" || :
done < <({
	find . -path ./build-aux -prune -o -name '*.sh' -print
	grep -rlIE '^#!/bin/(ba|da)?sh|^#!.*busybox sh' --exclude-dir=build-aux \
		--exclude-dir=autom4te.cache --exclude=configure \
		--exclude='*.sh' --exclude='config*' .
} | sed 's|^\./||' | sort -u)
for f in man/*.[1-8]; do
	[ ! -e "$f" ] || t_run "$f" mandoc -T lint -W warning "$f" || :
done
