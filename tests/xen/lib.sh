# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - Xen hosts under QEMU, on the cables of tests/lib/hosts.sh.
#
#                 control       repl0        br0/svc0       ring0
#     alpha     10.77.9.1     10.77.1.1     10.77.2.1     10.77.3.1
#     beta      10.77.9.2     10.77.1.2     10.77.2.2     10.77.3.2
#     client        -             -        10.77.2.100        -
#
# The control cable is ssh's and is never cut; it ends in the switch.
#
#   xen_lab                   the switch, a client, the guest's files
#   xen_join DIR              a lab that another process started, by its LAB_DIR
#   xen_power NAME            a host is switched on
#   xen_wait NAME             ... and has come up
#   xen_kill NAME             the power fails
#   hosts NAME...             these are up, and without a guest
#   xen_on NAME CMD...        run a command in its dom0, with its exit code;
#                             standard input and output go through
#   xen_put NAME FILE PATH    copy there (keeps the mode)
#   xen_get NAME PATH FILE    copy back
#   xen_config NAME [LINE...] print an xl.cfg of a PV guest; XEN_VM, XEN_VM_IP,
#                             XEN_MEMORY, XEN_LOAD, XEN_TYPE (pv, pvh, hvm)
#   xen_create NAME [LINE...] ... and start it on host NAME; the file stays there
#                             as /etc/xen/GUEST.cfg
#   xen_destroy NAME          end the guest
#   xen_guests NAME           the names of all that run there
#   xen_answers               does its redis answer the client?
#
# On these hosts also host_exec, host_spawn, host_signal, host_alive, host_kill,
# host_running, link_cut and link_heal of hosts.sh, and so what is built on them.
#
# XEN_ROOT names a DESTDIR to be laid over each host's own files when it comes
# up: the product.  XEN_STOCKED=1 boots the hypervisor as Debian ships it.
#
# Needs packages, common, guest, hosts and image.

XEN_DIR=$TESTS_DIR/xen
# Each of what is taken away corrupts memory, or kills hosts or guests, under
# QEMU's emulation: smap kills dom0, rdtscp PVH guests, vector state both.
XEN_CPU=max,-smap,-smep,-pku,-la57,-umip,-avx,-avx2,-f16c,-fma,-xsave,-rdtscp
XEN_HOST_MB=${XEN_HOST_MB:-2560}
XEN_DOM0_MB=${XEN_DOM0_MB:-1024}
XEN_PATIENCE=${XEN_PATIENCE:-10}
# What time is to a host: `real`; or `work`, where a host that gets no processor
# has no time pass either.  libxl gives a hotplug script 10 s, which on a machine
# that others keep busy is nothing.
XEN_CLOCK=${XEN_CLOCK:-real}
XEN_ICOUNT_SHIFT=${XEN_ICOUNT_SHIFT:-2}
XEN_VM=${XEN_VM:-vm1}
XEN_VM_IP=${XEN_VM_IP:-10.77.2.10}
XEN_CLIENT_IP=10.77.2.100
declare -A XEN_ID=([alpha]=1 [beta]=2)

# ---- what all hosts share ----

xen_lab() {
	xen_image
	guest_image
	lab_start
	on_exit xen_off
	lab_bridge brx
	ip -n "$LAB_SWITCH" addr add 10.77.9.254/24 dev brx
	host_start client - "$XEN_CLIENT_IP"
	printf 'LAB_ID=%q\nLAB_SWITCH=%q\n' "$LAB_ID" "$LAB_SWITCH" \
		>"$LAB_DIR/names"
	xen_keys
	xen_make_initrd >"$LAB_DIR/initrd"
	xen_make_disk
}

# A lab that another process has started, by its LAB_DIR.
xen_join() {
	LAB_DIR=$(readlink -f "$1")
	# shellcheck source=/dev/null
	. "$LAB_DIR/names"
}

xen_keys() {
	ssh-keygen -q -t ed25519 -N '' -C lab -f "$LAB_DIR/key"
	cat >"$LAB_DIR/ssh_config" <<-END
	Host *
	    User root
	    IdentityFile $LAB_DIR/key
	    IdentitiesOnly yes
	    BatchMode yes
	    StrictHostKeyChecking no
	    UserKnownHostsFile /dev/null
	    LogLevel ERROR
	    ConnectTimeout 30
	    ServerAliveInterval 10
	    ServerAliveCountMax 30
	    ControlMaster auto
	    ControlPersist yes
	    ControlPath $LAB_DIR/%h.mux
	Host alpha
	    HostName 10.77.9.1
	Host beta
	    HostName 10.77.9.2
	END
}

