# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later

stream_case() {
	{ [ "$1" = save ] && xen_pid alpha >/dev/null; } || hosts alpha
	# On a busy machine most of that is the first copy.
	CAPTURE_SECONDS=${CAPTURE_SECONDS:-60} \
		capture_kind alpha "$1" "$LAB_DIR/$1.stream"
	capture_check "$LAB_DIR/$1.stream"
	[ "$1" = save ] ||
		[ "$(capture_fact "$LAB_DIR/$1.stream" '.epochs | length')" -gt 2 ]
	# An idle guest has about 400.
	[ "$1" != memory ] ||
		[ "$(capture_fact "$LAB_DIR/$1.stream" '.epochs[-2].pages')" \
			-gt 1000 ]
	rm "$LAB_DIR/$1.stream"
}

# What xl remus sends of an idle guest, packed and unpacked, whole and torn
case_stream_idle() { stream_case idle; }

# An image of xl save, the same
case_stream_save() { stream_case save; }

# What xl remus sends while a client writes to redis
case_stream_redis() { stream_case redis; }

# What xl remus sends while the guest writes memory
case_stream_memory() { stream_case memory; }
