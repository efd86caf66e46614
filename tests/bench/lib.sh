# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - what the tables share, on top of tests/lib.
#
#   table NAME TITLE COLUMN...   begin a table; a column is KEY|HEADING|DIGITS,
#                                DIGITS of a number behind the point, or - for
#                                text
#   row KEY=VALUE...             a line of it; a number where it looks like one
#   note TEXT                    a line below it
#   load_note                    ... that says what else the machine was doing
#   plot SPEC                    how `plot` is to draw it, in jq's notation
#   table_end                    write $OUT/NAME.json, and NAME.svg if there is
#                                a plot of it, and print it
#   step TEXT                    what is being done, on a terminal only
#
#   pair_up MB LOAD [KEY=VALUE...]   a guest of MB megabytes on alpha, alone,
#                                with beta ready; LOAD is memload's, or ""
#   protect                      ... and protected
#   pair_down                    everything of it ended
#   status_of HOST PATH          a value of `remusctl status --json`; must be
#   capture_files DIR PAGES      captures of a guest of each kind, as
#                                CAPTURES=(DIR/NAME.cap...); when quick only two,
#                                of PAGES pages
#   load_begin RATE, load_end    bench_load against the guest; load_mark: what
#                                was before does not count

if [ -t 2 ]; then
	step() { printf '\r\e[K%s: %s' "${TABLE:-bench}" "$*" >&2; }
	step_end() { printf '\r\e[K' >&2; }
else
	step() { :; }
	step_end() { :; }
fi

# ---- tables ----

TABLE=
table() {
	TABLE=$1
	ROWS=$OUT/$1.rows NOTES=$OUT/$1.notes
	TITLE=$2
	shift 2
	COLUMNS_JSON=$(printf '%s\n' "$@" | jq -R 'split("|") | {key: .[0],
		head: .[1], digits: (if .[2] == "-" then null
			else .[2] | tonumber end)}' | jq -cs .)
	: >"$ROWS"
	: >"$NOTES"
	PLOT_JSON=null
	LOAD_BEFORE=$(cut -d ' ' -f 1 /proc/loadavg)
}

row() {
	printf '%s\n' "$@" | jq -R 'capture("^(?<k>[^=]*)=(?<v>.*)$") | {key: .k,
		value: (if .v == "" then null else .v as $v |
			try ($v | tonumber) catch $v end)}' |
		jq -cs from_entries >>"$ROWS"
	step_end
}

note() { printf '%s\n' "$*" >>"$NOTES"; }

plot() { PLOT_JSON=$(jq -nc "$1"); }

load_note() { note "The machine's load average before it: $LOAD_BEFORE."; }

table_end() {
	jq -s --arg table "$TABLE" --arg title "$TITLE" \
		--argjson columns "$COLUMNS_JSON" --argjson quick "$QUICK" \
		--rawfile notes "$NOTES" --argjson machine "$(machine_json)" \
		--argjson plot "$PLOT_JSON" \
		'{table: $table, title: $title, quick: $quick,
		machine: $machine, columns: $columns, rows: ., plot: $plot,
		notes: ($notes | split("\n") | map(select(. != "")))}' \
		"$ROWS" >"$OUT/$TABLE.json"
	rm -f "$ROWS" "$NOTES"
	step_end
	"$BENCH_DIR/plot" "$OUT/$TABLE.json"
	"$BENCH_DIR/show" "$OUT/$TABLE.json"
	echo
	TABLE=
}

machine_json() {
	jq -n --arg date "$(date -u +%F)" --arg kernel "$(uname -r)" \
		--arg cpu "$(sed -n 's/^model name.*: //p' /proc/cpuinfo |
			head -n 1)" --arg cpus "$(nproc)" \
		--arg load "${BENCH_LOAD:-$(cut -d ' ' -f 1 /proc/loadavg)}" \
		--arg before "$LOAD_BEFORE" \
		--arg qemu "$(qemu-system-x86_64 --version 2>/dev/null |
			sed -n '1s/.*version \([0-9.]*\).*/\1/p')" \
		--arg accel "${BENCH_ACCEL:-}" \
		'{date: $date, kernel: $kernel, cpu: $cpu,
		cpus: ($cpus | tonumber), load: ($load | fromjson), load_before: ($before | tonumber),
		qemu: $qemu, accel: $accel}'
}

