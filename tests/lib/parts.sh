# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parts.sh - what a part of tests/check (tests/parts/NN-NAME.sh) has at hand.
#
# A part is sourced in a process of its own, with `set -eu`, in an empty
# directory $PART_DIR; $SRC is a copy of the sources with ./configure made,
# $GCC_BUILD where the part gcc has built it (when that has run).  It counts with
#
#   t_run NAME CMD...   run CMD, its output kept in a log: exit 0 passes, 77 is
#                       skipped (the last line of output is the reason), all
#                       else fails and the log is shown
#   t_skip NAME WHY
#   t_last_line         show the last line of what t_run ran last
#   t_build DIR [CONFIGURE-ARG...]    configure and make in DIR, as one count
#   t_cases CMD...      run CMD, which prints "ok CASE ...", "not ok CASE: why" or
#                       "skipped CASE: why" for each of its cases
#   t_make_check DIR TARGET [ARG...]  `make TARGET`; every test in it counts
#
# A part that ends with an error without having counted one, counts as failed.
# The first comment line after the licence is its title; a line `# when: all`
# leaves it to --all, `# when: asked` to --only.

t_log_seq=0

t_count() { # pass|fail|skip NAME [WHY]
	printf '%s\t%s\t%s\n' "$1" "$PART: $2" "${3:-}" >>"$RESULTS"
	printf '    %-5s %s%s\n' "$1" "$2" "${3:+: $3}"
}

t_skip() { t_count skip "$1" "$2"; }

t_show() {
	echo "    ---- $1: the last of $(wc -l <"$2") lines"
	tail -n "${T_LINES:-60}" "$2" | sed 's/^/    | /'
	echo "    ----"
}

t_run() {
	local name=$1 log rc=0
	shift
	t_log_seq=$((t_log_seq + 1))
	log=$PART_DIR/log.$t_log_seq
	"$@" </dev/null >"$log" 2>&1 || rc=$?
	case $rc in
	0) t_count pass "$name" ;;
	77) t_count skip "$name" "$(tail -n 1 "$log")" ;;
	*)
		t_count fail "$name" "exit $rc"
		t_show "$name" "$log"
		return 1
		;;
	esac
}

# What the last t_run ended with.
t_last_line() {
	printf '          %s\n' "$(tail -n 1 "$PART_DIR/log.$t_log_seq")"
}

t_build_run() (
	dir=$1
	shift
	mkdir -p "$dir" && cd "$dir" && "$SRC/configure" --quiet "$@" &&
		make -s -j"$(nproc)"
)

t_build() {
	local dir=$1
	shift
	t_run "builds${*:+ with $*}" t_build_run "$dir" "$@"
}

# A runner that ends without having told of a case, or after a death of its
# own, has failed too.
t_cases() {
	local log rc=0 verdict rest counted=0 failed=0
	t_log_seq=$((t_log_seq + 1))
	log=$PART_DIR/log.$t_log_seq
	"$@" </dev/null 2>"$log.err" | tee "$log" | sed -u 's/^/    | /' ||
		rc=$?
	while read -r verdict rest; do
		counted=1
		case $verdict in
		ok) t_count pass "${rest%% *}" ;;
		skipped) t_count skip "${rest%%:*}" "${rest#*: }" ;;
		not)
			rest=${rest#ok }
			failed=1
			t_count fail "${rest%%:*}" "${rest#*: }"
			;;
		esac
	done < <(grep -E '^(ok|not ok|skipped) ' "$log")
	if [ "$counted" -eq 0 ] || { [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; }
	then
		t_count fail "${1##*/}" "exit $rc"
	fi
	[ "$rc" -eq 0 ] || t_show "${1##*/}" "$log.err"
	return "$rc"
}

# Where cmocka saw the first failure, or else the last line.
t_why() { # LOG
	local what where
	what=$(sed -n '/^\[  ERROR   \] --- \(.*\)/{s//\1/p;q}' "$1")
	where=$(sed -n '/^\[   LINE   \] --- \(.*\): error.*/{s//\1/p;q}' "$1")
	if [ -n "$what$where" ]; then
		echo "${where##*/}: $what"
	else
		tail -n 1 "$1"
	fi
}

# The lines PASS:, FAIL:, SKIP:, ERROR:, XPASS: that automake prints.
t_make_check() {
	local dir=$1 log rc=0 kind test counted=0 why
	shift
	t_log_seq=$((t_log_seq + 1))
	log=$PART_DIR/log.$t_log_seq
	make -C "$dir" -j"$(nproc)" "$@" </dev/null >"$log" 2>&1 || rc=$?
	while read -r kind test _; do
		counted=1
		case $kind in
		PASS: | XFAIL:) t_count pass "$test" ;;
		SKIP:)
			why=$(tail -n 2 "$dir/${test%.sh}.log" 2>/dev/null |
				head -n 1)
			t_count skip "$test" "${why:-no reason given}"
			;;
		*)
			t_count fail "$test" "$(t_why "$dir/${test%.sh}.log")"
			t_show "$test" "$dir/${test%.sh}.log"
			;;
		esac
	done < <(grep -E '^(PASS|FAIL|SKIP|ERROR|XPASS|XFAIL): ' "$log")
	[ "$rc" -ne 0 ] || [ "$counted" -ne 0 ] || t_skip "make $1" "no tests"
	[ "$rc" -eq 0 ] || [ "$counted" -ne 0 ] || {
		t_count fail "make $1" "exit $rc"
		t_show "make $1" "$log"
	}
	# A broken build that comes after some passes must not pass.
	[ "$rc" -eq 0 ] || grep -q "^fail"$'\t'"$PART: " "$RESULTS" || {
		t_count fail "make $1" "exit $rc"
		t_show "make $1" "$log"
	}
	return "$rc"
}
