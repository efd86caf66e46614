# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scale - what many protected machines on one node cost, each, and where it ends.

scale_name() { printf 's%03d' "$1"; }

# scale_define DRIVER COUNT INTERVAL: all of them on alpha, their backups on beta
scale_define() {
	local dir n name
	dir=$(host_dir alpha etc)
	(umask 077; head -c 32 /dev/urandom >"$dir/scale.key")
	for ((n = 1; n <= $2; n++)); do
		name=$(scale_name "$n")
		{
			cat <<-END
			name     = $name
			interval = $3
			node     = alpha 10.77.1.1:$((7100 + n))
			node     = beta  10.77.1.2:$((7100 + n))
			key_file = /etc/remus/scale.key
			END
			if [ "$1" = fake ]; then
				printf '%s\n' "driver = fake" "memory = 2M"
			else
				cat <<-END
				memory   = 128M
				kernel   = $GUEST_KERNEL
				initrd   = $GUEST_INITRD
				append   = $(guest_append "10.77.2.$((10 + n))/24" "$CLIENT_IP")
				tap      = ${name}t
				bridge   = br0
				END
			fi
		} >"$dir/$name.conf"
	done
	cp -p "$dir"/s[0-9]*.conf "$dir/scale.key" "$(host_dir beta etc)/"
}

# scale_do HOST SCRIPT: once for each machine, its name in $n
scale_do() {
	# shellcheck disable=SC2016 # expands in the host
	host_exec "$1" bash -c 'cd /etc/remus && for n in s[0-9]*.conf; do
		n=${n%.conf}
		eval "$0" || exit 1
	done' "$2"
}

scale_statuses() { scale_do alpha "remusctl status \$n --json" | jq -cs .; }
scale_all_are() {
	scale_statuses | jq -e --arg s "$1" 'all(.state == $s)' >/dev/null
}
scale_ready() {
	scale_do alpha "remusctl start \$n 2>/dev/null ||
		remusctl status \$n --json | grep -q '\"role\": *\"primary\"'"
}

scale_up() {
	local h
	for h in alpha beta; do
		scale_do "$h" "remusd \$n" || give_up "remusd on $h"
	done
	wait_until 60 scale_ready || give_up "they do not start"
	scale_do alpha "remusctl protect \$n >/dev/null" || give_up "protect"
	wait_until 300 scale_all_are protected ||
		give_up "not all of them are protected"
}

# shellcheck disable=SC2016 # expands in the host
scale_left() { host_exec "$1" bash -c '! pgrep -x remusd >/dev/null'; }
scale_down() {
	local h
	for h in beta alpha; do
		# In the host there are no others.
		host_exec "$h" bash -c 'kill $(pgrep -x remusd)'
		wait_until 60 scale_left "$h" || give_up "they do not end on $h"
		find "$(host_dir "$h" lib)" "$(host_dir "$h" etc)" \
			-mindepth 1 -delete
	done
}

# scale_used HOST: seconds of processor that its remusd have had, MB of their own
# memory, and MB of their emulators'.
scale_used() {
	# shellcheck disable=SC2016 # expands in the host
	host_exec "$1" bash -c '
		anon() { sed -n "s/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p" \
			$(pgrep "$@" | sed "s|.*|/proc/&/status|") /dev/null |
			awk "{ s += \$1 } END { print s / 1024 }"; }
		cat $(pgrep -x remusd | sed "s|.*|/proc/&/stat|") |
			sed "s/.*) //" | awk -v hz="$(getconf CLK_TCK)" \
			"{ s += \$12 + \$13 } END { printf \"%.2f \", s / hz }"
		echo "$(anon -x remusd) $(anon qemu-system)"'
}

