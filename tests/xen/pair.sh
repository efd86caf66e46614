# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pair.sh - a guest of Xen protected by remusd, on alpha and beta.
#
#   pair_define [LINE...]   what an administrator would write, on both hosts;
#                           more lines for the definition
#   pair_start [LINE...]    ... remusd on both, the guest on alpha, protected;
#                           both are ended with the process that asked for it
#
# XEN_INTERVAL is the interval of checkpoints: 500ms.
#
# Needs lib.sh and ../e2e/lib.sh.

pair_define() {
	local h dir
	dir=$(host_dir pair etc)
	mkdir -p "$dir"
	[ -s "$dir/$VM.key" ] ||
		(umask 077; head -c 32 /dev/urandom >"$dir/$VM.key")
	cat >"$dir/$VM.conf" <<-END
	name         = $VM
	driver       = xen
	xl           = /etc/xen/$VM.cfg
	memory       = ${XEN_MEMORY:-128}M
	interval     = ${XEN_INTERVAL:-500ms}
	link_timeout = 20s
	node         = alpha 10.77.1.1:7070
	node         = beta  10.77.1.2:7070
	key_file     = /etc/remus/$VM.key
	END
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$dir/$VM.conf"
	xen_config >"$dir/$VM.cfg"
	for h in alpha beta; do
		host_exec "$h" mkdir -p /etc/remus </dev/null
		xen_put "$h" "$dir/$VM.key" "/etc/remus/$VM.key"
		xen_put "$h" "$dir/$VM.conf" "/etc/remus/$VM.conf"
		xen_put "$h" "$dir/$VM.cfg" "/etc/xen/$VM.cfg"
	done
}

# shellcheck disable=SC2120 # lines for the definition
pair_start() {
	local h
	hosts alpha beta
	pair_define "$@"
	on_exit pair_end
	for h in alpha beta; do
		# What it knew of the case before is not to matter.
		host_exec "$h" rm -f "/var/lib/remus/$VM.ticket" \
			</dev/null
		remusd_begin "$h"
	done
	must alpha start "$VM"
	wait_until 60 xen_answers || die "the guest does not answer"
	protect_from alpha
}

# The last lines of both, for when something went wrong, and no guest is left.
pair_end() {
	local h
	for h in alpha beta; do
		host_running "$h" || continue
		echo "--- $h"
		xen_on "$h" sh -c 'tail -n 20 /var/log/lab-remusd.log
			tail -n 5 /run/remus/*.xen.log; xl list' </dev/null
		host_alive "$h" remusd </dev/null || continue
		host_signal "$h" remusd TERM </dev/null || :
		wait_until 10 remusd_ended "$h" || :
	done
}
