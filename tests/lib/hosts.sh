# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# hosts.sh - hosts made of namespaces, and the cables between them.
#
#        client                      alpha                       beta
#     svc0 10.77.2.100         svc0 - br0 - (TAP)          svc0 - br0 - (TAP)
#        |                        |       repl0 10.77.1.1    |   repl0 10.77.1.2
#        |                        |         |                |     |
#   ---- s-client ------------ s-alpha -----|------------- s-beta -|-- bridge brs
#                                        r-alpha ------------- r-beta bridge brr
#
# A third cable, ring0 to a bridge brc, is for hosts that form a cluster.
#
# The bridges live in a namespace of their own, the switch; the machine's main
# namespace sees none of this.  Every host has its own network, mounts, host
# name, IPC and processes; /run, /dev/shm, /tmp/remus-host are its own, and so
# are /etc/remus and /var/lib/remus, which outlive host_kill as a disk does.
# What HOST_ROOT names (a DESTDIR) is laid over /usr, /etc and /var/lib of each
# host, so that the host has it installed and the machine does not.
#
#   lab_start                      the switch; lab_stop comes by itself
#   host_start NAME REPL_IP SVC_IP [RING_IP]
#                                  '-' for no such interface or address
#   host_place, the same           only its place and cables; for a script that
#                                  starts hosts in subshells
#   HOST_DIRS                      more directories that are a host's own and
#                                  outlive it; they begin as the machine's are,
#                                  or as host_dir NAME disk/DIR was prepared
#   host_exec NAME CMD...          run a command in it
#   host_spawn NAME TAG CMD...     the same in the background; host_signal NAME
#                                  TAG SIG reaches it; log in $LAB_DIR/NAME-TAG.log
#   host_kill NAME                 the power fails: nothing gets a last word
#   host_freeze, host_thaw NAME    SIGSTOP and SIGCONT for all of it
#   link_cut, link_heal NAME repl|svc|ring
#   link_throttle NAME MBIT        both directions of NAME's replication cable;
#                                  0: as fast as it goes
#   host_dir NAME etc|lib          its /etc/remus or /var/lib/remus, from outside
#   host_running NAME              does anything of it run?

LAB_ID="rl$$"
LAB_DIR=
LAB_SWITCH="$LAB_ID-sw"
declare -A HOST_PID=() HOST_UNSHARE=()
declare -a LAB_NETNS=()

lab_start() {
	[ "$(id -u)" -eq 0 ] || skip "the lab needs root"
	make_tmp LAB_DIR
	on_exit lab_stop
	lab_add_netns "$LAB_SWITCH"
	lab_bridge brs
	lab_bridge brr
	lab_bridge brc
}

lab_add_netns() {
	LAB_NETNS+=("$1")
	ip netns add "$1"
	ip -n "$1" link set lo up
	# No address, no neighbour discovery: only what the test sends.
	ip netns exec "$1" sysctl -q net.ipv6.conf.all.disable_ipv6=1 \
		net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || :
}

lab_bridge() {
	ip -n "$LAB_SWITCH" link add "$1" type bridge forward_delay 0 \
		stp_state 0 mcast_snooping 0
	ip -n "$LAB_SWITCH" link set "$1" up
}

