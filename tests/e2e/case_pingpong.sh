# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest is moved to and fro, five times, while it works; its pages are packed
# by two threads.
export VM_LOAD=400,8
pair_up "encode_threads = 2" "compression = tight"
client_begin --rate 200
from=alpha
for i in 1 2 3 4 5; do
	to=$(peer_of "$from")
	must "$from" demote "$VM"
	[ "$(get "$from" .role)" = backup ] || die "$from is still primary"
	must "$to" activate "$VM"
	client_goes_on
	protect_from "$to"
	[ "$(get "$to" .generation)" -eq $((i + 2)) ] ||
		die "generation $(get "$to" .generation) after $i moves"
	[ "$(get "$to" .resyncs_full)" -eq 0 ] || die "resyncs counted twice"
	from=$to
done
client_end
