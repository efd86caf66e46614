# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# image.sh - what a Xen host of the lab is made of; dear to make, and cached.
#
#   xen_image    sets, all in the cache,
#     XEN_HYPERVISOR   Xen with shadow paging, for it checkpoints PV guests
#     XEN_STOCK        the same version's sister as Debian ships it, without
#     XEN_DISK         a root file system (ext4) with Xen's tools, a cluster's
#                      software and what the product's programs load
#     XEN_KERNEL       Debian's kernel, for the hosts, and for PV and PVH guests
#     XEN_BZIMAGE      the same as an HVM guest's BIOS loads it
#     XEN_MODULES      its modules that are needed before there is a root
#     XEN_PYTHON       Xen's python, with the classes of its stream verifier
#
# Nothing is mounted, and nothing but Debian's archive is asked: where this
# machine's apt finds it.  An entry of the cache is named by the digest of what
# goes into it: the lists below, the functions that make it, and the versions
# that apt has at hand.  Where one cannot be made, the newest is taken.
#
# Needs packages, common and guest.

XEN_VERSION=4.17
XEN_PACKAGES="xen-utils-$XEN_VERSION xenstore-utils qemu-system-xen
	bash busybox-static ca-certificates dropbear-bin iproute2 jq kmod procps
	psmisc strace tcpdump nftables iputils-ping redis-tools util-linux
	corosync pacemaker pacemaker-cli-utils pcs resource-agents
	libqb100 libgnutls30 libcurl3-gnutls libjansson4 libmicrohttpd12
	libvotequorum8 libcmap4 libxxhash0 libzstd1 libnl-3-200 libnl-route-3-200
	libxenmisc$XEN_VERSION libxengnttab1 libxenstore4"
# Before there is a root file system: its disk and its kind.
XEN_INITRD_MODULES="virtio_ring virtio virtio_pci_modern_dev
	virtio_pci_legacy_dev virtio_pci virtio_blk crc16 mbcache jbd2
	crc32c_generic crc32c-intel ext4"
# Of the kernel's modules, what no host and no guest of this lab has.
XEN_NOT_MODULES="sound drivers/gpu drivers/media drivers/iio drivers/infiniband
	drivers/isdn drivers/staging drivers/usb drivers/scsi drivers/input
	drivers/hid drivers/net/ethernet drivers/net/wireless drivers/mtd
	drivers/hwmon drivers/ata drivers/firmware drivers/platform
	drivers/power drivers/leds drivers/mmc drivers/i2c drivers/bluetooth
	net/bluetooth net/wireless net/mac80211 fs/xfs fs/btrfs fs/ocfs2 fs/ceph"

# How long each of them took goes to standard error: it is done once.
xen_timed() {
	local what=$1 begin=$SECONDS
	shift
	"$@"
	warn "$what: $((SECONDS - begin)) s"
}

# ---- the archive ----

# Debian's own archives among this machine's sources; KIND is deb or deb-src.
xen_sources_list() {
	apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
		--format "$1 [trusted=yes] \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" |
		sort -u
}

# How this machine's apt reaches them (a proxy, a time-out), as options.
xen_apt_acquire() {
	apt-config dump --format '%F "%v";%n' Acquire |
		grep -E '^Acquire::(http|https|Check-|Retries)'
}

# An apt of our own, which knows source packages.  Sets XEN_APT for its calls.
xen_source_apt() {
	mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/parts"
	xen_sources_list deb-src >"$1/sources.list"
	XEN_APT=(-q -o "Dir::Etc::sourcelist=$1/sources.list"
		-o "Dir::Etc::sourceparts=$1/parts" -o "Dir::Cache=$1/cache"
		-o "Dir::State::lists=$1/lists" -o APT::Sandbox::User=root)
	apt-get "${XEN_APT[@]}" update
}

# ---- the hypervisor ----

