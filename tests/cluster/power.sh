# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# power.sh - the harness's side of the fence device fence_lab: a process outside
# of the hosts that reads requests from a fifo and answers each in a file, `off`
# only after every process of the host is gone.
#
#   power_start          $POWER_DIR, to be bound to /run/lab-power of the hosts;
#                        ended by itself
#   power_fail HOST on|off   on: `off HOST` fails from now on, as a switch that
#                        does not answer its administrator
#   power_log            what was asked and done, a line each, since the last
#                        power_log_begin

POWER_DIR=
POWER_FROM=0

power_start() {
	POWER_DIR=$LAB_DIR/power
	mkdir "$POWER_DIR"
	mkfifo "$POWER_DIR/requests"
	: >"$POWER_DIR/log"
	power_serve </dev/null >>"$POWER_DIR/log" 2>&1 &
	on_exit kill_pid $!
}

power_log() { tail -n "+$((POWER_FROM + 1))" "$POWER_DIR/log"; }
power_log_begin() { POWER_FROM=$(wc -l <"$POWER_DIR/log"); }

power_fail() {
	case $2 in
	on) : >"$POWER_DIR/fail.$1" ;;
	off) rm -f "$POWER_DIR/fail.$1" ;;
	esac
}

power_do() {
	case $1 in
	ping) echo pong ;;
	list)
		local pids
		for pids in "$LAB_DIR"/*/pids; do
			basename "${pids%/pids}"
		done
		;;
	status) if host_running "$2"; then echo on; else echo off; fi ;;
	off)
		if [ -e "$POWER_DIR/fail.$2" ]; then
			echo "the switch is broken"
		elif [ ! -d "$LAB_DIR/$2" ]; then
			echo "no such host"
		else
			! host_running "$2" || host_kill "$2"
			echo off
		fi
		;;
	*) echo "unknown request" ;;
	esac
}

power_serve() {
	local id what host answer fifo
	cleanups_begin # not those of the script
	exec {fifo}<>"$POWER_DIR/requests" # never end of file
	while read -r -u "$fifo" id what host; do
		answer=$(power_do "$what" "$host") || answer="failed"
		[ "$what" = ping ] || echo "${EPOCHREALTIME/,/.} $id $what" \
			"$host: ${answer//$'\n'/ }"
		echo "$answer" >"$POWER_DIR/.$id"
		mv "$POWER_DIR/.$id" "$POWER_DIR/answer.$id"
	done
}
