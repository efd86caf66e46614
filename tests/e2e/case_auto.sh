# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# compression = auto: fast while the link is wide, tight when it gets narrow,
# fast again when it is wide again; what the backup has is the guest each time.
export VM_LOAD=8000,4
pair_up compression=auto
client_begin
client_goes_on
wait_until 30 get_is alpha .codec fast || die "not fast on a wide link"

link_throttle alpha 2
wait_until 60 get_is alpha .codec tight || die "not tight on a narrow link"
fact "2 Mbit/s: $(get alpha '[.ratio, .ack_us.p50] | tostring')"
client_goes_on
[ "$(get alpha .state)" = protected ] || die "no longer protected"

link_throttle alpha 1000
wait_until 60 get_is alpha .codec fast || die "still tight on a wide link"
client_goes_on
[ "$(get alpha .resyncs)" -eq 0 ] || die "the link broke"

host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
