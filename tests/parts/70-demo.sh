# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/demo, once for each way to fail

for kind in host remusd link; do
	t_run "demo --kill=$kind" "$SRC/tests/demo" --seconds 8 --kill=$kind ||
		continue
	t_last_line
done
