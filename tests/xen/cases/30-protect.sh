# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest of Xen protected by remusd: what the e2e cases ask of QEMU.

domains_are() { # HOST WORDS
	[ "$(xen_guests "$1" | sort | tr '\n' ' ')" = "$2" ]
}
domains_soon() {
	wait_until 10 domains_are "$1" "$2" ||
		die "domains of $1: $(xen_guests "$1")"
}

# What a domain leaves behind in xenstore when it was not taken away in full.
xenstore_has_none() { # HOST OF
	local all
	all=$(xen_on "$1" xenstore-ls -f </dev/null)
	case $all in
	*"$2"*) die "$1: xenstore has something of $2 still" ;;
	esac
}

# An emulated guest is slow to answer: enough for a verdict.
client_works() { # [COUNT]
	client_begin --stall-limit 600
	client_goes_on 60
	wait_until 60 client_is_past "${1:-25}" || die "the client is too slow"
}

# A protected guest outlives its host: no acknowledged write is lost
case_failover() {
	pair_start
	domains_soon alpha "$VM "
	domains_soon beta "$VM--standby "
	client_works
	host_kill alpha
	must beta activate "$VM" --peer-is-dead
	soon beta .state active
	client_goes_on 60
	domains_soon beta "$VM "
	client_end
}

# A guest is moved there and back while a client writes
case_switchover() {
	local from=alpha to
	pair_start
	client_works
	for to in beta alpha; do
		client_goes_on 60
		must "$from" demote "$VM"
		domains_soon "$from" ""
		must "$to" activate "$VM"
		client_goes_on 60
		protect_from "$to"
		domains_soon "$to" "$VM "
		from=$to
	done
	client_end
}

# What is discarded leaves no domain and nothing in xenstore
case_discard() {
	local free
	hosts alpha beta
	free=$(xen_on beta xl info free_memory </dev/null)
	pair_start
	domains_soon beta "$VM--standby "
	must beta stop "$VM"
	domains_soon beta ""
	xenstore_has_none beta "$VM"
	[ "$(xen_on beta xl info free_memory </dev/null)" -eq "$free" ]
	must alpha alone "$VM" --peer-is-dead
	wait_until 10 xen_answers
	must alpha stop "$VM"
	domains_soon alpha ""
	xenstore_has_none alpha "$VM"
}

# kill -9 of the primary's remusd: the guest ends with it, and lives on the peer
case_remusd_killed() {
	pair_start
	client_works
	host_signal alpha remusd KILL </dev/null
	domains_soon alpha ""
	must beta activate "$VM" --peer-is-dead
	client_goes_on 60
	domains_soon beta "$VM "
	remusd_begin alpha
	refused alpha 1 'protected\(alpha,beta\)' remusctl start "$VM"
	protect_from beta
	client_end
}

# A standby domain that somebody destroyed: it comes back, and the guest too
case_standby_destroyed() {
	pair_start
	domains_soon beta "$VM--standby "
	client_works
	xen_on beta xl destroy "$VM--standby" </dev/null
	client_goes_on
	host_kill alpha
	must beta activate "$VM" --peer-is-dead
	client_goes_on 60
	client_end
}

# In a process of its own, so that what it began ends with it.
nested_try() ( # TYPE COUNT
	set -e
	cleanups_begin
	XEN_TYPE=$1 pair_start
	client_works "$2"
	host_kill alpha
	must beta activate "$VM" --peer-is-dead
	client_goes_on 60
	client_end
)

# Two tries: QEMU's nested paging is not sound.
nested_case() { # TYPE COUNT
	local try rc
	for try in 1 2; do
		rc=0
		set +e
		nested_try "$@"
		rc=$?
		set -e
		[ "$rc" -ne 0 ] || break
		xen_guest_log alpha || :
		xen_guest_log beta || :
		xen_off
	done
	fact "$1: try $try of 2, exit $rc"
	[ "$rc" -eq 0 ]
}

# A PVH guest outlives its host
case_pvh() { nested_case pvh 25; }

# An HVM guest outlives its host, and its device model goes on with it
case_hvm() {
	# So emulated it takes two seconds to suspend: an answer may take ten.
	CLIENT_ASKS_S=30 XEN_INTERVAL=2s nested_case hvm 5
}
