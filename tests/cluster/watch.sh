# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# watch.sh - virtual machines under the cluster, and who judges them: a client
# that counts what was acknowledged, and an ear at every host's cable.
#
#   vm_files VM               key and definition on both nodes; with WITNESSED
#                             set, witnesses decide (witness.sh)
#   vm_make VM [WORD...]      the same, then `pcs resource create` with the
#                             further words
#   settled                   all nodes online, every VM of $VMS protected, no
#                             failure
#   look                      sets P, where vm1 runs, and B, where its backup is;
#                             they stay so until the next look
#   watch_start [VM]          client and ears
#   watch_goes_on [VM]        more has been acknowledged than at the last call
#   watch_end VM HOSTS [WORD...]   nothing lost, doubled or reconnected, and the
#                             guest's frames came from these hosts, one after
#                             the other: "alpha beta" means never from alpha
#                             again after the first from beta.  WORD reconnected:
#                             the connection may have died (the guest was booted
#                             anew), and only the ears are judged

declare -A VM_ADDR=([vm1]=10.77.2.10 [vm2]=10.77.2.11)
declare -A VM_PORT=([vm1]=7070 [vm2]=7071)
declare -A WATCH_COUNT=() WATCH_TAG=() WATCH_EARS=()
VMS=(vm1)
WATCH_RATE=${WATCH_RATE:-100}

vm_files() {
	local vm=$1 h
	VM=$vm VM_IP=${VM_ADDR[$vm]} VM_TAP=${vm}t0 vm_define
	sed -i "s/:7070/:${VM_PORT[$vm]}/" "$(host_dir alpha etc)/$vm.conf" \
		"$(host_dir beta etc)/$vm.conf"
	[ -n "${WITNESSED:-}" ] || return 0
	for h in alpha beta; do
		witness_lines >>"$(host_dir "$h" etc)/$vm.conf"
		witness_key_to "$h"
	done
}

vm_make() {
	local vm=$1
	shift
	vm_files "$vm"
	on "$(any)" pcs resource create "$vm" ocf:remus:vm \
		"config=/etc/remus/$vm.conf" "$@" promotable notify=true
}

vm_value() { VM=$1 vm_get "$2" "$3"; }
vm_ping() { VM_IP=${VM_ADDR[$1]} vm_answers; }

# ---- how it should be ----

vm_protected() {
	local p
	p=$(where_promoted "$1-clone")
	[[ $p =~ ^[a-z]+$ ]] && [ "$(vm_value "$1" "$p" .state)" = protected ] &&
		unpromoted "$1-clone" "$(other "$p")"
}

other() { case $1 in alpha) echo beta ;; *) echo alpha ;; esac; }

all_protected() {
	local v
	for v in "${VMS[@]}"; do
		vm_protected "$v" || return 1
	done
}

settled() {
	local n v
	for n in "${NODES[@]}"; do
		wait_for 60 "$n online" online "$n"
	done
	wait_for 120 "${VMS[*]} protected" all_protected
	wait_for 60 "rest in the cluster" idle
	wait_for 30 "cluster without a failure" no_failures
	for v in "${VMS[@]}"; do
		wait_for 60 "an answer of $v" vm_ping "$v"
	done
}

# Of Pacemaker itself: a cleanup that comes while the same device is being started
# makes its controller drop the executor, and what was under way there, the guest's
# monitor too, goes down as failed.
executor_dropped() { crm_xml | has 'executor connection was dropped'; }

# DEVICE: forget that it failed.
clean_fencing() {
	on "$(any)" pcs stonith cleanup "$1"
	if ! wait_until 15 no_failures && executor_dropped; then
		say "Pacemaker has dropped an executor"
		on "$(any)" pcs resource cleanup vm1-clone
	fi
}

# shellcheck disable=SC2034 # for the cases
look() {
	P=$(where_promoted vm1-clone)
	B=$(other "$P")
}

# ---- the client ----

client_redis() {
	local vm=$1
	shift
	host_exec client timeout 5 redis-cli -h "${VM_ADDR[$vm]}" "$@" 2>/dev/null
}