xen_cpio() {
	(cd "$1" && find . -print0 | sort -z |
		cpio --null --quiet --reproducible -o -H newc -R 0:0)
}

# What finds the root file system and the lab's disk; nothing else.
xen_make_initrd() {
	local root=$LAB_DIR/initrd.d m
	mkdir -p "$root"/{bin,dev,proc,sys,root,modules}
	cp /bin/busybox "$root/bin/"
	for m in $XEN_INITRD_MODULES; do
		# Some are built in.
		[ ! -e "$XEN_MODULES/$m.ko" ] ||
			cp "$XEN_MODULES/$m.ko" "$root/modules/"
	done
	cat >"$root/init" <<-END
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	for m in ${XEN_INITRD_MODULES//[[:space:]]/ }; do
		[ ! -e /modules/\$m.ko ] || insmod /modules/\$m.ko
	done
	mount -t ext4 -o noatime /dev/vda /root || exec sh
	mkdir -p /root/lab /root/proc /root/sys /root/dev
	mount -t ext4 -o ro /dev/vdb /root/lab || exec sh
	for d in proc sys dev; do mount --move /\$d /root/\$d; done
	exec switch_root /root /lab/init
	END
	chmod 755 "$root/init"
	xen_cpio "$root"
}

# The lab's disk: what changes from lab to lab.
xen_make_disk() {
	local root=$LAB_DIR/disk.d mb
	mkdir -p "$root/guest"
	install -m 755 "$XEN_DIR/dom0-init.sh" "$root/init"
	install -m 644 "$LAB_DIR/key.pub" "$root/key.pub"
	cp "$XEN_KERNEL" "$root/guest/vmlinux"
	xen_guest_initrd >"$root/guest/initrd"
	# For HVM, where an emulated BIOS takes minutes to read them.
	cp "$XEN_BZIMAGE" "$root/guest/vmlinuz"
	gzip -9 <"$root/guest/initrd" >"$root/guest/initrd.gz"
	[ -z "${XEN_ROOT:-}" ] || cp -a "$XEN_ROOT" "$root/root"
	mb=$(du -sm "$root" | cut -f 1)
	truncate -s $((mb + mb / 8 + 16))M "$LAB_DIR/disk"
	mke2fs -q -t ext4 -O ^has_journal -d "$root" "$LAB_DIR/disk"
	rm -rf "$root"
}

# The guest of all labs, with a driver for Xen's network card in front of it.
xen_guest_initrd() {
	local root=$LAB_DIR/guest.d
	mkdir -p "$root/modules"
	cp "$XEN_MODULES/xen-netfront.ko" "$root/modules/"
	install -m 755 "$XEN_DIR/guest-front.sh" "$root/init-xen"
	cat "$GUEST_INITRD"
	xen_cpio "$root"
	rm -rf "$root"
}

# ---- hosts ----

xen_tap() {
	ip -n "$LAB_SWITCH" tuntap add dev "$1" mode tap 2>/dev/null || :
	ip -n "$LAB_SWITCH" link set "$1" master "$2" up
}

xen_nic() { # NAME INDEX TAP BRIDGE
	xen_tap "$3" "$4"
	XEN_ARGS+=(-netdev "tap,id=n$2,ifname=$3,script=no,downscript=no"
		-device "virtio-net-pci,netdev=n$2,romfile=,mac=52:54:00:77:0${XEN_ID[$1]}:0$2")
}

xen_power() {
	local name=$1 id=${XEN_ID[$1]} xen=$XEN_HYPERVISOR
	[ -z "${XEN_STOCKED:-}" ] || xen=$XEN_STOCK
	# shellcheck disable=SC2054 # QEMU's commas
	XEN_ARGS=(-nodefaults -no-user-config -display none -no-reboot
		-cpu "$XEN_CPU" -m "$XEN_HOST_MB"
		-kernel "$xen"
		-initrd "$XEN_KERNEL console=hvc0 quiet mitigations=off lab.name=$name lab.id=$id,$LAB_DIR/initrd"
		-append "console=com1 com1=115200,8n1 dom0_mem=${XEN_DOM0_MB}M,max:${XEN_DOM0_MB}M bootscrub=0 spec-ctrl=no"
		-serial "file:$LAB_DIR/$name-console.log"
		-qmp "unix:$LAB_DIR/$name.qmp,server=on,wait=off")
	if [ "$XEN_CLOCK" = real ]; then
		XEN_ARGS+=(-accel "tcg,thread=multi" -smp 2)
	else
		XEN_ARGS+=(-accel "tcg,thread=single" -smp 1
			-icount "shift=$XEN_ICOUNT_SHIFT,align=off,sleep=on")
	fi
	xen_drive vda "$XEN_DISK" snapshot=on,cache=unsafe
	xen_drive vdb "$LAB_DIR/disk" readonly=on
	xen_nic "$name" 1 "x-$name" brx
	xen_nic "$name" 2 "r-$name" brr
	xen_nic "$name" 3 "s-$name" brs
	xen_nic "$name" 4 "c-$name" brc
	# snapshot=on keeps what the host writes in TMPDIR, without a name.
	TMPDIR=$LAB_DIR ip netns exec "$LAB_SWITCH" qemu-system-x86_64 \
		-name "$LAB_ID-$name" "${XEN_ARGS[@]}" \
		</dev/null >"$LAB_DIR/$name-qemu.log" 2>&1 &
	echo $! >"$LAB_DIR/$name.pid"
}

xen_drive() {
	XEN_ARGS+=(-drive "file=$2,format=raw,if=none,id=$1,$3"
		-device "virtio-blk-pci,drive=$1")
}

xen_wait() {
	local name=$1 begin end
	begin=$(now_ms)
	end=$((begin + 90000 * XEN_PATIENCE))
	until xen_on "$name" test -e /run/lab/up.ok 2>/dev/null; do
		xen_pid "$name" >/dev/null && [ "$(now_ms)" -lt "$end" ] || {
			tail -n 30 "$LAB_DIR/$name-console.log" \
				"$LAB_DIR/$name-qemu.log" >&2
			die "host $name did not come up"
		}
		sleep 0.5
	done
	xen_on "$name" grep '^xen_caps' /run/lab/xl-info >/dev/null ||
		die "host $name runs, but not on Xen"
	warn "$name is up, after $((($(now_ms) - begin) / 1000)) s"
}

hosts() {
	local h d
	for h in "$@"; do
		xen_pid "$h" >/dev/null || xen_power "$h"
	done
	for h in "$@"; do
		xen_wait "$h"
		for d in $(xen_guests "$h"); do
			xen_on "$h" xl destroy "$d" </dev/null
		done
	done
}

xen_ssh() { ip netns exec "$LAB_SWITCH" ssh -F "$LAB_DIR/ssh_config" "$@"; }

# ssh hands the other side a line for its shell: the words are quoted for it.
xen_on() {
	local name=$1
	shift
	xen_ssh "$name" -- "$(printf '%q ' "$@")"
}

xen_put() {
	xen_on "$1" sh -c 'cat >"$1" && chmod "$2" "$1"' - "$3" \
		"$(stat -L -c %a "$2")" <"$2"
}

# Not by ssh: an emulated processor is slow at ciphers, and streams are long.
xen_get() {
	local size
	xen_listen "$3"
	# shellcheck disable=SC2016
	xen_on "$1" bash -c 'cat "$1" >/dev/tcp/10.77.9.254/5001' - "$2" \
		</dev/null
	wait "$XEN_LISTEN"
	size=$(xen_on "$1" stat -L -c %s "$2" </dev/null)
	[ "$size" = "$(stat -c %s "$3")" ] || die "$1: $2 did not come whole"
}

# xen_listen FILE: what one dom0 sends to 10.77.9.254, port 5001, next; ended
# when process XEN_LISTEN has.  At the end of its input nc would tell the other
# side to stop: its input never ends.
xen_listen() {
	[ -e "$LAB_DIR/never" ] || mkfifo "$LAB_DIR/never"
	ip netns exec "$LAB_SWITCH" timeout 3600 busybox nc -l -p 5001 \
		0<>"$LAB_DIR/never" >"$1" &
	XEN_LISTEN=$!
	echo "$XEN_LISTEN" >"$LAB_DIR/listen.pid"
	wait_until 10 xen_listens
}

# End one that nobody came to, so that it does not outlive the lab: timeout ends
# what it runs.
xen_deaf() {
	local pid
	! pid=$(pid_in "$LAB_DIR/listen.pid" 5001) || kill_pid "$pid"
}

xen_listens() {
	ip netns exec "$LAB_SWITCH" ss -Htln 'sport = :5001' | has LISTEN
}

# FILE WORD: the number in FILE, if that is still a process of which WORD is an
# argument.
pid_in() {
	local pid=
	{ read -r pid <"$1"; } 2>/dev/null || return 1
	tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | has -xF -- "$2" ||
		return 1
	echo "$pid"
}

# By the file, so that another process than the one that switched it on may ask
# and kill.
xen_pid() { pid_in "$LAB_DIR/$1.pid" "$LAB_ID-$1"; }

xen_kill() {
	local pid
	if pid=$(xen_pid "$1"); then
		kill -s KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || : # when it is ours
		wait_pid_end "$pid" 30 || die "host $1 does not die"
	fi
	xen_ssh -O exit "$1" 2>/dev/null || :
	rm -f "$LAB_DIR/$1.pid" "$LAB_DIR/$1.mux"
}

xen_off() {
	local name
	for name in "${!XEN_ID[@]}"; do
		xen_kill "$name"
	done
	xen_deaf
}

# ---- what works on hosts of tests/lib/hosts.sh, works on these ----

# name_of_old FUNCTION NEW: the same function under another name.
name_of_old() { eval "$2()$(declare -f "$1" | tail -n +2)"; }
name_of_old host_exec namespace_exec
name_of_old host_running namespace_running
name_of_old host_spawn namespace_spawn
name_of_old wait_until wait_until_patiently

is_xen() { [ -n "${XEN_ID[$1]:-}" ]; }
host_exec() { if is_xen "$1"; then xen_on "$@"; else namespace_exec "$@"; fi; }

host_running() {
	if is_xen "$1"; then xen_pid "$1" >/dev/null; else namespace_running "$1"; fi
}

host_kill() {
	xen_kill "$1"
	link_cut "$1" repl
	link_cut "$1" svc
	link_cut "$1" ring
}

# Logs stay in the host, as on a machine of its own.
host_spawn() {
	local name=$1 tag=$2
	is_xen "$name" || { namespace_spawn "$@"; return; }
	shift 2
	# shellcheck disable=SC2016 # expands in the host
	host_exec "$name" bash -c 'rm -f "/run/lab/$0.pid"
		setsid bash -c '\''echo $$ >"/run/lab/$0.pid"; exec "$@"'\'' \
			"$0" "$@" </dev/null >>"/var/log/lab-$0.log" 2>&1 &' \
		"$tag" "$@" </dev/null
	wait_until 60 host_exec "$name" test -s "/run/lab/$tag.pid" </dev/null ||
		die "host $name: $tag did not start"
}

# Deadlines are made for hosts that are not emulated.
wait_until() { wait_until_patiently $(($1 * XEN_PATIENCE)) "${@:2}"; }
ctl() { host_exec "$1" remusctl -t 600 "${@:2}" </dev/null; }

# ---- guests ----

xen_config() {
	local type=${XEN_TYPE:-pv} kernel=vmlinux initrd=initrd vif=""
	[ "$type" != hvm ] || kernel=vmlinuz initrd=initrd.gz vif=,type=vif
	cat <<-END
	name = "$XEN_VM"
	type = "$type"
	kernel = "/lab/guest/$kernel"
	ramdisk = "/lab/guest/$initrd"
	extra = "console=hvc0 quiet panic=-1 rdinit=/init-xen remus.ip=$XEN_VM_IP/24 remus.gw=$XEN_CLIENT_IP${XEN_LOAD:+ remus.load=$XEN_LOAD}"
	memory = ${XEN_MEMORY:-128}
	vcpus = 1
	vif = [ "mac=00:16:3e:77:02:10,bridge=br0$vif" ]
	on_crash = "preserve"
	END
	[ "$type" != hvm ] || printf '%s\n' 'vga = "none"' 'vnc = 0' 'usb = 0'
	[ $# -eq 0 ] || printf '%s\n' "$@"
}

xen_create() {
	local name=$1
	shift
	xen_config "$@" | xen_on "$name" sh -c 'cat >"$1"' - \
		"/etc/xen/$XEN_VM.cfg"
	xen_on "$name" xl create "/etc/xen/$XEN_VM.cfg" </dev/null
	wait_until 60 xen_answers || {
		xen_guest_log "$name" >&2
		die "the guest on $name does not answer"
	}
}

# The names of all guests there, but a dying one's.
xen_guests() {
	xen_on "$1" xl list </dev/null |
		awk 'NR > 1 && $1 != "Domain-0" && $1 != "(null)" { print $1 }'
}

xen_destroy() { xen_on "$1" xl destroy "$XEN_VM" </dev/null; }

xen_guest_log() {
	xen_on "$1" sh -c 'tail -n 40 /var/log/xen/console/*; xl dmesg | tail' \
		</dev/null
}

xen_answers() {
	[ "$(host_exec client timeout 2 redis-cli -h "$XEN_VM_IP" ping 2>&1)" \
		= PONG ]
}
