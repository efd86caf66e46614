#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# remus-stream(1) through files and pipes: bytes, exit codes, JSON, signals.
set -euo pipefail
build=${top_builddir:-.}
tool=$build/src/remus-stream
make_stream=$build/tests/unit/make_stream
dir=$(mktemp -d "${TMPDIR:-/tmp}/remus-stream.XXXXXX")
trap 'rm -rf "$dir"' EXIT
failed=0

complain() {
	echo "test_remus_stream: $*"
	failed=1
}

# rc_is WANTED COMMAND...: standard output to $dir/out, error to $dir/err
rc_is() {
	local want=$1 rc=0
	shift
	"$@" >"$dir/out" 2>"$dir/err" </dev/null || rc=$?
	[ "$rc" -eq "$want" ] ||
		complain "exit $rc instead of $want: $* ($(cat "$dir/err"))"
}

says() { # says out|err WORDS
	grep -qF -- "$2" "$dir/$1" ||
		complain "no '$2' in: $(cat "$dir/$1")"
}

# ---- bytes, through files and through pipes ----

for kind in xl,libxl,v3,end libxl,v2,hvm libxl,v3,strange v2,hvm,end; do
	"$make_stream" "$kind" 4 1 >"$dir/in"
	for mode in off fast tight; do
		"$tool" --mode "$mode" pack "$dir/in" >"$dir/packed"
		"$tool" unpack "$dir/packed" | cmp - "$dir/in" ||
			complain "$kind, $mode: other bytes"
		# dd makes short reads.
		dd bs=10007 if="$dir/in" status=none |
			"$tool" pack --mode="$mode" |
			dd bs=40093 status=none | "$tool" unpack - |
			cmp - "$dir/in" || complain "$kind, $mode: pipes"
		rc_is 0 "$tool" verify "$dir/packed"
		says out ' good: '
	done
	rc_is 0 "$tool" verify "$dir/in"
	[ "$(wc -c <"$dir/packed")" -lt "$(wc -c <"$dir/in")" ] ||
		complain "$kind: packing is no gain"
done

# ---- a second opinion: xen's own verifier, where xen-utils is installed ----

# It reads no stream of Remus, and REMUS_XEN_LIB names its folder elsewhere.
for lib in "${REMUS_XEN_LIB:-}" /usr/lib/xen-*; do
	verifier=$lib/bin/verify-stream-v2
	[ -e "$verifier" ] || continue
	for kind in xl,libxl,v3,end libxl,v2,end v3,hvm,end; do
		"$make_stream" "$kind" 0 1 | "$tool" --mode=tight pack |
			"$tool" unpack >"$dir/unpacked"
		case $kind in
		xl*) format=xl ;;
		libxl*) format=libxl ;;
		*) format=libxc ;;
		esac
		PYTHONPATH=$lib/lib/python rc_is 0 python3 "$verifier" \
			--format "$format" --in "$dir/unpacked"
	done
	break
done

# ---- cut off: kept, and told ----

"$make_stream" libxl,v3 4 1 >"$dir/in"
head -c 400001 "$dir/in" >"$dir/cut"
rc_is 3 "$tool" pack "$dir/cut"
says err 'cut off at offset 400001'
mv "$dir/out" "$dir/packed"
rc_is 3 "$tool" unpack "$dir/packed"
cmp "$dir/out" "$dir/cut" || complain "the tail is not kept"
rc_is 3 "$tool" verify "$dir/cut"
rc_is 3 "$tool" verify "$dir/packed"
rc_is 3 "$tool" inspect "$dir/cut"
says out 'not all'
"$tool" pack "$dir/in" >"$dir/whole"
head -c 100000 "$dir/whole" >"$dir/packed"
rc_is 3 "$tool" unpack "$dir/packed"
says err 'the packed stream is cut off at offset'
cmp -n "$(wc -c <"$dir/out")" "$dir/out" "$dir/in" ||
	complain "of a cut packed stream other bytes"

# ---- malformed, missing, wrong ----

printf 'no stream at all' >"$dir/junk"
for command in inspect pack verify; do
	rc_is 1 "$tool" "$command" "$dir/junk"
	says err 'offset 0'