# The newest source package may be missing where its binary is not.
xen_source() {
	local version versions
	xen_source_apt "$1/apt" || return 1
	versions=$(apt-cache "${XEN_APT[@]}" showsrc --only-source xen |
		sed -n "s/^Version: \($XEN_VERSION\.\)/\1/p" | sort -rV)
	for version in $versions; do
		(cd "$1" && apt-get "${XEN_APT[@]}" source --download-only \
			"xen=$version") || continue
		(cd "$1" && dpkg-source --no-check -x xen_*.dsc src)
		return
	done
	echo "no source package of Xen $XEN_VERSION can be had" >&2
	return 1
}

# Xen's own default has shadow paging; Debian's configuration leaves it out.
xen_hypervisor_make() {
	local tmp=$1
	xen_source "$tmp" &&
		make -C "$tmp/src/xen" XEN_TARGET_ARCH=x86_64 defconfig &&
		grep -x CONFIG_SHADOW_PAGING=y "$tmp/src/xen/.config" &&
		make -C "$tmp/src/xen" XEN_TARGET_ARCH=x86_64 \
			-j"$(nproc)" &&
		gunzip -c "$tmp/src/xen/xen.gz" >"$tmp/xen" &&
		xen_stock "$tmp/stock" && mkdir "$tmp/out" &&
		mv "$tmp/xen" "$tmp/stock/xen-stock" "$tmp/out/"
}

