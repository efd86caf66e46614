# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2153 # set here for those who source it

# Created by one pcs line, and protected (fresh)
case_create() {
	VMS=(vm1)
	cluster_wipe
	cluster_start alpha beta
	vm_make vm1
	settled
	look
	[ "$(located vm1-clone | grep -c Promoted)" -eq 1 ]
	[ "$(vm_value vm1 "$P" .role)" = primary ]
	[ "$(vm_value vm1 "$B" .state)" = standby ]
	# A protected one is no failure and not degraded.
	on "$P" crm_mon -1A
	quiet "$P" crm_mon -1A | has "vm1.*primary protected"
	on "$P" pcs resource describe ocf:remus:vm | has "config (required"
	watch_start
	watch_end vm1 "$P"
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
