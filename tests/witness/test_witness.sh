#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A real remus-witness on the loopback: state, signatures, hostile clients, a
# restart, a full disk, TLS.
set -euo pipefail
src=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${top_builddir:-.}
# shellcheck source=tests/lib/common.sh
. "$src/tests/lib/common.sh"

witness=$build/fence/remus-witness
ask_bin=$build/tests/witness/ask
work=
make_tmp work
port=$((20000 + $$ % 10000))
url=http://127.0.0.1:$port
failed=0

complain() {
	echo "test_witness: $*"
	failed=1
}

# expect WHAT PATTERN TEXT
expect() {
	has -e "$2" <<<"$3" || complain "$1: expected '$2', got: $3"
}

write_config() {
	cat >"$work/witness.conf" <<-END
	name = w1
	listen = 127.0.0.1:$port
	state_dir = $state_dir
	key_file = $work/key
	lease_max = 1s
	vote_lease_max = 1s
	probe_interval = 100
	probe_timeout = 400
	node = alpha 1
	node = beta 2
	vm = web alpha beta
	probe = web command:$work/probe
	$*
	END
}

start() {
	"$witness" -f -c "$work/witness.conf" >>"$work/log" 2>&1 &
	pid=$!
	wait_until 10 reachable || {
		cat "$work/log"
		die "the witness did not start"
	}
}
stop() {
	[ -n "${pid:-}" ] || return 0
	kill_pid "$pid" "${1:-TERM}"
	pid=
}
on_exit stop

ask() { # NODE PATH JSON [TIMES]
	"$ask_bin" w1 "$url" "$work/key" "$@"
}
reachable() { ask alpha /v1/evidence '{}' | has '^0 '; }
ask_sees() { ask alpha /v1/evidence '{"vm":"web"}' | has "\"seen\":$1"; }

# http HEADER... : one raw request on stdin's body; prints the status line
http() {
	local path=$1 body=$2 h
	shift 2
	exec {raw}<>"/dev/tcp/127.0.0.1/$port"
	{
		printf 'POST %s HTTP/1.1\r\nHost: w\r\n' "$path"
		for h in "$@"; do printf '%s\r\n' "$h"; done
		printf '\r\n%s' "$body"
	} 1>&"$raw" || :
	timeout 10 head -n 1 <&"$raw" | tr -d '\r' || :
	exec {raw}>&-
}
auth() { "$ask_bin" --head w1 "$work/key" "$@"; }

prepare='{"question":"prepare","vm":"web","from":"%s","target":"%s",
"purpose":"%s","ballot":{"n":%d,"proposer":"00000000000000aa"}}'
accept='{"question":"accept","vm":"web","from":"%s","target":"",
"purpose":"%s","ballot":{"n":%d,"proposer":"00000000000000aa"},
"lease_ms":%d,"value":{"generation":1,"state":"alone","holder":"%s",
"backup":""}}'
# shellcheck disable=SC2059 # formats by name
prepare() { printf "$prepare" "$@"; }
# shellcheck disable=SC2059
accept() { printf "$accept" "$@"; }

(umask 077 && head -c 32 /dev/urandom >"$work/key")
state_dir=$work/state
printf '#!/bin/sh\n[ -e %q/up ]\n' "$work" >"$work/probe"
chmod 755 "$work/probe"
write_config

# ---- configuration and state ----
expect 'check-config' '^ok$' "$("$witness" -c "$work/witness.conf" --check-config)"
write_config 'colour = red'
rc=0
out=$("$witness" -c "$work/witness.conf" --check-config 2>&1) || rc=$?
[ "$rc" -eq 2 ] || complain "--check-config of a wrong file: exit code $rc"
expect 'a wrong file' 'witness.conf:13: unknown key' "$out"
write_config
rc=0
out=$("$witness" -f -c "$work/witness.conf" 2>&1) || rc=$?
[ "$rc" -eq 1 ] || complain "without a state: exit code $rc"
expect 'without a state' '[-][-]init' "$out"
"$witness" -c "$work/witness.conf" --init
! "$witness" -c "$work/witness.conf" --init 2>/dev/null ||
	complain 'a second --init'

