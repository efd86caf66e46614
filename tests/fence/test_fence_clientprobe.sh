#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fence_clientprobe as a whole: against witnesses that are played by a script,
# rightly or not, and against real ones, all on the loopback.
set -eu
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
# shellcheck source=tests/lib/common.sh
. "$top/tests/lib/common.sh"

build=${top_builddir:-$top}
AGENT=$build/fence/fence_clientprobe
[ -x "$AGENT" ] || skip "fence_clientprobe is not built"
command -v python3 >/dev/null || skip "needs python3"
make_tmp DIR
head -c 48 /dev/urandom >"$DIR/key"
chmod 600 "$DIR/key"
declare -A PID=() URL=()
CASES=0

# ---- asking ----

# agent ACTION [KEY=VALUE...]: through standard input; $CODE, $DIR/out.
agent() {
	local action=$1
	shift
	CODE=0
	{
		echo "action=$action"
		echo "witnesses=w1=${URL[w1]} w2=${URL[w2]} w3=${URL[w3]}"
		printf '%s\n' "key_file=$DIR/key" self=beta timeout=4 \
			grace=700ms request_timeout=300ms "$@"
	} | "$AGENT" >"$DIR/out" 2>&1 || CODE=$?
}

said() { has "$@" <"$DIR/out"; }

fail() {
	warn "$*"
	warn "exit code $CODE, and it said:"
	cat "$DIR/out" >&2
	exit 1
}

