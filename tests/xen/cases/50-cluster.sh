# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later

xen_protected() {
	local p
	p=$(where_promoted "$VM-clone")
	[[ $p =~ ^[a-z]+$ ]] && vm_state_is "$p" protected &&
		unpromoted "$VM-clone" "$(peer_of "$p")"
}

# Pacemaker moves the guest of a host that it fenced; a client notices nothing
case_cluster() {
	local from to
	hosts alpha beta
	pair_define
	on_exit cluster_story
	cluster_start alpha beta
	on alpha pcs resource create "$VM" ocf:remus:vm \
		"config=/etc/remus/$VM.conf" \
		op start timeout=300s op stop timeout=300s \
		op promote timeout=300s op demote timeout=300s \
		op notify timeout=120s \
		op monitor role=Promoted interval=20s timeout=120s \
		op monitor role=Unpromoted interval=21s timeout=120s \
		promotable notify=true
	wait_for 120 "$VM protected" xen_protected
	from=$(where_promoted "$VM-clone")
	to=$(peer_of "$from")
	wait_for 60 "an answer of the guest" xen_answers
	client_works
	say "$from loses its power"
	host_kill "$from"
	wait_for 120 "$VM promoted on $to" promoted "$VM-clone" "$to"
	on "$to" crm_mon -1
	client_goes_on 60
	client_end
	has " off $from: off" <"$POWER_DIR/log"
}

# shellcheck disable=SC2154 # run_cleanups' rc
cluster_story() {
	local n
	for n in alpha beta; do
		host_running "$n" || continue
		say "--- $n"
		[ "$rc" -eq 0 ] || xen_on "$n" sh -c 'crm_mon -1AfrnL
			grep -E " (error|warning|crit): " /var/log/pacemaker/pacemaker.log |
				tail -n 30
			tail -n 40 /var/log/syslog' </dev/null || :
	done
	cat "$POWER_DIR/log" || :
	# What they left is not for the next case.
	xen_off
}
