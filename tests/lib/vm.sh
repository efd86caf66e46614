# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vm.sh - one replicated VM in the lab: alpha and beta with the product, a
# client host, the VM's definition on both, and how to ask about it.
# Needs packages, common, guest, hosts and build.

VM=vm1
VM_IP=10.77.2.10
VM_TAP=${VM}t0
CLIENT_IP=10.77.2.100

# vm_lab [KEY=VALUE...]: the lines go into the definition.
vm_lab() {
	lab_start
	# shellcheck disable=SC2034 # for hosts.sh
	HOST_ROOT=$PRODUCT_ROOT
	host_start alpha 10.77.1.1 "$(vm_svc 1)"
	host_start beta 10.77.1.2 "$(vm_svc 2)"
	host_start client - "$CLIENT_IP"
	vm_define "$@"
}

# The host's own address on the guests' network: only witnesses need it.
vm_svc() { [ -n "${WITNESSED:-}" ] && echo "10.77.2.$1" || echo -; }

vm_define() {
	local dir
	dir=$(host_dir alpha etc)
	(umask 077; head -c 32 /dev/urandom >"$dir/$VM.key")
	cat >"$dir/$VM.conf" <<-END
	# /etc/remus/$VM.conf, the same on alpha and beta
	name     = $VM
	memory   = ${VM_MEMORY:-128M}
	kernel   = $GUEST_KERNEL
	initrd   = $GUEST_INITRD
	append   = $(guest_append "$VM_IP/24" "$CLIENT_IP" "${VM_LOAD:-}")
	console  = /run/$VM.console
	tap      = $VM_TAP
	bridge   = br0
	node     = alpha 10.77.1.1:7070
	node     = beta  10.77.1.2:7070
	key_file = /etc/remus/$VM.key
	END
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$dir/$VM.conf"
	cp -p "$dir/$VM.key" "$dir/$VM.conf" "$(host_dir beta etc)/"
}

# vm_get HOST PATH: one value of `remusctl status --json`, by jq; empty when
# nobody answers.
vm_get() {
	host_exec "$1" remusctl status "$VM" --json 2>/dev/null |
		jq -r "$2 // empty" 2>/dev/null || :
}

vm_state_is() { [ "$(vm_get "$1" .state)" = "$2" ]; }

# remusd gets a standby ready when it begins, and refuses to start until then.
vm_start() {
	local out end
	end=$(($(now_ms) + 20000))
	until out=$(host_exec "$1" remusctl start "$VM" 2>&1); do
		if [[ $out != *preparing* || $(now_ms) -ge $end ]]; then
			echo "$out" >&2
			return 1
		fi
		sleep 0.1
	done
}

vm_link_is_down() { [ "$(vm_get "$1" '.link_up | tostring')" = false ]; }

vm_answers() {
	[ "$(host_exec client timeout 2 redis-cli -h "$VM_IP" ping 2>&1)" = PONG ]
}

# What to read when something went wrong.
vm_logs() {
	local f
	for f in "$LAB_DIR"/*-remusd.log; do
		[ -e "$f" ] || continue
		echo "--- ${f##*/}, its end"
		tail -n 30 "$f"
	done
}

# Frames that came out of a host onto the service network, ever.
vm_frames_out() {
	ip netns exec "$LAB_SWITCH" cat "/sys/class/net/s-$1/statistics/rx_packets"
}