# calc EXPRESSION [NAME=VALUE...]: one number, by awk.
calc() {
	local expression=$1 v=() a
	shift
	for a in "$@"; do v+=(-v "$a"); done
	awk "${v[@]}" "BEGIN { printf \"%.6g\\n\", $expression }"
}

# ---- what is measured ----

bench_build() {
	local cache tmp lock
	cache=$(cache_dir)
	exec {lock}>"$cache/bench.lock"
	flock "$lock"
	BUILD=$cache/bench-$({ product_digest
		find "$TESTS_DIR/bench" "$TESTS_DIR/sim" -name '*.[ch]' \
			-exec sha256sum {} + | sort; } |
		sha256sum | cut -c 1-16)
	if [ ! -d "$BUILD" ]; then
		step "building"
		find "$cache" -maxdepth 1 -name 'bench-*' -mtime +2 \
			-exec rm -rf {} +
		rm -rf "$cache"/benchtmp.*
		tmp=$(mktemp -d "$cache/benchtmp.XXXXXX")
		bench_make "$tmp" </dev/null >"$cache/bench.log" 2>&1 || {
			rm -rf "$tmp"
			tail -n 30 "$cache/bench.log" >&2
			die "it does not build"
		}
		mv -T "$tmp" "$BUILD"
	fi
	exec {lock}>&-
	export PRODUCT_ROOT=$BUILD/root BENCH_BIN=$BUILD/bin
}

# Chained by hand: set -e does not work inside a condition.
bench_make() (
	build_copy "$1/src" && mkdir "$1/build" "$1/bin" && cd "$1/build" &&
		../src/configure --prefix=/usr --sysconfdir=/etc \
			--localstatedir=/var --without-systemdsystemunitdir &&
		make -j"$(nproc)" && make -j"$(nproc)" bench &&
		make install DESTDIR="$1/root" &&
		cp tests/bench/bench_cache tests/bench/bench_capture \
			tests/bench/bench_codec tests/bench/bench_copy \
			tests/bench/bench_encode tests/bench/bench_load \
			tests/bench/bench_qmp tests/bench/bench_tracker \
			"$1/bin/" &&
		"${CC:-gcc}" -std=c11 -D_GNU_SOURCE -O2 -o "$1/bin/ackclient" \
			../src/tests/lib/ackclient.c &&
		{ ! grep -q failover_sim ../src/tests/sim/Makefile.inc ||
			{ make tests/sim/failover_sim &&
				cp tests/sim/failover_sim "$1/bin/"; }; } &&
		cd / && rm -rf "$1/src" "$1/build"
)

# ---- the pair ----

lab_is_up=
lab_once() {
	[ -z "$lab_is_up" ] || return 0
	lab_is_up=1
	guest_image
	lab_start
	export HOST_ROOT=$PRODUCT_ROOT
	host_start alpha 10.77.1.1 -
	host_start beta 10.77.1.2 -
	host_start client - "$CLIENT_IP"
}

give_up() {
	step_end
	vm_logs >&2
	die "$TABLE: $*"
}

remusd_ended() { ! host_alive "$1" remusd; }
answers() { host_exec "$1" remusctl status "$VM"; }

pair_up() {
	local h
	# shellcheck disable=SC2034 # for vm.sh
	VM_MEMORY=$1M VM_LOAD=$2
	shift 2
	lab_once
	vm_define "$@"
	for h in alpha beta; do
		host_spawn "$h" remusd remusd -f "$VM"
		wait_until 20 answers "$h" || give_up "no remusd on $h"
	done
	vm_start alpha || give_up "the guest does not start"
	wait_until 90 vm_answers || give_up "no answer from the guest"
	BENCH_ACCEL=$(qemu_words alpha | grep -xA1 -e -accel | tail -n 1)
	sleep 1 # the rest of its boot
}

