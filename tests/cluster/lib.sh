# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - a real cluster in the lab: corosync, pacemaker and pcs on hosts of
# tests/lib/hosts.sh, with a fence device that really kills.
#
#                 repl0        br0/svc0      ring0
#     alpha     10.77.1.1     10.77.2.1    10.77.3.1
#     beta      10.77.1.2     10.77.2.2    10.77.3.2
#     gamma     10.77.1.3     10.77.2.3    10.77.3.3
#     client        -        10.77.2.100       -
#
# Three cables a host, so that replication (repl), the guests' network (svc) and
# the cluster's heartbeat (ring) can be cut one by one.  What a node keeps on
# its disk (CIB, corosync's ring number, definitions, tickets, logs) outlives
# node_crash; its /run and /dev/shm do not.
#
#   cluster_start NODE...     nodes with everything up: quorate, a DC elected,
#                             STONITH enabled by fence_lab
#   cluster_stop              all of it off, as if the mains had failed
#   node_crash NODE           power failure
#   node_freeze, node_thaw    SIGSTOP, SIGCONT for all of it
#   node_leave NODE           cluster software stopped in good order
#   node_rejoin NODE          switched on again (or only the cluster software)
#   unplug, plug NODE CABLE   repl, svc or ring
#   on NODE CMD...            run it there and show it, with what it prints
#   quiet NODE CMD...         run it there
#   any                       a node that runs and is not frozen
#   wait_for SECONDS WHAT CMD...   poll CMD; say WHAT did not come and fail
#
# Conditions for wait_for, all by what Pacemaker's own tools print:
#   online NODE, offline NODE, quorate NODE, promoted RSC NODE,
#   unpromoted RSC NODE, stopped RSC, idle, no_failures
#
# With QDEVICE set, the witnesses of tests/lib/witness.sh are corosync's quorum
# device, by remus-qdevice on each node.  Another one: corosync_device, which
# prints its section, and QDEVICE_DAEMON, what runs on each node.
#
# corosync.conf is what an administrator would write: knet, token 1000 ms (a
# lost node is noticed about 1.5 s after its last word), two_node (which implies
# wait_for_all) with two nodes; with three, a majority, and auto_tie_breaker off
# because it makes no difference to an odd number.

CLUSTER_DIR=$TESTS_DIR/cluster
# shellcheck source-path=SCRIPTDIR source=power.sh
. "$CLUSTER_DIR/power.sh"

declare -A NODE_ID=([alpha]=1 [beta]=2 [gamma]=3)
NODES=()
NODE_DIRS="/etc/corosync /etc/pacemaker /var/lib/corosync /var/lib/pacemaker
	/var/lib/pcsd /var/log"
TOKEN_MS=${TOKEN_MS:-1000}
QDEVICE_DAEMON=(remus-qdevice -f)

# ---- one node ----

# With the seconds since the case began.
say() { printf '%5d  %s\n' $((SECONDS - ${BEGIN_S:-0})) "$*"; }
note() { printf '       | %s\n' "${*//$'\n'/$'\n'       | }"; }

quiet() { host_exec "$@"; }

on() {
	local node=$1 out rc=0
	shift
	say "$node# $*"
	out=$(host_exec "$node" "$@" 2>&1) || rc=$?
	[ -z "$out" ] || note "$out"
	return "$rc"
}

