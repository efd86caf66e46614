# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The memory that the peer restored, against that of the source: at a checkpoint,
# with neither of the two domains having run since.

acked_is_still() {
	local n
	n=$(vm_get alpha .epoch_committed)
	sleep 1
	[ -n "$n" ] && [ "$(vm_get alpha .epoch_committed)" = "$n" ] &&
		[ "$(vm_get beta .epoch_committed)" = "$n" ]
}

domain_memory() { # HOST hold|dump DOMAIN
	xen_on "$1" sh -c '/run/lab/domain-memory "$1" "$(xl domid "$2")" >"$3"' \
		- "$2" "$3" "/var/tmp/dump.$2" </dev/null
}

# The guest stands still at a checkpoint, and that one is committed.
equality_hold() {
	local tries=0
	until domain_memory alpha hold "$VM"; do
		tries=$((tries + 1))
		[ "$tries" -lt 20 ] || die "it runs on before it can be held"
		xen_on alpha xl unpause "$VM" </dev/null
	done
	wait_until 20 acked_is_still ||
		die "the checkpoint is not committed: alpha $(vm_get alpha .epoch_committed)," \
			"beta $(vm_get beta .epoch_committed)"
}

equality_of() { # COMPRESSION
	pair_start "compression = $1"
	equality_hold
	domains_soon beta "$VM--standby "
	# Once for remusd, which unpauses it, and once more.
	xen_on beta xl pause "$VM--standby" </dev/null
	link_cut alpha repl
	must beta activate "$VM" --peer-is-dead
	domain_memory beta dump "$VM"
	domain_memory alpha dump "$VM"
	xen_get alpha /var/tmp/dump.dump "$LAB_DIR/alpha.memory"
	xen_get beta /var/tmp/dump.dump "$LAB_DIR/beta.memory"
	echo "compression $1, epoch $(vm_get beta .epoch_committed)," \
		"$(vm_get alpha .epochs) checkpoints"
	"$XEN_DIR/same-memory" "$LAB_DIR/alpha.memory" "$LAB_DIR/beta.memory"
	link_heal alpha repl
}

equality_case() {
	local h
	"${CC:-gcc}" -std=gnu11 -O2 -o "$LAB_DIR/domain-memory" \
		"$XEN_DIR/domain-memory.c" -lxenctrl -lxenguest -lxenforeignmemory
	hosts alpha beta
	for h in alpha beta; do
		xen_put "$h" "$LAB_DIR/domain-memory" /run/lab/domain-memory
	done
	XEN_LOAD=1000,8 equality_of "$1"
}

# Restored memory is the source's, page by page; nothing is compressed
case_equality_off() { equality_case off; }

# Restored memory is the source's, page by page; compressed as tightly as it goes
case_equality_tight() { equality_case tight; }
