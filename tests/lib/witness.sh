# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# witness.sh - the service's clients as witnesses: w1, w2, w3, each a host of
# its own on the guests' network, where nodes have addresses too.
#
#     w1 10.77.2.201   w2 10.77.2.202   w3 10.77.2.203     port 7071
#     alpha 10.77.2.1  beta 10.77.2.2
#
#   witness_begin VM=ADDRESS...  key and definitions, and all of them started;
#                              each watches redis at that address
#   witness_list               their names and URLs in a line
#   witness_lines              what a definition of a VM says of them
#   witness_start, witness_stop NAME   started; ended by SIGTERM
#   witness_crash NAME         its host loses its power; witness_start brings it
#                              back with what it had stored
#   witness_disk_full, witness_disk_free NAME
#   witness_ready NAME         does it answer?
#   witness_block HOST NAME, witness_unblock HOST NAME
#                              nothing passes between the two (an asymmetric cut)
#   witness_end                all of them, with their hosts
#   witness_wipe               their disks too
#
# Needs hosts.sh.
WITNESSES=(w1 w2 w3)
WITNESS_PORT=7071

witness_ip() { echo "10.77.2.20${1#w}"; }

witness_begin() {
	local w
	head -c 48 /dev/urandom >"$LAB_DIR/witness.key"
	chmod 600 "$LAB_DIR/witness.key"
	for w in "${WITNESSES[@]}"; do
		witness_host "$w"
		witness_define "$w" "$@"
		host_exec "$w" remus-witness --init \
			--config /etc/remus/remus-witness.conf
		witness_start "$w"
	done
}

witness_host() { host_start "$1" - "$(witness_ip "$1")"; }

# witness_define NAME VM=ADDRESS...
witness_define() {
	local name=$1 vm dir
	dir=$(host_dir "$name" etc)
	shift
	mkdir -p "$dir"
	install -m 600 "$LAB_DIR/witness.key" "$dir/witness.key"
	{
		cat <<-END
		name = $name
		listen = $(witness_ip "$name"):$WITNESS_PORT
		state_dir = /var/lib/remus/witness
		key_file = /etc/remus/witness.key
		cluster = lab
		END
		printf 'node = %s\n' "alpha 1" "beta 2" "gamma 3"
		for vm in "$@"; do
			echo "vm = ${vm%%=*} alpha beta"
			echo "probe = ${vm%%=*} tcp:${vm#*=}:6379"
		done
	} >"$dir/remus-witness.conf"
}

# "w1=http://..:7071 w2=...", as parameters have them.
witness_list() {
	local w list=
	for w in "${WITNESSES[@]}"; do
		list+=" $w=http://$(witness_ip "$w"):$WITNESS_PORT"
	done
	echo "${list# }"
}

witness_lines() {
	local w
	echo "arbiter = witness"
	echo "witness_key = /etc/remus/witness.key"
	for w in "${WITNESSES[@]}"; do
		echo "witness = $w http://$(witness_ip "$w"):$WITNESS_PORT"
	done
}

# The nodes' copy of the key.
witness_key_to() {
	install -m 600 "$LAB_DIR/witness.key" "$(host_dir "$1" etc)/witness.key"
}

witness_start() {
	host_running "$1" || witness_host "$1"
	host_spawn "$1" witness remus-witness --foreground \
		--config /etc/remus/remus-witness.conf
	wait_until 10 witness_ready "$1" ||
		die "$1 does not answer: $(tail -n 3 "$LAB_DIR/$1-witness.log")"
}

witness_ended() { ! host_alive "$1" witness; }

witness_stop() {
	host_signal "$1" witness TERM
	wait_until 10 witness_ended "$1" || die "$1 does not end"
}

# Its state has a disk of its own, which can be filled to the last byte.
witness_disk_full() {
	host_exec "$1" sh -c 'd=/var/lib/remus/witness
		mkdir -p /run/copy && cp -a $d/. /run/copy
		mount -t tmpfs -o size=128k none $d && cp -a /run/copy/. $d
		dd if=/dev/zero of=$d/ballast bs=1k 2>/dev/null || :'
}
witness_disk_free() { host_exec "$1" rm /var/lib/remus/witness/ballast; }

witness_crash() { host_kill "$1"; }

witness_ready() {
	host_exec "$1" bash -c ": >/dev/tcp/$(witness_ip "$1")/$WITNESS_PORT"
}

witness_block() {
	host_exec "$1" ip route add blackhole "$(witness_ip "$2")"
}

witness_unblock() {
	host_exec "$1" ip route del blackhole "$(witness_ip "$2")"
}

witness_end() {
	local w
	for w in "${WITNESSES[@]}"; do
		! host_running "$w" || host_kill "$w"
	done
}

witness_wipe() {
	local w
	witness_end
	for w in "${WITNESSES[@]}"; do
		rm -rf "${LAB_DIR:?}/$w"/{disk,etc,lib}
	done
}
