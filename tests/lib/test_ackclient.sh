#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_ackclient.sh - does the counting client notice?  Against a server that
# loses, doubles or forgets a write, hangs up, stalls; and against one that does
# nothing wrong, which it must not accuse; and against a real redis.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

tmp=
make_tmp tmp
for p in ackclient fakeredis; do
	"${CC:-gcc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror \
		-o "$tmp/$p" "$here/$p.c"
done

server=
end_server() { kill_pid "$server"; server=; }
on_exit end_server

# client WANTED_EXIT ARGS...: 200 commands a second, for 0.5 s.  Its last line
# is in $got.
client() {
	local wanted=$1 rc=0
	shift
	"$tmp/ackclient" --port "$port" --seconds 0.5 --rate 200 --quiet "$@" \
		>"$tmp/out" || rc=$?
	got=$(tail -n 1 "$tmp/out")
	[ "$rc" -eq "$wanted" ] ||
		die "$name: exit $rc instead of $wanted: $got"
}

# has WORD...: each is in the last line.
has() {
	local w
	for w in "$@"; do
		[[ " $got " == *" $w "* ]] || die "$name: no $w in: $got"
	done
}

value() { sed -n "s/.*\\b$1=\\([0-9]*\\).*/\\1/p" <<<"$got"; }

fake() {
	name="$*"
	end_server
	rm -f "$tmp/port"
	"$tmp/fakeredis" "$@" >"$tmp/port" &
	server=$!
	wait_until 5 test -s "$tmp/port" || die "no fakeredis"
	port=$(cat "$tmp/port")
}

# ---- nothing wrong ----
fake none
client 0
has lost=0 duplicated=0 reconnects=0
[ "$(value acked)" -gt 50 ] || die "$name: too little: $got"
[ "$(value acked)" -eq "$(value stored)" ] || die "$name: $got"
client 0 --keys 7 # the second run on the same server; keys go round
has lost=0 duplicated=0
fake split 1
client 0
has lost=0 duplicated=0
[ "$(value acked)" -gt 5 ] || die "$name: too little: $got"

# ---- lost and doubled: odd writes are INCR, even ones SET ----
fake lose-write 21
client 1
has lost=1 duplicated=0
[ "$(value stored)" -eq $(($(value acked) - 1)) ] || die "$name: $got"
fake lose-write 22
client 1
has lost=1 duplicated=0
fake double-write 21
client 1
has lost=0 duplicated=1
fake rollback 21 # five writes back: 2 INCR and 3 SET are gone
client 1
has lost=5 duplicated=0
fake late-rollback 21
client 1
has lost=5 duplicated=0

# ---- connections ----
fake close 21
client 2
[[ $got == *error=* ]] || die "$name: no error: $got"
has reconnects=0 stored=0
fake close 21
client 1 --reconnect
has lost=0 duplicated=0 reconnects=1
fake close-undone 21
client 1 --reconnect
has lost=0 duplicated=0 reconnects=1
fake stall 21
client 0 --seconds 2 --answers "$tmp/answers"
has lost=0 duplicated=0 reconnects=0
[ "$(value blackout_ms)" -ge 1400 ] || die "$name: silence not seen: $got"
[ "$(wc -l <"$tmp/answers")" -eq "$(value acked)" ] ||
	die "$name: $(wc -l <"$tmp/answers") answers written down: $got"
awk -v silence="$(value blackout_ms)" 'NR > 1 && $1 - last >= silence - 1 {
	found = 1 } { last = $1 } END { exit !found }' "$tmp/answers" ||
	die "$name: the silence is not between the answers"
fake mute 21
client 2 --stall-limit 1
[[ $got == *error=no\ answer* ]] || die "$name: $got"

# ---- told to end while an answer is outstanding: it waits for that one ----
fake stall 1
"$tmp/ackclient" --port "$port" --quiet --json "$tmp/json" >"$tmp/out" &
client=$!
sleep 0.3
kill -TERM "$client"
wait "$client" || die "$name: $(cat "$tmp/out")"
got=$(tail -n 1 "$tmp/out")
has acked=1 stored=1
grep -q '"acked": 1, "stored": 1, "lost": 0' "$tmp/json" ||
	die "json: $(cat "$tmp/json")"
end_server

# ---- a real redis ----
name=redis
redis=$(readlink -f "$(type -P redis-check-rdb || :)")
if [ -z "$redis" ]; then
	log "ackclient: no redis-tools here, fake servers only"
	exit 0
fi
ln -s "$redis" "$tmp/redis-server"
port=$((20000 + RANDOM % 10000))
"$tmp/redis-server" --port $port --bind 127.0.0.1 --save "" --dir "$tmp" \
	>"$tmp/redis.log" &
server=$!
wait_until 10 redis-cli -p $port ping || die "no redis: $(cat "$tmp/redis.log")"
client 0 --rate 0
has lost=0 duplicated=0 reconnects=0
log "ackclient: all as promised; redis: $got"
