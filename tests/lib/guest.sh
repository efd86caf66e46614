# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guest.sh - a guest worth protecting: Debian's kernel, busybox and a real
# redis-server in one initramfs.  Made once, kept in the cache under a name
# that is the digest of all that goes into it.
#
#   guest_image      sets GUEST_KERNEL and GUEST_INITRD
#   guest_append IP GATEWAY [LOAD]   prints a kernel command line
#
# The guest's command line: remus.ip=10.0.0.2/24 sets its address,
# remus.gw=10.0.0.1 its gateway, remus.load=PAGES[,MEGABYTES] starts memload,
# which writes that many pages a second into a buffer of that size (16).

GUEST_DIR=$TESTS_DIR/lib
GUEST_MODULES="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev
	virtio_pci failover net_failover virtio_net"

# The package that linux-image-amd64 stands for just now, as NAME=VERSION;
# without a package list, or offline, the newest kernel in the cache.
guest_kernel_package() {
	local name version
	name=$(apt-cache depends --important linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	version=$(apt-cache policy "${name:-none}" 2>/dev/null |
		sed -n 's/^  Candidate: //p')
	[ -z "$name" ] || [ -z "$version" ] || echo "$name=$version"
}

# guest_kernel CACHE: a directory in the cache with vmlinux and the modules.
guest_kernel() {
	local cache=$1 package dir
	package=$(guest_kernel_package)
	if [ -z "$package" ]; then
		packages_apt update || :
		package=$(guest_kernel_package)
	fi
	dir=$cache/kernel-${package//[^A-Za-z0-9.-]/_}
	if [ -z "$package" ] || { [ ! -e "$dir/vmlinux" ] &&
		! guest_kernel_fetch "$package" "$dir"; }; then
		dir=$(find "$cache" -maxdepth 1 -name 'kernel-*' |
			sort -V | tail -n 1)
		[ -n "$dir" ] || die "no kernel: cannot download" \
			"${package:-linux-image-amd64}"
		warn "no download; going on with ${dir##*/}"
	fi
	echo "$dir"
}

# The kernel proper inside a bzImage (its boot protocol tells where).  QEMU
# enters it directly; unpacking itself would take it seconds in emulation.
guest_unpack_kernel() {
	local sectors offset bytes
	sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
	offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
	bytes=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
	offset=$(((sectors + 1) * 512 + offset))
	tail -c "+$((offset + 1))" "$1" | head -c "$bytes" |
		xz -dc --single-stream
}

guest_kernel_fetch() {
	local package=$1 dir=$2 tmp m
	tmp=$(mktemp -d "${dir%/*}/tmp.XXXXXX")
	if ! (cd "$tmp" && { packages_apt download "$package" ||
		{ packages_apt update &&
			packages_apt download "$package"; }; }); then
		rm -rf "$tmp"
		return 1
	fi
	dpkg -x "$tmp"/*.deb "$tmp/x"
	guest_unpack_kernel "$tmp"/x/boot/vmlinuz-* >"$tmp/vmlinux" || :
	if [ "$(head -c 4 "$tmp/vmlinux")" != $'\x7fELF' ]; then
		warn "no ELF kernel inside the bzImage of $package"
		rm -rf "$tmp"
		return 1
	fi
	for m in $GUEST_MODULES; do
		find "$tmp/x/lib/modules" -name "$m.ko*" -exec \
			cp {} "$tmp/" \;
	done
	unxz -f "$tmp"/*.ko.xz 2>/dev/null || :
	rm -rf "$tmp/x" "$tmp"/*.deb
	chmod 755 "$tmp"
	mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp"
	[ -e "$dir/vmlinux" ]
}

# A program and every library that it loads, at their own paths.
guest_copy_program() {
	local program=$1 as=$2 root=$3 lib
	install -D "$program" "$root$as"
	ldd "$program" | sed -n 's/.*[ \t]\(\/[^ ]*\) (0x.*/\1/p' |
		while read -r lib; do
			install -D "$lib" "$root$lib"
		done
}

guest_make_initrd() {
	local kernel=$1 out=$2 tmp root m
	tmp=$(mktemp -d "${out%/*}/tmp.XXXXXX")
	root=$tmp/root
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,modules}
	cp /bin/busybox "$root/bin/busybox"
	guest_copy_program "$(readlink -f /usr/bin/redis-check-rdb)" \
		/bin/redis-server "$root"
	"${CC:-gcc}" -O2 -static -o "$root/bin/memload" "$GUEST_DIR/memload.c"
	install -m 755 "$GUEST_DIR/guest-init.sh" "$root/init"
	for m in $GUEST_MODULES; do
		[ ! -e "$kernel/$m.ko" ] || cp "$kernel/$m.ko" "$root/modules/"
	done
	echo "$GUEST_MODULES" | tr -s ' \t\n' '\n' >"$root/modules/order"
	# Device nodes need no mknod here: the kernel mounts nothing before
	# /init, but init mounts devtmpfs before it opens anything.
	(cd "$root" && find . -print0 | sort -z |
		cpio --null --quiet --reproducible -o -H newc -R 0:0) \
		>"$tmp/initrd"
	mv "$tmp/initrd" "$out"
	rm -rf "$tmp"
}

guest_image() {
	local cache kernel digest lock
	cache=$(cache_dir)
	exec {lock}>"$cache/guest.lock"
	flock "$lock"
	rm -rf "$cache"/tmp.* # of one that was interrupted
	kernel=$(guest_kernel "$cache")
	digest=$(cat "$GUEST_DIR/guest-init.sh" "$GUEST_DIR/memload.c" \
		"$GUEST_DIR/guest.sh" /bin/busybox "$kernel"/*.ko \
		/usr/bin/redis-check-rdb | sha256sum | cut -c 1-16)
	GUEST_KERNEL=$kernel/vmlinux
	GUEST_INITRD=$cache/initrd-$digest
	[ -e "$GUEST_INITRD" ] || guest_make_initrd "$kernel" "$GUEST_INITRD"
	exec {lock}>&-
	export GUEST_KERNEL GUEST_INITRD
}

guest_append() {
	printf 'console=ttyS0 quiet panic=-1 remus.ip=%s remus.gw=%s' "$1" "$2"
	[ -z "${3:-}" ] || printf ' remus.load=%s' "$3"
	printf '\n'
}