watch_start() {
	local vm=${1:-vm1}
	watch_seq=$((${watch_seq:-0} + 1))
	WATCH_TAG[$vm]=w$watch_seq.$RANDOM
	watch_ears "$vm"
	host_spawn client "${WATCH_TAG[$vm]}" "$LAB_DIR/ackclient" \
		--host "${VM_ADDR[$vm]}" --rate "$WATCH_RATE" --quiet \
		--tag "${WATCH_TAG[$vm]}" --stall-limit 120 --seconds 3600
	on_exit watch_kill "${WATCH_TAG[$vm]}"
	WATCH_COUNT[$vm]=0
	watch_goes_on "$vm"
}

watch_kill() { host_signal client "$1" KILL 2>/dev/null || :; }
watch_verdict() { tail -n 1 "$LAB_DIR/client-${WATCH_TAG[$1]}.log"; }

watch_counter() {
	local n
	n=$(client_redis "$1" get "${WATCH_TAG[$1]}:counter")
	[[ $n =~ ^[0-9]+$ ]] && [ "$n" -gt "$2" ]
}

# Twenty more, so that a few stray ones do not do.
watch_goes_on() {
	local vm=${1:-vm1} seconds=${2:-60}
	host_alive client "${WATCH_TAG[$vm]}" || {
		say "the client of $vm has ended: $(watch_verdict "$vm")"
		return 1
	}
	wait_for "$seconds" "progress of the client of $vm" watch_counter \
		"$vm" $((WATCH_COUNT[$vm] + 20))
	WATCH_COUNT[$vm]=$(client_redis "$vm" get "${WATCH_TAG[$vm]}:counter")
}

# ---- the ears ----

watch_ears() {
	local vm=$1 n
	on_exit watch_ears_end "$vm"
	wait_for 20 "$vm's address at the client" client_knows_mac "$vm"
	for n in "${NODES[@]}"; do
		ip netns exec "$LAB_SWITCH" tcpdump -n -i "s-$n" -Q in -s 64 -U \
			--immediate-mode -w "$WATCH_DIR/$vm.$n.pcap" \
			"ether src $(client_mac "$vm")" \
			>"$WATCH_DIR/$vm.$n.ear" 2>&1 &
		WATCH_EARS[$vm]+=" $!"
		wait_for 20 "an ear at $n" grep -q "listening on" \
			"$WATCH_DIR/$vm.$n.ear"
	done
}

# Once: the numbers may be somebody else's later.
watch_ears_end() {
	local pid
	for pid in ${WATCH_EARS[$1]:-}; do
		kill_pid "$pid" INT
	done
	WATCH_EARS[$1]=
}

client_mac() {
	host_exec client ip neigh show "${VM_ADDR[$1]}" |
		sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'
}
client_knows_mac() { vm_ping "$1" && [ -n "$(client_mac "$1")" ]; }

# Hosts in the order in which the guest's frames came from them.
watch_heard() {
	local n
	for n in "${NODES[@]}"; do
		tcpdump -n -tt -r "$WATCH_DIR/$1.$n.pcap" 2>/dev/null |
			sed "s/ .*/ $n/"
	done | sort -n | cut -d ' ' -f 2 | uniq | paste -sd ' '
}

watch_end() {
	local vm=$1 hosts=$2 word=${3:-} result heard rc=0
	host_signal client "${WATCH_TAG[$vm]}" TERM 2>/dev/null || :
	wait_for 200 "verdict of the client" \
		not host_alive client "${WATCH_TAG[$vm]}"
	watch_ears_end "$vm"
	result=$(watch_verdict "$vm")
	say "client of $vm: $result"
	if [ "$word" != reconnected ]; then
		[[ " $result " == *" lost=0 duplicated=0 reconnects=0 "* &&
			$result != *error=?* ]] || rc=1
		[[ $result =~ acked=([0-9]+)\ stored=([0-9]+) &&
			${BASH_REMATCH[1]} -gt 0 &&
			${BASH_REMATCH[1]} -eq ${BASH_REMATCH[2]} ]] || rc=1
	fi
	heard=$(watch_heard "$vm")
	if [ "$heard" != "$hosts" ]; then
		say "frames of $vm came from: ${heard:0:60}; expected: $hosts"
		rc=1
	fi
	return "$rc"
}
