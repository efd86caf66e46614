# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# Created by one pcs line, and protected
case_create() {
	[ "$(located vm1-clone | grep -c Promoted)" -eq 1 ]
	[ "$(vm_value vm1 "$P" .role)" = primary ]
	[ "$(vm_value vm1 "$B" .state)" = standby ]
	# A protected one is no failure and not degraded.
	on "$P" crm_mon -1A
	quiet "$P" crm_mon -1A | has "vm1.*primary protected"
	watch_start
	watch_end vm1 "$P"
}

# The tools for people show parameters, defaults and actions
case_describe() {
	local out name
	out=$(quiet "$P" pcs resource describe ocf:remus:vm)
	# shellcheck disable=SC2013 # names
	for name in $(agent_parameters); do
		has -E "^  $name( \(.*\))?: " <<<"$out"
	done
	has "^  config (required) (unique" <<<"$out"
	has -E "^  cold_boot: .* Default: when-no-state\.$" <<<"$out"
	has -E "^  alone: .* Default: run\.$" <<<"$out"
	has -E "^  reconnect_wait: .* Default: 5\.$" <<<"$out"
	out=${out#*Default operations:}
	out=$(tr -s ' \n' ' ' <<<"$out")
	has "start: interval=0s timeout=60s stop: interval=0s timeout=60s" <<<"$out"
	has "monitor: interval=10s timeout=20s role=Promoted" <<<"$out"
	has "monitor: interval=11s timeout=20s role=Unpromoted" <<<"$out"
	has "promote: interval=0s timeout=60s demote: interval=0s timeout=60s" <<<"$out"
	has "notify: interval=0s timeout=30s" <<<"$out"

	out=$(quiet "$P" crm ra info ocf:remus:vm)
	for name in $(agent_parameters); do
		has -E "^$name\*? \(" <<<"$out"
	done
	has -F "config* (string): " <<<"$out"
	has -F "cold_boot (string, [when-no-state]): " <<<"$out"
	has -F "alone (string, [run]): " <<<"$out"
	has -F "reconnect_wait (integer, [5]): " <<<"$out"
	out=${out#*Operations}
	has -E "^ *promote +timeout=60s" <<<"$out"
	has -E "^ *monitor_Promoted +timeout=20s interval=10s" <<<"$out" ||
		has -E "^ *monitor +.*timeout=20s.*interval=10s" <<<"$out"
}

agent_parameters() {
	quiet "$P" crm_resource --show-metadata ocf:remus:vm |
		sed -n 's/^<parameter name="\([a-z_]*\)".*/\1/p'
}

# resource cleanup and refresh leave a running guest alone
case_cleanup() {
	watch_start
	on "$P" pcs resource cleanup vm1-clone
	wait_for 60 rest idle
	on "$B" pcs resource refresh vm1-clone
	wait_for 60 rest idle
	settled_at "$P"
	watch_goes_on
	watch_end vm1 "$P"
}

# disable ends the guest, enable boots it once
case_disable() {
	local generation
	generation=$(vm_value vm1 "$P" .generation)
	on "$P" pcs resource disable vm1-clone
	wait_for 120 "stopped" stopped vm1-clone
	for n in alpha beta; do
		wait_for 10 "no process of vm1 on $n" nothing_runs "$n"
	done
	on "$P" pcs resource enable vm1-clone
	settled
	look
	wait_for 20 "a newer generation" newer "$P" "$generation"
	watch_start
	watch_end vm1 "$P"
}

# A running guest is unmanaged: what happens to the cluster does not touch it
case_unmanage() {
	watch_start
	on "$P" pcs resource unmanage vm1-clone
	wait_for 60 rest idle
	node_leave "$P"
	watch_goes_on
	vm_runs_at "$P"
	node_rejoin "$P"
	wait_for 60 rest idle
	on "$P" pcs resource manage vm1-clone
	settled_at "$P"
	watch_goes_on
	watch_end vm1 "$P"
}

# Maintenance mode: the cluster's software ends and comes back around the guest
case_maintenance() {
	watch_start
	on "$P" pcs property set maintenance-mode=true
	wait_for 60 rest idle
	node_leave "$B"
	node_leave "$P"
	watch_goes_on
	vm_runs_at "$P"
	node_join "$B"
	node_rejoin "$P"
	wait_for 60 "$B online" online "$B"
	on "$P" pcs property set maintenance-mode=false
	settled_at "$P"
	watch_goes_on
	watch_end vm1 "$P"
}

# ---- shared ----

# Still where it was.
settled_at() {
	settled
	wait_for 30 "vm1 at $1 still" promoted vm1-clone "$1"
}

nothing_runs() {
	! quiet "$1" pgrep -x remusd && ! quiet "$1" pgrep -f guest=vm1
}

vm_runs_at() {
	[ "$(vm_value vm1 "$1" .role)" = primary ] &&
		quiet "$1" pgrep -f guest=vm1 >/dev/null
}
