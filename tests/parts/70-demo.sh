# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/demo, once for each way to fail, with a cluster and without one

for words in --kill=host --kill=remusd --kill=link "--plain --kill=host" \
	"--plain --kill=link"; do
	# shellcheck disable=SC2086 # words
	t_run "demo $words" "$SRC/tests/demo" --seconds 8 $words || continue
	t_last_line
done