xen_stock() {
	mkdir "$1" && (cd "$1" &&
		packages_apt download "xen-hypervisor-$XEN_VERSION-amd64" &&
		dpkg -x ./*.deb x && gunzip -c x/boot/xen-*.gz >xen-stock)
}

# ---- the root file system ----

xen_root_prune() {
	local m
	for m in $XEN_NOT_MODULES; do
		rm -rf "$1"/lib/modules/*/kernel/"$m"
	done
	rm -rf "$1"/usr/share/{doc,man,locale,info} "$1"/var/cache/apt/* \
		"$1"/var/lib/apt/lists/*
}

# The kernel is unpacked, not installed: that would make an initrd for minutes.
xen_root_kernel() {
	local tmp=$1 package=$2 m
	(cd "$tmp" && packages_apt download "$package") || return 1
	dpkg -x "$tmp"/linux-image-*.deb "$tmp/kernel"
	mkdir -p "$tmp/root/lib/modules" "$tmp/out/modules"
	cp -a "$tmp"/kernel/lib/modules/* "$tmp/root/lib/modules/"
	cp "$tmp"/kernel/boot/vmlinuz-* "$tmp/out/vmlinuz"
	guest_unpack_kernel "$tmp/out/vmlinuz" \
		>"$tmp/out/vmlinux" || :
	[ "$(head -c 4 "$tmp/out/vmlinux")" = $'\x7fELF' ] || return 1
	for m in $XEN_INITRD_MODULES xen-netfront; do
		find "$tmp/root/lib/modules" -name "$m.ko*" \
			-exec cp {} "$tmp/out/modules/" \;
	done
	unxz -f "$tmp"/out/modules/*.ko.xz 2>/dev/null || :
	depmod -b "$tmp/root" "$(basename "$tmp"/kernel/lib/modules/*)"
}

xen_root_make() {
	local tmp=$1 package=$2 words
	xen_sources_list deb >"$tmp/sources.list"
	xen_apt_acquire >"$tmp/apt.conf"
	words=$(tr -s ' \t\n' ',' <<<"$XEN_PACKAGES")
	# It mounts the machine's /dev and more in there: in a namespace of its
	# own, so that nothing of it is left when this is interrupted.
	unshare -m --propagation private \
		mmdebstrap --quiet --mode=root --variant=apt --include="${words%,}" \
		--aptopt="$tmp/apt.conf" --aptopt='APT::Sandbox::User "root"' \
		--aptopt='APT::Install-Recommends "false"' \
		"$(sed -n 's/.* \([a-z]*\) main$/\1/p' "$tmp/sources.list" |
			head -n 1)" "$tmp/root" "$tmp/sources.list" &&
		mkdir "$tmp/out" && xen_root_kernel "$tmp" "$package" &&
		cp -a "$tmp/root/usr/lib/xen-$XEN_VERSION/lib/python" \
			"$tmp/out/" &&
		xen_root_prune "$tmp/root" &&
		truncate -s 3G "$tmp/out/disk" &&
		mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 \
			-d "$tmp/root" "$tmp/out/disk"
}

# ---- the cache ----

xen_digest_root() {
	# shellcheck disable=SC2086 # words
	{ echo "$XEN_PACKAGES $XEN_INITRD_MODULES $XEN_NOT_MODULES $1"
		declare -f xen_root_make xen_root_kernel xen_root_prune
		apt-cache policy $XEN_PACKAGES | grep -E '^[^ ]|Candidate'; } |
		sha256sum | cut -c 1-16
}

xen_digest_hypervisor() {
	{ declare -f xen_hypervisor_make xen_source
		apt-cache policy "xen-hypervisor-$XEN_VERSION-amd64" |
			grep Candidate; } | sha256sum | cut -c 1-16
}

# xen_cached VAR PREFIX DIGEST MAKE ARG...: MAKE fills its directory's out/.
xen_cached() {
	local var=$1 prefix=$2 entry=$2-$3 cache tmp
	shift 3
	cache=$(cache_dir)
	printf -v "$var" '%s' "$cache/$entry"
	[ ! -d "$cache/$entry" ] || return 0
	tmp=$(mktemp -d "$cache/$prefix.tmp.XXXXXX")
	chmod 755 "$tmp"
	if ! xen_timed "$prefix made" xen_make_quietly "$cache/$prefix.log" \
		"$1" "$tmp" "${@:2}"; then
		rm -rf --one-file-system "$tmp"
		xen_older "$var" "$cache" "$prefix"
		return
	fi
	find "$cache" -maxdepth 1 -name "$prefix-*" -mtime +2 -exec rm -rf {} +
	mv -T "$tmp/out" "$cache/$entry"
	rm -rf "$tmp"
}

xen_older() {
	local entry
	entry=$(find "$2" -maxdepth 1 -type d -name "$3-*" -printf '%T@ %p\n' |
		sort -n | tail -n 1)
	[ -n "$entry" ] || {
		tail -n 40 "$2/$3.log" >&2
		die "cannot make $3; all of it: $2/$3.log"
	}
	warn "cannot make $3 (see $2/$3.log); going on with an older one"
	printf -v "$1" '%s' "${entry#* }"
}

xen_make_quietly() {
	local log=$1
	shift
	"$@" </dev/null >"$log" 2>&1
}

xen_image() {
	local cache kernel lock
	cache=$(cache_dir)
	exec {lock}>"$cache/xen.lock"
	flock "$lock"
	rm -rf --one-file-system "$cache"/xen-*.tmp.* # of one that was interrupted
	kernel=$(guest_kernel_package)
	if [ -z "$kernel" ] || [ -z "$(xen_sources_list deb)" ]; then
		packages_apt update || :
		kernel=$(guest_kernel_package)
	fi
	xen_cached XEN_HYPERVISOR xen-hypervisor "$(xen_digest_hypervisor)" \
		xen_hypervisor_make
	xen_cached XEN_DISK xen-root "$(xen_digest_root "$kernel")" \
		xen_root_make "$kernel"
	# shellcheck disable=SC2034 # for lib.sh and others
	XEN_STOCK=$XEN_HYPERVISOR/xen-stock
	# shellcheck disable=SC2034
	XEN_KERNEL=$XEN_DISK/vmlinux
	# shellcheck disable=SC2034
	XEN_BZIMAGE=$XEN_DISK/vmlinuz
	# shellcheck disable=SC2034
	XEN_MODULES=$XEN_DISK/modules
	# shellcheck disable=SC2034
	XEN_PYTHON=$XEN_DISK/python
	XEN_HYPERVISOR=$XEN_HYPERVISOR/xen
	XEN_DISK=$XEN_DISK/disk
	exec {lock}>&-
}