lab_stop() {
	local file ns
	for file in "$LAB_DIR"/*/pids; do
		[ ! -e "$file" ] || host_end "$(basename "${file%/pids}")"
	done
	for ns in "${LAB_NETNS[@]}"; do
		ip netns del "$ns" 2>/dev/null || :
	done
	LAB_NETNS=()
}

# ---- hosts ----

host_ns() { echo "$LAB_ID-$1"; }
host_dir() { echo "$LAB_DIR/$1/$2"; }

# What the first process of a host runs before it settles down to reap.
host_init() {
	set -eu
	mount --make-rprivate /
	mount -t proc proc /proc
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs tmpfs /dev/shm
	mkdir -p /run/lab /run/lock
	local dir lower
	for dir in /usr /etc /var/lib; do
		lower=$dir
		[ ! -d "$HOST_ROOT$dir" ] || [ -z "$HOST_ROOT" ] ||
			lower="$HOST_ROOT$dir:$dir"
		mkdir -p "/run/lab/up$dir" "/run/lab/work$dir"
		mount -t overlay overlay -o \
			"lowerdir=$lower,upperdir=/run/lab/up$dir,workdir=/run/lab/work$dir" \
			"$dir"
	done
	mkdir -p /etc/remus /var/lib/remus
	mount --bind "$HOST_DISK/etc" /etc/remus
	mount --bind "$HOST_DISK/lib" /var/lib/remus
	for dir in $HOST_DIRS; do
		if [ ! -d "$HOST_DISK/disk$dir" ]; then
			mkdir -p "$HOST_DISK/disk$dir"
			[ ! -d "$dir" ] || cp -a "$dir/." "$HOST_DISK/disk$dir"
		fi
		mkdir -p "$dir"
		mount --bind "$HOST_DISK/disk$dir" "$dir"
	done
	hostname "$HOST_NAME"
	echo "$HOST_NAME" >/etc/hostname
	cd /
	: >/run/lab/up.ok
	trap 'exit 0' TERM
	while :; do
		sleep 3600 &
		wait $!
	done
}

# Its place in the rack, once: a network namespace with the cables in it.
host_place() {
	local ns
	ns=$(host_ns "$1")
	if [[ " ${LAB_NETNS[*]} " != *" $ns "* ]]; then
		lab_add_netns "$ns"
		host_wire "$1" "$2" "$3"
		[ "${4:--}" = - ] || host_wire_ring "$1" "$4"
	fi
}

host_start() {
	local name=$1 ns init
	ns=$(host_ns "$name")
	# Not below: what expands it there would be a child for a moment, and be
	# taken for the host's first process.
	init="$(declare -f host_init); host_init"
	mkdir -p "$LAB_DIR/$name/etc" "$LAB_DIR/$name/lib"
	host_place "$@"
	link_heal "$name" repl
	link_heal "$name" svc
	link_heal "$name" ring
	HOST_NAME=$name HOST_ROOT=${HOST_ROOT:-} HOST_DISK=$LAB_DIR/$name \
		HOST_DIRS=${HOST_DIRS:-} \
		ip netns exec "$ns" unshare -m -u -i -p --fork --kill-child \
		bash -c "$init" \
		</dev/null >"$LAB_DIR/$name-init.log" 2>&1 &
	HOST_UNSHARE[$name]=$!
	if ! wait_until 60 host_find_init "$name"; then
		kill -s KILL "${HOST_UNSHARE[$name]}" 2>/dev/null || :
		die "host $name did not come up: $(cat "$LAB_DIR/$name-init.log")"
	fi
	HOST_PID[$name]=$(pgrep -P "${HOST_UNSHARE[$name]}" | head -n 1)
	echo "${HOST_UNSHARE[$name]} ${HOST_PID[$name]}" >"$LAB_DIR/$name/pids"
	wait_until 60 host_exec "$name" test -e /run/lab/up.ok ||
		die "host $name did not come up: $(cat "$LAB_DIR/$name-init.log")"
}

host_find_init() { pgrep -P "${HOST_UNSHARE[$1]}"; }

# A host without a replication address is an outsider, such as a client: its
# service cable ends in itself instead of in a bridge for guests.
host_wire() {
	local name=$1 repl=$2 svc=$3 ns
	ns=$(host_ns "$name")
	if [ "$svc" != none ]; then
		ip -n "$LAB_SWITCH" link add "s-$name" type veth \
			peer name svc0 netns "$ns"
		ip -n "$LAB_SWITCH" link set "s-$name" master brs up
		ip -n "$ns" link set svc0 up
	fi
	if [ "$repl" = - ]; then
		[ "$svc" = - ] || ip -n "$ns" addr add "$svc/24" dev svc0
		return 0
	fi
	ip -n "$LAB_SWITCH" link add "r-$name" type veth \
		peer name repl0 netns "$ns"
	ip -n "$LAB_SWITCH" link set "r-$name" master brr up
	ip -n "$ns" link set repl0 up
	ip -n "$ns" addr add "$repl/24" dev repl0
	ip -n "$ns" link add br0 type bridge forward_delay 0 stp_state 0 \
		mcast_snooping 0
	ip -n "$ns" link set svc0 master br0
	ip -n "$ns" link set br0 up
	[ "$svc" = - ] || ip -n "$ns" addr add "$svc/24" dev br0
}

host_wire_ring() {
	local ns
	ns=$(host_ns "$1")
	ip -n "$LAB_SWITCH" link add "c-$1" type veth peer name ring0 netns "$ns"
	ip -n "$LAB_SWITCH" link set "c-$1" master brc up
	ip -n "$ns" link set ring0 up
	ip -n "$ns" addr add "$2/24" dev ring0
}

host_exec() {
	local name=$1
	shift
	nsenter -t "$(host_first "$name")" -m -u -i -n -p -- "$@"
}

# The process becomes a child of the host's first one.  (Were it a child of
# nsenter, that would stop with it in host_freeze, and then never reap it.)
host_spawn() {
	local name=$1 tag=$2
	shift 2
	# shellcheck disable=SC2016 # expands in the host
	host_exec "$name" bash -c 'rm -f "/run/lab/$0.pid"
		setsid bash -c '\''echo $$ >"/run/lab/$0.pid"; exec "$@"'\'' \
			"$0" "$@" &' \
		"$tag" "$@" </dev/null >>"$LAB_DIR/$name-$tag.log" 2>&1
	wait_until 60 host_exec "$name" test -s "/run/lab/$tag.pid" ||
		die "host $name: $tag did not start"
}

host_signal() {
	# shellcheck disable=SC2016
	host_exec "$1" bash -c 'kill -s "$1" "$(cat "/run/lab/$0.pid")"' \
		"$2" "$3"
}

host_alive() {
	# shellcheck disable=SC2016
	host_exec "$1" bash -c 'kill -0 "$(cat "/run/lab/$0.pid")"' "$2" \
		2>/dev/null
}

# Its processes, as the machine numbers them.
host_pids() { pgrep --ns "$(host_first "$1")" --nslist pid .; }

# Is PID still the first process of what UNSHARE started?  A number alone may
# have been given to somebody else since.
host_is() {
	local stat
	{ read -r stat <"/proc/$2/stat"; } 2>/dev/null || return 1
	[[ ${stat##*) } == ?" $1 "* ]]
}

# The first process of a host.  By the file, so that another process than the
# one that started the host, such as a fence device, may ask and kill.
host_first() {
	local unshare pid=
	{ read -r unshare pid <"$LAB_DIR/$1/pids"; } 2>/dev/null || :
	if [ -z "$pid" ] || ! host_is "$unshare" "$pid"; then
		die "host $1 does not run"
	fi
	echo "$pid"
}

# The kernel kills all of a PID namespace with its first process; that one's
# parent sees its end only after all of them are gone.
host_end() {
	local unshare pid
	unset "HOST_PID[$1]" "HOST_UNSHARE[$1]"
	{ read -r unshare pid <"$LAB_DIR/$1/pids"; } 2>/dev/null || return 0
	! host_is "$unshare" "$pid" || kill -s KILL "$pid" 2>/dev/null || :
	wait "$unshare" 2>/dev/null || : # when it is ours
	wait_until 30 pid_ended "$unshare" || die "host $1 does not die"
	rm -f "$LAB_DIR/$1/pids"
}

host_running() { [ -e "$LAB_DIR/$1/pids" ]; }

host_kill() {
	local pid
	pid=$(host_first "$1")
	kill -s KILL "$pid" 2>/dev/null || :
	# Its network cards lose power at the same moment.
	link_cut "$1" repl
	link_cut "$1" svc
	link_cut "$1" ring
	host_end "$1"
}

host_freeze() {
	local before="" now
	now=$(host_pids "$1")
	# Until no new one has appeared: a fork may be faster than the list.
	while [ "$now" != "$before" ]; do
		# shellcheck disable=SC2086
		kill -s STOP $now 2>/dev/null || :
		before=$now
		now=$(host_pids "$1")
	done
}

host_thaw() {
	# shellcheck disable=SC2046
	kill -s CONT $(host_pids "$1") 2>/dev/null || :
}

# ---- cables ----

link_port() {
	case $2 in
	repl) echo "r-$1" ;;
	svc) echo "s-$1" ;;
	ring) echo "c-$1" ;;
	*) die "no cable '$2'" ;;
	esac
}

link_set() {
	local port
	port=$(link_port "$1" "$2")
	ip -n "$LAB_SWITCH" link set "$port" "$3" 2>/dev/null || :
}

link_cut() { link_set "$1" "$2" down; }
link_heal() { link_set "$1" "$2" up; }

link_throttle() {
	local ns
	ns=$(host_ns "$1")
	tc -n "$ns" qdisc del dev repl0 root 2>/dev/null || :
	tc -n "$LAB_SWITCH" qdisc del dev "r-$1" root 2>/dev/null || :
	[ "$2" -gt 0 ] || return 0
	tc -n "$ns" qdisc add dev repl0 root tbf rate "$2mbit" \
		burst 64kb latency 50ms
	tc -n "$LAB_SWITCH" qdisc add dev "r-$1" root tbf rate "$2mbit" \
		burst 64kb latency 50ms
}