corosync_conf() {
	local n
	cat <<-END
	totem {
	    version: 2
	    cluster_name: lab
	    transport: knet
	    token: $TOKEN_MS
	    crypto_cipher: none
	    crypto_hash: none
	}
	nodelist {
	END
	for n in "$@"; do
		cat <<-END
		    node {
		        name: $n
		        nodeid: ${NODE_ID[$n]}
		        ring0_addr: 10.77.3.${NODE_ID[$n]}
		    }
		END
	done
	cat <<-END
	}
	quorum {
	    provider: corosync_votequorum
	END
	if [ -n "${QDEVICE:-}" ]; then
		corosync_device
	elif [ $# -eq 2 ]; then
		echo "    two_node: 1"
	fi
	cat <<-END
	}
	system {
	    move_to_root_cgroup: no
	}
	logging {
	    to_logfile: yes
	    logfile: /var/log/corosync.log
	    to_syslog: no
	    to_stderr: no
	    timestamp: hires
	}
	END
}

# As `pcs quorum device add ... model clientprobe` writes it.
corosync_device() {
	cat <<-END
	    device {
	        model: clientprobe
	        timeout: 3000
	        sync_timeout: 10000
	        votes: 1
	        clientprobe {
	            witnesses: $(witness_list)
	        }
	    }
	END
}

# The node's disk, as the installation of the packages would leave it.
node_prepare() {
	local disk d
	disk=$(host_dir "$1" disk)
	mkdir -p "$disk"/etc/{corosync/uidgid.d,pacemaker} \
		"$disk"/var/lib/{corosync,pcsd} "$disk"/var/log/{pacemaker,cluster,crmsh}
	for d in cib pengine cores blackbox; do
		mkdir -p "$disk/var/lib/pacemaker/$d"
	done
	chown -R hacluster:haclient "$disk/var/lib/pacemaker" \
		"$disk/var/log/pacemaker"
	chmod 750 "$disk"/var/lib/pacemaker/*
	chmod 770 "$disk/var/log/pacemaker"
	corosync_conf "${NODES[@]}" >"$disk/etc/corosync/corosync.conf"
	[ -e "$disk/var/lib/pacemaker/cib/cib.xml" ] ||
		node_first_cib "$disk/var/lib/pacemaker/cib/cib.xml"
}

# With nobody there yet, the first election waits for dc-deadtime, 20 s.
node_first_cib() {
	cibadmin --empty | sed 's|<crm_config/>|<crm_config>\
		<cluster_property_set id="cib-bootstrap-options">\
		<nvpair id="cib-bootstrap-options-dc-deadtime"\
		 name="dc-deadtime" value="4s"/>\
		</cluster_property_set></crm_config>|' >"$1"
	chown hacluster:haclient "$1"
	chmod 600 "$1"
}

node_place() {
	local id=${NODE_ID[$1]}
	"host_${2:-place}" "$1" "10.77.1.$id" "10.77.2.$id" "10.77.3.$id"
}

node_boot() {
	# shellcheck disable=SC2034 # for hosts.sh
	HOST_DIRS=$NODE_DIRS
	node_place "$1" start
	# shellcheck disable=SC2016 # expands in the host
	host_exec "$1" sh -c '
		mkdir -p /run/lab-power /run/crm
		mount --bind "$0" /run/lab-power
		chown hacluster:haclient /run/crm
		mkdir -m 1755 /run/resource-agents' "$POWER_DIR"
	node_syslog "$1"
}

# The machine's /dev/log is not for hosts: each logs to its own disk, where
# node_logs finds it.
node_syslog() {
	# shellcheck disable=SC2016
	host_exec "$1" sh -c '
		mkdir -p /run/lab/dev /run/lab/up/dev /run/lab/work/dev
		mount --rbind /dev /run/lab/dev
		mount -t overlay overlay -o "lowerdir=/dev,upperdir=/run/lab/up/dev,workdir=/run/lab/work/dev" /dev
		for d in shm pts net; do
			mkdir -p "/dev/$d"
			mount --rbind "/run/lab/dev/$d" "/dev/$d"
		done
		rm -f /dev/log'
	host_spawn "$1" syslog busybox syslogd -n -O /var/log/syslog -S
	wait_until 5 host_exec "$1" test -S /dev/log ||
		die "no syslog on $1"
}

node_join() {
	host_spawn "$1" corosync corosync -f
	wait_until 20 host_exec "$1" corosync-cfgtool -s ||
		die "corosync does not come up on $1"
	[ -z "${QDEVICE:-}" ] || host_spawn "$1" qdevice "${QDEVICE_DAEMON[@]}"
	host_spawn "$1" pacemakerd pacemakerd -f
}

node_crash() { say "$1 loses its power"; host_kill "$1"; }
node_freeze() { say "$1 freezes"; : >"$LAB_DIR/$1/frozen"; host_freeze "$1"; }
node_thaw() {
	say "$1 thaws"
	! host_running "$1" || host_thaw "$1"
	rm -f "$LAB_DIR/$1/frozen"
}

node_leave() {
	say "$1: pacemaker and corosync are stopped"
	host_signal "$1" pacemakerd TERM
	wait_for 90 "the end of pacemakerd on $1" not host_alive "$1" pacemakerd
	! host_alive "$1" qdevice || host_signal "$1" qdevice TERM
	host_signal "$1" corosync TERM
	wait_for 30 "the end of corosync on $1" not host_alive "$1" corosync
}

node_rejoin() {
	say "$1 comes back"
	rm -f "$LAB_DIR/$1/frozen"
	host_running "$1" || node_boot "$1"
	node_join "$1"
	wait_for 60 "$1 online" online "$1"
}

unplug() { say "$1: cable $2 is cut"; link_cut "$1" "$2"; }
plug() { say "$1: cable $2 is whole again"; link_heal "$1" "$2"; }

# ---- the cluster ----

cluster_prepare() {
	packages_need build lab cluster
	product_build
	guest_image
}

# The lab, once in a script: switch, client, fence device, files.
cluster_lab() {
	lab_start
	HOST_ROOT=$LAB_DIR/root
	cp -a "$PRODUCT_ROOT" "$HOST_ROOT"
	install -D "$CLUSTER_DIR/fence_lab" "$HOST_ROOT/usr/sbin/fence_lab"
	power_start
	local n
	for n in "${!NODE_ID[@]}"; do
		node_place "$n"
	done
	# Here, not in a case's own process: who places a host removes it.
	for n in ${WITNESSES[@]+"${WITNESSES[@]}"}; do
		host_place "$n" - "$(witness_ip "$n")"
	done
	host_start client - "$CLIENT_IP"
	cluster_hub
}

# The guests' network is a hub, not a switch: what the client sends reaches
# every host.  A second copy that could be seen answers, and is heard, at once,
# instead of waiting in silence because nothing is sent to it any more.
cluster_hub() {
	local n
	ip -n "$LAB_SWITCH" link set s-client type bridge_slave learning off
	for n in "${!NODE_ID[@]}"; do
		ip -n "$LAB_SWITCH" link set "s-$n" type bridge_slave learning off
		ip -n "$(host_ns "$n")" link set svc0 type bridge_slave learning off
	done
}

cluster_start() {
	local n
	NODES=("$@")
	for n in "${NODES[@]}"; do
		node_prepare "$n"
		node_boot "$n"
	done
	for n in "${NODES[@]}"; do
		node_join "$n"
	done
	for n in "${NODES[@]}"; do
		wait_for 60 "$n online" online "$n"
	done
	cluster_fencing
}

cluster_stop() {
	local n
	for n in "${!NODE_ID[@]}"; do
		! host_running "$n" || host_kill "$n"
		rm -f "$LAB_DIR/$n/frozen"
	done
}

# Disks too: the next cluster_start begins from nothing.
cluster_wipe() {
	local n
	cluster_stop
	for n in "${!NODE_ID[@]}"; do
		rm -rf "${LAB_DIR:?}/$n"/{disk,etc,lib}
	done
	rm -f "$POWER_DIR"/fail.*
}

# One device for all nodes.  `off` and not `reboot`: when a node comes back is
# up to the test.
cluster_fencing() {
	local n
	n=$(any)
	on "$n" pcs stonith create power fence_lab \
		"pcmk_host_list=${NODES[*]}" op monitor interval=60s
	on "$n" pcs property set stonith-action=off stonith-enabled=true
	wait_for 60 "the fence device" started power
}

any() {
	local n
	for n in "${NODES[@]}"; do
		if host_running "$n" && [ ! -e "$LAB_DIR/$n/frozen" ]; then
			echo "$n"
			return 0
		fi
	done
	die "no node runs"
}

# ---- conditions ----

not() { ! "$@"; }

# QUERY: which node is asked; a case that cuts the ring sets it to the side
# that it means.
asked() { echo "${QUERY:-$(any)}"; }

crm_xml() {
	quiet "$(asked)" timeout 20 crm_mon -1 --output-as=xml 2>/dev/null
}

node_attrs() { # NODE ATTR=VALUE...
	local line word
	line=$(crm_xml | grep "<node name=\"$1\" id=") || return 1
	shift
	for word in "$@"; do
		[[ $line == *" ${word%%=*}=\"${word#*=}\""* ]] || return 1
	done
}
online() { node_attrs "$1" online=true unclean=false pending=false && has_dc; }
offline() { node_attrs "$1" online=false unclean=false; }
has_dc() { crm_xml | has '<current_dc present="true"'; }
quorate() { crm_xml | has 'with_quorum="true"'; }

located() {
	quiet "$(asked)" timeout 20 crm_resource --locate --resource "$1" \
		2>/dev/null
}
promoted() { located "$1" | has "on: $2 Promoted\$"; }
unpromoted() { located "$1" | has -E "on: $2 *\$"; }
started() { located "$1" | has "is running on: "; }
stopped() {
	local out
	out=$(quiet "$(asked)" timeout 20 crm_resource --locate --resource "$1" \
		2>&1) || return 1
	[[ $out == *"is NOT running"* && $out != *"is running on"* ]]
}
where_promoted() {
	located "$1" | sed -n 's/.* on: \([^ ]*\) Promoted$/\1/p'
}

# Nothing left to do.
idle() { quiet "$(asked)" timeout 30 crm_resource --wait --timeout=20 >/dev/null 2>&1; }
no_failures() { local xml; xml=$(crm_xml) && ! has '<failure ' <<<"$xml"; }

wait_for() {
	local seconds=$1 what=$2
	shift 2
	if wait_until "$seconds" "$@"; then
		say "there: $what"
		return 0
	fi
	say "in $seconds s there was no: $what"
	return 1
}

# ---- what to read after a failure ----

cluster_logs() {
	local n
	for n in "${NODES[@]}"; do
		! host_running "$n" || [ -e "$LAB_DIR/$n/frozen" ] || {
			say "--- $n: crm_mon"
			note "$(quiet "$n" timeout 20 crm_mon -1AfrnL 2>&1)"
		}
	done
	say "--- the fence device: ID request host: answer"
	note "$(power_log | tail -n 10)"
	for n in "${NODES[@]}"; do
		say "--- $n: what its agents, remusd and scheduler said"
		note "$(tail -n 400 "$(host_dir "$n" disk)/var/log/pacemaker/pacemaker.log" \
			2>/dev/null | grep -E ' (error|warning|crit): ' |
			tail -n "${LOG_LINES:-40}")"
		note "$(tail -n "${LOG_LINES:-40}" \
			"$(host_dir "$n" disk)/var/log/syslog" 2>/dev/null)"
	done
}