protect() {
	host_exec alpha remusctl protect "$VM" >/dev/null ||
		give_up "protect fails"
	wait_until 120 vm_state_is alpha protected ||
		give_up "not protected: $(vm_get alpha .reason)"
}

pair_down() {
	local h
	for h in beta alpha; do
		if [ -n "${HOST_PID[$h]:-}" ] && host_alive "$h" remusd; then
			host_signal "$h" remusd TERM
			wait_until 20 remusd_ended "$h" ||
				host_signal "$h" remusd KILL
		fi
		find "$(host_dir "$h" lib)" -mindepth 1 -delete
	done
}

# The emulator's command line, a word a line.
qemu_words() {
	host_exec "$1" bash -c 'tr "\0" "\n" <"/proc/$(pgrep -o qemu-system)/cmdline"'
}

status_of() {
	local v
	v=$(vm_get "$1" "$2")
	[ -n "$v" ] || give_up "$1: no answer to status $2"
	echo "$v"
}

epochs_past() { [ "$(vm_get alpha .epochs)" -ge "$1" ]; }

# wait_epochs N: so many more checkpoints; status tells of the last 1024.
wait_epochs() {
	local from
	from=$(status_of alpha .epochs)
	wait_until 600 epochs_past $((from + $1)) ||
		give_up "checkpoints come too slowly"
	vm_state_is alpha protected || give_up "no longer protected"
}

# Each is of a guest of its own, which wants no host.
capture_files() {
	local dir=$1 names=(idle redis redis2s text text2s sparse random)
	local pages=8192 name
	if [ "$QUICK" = true ]; then
		names=(idle redis) pages=$2
	fi
	CAPTURES=()
	for name in "${names[@]}"; do
		CAPTURES+=("$dir/$name.cap")
		step "capture $name"
		REMUS_CAPTURE_PAGES=$pages \
			REMUS_TRACK_LIB=$PRODUCT_ROOT/usr/lib/remus-ha/libremus-track.so \
			"$BENCH_DIR/captures" "$dir" "$name" \
			>"$OUT/captures.out" 2>&1 ||
			give_up "$(cat "$OUT/captures.out")"
	done
	rm -f "$OUT/captures.out"
}

# ---- load ----

load_begin() {
	rm -f "$LAB_DIR/client-load.log"
	host_spawn client load "$BENCH_BIN/bench_load" "$VM_IP" 6379 "$1" \
		10000 200
}

load_ended() { ! host_alive client load; }

load_mark() {
	host_signal client load USR1 || give_up "the load has ended:" \
		"$(cat "$LAB_DIR/client-load.log")"
}

# Prints how many commands a second were answered.
load_end() {
	host_signal client load TERM || give_up "the load has ended:" \
		"$(cat "$LAB_DIR/client-load.log")"
	wait_until 10 load_ended || give_up "the load does not end"
	jq .per_s "$LAB_DIR/client-load.log" 2>/dev/null ||
		give_up "$(cat "$LAB_DIR/client-load.log")"
}

# run_client SECONDS ARGS...: the counting client; sets CLIENT to its JSON.
run_client() {
	local rc=0
	rm -f "$LAB_DIR/client.json"
	host_exec client "$BENCH_BIN/ackclient" --host "$VM_IP" --seconds "$1" \
		--quiet --json "$LAB_DIR/client.json" "${@:2}" \
		>"$LAB_DIR/client.out" || rc=$?
	[ "$rc" -eq 0 ] || give_up "client: $(tail -n 1 "$LAB_DIR/client.out")"
	# shellcheck disable=SC2034 # for the tables
	CLIENT=$(cat "$LAB_DIR/client.json")
}
