# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - what the end-to-end cases share, on top of tests/lib: a pair of
# remusd on two hosts, the counting client, and how to ask for a refusal.
#
#   pair_begin [KEY=VALUE...]    hosts and one remusd each; nothing runs yet
#   WITNESSED=1                  set before: three witnesses decide (witness.sh)
#   pair_up [KEY=VALUE...]       ... the guest runs on alpha, protected by beta
#   protect_from HOST            wait until protected, and its peer a standby
#   client_begin, client_goes_on, client_end     one TCP connection, counting;
#                                CLIENT_ASKS_S: so long an answer may take (2)
#   refused HOST EXIT REGEX CMD...               the exit code and its one line
#   fact TEXT                    a number worth reading

fact() { printf '# %s\n' "$*"; }

# get HOST PATH: as vm_get, but that nobody answers is an error.
get() {
	local v
	v=$(vm_get "$1" "$2")
	[ -n "$v" ] || die "$1: no answer to status $2"
	echo "$v"
}

get_is() { [ "$(vm_get "$1" "$2")" = "$3" ]; }
get_above() { [ "$(vm_get "$1" "$2")" -gt "$3" ]; }

# soon HOST PATH VALUE [SECONDS]
soon() {
	wait_until "${4:-10}" get_is "$1" "$2" "$3" ||
		die "$1: $2 is '$(vm_get "$1" "$2")', not '$3'" \
			"(reason: $(vm_get "$1" .reason))"
}

link_up_is() { get_is "$1" '.link_up | tostring' "$2"; }
link_soon() {
	wait_until 10 link_up_is "$1" "$2" || die "$1: link_up is not $2"
}

peer_of() { [ "$1" = alpha ] && echo beta || echo alpha; }

# ---- remusd and remusctl ----

ctl() {
	local host=$1
	shift
	host_exec "$host" remusctl "$@"
}

# must HOST CMD...: remusctl, and it has to work.
must() {
	local out
	out=$(ctl "$@" 2>&1) || die "remusctl on $* failed: $out"
	[ -z "$out" ] || echo "$1: $out"
}

# A wrong exit code, a text that says something else and one that is longer
# than a line all count as failures.
refused() {
	local host=$1 want=$2 regex=$3 out rc=0
	shift 3
	out=$(host_exec "$host" "$@" 2>&1 >/dev/null) || rc=$?
	[ "$rc" -eq "$want" ] ||
		die "$*: exit $rc instead of $want, saying: $out"
	[ "$(wc -l <<<"$out")" -eq 1 ] || die "$*: not one line: $out"
	[[ $out =~ $regex ]] || die "$*: says '$out', not '$regex'"
	echo "$host: $* -> $rc: $out"
}

remusd_ended() { ! host_alive "$1" remusd; }
answers() { ctl "$1" status "$VM" >/dev/null; }

remusd_begin() {
	host_spawn "$1" remusd remusd -f "$VM"
	wait_until 10 answers "$1" || die "remusd on $1 does not answer:" \
		"$(tail -n 1 "$LAB_DIR/$1-remusd.log")"
}

# The guest of a host, by its pid in there.
qemu_pid() { host_exec "$1" pgrep -x qemu-system-x86; }
qemu_gone() { ! qemu_pid "$1" >/dev/null; }

# ---- the pair ----

pair_begin() {
	vm_lab "$@"
	on_exit pair_logs
	[ -z "${WITNESSED:-}" ] || pair_witnesses
	remusd_begin alpha
	remusd_begin beta
	soon alpha .state syncing
	soon beta .state syncing
}

pair_witnesses() {
	local h
	witness_begin "$VM=$VM_IP"
	for h in alpha beta; do
		witness_lines >>"$(host_dir "$h" etc)/$VM.conf"
		witness_key_to "$h"
	done
}

pair_logs() {
	[ -z "${E2E_LOGS:-}" ] || cp "$LAB_DIR"/*.log "$E2E_LOGS/"
}

pair_up() {
	local begin=$EPOCHSECONDS
	pair_begin "$@"
	echo "remusd on both after $((EPOCHSECONDS - begin)) s"
	must alpha start "$VM"
	wait_until 60 vm_answers || die "the guest does not answer"
	echo "the guest answers after $((EPOCHSECONDS - begin)) s"
	protect_from alpha
	echo "protected after $((EPOCHSECONDS - begin)) s"
}

protect_from() {
	must "$1" protect "$VM"
	protected_soon "$1"
}

protected_soon() {
	soon "$1" .state protected 60
	soon "$(peer_of "$1")" .state standby
}

# A host that comes back after a crash, with remusd as its init starts it.
host_back() {
	local n
	n=$([ "$1" = alpha ] && echo 1 || echo 2)
	host_start "$1" "10.77.1.$n" "$(vm_svc "$n")"
	remusd_begin "$1"
}

# ---- the client ----

client_begin() {
	host_spawn client ack "$E2E_TMP/ackclient" --host "$VM_IP" --tag e2e "$@"
	wait_until 10 client_counter || die "the client does not begin"
}

client_counter() {
	local n
	n=$(host_exec client timeout "${CLIENT_ASKS_S:-2}" redis-cli -h "$VM_IP" get e2e:counter \
		2>/dev/null)
	[[ $n =~ ^[0-9]+$ ]] && echo "$n"
}
client_is_past() {
	local n
	n=$(client_counter) && [ "$n" -gt "$1" ]
}

# What it counts moves on: asked for twice, of the guest itself.
client_goes_on() {
	wait_until "${1:-20}" client_counter ||
		die "the guest does not answer the client's host"
	local n
	n=$(client_counter) || n=0
	wait_until 20 client_is_past $((n + 3)) ||
		die "the client does not go on: $(client_last)"
}

client_last() { tail -n 1 "$LAB_DIR/client-ack.log"; }
client_ended() { ! host_alive client ack; }

# client_end: the verdict on everything that was acknowledged.
client_end() {
	local got acked stored
	host_alive client ack || die "the client ended early: $(client_last)"
	host_signal client ack TERM
	wait_until 60 client_ended || die "the client does not end"
	got=$(client_last)
	[[ $got == acked=* ]] || die "no verdict of the client: $got"
	[[ $got != *error=* ]] || die "client: $got"
	[[ " $got " == *" lost=0 duplicated=0 reconnects=0 "* ]] ||
		die "client: $got"
	read -r acked stored _ <<<"$got"
	[ "${acked#*=}" -gt 20 ] || die "client: too little: $got"
	[ "${acked#*=}" = "${stored#*=}" ] || die "client: $got"
	fact "client: $got"
}

# ---- what left a host ----

# stays SECONDS VALUE CMD...: CMD prints VALUE all that time.
stays() {
	local end now
	end=$(($(now_ms) + $1 * 1000))
	while [ "$(now_ms)" -lt "$end" ]; do
		now=$("${@:3}")
		[ "$now" = "$2" ] || die "${*:3}: $2, then $now"
		sleep 0.1
	done
}

gate_released() { get "$1" .gate.released; }

get_says_both() { [[ $(vm_get "$1" .reason) == *both*primary* ]]; }
