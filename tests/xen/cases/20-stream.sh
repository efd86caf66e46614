# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later

stream_case() {
	{ [ "$1" = save ] && xen_pid alpha >/dev/null; } || hosts alpha
	capture_kind alpha "$1" "$LAB_DIR/$1.stream"
	capture_check "$LAB_DIR/$1.stream"
	[ "$1" = save ] ||
		[ "$(capture_fact "$LAB_DIR/$1.stream" '.epochs | length')" -gt 4 ]
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
