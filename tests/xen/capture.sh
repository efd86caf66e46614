# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# capture.sh - streams that a real Xen writes, and what is asked of each.
#
#   capture_remus HOST FILE [SECONDS]   what `xl remus` sends in so long, cut off
#                                       where it just was
#   capture_save HOST FILE              an `xl save` image; the guest lives on
#   capture_kind HOST KIND FILE         idle (its guest stays), save, redis (with
#                                       a client that writes), text (with one
#                                       that writes English) or memory
#   capture_check FILE                  remus-stream and Xen's own verifier, on
#                                       it, packed and unpacked, whole and torn
#
# Needs lib.sh and what that needs; REMUS_STREAM is the program.

CAPTURE_INTERVAL_MS=${CAPTURE_INTERVAL_MS:-500}

# The receiver is one line of greeting and a cable: a real one would only add a
# domain.  When it goes away, xl resumes the guest and ends, with an error.
capture_remus() {
	xen_listen "$2"
	xen_on "$1" bash -c '
		printf "%s\n" "#!/bin/bash" \
			"echo xl migration receiver ready, send binary domain data." \
			"exec timeout $2 cat >/dev/tcp/10.77.9.254/5001" \
			>/run/lab/receiver
		chmod 755 /run/lab/receiver
		xl remus -F -n -d -i "$3" -s "" "$1" /run/lab/receiver \
			>/var/tmp/capture.log 2>&1
		grep -q "resuming domain at" /var/tmp/capture.log ||
			{ cat /var/tmp/capture.log >&2; exit 1; }' \
		- "$XEN_VM" "${3:-20}" "$CAPTURE_INTERVAL_MS" </dev/null
	wait "$XEN_LISTEN"
}

capture_save() {
	xen_on "$1" xl save -c "$XEN_VM" /var/tmp/capture </dev/null
	xen_get "$1" /var/tmp/capture "$2"
	xen_on "$1" rm /var/tmp/capture </dev/null
}

# Pieces of 12 KB, about ten a second.
capture_text() {
	cat /usr/share/common-licenses/{GPL-2,GPL-3} |
		head -c 32000 >"$LAB_DIR/text"
	# shellcheck disable=SC2016 # expands there
	host_spawn client load bash -c '
		while :; do
			head -c $((12000 + RANDOM % 20000)) "$0" | tail -c 12000 |
				timeout 30 redis-cli -h "$1" -x \
					set "t$((RANDOM % 200))"
			sleep 0.1
		done' "$LAB_DIR/text" "$XEN_VM_IP"
}

capture_kind() {
	local host=$1 kind=$2 file=$3 load=
	[ "$kind" != memory ] || load=4000,16
	# A guest that does nothing serves for all that it is asked for.
	if [ -n "$load" ] || [ "$(xen_guests "$host")" != "$XEN_VM" ]; then
		XEN_LOAD=$load xen_create "$host"
	fi
	case $kind in
	redis) host_spawn client load redis-benchmark -h "$XEN_VM_IP" -c 4 \
		-d 64 -r 20000 -n 100000000 -t set -q ;;
	text) capture_text ;;
	esac
	case $kind in
	save) capture_save "$host" "$file" ;;
	*) capture_remus "$host" "$file" "${CAPTURE_SECONDS:-20}" ;;
	esac
	case $kind in
	redis | text) host_signal client load KILL ;;
	esac
	wait_until 30 xen_answers || die "the guest did not outlive it"
	[ "$kind" = idle ] || xen_destroy "$host"
}

# One fact of what `inspect` says.
capture_fact() {
	{ "$REMUS_STREAM" --json inspect "$1" 2>/dev/null || :; } | jq -r "$2"
}

# rc_is CODE CMD...: it ends with that code, neither better nor worse.
rc_is() {
	local want=$1 rc=0
	shift
	"$@" || rc=$?
	[ "$rc" -eq "$want" ] || {
		echo "exit $rc instead of $want: $*"
		return 1
	}
}

capture_judge() { PYTHONPATH=$XEN_PYTHON "$XEN_DIR/verify-stream" "$1"; }

# What comes back is the same bytes; and if a judge that knows nothing of
# packing has the same to say of both, so has it.
capture_round() {
	local file=$1 rc=$2 mode
	for mode in off fast tight; do
		rc_is "$rc" "$REMUS_STREAM" --mode="$mode" pack "$file" \
			>"$file.packed"
		rc_is "$rc" "$REMUS_STREAM" unpack "$file.packed" \
			>"$file.unpacked"
		cmp "$file" "$file.unpacked"
		rc_is "$rc" "$REMUS_STREAM" verify "$file.packed"
		printf '%s, %s: %d of %d bytes\n' "${file##*/}" "$mode" \
			"$(stat -c %s "$file.packed")" "$(stat -c %s "$file")"
	done
	rc_is "$rc" capture_judge "$file.unpacked"
	rm "$file.packed" "$file.unpacked"
}

capture_check() {
	local file=$1 rc=0 bytes epochs judged
	"$REMUS_STREAM" inspect "$file" || rc=$?
	[ "$rc" -eq 0 ] || [ "$rc" -eq 3 ]
	capture_round "$file" "$rc"
	epochs=$(capture_fact "$file" '.epochs | length')
	judged=$(capture_judge "$file" || :)
	echo "$epochs epochs; xen's verifier: $judged"
	# CHECKPOINT itself may be there, and what libxl has behind it cut off.
	[ "$(capture_fact "$file" '.libxl_records.CHECKPOINT_END // 0')" = \
		"${judged%% *}" ]

	# Torn in the middle of the last whole epoch: all before it is kept.
	bytes=$(capture_fact "$file" \
		'.epochs[-1] | .offset + (.bytes / 2 | floor)')
	head -c "$bytes" "$file" >"$file.torn"
	capture_round "$file.torn" 3
	[ "$(capture_fact "$file.torn" .bytes)" -eq "$bytes" ]
	[ "$(capture_fact "$file.torn" .whole_bytes)" -lt "$bytes" ]
	[ "$(capture_fact "$file.torn" '.epochs | length')" -eq $((epochs - 1)) ]
	rm "$file.torn"
}
