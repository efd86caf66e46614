# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# xen - a PV guest of Xen, checkpointed by `xl remus` and by remusd: the same two
# hosts, load and interval, the same counters.  xl remus is given what is best
# for it: no network buffering, no compression, a plain TCP connection.

XEN_INTERVAL_MS=500

# in_xen CMD ARG...: as in_cluster, with the hosts of tests/xen.
in_xen() {
	local log=$OUT/$TABLE.log
	CELLS=$OUT/$TABLE.cells
	packages_need xen
	set +e
	(
		set -e
		cluster_process
		. "$TESTS_DIR/lib/witness.sh"
		. "$TESTS_DIR/xen/image.sh"
		. "$TESTS_DIR/e2e/lib.sh"
		. "$TESTS_DIR/xen/lib.sh"
		. "$TESTS_DIR/xen/capture.sh"
		. "$TESTS_DIR/xen/pair.sh"
		# shellcheck disable=SC2034 # for lib.sh
		XEN_ROOT=$PRODUCT_ROOT
		xen_lab
		"$@"
	) 3>"$CELLS" >"$log" 2>&1
	process_ended $? "$log"
}

# ---- loads ----

# Nothing, redis in the guest, pieces of English put into it, or memory that the
# guest itself writes (with XEN_LOAD).
xen_load_begin() {
	case $1 in
	idle | memory) ;;
	redis) host_spawn client load "$BENCH_BIN/bench_load" "$XEN_VM_IP" \
		6379 400 2000 64 ;;
	text) capture_text ;;
	esac
}

xen_load_end() {
	case $1 in
	redis | text) host_signal client load KILL ;;
	esac
}

# ---- what is counted ----

xen_watch_begin() {
	xen_put alpha "$LAB_DIR/pausewatch" /run/lab/pausewatch
	host_spawn alpha pauses /run/lab/pausewatch \
		"$(xen_on alpha xl domid "$XEN_VM" </dev/null)"
}

xen_pauses() { xen_on alpha cat /var/log/lab-pauses.log </dev/null; }
xen_has_pauses() { [ "$(xen_pauses | wc -l)" -ge "$1" ]; }

# All that left alpha on the replication cable, headers of Ethernet too.
xen_bytes() {
	ip netns exec "$LAB_SWITCH" cat /sys/class/net/r-alpha/statistics/rx_bytes
}

# xen_measure WAY LOAD MBIT SECONDS
xen_measure() {
	local a n bytes
	# The first copy, and what it brought up, are over.
	n=$(xen_pauses | wc -l)
	wait_until 60 xen_has_pauses $((n + 4)) || die "$1: no checkpoints"
	a=$(xen_bytes)
	n=$(xen_pauses | wc -l)
	sleep "$4"
	bytes=$(($(xen_bytes) - a))
	xen_pauses | tail -n "+$((n + 1))" >"$LAB_DIR/pauses"
	n=$(wc -l <"$LAB_DIR/pauses")
	[ "$n" -gt 4 ] || die "$1: $n checkpoints in $4 s"
	cell way="$1" load="$2" link="$3" epochs="$n" \
		kb="$(calc "b / n / 1000" b="$bytes" n="$n")" \
		p50="$(xen_quantile 0.5)" p99="$(xen_quantile 0.99)"
}

xen_quantile() { # milliseconds
	cut -d ' ' -f 2 "$LAB_DIR/pauses" | sort -n |
		awk -v q="$1" '{ v[NR] = $1 }
			END { printf "%.0f\n", v[int(q * (NR - 1)) + 1] / 1000 }'
}

# Both ways out, where the hosts' cards are plugged in.
xen_throttle() {
	local h
	for h in alpha beta; do
		tc -n "$LAB_SWITCH" qdisc del dev "r-$h" root 2>/dev/null || :
		[ "$1" = - ] || tc -n "$LAB_SWITCH" qdisc add dev "r-$h" root \
			tbf rate "$1mbit" burst 64kb latency 50ms
	done
}

# ---- the two ways ----

xen_way_xl() { # LOAD MBIT SECONDS
	xen_create alpha
	# xl's receiver, and its greeting, on the end of a plain connection.
	host_spawn beta receiver busybox nc -l -p 5002 -e \
		/usr/sbin/xl migrate-receive -r
	xen_on alpha sh -c 'cat >/run/lab/to-beta && chmod 755 /run/lab/to-beta' \
		<<-'END'
	#!/bin/bash
	exec 3<>/dev/tcp/10.77.1.2/5002
	cat <&3 &
	exec cat >&3
	END
	xen_watch_begin
	xen_load_begin "$1"
	host_spawn alpha xlremus xl remus -F -n -d -i "$XEN_INTERVAL_MS" -s "" \
		"$XEN_VM" /run/lab/to-beta
	xen_measure "xl remus" "$@"
	xen_load_end "$1"
	# No receiver first: when it hears nothing more it starts a twin.
	host_signal beta receiver KILL </dev/null || :
	host_signal alpha xlremus KILL </dev/null || : # ends by that
}

xen_way_ours() {
	pair_start # an interval of as much
	xen_watch_begin
	xen_load_begin "$1"
	xen_measure "remusd" "$@"
	xen_load_end "$1"
	host_signal alpha pauses TERM </dev/null
	must beta stop "$VM"
	must alpha stop "$VM"
}

# xen_cell WAY LOAD MBIT SECONDS
xen_cell() (
	cleanups_begin
	printf '\n== %s\n' "$*"
	hosts alpha beta
	[ "$2" != memory ] || export XEN_LOAD=4000,16
	xen_throttle "$3"
	"xen_way_$1" "${@:2}"
	xen_throttle -
)

xen_cells() { # SECONDS LOAD MBIT...
	local seconds=$1
	shift
	"${CC:-gcc}" -std=gnu11 -O2 -o "$LAB_DIR/pausewatch" \
		"$TESTS_DIR/xen/pausewatch.c" -lxenctrl
	while [ $# -gt 0 ]; do
		xen_cell xl "$1" "$2" "$seconds"
		xen_cell ours "$1" "$2" "$seconds"
		shift 2
	done
}

table_xen() {
	local seconds=40
	local cells=(idle - redis - text - memory -
		memory 100)
	[ "$QUICK" = false ] || seconds=10 cells=(idle -)
	table xen "Xen (emulated): a PV guest, by xl remus and by remusd" \
		"way|by|-" "load|guest|-" "link|Mbit/s|-" \
		"epochs|checkpoints|0" "kb|kB each|1" "share|xl's/ours|1" \
		"p50|pause p50 ms|0" "p99|p99|0"
	step "two hosts"
	in_xen xen_cells "$seconds" "${cells[@]}"
	xen_shares
	rows_of_cells
	note "128 MB PV guest, a checkpoint every $XEN_INTERVAL_MS ms, of" \
		"$seconds s each; memory: it writes 4,000 pages a second in 16 MB." \
		"kB: all that left the primary on the" \
		"replication cable, by the switch. Pause: how long the domain" \
		"was suspended, seen from dom0 every ms; under emulation the" \
		"guest's own part of it is far longer than on hardware."
	table_end
}

# What xl remus sends of the same, by what this sends.
xen_shares() {
	awk -F '\t' -v OFS='\t' '{
		for (i = 1; i <= NF; i++)
			if ($i ~ /^kb=/) kb = substr($i, 4)
		if (NR % 2) { first = kb; print $0 "share=" }
		else print $0 "share=" first / kb
	}' "$CELLS" >"$CELLS.shares"
	mv "$CELLS.shares" "$CELLS"
}
