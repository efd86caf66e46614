# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later

# A Xen host comes up, and commands and files go to and fro
case_host() {
	local rc=0
	hosts alpha
	xen_on alpha grep xen_caps /run/lab/xl-info </dev/null
	[ "$(xen_on alpha echo 'a  b' '$c;' "d'" </dev/null)" = "a  b \$c; d'" ]
	xen_on alpha sh -c 'exit 41' </dev/null || rc=$?
	[ "$rc" -eq 41 ]
	head -c 3000001 /dev/urandom >"$LAB_DIR/there"
	xen_put alpha "$LAB_DIR/there" /tmp/there
	xen_get alpha /tmp/there "$LAB_DIR/back"
	cmp "$LAB_DIR/there" "$LAB_DIR/back"
	xen_on alpha remusd --version </dev/null
}

# A PV guest serves a client on the other side of the bridge
case_guest() {
	hosts alpha
	xen_create alpha
	xen_on alpha xl list </dev/null
	host_exec client redis-cli -h "$XEN_VM_IP" set key value
	[ "$(host_exec client redis-cli -h "$XEN_VM_IP" get key)" = value ]
	xen_destroy alpha
	[ -z "$(xen_guests alpha)" ]
}
