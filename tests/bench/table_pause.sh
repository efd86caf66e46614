# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pause - how long the guest stands still, beside the least that QEMU makes
# possible: the same guest in a plain QEMU, checkpointed by bench_qmp.

PAUSE_INTERVAL_MS=25

# The same command line, but for what remusd would have given it open: control
# connection, RAM file, network.
plain_words() {
	sed -e 's|^socket,id=qmp,fd=.*|socket,id=qmp,path=/run/plain.qmp,server=on,wait=off|' \
		-e 's|mem-path=/proc/self/fd/[0-9]*|mem-path=/dev/shm/plain.ram|' \
		-e 's|^dgram,id=net0,.*|tap,id=net0,ifname=plain0,script=no,downscript=no|' \
		-e '/^-S$/d' "$1"
}

plain_ended() { ! host_alive alpha plain; }
plain_is_there() { host_exec alpha test -S /run/plain.qmp; }

# plain_begin WORDS_FILE
plain_begin() {
	local words
	mapfile -t words < <(plain_words "$1")
	host_exec alpha ip tuntap add dev plain0 mode tap
	host_exec alpha ip link set plain0 master br0 up
	host_spawn alpha plain "${words[@]}"
	wait_until 20 plain_is_there || give_up "the plain QEMU does not" \
		"start: $(cat "$LAB_DIR/alpha-plain.log")"
	wait_until 90 vm_answers || give_up "no answer from the plain guest"
	sleep 1
}

plain_end() {
	host_signal alpha plain TERM || :
	wait_until 20 plain_ended || give_up "the plain QEMU does not end"
	host_exec alpha rm -f /run/plain.qmp /dev/shm/plain.ram \
		/dev/shm/plain.state
	host_exec alpha ip link del plain0
}

# pause_cell MEGABYTES LOAD COUNT
pause_cell() {
	local mb=$1 load=$2 count=$3 ours ref words rate=""
	words=$OUT/pause.words
	step "$mb MB, $load: protected"
	pair_up "$mb" "$([ "$load" != memload ] || echo 20000,16)" \
		"interval = $PAUSE_INTERVAL_MS"
	qemu_words alpha >"$words"
	protect
	[ "$load" != "redis 2000/s" ] || load_begin 2000
	wait_epochs "$count"
	ours=$(host_exec alpha remusctl status "$VM" --json)
	[ "$load" != "redis 2000/s" ] || rate=$(load_end)
	[ "$load" = idle ] || [ "$(jq .dirty_pages.p50 <<<"$ours")" -gt 20 ] ||
		give_up "$mb MB, $load: there is no load"
	pair_down

	step "$mb MB, $load: plain QEMU"
	plain_begin "$words"
	rm -f "$words"
	[ "$load" != "redis 2000/s" ] || load_begin 2000
	ref=$(host_exec alpha "$BENCH_BIN/bench_qmp" /run/plain.qmp \
		/dev/shm/plain.ram /dev/shm/plain.state "$PAUSE_INTERVAL_MS" \
		"$count" "$(jq .dirty_pages.p50 <<<"$ours")")
	[ "$load" != "redis 2000/s" ] || rate="$rate/$(load_end)"
	plain_end
	row mb="$mb" load="$load" rate="$rate" \
		dirty="$(jq .dirty_pages.p50 <<<"$ours")" \
		p50="$(jq .pause_us.p50 <<<"$ours")" \
		p99="$(jq .pause_us.p99 <<<"$ours")" \
		ref50="$(jq .pause.p50 <<<"$ref")" \
		ref99="$(jq .pause.p99 <<<"$ref")" \
		parts="$(jq -r '[.stop, .save, .copy, .cont | .p50] |
			join("+")' <<<"$ref")" \
		ratio="$(jq -n --argjson a "$ours" --argjson b "$ref" \
			'$a.pause_us.p50 / $b.pause.p50')"
}

table_pause() {
	local mb load sizes=(128 256 512) count=1024
	if [ "$QUICK" = true ]; then
		sizes=(128) count=100
	fi
	table pause "Guest pause at $PAUSE_INTERVAL_MS ms, microseconds" \
		"mb|MB|0" "load|load|-" "dirty|pages|0" "p50|p50|0" \
		"p99|p99|0" "ref50|QEMU p50|0" "ref99|p99|0" \
		"parts|stop+save+copy+cont|-" "ratio|p50/p50|2"
	for mb in "${sizes[@]}"; do
		for load in idle "redis 2000/s" memload; do
			pause_cell "$mb" "$load" "$count"
		done
	done
	note "QEMU: a plain QEMU with the same guest and load, QMP stop," \
		"xen-save-devices-state, memcpy of as many pages (the median)," \
		"cont. Checkpoints measured, each: $count."
	plot '{kind: "bars", x: "load", panels: ['"$(tr " " , <<<"${sizes[*]}")"'
		| {title: "\(.) MB",
		ylabel: "pause, us", where: {mb: .}, upper_label: "p99",
		y: [{key: "p50", label: "remusd", upper: "p99"},
		{key: "ref50", label: "the least: QEMU", upper: "ref99"}]}]}'
	table_end
}
