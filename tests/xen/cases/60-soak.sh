# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later

SOAK_SECONDS=${SOAK_SECONDS:-1800}
SOAK_GROWTH_KB=2048

# Resident kB, and descriptors, of remusd and of all that it started.
soak_look() { # HOST
	# shellcheck disable=SC2016 # expands there
	xen_on "$1" sh -c '
		p=$(cat /run/lab/remusd.pid)
		awk "/^VmRSS/ { print \$2 }" "/proc/$p/status"
		ls "/proc/$p/fd" | wc -l
		pgrep -c -P "$p"' </dev/null | tr '\n' ' '
}

# Half an hour of checkpoints under load: nothing of remusd grows
case_soak() {
	local h end n kb fds kids
	declare -A before=()
	pair_start
	client_works
	host_spawn client load redis-benchmark -h "$XEN_VM_IP" -c 2 -d 64 \
		-r 5000 -n 100000000 -t set -q
	n=$(get alpha .epochs)
	wait_until 60 get_above alpha .epochs $((n + 60))
	for h in alpha beta; do
		before[$h]=$(soak_look "$h")
		fact "$h: kB, descriptors, processes: ${before[$h]}"
	done
	n=$(get alpha .epochs)
	end=$((SECONDS + SOAK_SECONDS))
	while [ $SECONDS -lt $end ]; do
		sleep 30
		get_is alpha .state protected ||
			die "alpha is $(vm_get alpha .state)"
	done
	n=$(($(get alpha .epochs) - n))
	fact "$SOAK_SECONDS s, $n checkpoints," \
		"$(get alpha .resyncs) resyncs"
	[ "$n" -gt $((SOAK_SECONDS / 4)) ]
	for h in alpha beta; do
		read -r kb fds kids <<<"$(soak_look "$h")"
		fact "$h: kB, descriptors, processes: $kb $fds $kids"
		read -r -a was <<<"${before[$h]}"
		[ "$kb" -le $((was[0] + SOAK_GROWTH_KB)) ]
		# One more or less may be a status connection's, or a writer's.
		[ "$fds" -le $((was[1] + 3)) ]
		[ "$kids" -le $((was[2] + 1)) ]
	done
	host_signal client load KILL
	client_end
}