done
rc_is 1 "$tool" unpack "$dir/in"
says err 'not a packed stream'
rc_is 1 "$tool" pack "$dir/missing"
says err 'No such file'
"$tool" pack "$dir/in" >"$dir/packed"
rc_is 1 "$tool" --memory 64K unpack "$dir/packed"
says err '--memory'
rc_is 2 "$tool"
rc_is 2 "$tool" frobnicate
rc_is 2 "$tool" pack "$dir/in" "$dir/in"
rc_is 2 "$tool" --mode=best pack "$dir/in"
rc_is 2 "$tool" --memory=1 pack "$dir/in"
rc_is 2 "$tool" --json pack "$dir/in"
rc_is 2 "$tool" bench
rc_is 2 "$tool" bench -
rc_is 0 "$tool" --version
rc_is 0 "$tool" help
rc=0
{ "$tool" pack "$dir/in" 2>"$dir/err" || echo $? >"$dir/rc"; } | :
[ "$(cat "$dir/rc")" -eq 1 ] || complain "a closed pipe: exit $(cat "$dir/rc")"
says err 'cannot write'
if [ -e /dev/full ]; then
	rc=0
	"$tool" pack "$dir/in" >/dev/full 2>"$dir/err" || rc=$?
	[ "$rc" -eq 1 ] || complain "a full disk: exit $rc"
	says err 'cannot write'
fi

# ---- JSON ----

# json EXPRESSION: of $dir/out as `j`
json() {
	python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
assert eval(sys.argv[2]), sys.argv[2]' "$dir/out" "$1" ||
		complain "JSON: not $1"
}
if command -v python3 >/dev/null; then
	rc_is 0 "$tool" --json inspect "$dir/in"
	json 'len(j["epochs"]) == 4 and j["libxc_version"] == 3'
	json 'sum(e["bytes"] for e in j["epochs"]) == j["bytes"]'
	json 'j["bytes"] == j["whole_bytes"] and not j["cut_off"]'
	json 'j["libxc_records"]["CHECKPOINT"] == 4 and not j["ended"]'
	rc_is 3 "$tool" --json inspect "$dir/cut"
	json 'j["cut_off"] and j["whole_bytes"] < j["bytes"] == 400001'
	rc_is 1 "$tool" --json inspect "$dir/junk"
	json '"offset 0" in j["error"] and j["epochs"] == []'
	rc_is 0 "$tool" --json inspect "$dir/packed"
	json 'j["packed"] == "fast" and j["packed_bytes"] < j["bytes"]'
	rc_is 0 "$tool" --json bench "$dir/in" "$dir/cut"
	json 'len(j["files"]) == 2 and j["files"][1]["cut_off"]'
	json 'all(m["roundtrip"] for f in j["files"]
		for m in f["modes"].values())'
	json 'set(j["files"][0]["modes"]) == {"off", "fast", "tight"}'
	json 'j["files"][0]["epochs"] == 4 and j["files"][0]["pages"] > 0'
	json 'j["files"][0]["limit_gbs"] > 0'
	json 'j["files"][0]["modes"]["fast"]["ratio"] > 1'
	json '0 < j["files"][0]["modes"]["fast"]["encode_gbs"]'
	json '0 < j["files"][0]["modes"]["fast"]["decode_gbs"]'
	# What the first epoch has is the rest.
	json '0 < j["files"][0]["again"]["pages"] < j["files"][0]["pages"]'
	json '0 < j["files"][0]["again"]["bytes"] < j["files"][0]["bytes"]'
	json 'all(0 < f["again"]["modes"][m]["packed_bytes"] <
		f["modes"][m]["packed_bytes"] for f in j["files"]
		for m in f["modes"])'
	json 'all(m["ratio"] > 0 and m["encode_gbs"] > 0 and m["decode_gbs"] > 0
		for f in j["files"] for m in f["again"]["modes"].values())'
	json 'all(abs(f["again"]["bytes"] / m["packed_bytes"] - m["ratio"])
		< 1e-3 * m["ratio"]
		for f in j["files"] for m in f["again"]["modes"].values())'
	"$tool" --json inspect "$dir/in" >"$dir/inspected"
	json 'j["files"][0]["bytes"] - j["files"][0]["again"]["bytes"] == json.load(
		open("'"$dir/inspected"'"))["epochs"][1]["offset"]'
fi

# ---- SIGINT while the pipe is silent: the whole epochs are out ----

mkfifo "$dir/fifo"
# A shell's background process ignores SIGINT, the tool does not.
"$tool" pack - <"$dir/fifo" >"$dir/packed" 2>"$dir/err" &
pid=$!
exec 3>"$dir/fifo"
cat "$dir/in" >&3
deadline=$((SECONDS + 30))
# An epoch goes out when it is whole; the last one within the last bytes.
until [ "$("$tool" unpack "$dir/packed" 2>/dev/null | wc -c)" -ge \
	"$(wc -c <"$dir/in")" ]; do
	[ "$SECONDS" -lt "$deadline" ] || { complain "not flushed"; break; }
	read -rt 0.05 <> <(:) || :
done
kill -INT "$pid"
rc=0
wait "$pid" || rc=$?
exec 3>&-
[ "$rc" -eq 130 ] || complain "SIGINT: exit $rc"
says err 'interrupted'
rc_is 3 "$tool" unpack "$dir/packed"
cmp "$dir/out" "$dir/in" || complain "after SIGINT: other bytes"

exit "$failed"
