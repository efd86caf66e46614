# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2153,SC2154 # set by scenarios
#
# scenario_watch.sh - what is seen of a scenario: by the client, and by the ears
# of tests/cluster/watch.sh.
#
#   client_lab       once
#   client_begin     client and ears of one scenario
#   watch_faults     after the faults; sets T1, when it stopped
#   client_end       the client's verdict
#   seen_json        all of it

client_lab() {
	WATCH_DIR=$LAB_DIR/watch
	mkdir "$WATCH_DIR"
	"${CC:-gcc}" -std=c11 -D_GNU_SOURCE -O2 -o "$LAB_DIR/ackclient" \
		"$lib/ackclient.c"
	# A client's repeat timer doubles each time: without a bound, the end of
	# a blackout would be seen up to as late again as it lasted.
	RTO_MAX_MS=0
	! host_exec client sysctl -q -w net.ipv4.tcp_rto_max_ms=1000 \
		2>/dev/null || RTO_MAX_MS=1000
}

client_begin() {
	ANSWERS=$LAB_DIR/answers CLIENT_JSON=$LAB_DIR/client.json
	rm -f "$ANSWERS" "$CLIENT_JSON" "$LAB_DIR"/client-s*.log
	watch_ears vm1
	TAG=s$n.$RANDOM
	host_spawn client "$TAG" "$LAB_DIR/ackclient" --host "${VM_ADDR[vm1]}" \
		--rate 50 --quiet --tag "$TAG" --stall-limit 40 --reconnect \
		--answers "$ANSWERS" --json "$CLIENT_JSON"
	on_exit watch_kill "$TAG"
	wait_for 20 "the client's first answers" answers_began
}

answers_began() { [ "$(wc -l <"$ANSWERS")" -gt 40 ]; }

# Was there an answer in the last 1.5 s?
answering() {
	local last
	last=$(tail -n 1 "$ANSWERS")
	[ $(($(now_ms) - ${last%.*})) -lt 1500 ]
}

watch_faults() {
	local last truth
	read -r last truth < <(jq -r '"\(.last_ms) \(.truth)"' <<<"$DRAW")
	sleep_until $((T0 + last + WATCH_S * 1000))
	while [ "$truth" != any ] && ! answering &&
		[ "$(now_ms)" -lt $((T0 + last + (LIMIT_S + 1) * 1000)) ]; do
		sleep 0.2
	done
	T1=$(now_ms)
	say "watched for $((T1 - T0)) ms"
}

client_end() {
	host_signal client "$TAG" TERM 2>/dev/null || :
	wait_for 45 "verdict of the client" not host_alive client "$TAG" || :
	say "client: $(tail -n 1 "$LAB_DIR/client-$TAG.log")"
}

# CLOCK HOST of every frame of the guest, in order.
frames() {
	local node
	for node in "${NODES[@]}"; do
		tcpdump -n -tt -r "$WATCH_DIR/vm1.$node.pcap" 2>/dev/null |
			sed "s/ .*/ $node/"
	done | sort -n
}

# The longest silence, from the last answer before the faults on, and whether
# it lasted until the end; then whose frames were heard while it was watched.
seen_json() {
	local client
	client=$(jq -c . "$CLIENT_JSON" 2>/dev/null) || client=null
	{
		awk -v t0="$T0" -v t1="$T1" '
			$1 <= t0 { last = $1; next }
			$1 <= t1 { if ($1 - last > gap) gap = $1 - last
				last = $1 }
			END { open = t1 - last > 1500
				if (t1 - last > gap) gap = t1 - last
				printf "{\"gap_ms\": %.0f, \"silent\": %s}\n",
					gap, open ? "true" : "false" }' "$ANSWERS"
		frames | awk -v t1="$T1" -v p="$P" '
			$1 * 1000 > t1 { next }
			{ all++ }
			$2 != was { if (hops++ < 12) heard = heard " " $2
				was = $2 }
			$2 != p { if (!first) first = $1; theirs++ }
			$2 == p && first { back++; overlap = $1 - first }
			END { printf "{\"frames\": %d, \"moved\": %s, " \
				"\"frames_theirs\": %d, \"frames_back\": %d, " \
				"\"overlap_ms\": %.0f, \"heard\": \"%s\"}\n",
				all, first ? "true" : "false", theirs, back,
				overlap * 1000, substr(heard, 2) }'
		jq -nc --argjson client "${client:-null}" \
			--argjson rto "$RTO_MAX_MS" \
			'{rto_max_ms: $rto, verified: ($client != null and
				($client.error | not))} + if $client then
			($client | {acked, lost, duplicated, reconnects})
			else {} end'
	} | jq -s add
}
