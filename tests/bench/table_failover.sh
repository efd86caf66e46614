# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# failover - 1,000 simulated ones under random crash points, and real ones.

table_failover_sim() {
	local n=1000 out began ms w words
	[ "$QUICK" = false ] || n=50
	table sim "Simulated failovers under random crash points" \
		"schedules|schedules|0" "failovers|failovers|0" \
		"crashes|crashes|0" "epochs|epochs|0" "frames|frames|0" \
		"violations|lost, torn or doubled|0" "seconds|seconds|1"
	if [ ! -x "$BENCH_BIN/failover_sim" ]; then
		note "tests/sim/failover_sim was not built."
		table_end
		return 0
	fi
	step "$n schedules"
	out=$OUT/sim.out
	began=$(now_ms)
	"$BENCH_BIN/failover_sim" --schedules "$n" --failovers "$n" \
		>"$out" 2>&1 || give_up "the simulation: $(tail -n 3 "$out")"
	ms=$(($(now_ms) - began))
	read -ra words < <(grep -o 'schedules=.*' "$out" | tail -n 1)
	for w in "${!words[@]}"; do
		[[ ${words[w]} == *=* ]] || unset "words[w]"
	done
	# it ends with another exit code at the first violation
	row violations=0 "${words[@]}" seconds="$(calc ms/1000 ms=$ms)"
	rm -f "$out"
	table_end
}

# failover_cell N: a host dies under the counting client.
failover_cell() {
	local client began activated seconds=8
	step "real failover $1"
	pair_up 128 ""
	protect
	wait_epochs 40
	host_exec client "$BENCH_BIN/ackclient" --host "$VM_IP" \
		--seconds "$seconds" --quiet --json "$LAB_DIR/client.json" \
		>"$LAB_DIR/client.out" &
	client=$!
	sleep 3
	host_kill alpha
	began=$(now_ms)
	host_exec beta remusctl activate "$VM" --peer-is-dead >/dev/null ||
		give_up "activate fails"
	activated=$(($(now_ms) - began))
	wait "$client" || give_up "client: $(tail -n 1 "$LAB_DIR/client.out")"
	row n="$1" activate="$activated" \
		blackout="$(jq .blackout_ms "$LAB_DIR/client.json")" \
		acked="$(jq .acked "$LAB_DIR/client.json")" \
		lost="$(jq .lost "$LAB_DIR/client.json")" \
		duplicated="$(jq .duplicated "$LAB_DIR/client.json")" \
		reconnects="$(jq .reconnects "$LAB_DIR/client.json")"
	host_start alpha 10.77.1.1 -
	pair_down
}

table_failover() {
	local i n=5
	[ "$QUICK" = false ] || n=1
	table_failover_sim
	table failover "Real failovers: all of the primary host dies at once" \
		"n|run|0" "activate|activate ms|0" "blackout|blackout ms|0" \
		"acked|acknowledged|0" "lost|lost|0" "duplicated|doubled|0" \
		"reconnects|reconnects|0"
	for ((i = 1; i <= n; i++)); do
		failover_cell "$i"
	done
	note "activate: remusctl activate, beginning when the host is dead." \
		"blackout: longest silence that the client saw on its one" \
		"connection."
	table_end
}
