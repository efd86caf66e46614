# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# common.sh - what every shell script under tests/ shares: messages, a stack of
# cleanups, waiting with a deadline, and ending processes by their stored pid.
#
# The cleanups run once, last one first, however the script ends: by itself, by
# an error under set -e, by INT, TERM or HUP.

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for those who source this
TOP_DIR=$(cd "$TESTS_DIR/.." && pwd)
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

log() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { warn "$*"; exit 1; }
skip() { warn "skipped: $*"; exit 77; }

# ---- cleanups ----

CLEANUPS=()

# on_exit CMD ARG...: the words are kept as they are.
on_exit() {
	[ "$BASHPID" = "$CLEANUP_PID" ] ||
		die "on_exit in a subshell would never run: $*"
	CLEANUPS+=("$(printf '%q ' "$@")")
}

run_cleanups() {
	local rc=$? i
	trap '' INT TERM HUP
	trap - EXIT
	set +e
	for ((i = ${#CLEANUPS[@]} - 1; i >= 0; i--)); do
		eval "${CLEANUPS[i]}"
	done
	exit "$rc"
}

# A subshell that wants cleanups of its own calls this first.
cleanups_begin() {
	CLEANUP_PID=$BASHPID
	CLEANUPS=()
	trap run_cleanups EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}
cleanups_begin

# make_tmp VAR: a directory that goes away at the end (REMUS_KEEP=1 keeps it).
make_tmp() {
	local dir
	dir=$(mktemp -d "${TMPDIR:-/tmp}/remus-test.XXXXXX")
	printf -v "$1" '%s' "$dir"
	[ -n "${REMUS_KEEP:-}" ] || on_exit rm -rf "$dir"
}

# ---- waiting ----

now_ms() {
	local s=${EPOCHREALTIME/[.,]/}
	echo $((s / 1000))
}

# wait_until SECONDS CMD ARG...: poll until CMD succeeds; 1 when it never did.
wait_until() {
	local end
	end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# CMD | has GREP-ARGS...: does its output match?  All of it is read first: with
# pipefail, a CMD that writes on after the first match fails of SIGPIPE.
has() {
	local all
	all=$(cat)
	grep -q "$@" <<<"$all"
}

# ---- processes, by stored pid only ----

pid_alive() { kill -0 "$1" 2>/dev/null; }
pid_gone() { ! pid_alive "$1"; }

# kill_pid PID [SIGNAL]: ask, wait three seconds, then SIGKILL; reap it.
kill_pid() {
	[ -n "${1:-}" ] || return 0
	if pid_alive "$1"; then
		kill -s "${2:-TERM}" "$1" 2>/dev/null || :
		kill -s CONT "$1" 2>/dev/null || :
		wait_pid_end "$1" 3 || kill -s KILL "$1" 2>/dev/null || :
	fi
	wait "$1" 2>/dev/null || :
}

# A zombie of ours has ended, though kill -0 still finds it.
pid_running() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) }
	[ "${stat%% *}" != Z ]
}
pid_ended() { ! pid_running "$1"; }
wait_pid_end() { wait_until "$2" pid_ended "$1"; }

# ---- the cache: what is dear to make and depends on its inputs alone ----

cache_dir() {
	local dir=${REMUS_CACHE:-${XDG_CACHE_HOME:-/var/cache}/remus-ha}
	mkdir -p "$dir"
	echo "$dir"
}

# machine_lock shared|exclusive: labs may run beside each other; a measurement
# wants the machine to itself, and waits until they are done.
machine_lock() {
	local flag=-s
	[ "$1" = shared ] || flag=-x
	exec {MACHINE_LOCK}>"$(cache_dir)/machine.lock"
	flock -n "$flag" "$MACHINE_LOCK" || {
		warn "waits: the machine is measured, or in use by a lab"
		flock "$flag" "$MACHINE_LOCK"
	}
}
