# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# split.sh - what the time of a failover was made of, by the words of those who
# took part:
#
#     fault --detection--> noticed --decision--> called --activation--> answer
#
#   noticed  a host: corosync on the survivor has a membership without it.
#            A process: the cluster counts a failure of the resource.
#            A cable: the cluster reads that the guest is not protected.
#   called   Pacemaker's executor begins the promote action there.  A cable:
#            the last action of the agent before the answer.
#   answer   the first that the client has after that (ackclient --answers).
#            A TCP whose last segment got lost asks again only when its timer
#            says so, which doubles each time: 0.2, 0.7, 1.6, 3.5, 7.3 s after
#            the fault or thereabouts.  So beside it:
#   heard    the first echo reply of the guest; one is asked for every 20 ms
#
#   split_mark               the fault is now; right before it
#   split_noticed HOST KIND  has it been?  KIND: host, remusd, link
#   split_answered FILE      has the client had an answer since?
#   split_take HOST KIND FILE   sets DETECTION_MS, DECISION_MS, ACTIVATION_MS
#                            and FAILOVER_MS, their sum; and HEARD_MS, from the
#                            call to the first echo.  1 and a word on stderr
#                            when one of the events is not found
#   split_ear                from now on listen for echoes, until the end of the
#                            script or split_ear_end
#
# HOST is where the guest is promoted.  All hosts have this machine's clock.
# The logs of corosync and pacemaker take theirs from the kernel's tick (4 ms).
# shellcheck disable=SC2034 # for those who source this

SPLIT_FROM=0
# An answer that was under way may still come so late.
SPLIT_STRAY_MS=200

split_mark() { SPLIT_FROM=$(now_ms); }

# log_clock FILE PATTERN: the milliseconds of every line that matches, and comes
# after the mark.
log_clock() {
	local month day clock
	grep -E -- "$2" "$1" 2>/dev/null | tail -n 40 |
		while read -r month day clock _; do
			date -d "$month $day $clock" +%s%3N
		done | awk -v from="$SPLIT_FROM" '$1 >= from'
}

split_log() { # HOST KIND: file and pattern, a line each
	local logs
	logs=$(host_dir "$1" disk)/var/log
	case $2 in
	host)
		echo "$logs/corosync.log"
		echo '\[TOTEM \] A new membership .* Members left: '
		;;
	remusd)
		echo "$logs/pacemaker/pacemaker.log"
		echo "pacemaker-attrd.* Setting fail-count-$VM#"
		;;
	link)
		echo "$logs/pacemaker/pacemaker.log"
		echo "pacemaker-attrd.* Setting remus-$VM-state\[.*-> primary"
		;;
	called)
		echo "$logs/pacemaker/pacemaker.log"
		echo "pacemaker-execd.* executing - rsc:$VM action:promote"
		;;
	any)
		echo "$logs/pacemaker/pacemaker.log"
		echo "pacemaker-execd.* executing - rsc:$VM action:"
		;;
	esac
}

split_clock() { # HOST KIND
	local words
	mapfile -t words < <(split_log "$1" "$2")
	log_clock "${words[@]}"
}

split_noticed() { [ -n "$(split_clock "$1" "$2")" ]; }

# The first answer after the milliseconds $2; nothing if there is none.
split_answer() { awk -v t="$2" '$1 > t { printf "%d\n", $1; exit }' "$1"; }

split_answered() {
	[ -n "$(split_answer "$1" $((SPLIT_FROM + SPLIT_STRAY_MS)))" ]
}

split_ear() {
	rm -f "$LAB_DIR/client-ear.log"
	host_spawn client ear ping -n -D -i 0.02 "$VM_IP"
	on_exit split_ear_end
}

split_ear_end() { host_signal client ear TERM 2>/dev/null || :; }

# The milliseconds of every echo.
split_echoes() {
	awk '/bytes from/ { printf "%d\n", substr($1, 2) * 1000 }' \
		"$LAB_DIR/client-ear.log"
}

split_take() {
	local noticed called answer echo
	noticed=$(split_clock "$1" "$2" | head -n 1)
	if [ "$2" = link ]; then
		answer=$(split_answer "$3" $((SPLIT_FROM + SPLIT_STRAY_MS)))
		called=$(split_clock "$1" any |
			awk -v t="${answer:-0}" '$1 <= t' | tail -n 1)
	else
		called=$(split_clock "$1" called | head -n 1)
		answer=$(split_answer "$3" "${called:-0}")
	fi
	echo=$(split_echoes | awk -v t="${called:-0}" '$1 > t { print; exit }')
	if [ -z "$noticed" ] || [ -z "$called" ] || [ -z "$answer" ] ||
		[ -z "$echo" ]; then
		warn "the logs do not tell all of the failover:" \
			"fault=$SPLIT_FROM noticed=$noticed called=$called" \
			"heard=$echo answer=$answer"
		return 1
	fi
	HEARD_MS=$((echo - called))
	DETECTION_MS=$((noticed - SPLIT_FROM))
	DECISION_MS=$((called - noticed))
	ACTIVATION_MS=$((answer - called))
	FAILOVER_MS=$((answer - SPLIT_FROM))
}
