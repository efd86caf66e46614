# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Without compression, and with pages found by comparing; the interval set at
# run time; a checkpoint on demand.  Each goes through a failover.
export VM_LOAD=200,8
pair_up compression=off tracker=compare interval=100ms
[ "$(get alpha .tracker)" = compare ] || die "tracker $(get alpha .tracker)"
[ "$(get alpha '.compression | tostring')" = false ] || die "compression is on"
client_begin
client_goes_on
fact "100 ms: pause $(get alpha '.pause_us | tostring'), ratio $(get alpha .ratio)"

# An interval of 10 s, and yet a checkpoint at once.
must alpha set "$VM" interval=10s
[ "$(get alpha .interval_ms)" -eq 10000 ] || die "interval not set"
before=$(get alpha .epoch_committed)
begin=$(now_ms)
must alpha checkpoint "$VM"
fact "checkpoint with an interval of 10 s: $(($(now_ms) - begin)) ms"
[ "$(get alpha .epoch_committed)" -gt "$before" ] || die "nothing committed"
must alpha set "$VM" interval=10 compression=on
[ "$(get alpha .interval_ms)" -eq 10 ] || die "interval not set"
client_goes_on
before=$(get alpha .epochs)
sleep 2
fact "10 ms: $((($(get alpha .epochs) - before) / 2)) checkpoints/s," \
	"ratio $(get alpha .ratio)"

host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
