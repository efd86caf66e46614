# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh - build the product without touching the checkout.
#
#   build_copy DIR          the sources, with ./configure, in DIR
#   product_build           sets PRODUCT_ROOT, a DESTDIR with the product as a
#                           host would have it in /usr, from the cache when the
#                           sources have not changed; REMUS_PRODUCT in the
#                           environment names one that is there already

# Nothing that a build leaves in a checkout; git need not be there.
BUILD_EXCLUDE=(--exclude=./.git --exclude='./build*' --exclude=./config.status
	--exclude=./config.h --exclude=./Makefile --exclude=./autom4te.cache
	--exclude='*.o' --exclude='*.a' --exclude='.deps' --exclude='.dirstamp'
	--exclude='*.log' --exclude='*.trs' --exclude='./remus-ha-*'
	--exclude=./config.cache)

build_tar() {
	tar -C "$TOP_DIR" "${BUILD_EXCLUDE[@]}" "$@" --sort=name -cf - .
}

build_copy() {
	mkdir -p "$1" && build_tar | tar -C "$1" -xf - &&
		(cd "$1" && ./autogen.sh)
}

# What `make install` depends on: tests other than their Makefile.inc do not
# count, so that a change of a test does not build the product anew.
product_digest() {
	{ build_tar --exclude='./tests/*/?*.*' --exclude=./tests/fuzz/corpus \
		--exclude=./tests/unit/golden --exclude=./tests/demo \
		--exclude=./tests/check --mtime=@0 --owner=0 --group=0
		cat "$TOP_DIR"/tests/*/Makefile.inc; "${CC:-gcc}" --version; } |
		sha256sum | cut -c 1-16
}

# Chained by hand: set -e does not work inside a condition.
product_make() (
	root=$1
	tmp=$2
	build_copy "$tmp/src" && mkdir "$tmp/build" && cd "$tmp/build" &&
		../src/configure --prefix=/usr --sysconfdir=/etc \
			--localstatedir=/var --without-systemdsystemunitdir &&
		make -j"$(nproc)" && make install DESTDIR="$tmp/root" &&
		mv -T "$tmp/root" "$root"
)

product_build() {
	local cache tmp lock
	if [ -n "${REMUS_PRODUCT:-}" ]; then
		export PRODUCT_ROOT=$REMUS_PRODUCT
		return 0
	fi
	cache=$(cache_dir)
	exec {lock}>"$cache/product.lock"
	flock "$lock"
	PRODUCT_ROOT=$cache/product-$(product_digest)
	if [ ! -d "$PRODUCT_ROOT" ]; then
		find "$cache" -maxdepth 1 -name 'product-*' -mtime +2 \
			-exec rm -rf {} +
		rm -rf "$cache"/build.*
		tmp=$(mktemp -d "$cache/build.XXXXXX")
		if ! product_make "$PRODUCT_ROOT" "$tmp" \
			</dev/null >"$cache/product.log" 2>&1; then
			tail -n 40 "$cache/product.log" >&2
			rm -rf "$tmp"
			die "the product does not build"
		fi
		rm -rf "$tmp"
	fi
	exec {lock}>&-
	export PRODUCT_ROOT
}
