#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a backup hands to libxl, judged by xen's own verifier classes, where
# xen-utils is installed (or REMUS_XEN_LIB names its folder elsewhere).
set -eu
src=${top_srcdir:-$(dirname "$0")/../..}
build=${top_builddir:-.}
python=
for lib in "${REMUS_XEN_LIB:-}" /usr/lib/xen-*; do
	[ ! -e "$lib/lib/python/xen/migration/verify.py" ] ||
		python=$lib/lib/python
done
if [ -z "$python" ] || [ ! -x "$src/tests/xen/verify-stream" ] ||
	[ ! -x "$build/tests/unit/test_xen_state" ]; then
	echo "test_xen_verifier: no verifier of xen here"
	exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
REMUS_XEN_STATE_OUT=$dir "$build/tests/unit/test_xen_state" >/dev/null 2>&1
count=0
for f in "$dir"/*; do
	said=$(PYTHONPATH=$python "$src/tests/xen/verify-stream" "$f")
	case ${f##*/}:$said in
	plain*:'0 checkpoints, '*', ended' | \
		checkpoints*:'3 checkpoints, '*', between checkpoints') ;;
	*)
		echo "test_xen_verifier: ${f##*/}: $said"
		exit 1
		;;
	esac
	count=$((count + 1))
done
[ "$count" -ge 9 ] || {
	echo "test_xen_verifier: $count streams only"
	exit 1
}