# scale_cell DRIVER COUNT INTERVAL_MS SECONDS
scale_cell() {
	local a b before ended at=()
	step "$2 x $1, interval $3 ms"
	scale_define "$1" "$2" "$3"
	scale_up
	sleep 3
	# To ask takes time: each question has its own.
	at+=("$(now_ms)")
	before="$(scale_used alpha) $(scale_used beta)"
	at+=("$(now_ms)")
	a=$(scale_statuses)
	sleep "$4"
	at+=("$(now_ms)")
	ended="$(scale_used alpha) $(scale_used beta)"
	at+=("$(now_ms)")
	b=$(scale_statuses)
	scale_all_are protected || give_up "one is no longer protected"
	scale_down
	mapfile -t CELL < <(jq -nr --argjson a "$a" --argjson b "$b" \
		--arg before "$before" --arg ended "$ended" \
		--arg driver "$1" --arg ms "$3" \
		--argjson s "$((at[3] - at[1]))" \
		--argjson c "$((at[2] - at[0]))" \
		--arg load "$(cut -d ' ' -f 1 /proc/loadavg)" '
		def median: sort | .[length / 2 | floor];
		[$before, $ended | split(" ") | map(tonumber)] as [$x, $y] |
		($b | length) as $n | ((([$b[].epochs] | add) -
			([$a[].epochs] | add)) / $s * 1000) as $epochs |
		(($y[0] - $x[0]) / $c * 1000) as $cpu |
		(($y[3] - $x[3]) / $c * 1000) as $bcpu |
		{driver: $driver, vms: $n, interval: $ms,
		epochs: ($epochs / $n),
		dirty: ([$b[].dirty_pages.p50] | median),
		pause: ([$b[].pause_us.p50] | median / 1000),
		ack: ([$b[].ack_us.p50] | median / 1000),
		cpu: ($cpu * 100), bcpu: ($bcpu * 100),
		us: ($cpu / $epochs * 1e6), bus: ($bcpu / $epochs * 1e6),
		mb: ($y[1] / $n), bmb: ($y[4] / $n),
		emulator: (if $driver == "qemu" then $y[5] / $n else "" end),
		load: $load} | to_entries[] | "\(.key)=\(.value)"')
	row "${CELL[@]}"
}

table_scale() {
	local seconds=15 n ms fakes=(1 10 50 100) qemus=(1 2 4) ims=(25 200)
	if [ "$QUICK" = true ]; then
		seconds=5 fakes=(1 5) qemus=(1) ims=(200)
	fi
	table scale "Many protected machines on one node" "driver|driver|-" \
		"vms|machines|0" "interval|interval ms|0" "epochs|epochs/s|1" \
		"dirty|pages|0" "pause|pause p50 ms|1" "ack|ack p50 ms|1" \
		"cpu|CPU %|1" "bcpu|backup|1" "us|us/checkpoint|0" \
		"bus|backup|0" "mb|MB each|1" "bmb|backup|1" \
		"emulator|its QEMU|1" "load|load|1"
	lab_once
	for ms in "${ims[@]}"; do
		for n in "${fakes[@]}"; do
			scale_cell fake "$n" "$ms" "$seconds"
		done
	done
	for n in "${qemus[@]}"; do
		scale_cell qemu "$n" "${ims[-1]}" "$seconds"
	done
	note "epochs/s: of each machine. CPU %: of one processor, by all remusd of" \
		"the node together, and by those of the backups' node; us: of it" \
		"for each checkpoint. MB each: private memory of a remusd, the old" \
		"pages among it (at most 64 MB), and with fake the guest; its" \
		"QEMU: of a standby, without the guest's memory. pause, ack," \
		"pages: the median machine's. Guests of the driver fake have 2 MB" \
		"and write 64 pages an interval, those of QEMU have 128 MB and" \
		"are idle. Both nodes and all guests share this machine."
	load_note
	plot '{kind: "lines", x: "vms", xlabel: "machines on the node", xlog: true,
		panels: ['"$(IFS=,; echo "${ims[*]}")"' | . as $ms |
		{title: "Checkpoints a second of each, interval \(.) ms",
		ylabel: "1/s", where: {driver: "fake", interval: .},
		y: [{key: "epochs", label: "epochs"}],
		limits: [{at: (1000 / .), label: "asked for"}]},
		{title: "Processor, interval \(.) ms", ylabel: "% of one",
		where: {driver: "fake", interval: .},
		y: [{key: "cpu", label: "primaries"}, {key: "bcpu",
		label: "backups"}]}, {title: "Memory of a remusd", ylabel: "MB",
		where: {driver: "fake", interval: .}, y: [{key: "mb",
		label: "primary"}, {key: "bmb", label: "backup"}]}]}'
	table_end
}