# is CODE WHAT [GREP...]: how it ended, and what it must have said.
is() {
	local code=$1 what=$2
	shift 2
	[ "$CODE" -eq "$code" ] || fail "$what: not $code"
	[ $# -eq 0 ] || said "$@" || fail "$what: does not say: $*"
	CASES=$((CASES + 1))
}

# ---- the played witnesses ----

play() {
	rm -f "$DIR/$1.port"
	python3 "$top/tests/fence/fake_witness.py" "$1" "$DIR/key" "$DIR" \
		2>"$DIR/$1.err" &
	PID[$1]=$!
	wait_until 20 test -s "$DIR/$1.port" || die "$1: $(cat "$DIR/$1.err")"
	URL[$1]=http://127.0.0.1:$(cat "$DIR/$1.port")
}

stop() {
	[ -z "${PID[$1]:-}" ] || kill_pid "${PID[$1]}"
	unset "PID[$1]"
}

stop_all() {
	local w
	for w in "${!PID[@]}"; do
		stop "$w"
	done
}
on_exit stop_all

mode() { echo "$2" >"$DIR/$1.mode"; }

report() {
	printf '{"node":"%s","age_ms":%s,"role":"%s","state":"%s","generation":3,"serving":%s,"ceased_ms":null}' \
		"$1" "$2" "$3" "$4" "$5"
}
NO_ALPHA=$(report alpha null "" "" false)
NO_BETA=$(report beta null "" "" false)
STANDBY=$(report beta 90 backup standby false)
SERVES=$(report alpha 90 primary protected true)
PROTECTED='"protected","holder":"alpha","backup":"beta"'
ALONE='"alone","holder":"alpha","backup":""'
LOOKS='"looking_ms":9000,"window_ms":1250'
UNSEEN='"seen":false,"seen_on":"","why":""'
SEEN='"seen":true,"seen_on":"alpha","why":"service tcp:192.0.2.9:6379 answered 120 ms ago"'

# sees WITNESS TICKET SEEN REPORTS [LEASE_MS [VM]]
sees() {
	cat >"$DIR/$1.vms.new" <<-END
	[{"vm": "${6:-web}", "nodes": ["alpha", "beta"],
	  "ticket": {"generation": 3, "state": $2},
	  "promised": {"n": 7, "proposer": "00c0ffee00c0ffee"},
	  "accepted": {"n": 7, "proposer": "00c0ffee00c0ffee"},
	  "leased_to": "", "lease_left_ms": ${5:-0}, $LOOKS, $3,
	  "probes": [], "reports": [$4]}]
	END
	mv "$DIR/$1.vms.new" "$DIR/$1.vms"
}

# A new stage: all three of them see the same, and nobody misbehaves.
stage() {
	local w
	stop_all
	for w in w1 w2 w3; do
		mode "$w" ""
		sees "$w" "$@"
		: >"$DIR/$w.log"
		play "$w"
	done
}

# With which value the witnesses ended.
value() { sed -n '/"accept"/h;${x;p}' "$DIR/$1.log"; }
decided() { value "$1" | has "\"state\": *\"$2\", *\"holder\": *\"$3\""; }
touched() { has '/v1/ticket' <"$DIR/$1.log"; }

# ---- the agent itself ----

"$AGENT" -o metadata >"$DIR/metadata.xml"
if command -v xmllint >/dev/null; then
	xmllint --noout "$DIR/metadata.xml"
	schema=/usr/share/cluster/relaxng/metadata.rng
	if [ -r "$schema" ]; then
		xmllint --noout --relaxng "$schema" "$DIR/metadata.xml"
	else
		log "no schema of fence-agents here: not validated by it"
	fi
fi
for action in off reboot status monitor list list-status metadata validate-all; do
	has "<action name=\"$action\"" <"$DIR/metadata.xml" ||
		die "metadata: no $action"
done
! has '<action name="on"' <"$DIR/metadata.xml" || die "metadata: 'on'"

stage "$PROTECTED" "$UNSEEN" "$NO_ALPHA,$STANDBY"
agent on plug=alpha
is 1 "on" "'on' is not there"
agent validate-all
is 0 "validate-all"
touched w1 && die "validate-all asks"
agent validate-all key_file=/no/such
is 1 "no key" "key_file '/no/such'"
chmod 644 "$DIR/key"
agent validate-all
is 1 "a key for all to read" "key_file"
chmod 600 "$DIR/key"
agent monitor
is 0 "monitor"
agent list
is 0 "list" -x "alpha,"
said -x "beta," || fail "list: no beta"
agent off plug=beta
is 1 "oneself" "none fences itself"
agent off plug=gamma
is 1 "a node that nobody knows" "knows a virtual machine of it"
agent off plug=alpha vms=db
is 1 "a machine that nobody knows" "no majority of the witnesses knows db"
! touched w1 || die "w1 was asked for a ticket"

# ---- off ----

agent off plug=alpha
is 0 "off" "the ticket is alone(beta)"
for w in w1 w2 w3; do
	decided "$w" alone beta || die "$w: $(value "$w")"
done
agent reboot nodename=alpha port=alpha
is 0 "once more" "the ticket is alone(beta)"
CODE=0
"$AGENT" --action=off --plug=alpha --key-file="$DIR/key" --self=beta \
	--witnesses="w1=${URL[w1]},w2=${URL[w2]},w3=${URL[w3]}" \
	--timeout=4 --grace=0 >"$DIR/out" 2>&1 || CODE=$?
is 0 "by options"

stage "$PROTECTED" "$UNSEEN" "$NO_ALPHA,$NO_BETA"
agent off plug=alpha
is 0 "nobody to take it" "the ticket is none"
decided w1 none "" || die "w1: $(value w1)"

stage "$ALONE" "$UNSEEN" "$NO_ALPHA,$STANDBY" 900
begin=$(now_ms)
agent off plug=alpha
is 0 "it ran alone" "the ticket is none"
[ $(($(now_ms) - begin)) -ge 900 ] || fail "not waited for the lease"
stage "$ALONE" "$UNSEEN" "$NO_ALPHA,$STANDBY" 9000
agent off plug=alpha
is 1 "a lease longer than the time-out" "a lease may be used for"

# What is seen fails, and touches nothing.
stage "$PROTECTED" "$SEEN" "$NO_ALPHA,$STANDBY"
agent off plug=alpha
is 1 "seen" "w2: service tcp:192.0.2.9:6379 answered 120 ms ago"
! touched w1 || die "w1 was asked for a ticket"
stage "$PROTECTED" "$UNSEEN" "$SERVES,$STANDBY"
agent off plug=alpha
is 1 "its remusd serves" "w3: alpha's remusd served 90 ms ago"
# By one of three: a majority decides.
stage "$PROTECTED" "$UNSEEN" "$NO_ALPHA,$STANDBY"
sees w2 "$PROTECTED" "$SEEN" "$SERVES,$STANDBY"
agent off plug=alpha
is 0 "one of them is wrong"
mode w3 silent
stage "$PROTECTED" "$UNSEEN" "$NO_ALPHA,$STANDBY"
sees w2 "$PROTECTED" "$SEEN" "$SERVES,$STANDBY"
mode w3 silent
agent off plug=alpha
is 1 "one of them is silent, one sees it" "w2: service tcp"

# One that misbehaves is a silent one; of two, nothing is known.
stage "$PROTECTED" "$UNSEEN" "$NO_ALPHA,$STANDBY"
for how in silent trickle hangup badmac nomac replay request-mac longmac \
	notjson empty array deep huge nul othername types nonsense cut \
	302 401 500 503; do
	mode w2 "$how"
	mode w3 ""
	agent off plug=alpha
	is 0 "w2 is $how" "the ticket is alone(beta)"
	mode w3 "$how"
	agent status plug=alpha
	is 1 "status; w2 and w3 are $how" "is not known"
done
agent off plug=alpha timeout=1
is 1 "off by a minority" "no majority of the 3 witnesses answers"
agent monitor
is 1 "monitor by a minority" "no majority"
agent list
is 1 "list by a minority" "no majority"
# The same, not before it comes to the ticket.
for how in silent hangup badmac replay notjson deep types nonsense cut 503; do
	mode w2 "ticket $how"
	mode w3 "ticket $how"
	agent off plug=alpha timeout=1
	is 1 "w2 and w3 are $how" "nothing is known to be decided about web"
done
stop w1
stop w2
agent off plug=alpha timeout=1
is 1 "they are gone" "w1: .*onnect"

# ---- another key than theirs ----

stage "$PROTECTED" "$UNSEEN" "$NO_ALPHA,$STANDBY"
head -c 48 /dev/urandom >"$DIR/other"
chmod 600 "$DIR/other"
agent monitor key_file="$DIR/other"
is 1 "another key" "w1: HTTP status 401"
agent off plug=alpha key_file="$DIR/other" timeout=1500ms
is 1 "another key" "no majority"

# ---- status ----

agent status plug=alpha
is 0 "status: its ticket" "Status: ON"
agent off plug=alpha
agent status plug=alpha
is 2 "status: fenced" "Status: OFF"
agent list-status
is 0 "list-status" -x "alpha,,OFF"
said -x "beta,,ON" || fail "beta, who stands by, is on"
stage "$ALONE" "$SEEN" "$SERVES,$STANDBY"
agent status plug=alpha
is 0 "status: it serves" "Status: ON"
agent status plug=gamma
is 1 "status: nobody knows it"

# ---- real witnesses ----

if [ ! -x "$build/fence/remus-witness" ] || [ ! -x "$build/tests/witness/ask" ]
then
	log "no remus-witness: not tried against real ones"
	log "$CASES cases"
	exit 0
fi
stop_all

# Ports that were free a moment ago.
free_ports() {
	python3 - <<-END
	import socket
	held = [socket.socket() for _ in range($1)]
	for s in held:
	    s.bind(("127.0.0.1", 0))
	print(*[s.getsockname()[1] for s in held])
	END
}

begin_real() {
	cat >"$DIR/$1.conf" <<-END
	name = $1
	listen = 127.0.0.1:$2
	state_dir = $DIR/$1.state
	key_file = $DIR/key
	node = alpha 1
	node = beta 2
	vm = web alpha beta
	probe = web tcp:127.0.0.1:$3
	END
	"$build/fence/remus-witness" --config "$DIR/$1.conf" --init
	"$build/fence/remus-witness" --config "$DIR/$1.conf" --foreground \
		2>"$DIR/$1.err" &
	PID[$1]=$!
	URL[$1]=http://127.0.0.1:$2
}

# ask WITNESS NODE PATH JSON
ask() {
	"$build/tests/witness/ask" "$1" "${URL[$1]}" "$DIR/key" "$2" "$3" "$4"
}
answers() { ask "$1" beta /v1/evidence '{}' | has '^0 '; }
has_looked() { ask "$1" beta /v1/evidence '{}' | has "\"seen\":$2"; }
all() {
	local w
	for w in w1 w2 w3; do
		"$1" "$w" "${@:2}" || return 1
	done
}

read -r p1 p2 p3 service <<<"$(free_ports 4)"
begin_real w1 "$p1" "$service"
begin_real w2 "$p2" "$service"
begin_real w3 "$p3" "$service"
wait_until 20 all answers || die "$(cat "$DIR"/w?.err)"

# change WITNESS NODE N PURPOSE VALUE: a round of one.
change() {
	local ballot="\"ballot\":{\"n\":$3,\"proposer\":\"0000000000000001\"}"
	ask "$1" "$2" /v1/ticket "{\"question\":\"prepare\",\"vm\":\"web\",
		\"from\":\"$2\",\"purpose\":\"$4\",\"target\":\"\",$ballot}" |
		has '"promise"' || return 1
	ask "$1" "$2" /v1/ticket "{\"question\":\"accept\",\"vm\":\"web\",
		\"from\":\"$2\",\"purpose\":\"$4\",\"target\":\"\",$ballot,
		\"lease_ms\":0,\"value\":$5}" | has '"accepted"'
}
alive() { # WITNESS NODE ROLE STATE SERVING
	ask "$1" "$2" /v1/alive "{\"vm\":\"web\",\"role\":\"$3\",
		\"state\":\"$4\",\"generation\":3,\"serving\":$5,
		\"ceased\":false}" >/dev/null
}
wait_until 20 all change alpha 1 boot \
	'{"generation":2,"state":"alone","holder":"alpha","backup":""}' ||
	die "the witnesses do not give a ticket"
all change alpha 2 protected \
	'{"generation":3,"state":"protected","holder":"alpha","backup":"beta"}'
agent monitor
is 0 "real: monitor"
agent list
is 0 "real: list" -x "alpha,"
all alive alpha primary protected true
all alive beta backup standby false
agent status plug=alpha
is 0 "real: status" "Status: ON"
# It goes on reporting, and so goes on being seen.
while :; do
	all alive alpha primary protected true
	all alive beta backup standby false
	sleep 0.1
done &
reporter=$!
agent off plug=alpha
kill_pid "$reporter"
is 1 "real: it serves" "w1: alpha's remusd served"
# Now it does not.  Its last word is a second old before it is believed.
while :; do
	all alive beta backup standby false
	sleep 0.1
done &
reporter=$!
agent off plug=alpha grace=3
kill_pid "$reporter"
is 0 "real: off" "the ticket is alone(beta)"
stop w2
agent off plug=alpha
is 0 "real: one is gone" "the ticket is alone(beta)"
stop w3
agent off plug=alpha
is 1 "real: two are gone" "no majority"
log "$CASES cases"