# ---- a service that is seen, then not ----
touch "$work/up"
start
! "$witness" -f -c "$work/witness.conf" 2>/dev/null || complain 'two at a time'
wait_until 5 ask_sees true || complain 'the service is not seen'
vetoed() {
	ask beta /v1/ticket "$(prepare beta '' boot 1)" |
		has 'refused-seen.*service command:'
}
wait_until 5 vetoed || complain 'no veto against a boot beside a service'
rm "$work/up"
wait_until 5 ask_sees false || complain 'the service is seen for ever'

promised() { # NODE TARGET PURPOSE N
	ask "$1" /v1/ticket "$(prepare "$@")" | has '"promise"'
}
wait_until 5 promised alpha '' boot 2 || complain 'no promise'
expect 'accept' '"accepted"' \
	"$(ask alpha /v1/ticket "$(accept alpha boot 2 1000 alpha)")"
has '"holder":"alpha"' <"$state_dir/web.register" || complain 'not stored'
expect 'beyond lease_max' 'refused-bad' \
	"$(ask alpha /v1/ticket "$(accept alpha boot 2 1001 alpha)")"

# ---- restart: the register stays, the lease is waited for ----
stop KILL
start
wait_until 5 promised beta alpha fence 3 || complain 'no promise after restart'
out=$(ask beta /v1/evidence '{}')
expect 'after a restart' '"ticket":{"generation":1,"state":"alone","holder":"alpha"' "$out"
voted() {
	ask alpha /v1/vote '{"cluster":"c","nodeid":1,"ring":{"nodeid":1,
	"seq":4},"members":[1,2],"lease_ms":900}' | has '"granted":true'
}
wait_until 5 voted || complain 'no vote lease'

# ---- hostile ----
expect 'no signature' ' 401 ' "$(http /v1/vote '{}' 'Content-Length: 2')"
expect 'no length' ' 411 ' "$(http /v1/vote '')"
expect 'huge' ' 413 ' "$(http /v1/vote '' 'Content-Length: 1000000000')"
expect 'chunks' ' 411 ' "$(http /v1/vote '' 'Transfer-Encoding: chunked')"
expect 'a number that is none' ' 4[01][0-9] ' \
	"$(http /v1/vote '' 'Content-Length: 99999999999999999999999')"
expect 'a path that is none' ' 404 ' "$(http /v1/x '{}' 'Content-Length: 2')"
h="Remus-Auth: $(auth alpha /v1/evidence '{}')"
expect 'signed' ' 200 ' "$(http /v1/evidence '{}' 'Content-Length: 2' "$h")"
expect 'repeated' ' 403 ' "$(http /v1/evidence '{}' 'Content-Length: 2' "$h")"
expect 'another body' ' 401 ' "$(http /v1/evidence '[]' 'Content-Length: 2' \
	"Remus-Auth: $(auth alpha /v1/evidence '{}')")"
expect 'an old one' ' 403 ' "$(http /v1/evidence '{}' 'Content-Length: 2' \
	"Remus-Auth: $(auth alpha /v1/evidence '{}' -31)")"
expect 'a new one' ' 403 ' "$(http /v1/evidence '{}' 'Content-Length: 2' \
	"Remus-Auth: $(auth alpha /v1/evidence '{}' 60)")"
deep=$(printf '[%.0s' {1..4000})
expect 'deep' ' 400 ' "$(http /v1/evidence "$deep" 'Content-Length: 4000' \
	"Remus-Auth: $(auth alpha /v1/evidence "$deep")")"
expect 'garbage' ' 4[0-9][0-9] \|^$' "$(http '' "$(head -c 4000 /dev/urandom |
	tr -d '\0')")"
big=$(head -c 20000 /dev/zero | tr '\0' x)
expect 'a long head' ' 4[0-9][0-9] \|^$' "$(http /v1/vote '' "X: $big")"

# Who begins and does not go on: cut off, while others are answered.
hold=()
for _ in $(seq 100); do
	exec {fd}<>"/dev/tcp/127.0.0.1/$port" || break
	printf 'POST /v1/vote HTTP/1.1\r\nX' >&"$fd"
	hold+=("$fd")
