#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_plot - a picture of a table has what the table has.
set -eu
set -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
command -v python3 >/dev/null || skip "no python3"
command -v jq >/dev/null || skip "no jq"
make_tmp TMP

cat >"$TMP/t.json" <<'END'
{"table": "t", "title": "A <title>", "quick": false, "notes": [],
"machine": {"date": "2026-01-01", "cpus": 2, "cpu": "c", "kernel": "k"},
"columns": [], "rows": [
 {"x": 5, "name": "a", "way": "up", "v": 1, "top": 4, "w": 2000},
 {"x": 50, "name": "b", "way": "up", "v": 3, "top": null, "w": null},
 {"x": 5, "name": "a", "way": "down", "v": 0, "top": 9, "w": 70},
 {"x": "none", "name": "b", "way": "down", "v": 2, "top": 3, "w": 0}],
"plot": {"kind": "KIND", "x": "COLUMN", "xlabel": "ms & more", "panels": [
 {"title": "one", "ylabel": "us", "by": "way", "upper_label": "p99",
  "y": [{"key": "v", "upper": "top"}], "limits": [{"at": 2, "label": "no more"}]},
 {"title": "two", "ylog": true, "where": {"way": "up"},
  "y": [{"key": "w", "label": "bytes"}, {"key": "absent"}]}]}}
END

# drawn KIND COLUMN: the picture's words, one a line, then how many of each shape
drawn() {
	sed "s/KIND/$1/; s/COLUMN/$2/" "$TMP/t.json" >"$TMP/$1.json"
	"$here/plot" "$TMP/$1.json"
	python3 - "$TMP/$1.svg" <<-'END'
	import collections, sys
	import xml.etree.ElementTree as tree
	shapes = collections.Counter()
	for e in tree.parse(sys.argv[1]).iter():
	    shapes[e.tag.split("}")[1]] += 1
	    if e.text and e.text.strip():
	        print(e.text)
	print(*(f"{k}={shapes[k]}" for k in ("circle", "polyline", "rect")))
	END
}

expect() { # WHAT LINE...
	local w
	for w in "${@:2}"; do
		grep -qxF -- "$w" "$TMP/words" ||
			die "$1: no \"$w\" in: $(tr '\n' '|' <"$TMP/words")"
	done
}

drawn lines x >"$TMP/words"
# a dot for each number at a number, a line more for each that has a p99; the
# legend's two boxes and the ground
expect lines "A <title>" "ms & more" one two us up down "no more" \
	"p99: dotted" 5 50 "circle=4 polyline=5 rect=3"
drawn bars name >"$TMP/words"
# four of the first panel, one of the second
expect bars a b "p99: whisker" "circle=0 polyline=0 rect=8"

"$here/plot" --text "$TMP/bars.json" >"$TMP/words"
[ "$(grep -c '#' "$TMP/words")" -eq 4 ] || die "text: $(cat "$TMP/words")"

jq 'del(.plot)' "$TMP/t.json" >"$TMP/none.json"
"$here/plot" "$TMP/none.json"
[ ! -e "$TMP/none.svg" ] || die "drawn without being asked"
