# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034 # set here for tests/cluster and tests/lib
#
# scenario_configs.sh - the three ways of judging that a host is dead, each with
# the same functions, NAME being heartbeat, qnetd or clientprobe:
#
#   NAME_set         once, in the shell that all scenarios come from
#   NAME_up          everything anew; vm1 protected
#   NAME_well        ... is it so?
#   NAME_heal        after a scenario, cables being whole again, everybody
#                    thawed and the power switches reachable
#   NAME_block HOST I   nothing passes between it and arbiter I; by a blackhole
#                    route, which goes when all is healed
#   NAME_kill, NAME_start I   arbiter I loses its power, comes back
#   NAME_find        sets P and B
#
# heartbeat, as classic Remus does: there is no cluster.  The replication stream
# is the heartbeat, and each side takes its breaking (link_timeout, 1.5 s without
# a word) for the death of the other.  A loop beside each remusd says so to it,
# by `remusctl activate|alone --peer-is-dead`.  A backup that has taken over does
# not listen to its old primary any more.  (A blackhole route does that: our
# remusd would otherwise tell the old primary, when both are connected again,
# and that one would step down, which classic Remus does not know.)
#
# qnetd: corosync-qnetd on a third host (ffsplit, TLS), corosync-qdevice with
# the same time-outs as remus-qdevice, Pacemaker, and a power switch (fence_lab).
#
# clientprobe: witnesses on three clients; remus-qdevice, fence_clientprobe, and
# remusd's arbiter; no power switch.

QS_IP=10.77.2.204
QS_DIRS=/etc/corosync
VMS=(vm1)
NODES=(alpha beta)

# ---- heartbeat ----

# Runs in a host.
classic_remus() {
	local role state link
	while sleep 0.1; do
		read -r role state link < <(remusctl status "$1" --json |
			jq -r '"\(.role) \(.state) \(.link_up)"')
		case "$role $state $link" in
		"backup standby false")
			remusctl activate "$1" --peer-is-dead &&
				ip route add blackhole "$2"
			;;
		"primary protected false" | "primary syncing false")
			remusctl alone "$1" --peer-is-dead
			;;
		esac
	done
}

heartbeat_set() { :; }

heartbeat_up() {
	local n
	cluster_wipe
	for n in alpha beta; do
		ip -n "$(host_ns "$n")" route flush type blackhole
		HOST_DIRS='' node_place "$n" start
	done
	vm_files vm1
	for n in alpha beta; do
		host_spawn "$n" remusd remusd -f vm1
		wait_for 20 "remusd on $n" quiet "$n" remusctl status vm1
	done
	vm_start alpha
	wait_for 60 "an answer of vm1" vm_ping vm1
	on alpha remusctl protect vm1
	wait_for 60 "vm1 protected" heartbeat_well
	for n in alpha beta; do
		host_spawn "$n" classic bash -c "$(declare -f classic_remus)
			classic_remus vm1 10.77.1.${NODE_ID[$(other "$n")]}"
	done
}

heartbeat_find() {
	P=alpha B=beta
	[ "$(vm_value vm1 beta .role)" != primary ] || P=beta B=alpha
}

heartbeat_well() {
	host_running alpha && host_running beta || return 1
	heartbeat_find
	[ "$(vm_value vm1 "$P" .state)" = protected ] &&
		[ "$(vm_value vm1 "$B" .state)" = standby ]
}

