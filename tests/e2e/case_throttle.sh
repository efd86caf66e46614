# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A link that is slower than the guest writes: checkpoints come less often, the
# pause does not wait for the link, memory does not grow, and a failover in the
# middle of it loses nothing.
export VM_LOAD=2000,4
pair_up compression=off
client_begin
client_goes_on
sleep 2
fact "fast link: pause $(get alpha '.pause_us | tostring')," \
	"ack p50 $(get alpha .ack_us.p50) us, $(get alpha .epochs) epochs," \
	"rss $(get alpha .rss_bytes)"

link_throttle alpha 20
sleep 3
rss=$(get alpha .rss_bytes)
epochs=$(get alpha .epochs)
sleep 6
json=$(ctl alpha status "$VM" --json)
fact "20 Mbit/s: $(jq -c '[.pause_us, .dirty_pages, .ack_us]' <<<"$json")"
fact "20 Mbit/s: $(jq "(.epochs - $epochs) / 6" <<<"$json") epochs/s," \
	"rss grew by $(jq ".rss_bytes - $rss" <<<"$json") bytes"
[ "$(jq -r .state <<<"$json")" = protected ] || die "no longer protected"
[ "$(jq .held_pauses <<<"$json")" -eq 0 ] || die "pauses waited for the link"
# Guest memory, a copy of pages and old pages, as configured; and a little.
grown="remusd grew from $rss to $(jq .rss_bytes <<<"$json") bytes"
[ "$(jq .rss_bytes <<<"$json")" -lt $(((128 + 64 + 64 + 32) << 20)) ] ||
	die "$grown"
[ "$(jq ".rss_bytes - $rss" <<<"$json")" -lt $((8 << 20)) ] || die "$grown"
[ "$(jq .resyncs <<<"$json")" -eq 0 ] || die "the link broke"
must alpha checkpoint "$VM"

host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