done
reachable || complain 'not reachable beside 100 slow clients'
drip() { # a byte now and then is not enough either
	printf 'x' >&"$1" && return 1
	return 0
} 2>/dev/null
trap '' PIPE
wait_until 20 drip "${hold[0]}" || complain 'a slow client is never cut off'
for fd in "${hold[@]}"; do exec {fd}>&-; done
trap - PIPE
reachable || complain 'not reachable after slow clients'

# A wrong key, a wrong name, nobody there: no answer, and each with its reason.
(umask 077 && head -c 32 /dev/urandom >"$work/other")
expect 'another key' '^-13 ' \
	"$("$ask_bin" w1 "$url" "$work/other" alpha /v1/evidence '{}')"
expect 'an unknown node' '^-13 ' "$(ask gamma /v1/evidence '{}')"
expect 'another witness' '^-13 ' \
	"$("$ask_bin" w2 "$url" "$work/key" alpha /v1/evidence '{}')"
expect 'nobody there' '^-111 ' \
	"$("$ask_bin" w1 http://127.0.0.1:1 "$work/key" alpha /v1/evidence '{}')"
out=$(ask alpha /v1/evidence '{}' 20)
[ "$(grep -c '^0 ' <<<"$out")" -eq 16 ] || complain "20 at once: $out"
expect '17 at once' '^-105 ' "$out"
stop

# ---- the format, by a second implementation ----
if command -v openssl >/dev/null; then
	read -r _ node name time nonce mac < <(auth alpha /v1/vote '{"a":1}')
	want=$(printf 'remus-witness 1 request\nPOST\n/v1/vote\n%s\n%s\n%s\n%s\n{"a":1}' \
		"$node" "$name" "$time" "$nonce" |
		openssl dgst -sha256 -mac HMAC \
			-macopt "hexkey:$(od -An -v -tx1 "$work/key" | tr -d ' \n')")
	[ "${want##* }" = "$mac" ] || complain 'the signature is not as described'
fi

# ---- TLS ----
if command -v openssl >/dev/null; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$work/tls.key" -out "$work/tls.crt" -days 2 \
		-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
		2>/dev/null
	write_config "tls_certificate = $work/tls.crt
	tls_key = $work/tls.key"
	url=https://127.0.0.1:$port
	export REMUS_CA=$work/tls.crt
	start
	expect 'a certificate of its own' '^0 ' "$(ask alpha /v1/evidence '{}')"
	unset REMUS_CA
	expect 'a certificate of nobody' '^-5 .*ertificate' \
		"$(ask alpha /v1/evidence '{}')"
	stop
	url=http://127.0.0.1:$port
fi

# ---- a full disk ----
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	mkdir "$work/small"
	state_dir=$work/small/state
	write_config
	cat >"$work/in_small" <<-'END'
	set -e
	mount -t tmpfs -o size=64k none "$1/small"
	"$2" -c "$1/witness.conf" --init
	exec "$2" -f -c "$1/witness.conf"
	END
	unshare -m bash "$work/in_small" "$work" "$witness" >>"$work/log" 2>&1 &
	pid=$!
	wait_until 10 reachable || complain 'not started on a small disk'
	small=/proc/$pid/root$work/small
	wait_until 5 promised alpha '' boot 1 || complain 'no promise'
	before=$(cat "$small/state/web.register")
	head -c 200000 /dev/zero >"$small/filler" 2>/dev/null || :
	out=$(ask alpha /v1/ticket "$(accept alpha boot 1 1000 alpha)")
	expect 'a full disk' '^-16 .*No space left' "$out"
	[ "$(cat "$small/state/web.register")" = "$before" ] ||
		complain 'a full disk changed the register'
	rm "$small/filler"
	expect 'space again' '"accepted"' \
		"$(ask alpha /v1/ticket "$(accept alpha boot 1 1000 alpha)")"
	stop
fi

[ "$failed" -eq 0 ] || cat "$work/log"
exit "$failed"