# Of two copies the one goes on that clients heard more of in the last three
# seconds; before cables are plugged in again.  The next scenario begins anew.
heartbeat_choose() {
	local n lose
	for n in alpha beta; do
		host_running "$n" || return 0
		[ "$(vm_value vm1 "$n" .role)" = primary ] || return 0
	done
	lose=$(frames | awk -v from=$((T1 - 3000)) -v p="$P" -v b="$B" '
		$1 * 1000 > from { heard[$2]++ }
		END { print heard[p] < heard[b] ? p : b }')
	say "two copies: that of $lose is ended"
	node_crash "$lose"
}

heartbeat_heal() { vm_ping vm1 || say "nobody answers"; }

heartbeat_block() { :; }
heartbeat_kill() { :; }
heartbeat_start() { :; }

# ---- both clusters ----

# As ocf_remus_vm(7) has it where quorum may be lost and come back.
cluster_set() { on alpha pcs property set no-quorum-policy=freeze; }

cluster_find() { look; [[ $P =~ ^(alpha|beta)$ ]]; }

cluster_well() {
	host_running alpha && host_running beta &&
		online alpha && online beta && all_protected && no_failures &&
		vm_ping vm1
}

# Who was fenced, or was told that it was, is switched on again.  What is left
# of failures is cleaned up after a while, as an administrator would.
cluster_heal() {
	local begin=$SECONDS cleaned='' n
	while [ $((SECONDS - begin)) -lt "$HEAL_S" ]; do
		for n in alpha beta; do
			node_on "$n" || return 1
		done
		if cluster_well; then
			idle
			return 0
		fi
		if [ -z "$cleaned" ] && [ $((SECONDS - begin)) -gt 20 ]; then
			cleaned=1
			quiet "$(any)" pcs resource cleanup >/dev/null 2>&1 || :
			quiet "$(any)" pcs stonith cleanup >/dev/null 2>&1 || :
		fi
		sleep 0.5
	done
	say "not well after $HEAL_S s"
	return 1
}

node_on() {
	if host_running "$1" && ! host_alive "$1" pacemakerd; then
		node_crash "$1"
	fi
	host_running "$1" || node_rejoin "$1"
}

# ---- corosync-qnetd ----

qnetd_device() {
	cat <<-END
	    device {
	        model: net
	        timeout: 3000
	        sync_timeout: 10000
	        votes: 1
	        net {
	            host: $QS_IP
	            algorithm: ffsplit
	            tls: required
	        }
	    }
	END
}

qnetd_start() {
	if host_running qs && host_alive qs qnetd; then
		return 0
	fi
	HOST_DIRS=$QS_DIRS
	host_running qs || host_start qs - "$QS_IP"
	host_exec qs mkdir -p /run/corosync-qnetd
	host_spawn qs qnetd corosync-qnetd -f
	wait_for 20 "the quorum server" host_exec qs corosync-qnetd-tool -s
}
qnetd_kill() {
	if ! host_running qs; then
		return 0
	fi
	say "the quorum server loses its power"
	host_kill qs
}

# The steps of corosync-qdevice-net-certutil(8), all on the server; nodes get
# the outcome as files.
qnetd_certificates() {
	host_start qs - "$QS_IP"
	host_exec qs sh -ec '
		server=/etc/corosync/qnetd/nssdb node=/etc/corosync/qdevice/net
		rm -rf "$server" "$node"
		mkdir -p "${server%/*}" "$node"
		corosync-qnetd-certutil -i
		corosync-qdevice-net-certutil -i -c "$server/qnetd-cacert.crt"
		corosync-qdevice-net-certutil -r -n lab
		corosync-qnetd-certutil -s -n lab \
			-c "$node/nssdb/qdevice-net-node.crq"
		corosync-qdevice-net-certutil -M -c "$server/cluster-lab.crt"
		' >"$LAB_DIR/certificates.log" 2>&1 ||
		die "no certificates: $(tail -n 5 "$LAB_DIR/certificates.log")"
}

qnetd_set() {
	QDEVICE=1
	QDEVICE_DAEMON=(sh -c "mkdir -p /run/corosync-qdevice
		exec corosync-qdevice -f")
	corosync_device() { qnetd_device; }
}

qnetd_up() {
	local n dir
	cluster_wipe
	HOST_DIRS=$QS_DIRS
	host_running qs || qnetd_certificates
	qnetd_start
	for n in alpha beta; do
		dir=$(host_dir "$n" disk)/etc/corosync
		mkdir -p "$dir"
		cp -a "$(host_dir qs disk)/etc/corosync/qdevice" "$dir/"
	done
	cluster_start alpha beta
	cluster_set
	vm_make vm1
	settled
	wait_for 30 "the vote of the quorum server" qnetd_votes
}

qnetd_votes() {
	quiet alpha corosync-quorumtool -s | has 'Total votes: *3$' &&
		quiet beta corosync-quorumtool -s | has 'Total votes: *3$'
}

qnetd_find() { cluster_find; }
qnetd_well() { cluster_well && qnetd_votes; }
qnetd_heal() { cluster_heal && wait_for 30 "the vote" qnetd_votes; }
qnetd_block() { host_exec "$1" ip route replace blackhole "$QS_IP"; }

# ---- clientprobe ----

clientprobe_set() { WITNESSED=1 QDEVICE=1; }

clientprobe_up() {
	local n
	cluster_wipe
	witness_end
	for n in "${WITNESSES[@]}"; do
		rm -rf "${LAB_DIR:?}/$n"/{disk,etc,lib}
	done
	witness_begin "vm1=${VM_ADDR[vm1]}"
	for n in alpha beta; do
		mkdir -p "$(host_dir "$n" etc)"
		witness_key_to "$n"
	done
	cluster_start alpha beta
	on alpha pcs stonith create clients fence_clientprobe \
		"witnesses=$(witness_list)" key_file=/etc/remus/witness.key
	on alpha pcs stonith delete power
	wait_for 60 "the device of the clients" started clients
	cluster_set
	vm_make vm1
	settled
}

clientprobe_find() { cluster_find; }
clientprobe_well() { cluster_well; }
clientprobe_heal() { cluster_heal; }
clientprobe_block() {
	host_exec "$1" ip route replace blackhole "$(witness_ip "w$2")"
}
clientprobe_kill() {
	if host_running "w$1"; then
		say "w$1 loses its power"
		witness_crash "w$1"
	fi
}
clientprobe_start() { host_running "w$1" || witness_start "w$1"; }
