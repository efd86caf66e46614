# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The replication cable is cut and heals, and nobody is activated: output waits,
# then goes on; of memory only what changed is sent again.  Five times, then a
# long one with a guest that writes much.
export VM_LOAD=500,16
pair_up
client_begin
client_goes_on

for i in 1 2 3 4 5; do
	link_cut alpha repl
	if [ "$i" -le 3 ]; then
		link_soon alpha false # both ends have to begin anew
		held=$(gate_released alpha)
		[ "$(get alpha .gate.state)" = holding ] || die "not holding"
		stays 1 "$held" gate_released alpha
	else
		sleep 0.$((i * 2)) # shorter than the time-out
	fi
	link_heal alpha repl
	protected_soon alpha
	client_goes_on
done
full=$(get alpha .resyncs_full)
fact "5 cuts: $(get alpha .resyncs) resyncs, $full of all memory," \
	"dropped $(get alpha .gate.dropped) frames"
[ "$full" -eq 0 ] || die "$full resyncs of the whole memory"
[ "$(get alpha .resyncs)" -ge 3 ] || die "no resync was counted"
[ "$(get alpha .gate.dropped)" -eq 0 ] || die "frames were dropped"

link_cut alpha repl
sleep 5
released=$(gate_released alpha)
sent=$(get alpha .bytes_sent)
link_heal alpha repl
protected_soon alpha
client_goes_on
[ "$(get alpha .resyncs_full)" -eq 0 ] || die "a resync of the whole memory"
fact "after 5 s: $(($(get alpha .bytes_sent) - sent)) bytes on the wire until" \
	"the client goes on"
[ "$(gate_released alpha)" -gt "$released" ] || die "nothing was released"

# What was resynced in parts is a guest that runs.
host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
